import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Refusal } from '../decision.js';
import { bodyOf, putBodyBack } from './body.js';
import { awaitsContinue } from './expect.js';
import { FairReader } from './fair-reading.js';
import { fileTooLarge, malformedBody, requestTooLarge, uploadTimeout } from './refusals.js';

/** What a body may be. Bytes and milliseconds; `Infinity` for no limit. */
export interface TapLimits {
  /** Bytes as they come over the wire. */
  maxRequest: number;
  /** Bytes of the content, after `Content-Encoding`. */
  maxContent: number;
  idleMs: number;
}

/** Told about the rest of a body that nobody wants any more. */
export interface RestWatcher {
  bytes(count: number): void;
  end(): void;
}

type Decoder = Transform;

/** Inflating in pieces of 256 KiB is twice as fast as in Node's 16. */
const DECODED_CHUNK = 256 * 1024;

const decoders: Record<string, () => Decoder> = {
  gzip: () => createGunzip({ chunkSize: DECODED_CHUNK }),
  deflate: () => createInflate({ chunkSize: DECODED_CHUNK }),
  br: () => createBrotliDecompress({ chunkSize: DECODED_CHUNK }),
};

/** The content codings that can be counted. */
export const knownEncodings = Object.keys(decoders);

/** A body moves when this much of it came: a byte now and then holds a connection open without ever getting done. */
const PROGRESS = 1024;

/**
 * Counts a body on its way into the request, by standing in front of `req.push`: what reads the request (a parser, a
 * pipe, the handler) reads the real one and notices nothing, and never gets a byte past the limit.
 */
export class BodyTap {
  readonly #req: IncomingMessage;
  readonly #limits: TapLimits;
  readonly #stop: (refusal: Refusal) => void;
  readonly #push: IncomingMessage['push'];
  readonly #read: IncomingMessage['_read'];
  readonly #share = new FairReader(() => this.#resume());
  /** Whether this turn's share of the event loop is used up. */
  #waits = false;
  /** Whether the reader wants more, or nobody is there to say so. */
  #wanted = false;
  #decoder: Decoder | undefined;
  #undecoded = 0;
  #wire = 0;
  #content = 0;
  #sinceProgress = 0;
  #idle: NodeJS.Timeout | undefined;
  #rest: RestWatcher | undefined;
  #severed = false;
  #ended = false;
  /** Goes on without what is still being decoded. */
  #giveUp: (() => void) | undefined;

  /** @param stop Called at most once, when the body must not be read further. The tap is severed then. */
  constructor(req: IncomingMessage, limits: TapLimits, stop: (refusal: Refusal) => void) {
    this.#req = req;
    this.#limits = limits;
    this.#stop = stop;
    this.#push = req.push.bind(req);
    this.#read = req._read.bind(req);
  }

