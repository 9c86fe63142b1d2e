import { ManualClock } from '../../../lib/clock.js';
import { FailoverStore } from '../../../lib/stores/failover/failover-store.js';
import { MemoryStore } from '../../../lib/stores/memory/memory-store.js';
import { storeContract } from '../../../lib/testing/index.js';

describe('FailoverStore over a store that answers', () => {
  storeContract({
    make: () => {
      const clock = new ManualClock();
      const shared = new MemoryStore({ clock });
      const store = new FailoverStore({ store: shared, processes: 4, clock });
      const dispose = async (): Promise<void> => {
        await store.close();
        await shared.close();
      };
      return { store, advance: (ms) => clock.advance(ms), dispose };
    },
  });
});
