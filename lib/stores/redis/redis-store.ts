import type { RateLimiterAbstract } from 'rate-limiter-flexible';
import { StoreError } from '../../errors.js';
import { boolean, checkOptions, count, duration, func, text, withDefault } from '../../options.js';
import type { Duration } from '../../units.js';
import type {
  AdmitRequest,
  Claim,
  Decision,
  JobRef,
  Limit,
  LimiterOptions,
  LimitStore,
  Outcome,
  Override,
  StoredJob,
  StoreEvent,
  Terms,
  Usage,
} from '../store.js';
import { connect } from './connect.js';
import type { RedisConnection } from './connection.js';
import { decodeDecision, decodeStates } from './decisions.js';
import { decodeJob, encodeAmounts, encodeEnd, encodeLimits, encodeTerms } from './encoding.js';
import type { IoredisClient } from './ioredis.js';
import { Keys, SCHEMA } from './keys.js';
import { redisLimiter } from './limiter.js';
import type { NodeRedisClient } from './node-redis.js';
import { decodeOverride, Overrides } from './overrides.js';
import { RefusalCache } from './refusal-cache.js';
import { ScriptRunner } from './script-runner.js';
import * as scripts from './scripts.js';
import type { Script } from './scripts.js';
import { Sweeping } from './sweeping.js';

/** The most kept jobs that `usage` shows. */
const MOST_KEPT = 1_000;
const UNSWEPT = 'they expired 30 days ago and nobody swept them';

export interface RedisStoreOptions {
  /**
   * A connected client of ioredis (`Redis`, `Cluster`) or of redis (`createClient`, `createCluster`). It stays yours: the
   * store opens and closes nothing, and listens to none of its events.
   */
  client: IoredisClient | NodeRedisClient;
  /** Begins every key; apps that share a Redis need one each. @default 'job-limits' */
  prefix?: string;
  /**
   * Over how many hash tags customers are spread, and so over how many places of a Cluster. The same in every process;
   * can't be changed while there is data. 1 to 16384. @default 64
   */
  shards?: number;
  /** The longest that a call waits for Redis before it throws `STORE_UNAVAILABLE`. Milliseconds or `'500ms'`. @default 1000 */
  timeoutMs?: Duration;
  /**
   * Whether a customer that was just refused is told so again for up to a second without asking Redis, so that hammering
   * costs one command a second a process. Jobs with ids that clients choose are always asked for. @default true
   */
  refusalCache?: boolean;
  /** @internal Added to the server's time, so that tests need not wait. */
  timeOffsetMs?: () => number;
}

/**
 * Limits counted in Redis (6.2 and later), Valkey or a Redis Cluster, for any number of processes. Every operation but a
 * sweeper's is one script, so one command and one round trip, and goes by the server's clock. Every key expires but overrides
 * and one that says how the data is laid out.
 *
 * @example
 * const store = new RedisStore({ client: new Redis(process.env.REDIS_URL) });
 * const limits = jobLimits({ store, … });
 *
 * @throws {ConfigError} `CONFIG_MISSING_OPTION`, `CONFIG_INVALID_OPTION`, `CONFIG_UNKNOWN_OPTION`
 */
export class RedisStore implements LimitStore {
  readonly shards: number;
  readonly #connection: RedisConnection;
  readonly #keys: Keys;
  readonly #runner: ScriptRunner;
  readonly #timeoutMs: number;
  readonly #offset: () => number;
  readonly #refusals: RefusalCache | undefined;
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  readonly #sweeping: Sweeping;
  readonly #overrides: Overrides;
  #closed = false;

