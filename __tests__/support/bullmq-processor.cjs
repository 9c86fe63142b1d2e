'use strict';
const { existsSync } = require('node:fs');
const { setTimeout: delay } = require('node:timers/promises');

/** A processor that BullMQ runs in a process of its own: it ends when a file is there. */
module.exports = async ({ data }) => {
  while (!existsSync(data.file)) await delay(20);
};
