import { ManualClock, MemoryStore } from 'express-job-limits';

class MyStore extends MemoryStore {}

// #region contract
import { storeContract } from 'express-job-limits/testing';

describe('MyStore', () => {
  storeContract({
    make: () => {
      const clock = new ManualClock();
      const store = new MyStore({ clock });
      return { store, advance: (ms) => clock.advance(ms), dispose: () => store.close() };
    },
  });
});
// #endregion
