import { ManualClock } from '../../../lib/clock.js';
import { MemoryStore } from '../../../lib/stores/memory/memory-store.js';
import { storeContract } from '../../../lib/testing/index.js';

describe('MemoryStore', () => {
  storeContract({
    make: () => {
      const clock = new ManualClock();
      const store = new MemoryStore({ clock });
      return { store, advance: (ms) => clock.advance(ms), dispose: () => store.close() };
    },
  });
});
