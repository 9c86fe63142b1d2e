/* eslint-disable max-lines */
// Made by scripts/embed-lua.js from lib/stores/redis/lua. Change those files, not this one.

/** A script as Redis runs it. */
export interface Script {
  /** Its file's name. */
  readonly name: string;
  /** By which Redis knows it once it was loaded: the SHA-1 of the source. */
  readonly sha: string;
  readonly source: string;
}

const script = (name: string, sha: string, parts: string[]): Script => ({
  name,
  sha,
  source: parts.join('\n'),
});

const changesPiece = `changed, gone, held, owed = {}, {}, {}, {}
local function heldOf(counter)
if not held[counter] then held[counter] = tonumber(call('HGET', customerKey, 'n' .. counter)) or 0 end
return held[counter]
end
local function hold(counter, by)
held[counter] = heldOf(counter) + by
changed['n' .. counter] = held[counter] > 0 and held[counter] or false
end
local function owedOf(counter)
if not owed[counter] then owed[counter] = call('HGET', customerKey, 'w' .. counter) or '' end
return owed[counter]
end
local function setOwed(counter, text)
owed[counter] = text
changed['w' .. counter] = text ~= '' and text
end
local function wall(time)
return time and math.floor(time - ahead / 1000) or ''
end`;

const leasesPiece = `local lostKey = KEYS[2]
local HOUR, MONTH = 3600000, 2592000000
local TIDY = 512
local TIDY_TERMS = 16
local function find(id, key)
local text = call('HGET', customerKey, 'j' .. id)
local job
if text then
job = readRecord(text, id)
job.leased = true
else
text = call('HGET', lostKey, id)
local lost = text and true
text = text or call('GET', key)
if not text then return nil end
job = readRecord(text, id)
if job.untilTime <= now then return nil end
job.lost = lost
end
job.key = key
return job
end
local function findJob(id, key)
local job = find(id, key)
if job and job.charges ~= '!' then return job end
end
local function lose(job)
call('HSET', lostKey, job.id, writeRecord(job))
local memory = job.untilTime - now
if call('PTTL', lostKey) < memory then call('PEXPIRE', lostKey, memory) end
if call('HLEN', lostKey) % TIDY > 0 then return end
local entries = call('HGETALL', lostKey)
for i = 1, #entries, 2 do
if readRecord(entries[i + 1]).untilTime <= now then call('HDEL', lostKey, entries[i]) end
end
end
local function tidyTerms(used)
local entries = call('HGETALL', customerKey)
for i = 1, #entries, 2 do
if string.sub(entries[i], 1, 1) == 'j' then
local charges = readRecord(entries[i + 1]).charges
for ref, overrideRef in string.gmatch(charges, '([%w_-]+)%.([%w_-]*)~') do used[ref], used[overrideRef] = 1, 1 end
end
end
for i = 1, #entries, 2 do
local ref = string.match(entries[i], '^t(.*)$')
if ref and not used[ref] then call('HDEL', customerKey, entries[i]) end
end
changed['.terms'] = 0
end
local function storeTerms(ref, json, used)
call('HSET', customerKey, 't' .. ref, json)
if call('HINCRBY', customerKey, '.terms', 1) >= TIDY_TERMS then tidyTerms(used) end
end
local function keepTerms(job)
local refs = refsOf(job)
for ref, value in pairs(refs) do
if call('HEXISTS', customerKey, 't' .. ref) == 0 then storeTerms(ref, cjson.encode(value), refs) end
end
end
local function lease(job, untilTime)
if not job.leased then
local limits = limitsOf(job)
keepTerms(job)
if job.lost then call('HDEL', lostKey, job.id) elseif job.key then call('DEL', job.key) end
for _, entry in ipairs(limits) do
if entry.charged and entry.limit.kind == 'concurrency' then hold(entry.counter, 1) end
end
job.rest, job.lost, job.leased = '', nil, true
jobs = jobs + 1
end
job.untilTime = untilTime
changed['j' .. job.id] = writeRecord(job)
if untilTime < due then due = untilTime end
needed = math.max(needed or 0, untilTime + (job.state == 'r' and MONTH or HOUR))
end
local function freed()
local last, every = tonumber(book[7]), tonumber(book[8])
if last then
local gap = now - last
if not every or gap > 300000 then every = gap else every = every + 0.2 * (gap - every) end
book[8] = every
changed['.every'] = every
end
book[7] = now
changed['.freed'] = now
end
local function release(job, memory, inLost)
local limits = limitsOf(job)
if job.leased then
local slots = 0
for _, entry in ipairs(limits) do
if entry.charged and entry.limit.kind == 'concurrency' then
hold(entry.counter, -1)
slots = slots + 1
end
end
if slots > 0 then freed() end
changed['j' .. job.id] = false
jobs = jobs - 1
if jobs == 0 then due = math.huge end
end
if string.find('rl', job.state, 1, true) then
job.rest = cjson.encode(refsOf(job))
else
job.rest, job.charges = job.terms.plan or '', ''
end
if job.lost and not inLost then call('HDEL', lostKey, job.id) end
job.leased, job.lost = false, inLost
job.untilTime = now + memory
if memory == 0 then
if not inLost then call('DEL', job.key) end
elseif inLost then
lose(job)
else
call('SET', job.key, writeRecord(job), 'PX', memory)
end
end
local function start(job)
job.state = 'r'
job.startedAt = job.startedAt or now
local untilTime = leaseEnd(job)
if not untilTime then
release(job, job.terms.rememberMs)
elseif untilTime > now then
lease(job, untilTime)
elseif job.leased then
changed['j' .. job.id] = writeRecord(job)
end
end
local function finish(job, state, inLost)
limitsOf(job)
job.state = state
job.startedAt = job.startedAt or now
job.finishedAt = wall(now)
release(job, job.terms.rememberMs, inLost)
end
local function undo(job, state, inLost)
for _, entry in ipairs(limitsOf(job)) do
if entry.charged then owe('-', entry.limit, entry.counter, entry.at) end
end
job.state = state
release(job, math.min(HOUR, job.terms.rememberMs), inLost)
end
local function describe(job)
local plan
if job.charges == '' or job.charges == '!' then
plan = job.rest
else
limitsOf(job)
plan = job.terms.plan
end
return {
job.id, job.state, wall(job.at / 1000), wall(job.startedAt), job.finishedAt or '', job.leased and wall(job.untilTime) or '',
plan or '',
}
end`;

