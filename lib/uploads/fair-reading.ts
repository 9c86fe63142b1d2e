/** What all uploads together may take in one turn of the event loop: a few milliseconds of work. */
const TURN_BYTES = 2 * 1024 * 1024;

/** What each may take, however many there are: one read of Node's. */
const LEAST_SHARE = 64 * 1024;

const readers = new Set<FairReader>();
const waiting = new Set<FairReader>();
let turn = 0;
let turnEnds: NodeJS.Immediate | undefined;

function nextTurn(): void {
  turn += 1;
  turnEnds = undefined;
  const all = [...waiting];
  waiting.clear();
  for (const reader of all) reader.resume();
}

/**
 * One upload's share of the event loop. Node reads up to 2 MiB from a connection before it looks at the next one, so
 * that fifty fast uploads keep everything else waiting for half a second; with shares it is a few milliseconds. A single
 * upload is not slowed down.
 */
export class FairReader {
  #turn = -1;
  #taken = 0;

  /** @param resume Called in the next turn, after `take` said that this one's share is used up. */
  constructor(readonly resume: () => void) {
    readers.add(this);
  }

  /** Counts what came. Whether the rest has to wait for the next turn. */
  take(bytes: number): boolean {
    turnEnds ??= setImmediate(nextTurn);
    this.#taken = (this.#turn === turn ? this.#taken : 0) + bytes;
    this.#turn = turn;
    const usedUp = this.#taken >= Math.max(LEAST_SHARE, TURN_BYTES / readers.size);
    if (usedUp) waiting.add(this);
    return usedUp;
  }

  /** This upload is over; the others' shares grow. */
  leave(): void {
    readers.delete(this);
    waiting.delete(this);
  }
}
