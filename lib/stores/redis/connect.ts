import { ConfigError } from '../../errors.js';
import type { RedisConnection } from './connection.js';
import { connectIoredis, isIoredis } from './ioredis.js';
import { connectNodeRedis, isNodeRedis } from './node-redis.js';

/**
 * The connection over a client of ioredis (`Redis`, `Cluster`) or node-redis (`createClient`, `createCluster`), told
 * apart by what they can do.
 *
 * @throws {ConfigError} `CONFIG_MISSING_OPTION`, `CONFIG_INVALID_OPTION`
 */
export function connect(client: unknown, option: string): RedisConnection {
  if (isNodeRedis(client)) return connectNodeRedis(client);
  if (isIoredis(client)) {
    if (client.options?.keyPrefix) {
      throw new ConfigError(
        'CONFIG_INVALID_OPTION',
        option,
        'an ioredis client without keyPrefix (give RedisStore a prefix instead)',
        client.options.keyPrefix,
      );
    }
    return connectIoredis(client);
  }
  throw new ConfigError(
    client === undefined ? 'CONFIG_MISSING_OPTION' : 'CONFIG_INVALID_OPTION',
    option,
    'a client of ioredis (Redis, Cluster) or of redis (createClient, createCluster)',
    client,
  );
}