const limitsPiece = `local terms = {}
local function counterOf(limit)
if limit.key then return limit.name .. '\\0' .. limit.key end
return limit.name
end
local function overridden(limit, override)
for i = override and #override.limits or 0, 1, -1 do
local other = override.limits[i]
if other.name == limit.name then
if other.kind ~= limit.kind then return limit end
local copy = {}
for property, value in pairs(other) do copy[property] = value end
copy.key = limit.key
return copy
end
end
return limit
end
local function termsOf(job, ref)
if ref == '' then return nil end
if not terms[ref] and job.rest ~= '' then
for other, value in pairs(cjson.decode(job.rest)) do terms[other] = value end
end
terms[ref] = terms[ref] or cjson.decode(call('HGET', customerKey, 't' .. ref))
return terms[ref]
end
local function limitsOf(job)
if job.limits then return job.limits end
local limits, seen = {}, {}
for ref, overrideRef, shadowed, at in string.gmatch(job.charges, '([%w_-]+)%.([%w_-]*)~([%d,]*)@?(%d*)') do
local of, override = termsOf(job, ref), termsOf(job, overrideRef)
job.terms = job.terms or of
for i, limit in ipairs(of.limits) do
local counter = counterOf(limit)
if not seen[counter] then
seen[counter] = limit.kind == 'concurrency' or overridden(limit, override).limit ~= nil
limits[#limits + 1] = {
limit = overridden(limit, override), counter = counter, at = at ~= '' and at or job.at,
charged = not string.find(',' .. shadowed .. ',', ',' .. i .. ',', 1, true),
}
end
end
end
job.limits = limits
return limits
end
local function refsOf(job)
local refs = {}
for ref, overrideRef in string.gmatch(job.charges, '([%w_-]+)%.([%w_-]*)~') do
refs[ref] = termsOf(job, ref)
if overrideRef ~= '' then refs[overrideRef] = termsOf(job, overrideRef) end
end
return refs
end
local function leaseEnd(job)
local maxRun, heartbeat = math.huge, math.huge
for _, entry in ipairs(limitsOf(job)) do
maxRun = math.min(maxRun, entry.limit.maxRunMs or math.huge)
heartbeat = math.min(heartbeat, entry.limit.heartbeatMs or math.huge)
end
if maxRun == math.huge then return nil end
return math.min(job.startedAt + maxRun, now + heartbeat)
end`;