  constructor(options: RedisStoreOptions) {
    const { client, prefix, shards, timeoutMs, refusalCache, timeOffsetMs } = checkOptions(
      'RedisStore',
      options,
      {
        client: connect,
        prefix: withDefault(text, 'job-limits'),
        shards: withDefault(count({ min: 1, max: 16_384 }), 64),
        timeoutMs: withDefault(duration({ min: 1 }), 1_000),
        refusalCache: withDefault(boolean, true),
        timeOffsetMs: withDefault(func<() => number>(), () => 0),
      },
    );
    this.#connection = client;
    this.shards = shards;
    this.#keys = new Keys(prefix, shards);
    this.#timeoutMs = timeoutMs;
    this.#offset = timeOffsetMs;
    this.#refusals = refusalCache ? new RefusalCache() : undefined;
    const layout = { key: this.#keys.layout, value: JSON.stringify({ schema: SCHEMA, shards }) };
    this.#runner = new ScriptRunner(client, layout, timeoutMs);
    const runs = {
      keys: this.#keys,
      run: (...args: Parameters<ScriptRunner['run']>) => this.#run(...args),
    };
    this.#overrides = new Overrides(runs);
    this.#sweeping = new Sweeping({
      ...runs,
      tell: (customer, found) => this.#tell(customer, found),
      emit: (event) => this.#emit(event),
      now: () => performance.now() + this.#offset(),
    });
  }

  async admit(request: AdmitRequest): Promise<Decision> {
    const { ref, run, terms, amounts } = request;
    const encoded = encodeTerms(terms);
    const amountsJson = amounts === undefined ? '' : JSON.stringify(amounts);
    // A job whose id the client chose may exist already, whatever the limits say.
    const cache = run === ref.id && request.adopt !== true && !this.#closed ? this.#refusals : undefined;
    const asked = encoded.ref + amountsJson;
    const known = cache?.get(ref.customer, asked, performance.now());
    if (known !== undefined) return known;
    const keys = this.#keys.ofCustomer(ref.customer);
    const { ref: termsRef, json, maxRun } = encoded;
    const adopt = request.adopt === true ? '1' : '';
    const reply = (await this.#run(
      scripts.admit,
      [...keys.all, keys.overrides, ...keys.logs(terms.limits)],
      [
        ref.id,
        run,
        termsRef,
        json,
        String(terms.pendingMs),
        adopt,
        maxRun,
        amountsJson,
        ...encodeAmounts(encoded, request),
      ],
    )) as unknown[];
    this.#tell(ref.customer, reply[1]);
    const decision = decodeDecision(request, reply);
    cache?.set(ref.customer, asked, decision, performance.now());
    return decision;
  }

  commit(ref: JobRef, run?: string): ReturnType<LimitStore['commit']> {
    return this.#onJob(scripts.commit, ref, run === undefined ? ['', ''] : ['1', run]);
  }

  refund(ref: JobRef, run: string): ReturnType<LimitStore['refund']> {
    return this.#onJob(scripts.refund, ref, [run]);
  }

  renew(ref: JobRef): ReturnType<LimitStore['renew']> {
    return this.#onJob(scripts.renew, ref, []);
  }

  finish(ref: JobRef, { state, units, retention }: Outcome): ReturnType<LimitStore['finish']> {
    const times = retention ? [String(retention.resultsMs), String(retention.metadataMs)] : ['', ''];
    const used = units === undefined ? '' : JSON.stringify(units);
    const asks = this.#sweeping.asks() ? '1' : '';
    return this.#onJob(scripts.finish, ref, [encodeEnd(state), ...times, used, asks]);
  }

  async job(ref: JobRef): Promise<StoredJob | undefined> {
    const found = await this.#onJob<unknown>(scripts.job, ref, []);
    return found === '' ? undefined : decodeJob(ref.customer, found as unknown[]);
  }

  async usage(customer: string, limits: readonly Limit[], kept = 0): Promise<Usage> {
    const keys = this.#keys.ofCustomer(customer);
    const [lapsed, stored, running, keptJobs, ...rows] = (await this.#run(
      scripts.usage,
      [...keys.all, keys.overrides, ...keys.logs(limits)],
      [encodeLimits(limits).json, String(Math.min(kept, MOST_KEPT))],
    )) as unknown[];
    this.#tell(customer, lapsed);
    const override = decodeOverride(String(stored));
    return {
      limits: decodeStates(limits, override, rows),
      kept: (keptJobs as unknown[][]).map((job) => decodeJob(customer, job)),
      running: (running as unknown[][])
        .map((job) => decodeJob(customer, job))
        .sort((a, b) => a.admittedAt - b.admittedAt),
      ...(override && { override }),
    };
  }

  async reconcile(
    customer: string,
    runningIds: readonly string[],
    terms: Terms,
    graceMs: number,
  ): ReturnType<LimitStore['reconcile']> {
    const keys = this.#keys.ofCustomer(customer);
    const { ref, json } = encodeTerms(terms);
    const [lapsed, finished, restored] = (await this.#run(
      scripts.reconcile,
      [...keys.all, keys.overrides],
      [String(graceMs), ref, json, ...runningIds],
    )) as [unknown, string[], string[]];
    this.#tell(customer, lapsed);
    this.#refusals?.forget(customer);
    return { finished, restored };
  }

  claim(request: Parameters<LimitStore['claim']>[0]): Promise<Claim[]> {
    return this.#sweeping.claim(request);
  }

  confirm(claims: readonly Claim[]): Promise<number> {
    return this.#sweeping.confirm(claims);
  }

  postpone(claim: Claim, afterMs: number | null): Promise<void> {
    return this.#sweeping.postpone(claim, afterMs);
  }

  pin(ref: JobRef, reason: string): ReturnType<LimitStore['pin']> {
    return this.#onJob(scripts.pin, ref, [reason]);
  }

  unpin(ref: JobRef): ReturnType<LimitStore['unpin']> {
    return this.#onJob(scripts.unpin, ref, []);
  }

  extend(ref: JobRef, to: number): ReturnType<LimitStore['extend']> {
    return this.#onJob(scripts.extend, ref, [String(to)]);
  }

  expireNow(ref: JobRef, force = false): ReturnType<LimitStore['expireNow']> {
    return this.#onJob(scripts.expireNow, ref, [force ? '1' : '']);
  }

  async setOverride(customer: string, override: Override | null): Promise<void> {
    await this.#overrides.set(customer, override);
    this.#refusals?.forget(customer);
  }

  override(customer: string): Promise<Override | null> {
    return this.#overrides.get(customer);
  }

  overrides(): ReturnType<LimitStore['overrides']> {
    return this.#overrides.all();
  }

  limiter(options: LimiterOptions): RateLimiterAbstract {
    return redisLimiter(this.#connection, this.#keys.prefix, options, this.#timeoutMs);
  }

  subscribe(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Deletes the keys of customers under this store's prefix, and no others. */
  async clear(): Promise<void> {
    this.#refusals?.clear();
    await this.#runner.guard(() => this.#connection.deleteMatching(this.#keys.pattern), 60_000);
  }

  /** The client is yours to close. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#refusals?.clear();
  }

  /** Names the node that keeps this customer: customers of one node are out of reach together. */
  partitionOf(customer: string): string {
    return this.#connection.nodeOf(this.#keys.slotOf(customer));
  }

  async #onJob<T>(script: Script, ref: JobRef, args: string[]): Promise<T> {
    const { all } = this.#keys.ofCustomer(ref.customer);
    const reply = await this.#run(script, all, [ref.id, ...args]);
    const [answer, found, waiting] = reply as [T, unknown, ([string, string] | [])?];
    this.#tell(ref.customer, found);
    // What this process does may make room for the customer at once; what others do, within a second.
    if (answer === 'finished' || answer === 'unsettled' || answer === 'refunded')
      this.#refusals?.forget(ref.customer);
    // That nobody sweeps is no failure of this operation, nor is it that this can't be found out.
    if (waiting?.length) await this.#sweeping.look(waiting).catch(() => undefined);
    return answer;
  }

  #run(script: Script, keys: string[], args: string[]): Promise<unknown> {
    this.#assertOpen();
    return this.#runner.run(script, keys, [String(this.#offset()), ...args]);
  }

  #assertOpen(): void {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'The store is closed');
  }

  /** Ids of jobs that lapsed, and how many records were dropped. */
  #tell(customer: string, found: unknown): void {
    for (const one of found as (string | number)[]) {
      if (typeof one === 'string') this.#emit({ type: 'lapsed', ref: { customer, id: one } });
      else this.#emit({ type: 'records-dropped', count: one, reason: UNSWEPT });
    }
  }

  #emit(event: StoreEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
