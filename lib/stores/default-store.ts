import { MemoryStore } from './memory/memory-store.js';
import type { LimitStore } from './store.js';

let store: LimitStore | undefined;

/** The store of middlewares that are used alone and were given none: one for the process, so that they compose. */
export const defaultStore = (): LimitStore => (store ??= new MemoryStore());
