-- A job's record. One that has not ended: state;at;startedAt;until;charges;options;tail. Times are the book's, in ms, but for
-- `at` and others that name entries of a rate's log, in µs.
--   state    p pending, l lapsed, r running, u refunded
--   until    while it holds a lease, the end of the lease; else when it may be forgotten, a date
--   charges  terms.override~indexes of limits not charged#amounts of the quotas@time^ahead, several joined by +; the time
--            is left out where it is the record's, and ahead, by how much the book's clock was, where it was not
-- One that has: state;finishedAt;admitted before;started before;results after;metadata after;options;tail. The first is a
-- date, the others are counted from it, all in ms. Of a job whose results are not kept, the last says how long it is remembered.
--   state    c completed, f failed, x cancelled, o overrun
-- Options are letters with numbers:
--   R  length of the run, left out where it is the id      P  length of the reason why it is pinned
--   t  how often its task was claimed                      o  when it must have ended, a date
--   n  how long before the expiry it is to be announced    a  it was
--   d  its results are deleted                             u  it was finished before anyone admitted it here
--   s  what it takes of a limit on what is stored          c  length of that limit's counter
-- The tail is the run, the reason, these counters, and the rest: of a job without lease that may get one again its terms as JSON, of one
-- that never will its plan.
local function readRecord(text, id)
  local job = { id = id, state = string.sub(text, 1, 1), run = id, tries = 0 }
  local options, tail
  if string.find('cfxo', job.state, 1, true) then
    local finishedAt, admitted, started, results, metadata
    finishedAt, admitted, started, results, metadata, options, tail =
      string.match(text, '^%a;(%d+);(%-?%d+);(%-?%d+);(%-?%d*);(%-?%d+);([^;]*);(.*)$')
    job.finishedAt = tonumber(finishedAt)
    job.admittedAt, job.startedAt = finishedAt - admitted, finishedAt - started
    job.resultsAt = results ~= '' and finishedAt + results or nil
    job.metadataAt = finishedAt + metadata
  else
    local at, startedAt, untilTime, charges
    at, startedAt, untilTime, charges, options, tail =
      string.match(text, '^%a;(%d*);(%d*);(%d*);([^;]*);([^;]*);(.*)$')
    job.at, job.startedAt, job.untilTime, job.charges = at, tonumber(startedAt), tonumber(untilTime), charges
  end
  for letter, number in string.gmatch(options, '(%a)(%d*)') do
    number = tonumber(number)
    if letter == 'R' then
      job.run, tail = string.sub(tail, 1, number), string.sub(tail, number + 1)
    elseif letter == 'P' then
      job.pinned, tail = string.sub(tail, 1, number), string.sub(tail, number + 1)
    elseif letter == 't' then
      job.tries = number
    elseif letter == 'o' then
      job.overrunAt = number
    elseif letter == 'n' then
      job.noticeMs = number
    elseif letter == 'a' then
      job.announced = true
    elseif letter == 'd' then
      job.deleted = true
    elseif letter == 'u' then
      job.unadmitted = true
    elseif letter == 's' then
      job.stored = job.stored or {}
      job.stored[#job.stored + 1] = { amount = number }
    elseif letter == 'c' then
      job.stored[#job.stored].counter, tail = string.sub(tail, 1, number), string.sub(tail, number + 1)
    end
  end
  job.rest = tail
  return job
end

local function writeRecord(job)
  local options, tail = '', ''
  if job.run ~= job.id then options, tail = 'R' .. #job.run, job.run end
  if job.pinned then options, tail = options .. 'P' .. #job.pinned, tail .. job.pinned end
  if job.tries > 0 then options = options .. 't' .. job.tries end
  if not job.finishedAt then
    if job.overrunAt then options = options .. 'o' .. job.overrunAt end
    return job.state .. ';' .. job.at .. ';' .. (job.startedAt or '') .. ';' .. job.untilTime .. ';' .. job.charges .. ';'
      .. options .. ';' .. tail .. job.rest
  end
  if job.noticeMs then options = options .. 'n' .. job.noticeMs end
  if job.noticeMs and job.announced then options = options .. 'a' end
  if job.deleted then options = options .. 'd' end
  if job.unadmitted then options = options .. 'u' end
  for _, one in ipairs(job.stored or {}) do
    options = options .. 's' .. string.format('%.0f', one.amount) .. 'c' .. #one.counter
    tail = tail .. one.counter
  end
  local finishedAt = job.finishedAt
  return job.state .. ';' .. finishedAt .. ';' .. finishedAt - job.admittedAt .. ';' .. finishedAt - job.startedAt .. ';'
    .. (job.resultsAt and job.resultsAt - finishedAt or '') .. ';' .. job.metadataAt - finishedAt .. ';' .. options .. ';'
    .. tail .. job.rest
end
