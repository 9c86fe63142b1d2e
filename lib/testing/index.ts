import { admissionContract } from './contract/admission.js';
import { customerContract } from './contract/customers.js';
import { leaseContract } from './contract/leases.js';
import { quotaContract } from './contract/quotas.js';
import { retentionContract } from './contract/retention.js';
import { sweepingContract } from './contract/sweeping.js';
import { stateContract } from './contract/states.js';
import type { ContractOptions, StoreHarness, Suite } from './harness.js';

export type { ContractOptions, StoreHarness } from './harness.js';

/**
 * The tests that every `LimitStore` passes, ours or yours. Declares them with the test framework's `describe` and `it`,
 * asserts with `node:assert`.
 *
 * @example
 * import { storeContract } from 'express-job-limits/testing';
 *
 * describe('MyStore', () => {
 *   storeContract({ make: () => ({ store: new MyStore({ clock }), advance: (ms) => clock.advance(ms) }) });
 * });
 */
export function storeContract(options: ContractOptions): void {
  const globals = globalThis as unknown as Required<Pick<ContractOptions, 'describe' | 'it'>>;
  const describe = options.describe ?? globals.describe;
  const it = options.it ?? globals.it;
  const test = (name: string, body: (harness: StoreHarness) => Promise<void>): void =>
    it(name, async () => {
      const harness = await options.make();
      try {
        await body(harness);
      } finally {
        await harness.dispose?.();
      }
    });
  const suite: Suite = { describe, test };
  admissionContract(suite);
  stateContract(suite);
  leaseContract(suite);
  customerContract(suite);
  retentionContract(suite);
  sweepingContract(suite);
  quotaContract(suite);
}
