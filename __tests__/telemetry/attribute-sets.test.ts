import { AttributeSets } from '../../lib/telemetry/attribute-sets.js';

it('makes one object for each combination, without what is empty', () => {
  const sets = new AttributeSets(['outcome'], ['limit', 'plan']);
  const refused = sets.of('refused', 'creation-rate', 'free');
  expect(refused).toEqual({ outcome: 'refused', limit: 'creation-rate', plan: 'free' });
  expect(sets.of('refused', 'creation-rate', 'free')).toBe(refused);
  expect(sets.of('allowed', '', 'free')).toEqual({ outcome: 'allowed', plan: 'free' });
  expect(sets.of('creation-rate', 'refused', 'free')).not.toEqual(refused);
});

it('beyond a thousand makes no more, and counts what is new as other', () => {
  const sets = new AttributeSets(['outcome'], ['limit', 'plan']);
  const known = sets.of('refused', 'creation-rate', 'free');
  const made = new Set<object>();
  for (let i = 0; i < 50_000; i += 1) {
    made.add(sets.of('refused', 'creation-rate', `plan-${i}`));
    made.add(sets.of('allowed', '', `plan-${i}`));
  }
  expect(made.size).toBe(1_001);
  expect(sets.of('refused', 'creation-rate', 'free')).toBe(known);
  expect(sets.of('refused', 'concurrency', 'new')).toEqual({
    outcome: 'refused',
    limit: 'other',
    plan: 'other',
  });
  expect(sets.of('allowed', '', 'new')).toEqual({ outcome: 'allowed', plan: 'other' });
});

it('words of the package stay what they are', () => {
  const sets = new AttributeSets(['event', 'answer'], ['plan']);
  for (let i = 0; i < 2_000; i += 1) sets.of('commit', 'committed', `plan-${i}`);
  expect(sets.of('finish', 'finished', 'new')).toEqual({
    event: 'finish',
    answer: 'finished',
    plan: 'other',
  });
});
