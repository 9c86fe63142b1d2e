// First, so that it is there when jobLimits() looks for it.
import { exporter } from './metrics.js';

import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp } from './app.js';

const { app, limits } = createApp();

async function listen(what: string, listener: RequestListener, port: string | undefined): Promise<Server> {
  const server = createServer(listener).listen(Number(port), '127.0.0.1');
  await once(server, 'listening');
  console.log(`${what}: http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return server;
}

async function main(): Promise<void> {
  const { PORT = '3000', METRICS_PORT = '9464' } = process.env;
  const servers = [
    await listen('API', app, PORT),
    // A port of its own, which customers can't reach.
    await listen('Metrics', (req, res) => exporter.getMetricsRequestHandler(req, res), METRICS_PORT),
  ];
  process.once('SIGTERM', () => {
    for (const server of servers) server.close().closeIdleConnections();
    void limits.close();
  });
}

void main();