const logPiece = `local function countLog(key, edge)
local used = call('LLEN', key)
if used == 0 then return 0 end
local oldest = tonumber(call('LINDEX', key, 0))
if oldest > edge then return used, oldest end
local second = used > 1 and tonumber(call('LINDEX', key, 1))
if second and second > edge then
call('LPOP', key)
return used - 1, second
end
if tonumber(call('LINDEX', key, -1)) <= edge then
call('DEL', key)
return 0
end
local old, fresh = 0, used - 1
while fresh - old > 1 do
local middle = math.floor((old + fresh) / 2)
if tonumber(call('LINDEX', key, middle)) <= edge then old = middle else fresh = middle end
end
call('LTRIM', key, fresh, -1)
return used - fresh, tonumber(call('LINDEX', key, 0))
end`;

const openPiece = `local call = redis.call
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
local now, stamp = math.floor(micros / 1000), string.format('%.0f', micros)
local due, jobs = tonumber(book[3]) or math.huge, tonumber(book[4]) or 0
local window = tonumber(book[6]) or 0
local put, changed, gone, held, owed, needed = {}`;

const owedPiece = `local function settleLog(counter, key, refundKey)
for sign, at, time, windowMs, most in string.gmatch(owedOf(counter), '([+-])(%d+)@(%d+)/(%d+)/(%d+)') do
if sign == '+' then
call('RPUSH', key, at)
call('PEXPIRE', key, windowMs + 1)
elseif tonumber(at) > time - windowMs * 1000
and countLog(refundKey, time - windowMs * 1000) < tonumber(most) and call('LREM', key, -1, at) > 0 then
call('RPUSH', refundKey, time)
call('PEXPIRE', refundKey, windowMs + 1)
end
end
setOwed(counter, '')
end`;

const ratesPiece = `local function owe(sign, limit, counter, at)
if limit.kind ~= 'creation-rate' or not limit.limit then return end
local time = sign == '+' and at or stamp
setOwed(counter, owedOf(counter) .. sign .. at .. '@' .. time .. '/' .. limit.windowMs .. '/' .. limit.limit .. ';')
end
local function chargeRates(job)
for _, entry in ipairs(limitsOf(job)) do
entry.at = stamp
if entry.charged then owe('+', entry.limit, entry.counter, stamp) end
end
job.at = stamp
job.charges = string.gsub(job.charges, '@%d+', '')
end`;

const recordPiece = `local function readRecord(text, id)
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
end`;

const savePiece = `if changed then
for field, value in pairs(changed) do
if value then
put[#put + 1] = field
put[#put + 1] = value
else
gone[#gone + 1] = field
end
end
if #gone > 0 then
call('HDEL', customerKey, unpack(gone))
dirty = true
end
end
if dirty or #put > 0 then
local size, keep = #put, tonumber(book[5]) or 0
local idle = window > 600000 and window or 600000
local wanted = now + idle
if jobs > 0 and needed and needed > wanted then wanted = needed end
local renew = keep < wanted or (jobs == 0 and keep > wanted + idle)
if renew then
keep = wanted + idle
put[size + 1], put[size + 2] = '.keep', keep
size = size + 2
end
if ahead ~= (tonumber(book[2]) or 0) then
put[size + 1], put[size + 2] = '.ahead', ahead
size = size + 2
end
if due ~= (tonumber(book[3]) or math.huge) then
put[size + 1], put[size + 2] = '.due', due == math.huge and '' or due
size = size + 2
end
call('HSET', customerKey, '.time', stamp, '.jobs', jobs, unpack(put))
if renew then call('PEXPIRE', customerKey, keep - now) end
end`;

