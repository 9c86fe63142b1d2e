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

const bookPiece = `local call = redis.call
local customerKey = KEYS[1]
local book = call('HMGET', customerKey, '.time', '.ahead', '.due', '.jobs', '.keep', '.window', '.freed', '.every')
local clock = call('TIME')
local micros = clock[1] * 1000000 + clock[2] + ARGV[1] * 1000
local ahead = tonumber(book[2]) or 0
local latest = tonumber(book[1]) or 0
micros = micros + ahead
if micros < latest then
ahead = ahead + latest - micros
micros = latest
end
local now, stamp = math.floor(micros / 1000), string.format('%.0f', micros)
local due = tonumber(book[3]) or math.huge
local jobs = tonumber(book[4]) or 0
local keep = tonumber(book[5]) or 0
local window = tonumber(book[6]) or 0
local IDLE = 600000
local needed = 0
local dirty = false
local put, gone, held, owed, changed = {}, {}, {}, {}, {}
local function set(field, value)
put[#put + 1] = field
put[#put + 1] = value
end
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
local function save()
for field, value in pairs(changed) do
if value then set(field, value) else gone[#gone + 1] = field end
end
if #put + #gone == 0 and not dirty then return end
if #gone > 0 then call('HDEL', customerKey, unpack(gone)) end
local idle = math.max(IDLE, window)
local wanted = now + idle
if jobs > 0 then wanted = math.max(wanted, needed) end
local renew = keep < wanted or (jobs == 0 and keep > wanted + idle)
if renew then
keep = wanted + idle
set('.keep', keep)
end
call('HSET', customerKey, '.time', micros, '.ahead', ahead, '.due', due == math.huge and '' or due, '.jobs', jobs,
unpack(put))
if renew then call('PEXPIRE', customerKey, keep - now) end
end
local function wall(time)
return time and math.floor(time - ahead / 1000) or ''
end`;

const countersPiece = `local function countLog(key, edge)
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
end
local function settleLog(limit, counter, key, refundKey)
for sign, at, time in string.gmatch(owedOf(counter), '([+-])(%d+)@(%d+)/') do
if sign == '+' then
call('RPUSH', key, at)
call('PEXPIRE', key, limit.windowMs + 1)
elseif countLog(refundKey, time - limit.windowMs * 1000) < (limit.limit or math.huge) then
if call('LREM', key, -1, at) > 0 then
call('RPUSH', refundKey, time)
call('PEXPIRE', refundKey, limit.windowMs + 1)
end
end
end
setOwed(counter, '')
end
local function untilOver(time, limit)
return math.ceil((time - micros) / 1000) + limit.windowMs
end
local function look(limit, key, refundKey)
local counter = counterOf(limit)
local entry = { limit = limit, counter = counter, key = key, reset = -1, retry = -1 }
if limit.kind == 'concurrency' then
entry.used = heldOf(counter)
return entry
end
if owedOf(counter) ~= '' then settleLog(limit, counter, key, refundKey) end
local oldest
entry.used, oldest = countLog(key, micros - limit.windowMs * 1000)
if oldest then entry.reset = untilOver(oldest, limit) end
return entry
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
set('.terms', 0)
end
local function keepTerms(job)
local refs = refsOf(job)
for ref, value in pairs(refs) do
if call('HEXISTS', customerKey, 't' .. ref) == 0 then
call('HSET', customerKey, 't' .. ref, cjson.encode(value))
if call('HINCRBY', customerKey, '.terms', 1) >= TIDY_TERMS then tidyTerms(refs) end
end
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
needed = math.max(needed, untilTime + (job.state == 'r' and MONTH or HOUR))
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
if job.charges ~= '' then
limitsOf(job)
plan = job.terms.plan
else
plan = job.rest
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
seen[counter] = true
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

const ratesPiece = `local function owe(sign, limit, counter, at)
if limit.kind ~= 'creation-rate' or not limit.limit then return end
local time = sign == '+' and at or stamp
setOwed(counter, owedOf(counter) .. sign .. at .. '@' .. time .. '/' .. limit.windowMs .. ';')
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

const settlePiece = `local lapsed = {}
if now >= due then
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
local time, over = string.match(text, '@(%d+)/(%d+);$')
if time + over * 1000 <= micros and owedOf(name) == text then setOwed(name, '') end
end
end
if jobs == 0 then due = math.huge end
dirty = true
end`;

