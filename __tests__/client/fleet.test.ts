import { retrying } from '../../lib/client/index.js';
import { jobRequest, runFleet, watch } from '../support/fleet.js';
import { makeServer } from '../support/fleet-server.js';

const clients = 15;
const jobs = 60;
const limits = { creationRate: { limit: 25, windowMs: 500 }, running: 5, jobMs: 50 };

test.each([
  ['', false, Infinity],
  [' with spacing', true, Infinity],
  [' of which one answer in twenty is lost', false, 20],
])(
  'a fleet%s makes each job once, and nobody comes back too early',
  async (_name, spacing, dropEvery) => {
    const server = await makeServer(limits);
    // So that the server knows how often slots come free, instead of guessing 10 s.
    for (const job of [-1, -2])
      await fetch(server.url, jobRequest(job)).then((response) => response.arrayBuffer());
    await new Promise((resolve) => setTimeout(resolve, limits.jobMs + limits.creationRate.windowMs));
    const proxy = await watch(server.url, { dropEvery });

    const { gaveUp } = await runFleet({
      url: proxy.url,
      clients,
      jobs,
      newClient: () => {
        const api = retrying(fetch, { idempotency: true, spacing });
        return async (url, job) => {
          const response = await api(url, jobRequest(job));
          expect(await response.json()).toEqual({ job });
        };
      },
    });

    const made = Array.from({ length: jobs }, (_, job) => server.made.get(job));
    await Promise.all([proxy.close(), server.close()]);
    expect(gaveUp).toBe(0);
    expect(made).toEqual(Array<number>(jobs).fill(1));
    expect(proxy.early).toEqual([]);
    // Without refusals and lost answers the test would show nothing.
    expect(server.refused()).toBeGreaterThan(0);
    expect(proxy.dropped() > 0).toBe(dropEvery < Infinity);
  },
  60_000,
);
