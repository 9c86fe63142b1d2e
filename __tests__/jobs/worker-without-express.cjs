// Ends jobs as a worker does that has no Express: resolving it fails, as where it isn't installed. The argument is what to
// require instead of the sources.
const Module = require('node:module');

const resolve = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  if (name === 'express' || name.startsWith('express/')) {
    throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' });
  }
  return resolve.call(this, name, ...rest);
};

const { jobLifecycle, ManualClock, MemoryStore } = require(process.argv[2] ?? '../../lib/index.ts');

const clock = new ManualClock();
const store = new MemoryStore({ clock });
const jobs = jobLifecycle({ store, clock });
const told = [];
for (const event of ['finish', 'renew', 'expired']) jobs.on(event, () => told.push(event));

async function main() {
  const ref = { customer: 'acme', id: 'one' };
  const retention = { resultsMs: 60_000, metadataMs: 60_000 };
  const terms = { limits: [], pendingMs: 60_000, rememberMs: 60_000, retention };
  await store.admit({ ref, run: 'one', terms });
  await store.commit(ref, 'one');
  await jobs.renewWhile(ref, async () => clock.advance(30_000));
  await jobs.finish(JSON.parse(JSON.stringify(ref)), { state: 'completed' });
  clock.advance(60_000);
  const deleted = [];
  const sweeper = jobs.sweep({ onExpire: (job) => deleted.push(job.ref.id) });
  await sweeper.turn();
  await jobs.close();
  console.log(JSON.stringify({ deleted, told, express: Object.keys(require.cache).some(isExpress) }));
}

const isExpress = (file) => /node_modules[/\\]express[/\\]/.test(file);

main();
