import { kinds, nameOf, type Client, type ClientKey } from './client-key.js';
import { ClientTable, standing, type Standing } from './client-table.js';
import { RateCounters, type RateLimit } from './rates.js';

/** What a client can have too much of. Each may be left out, and then isn't counted. */
export interface GuardLimits {
  openConnections?: { limit: number } | undefined;
  newConnections?: RateLimit | undefined;
  errors?: RateLimit | undefined;
  requests?: RateLimit | undefined;
}

/** The limits' names, as refusals and events carry them. `ban` is no limit, but refuses as one. */
export type Trigger = 'open-connections' | 'new-connections' | 'errors' | 'requests' | 'ban';

/** What the guard has counted of one client: whole numbers, only those of triggers that are on. */
export type Readings = Partial<Record<Exclude<Trigger, 'ban'>, number>>;

export type GuardDecision =
  | { allowed: true }
  | {
      allowed: false;
      /** All that refuse, that with the longest wait first. */
      violated: [Trigger, ...Trigger[]];
      readings: Readings;
      /**
       * Milliseconds until a retry alone would pass, even on a new connection. At least 1,000 for open connections, which
       * end when the client ends them.
       */
      retryAfterMs: number;
    };

/** One client in the guard's table. */
export interface GuardRow {
  client: string;
  /** It comes through a trusted proxy (or is named by `client(req)`): its connections are its requests. */
  proxied: boolean;
  readings: Readings;
  /** The highest reading as a share of its limit; above 1 the client is refused. */
  load: number;
  /** Requests refused since the client was last new to the table. */
  refusals: number;
  /** Milliseconds until the ban is over, for a banned client. */
  bannedForMs?: number;
}

export interface GuardOptions extends GuardLimits {
  /** Clients remembered at once, at least 1; memory for them is reserved at once. */
  maxClients: number;
  /** Whether bans will be asked for, which takes 8 bytes a client more. */
  bans?: boolean;
  /** How long the network of an IPv6 client is, for its name in `table`. @default 64 */
  ipv6Subnet?: number;
  /** Called whenever something is let through uncounted, because every entry is in use. */
  onFull?: () => void;
}

const ALLOWED: GuardDecision = Object.freeze({ allowed: true });
const RETRY_OPEN_MS = 1_000;
const NAMES_KEPT = 1_000;

/**
 * The guard itself: events of clients in, decisions out. It knows neither sockets nor HTTP and takes the time with each
 * event (milliseconds of one clock that never runs backwards), so that recorded traffic can be played through it. It
 * counts what HAProxy's stick tables count, and decides as `http-request deny if { sc_…(0) gt LIMIT }` would.
 *
 * @example
 * const guard = new Guard({ requests: { limit: 100, windowMs: 10_000 }, maxClients: 100_000 });
 * const client = clientAt('203.0.113.9', { ipv6Subnet: 64, allow: [] }, false);
 * const counted = guard.connectionOpened(client, now);
 * if (!guard.requestArrived(client, now).allowed) …;
 * guard.responded(client, 404, now);
 * if (counted) guard.connectionClosed(client, now);
 */
export class Guard {
  readonly limits: GuardLimits;
  readonly #table: ClientTable;
  readonly #opened: RateCounters | undefined;
  readonly #errors: RateCounters | undefined;
  readonly #requests: RateCounters | undefined;
  readonly #rates: RateCounters[];
  readonly #open: Uint32Array;
  readonly #refusals: Uint32Array;
  readonly #bannedUntil: Float64Array | undefined;
  /** The names of refused clients whose key doesn't tell it, by entry. */
  readonly #names = new Map<number, string>();
  readonly #ipv6Subnet: number;
  readonly #onFull: (() => void) | undefined;
  #untracked = 0;