const settlePiece = `if now >= due then
local entries = call('HGETALL', customerKey)
local left = 1000
due = math.huge
for i = 1, #entries, 2 do
local kind, name, text = string.sub(entries[i], 1, 1), string.sub(entries[i], 2), entries[i + 1]
if kind == 'j' then
local untilTime = tonumber(string.match(text, '^%a;%d*;%d*;%d*;(%d+)'))
if untilTime > now then
due = math.min(due, untilTime)
elseif left == 0 then
due = now
else
left = left - 1
local earliest = due
local job = readRecord(text, name)
job.leased = true
if job.state == 'p' then
undo(job, 'l', true)
lapsed[#lapsed + 1] = name
else
release(job, MONTH, true)
end
call('HDEL', customerKey, 'j' .. name)
changed['j' .. name] = nil
due = earliest
end
elseif kind == 'w' then
local time, over = string.match(text, '@(%d+)/(%d+)/%d+;$')
if time + over * 1000 <= micros and owedOf(name) == text then setOwed(name, '') end
end
end
if jobs == 0 then due = math.huge end
dirty = true
end`;

// prettier-ignore
export const admit = script('admit', 'a04d2ad6d9c00a951203de47eb4100046d528c69', [`local id, run, ref = ARGV[2], ARGV[3], ARGV[4]
local adopt = ARGV[7] == '1'
local FIRST, EACH = 8, 4
local more = { 'j' .. id, 't' .. ref }
for i = FIRST, #ARGV, EACH do more[#more + 1] = ARGV[i] end`, openPiece, `local count = (#ARGV - FIRST + 1) / EACH
local rare = book[9] or not book[10] or now >= due
for n = 1, count do
if book[10 + n] and ARGV[FIRST + (n - 1) * EACH + 2] ~= '' then rare = true end
end
local lapsed, overrideJson, overrideRef = {}, '', ''
local replayed, replayedRun, known, take, beforeCharge, addToJob
if rare or call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) > 0 then`, changesPiece, recordPiece, limitsPiece, ratesPiece, leasesPiece, settlePiece, logPiece, owedPiece, `take = hold
local asked = cjson.decode(ARGV[5])
terms[ref] = asked
local override = call('GET', KEYS[4])
if override then
overrideRef, overrideJson = string.sub(override, 1, 8), string.sub(override, 9)
terms[overrideRef] = cjson.decode(overrideJson)
end
local nextKey = 5
for n = 1, count do
local i = FIRST + (n - 1) * EACH
local limit = overridden(asked.limits[n], terms[overrideRef])
if limit ~= asked.limits[n] then
ARGV[i + 1], ARGV[i + 2] = limit.limit or '', limit.windowMs or ''
ARGV[i + 3] = limit.mode == 'shadow' and '1' or ''
end
local counter = string.sub(ARGV[i], 2)
if limit.kind == 'concurrency' then
book[10 + n] = heldOf(counter)
else
if owedOf(counter) ~= '' then settleLog(counter, KEYS[nextKey], KEYS[nextKey + 1]) end
nextKey = nextKey + 2
end
end
local job = find(id, KEYS[3])
local ended = job and job.charges == '!'
local again = job and not ended and job.state ~= 'u' and job.state ~= 'l'
if (ended and adopt) or (again and job.run ~= run) then
replayed, replayedRun = describe(job), job.run
elseif again then
local charged = {}
if job.state == 'p' then
for _, entry in ipairs(limitsOf(job)) do
if entry.limit.kind == 'concurrency' or entry.limit.limit then charged[entry.counter] = 'own' end
end
end
known = {}
for n = 1, count do
known[n] = job.state ~= 'p' and 'settled' or charged[string.sub(ARGV[FIRST + (n - 1) * EACH], 2)]
end
addToJob = function(charges)
job.charges = job.charges .. '+' .. charges .. (job.at == stamp and '' or '@' .. stamp)
keepTerms(job)
lease(job, job.untilTime)
end
else
beforeCharge = function()
if job and job.lost then call('HDEL', lostKey, id) elseif job then call('DEL', KEYS[3]) end
local used = { [ref] = 1, [overrideRef] = 1 }
if not book[10] then storeTerms(ref, ARGV[5], used) end
if override and call('HEXISTS', customerKey, 't' .. overrideRef) == 0 then
storeTerms(overrideRef, overrideJson, used)
end
end
end
end
local answer = { 1, lapsed, overrideJson, '' }
local charging, free, refused, shadowed = not known and not replayed, ',', false, ''
local nextKey = 5
for n = 1, replayed and 0 or count do
local i, row = FIRST + (n - 1) * EACH, n * 4
local most, windowMs = ARGV[i + 1] ~= '' and tonumber(ARGV[i + 1]), ARGV[i + 2]
local key, used, reset, retry, oldest = nil, 0, -1, -1, nil
if windowMs == '' then
used = tonumber(book[10 + n]) or 0
else
key = KEYS[nextKey]
nextKey = nextKey + 2
used = call('LLEN', key)
if used > 0 then
oldest = tonumber(call('LINDEX', key, 0))
local edge = micros - windowMs * 1000
if oldest <= edge then`, logPiece, `used, oldest = countLog(key, edge)
end
if most and most > 0 and used > most then oldest = call('LINDEX', key, -most) end
if oldest then reset = math.ceil((oldest - micros) / 1000) + windowMs end
end
end
local own = known and known[n]
if not own then charging = true end
if adopt then
if key then free = free .. n .. ',' end
elseif most and used - (own and 1 or 0) >= most and own ~= 'settled' then
if not own then free = free .. n .. ',' end
if ARGV[i + 3] ~= '1' then
refused = true
if key then
retry = most == 0 and 0 or reset
else
local last, every = tonumber(book[7]), tonumber(book[8])
if not every or now - last > 300000 then every = 10000 end
retry = most == 0 and 0 or math.min(60000, math.max(1000, math.floor(every)))
end
elseif not own then
shadowed = shadowed .. (shadowed == '' and '' or ',') .. n
end
end
answer[row + 1], answer[row + 2], answer[row + 3], answer[row + 4] = n, used, reset, retry
end
if charging and not refused then
if beforeCharge then beforeCharge() end
nextKey = 5
for n = 1, count do
local i, row = FIRST + (n - 1) * EACH, n * 4
local windowMs, key = tonumber(ARGV[i + 2]), nil
if windowMs then
key = KEYS[nextKey]
nextKey = nextKey + 2
end
if not (known and known[n]) and (free == ',' or not string.find(free, ',' .. n .. ',', 1, true)) then
answer[row + 2] = answer[row + 2] + 1
if not key then
if take then
take(string.sub(ARGV[i], 2), 1)
else
put[#put + 1], put[#put + 2] = ARGV[i], answer[row + 2]
end
else
if ARGV[i + 1] ~= '' then
call('RPUSH', key, stamp)
call('PEXPIRE', key, windowMs + 1)
end
if answer[row + 3] < 0 then answer[row + 3] = windowMs end
if windowMs > window then
window = windowMs
put[#put + 1], put[#put + 2] = '.window', window
end
end
end
end
local charges = ref .. '.' .. overrideRef .. '~' .. string.sub(free, 2, -2)
if addToJob then
addToJob(charges)
else
local untilTime = now + ARGV[6]
put[#put + 1], put[#put + 2] = 'j' .. id, 'p;' .. stamp .. ';;;' .. untilTime .. ';' .. charges .. ';'
.. (run == id and ';' or #run .. ';' .. run)
jobs = jobs + 1
if untilTime < due then due = untilTime end
needed = untilTime + 3600000
end
end`, savePiece, `if replayed then return { 2, lapsed, replayed, replayedRun } end
answer[4] = shadowed
if refused then answer[1] = 0 end
return answer`]);

