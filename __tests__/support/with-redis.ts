import { requireProgram } from './services.js';

/** `describe` where redis-server is installed, else `describe.skip`. */
export const describeWithRedis = requireProgram('redis-server') ? describe : describe.skip;
