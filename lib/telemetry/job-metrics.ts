import { AttributeSets } from './attribute-sets.js';
import type { Meter } from './meter.js';
import type { Recorders } from './recorders.js';

interface JobEvents {
  decision: {
    plan: string | undefined;
    decision: { allowed: boolean; replayed?: boolean; limit?: string; shadowed: readonly string[] };
    joined: boolean;
  };
  'shadow-refusal': { refusal: { limit?: string } };
  'plan-stale': object;
  commit: { answer: string };
  refund: { answer: string };
  renew: { answer: string };
  finish: { answer: string; state: string };
  hold: { operation: string; answer: string };
  lapsed: object;
  reconcile: { finished: readonly unknown[]; restored: readonly unknown[] };
}

/** The `plan` of a plan that was given as an object, and of limits of no plan. */
const UNNAMED = '(unnamed)';

export function jobRecorders(meter: Meter): Recorders<JobEvents> {
  const decisions = meter.createCounter('job_limits.decisions', {
    description: 'Admissions decided',
    unit: '{decision}',
  });
  const shadowRefusals = meter.createCounter('job_limits.shadow_refusals', {
    description: 'Refusals that limits in shadow mode would have made',
    unit: '{refusal}',
  });
  const running = meter.createUpDownCounter('job_limits.running', {
    description: 'Jobs admitted and not ended yet',
    unit: '{job}',
  });
  const jobEvents = meter.createCounter('job_limits.job.events', {
    description: 'What happened to jobs, and what the store answered',
    unit: '{event}',
  });
  const stalePlans = meter.createCounter('job_limits.plan.stale', {
    description: 'Failed look-ups of a plan, in whose place the last known one went on',
    unit: '{lookup}',
  });
  const decided = new AttributeSets(['outcome'], ['limit', 'plan']);
  const shadowed = new AttributeSets([], ['limit', 'plan']);
  const became = new AttributeSets(['event', 'answer', 'state']);
  return {
    decision({ plan = UNNAMED, decision, joined }) {
      const { allowed, replayed, limit } = decision;
      const outcome = allowed ? (replayed ? 'replayed' : 'allowed') : 'refused';
      decisions.add(1, decided.of(outcome, limit, plan));
      for (const name of decision.shadowed) shadowRefusals.add(1, shadowed.of(name, plan));
      if (outcome !== 'allowed' || joined) return;
      jobEvents.add(1, became.of('admit'));
      running.add(1);
    },
    'shadow-refusal': ({ refusal }) => shadowRefusals.add(1, shadowed.of(refusal.limit ?? '')),
    'plan-stale': () => stalePlans.add(1),
    commit({ answer }) {
      jobEvents.add(1, became.of('commit', answer));
      // It had lapsed.
      if (answer === 'reinstated') running.add(1);
    },
    refund({ answer }) {
      jobEvents.add(1, became.of('refund', answer));
      if (answer === 'refunded') running.add(-1);
    },
    renew: ({ answer }) => jobEvents.add(1, became.of('renew', answer)),
    finish({ answer, state }) {
      jobEvents.add(1, became.of('finish', answer, state));
      if (answer === 'finished' || answer === 'unsettled') running.add(-1);
    },
    hold: ({ operation, answer }) => jobEvents.add(1, became.of(operation, answer)),
    lapsed() {
      jobEvents.add(1, became.of('lapsed'));
      running.add(-1);
    },
    reconcile: ({ finished, restored }) => running.add(restored.length - finished.length),
  };
}