// prettier-ignore
export const commit = script('commit', '0c1fde091667e6be26973d241cde98cf79cbf4ca', [`local more, lapsed = {}, {}`, openPiece, changesPiece, recordPiece, limitsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2], KEYS[3])
local answer
if not job then
answer = 'unknown'
elseif ARGV[3] == '1' and job.run ~= ARGV[4] then
answer = 'superseded'
elseif job.state == 'p' then
start(job)
answer = 'committed'
elseif job.state == 'l' then
chargeRates(job)
start(job)
answer = 'reinstated'
elseif job.state == 'r' then
answer = 'already'
elseif job.state == 'u' then
answer = 'refunded'
else
answer = 'finished'
end`, savePiece, `return { answer, lapsed }`]);

// prettier-ignore
export const finish = script('finish', 'e947bbe9ca61161441d1c78d297ee9cc735a3702', [`local more, lapsed = {}, {}`, openPiece, changesPiece, recordPiece, limitsPiece, ratesPiece, leasesPiece, settlePiece, `local DAY = 86400000
local job = findJob(ARGV[2], KEYS[3])
local answer
if not job then
answer = 'unknown'
call('SET', KEYS[3], writeRecord({
id = ARGV[2], state = ARGV[3], at = stamp, startedAt = now, finishedAt = wall(now), untilTime = now + DAY, charges = '!',
run = ARGV[2], rest = '',
}), 'PX', DAY)
elseif job.state == 'u' then
answer = 'refunded'
elseif job.state == 'p' or job.state == 'l' or job.state == 'r' then
if job.state == 'l' then chargeRates(job) end
finish(job, ARGV[3])
answer = 'finished'
else
answer = 'already'
end`, savePiece, `return { answer, lapsed }`]);

// prettier-ignore
export const job = script('job', '002d9fed14fd1a36eb5a7b8bcb70312393b417fc', [`local more, lapsed = {}, {}`, openPiece, changesPiece, recordPiece, limitsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2], KEYS[3])`, savePiece, `return { job and describe(job) or '', lapsed }`]);