  /** Starts to count. When it resolves, what had arrived before is counted too, or the request is over. */
  async start(): Promise<void> {
    const req = this.#req;
    const encoding = (req.headers['content-encoding'] ?? 'identity').toLowerCase();
    this.#decoder = decoders[encoding]?.();
    req.push = (chunk: Buffer | null) => this.#take(chunk);
    req._read = (size) => {
      if (this.#waits) this.#wanted = true;
      else this.#read(size);
    };
    req.once('close', this.release);
    this.#idle = setTimeout(() => this.#stalled(), this.#limits.idleMs).unref();
    if (req.complete) this.#end();
    if (this.#decoder !== undefined) await this.#decodeEarlier(this.#decoder);
    else if (req.readableLength > 0) this.#count(req.readableLength);
  }

  /** Nothing more reaches the reader from now on, not even the end, which it would take for a complete body. */
  sever(): void {
    this.#severed = true;
    clearTimeout(this.#idle);
    this.#decoder?.removeAllListeners('data').destroy();
  }

  /** Lets the rest of a severed body come in, for nobody. */
  readonly drain = (watcher: RestWatcher): (() => void) => {
    this.#rest = watcher;
    if (this.#ended) process.nextTick(() => watcher.end());
    // A reader that was slow may have stopped the socket; this is how a stream asks for more.
    else this.#req._read(0);
    return () => (this.#rest = undefined);
  };

  /** Stops counting; the body is nobody's concern any more. */
  readonly release = (): void => {
    clearTimeout(this.#idle);
    this.#share.leave();
    this.#resume();
    this.#req.off('close', this.release);
    if (!this.#severed) this.#decoder?.removeAllListeners('data').destroy();
    if (!this.#req.complete) this.#rest?.end();
    this.#giveUp?.();
  };

  #take(chunk: Buffer | null): boolean {
    const room = this.#takeOn(chunk);
    if (chunk === null || !this.#share.take(chunk.length)) return room;
    this.#waits = true;
    this.#wanted ||= room;
    return false;
  }

  #resume(): void {
    this.#waits = false;
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#read(0);
  }

  #takeOn(chunk: Buffer | null): boolean {
    if (chunk === null) this.#end();
    if (this.#severed) {
      if (chunk === null) this.#rest?.end();
      else this.#rest?.bytes(chunk.length);
      return true;
    }
    if (this.#decoder !== undefined) return this.#decode(this.#decoder, chunk);
    if (chunk !== null && !this.#count(chunk.length)) return true;
    return this.#push(chunk);
  }

  /** Counts bytes of the wire, which are the content's too where there is no coding. False when that is too many. */
  #count(bytes: number): boolean {
    this.#wire += bytes;
    this.#sinceProgress += bytes;
    if (this.#sinceProgress >= PROGRESS) {
      this.#sinceProgress = 0;
      this.#idle?.refresh();
    }
    if (this.#wire > this.#limits.maxRequest) return this.#fail(requestTooLarge(this.#limits.maxRequest));
    if (this.#decoder === undefined && this.#wire > this.#limits.maxContent) {
      return this.#fail(fileTooLarge(this.#limits.maxContent));
    }
    return true;
  }

  /** Holds a chunk back until all that it decodes to has been counted. */
  #decode(decoder: Decoder, chunk: Buffer | null): boolean {
    if (chunk === null) {
      decoder.once('end', () => this.#pass(null)).end();
      return false;
    }
    if (!this.#count(chunk.length)) return true;
    this.#undecoded += 1;
    decoder.write(chunk, () => {
      this.#undecoded -= 1;
      this.#pass(chunk);
    });
    return false;
  }

  #pass(chunk: Buffer | null): void {
    if (this.#severed) return;
    if (this.#push(chunk) && this.#undecoded === 0 && !this.#ended) this.#req._read(0);
  }

  /** What came before we did is decoded first, and put back as it was. */
  #decodeEarlier(decoder: Decoder): Promise<void> {
    const req = this.#req;
    return new Promise((resolve) => {
      this.#giveUp = resolve;
      decoder.on('data', (decoded: Buffer) => {
        this.#content += decoded.length;
        if (this.#content > this.#limits.maxContent) {
          this.#fail(fileTooLarge(this.#limits.maxContent));
          resolve();
        }
      });
      decoder.on('error', (error) => {
        if (!this.#severed) this.#fail(malformedBody(error.message));
        resolve();
      });
      const earlier = req.readableLength > 0 ? (req.read(req.readableLength) as Buffer) : undefined;
      if (earlier === undefined) return resolve();
      const back = (): void => {
        putBodyBack(req, [earlier]);
        resolve();
      };
      if (!this.#count(earlier.length)) return back();
      if (req.complete) decoder.once('end', back).end(earlier);
      else decoder.write(earlier, back);
    });
  }

  #end(): void {
    this.#ended = true;
    clearTimeout(this.#idle);
  }

  #stalled(): void {
    const req = this.#req;
    // The client can't send while it waits for our 100, or while the reader is slower than it is.
    const ours =
      awaitsContinue(req) ||
      this.#waits ||
      this.#undecoded > 0 ||
      req.readableLength >= req.readableHighWaterMark;
    if (ours) this.#idle?.refresh();
    else if (bodyOf(req) !== 'aborted') this.#fail(uploadTimeout(this.#limits.idleMs));
  }

  #fail(refusal: Refusal): false {
    if (this.#severed) return false;
    this.sever();
    this.#stop(refusal);
    return false;
  }
}
