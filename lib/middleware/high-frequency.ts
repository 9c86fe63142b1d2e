import type { Server } from 'node:http';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { JobLimitsError, type ErrorCode } from '../errors.js';
import { countBans, type Bans, type BanSettings } from '../guard/bans.js';
import { clientAt, clientNamed, type Client } from '../guard/client-key.js';
import { watchConnections, watchRequests, type ConnectionListener } from '../guard/connections.js';
import { Guard, type GuardDecision, type GuardRow } from '../guard/guard.js';
import { clientResolver } from '../http/client-address.js';
import { onAnswered } from '../http/response-status.js';
import { sendRefusal } from '../http/send-refusal.js';
import { having } from '../options.js';
import { guardAnswers, guardRefusal } from './high-frequency-answer.js';
import {
  highFrequencySettings,
  type HighFrequencyOptions,
  type HighFrequencySettings,
} from './high-frequency-options.js';

/** What operators see and do of the guard. */
export interface GuardControl {
  /** The worst offenders, highest load first. Reads the whole table: not for every request. @param top @default 20 */
  table(top?: number): GuardRow[];
  /** How many clients are known now. */
  readonly clients: number;
  /** How many can be known at once. */
  readonly maxClients: number;
  /** Bytes reserved for the table. */
  readonly bytes: number;
  /** Connections and requests let through uncounted, because every entry of the table had open connections. */
  readonly untracked: number;
  /** Lifts the ban of a client, named as in `table()`. Other processes that know the ban keep it until it ends. */
  unban(client: string): Promise<void>;
}

/** The middleware, and what belongs to it. */
export interface HighFrequency extends RequestHandler {
  readonly guard: GuardControl;
  /**
   * Watches the connections of a server of `node:http` or `node:https`; of several, if called for each. Best before
   * `listen`: what was opened earlier isn't known.
   *
   * @throws {ConfigError} `CONFIG_INVALID_OPTION` when it is no server.
   */
  attach(server: Server): void;
  /** Forgets all counts and bans of this process, for tests. Open connections stay counted: they are open. */
  reset(): void;
}

type Refused = Extract<GuardDecision, { allowed: false }>;
type Warn = (code: ErrorCode, message: string) => void;

/**
 * Refuses clients that come too fast, before anything else looks at their requests: too many open connections, new
 * connections, errors or requests, counted as HAProxy's stick tables count them. Mount it first, and once: it counts a request each time it is passed.
 *
 * @example
 * const guard = highFrequency({
 *   openConnections: { limit: 50 },
 *   newConnections: { limit: 100, window: '10s' },
 *   errors: { limit: 50, window: '10s' },
 *   requests: { limit: 200, window: '10s' },
 * });
 * app.use(guard);
 * const server = createServer(app);
 * guard.attach(server);
 * server.listen(3000);
 *
 * @throws {ConfigError} For an option that is unknown, missing or wrong.
 */
export function highFrequency(options: HighFrequencyOptions): HighFrequency {
  const settings = highFrequencySettings(options);
  const { clock, emit, limits, enforced, skip } = settings;
  const answers = guardAnswers(settings);
  const warn = warnOnce(settings);
  const isError = errorRule(settings, warn);
  const guard = new Guard({
    ...limits,
    maxClients: settings.maxClients,
    ipv6Subnet: settings.ipv6Subnet,
    bans: settings.ban !== undefined,
    onFull: () =>
      warn(
        'GUARD_TABLE_FULL',
        'every entry of the table has open connections: raise maxClients, clients go uncounted',
      ),
  });
  const clients = clientResolver({ ...settings, warn });
  const watch = watchConnections(connectionListener(guard, clients.at, settings));
  const untilOver = watchRequests();
  const bans = settings.ban && bansOf(guard, settings.ban, settings, warn);
  const countsConnections = limits.openConnections !== undefined || limits.newConnections !== undefined;

  function noteConnection(req: Request, res: Response, client: Client): void {
    if (client.proxied) {
      // As HAProxy does where it takes the client from a header: its connections are unknown, its requests stand for them.
      if (countsConnections && guard.connectionOpened(client, clock.now())) {
        untilOver(req, res, () => guard.connectionClosed(client, clock.now()));
      }
      return;
    }
    const missed = watch.adopt(req);
    if (missed) tellLateness(missed, warn);
  }

  function noteRefusal(req: Request, client: Client, decision: Refused): void {
    emit('high-frequency', { client: client.name, decision, mode: enforced ? 'enforce' : 'shadow', req });
    if (!enforced) return;
    if (settings.countRefusalsAsErrors) guard.errorAnswered(client, clock.now());
    if (!decision.violated.includes('ban')) bans?.refused(client);
  }

  /** The refusal of this request, if it is refused. */
  function check(req: Request, res: Response): Refused | undefined {
    if (skip?.(req)) return undefined;
    const client = clients.of(req);
    if (client.allowed) return undefined;
    noteConnection(req, res, client);
    const decision = guard.requestArrived(client, clock.now());
    if (!decision.allowed) {
      noteRefusal(req, client, decision);
      if (enforced) return decision;
    }
    if (limits.errors) {
      onAnswered(res, () => {
        if (!brokeOff(req) && isError(req, res)) guard.errorAnswered(client, clock.now());
      });
    }
    return undefined;
  }

  function highFrequencyGuard(req: Request, res: Response, next: NextFunction): void {
    let refused: Refused | undefined;
    try {
      refused = check(req, res);
    } catch (error) {
      next(error);
      return;
    }
    if (refused === undefined) next();
    else
      sendRefusal(guardRefusal(refused, settings.message, answers.maxWait), answers, clock, req, res, next);
  }

  return Object.assign(highFrequencyGuard, {
    guard: control(guard, bans, settings),
    attach(server: Server): void {
      having<Server>(
        'a server of node:http or node:https',
        'on',
        'listenerCount',
        'getConnections',
      )(server, 'attach(server)');
      // A client that the application names is known by its requests alone.
      if (settings.client === undefined) watch.attach(server);
    },
    reset(): void {
      guard.reset();
      bans?.reset();
    },
  });
}