// prettier-ignore
export const layout = script('layout', '87e90168275462cb635ce19bbb5ec0a9c7d7ba40', [`local layout = redis.call('GET', KEYS[1])
if not layout then
redis.call('SET', KEYS[1], ARGV[1])
layout = ARGV[1]
end
return layout`]);

// prettier-ignore
export const override = script('override', 'c4e6475ecd7bc8a293fa42f49b42464a57432cbd', [`local stored = redis.call('GET', KEYS[1])
return stored and string.sub(stored, 9) or ''`]);

// prettier-ignore
export const reconcile = script('reconcile', 'c6a607650a7d753d940a0059d68f6baa6bc3ca3b', [`local more, lapsed = {}, {}`, openPiece, changesPiece, recordPiece, limitsPiece, ratesPiece, leasesPiece, settlePiece, `local grace, ref = tonumber(ARGV[2]), ARGV[3]
local asked = cjson.decode(ARGV[4])
local listed, finished, restored = {}, {}, {}
for i = 5, #ARGV do listed[ARGV[i]] = true end
if jobs > 0 then
local entries = call('HGETALL', customerKey)
for i = 1, #entries, 2 do
local id = string.sub(entries[i], 2)
if string.sub(entries[i], 1, 1) == 'j' and not listed[id] then
local job = readRecord(entries[i + 1], id)
job.leased = true
if job.state == 'r' and now - job.startedAt >= grace then
finish(job, 'c', true)
finished[#finished + 1] = id
end
end
end
end
local override, overrideRef = call('GET', KEYS[3]), ''
if override then
overrideRef = string.sub(override, 1, 8)
terms[overrideRef] = cjson.decode(string.sub(override, 9))
end
terms[ref] = asked
local rates = {}
for i, limit in ipairs(asked.limits) do
if limit.kind == 'creation-rate' then rates[#rates + 1] = i end
end
for i = 5, #ARGV do
local id, key = ARGV[i], KEYS[i - 1]
local job = listed[id] and findJob(id, key)
if not listed[id] then
job = nil
elseif not job then
job = {
id = id, state = 'r', at = stamp, untilTime = 0, run = id, rest = '', key = key,
charges = ref .. '.' .. overrideRef .. '~' .. table.concat(rates, ','),
}
elseif job.leased then
job = nil
elseif job.state == 'l' then
chargeRates(job)
elseif job.state ~= 'r' then
job = nil
end
listed[id] = nil
if job then
start(job)
if job.leased then restored[#restored + 1] = id end
end
end`, savePiece, `return { lapsed, finished, restored }`]);

