import { StoreError } from '../../errors.js';
import { withTimeout } from '../timeout.js';
import type { RedisConnection } from './connection.js';
import * as scripts from './scripts.js';
import type { Script } from './scripts.js';

/** How data is laid out, and the key that says so. */
interface Layout {
  key: string;
  value: string;
}

/**
 * Runs scripts: by their hash, with their source where the server has forgotten it, each within the timeout, every failure
 * a `StoreError`. Before the first one it makes sure that the data is laid out as this process expects.
 */
export class ScriptRunner {
  #layout: Promise<void> | undefined;
  #checked = false;
  /** Scripts that the server has run. */
  readonly #loaded = new Set<string>();

  constructor(
    readonly connection: RedisConnection,
    readonly layout: Layout,
    readonly timeoutMs: number,
  ) {}

  run(script: Script, keys: string[], args: string[]): Promise<unknown> {
    return this.guard(
      () =>
        this.#checked
          ? this.#evaluate(script, keys, args)
          : this.#checkLayout().then(() => this.#evaluate(script, keys, args)),
      this.timeoutMs,
    );
  }

  /** What the operation gives, within the timeout. @throws {StoreError} */
  async guard<T>(operation: () => Promise<T>, timeoutMs: number): Promise<T> {
    try {
      return await withTimeout(
        operation(),
        timeoutMs,
        () => new StoreError('STORE_UNAVAILABLE', `Redis did not answer in ${timeoutMs} ms`),
      );
    } catch (cause) {
      if (cause instanceof StoreError) throw cause;
      const message = cause instanceof Error ? cause.message : String(cause);
      const code = message.startsWith('OOM ') ? 'STORE_FULL' : 'STORE_UNAVAILABLE';
      throw new StoreError(code, `Redis failed: ${message}`, { cause });
    }
  }

  async #evaluate({ sha, source }: Script, keys: string[], args: string[]): Promise<unknown> {
    try {
      const reply = await this.connection.evalSha(sha, keys, args);
      this.#loaded.add(sha);
      return reply;
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      // It did not run. A server that had it was restarted, flushed or replaced, so that its data may be another's.
      if (this.#loaded.delete(sha)) this.#checked = false;
      return this.connection.eval(source, keys, args);
    }
  }

  /** One call for all that wait for it; again after it failed, and after the server was found to have lost its scripts. */
  #checkLayout(): Promise<void> {
    this.#layout ??= this.#readLayout().finally(() => (this.#layout = undefined));
    return this.#layout;
  }

  async #readLayout(): Promise<void> {
    const { key, value } = this.layout;
    // With a timeout of its own: a client that never settles one call must not block all later ones.
    const stored = await this.guard(() => this.#evaluate(scripts.layout, [key], [value]), this.timeoutMs);
    if (stored !== value) {
      throw new StoreError(
        'STORE_LAYOUT_MISMATCH',
        `The data under this prefix is laid out as ${String(stored)}, this process expects ${value}`,
      );
    }
    this.#checked = true;
  }
}