// prettier-ignore
export const admit = script('admit', '258b2519a0ce3dcbd71e462c9975e84a6fd10142', [bookPiece, limitsPiece, recordPiece, ratesPiece, leasesPiece, settlePiece, countersPiece, `local id, run, ref = ARGV[2], ARGV[3], ARGV[4]
local adopt = ARGV[6] == '1'
local asked = cjson.decode(ARGV[5])
terms[ref] = asked
local override, overrideRef = call('GET', KEYS[4]), ''
if override then
overrideRef, override = string.sub(override, 1, 8), string.sub(override, 9)
terms[overrideRef] = cjson.decode(override)
end
local function estimate()
local last, every = tonumber(book[7]), tonumber(book[8])
if not every or now - last > 300000 then return 10000 end
return math.min(60000, math.max(1000, math.floor(every)))
end
local entries, answer, shadowed, refused = {}, { 1, lapsed, override or '' }, {}, false
local function lookAt(wanted)
local nextKey = 5
entries = {}
for i, limit in ipairs(asked.limits) do
local key, refundKey
if limit.kind == 'creation-rate' then
key, refundKey = KEYS[nextKey], KEYS[nextKey + 1]
nextKey = nextKey + 2
end
if not wanted or wanted(counterOf(limit)) then
local entry = look(overridden(limit, terms[overrideRef]), key, refundKey)
entry.index = i
entries[#entries + 1] = entry
end
end
end
local function decide()
for _, entry in ipairs(entries) do
local most = entry.limit.limit
if adopt then
entry.free = entry.key
elseif most and entry.used >= most then
entry.free = true
if entry.limit.mode == 'shadow' then
shadowed[#shadowed + 1] = entry.index
else
refused = true
if most == 0 then
entry.retry = 0
elseif entry.key then
entry.retry = untilOver(tonumber(call('LINDEX', entry.key, -most)), entry.limit)
else
entry.retry = estimate()
end
end
end
end
end
local function charge()
local free = {}
for _, entry in ipairs(entries) do
if entry.free then
free[#free + 1] = entry.index
else
entry.used = entry.used + 1
if entry.key then
local windowMs = entry.limit.windowMs
if entry.limit.limit then
call('RPUSH', entry.key, stamp)
call('PEXPIRE', entry.key, windowMs + 1)
end
if entry.reset < 0 then entry.reset = windowMs end
if windowMs > window then
window = windowMs
changed['.window'] = window
end
end
end
end
return ref .. '.' .. overrideRef .. '~' .. table.concat(free, ',')
end
local function report()
save()
if refused then answer[1] = 0 end
answer[4] = table.concat(shadowed, ',')
for _, entry in ipairs(entries) do
answer[#answer + 1] = entry.index
answer[#answer + 1] = entry.used
answer[#answer + 1] = entry.reset
answer[#answer + 1] = entry.retry
end
return answer
end
local job = find(id, KEYS[3])
if job and job.charges == '!' then
if adopt then return { 2, lapsed, describe(job) } end
job = nil
end
if not job or job.state == 'u' or job.state == 'l' then
lookAt()
decide()
if not refused then
if job and job.lost then call('HDEL', lostKey, id) end
lease({
id = id, state = 'p', at = stamp, charges = charge(), run = run, rest = '', key = job and KEYS[3],
}, now + asked.pendingMs)
end
return report()
end
if job.run ~= run then
save()
return { 2, lapsed, describe(job) }
end
if job.state == 'p' then
local known = {}
for _, entry in ipairs(limitsOf(job)) do known[entry.counter] = true end
lookAt(function(counter) return not known[counter] end)
decide()
if refused then return report() end
if #entries > 0 then
job.charges = job.charges .. '+' .. charge() .. (job.at == stamp and '' or '@' .. stamp)
for _, entry in ipairs(entries) do
if not entry.free and not entry.key then hold(entry.counter, 1) end
end
keepTerms(job)
lease(job, job.untilTime)
end
end
lookAt()
return report()`]);

// prettier-ignore
export const commit = script('commit', 'dd1231e6ca24c11b6ad8e7965ecd199cc57c7835', [bookPiece, limitsPiece, recordPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2], KEYS[3])
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
end
save()
return { answer, lapsed }`]);

// prettier-ignore
export const finish = script('finish', 'ae432c3c210c14ef704533eea3fe8cf582dd4096', [bookPiece, limitsPiece, recordPiece, ratesPiece, leasesPiece, settlePiece, `local DAY = 86400000
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
end
save()
return { answer, lapsed }`]);

// prettier-ignore
export const job = script('job', '3a1bd20b2675bc65c5ab9682007de4df1512ed3c', [bookPiece, limitsPiece, recordPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2], KEYS[3])
save()
return { job and describe(job) or '', lapsed }`]);

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
export const reconcile = script('reconcile', '3382f8691cf703ea21131f96238ab7fe67fff37c', [bookPiece, limitsPiece, recordPiece, ratesPiece, leasesPiece, settlePiece, `local grace, ref = tonumber(ARGV[2]), ARGV[3]
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
end
save()
return { lapsed, finished, restored }`]);

// prettier-ignore
export const refund = script('refund', '0ef111131a7c1b2d4a74cb3d63ce5ca1dd93685d', [bookPiece, limitsPiece, recordPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2], KEYS[3])
local answer = 'nothing'
if job and job.run == ARGV[3] and (job.state == 'p' or job.state == 'r') then
undo(job, 'u')
answer = 'refunded'
end
save()
return { answer, lapsed }`]);

// prettier-ignore
export const renew = script('renew', '25a5a0fe2f286cb87f9304ba7540a549e1ad4a55', [bookPiece, limitsPiece, recordPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2], KEYS[3])
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
end
save()
return { answer, lapsed }`]);

// prettier-ignore
export const setOverride = script('set-override', '3878b550976fe016ba43f9b298e210c3a9ff3005', [`if ARGV[2] == '' then
redis.call('DEL', KEYS[1])
else
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2])
end
return 1`]);

// prettier-ignore
export const usage = script('usage', 'b0a94a7db25256f27770e6e66bc111af83f04fc8', [bookPiece, limitsPiece, recordPiece, ratesPiece, leasesPiece, settlePiece, countersPiece, `local override = call('GET', KEYS[3])
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
local entry = look(overridden(limit, overrides), key, refundKey)
answer[#answer + 1] = i
answer[#answer + 1] = entry.used
answer[#answer + 1] = entry.reset
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
end
save()
return answer`]);