// prettier-ignore
export const refund = script('refund', '9d835a59b897bb77d863f33f2bfed39cf7de5e00', [`local more, lapsed = {}, {}`, openPiece, changesPiece, recordPiece, limitsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2], KEYS[3])
local answer = 'nothing'
if job and job.run == ARGV[3] and (job.state == 'p' or job.state == 'r') then
undo(job, 'u')
answer = 'refunded'
end`, savePiece, `return { answer, lapsed }`]);

// prettier-ignore
export const renew = script('renew', '8fc5a2065193012b307b54e96529c3e3e8858cae', [`local more, lapsed = {}, {}`, openPiece, changesPiece, recordPiece, limitsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2], KEYS[3])
local answer
if not job then
answer = 'unknown'
elseif job.state == 'p' or job.state == 'l' then
answer = job.state == 'p' and 'renewed' or 'reinstated'
limitsOf(job)
if job.state == 'l' then chargeRates(job) end
job.state = 'p'
lease(job, now + job.terms.pendingMs)
elseif job.state == 'r' then
local untilTime = leaseEnd(job)
if not untilTime then
answer = 'renewed'
elseif untilTime <= now then
answer = 'overrun'
else
answer = job.leased and 'renewed' or 'reinstated'
lease(job, untilTime)
end
elseif job.state == 'u' then
answer = 'refunded'
else
answer = 'finished'
end`, savePiece, `return { answer, lapsed }`]);

// prettier-ignore
export const setOverride = script('set-override', '3878b550976fe016ba43f9b298e210c3a9ff3005', [`if ARGV[2] == '' then
redis.call('DEL', KEYS[1])
else
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2])
end
return 1`]);

// prettier-ignore
export const usage = script('usage', '5e9b7f4d191178ae6de8ac6fcafb1f1f04bcc7d1', [`local more, lapsed = {}, {}`, openPiece, changesPiece, recordPiece, limitsPiece, ratesPiece, leasesPiece, settlePiece, logPiece, owedPiece, `local override = call('GET', KEYS[3])
override = override and string.sub(override, 9)
local overrides = override and cjson.decode(override)
local running = {}
local answer = { lapsed, override or '', running }
local nextKey = 4
for i, limit in ipairs(cjson.decode(ARGV[2]).limits) do
local key, refundKey
if limit.kind == 'creation-rate' then
key, refundKey = KEYS[nextKey], KEYS[nextKey + 1]
nextKey = nextKey + 2
end
limit = overridden(limit, overrides)
local counter, used, reset = counterOf(limit), nil, -1
if key then
if owedOf(counter) ~= '' then settleLog(counter, key, refundKey) end
local oldest
used, oldest = countLog(key, micros - limit.windowMs * 1000)
local most = limit.limit
if most and most > 0 and used > most then oldest = call('LINDEX', key, -most) end
if oldest then reset = math.ceil((oldest - micros) / 1000) + limit.windowMs end
else
used = heldOf(counter)
end
answer[#answer + 1] = i
answer[#answer + 1] = used
answer[#answer + 1] = reset
end
if jobs > 0 then
local entries = call('HGETALL', customerKey)
for i = 1, #entries, 2 do
if string.sub(entries[i], 1, 1) == 'j' then
local job = readRecord(entries[i + 1], string.sub(entries[i], 2))
job.leased = true
running[#running + 1] = describe(job)
end
end
end`, savePiece, `return answer`]);
