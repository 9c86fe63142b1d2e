import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import { RedisStore, type RedisStoreOptions } from '../../../lib/stores/redis/redis-store.js';
import { storeContract } from '../../../lib/testing/index.js';
import { RedisCluster, RedisServer } from '../../support/redis-server.js';
import { describeWithRedis } from '../../support/with-redis.js';

type Client = RedisStoreOptions['client'];

let made = 0;

/** The contract on one kind of client; each test has a prefix of its own, and the clock stands in the script. */
function contractOn(client: () => Client): void {
  storeContract({
    make: () => {
      let offset = 0;
      const store = new RedisStore({
        client: client(),
        prefix: `contract-${(made += 1)}`,
        refusalCache: false,
        timeoutMs: 5_000,
        timeOffsetMs: () => offset,
      });
      return { store, advance: (ms) => void (offset += ms), dispose: () => store.close() };
    },
  });
}

describeWithRedis('RedisStore on one server', () => {
  let server: RedisServer;
  let ioredis: Redis;
  let nodeRedis: ReturnType<typeof createClient>;

  beforeAll(async () => {
    server = await RedisServer.start();
    ioredis = new Redis(server.port);
    nodeRedis = createClient({ url: `redis://127.0.0.1:${server.port}` });
    await nodeRedis.connect();
  });

  afterAll(async () => {
    ioredis.disconnect();
    nodeRedis.destroy();
    await server.stop();
  });

  describe('with ioredis', () => contractOn(() => ioredis));
  describe('with node-redis', () => contractOn(() => nodeRedis));
});

describeWithRedis('RedisStore on a Redis Cluster of three masters', () => {
  let cluster: RedisCluster;
  let ioredis: Cluster;
  let nodeRedis: ReturnType<typeof createCluster>;

  beforeAll(async () => {
    cluster = await RedisCluster.start();
    ioredis = new Cluster(cluster.nodes);
    nodeRedis = createCluster({ rootNodes: cluster.nodes.map((socket) => ({ socket })) });
    await nodeRedis.connect();
  }, 30_000);

  afterAll(async () => {
    ioredis.disconnect();
    nodeRedis.destroy();
    await cluster.stop();
  });

  describe('with ioredis', () => contractOn(() => ioredis));
  describe('with node-redis', () => contractOn(() => nodeRedis));
});
