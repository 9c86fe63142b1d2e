import { jobLifecycle, StoreError, type EndState, type JobRef, type Terms } from '../../lib/index.js';
import { DAY, finished, keptTerms } from '../../lib/testing/contract/kept-jobs.js';
import { HOUR, MINUTE, SECOND, slots, termsOf, usedOf } from '../../lib/testing/harness.js';
import { deferred } from '../support/apps.js';
import { recorded, runningJob, storeWith, sweeperOn, testOn, type MakeStore } from './swept-store.js';

const heartbeatTerms: Terms = termsOf(slots(1, { maxRunMs: HOUR, heartbeatMs: MINUTE }));

/** What `jobLifecycle` promises, on any store. */
export function lifecycleSuite(make: MakeStore): void {
  const test = testOn(make);

  describe('finish', () => {
    test('sent five times from three callers frees one slot and starts one retention', async (swept) => {
      const { store, clock, advance } = swept;
      const terms = { ...keptTerms(), limits: [slots(10)] };
      const [ref] = [await runningJob(store, terms), await runningJob(store, terms)];
      const callers = [1, 2, 3].map(() => jobLifecycle({ store, clock }));
      const states: EndState[] = ['completed', 'failed', 'completed', 'cancelled'];
      const answers = await Promise.all(states.map((state, i) => callers[i % 3]!.finish(ref, { state })));
      expect([...answers].sort()).toEqual(['already', 'already', 'already', 'finished']);
      const first = (await store.job(ref))!;
      expect(first.state).toBe(states[answers.indexOf('finished')]);
      await advance(MINUTE);
      expect(await callers[0]!.finish(ref, { state: 'completed' })).toBe('already');
      expect(await store.job(ref)).toEqual(first);
      expect(await usedOf(store, terms)).toEqual({ concurrency: 1 });
      expect((await callers[1]!.jobs.list('acme')).kept).toEqual([first]);

      const { sweeper, calls } = sweeperOn(swept);
      await advance(HOUR - MINUTE);
      await sweeper.turn();
      await sweeper.turn();
      expect(calls).toHaveLength(1);
      await sweeper.stop();
    });

    test('says how much was used, and how long it is kept', async ({ store, clock }) => {
      const jobs = jobLifecycle({ store, clock });
      const { of } = recorded(jobs);
      const seconds = { kind: 'quota', name: 'seconds', unit: 'seconds', per: 'month', limit: 100 } as const;
      const terms = { ...keptTerms(), limits: [{ ...seconds, mode: 'enforce' as const }] };
      const ref = await runningJob(store, terms);
      const retention = { results: '2h', metadata: '3d' };
      expect(await jobs.finish(ref, { state: 'completed', units: { seconds: 41 }, retention })).toBe(
        'finished',
      );
      expect(await usedOf(store, terms)).toEqual({ seconds: 41 });
      const job = (await jobs.jobs.get(ref))!;
      expect(job.resultsExpireAt).toBe(job.finishedAt! + 2 * HOUR);
      expect(job.metadataExpireAt).toBe(job.finishedAt! + 3 * DAY);
      expect(of('finish')).toEqual([{ ref, answer: 'finished', state: 'completed' }]);

      const alone = await runningJob(store, terms);
      await jobs.finish(alone, { state: 'completed', retention: { results: '2h' } });
      const plain = (await jobs.jobs.get(alone))!;
      expect(plain.metadataExpireAt).toBe(plain.resultsExpireAt);
    });

    test('goes by the terms of its admission, though later ones keep for less', async (swept) => {
      const { store, advance } = swept;
      const long = await finished(store, keptTerms({ resultsMs: DAY, metadataMs: DAY }));
      const short = await finished(store, keptTerms({ resultsMs: HOUR, metadataMs: HOUR }));
      await advance(HOUR);
      const { sweeper, calls } = sweeperOn(swept);
      await sweeper.turn();
      await sweeper.stop();
      expect(calls.map(({ ref }) => ref)).toEqual([short]);
      expect((await store.job(long))?.expired).toBeUndefined();
    });
  });

  describe('jobs', () => {
    test('are listed: those that run, and those that are kept, soonest to expire first', async (swept) => {
      const { store, clock, advance } = swept;
      const jobs = jobLifecycle({ store, clock });
      const running = await runningJob(store);
      const later = await finished(store, keptTerms({ resultsMs: 2 * HOUR }));
      const soon = await finished(store);
      await finished(store, keptTerms(), { state: 'completed' }, 'globex');
      const list = async (most?: number) => {
        const { running, kept } = await jobs.jobs.list('acme', most);
        return { running: running.map(({ ref }) => ref), kept: kept.map(({ ref }) => ref) };
      };
      expect(await list()).toEqual({ running: [running], kept: [soon, later] });
      expect(await list(1)).toEqual({ running: [running], kept: [soon] });
      expect(await list(0)).toEqual({ running: [running], kept: [] });
      await advance(HOUR);
      expect(await list()).toEqual({ running: [running], kept: [later] });
      expect(await jobs.jobs.list('nobody')).toEqual({ running: [], kept: [] });
      expect(await jobs.jobs.get({ customer: 'acme', id: 'nothing' })).toBeUndefined();
    });
  });

  describe('pin, unpin, extend and expireNow', () => {
    test('hold and end results, and are told', async ({ store, clock, advance }) => {
      const jobs = jobLifecycle({ store, clock });
      const held: unknown[] = [];
      jobs.on('hold', ({ operation, answer }) => held.push([operation, answer]));
      const ref = await finished(store);
      const { finishedAt } = (await jobs.jobs.get(ref))!;
      expect(await jobs.pin(ref, 'case 7')).toBe('pinned');
      await advance(2 * HOUR);
      expect(await jobs.jobs.get(ref)).toMatchObject({ pinned: 'case 7' });
      for (const to of [new Date(finishedAt! + 3 * HOUR), new Date(finishedAt! + 4 * HOUR).toISOString()]) {
        expect(await jobs.extend(ref, to)).toBe('extended');
      }
      expect(await jobs.extend(ref, finishedAt! + 5 * HOUR)).toBe('extended');
      expect(await jobs.unpin(ref)).toBe('unpinned');
      expect((await jobs.jobs.get(ref))!.resultsExpireAt).toBe(finishedAt! + 5 * HOUR);
      expect(await jobs.expireNow(ref)).toBe('expired');
      expect(await jobs.pin(ref, 'case 8')).toBe('expired');
      expect(held).toEqual([
        ['pin', 'pinned'],
        ['extend', 'extended'],
        ['extend', 'extended'],
        ['extend', 'extended'],
        ['unpin', 'unpinned'],
        ['expireNow', 'expired'],
        ['pin', 'expired'],
      ]);
    });
  });

  describe('renewWhile', () => {
    test('keeps the slot of a job that runs for longer than its heartbeat', async (swept) => {
      const { store, clock, advance } = swept;
      const jobs = jobLifecycle({ store, clock });
      const answers: string[] = [];
      jobs.on('renew', ({ answer }) => answers.push(answer));
      const ref = await runningJob(store, heartbeatTerms);
      const gate = deferred<string>();
      const work = jobs.renewWhile(ref, () => gate.promise, { every: '20s' });
      for (let i = 0; i < 9; i += 1) {
        await advance(20 * SECOND);
        await turns(() => answers.length > i);
      }
      expect(await usedOf(store, heartbeatTerms)).toEqual({ concurrency: 1 });
      gate.resolve('done');
      expect(await work).toBe('done');
      await advance(MINUTE);
      expect(answers).toEqual(Array(9).fill('renewed'));
    });

    test('a renewal that fails does no harm: the next one makes up for it', async (swept) => {
      const { store, clock, advance } = swept;
      let down = false;
      const flaky = storeWith(store, {
        renew: (ref) =>
          down ? Promise.reject(new StoreError('STORE_UNAVAILABLE', 'gone')) : store.renew(ref),
      });
      const jobs = jobLifecycle({ store: flaky, clock });
      const { of } = recorded(jobs);
      const answers: string[] = [];
      jobs.on('renew', ({ answer }) => answers.push(answer));
      const ref = await runningJob(store, heartbeatTerms);
      const gate = deferred();
      let signal!: AbortSignal;
      const work = jobs.renewWhile(ref, (given) => ((signal = given), gate.promise), { every: '30s' });
      down = true;
      for (let i = 0; i < 3; i += 1) {
        await advance(30 * SECOND);
        await turns(() => of('store-error').length > i);
      }
      expect(await usedOf(store, heartbeatTerms)).toEqual({ concurrency: 0 });
      down = false;
      await advance(30 * SECOND);
      await turns(() => answers.length > 0);
      expect(answers).toEqual(['reinstated']);
      expect(await usedOf(store, heartbeatTerms)).toEqual({ concurrency: 1 });
      expect(signal.aborted).toBe(false);
      gate.resolve();
      await work;
    });

    const ends: [string, (ref: JobRef, swept: Parameters<Parameters<typeof test>[1]>[0]) => unknown][] = [
      ['overrun', (_ref, { advance }) => advance(HOUR)],
      ['finished', (ref, { store }) => store.finish(ref, { state: 'cancelled' })],
      ['refunded', (ref, { store }) => store.refund(ref, ref.id)],
    ];
    for (const [answer, end] of ends) {
      test(`aborts the signal, and renews no more, when the job is ${answer}`, async (swept) => {
        const { store, clock, advance } = swept;
        const jobs = jobLifecycle({ store, clock });
        const answers: string[] = [];
        jobs.on('renew', ({ answer }) => answers.push(answer));
        const ref = await runningJob(store, heartbeatTerms);
        const gate = deferred<string>();
        let signal!: AbortSignal;
        // Work that doesn't heed its signal.
        const work = jobs.renewWhile(ref, (given) => ((signal = given), gate.promise));
        await end(ref, swept);
        await advance(30 * SECOND);
        await turns(() => signal.aborted);
        expect(signal.reason).toMatchObject({ code: 'JOB_ENDED' });
        // Renewals that were under way have their answers by then.
        await jobs.jobs.get(ref);
        const told = answers.length;
        expect(answers.at(-1)).toBe(answer);
        await advance(10 * MINUTE);
        await jobs.jobs.get(ref);
        expect(answers).toHaveLength(told);
        gate.resolve('done all the same');
        expect(await work).toBe('done all the same');
      });
    }

    test('leaves alone a job that the store does not know', async ({ store, clock, advance }) => {
      const jobs = jobLifecycle({ store, clock });
      const answers: string[] = [];
      jobs.on('renew', ({ answer }) => answers.push(answer));
      const gate = deferred();
      let signal!: AbortSignal;
      const ref = { customer: 'acme', id: 'from-before' };
      const work = jobs.renewWhile(ref, (given) => ((signal = given), gate.promise));
      await advance(30 * SECOND);
      await turns(() => answers.length > 0);
      expect(answers).toEqual(['unknown']);
      expect(signal.aborted).toBe(false);
      gate.resolve();
      await work;
    });
  });

  describe('a missed heartbeat and maxRun', () => {
    test('are two clocks: the first may be made up for, the second ends the job', async (swept) => {
      const { store, clock, advance } = swept;
      const jobs = jobLifecycle({ store, clock });
      const { sweeper, of } = sweeperOn(swept);
      const ref = await runningJob(store, { ...keptTerms(), limits: heartbeatTerms.limits });
      const slotsInUse = async (): Promise<number> => (await usedOf(store, heartbeatTerms))['concurrency']!;
      await advance(MINUTE);
      await sweeper.turn();
      await sweeper.turn();
      expect(await slotsInUse()).toBe(0);
      expect((await jobs.jobs.get(ref))?.state).toBe('running');
      expect(await jobs.renew(ref)).toBe('reinstated');
      expect(await slotsInUse()).toBe(1);
      while (clock.now() < HOUR - MINUTE) {
        await advance(30 * SECOND);
        expect(await jobs.renew(ref)).toBe('renewed');
      }
      await advance(MINUTE);
      expect(await jobs.renew(ref)).toBe('overrun');
      expect(await slotsInUse()).toBe(0);
      expect((await jobs.jobs.get(ref))?.state).toBe('running');
      await sweeper.turn();
      expect((await jobs.jobs.get(ref))?.state).toBe('overrun');
      expect(of('overrun').map(({ job }) => job.ref)).toEqual([ref]);
      expect(await jobs.finish(ref, { state: 'completed' })).toBe('already');
      const job = (await jobs.jobs.get(ref))!;
      expect(job.resultsExpireAt).toBe(job.finishedAt! + HOUR);
      await sweeper.stop();
    });
  });
}

/** Lets what is under way go on until it is so. */
async function turns(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
