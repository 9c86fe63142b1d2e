import express from 'express';
import { urlCount, urlsOf } from '../../../lib/middleware/url-count.js';

export const app = express();

// #region count
app.post('/jobs', urlCount({ limit: 100, from: 'input.urls', duplicates: false }), (req, res) => {
  res.status(201).json({ urls: urlsOf(req) });
});
// #endregion
