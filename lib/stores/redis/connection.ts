/** What RedisStore needs of a client, the same for all of them. One small adapter a client library makes it. */
export interface RedisConnection {
  /** The client as it was given. */
  readonly client: object;
  /** Which library the client is of. */
  readonly library: 'ioredis' | 'node-redis';
  /** Runs a script that the server knows. Keys decide which node of a Cluster is asked. */
  evalSha(sha: string, keys: string[], args: string[]): Promise<unknown>;
  /** Runs a script and makes it known. */
  eval(source: string, keys: string[], args: string[]): Promise<unknown>;
  /** Deletes all keys that fit a glob pattern, on every node. */
  deleteMatching(pattern: string): Promise<void>;
  /** Names the node of a Cluster that has the hash slot now; the same for all slots where there is one node. */
  nodeOf(slot: number): string;
}
