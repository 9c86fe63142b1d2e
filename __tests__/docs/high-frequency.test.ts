import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import request from 'supertest';
import { app, banning, behindProxy, guard, guarded, limits, server } from './snippets/high-frequency.js';

afterAll(async () => {
  const over = once(server, 'close');
  server.close();
  await over;
  await limits.close();
});

test('the example answers, and its guard knows the client', async () => {
  if (!server.listening) await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await request(`http://127.0.0.1:${port}`).get('/').expect(200, 'ok');
  expect(guard.guard.table()).toMatchObject([{ client: '127.0.0.1', readings: { requests: 1, errors: 0 } }]);
  for (const other of [banning, behindProxy, guarded]) await request(other).get('/').expect(404);
  expect(limits.guard.table()).toMatchObject([{ readings: { requests: 1 } }]);
  expect(app.get('trust proxy')).toBe(false);
});
