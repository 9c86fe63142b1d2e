import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import express5 from 'express';
import { fileSize } from '../../lib/middleware/file-size.js';
import { answerExpect } from '../../lib/uploads/expect.js';
import { expressVersions } from '../support/apps.js';
import { listen, type Listening } from '../support/http.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

interface Outcome {
  status: number;
  connection: string | undefined;
  continued: boolean;
}

const agent = new Agent({ keepAlive: true });
afterAll(() => agent.destroy());

/** Sends `body` only when the server asks for it. */
async function post(url: string, body: string): Promise<Outcome> {
  const headers = { expect: '100-continue', 'content-length': body.length, 'content-type': 'text/plain' };
  const sending = request(url, { method: 'POST', agent, headers });
  let continued = false;
  sending.on('continue', () => {
    continued = true;
    sending.end(body);
  });
  sending.on('error', () => {});
  sending.flushHeaders();
  const [response] = (await once(sending, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  if (!continued) sending.destroy();
  return { status: response.statusCode!, connection: response.headers.connection, continued };
}

describe.each(expressVersions)('%s', (_name, express) => {
  let listening: Listening;
  let stop: () => void;
  beforeAll(async () => {
    const app = express();
    app.post('/read', express5.text(), (req, res) => void res.json(req.body));
    app.post('/late', (req, res) => {
      setImmediate(() => req.on('end', () => void res.json('late')).resume());
    });
    app.post('/limited', fileSize({ maxFile: 3 }), express5.text(), (req, res) => void res.json(req.body));
    app.post('/never', (_req, res) => void res.status(401).json({}));
    listening = await listen(app);
    stop = answerExpect(listening.server);
  });
  afterAll(async () => {
    stop();
    await listening.close();
  });

  test.each(['/read', '/late'])('says 100 when the body is wanted: %s', async (path) => {
    expect(await post(listening.url + path, 'hello')).toEqual({
      status: 200,
      connection: 'keep-alive',
      continued: true,
    });
  });

  test('does not say 100 when the app answers without the body, and closes', async () => {
    const outcome = await post(`${listening.url}/never`, 'hello');
    expect(outcome).toEqual({ status: 401, connection: 'close', continued: false });
  });

  test('is refused by its announced size before the body is sent', async () => {
    const outcome = await post(`${listening.url}/limited`, 'hello');
    expect(outcome).toEqual({ status: 413, connection: 'close', continued: false });
    expect(await post(`${listening.url}/limited`, 'abc')).toMatchObject({ status: 200, continued: true });
  });
});

test("a server's own checkContinue listener is left alone, and stopping takes ours away", async () => {
  const listening = await listen((_req, res) => void res.end());
  const own = (): void => {};
  listening.server.on('checkContinue', own);
  answerExpect(listening.server)();
  expect(listening.server.listeners('checkContinue')).toEqual([own]);
  listening.server.off('checkContinue', own);
  const stop = answerExpect(listening.server);
  expect(listening.server.listenerCount('checkContinue')).toBe(1);
  stop();
  expect(listening.server.listenerCount('checkContinue')).toBe(0);
  await listening.close();
});
