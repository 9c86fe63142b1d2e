import express from 'express';

export const app = express();

// #region count
import { urlCount, urlsOf } from 'express-job-limits';

app.post('/jobs', urlCount({ limit: 100, from: 'input.urls', duplicates: false }), (req, res) => {
  res.status(201).json({ urls: urlsOf(req) });
});
// #endregion
