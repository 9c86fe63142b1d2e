/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/__tests__'],
  testMatch: ['**/*.test.ts'],
  // Types are checked by `npm run types`; here each file is only transpiled.
  transform: {
    '^.+\\.ts$': ['ts-jest', { tsconfig: 'tsconfig.json', diagnostics: false }],
  },
  moduleNameMapper: {
    '^express-job-limits$': '<rootDir>/lib/index.ts',
    '^express-job-limits/(.*)$': '<rootDir>/lib/$1/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  reporters: process.env.TEST_COUNTS ? ['default', '<rootDir>/scripts/count-tests.js'] : ['default'],
  testTimeout: 30_000,
};
