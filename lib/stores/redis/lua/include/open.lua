-- Opens the customer's book, and reads the fields in `more` with it. The book is one hash, so that no part of it can be
-- evicted, lost or expire without the rest:
--   .time    latest time the book has seen, µs
--   .ahead   µs by which the book's clock is ahead of the server's
--   .due     ms before which no lease ends
--   .jobs    how many jobs hold a lease
--   .keep    ms until which the hash is kept
--   .window  the longest window seen, ms
--   .freed   ms when a slot last came free; .every: how often they do lately, ms
--   .plain   1 where the customer has no override
--   .sweep   the date at which the shard's index says that the customer must be looked at, ms
--   .pins    how many jobs are pinned; .last: the date when the last record of those that are not may be forgotten, ms
--   .terms   how many terms were taken in since unused ones were last looked for
--   j<id>    the record of a job that holds a lease
--   n<counter>  how many of these jobs are charged to a concurrency counter
--   w<counter>  changes to a rate's log that the next script which is given the log has to make
--   q<counter>  how much of a quota was charged, by period
--   t<ref>   terms and overrides that records refer to, JSON
-- A book's clock is the server's, but it never runs backwards: when the server's does (a failover, an operator), the book
-- stays ahead by as much from then on, so that windows and leases neither stretch nor freeze.
local call = redis.call
local customerKey = KEYS[1]
local book = call('HMGET', customerKey, '.time', '.ahead', '.due', '.jobs', '.keep', '.window', '.freed', '.every',
  unpack(more))
local clock = call('TIME')
local ahead, latest = tonumber(book[2]) or 0, tonumber(book[1]) or 0
local dirty = false
local micros = clock[1] * 1000000 + clock[2] + ARGV[1] * 1000 + ahead
if micros < latest then
  ahead = ahead + latest - micros
  micros = latest
  dirty = true
end
-- Leases go by ms; rates by µs, as text, since Lua would print so long a number rounded. Dates are the server's, in ms.
local now, stamp, date = math.floor(micros / 1000), string.format('%.0f', micros), math.floor((micros - ahead) / 1000)
local due, jobs = tonumber(book[3]) or math.huge, tonumber(book[4]) or 0
local window = tonumber(book[6]) or 0
-- What is to change in the book, written at the end by one command: fields and values by turns, and what changes.lua keeps.
local put, changed, read, flush, lastQuota, needed, lasting = {}
