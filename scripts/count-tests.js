'use strict';
const { appendFileSync } = require('node:fs');

/** A reporter that appends `passed failed skipped` to the file TEST_COUNTS, for CI to add up over several runs. */
module.exports = class CountTests {
  onRunComplete(
    _contexts,
    { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numRuntimeErrorTestSuites },
  ) {
    const failed = numFailedTests + numRuntimeErrorTestSuites;
    appendFileSync(
      process.env.TEST_COUNTS,
      `${numPassedTests} ${failed} ${numPendingTests + numTodoTests}\n`,
    );
  }
};
