import type { RedisConnection } from './connection.js';

/** What is used of an ioredis `Redis` or `Cluster`. Described here, so that no type needs the package. */
export interface IoredisClient {
  evalsha(sha: string, keyCount: number, ...keysAndArgs: string[]): Promise<unknown>;
  eval(source: string, keyCount: number, ...keysAndArgs: string[]): Promise<unknown>;
  options?: { keyPrefix?: string | undefined };
}

interface IoredisNode extends IoredisClient {
  scan(cursor: string, ...args: string[]): Promise<[cursor: string, keys: string[]]>;
  unlink(key: string): Promise<number>;
}

interface IoredisCluster extends IoredisClient {
  nodes(role: 'master'): IoredisNode[];
  slots: string[][];
}

export const isIoredis = (client: unknown): client is IoredisClient =>
  typeof (client as IoredisClient | null)?.evalsha === 'function';

const isCluster = (client: IoredisClient): client is IoredisCluster =>
  typeof (client as IoredisCluster).nodes === 'function';

export function connectIoredis(client: IoredisClient): RedisConnection {
  return {
    client,
    library: 'ioredis',
    evalSha: (sha, keys, args) => client.evalsha(sha, keys.length, ...keys, ...args),
    eval: (source, keys, args) => client.eval(source, keys.length, ...keys, ...args),
    async deleteMatching(pattern) {
      const nodes = isCluster(client) ? client.nodes('master') : [client as IoredisNode];
      for (const node of nodes) await deleteOnNode(node, pattern);
    },
    nodeOf: (slot) => (isCluster(client) ? (client.slots[slot]?.[0] ?? '') : ''),
  };
}

async function deleteOnNode(node: IoredisNode, pattern: string): Promise<void> {
  let cursor = '0';
  do {
    const [next, keys] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', '1000');
    // One key a command: the keys of one command must share a slot in a Cluster.
    await Promise.all(keys.map((key) => node.unlink(key)));
    cursor = next;
  } while (cursor !== '0');
}