const isClientError = (_req: Request, res: Response): boolean =>
  res.statusCode >= 400 && res.statusCode < 500;

/** What counts as an error: the application's own rule, or 4xx. The rule runs where nobody could catch its error. */
function errorRule({ isError }: HighFrequencySettings, warn: Warn): (req: Request, res: Response) => boolean {
  if (isError === undefined) return isClientError;
  return (req, res) => {
    try {
      return isError(req, res);
    } catch (error) {
      warn('GUARD_IS_ERROR_FAILED', `errors.isError(req, res) threw, 4xx counts instead: ${String(error)}`);
      return isClientError(req, res);
    }
  };
}

/** The client left in the midst of sending: what the application answers then is no answer to a request. */
const brokeOff = (req: Request): boolean => req.errored !== null && !req.complete;

function connectionListener(
  guard: Guard,
  clientOf: (address: string | undefined) => Client | undefined,
  { clock }: HighFrequencySettings,
): ConnectionListener {
  const nothing = (): void => {};
  const counted = (address: string | undefined): Client | undefined => {
    const client = clientOf(address);
    return client?.allowed ? undefined : client;
  };
  return {
    opened(address) {
      const client = counted(address);
      if (client === undefined || !guard.connectionOpened(client, clock.now())) return nothing;
      return () => guard.connectionClosed(client, clock.now());
    },
    malformed(address) {
      const client = counted(address);
      if (client) guard.requestMalformed(client, clock.now());
    },
    undecided(address) {
      const client = counted(address);
      if (client) guard.requestUndecided(client, clock.now());
    },
  };
}

function bansOf(
  guard: Guard,
  settings: BanSettings,
  { clock, emit }: HighFrequencySettings,
  warn: Warn,
): Bans {
  return countBans(settings, {
    banned(client, forMs, began) {
      const now = clock.now();
      guard.ban(client, now + forMs, now);
      emit('ban', { client: client.name, forMs, began });
    },
    failed(error) {
      warn(
        'GUARD_BAN_NOT_SHARED',
        `the limiter of bans failed, refusals are counted in this process: ${String(error)}`,
      );
      emit('store-error', { operation: 'ban', error });
    },
  });
}

function control(
  guard: Guard,
  bans: Bans | undefined,
  { clock, ipv6Subnet, maxClients }: HighFrequencySettings,
): GuardControl {
  return {
    maxClients,
    table: (top = 20) => guard.table(clock.now(), top),
    get clients() {
      return guard.clients;
    },
    get bytes() {
      return guard.bytes;
    },
    get untracked() {
      return guard.untracked;
    },
    async unban(name) {
      const now = clock.now();
      const rules = { ipv6Subnet, allow: [] };
      const address = name.replace(/\/\d+$/, '');
      for (const client of [
        clientAt(address, rules, false),
        clientAt(address, rules, true),
        clientNamed(name),
      ]) {
        guard.ban(client, now, now);
      }
      await bans?.lift(name);
    },
  };
}

function tellLateness(server: Server, warn: Warn): void {
  server.getConnections((error, count) => {
    if (error || count <= 1) return;
    warn(
      'GUARD_ATTACHED_LATE',
      `connections that were open before the guard saw its first request, and that are not counted until they send ` +
        `one: ${count - 1}. Call attach(server) before listen`,
    );
  });
}

/** Reports what is wrong with the installation: each code once, to the process and to the listener. */
function warnOnce({ emit }: HighFrequencySettings): Warn {
  const told = new Set<ErrorCode>();
  return (code, message) => {
    if (told.has(code)) return;
    told.add(code);
    process.emitWarning(new JobLimitsError(code, message).message, { type: 'JobLimitsWarning', code });
    emit('warning', { code, message });
  };
}
