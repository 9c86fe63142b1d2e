'use strict';
// node --require THIS …: as on a host that has not installed @opentelemetry/api.
const Module = require('node:module');

const resolve = Module._resolveFilename;
Module._resolveFilename = function (name, ...more) {
  if (!/^@opentelemetry\//.test(name)) return resolve.call(this, name, ...more);
  throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' });
};
