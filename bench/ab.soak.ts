import { Redis } from 'ioredis';
import { RedisServer } from '../__tests__/support/redis-server.js';
import { RedisStore as New } from '../lib/stores/redis/redis-store.js';
// eslint-disable-next-line
const { RedisStore: Old } = require('/tmp/old/lib/stores/redis/redis-store.ts');
const LIMIT = 250, CUSTOMERS = 20;
const mk = (): any => ({ plan: 'free', limits: [
    { kind: 'creation-rate', name: 'creation-rate', limit: LIMIT, windowMs: 600_000, mode: 'enforce' },
    { kind: 'concurrency', name: 'concurrency', limit: LIMIT, maxRunMs: 28_800_000, mode: 'enforce' } ], pendingMs: 600_000, rememberMs: 86_400_000 });
const cpuOf = async (client: Redis) => { const info = await client.info('cpu'); const f = (n: string) => Number(new RegExp(`${n}:([\\d.]+)`).exec(info)?.[1]); return f('used_cpu_user') + f('used_cpu_sys'); };
async function main() {
  const server = await RedisServer.start(); const client = new Redis(server.port);
  const stores: any[] = [['old', new Old({ client, prefix: 'o', refusalCache: false }), mk()], ['new', new New({ client, prefix: 'n', refusalCache: false }), mk()]];
  const sums: Record<string, number[]> = {};
  let round = 0; const rounds = Number(process.env['ROUNDS'] ?? 8);
  for (; round < rounds; round++) for (const [name, store, terms] of stores) {
    const n = LIMIT * CUSTOMERS;
    const ref = (i: number) => ({ customer: `c${round}-${i % CUSTOMERS}`, id: `${i}`.padStart(22, '0') });
    const m = async (what: string, f: (i: number) => Promise<unknown>) => { const b = await cpuOf(client); for (let i = 0; i < n; i++) await f(i); (sums[`${what} ${name}`] ??= []).push((await cpuOf(client) - b) * 1e6 / n); };
    await m('admit', (i) => store.admit({ ref: ref(i), run: ref(i).id, terms }));
    await m('limit', (i) => store.admit({ ref: ref(i + 1e7), run: ref(i + 1e7).id, terms }));
    await m('commit', (i) => store.commit(ref(i), ref(i).id));
    await m('renew', (i) => store.renew(ref(i)));
    await m('finish', (i) => store.finish(ref(i), { state: 'completed' }));
    await m('ping', () => client.ping());
  }
  for (const k of Object.keys(sums).sort()) { const v = sums[k]!.sort((a, b) => a - b); console.log(k.padEnd(14), v[Math.floor(v.length / 2)]!.toFixed(1), v[0]!.toFixed(1)); }
  client.disconnect(); await server.stop();
}
void main();
