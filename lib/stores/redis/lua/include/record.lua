-- A job's record: state;at;startedAt;finishedAt;until;charges;length of run;run and rest. Times are the book's, in ms, but
-- for `at` and others that name entries of a rate's log, in µs, and for finishedAt, a date.
--   state    p pending, l lapsed, r running, u refunded, c completed, f failed, x cancelled, o overrun
--   until    while it holds a lease, the end of the lease; else when it may be forgotten
--   charges  terms.override~indexes of shadow limits not charged@time, several joined by +; the time is left out where it
--            is the record's. `!` for a job that was finished before anyone admitted it here
--   run      left out, length and all, where it is the id
--   rest     a job without lease that may get one again: its terms as JSON; one that ended: its plan
local function readRecord(text, id)
  local state, at, startedAt, finishedAt, untilTime, charges, runLength, rest =
    string.match(text, '^(%a);(%d*);(%d*);(%d*);(%d*);([^;]*);(%d*);(.*)$')
  local run = id
  if runLength ~= '' then
    run = string.sub(rest, 1, runLength)
    rest = string.sub(rest, runLength + 1)
  end
  return {
    id = id, state = state, at = at, startedAt = tonumber(startedAt), finishedAt = tonumber(finishedAt),
    untilTime = tonumber(untilTime), charges = charges, run = run, rest = rest,
  }
end

local function writeRecord(job)
  local run, length = '', ''
  if job.run ~= job.id then run, length = job.run, #job.run end
  return job.state .. ';' .. job.at .. ';' .. (job.startedAt or '') .. ';' .. (job.finishedAt or '') .. ';'
    .. job.untilTime .. ';' .. job.charges .. ';' .. length .. ';' .. run .. job.rest
end