  constructor(options: GuardOptions) {
    const { maxClients } = options;
    this.limits = options;
    this.#ipv6Subnet = options.ipv6Subnet ?? 64;
    this.#onFull = options.onFull;
    const rate = (limit: RateLimit | undefined): RateCounters | undefined =>
      limit && new RateCounters(maxClients, limit.windowMs);
    this.#opened = rate(options.newConnections);
    this.#errors = rate(options.errors);
    this.#requests = rate(options.requests);
    this.#rates = [this.#opened, this.#errors, this.#requests].filter((counters) => counters !== undefined);
    this.#open = new Uint32Array(maxClients);
    this.#refusals = new Uint32Array(maxClients);
    this.#bannedUntil = options.bans ? new Float64Array(maxClients) : undefined;
    this.#table = new ClientTable(maxClients, {
      clear: (index) => this.#clear(index),
      isOver: (index, now) => this.#isOver(index, now),
    });
  }

  /** Bytes reserved for the table and its counters. */
  get bytes(): number {
    const own = [this.#open, this.#refusals, this.#bannedUntil];
    return [...this.#rates.map(({ bytes }) => bytes), ...own.map((array) => array?.byteLength ?? 0)].reduce(
      (sum, bytes) => sum + bytes,
      this.#table.bytes,
    );
  }

  /** How many clients are known now. */
  get clients(): number {
    return this.#table.size;
  }

  /** Connections and requests that found every entry of the table in use and were let through uncounted. */
  get untracked(): number {
    return this.#untracked;
  }

  /** How many connections of this client are open. */
  openConnections(client: ClientKey): number {
    const index = this.#table.find(client);
    return index < 0 ? 0 : this.#open[index]!;
  }

  /**
   * A connection was accepted; behind a proxy, a request began.
   *
   * @returns Whether it was counted. If so, and only then, `connectionClosed` must follow, once.
   */
  connectionOpened(client: ClientKey, now: number): boolean {
    const index = this.#claim(client, now);
    if (index < 0) return false;
    this.#open[index]! += 1;
    this.#opened?.add(index, now);
    // While a client has connections its entry stays, so that they are counted down where they were counted up.
    this.#table.place(index, standing.pinned);
    return true;
  }

  /** A connection that was counted is closed; behind a proxy, the request is over. */
  connectionClosed(client: ClientKey, now: number): void {
    const index = this.#table.find(client);
    if (index < 0 || this.#open[index] === 0) return;
    this.#open[index]! -= 1;
    if (this.#open[index] === 0) this.#table.place(index, this.#deserved(index, now));
  }

  /** A request arrived: counts it, then decides. Refused ones count too. */
  requestArrived(client: Client, now: number): GuardDecision {
    const index = this.#claim(client, now);
    if (index < 0) return ALLOWED;
    this.#requests?.add(index, now);
    if (this.#isWithin(index, now)) {
      if (this.#open[index] === 0) this.#table.place(index, standing.idle);
      return ALLOWED;
    }
    return this.#refuse(client, index, now);
  }

  /** A request that can't be understood, broke off in its head, or never came before its connection closed. */
  requestMalformed(client: ClientKey, now: number): void {
    const index = this.#claim(client, now);
    if (index < 0) return;
    this.#requests?.add(index, now);
    this.#errors?.add(index, now);
    this.#touch(index);
  }

  /** A request that nobody decides about: one that took too long to arrive, or that leaves HTTP (an upgrade). */
  requestUndecided(client: ClientKey, now: number): void {
    const index = this.#claim(client, now);
    if (index < 0) return;
    this.#requests?.add(index, now);
    this.#touch(index);
  }

  /** The application answered with this status: 4xx is an error. */
  responded(client: ClientKey, status: number, now: number): void {
    if (status >= 400 && status < 500) this.errorAnswered(client, now);
  }

  /** The application's answer is an error, whatever its status. */
  errorAnswered(client: ClientKey, now: number): void {
    const index = this.#errors === undefined ? -1 : this.#claim(client, now);
    if (index < 0) return;
    this.#errors!.add(index, now);
    this.#touch(index);
  }

  /** Refuses all of the client's requests until then; `until` of now or earlier lifts the ban. */
  ban(client: ClientKey, until: number, now: number): void {
    const index = until > now ? this.#claim(client, now) : this.#table.find(client);
    if (index < 0 || this.#bannedUntil === undefined) return;
    this.#bannedUntil[index] = until;
    if (this.#open[index] === 0) this.#table.place(index, this.#deserved(index, now));
  }

  /** Forgets everything but the connections that are open. */
  reset(): void {
    for (const counters of this.#rates) counters.clearAll();
    this.#refusals.fill(0);
    this.#bannedUntil?.fill(0);
    this.#names.clear();
  }

  /**
   * The `top` worst offenders, highest load first, banned ones before all. Reads the whole table: for operators, not for
   * each request.
   */
  table(now: number, top: number): GuardRow[] {
    const worst: { index: number; load: number }[] = [];
    for (let index = 0; index < this.#table.size; index += 1) {
      const load = this.#isBanned(index, now) ? Infinity : this.#loadOf(this.#readings(index, now));
      if (load > 0) worst.push({ index, load });
    }
    worst.sort((a, b) => b.load - a.load);
    return worst.slice(0, top).map(({ index }) => this.#row(index, now));
  }

  #row(index: number, now: number): GuardRow {
    const key = this.#table.keyOf(index);
    const readings = this.#readings(index, now);
    return {
      client: nameOf(key, this.#ipv6Subnet) ?? this.#names.get(index) ?? 'named',
      proxied: (key.kind & kinds.proxied) !== 0,
      readings,
      load: this.#loadOf(readings),
      refusals: this.#refusals[index]!,
      ...(this.#isBanned(index, now) ? { bannedForMs: this.#bannedUntil![index]! - now } : {}),
    };
  }

  #readings(index: number, now: number): Readings {
    const readings: Readings = {};
    if (this.limits.openConnections) readings['open-connections'] = this.#open[index]!;
    if (this.#opened) readings['new-connections'] = this.#opened.read(index, now);
    if (this.#errors) readings.errors = this.#errors.read(index, now);
    if (this.#requests) readings.requests = this.#requests.read(index, now);
    return readings;
  }

  #loadOf(readings: Readings): number {
    const { openConnections, newConnections, errors, requests } = this.limits;
    return Math.max(
      share(readings['open-connections'], openConnections),
      share(readings['new-connections'], newConnections),
      share(readings.errors, errors),
      share(readings.requests, requests),
    );
  }

  #claim(client: ClientKey, now: number): number {
    const index = this.#table.claim(client, now);
    if (index < 0) {
      this.#untracked += 1;
      this.#onFull?.();
    }
    return index;
  }

  #clear(index: number): void {
    for (const counters of this.#rates) counters.clear(index);
    this.#open[index] = 0;
    this.#refusals[index] = 0;
    if (this.#bannedUntil) this.#bannedUntil[index] = 0;
    if (this.#names.size > 0) this.#names.delete(index);
  }

  #isOver(index: number, now: number): boolean {
    if (this.#isBanned(index, now)) return false;
    for (const counters of this.#rates) if (!counters.isOver(index, now)) return false;
    return true;
  }

  #isBanned(index: number, now: number): boolean {
    return this.#bannedUntil !== undefined && this.#bannedUntil[index]! > now;
  }

  #isWithin(index: number, now: number): boolean {
    const { openConnections, newConnections, errors, requests } = this.limits;
    return (
      (requests === undefined || this.#requests!.read(index, now) <= requests.limit) &&
      (errors === undefined || this.#errors!.read(index, now) <= errors.limit) &&
      (newConnections === undefined || this.#opened!.read(index, now) <= newConnections.limit) &&
      (openConnections === undefined || this.#open[index]! <= openConnections.limit) &&
      !this.#isBanned(index, now)
    );
  }

  /** Where an entry without open connections belongs. */
  #deserved(index: number, now: number): Standing {
    if (this.#isBanned(index, now)) return standing.banned;
    return this.#isWithin(index, now) ? standing.idle : standing.refused;
  }

  /** Makes the entry the newest of its kind. Banned ones keep their order, which is that of their bans' ends. */
  #touch(index: number): void {
    const where = this.#table.standingOf(index);
    if (where !== standing.banned && where !== standing.pinned) this.#table.place(index, where);
  }

  #refuse(client: Client, index: number, now: number): GuardDecision {
    this.#refusals[index]! += 1;
    if ((client.kind & ~kinds.proxied) === kinds.named && this.#names.size < NAMES_KEPT) {
      this.#names.set(index, client.name);
    }
    if (this.#isBanned(index, now)) this.#touch(index);
    else if (this.#open[index] === 0) this.#table.place(index, standing.refused);
    const waits = this.#waits(index, now).sort((a, b) => b.waitMs - a.waitMs);
    const violated = waits.filter((wait) => wait.violated).map(({ trigger }) => trigger);
    return {
      allowed: false,
      violated: violated as [Trigger, ...Trigger[]],
      readings: this.#readings(index, now),
      retryAfterMs: waits[0]!.waitMs,
    };
  }

  /** How long each limit wants a retry to wait, those included that only the retry itself would exceed. */
  #waits(index: number, now: number): { trigger: Trigger; violated: boolean; waitMs: number }[] {
    const { openConnections, newConnections, errors, requests } = this.limits;
    const waits: { trigger: Trigger; violated: boolean; waitMs: number }[] = [];
    const add = (trigger: Trigger, violated: boolean, waitMs: number): void => {
      if (waitMs > 0) waits.push({ trigger, violated, waitMs });
    };
    const addRate = (trigger: Trigger, rate: RateLimit, counters: RateCounters, retryCounts: 0 | 1): void =>
      add(
        trigger,
        counters.read(index, now) > rate.limit,
        counters.waitUntilWithin(rate.limit, retryCounts, index, now),
      );
    if (this.#isBanned(index, now)) add('ban', true, this.#bannedUntil![index]! - now);
    // The retry is a request itself, and may come on a new connection.
    if (requests) addRate('requests', requests, this.#requests!, 1);
    if (errors) addRate('errors', errors, this.#errors!, 0);
    if (newConnections) addRate('new-connections', newConnections, this.#opened!, 1);
    if (openConnections && this.#open[index]! > openConnections.limit)
      add('open-connections', true, RETRY_OPEN_MS);
    return waits;
  }
}

const share = (reading: number | undefined, limit: { limit: number } | undefined): number =>
  reading === undefined || limit === undefined || reading === 0 ? 0 : reading / Math.max(limit.limit, 0.5);
