import { createServer } from 'node:http';
import express from 'express';
import { RateLimiterMemory, type RateLimiterAbstract } from 'rate-limiter-flexible';

export const app = express();
const port = 0;

// #region alone
import { highFrequency } from 'express-job-limits';

const guard = highFrequency({
  openConnections: { limit: 50 },
  newConnections: { limit: 100, window: '10s' },
  errors: { limit: 50, window: '10s' },
  requests: { limit: 200, window: '10s' },
});
app.use(guard); // before everything else

const server = createServer(app);
guard.attach(server); // before listen
server.listen(port, '127.0.0.1');
// #endregion

app.get('/', (_req, res) => void res.send('ok'));
export { guard, server };

const limiter: RateLimiterAbstract = new RateLimiterMemory({ points: 1, duration: 1 });
export const banning = express();
// #region limits
import { jobLimits } from 'express-job-limits';

const limits = jobLimits({ customer: (req) => req.get('x-account') });
const guarded = express();
guarded.use(limits.highFrequency({ requests: { limit: 200, window: '10s' } })); // before everything else

const guardedServer = createServer(guarded);
limits.attach(guardedServer); // before listen
// #endregion
export { guarded, guardedServer, limits };

// #region ban
banning.use(
  highFrequency({
    requests: { limit: 200, window: '10s' },
    ban: { after: 100, window: '1m', for: '15m', limiter }, // any limiter of rate-limiter-flexible
    allow: ['10.0.0.0/8', '2001:db8:77::/48'],
    emit: (event, value) => console.log(event, value),
  }),
);
// #endregion

export const behindProxy = express();
// #region proxy
behindProxy.set('trust proxy', 1); // one proxy of ours is in front
behindProxy.use(highFrequency({ openConnections: { limit: 50 }, requests: { limit: 200, window: '10s' } }));
// #endregion
