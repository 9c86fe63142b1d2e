import {
  admission,
  concurrency,
  ConfigError,
  creationRate,
  errorCodes,
  jobLimits,
  MemoryStore,
  requestRate,
  usage,
} from '../lib/index.js';

const customer = () => 'acme';
const plans = { free: { creationRate: { limit: 1, window: '1m' } } };
const limits = jobLimits({ customer, plans });
const withPlan = (plan: object) => () => jobLimits({ customer, plans: { free: plan } });

/** What is called, the option that is wrong, its code, and a word of what was expected. */
const cases: [what: string, call: () => unknown, option: string, code: string, expected: RegExp][] = [
  ['no options', () => jobLimits(undefined as never), 'jobLimits', 'CONFIG_INVALID_OPTION', /object/],
  [
    'no customer',
    () => jobLimits({ plans } as never),
    'jobLimits.customer',
    'CONFIG_MISSING_OPTION',
    /function/,
  ],
  [
    'customer no function',
    () => jobLimits({ plans, customer: 'x' } as never),
    'jobLimits.customer',
    'CONFIG_INVALID_OPTION',
    /function/,
  ],
  [
    'unknown option',
    () => jobLimits({ customer, plans, custmer: 1 } as never),
    'jobLimits.custmer',
    'CONFIG_UNKNOWN_OPTION',
    /did you mean 'customer'/,
  ],
  [
    'no plans',
    () => jobLimits({ customer, plans: {} }),
    'plans',
    'CONFIG_INVALID_OPTION',
    /at least one plan/,
  ],
  [
    'plans as an array',
    () => jobLimits({ customer, plans: [] as never }),
    'plans',
    'CONFIG_INVALID_OPTION',
    /object/,
  ],
  [
    'two plans, no plan()',
    () => jobLimits({ customer, plans: { a: {}, b: {} } }),
    'plan',
    'CONFIG_MISSING_OPTION',
    /which of the plans/,
  ],
  [
    'plan() no function',
    () => jobLimits({ customer, plans, plan: 'free' as never }),
    'jobLimits.plan',
    'CONFIG_INVALID_OPTION',
    /function/,
  ],
  [
    'no store',
    () => jobLimits({ customer, plans, store: {} as never }),
    'jobLimits.store',
    'CONFIG_INVALID_OPTION',
    /a store/,
  ],
  [
    'a status of 200',
    () => jobLimits({ customer, plans, deniedStatus: 200 }),
    'jobLimits.deniedStatus',
    'CONFIG_INVALID_OPTION',
    /at least 400/,
  ],
  [
    'responses',
    () => jobLimits({ customer, plans, responses: 'xml' as never }),
    'jobLimits.responses',
    'CONFIG_INVALID_OPTION',
    /'json', 'problem', 'next'/,
  ],
  [
    'admission without plans',
    () => jobLimits({ customer }).admission(),
    'plans',
    'CONFIG_MISSING_OPTION',
    /admission/,
  ],
  [
    'unknown limit',
    withPlan({ creationrate: {} }),
    'plans.free.creationrate',
    'CONFIG_UNKNOWN_OPTION',
    /did you mean 'creationRate'/,
  ],
  [
    'limit missing',
    withPlan({ creationRate: { window: '1m' } }),
    'plans.free.creationRate.limit',
    'CONFIG_MISSING_OPTION',
    /whole number/,
  ],
  [
    'limit below zero',
    withPlan({ creationRate: { limit: -1, window: '1m' } }),
    'plans.free.creationRate.limit',
    'CONFIG_INVALID_OPTION',
    /at least 0/,
  ],
  [
    'limit with a fraction',
    withPlan({ concurrency: { limit: 1.5 } }),
    'plans.free.concurrency.limit',
    'CONFIG_INVALID_OPTION',
    /whole number/,
  ],
  [
    'limit NaN',
    withPlan({ concurrency: { limit: NaN } }),
    'plans.free.concurrency.limit',
    'CONFIG_INVALID_OPTION',
    /whole number/,
  ],
  [
    'limit as text',
    withPlan({ concurrency: { limit: '5' } }),
    'plans.free.concurrency.limit',
    'CONFIG_INVALID_OPTION',
    /whole number/,
  ],
  [
    'limit too large',
    withPlan({ creationRate: { limit: 100_001, window: '1m' } }),
    'plans.free.creationRate.limit',
    'CONFIG_LIMIT_TOO_LARGE',
    /100000/,
  ],
  [
    'window missing',
    withPlan({ creationRate: { limit: 1 } }),
    'plans.free.creationRate.window',
    'CONFIG_MISSING_OPTION',
    /duration/,
  ],
  [
    'window of nothing',
    withPlan({ creationRate: { limit: 1, window: 0 } }),
    'plans.free.creationRate.window',
    'CONFIG_BAD_DURATION',
    /at least 1/,
  ],
  [
    'window no duration',
    withPlan({ creationRate: { limit: 1, window: 'fast' } }),
    'plans.free.creationRate.window',
    'CONFIG_BAD_DURATION',
    /'1m'/,
  ],
  [
    'window without unit',
    withPlan({ creationRate: { limit: 1, window: '60' } }),
    'plans.free.creationRate.window',
    'CONFIG_BAD_DURATION',
    /unit/,
  ],
  [
    'window below zero',
    withPlan({ creationRate: { limit: 1, window: '-1m' } }),
    'plans.free.creationRate.window',
    'CONFIG_BAD_DURATION',
    /duration/,
  ],
  [
    'window for ever',
    withPlan({ creationRate: { limit: 1, window: Infinity } }),
    'plans.free.creationRate.window',
    'CONFIG_BAD_DURATION',
    /duration/,
  ],
  [
    'mode',
    withPlan({ creationRate: { limit: 1, window: '1m', mode: 'off' } }),
    'plans.free.creationRate.mode',
    'CONFIG_INVALID_OPTION',
    /'enforce', 'shadow'/,
  ],
  [
    'name',
    withPlan({ creationRate: { limit: 1, window: '1m', name: 'a "b"' } }),
    'plans.free.creationRate.name',
    'CONFIG_INVALID_OPTION',
    /letters/,
  ],
  [
    'two of one name',
    withPlan({
      creationRate: [
        { limit: 1, window: '1s' },
        { limit: 9, window: '1m' },
      ],
    }),
    'plans.free',
    'CONFIG_DUPLICATE_NAME',
    /name/,
  ],
  [
    'the second of two',
    withPlan({ concurrency: [{ limit: 1 }, { limit: 9, maxRun: 'long' }] }),
    'plans.free.concurrency[1].maxRun',
    'CONFIG_BAD_DURATION',
    /duration/,
  ],
  [
    'request window',
    withPlan({ requestRate: { limit: 1, window: 1500 } }),
    'plans.free.requestRate.window',
    'CONFIG_BAD_DURATION',
    /whole seconds/,
  ],
  [
    'admission option',
    () => limits.admission({ method: ['POST'] } as never),
    'admission.method',
    'CONFIG_UNKNOWN_OPTION',
    /did you mean 'methods'/,
  ],
  [
    'onReplay',
    () => limits.admission({ onReplay: 'block' as never }),
    'admission.onReplay',
    'CONFIG_INVALID_OPTION',
    /'pass'/,
  ],
  [
    'idempotency',
    () => limits.admission({ idempotency: 'yes' as never }),
    'admission.idempotency',
    'CONFIG_INVALID_OPTION',
    /'required'/,
  ],
  [
    'idempotency without onReplay',
    () => limits.admission({ idempotency: true }),
    'admission.onReplay',
    'CONFIG_MISSING_OPTION',
    /'pass' or a function/,
  ],
  [
    'idempotency alone without onReplay',
    () => creationRate({ customer, limit: 1, window: '1m', idempotency: 'required' }),
    'creationRate.onReplay',
    'CONFIG_MISSING_OPTION',
    /'pass' or a function/,
  ],
  [
    'idempotency and jobId',
    () => limits.admission({ idempotency: true, onReplay: 'pass', jobId: () => 'a' }),
    'admission.jobId',
    'CONFIG_INVALID_OPTION',
    /none with idempotency/,
  ],
  [
    'fingerprint without idempotency',
    () => limits.admission({ jobId: () => 'a', onReplay: 'pass', fingerprint: () => 'a' }),
    'admission.fingerprint',
    'CONFIG_INVALID_OPTION',
    /none without idempotency/,
  ],
  [
    'fingerprint with idempotency off',
    () => limits.admission({ idempotency: false, fingerprint: () => 'a' }),
    'admission.fingerprint',
    'CONFIG_INVALID_OPTION',
    /none without idempotency/,
  ],
  [
    'jobId of a request',
    () => limits.concurrency({ limit: 1, hold: 'request', jobId: () => 'a' }),
    'concurrency.jobId',
    'CONFIG_INVALID_OPTION',
    /hold: 'request'/,
  ],
  [
    'idempotency of a request',
    () => limits.concurrency({ limit: 1, hold: 'request', idempotency: true, onReplay: 'pass' }),
    'concurrency.idempotency',
    'CONFIG_INVALID_OPTION',
    /hold: 'request'/,
  ],
  [
    'hold',
    () => concurrency({ customer, limit: 1 } as never),
    'concurrency.hold',
    'CONFIG_MISSING_OPTION',
    /'job', 'request'/,
  ],
  [
    'creationRate alone',
    () => creationRate({ limit: 1, window: '1m' } as never),
    'creationRate.customer',
    'CONFIG_MISSING_OPTION',
    /function/,
  ],
  [
    'requestRate alone',
    () => requestRate({ customer, limit: 1 }),
    'requestRate',
    'CONFIG_MISSING_OPTION',
    /window/,
  ],
  [
    'limiter',
    () => requestRate({ customer, limiter: {} as never }),
    'requestRate.limiter',
    'CONFIG_INVALID_OPTION',
    /rate-limiter-flexible/,
  ],
  [
    'admission alone',
    () => admission({ customer, plan: { creationRate: 5 } as never }),
    'plans.default.creationRate',
    'CONFIG_INVALID_OPTION',
    /object/,
  ],
  ['usage alone', () => usage({ customer } as never), 'usage.plan', 'CONFIG_MISSING_OPTION', /plan/],
  [
    'MemoryStore',
    () => new MemoryStore({ maxJobs: 0 }),
    'MemoryStore.maxJobs',
    'CONFIG_INVALID_OPTION',
    /at least 1/,
  ],
  [
    'pending',
    () => jobLimits({ customer, plans, pending: '10ms' }),
    'jobLimits.pending',
    'CONFIG_BAD_DURATION',
    /at least 1000/,
  ],
  [
    'clock',
    () => jobLimits({ customer, plans, clock: Date as never }),
    'jobLimits.clock',
    'CONFIG_INVALID_OPTION',
    /a clock/,
  ],
];

afterAll(() => limits.close());

it.each(cases)('%s', (_what, call, option, code, expected) => {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(ConfigError);
  const error = thrown as ConfigError;
  expect([error.option, error.code]).toEqual([option, code]);
  expect(error.expected).toMatch(expected);
  expect(error.message).toContain(option);
  expect(error.docs).toBe(`express-job-limits/docs/reference/errors.md#${code.toLowerCase()}`);
  expect(errorCodes).toContain(code);
});

it('a wrong set of plans leaves the old one in force', async () => {
  expect(() => limits.setPlans({ free: { creationRate: { limit: -5, window: '1m' } } })).toThrow(ConfigError);
  expect((await limits.usageOf('acme')).limits[0]?.limit).toBe(1);
  limits.setPlans({ free: { creationRate: { limit: 7, window: '1m' } } });
  expect((await limits.usageOf('acme')).limits[0]?.limit).toBe(7);
});
