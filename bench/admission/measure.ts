import { nowhere, send } from '../support/in-process.js';
import { variants, type Load } from './variants.js';

// One variant in a process of its own: prints the microseconds that a request took.
const [name, load, requests] = process.argv.slice(2) as [string, Load, string];
const CUSTOMERS = 1_000;

async function main(): Promise<void> {
  const app = variants[name]!(load);
  const socket = nowhere();
  const customers = load === 'allowed' ? CUSTOMERS : 1;
  const run = async (times: number): Promise<number> => {
    const before = process.hrtime.bigint();
    for (let i = 0; i < times; i += 1) {
      const headers = { host: 'localhost', 'x-customer': `customer-${i % customers}` };
      await send(app, socket, 'POST', '/jobs', headers);
    }
    return Number(process.hrtime.bigint() - before) / 1000 / times;
  };
  const times = Number(requests);
  await run(times / 4);
  console.log(await run(times));
  process.exit(0);
}

void main();
