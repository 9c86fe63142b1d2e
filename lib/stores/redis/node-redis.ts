import type { RedisConnection } from './connection.js';

interface ScriptCall {
  keys: string[];
  arguments: string[];
}

/** What is used of a node-redis client or cluster. Described here, so that no type needs the package. */
export interface NodeRedisClient {
  evalSha(sha: string, call: ScriptCall): Promise<unknown>;
  eval(source: string, call: ScriptCall): Promise<unknown>;
}

interface NodeRedisNode extends NodeRedisClient {
  sendCommand(args: string[]): Promise<unknown>;
}

interface Master {
  address: string;
}

interface NodeRedisCluster extends NodeRedisClient {
  masters: Master[];
  slots: { master: Master }[];
  nodeClient(node: Master): NodeRedisNode | Promise<NodeRedisNode>;
}

export const isNodeRedis = (client: unknown): client is NodeRedisClient =>
  typeof (client as NodeRedisClient | null)?.evalSha === 'function';

const isCluster = (client: NodeRedisClient): client is NodeRedisCluster =>
  typeof (client as NodeRedisCluster).nodeClient === 'function';

export function connectNodeRedis(client: NodeRedisClient): RedisConnection {
  return {
    client,
    library: 'node-redis',
    evalSha: (sha, keys, args) => client.evalSha(sha, { keys, arguments: args }),
    eval: (source, keys, args) => client.eval(source, { keys, arguments: args }),
    async deleteMatching(pattern) {
      if (!isCluster(client)) return deleteOnNode(client as NodeRedisNode, pattern);
      for (const master of client.masters) await deleteOnNode(await client.nodeClient(master), pattern);
    },
    nodeOf: (slot) => (isCluster(client) ? (client.slots[slot]?.master.address ?? '') : ''),
  };
}

async function deleteOnNode(node: NodeRedisNode, pattern: string): Promise<void> {
  let cursor = '0';
  do {
    const reply = await node.sendCommand(['SCAN', cursor, 'MATCH', pattern, 'COUNT', '1000']);
    const [next, keys] = reply as [string, string[]];
    // One key a command: the keys of one command must share a slot in a Cluster.
    await Promise.all(keys.map((key) => node.sendCommand(['UNLINK', key])));
    cursor = String(next);
  } while (cursor !== '0');
}
