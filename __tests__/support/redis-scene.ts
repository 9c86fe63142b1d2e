import { Redis } from 'ioredis';
import { RedisStore, type RedisStoreOptions } from '../../lib/stores/redis/redis-store.js';
import type { StoreEvent } from '../../lib/stores/store.js';
import { RedisServer } from './redis-server.js';

let made = 0;

export interface RedisScene {
  prefix: string;
  /** Added to the server's time. */
  time: { offset: number };
  store: RedisStore;
  events: StoreEvent[];
  /** All keys of customers under the prefix, in order. */
  keys: () => Promise<string[]>;
}

/** A server for the tests of one file, and for each test a store with a prefix and a clock of its own. */
export class RedisScenes {
  client!: Redis;
  server!: RedisServer;

  async start(): Promise<void> {
    this.server = await RedisServer.start();
    this.client = new Redis(this.server.port);
  }

  async stop(): Promise<void> {
    this.client.disconnect();
    await this.server.stop();
  }

  scene(options: Partial<RedisStoreOptions> = {}): RedisScene {
    const { client } = this;
    const prefix = `test-${(made += 1)}`;
    const time = { offset: 0 };
    const store = new RedisStore({
      client,
      prefix,
      refusalCache: false,
      timeoutMs: 5_000,
      timeOffsetMs: () => time.offset,
      ...options,
    });
    const events: StoreEvent[] = [];
    store.subscribe((event) => events.push(event));
    const keys = async (): Promise<string[]> => (await client.keys(`{${prefix}:s*`)).sort();
    return { prefix, time, store, events, keys };
  }
}
