import express from 'express';
import { urlCount, urlsOf } from 'express-job-limits';

export const app = express();

// #region count
app.post('/jobs', urlCount({ limit: 100, from: 'input.urls', duplicates: false }), (req, res) => {
  res.status(201).json({ urls: urlsOf(req) });
});
// #endregion
