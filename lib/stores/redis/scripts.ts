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

const changesPiece = `changed = {}
local fields = {}
for i, field in ipairs(more) do fields[field] = book[8 + i] end
read = function(field)
local value = changed[field]
if value ~= nil then return value end
if fields[field] == nil then fields[field] = call('HGET', customerKey, field) end
return fields[field]
end
local function callAll(command, key, list)
for i = 1, #list, 1000 do call(command, key, unpack(list, i, math.min(i + 999, #list))) end
end
local function heldOf(counter)
return tonumber(read('n' .. counter)) or 0
end
local function hold(counter, by)
local held = heldOf(counter) + by
changed['n' .. counter] = held > 0 and held
end
local owing = {}
local function owedOf(counter)
local text = read('w' .. counter) or ''
if owing[counter] then
text = text .. table.concat(owing[counter])
changed['w' .. counter], owing[counter] = text, nil
end
return text
end
local function setOwed(counter, text)
changed['w' .. counter] = text ~= '' and text
end
local function wall(time)
return math.floor(time - ahead / 1000)
end`;

const freesPiece = `redis.call('HDEL', KEYS[1], '')`;

const leasesPiece = `local TIDY_TERMS = 16
local function find(id)
local text = read('j' .. id)
if text then
local job = readRecord(text, id)
job.leased = true
return job
end
text = recordOf(id)
if not text then return nil end
local job = readRecord(text, id)
job.kept = true
if forgetAt(job) > date then return job end
drop(job)
end
local function findJob(id)
local job = find(id)
if job and not job.unadmitted then return job end
end
local function tidyTerms(used)
local function use(record)
for ref, overrideRef in string.gmatch(readRecord(record).charges, '([%w_-]+)%.([%w_-]*)~') do
used[ref], used[overrideRef] = 1, 1
end
end
local entries = call('HGETALL', customerKey)
for i = 1, #entries, 2 do
if string.sub(entries[i], 1, 1) == 'j' then use(entries[i + 1]) end
end
for field, value in pairs(changed) do
if value and string.sub(field, 1, 1) == 'j' then use(value) end
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
if job.kept then drop(job) end
for _, entry in ipairs(limits) do
if entry.charged and entry.limit.kind == 'concurrency' then hold(entry.counter, 1) end
end
job.rest, job.overrunAt, job.tries, job.leased = '', nil, 0, true
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
local function release(job, memory)
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
job.leased = false
if string.find('rl', job.state, 1, true) then
job.rest = cjson.encode(refsOf(job))
else
job.rest, job.charges = job.terms.plan or '', ''
end
local hardEnd = job.state == 'r' and hardEndOf(job)
if hardEnd then
job.overrunAt = wall(hardEnd)
job.untilTime = job.overrunAt + MONTH
elseif memory then
job.untilTime = date + memory
end
if forgetAt(job) > date then
keep(job)
elseif job.kept then
drop(job)
end
end
local function start(job)
job.state = 'r'
job.startedAt = job.startedAt or now
local untilTime = leaseEnd(job)
if not untilTime then return release(job, job.terms.rememberMs) end
if untilTime > now then
lease(job, untilTime)
elseif job.leased then
changed['j' .. job.id] = writeRecord(job)
end
if job.leased then sweep = math.min(sweep, wall(hardEndOf(job))) end
end
local function finish(job, state, times, units)
limitsOf(job)
local terms = job.terms
local retention = terms.retention or {}
local failed = state == 'f' or state == 'o'
times = times or failed and retention.failed or terms.retention
if job.pinned and not times then times = { resultsMs = 0, metadataMs = terms.rememberMs } end
job.state, job.tries, job.overrunAt, job.noticeMs = state, 0, nil, retention.noticeMs
job.finishedAt, job.admittedAt, job.startedAt = date, wall(job.at / 1000), wall(job.startedAt or now)
job.resultsAt = times and date + times.resultsMs
job.metadataAt = date + (times and times.metadataMs or terms.rememberMs)
local settled = settleQuotas(job, units, times ~= nil)
release(job)
return settled
end
local function reinstate(job)
for _, entry in ipairs(limitsOf(job)) do
entry.at, entry.date = stamp, date
if entry.charged and entry.limit.kind == 'quota' then
chargeQuota(entry, entry.amount, true)
elseif entry.charged then
owe('+', entry.limit, entry.counter, stamp)
end
end
job.at = stamp
job.charges = string.gsub(string.gsub(job.charges, '@%d+', ''), '%^%d+', '')
if ahead > 0 then job.charges = string.gsub(job.charges, '#[%d,]+', '%0^' .. string.format('%.0f', ahead)) end
if job.pinned then countPins(1) end
end
local function undo(job, state)
for _, entry in ipairs(limitsOf(job)) do
if entry.charged and entry.limit.kind == 'quota' then
chargeQuota(entry, -entry.amount)
elseif entry.charged then
owe('-', entry.limit, entry.counter, entry.at)
end
end
if job.pinned then countPins(-1) end
job.state = state
release(job, math.min(HOUR, job.terms.rememberMs))
end
local function store(job)
if job.leased then changed['j' .. job.id] = writeRecord(job) else keep(job) end
end
local function pin(job, reason)
local held = isHeld(job)
job.pinned, job.tries = reason, 0
if held ~= isHeld(job) then countPins(held and -1 or 1) end
store(job)
end
local function describe(job)
local plan, startedAt, admittedAt = job.rest, job.startedAt, job.admittedAt
if not job.finishedAt then
admittedAt = wall(job.at / 1000)
startedAt = startedAt and wall(startedAt)
if job.charges ~= '' then
limitsOf(job)
plan = job.terms.plan
end
end
local expired = ''
if job.resultsAt and not job.pinned and date >= job.resultsAt then
expired = date >= job.metadataAt and 'metadata' or 'results'
end
return {
job.id, job.state, admittedAt, startedAt or '', job.finishedAt or '', job.leased and wall(job.untilTime) or '', plan or '',
job.resultsAt or '', job.resultsAt and job.metadataAt or '', expired, job.pinned or '',
}
end`;

const limitsPiece = `local terms = {}
local function counterOf(limit)
if limit.key then return limit.name .. '\\0' .. limit.key end
return limit.name
end
local function overridden(limit, override)
if not override then return limit end
local other = limit
for _, one in ipairs(override.limits) do
if one.name == limit.name then other = one end
end
if other.kind ~= limit.kind then other = limit end
if other == limit and override.mode ~= 'shadow' then return limit end
local copy = {}
for property, value in pairs(other) do copy[property] = value end
copy.key = limit.key
if override.mode == 'shadow' then copy.mode = 'shadow' end
return copy
end
local function termsOf(job, ref)
if ref == '' then return nil end
if not terms[ref] and job.rest ~= '' then
for other, value in pairs(cjson.decode(job.rest)) do terms[other] = value end
end
terms[ref] = terms[ref] or cjson.decode(read('t' .. ref))
return terms[ref]
end
local function limitsOf(job)
if job.limits then return job.limits end
local limits, seen = {}, {}
for ref, overrideRef, free, amounts, at, wasAhead in
string.gmatch(job.charges, '([%w_-]+)%.([%w_-]*)~([%d,]*)#?([%d,]*)@?(%d*)%^?(%d*)') do
local of, override = termsOf(job, ref), termsOf(job, overrideRef)
job.terms = job.terms or of
if at == '' then at = job.at end
local nextAmount, maxRun = string.gmatch(amounts, '%d+'), math.huge
local first = #limits + 1
for i, asked in ipairs(of.limits) do
local limit, counter = overridden(asked, override), counterOf(asked)
local amount = limit.kind == 'quota' and tonumber(nextAmount() or 0) or nil
maxRun = math.min(maxRun, limit.maxRunMs or math.huge)
if not seen[counter] then
seen[counter] = limit.kind ~= 'creation-rate' or limit.limit ~= nil
limits[#limits + 1] = {
limit = limit, counter = counter, at = at, amount = amount,
date = math.floor((at - (tonumber(wasAhead) or 0)) / 1000),
charged = not string.find(',' .. free .. ',', ',' .. i .. ',', 1, true),
}
end
end
for i = first, #limits do limits[i].maxRun = maxRun end
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
local function shortest(job, property)
local least = math.huge
for _, entry in ipairs(limitsOf(job)) do least = math.min(least, entry.limit[property] or math.huge) end
return least
end
local function hardEndOf(job)
local maxRun = shortest(job, 'maxRunMs')
if maxRun < math.huge then return job.startedAt + maxRun end
end
local function leaseEnd(job)
local hardEnd = hardEndOf(job)
return hardEnd and math.min(hardEnd, now + shortest(job, 'heartbeatMs'))
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
local now, stamp, date = math.floor(micros / 1000), string.format('%.0f', micros), math.floor((micros - ahead) / 1000)
local due, jobs = tonumber(book[3]) or math.huge, tonumber(book[4]) or 0
local window = tonumber(book[6]) or 0
local put, changed, read, flush, lastQuota, needed, lasting = {}`;

const overridePiece = `local function overrideIn(key)
local stored = call('HGET', key, customer)
local ref, expiresAt, json = string.match(stored or '', '^(%S+) %d+ (%d*)\\n([^\\n]*)\\n')
if not ref or (expiresAt ~= '' and tonumber(expiresAt) <= date) then return '', '' end
terms[ref] = cjson.decode(json)
return stored, ref, json
end`;

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

const periodPiece = `local function periodOf(per, at)
if per == 's' then return 0, 0 end
local length = per == 'h' and 3600000 or 86400000
local start = at - at % length
if per ~= 'm' then return start, start + length end
local function monthOf(days)
local shifted = days + 719468
local rest = shifted % 146097
local years = math.floor((rest - math.floor(rest / 1460) + math.floor(rest / 36524) - math.floor(rest / 146096)) / 365)
local day = rest - (365 * years + math.floor(years / 4) - math.floor(years / 100))
return days - day + math.floor((153 * math.floor((5 * day + 2) / 153) + 2) / 5)
end
local first = monthOf(start / 86400000)
return first * 86400000, monthOf(first + 31) * 86400000
end`;

const quotasPiece = `local PERS = { hour = 'h', day = 'd', month = 'm', stored = 's' }
local function correct(counter, per, start, ending, by, untilDate)
local field = 'q' .. counter
local head, found, text = per .. start .. '-' .. ending .. ':', false, ''
local function add(which, used, time)
if time > date or (per == 's' and used > 0) then
text = text .. which .. string.format('%.0f', used) .. ':' .. string.format('%.0f', time) .. ';'
end
end
for which, used, time in string.gmatch(read(field) or '', '(%a%d+%-%d+:)(%d+):(%d+);') do
used, time = tonumber(used), tonumber(time)
if which == head and (untilDate or per == 's' or time > date) then
found = true
used, time = math.max(0, used + by), math.max(time, untilDate or 0)
end
add(which, used, time)
end
if not found then
if not untilDate then return false end
local older = text
text = ''
add(head, math.max(0, by), untilDate)
text = text .. older
end
if untilDate then lasting = math.max(lasting or 0, now + untilDate - date) end
changed[field] = text ~= '' and text
return true
end
local function usedOf(counter, per)
local start, ending = periodOf(per, date)
local used = string.match(';' .. (read('q' .. counter) or ''), ';' .. per .. start .. '%-' .. ending .. ':(%d+)')
return tonumber(used) or 0, ending
end
local function rememberedUntil(entry, ending)
return ending + math.min(entry.maxRun, 2592000000) + 86400000
end
local function chargeQuota(entry, by, make)
local per = PERS[entry.limit.per]
local start, ending = periodOf(per, entry.date)
return correct(entry.counter, per, start, ending, by, make and (per == 's' and 0 or rememberedUntil(entry, ending)))
end
local function settleQuotas(job, units, keeps)
local settled = true
for _, entry in ipairs(limitsOf(job)) do
if entry.charged and entry.limit.kind == 'quota' then
local isStored = entry.limit.per == 'stored'
local used = units and units[entry.limit.unit] or entry.amount
if isStored and not keeps then used = 0 end
if isStored and used > 0 then
job.stored = job.stored or {}
job.stored[#job.stored + 1] = { counter = entry.counter, amount = used }
end
local by = used - entry.amount
if by ~= 0 and not chargeQuota(entry, by) then
local _, ending = periodOf(PERS[entry.limit.per], entry.date)
if not isStored and rememberedUntil(entry, ending) <= date then
settled = false
elseif by > 0 then
chargeQuota(entry, by, true)
end
end
end
end
return settled
end
lastQuota = function()
local last = 0
local entries = call('HGETALL', customerKey)
for i = 1, #entries, 2 do
if string.sub(entries[i], 1, 1) == 'q' then
for per, used, time in string.gmatch(entries[i + 1], '(%a)%d+%-%d+:(%d+):(%d+);') do
local ms = per == 's' and call('PTTL', KEYS[2]) or time - date
last = math.max(last, now + ms)
end
end
end
return last
end`;

const ratesPiece = `local function owe(sign, limit, counter, at)
if limit.kind ~= 'creation-rate' or not limit.limit then return end
local time = sign == '+' and at or stamp
local pieces = owing[counter] or {}
owing[counter] = pieces
pieces[#pieces + 1] = sign .. at .. '@' .. time .. '/' .. limit.windowMs .. '/' .. limit.limit .. ';'
end`;

const recordPiece = `local function readRecord(text, id)
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
end`;

const recordsPiece = `local recordsKey, scheduleKey, dueKey = KEYS[2], KEYS[3], KEYS[4]
local customer = string.sub(customerKey, #dueKey)
local HOUR, DAY, MONTH, CENTURY = 3600000, 86400000, 2592000000, 3155760000000
local APART = 1e15
local TIDY = 10
local records, scores, loaded, sweep = {}, {}, {}, math.huge
local lastForget, holds = 0, false
local function isHeld(job)
return job.pinned ~= nil and job.state ~= 'l' and job.state ~= 'u'
end
local function forgetAt(job)
if isHeld(job) then return date + CENTURY end
if job.finishedAt then return job.metadataAt + (job.resultsAt and MONTH or 0) end
return job.untilTime
end
local function taskOf(job)
if not job.finishedAt then
if job.overrunAt then return 'o', job.overrunAt end
elseif job.resultsAt then
if job.deleted then return 'm', job.metadataAt end
if job.noticeMs and not job.announced then return 'e', job.resultsAt - job.noticeMs end
return 'r', job.resultsAt
end
end
local function keep(job, time)
local task, at = taskOf(job)
time = time or at or math.huge
if job.finishedAt and job.resultsAt and job.pinned then
scores[job.id] = job.resultsAt + APART
elseif task and time < math.huge then
scores[job.id] = time
sweep = math.min(sweep, time)
else
scores[job.id] = forgetAt(job) - APART
end
records[job.id] = writeRecord(job)
job.kept = true
if job.stored then lasting = math.max(lasting or 0, now + forgetAt(job) - date) end
if isHeld(job) then holds = true else lastForget = math.max(lastForget, forgetAt(job)) end
end
local function giveBackStored(job)
for _, one in ipairs(job.stored or {}) do correct(one.counter, 's', 0, 0, -one.amount) end
job.stored = nil
end
local function drop(job)
giveBackStored(job)
records[job.id] = false
job.kept = false
end
local function load(ids)
if #ids == 0 then return end
for i, text in ipairs(call('HMGET', recordsKey, unpack(ids))) do loaded[ids[i]] = text end
end
local function recordOf(id)
if records[id] ~= nil then return records[id] end
if loaded[id] == nil then loaded[id] = call('HGET', recordsKey, id) end
return loaded[id]
end
local function unswept()
local first = call('ZRANGE', dueKey, 0, 0, 'WITHSCORES')
return first[2] and tonumber(first[2]) < date - DAY and first or {}
end
local function expire(key, ms)
call('PEXPIRE', key, math.ceil(ms * 1.0625))
end
local function countPins(by)
local pins = (tonumber(read('.pins')) or 0) + by
changed['.pins'] = pins > 0 and pins
if pins > 0 then lasting = now + CENTURY end
end
local function liveOn()
local ttl, last = call('PTTL', recordsKey), tonumber(read('.last'))
local ms = lastForget - date
if last and not read('.pins') then
ms = math.max(ms, last - date)
changed['.last'] = false
elseif last or (holds and ttl < CENTURY / 2) then
changed['.last'] = math.max(last or date + ttl, lastForget)
if ttl > CENTURY / 2 then return end
ms = CENTURY
elseif ttl >= ms then
return
end
expire(recordsKey, ms)
expire(scheduleKey, ms)
end
local function index(flag, time)
call('ZADD', dueKey, flag, time, customer)
local ms = time - date + MONTH
if call('PTTL', dueKey) < ms then expire(dueKey, ms) end
end
local function tidy()
local ids = call('ZRANGEBYSCORE', scheduleKey, '-inf', date - APART, 'LIMIT', 0, TIDY)
if micros % TIDY == 0 and call('ZRANGEBYSCORE', scheduleKey, 0, date - MONTH, 'LIMIT', 0, 1)[1] then
for _, id in ipairs(call('ZRANDMEMBER', scheduleKey, TIDY * TIDY)) do ids[#ids + 1] = id end
end
load(ids)
local dropped = 0
for _, id in ipairs(ids) do
local job = records[id] == nil and loaded[id] and readRecord(loaded[id], id)
if job and forgetAt(job) <= date then
drop(job)
if taskOf(job) then dropped = dropped + 1 end
end
end
if dropped > 0 then lapsed[#lapsed + 1] = dropped end
end
flush = function()
local added = holds or lastForget > 0
if added then tidy() end
local written, scored, ids = {}, {}, {}
for id, text in pairs(records) do
if text then
written[#written + 1], written[#written + 2] = id, text
scored[#scored + 1], scored[#scored + 2] = scores[id], id
else
ids[#ids + 1] = id
end
end
callAll('HSET', recordsKey, written)
callAll('ZADD', scheduleKey, scored)
callAll('HDEL', recordsKey, ids)
callAll('ZREM', scheduleKey, ids)
if added or changed['.pins'] == false then liveOn() end
local known = tonumber(read('.sweep'))
if sweep < (known or math.huge) then
index('LT', sweep)
if latest > 0 then changed['.sweep'] = sweep end
elseif known and jobs == 0 and sweep == math.huge
and not call('ZRANGEBYSCORE', scheduleKey, 0, APART, 'LIMIT', 0, 1)[1] then
call('ZREM', dueKey, customer)
changed['.sweep'] = false
end
for counter in pairs(owing) do owedOf(counter) end
local gone = {}
for field, value in pairs(changed) do
if value then
put[#put + 1], put[#put + 2] = field, value
elseif fields[field] ~= false then
gone[#gone + 1] = field
end
fields[field] = value
end
callAll('HDEL', customerKey, gone)
dirty = dirty or #gone > 0
if #put > 1000 then
callAll('HSET', customerKey, put)
put, dirty = {}, true
end
changed, records, loaded, lastForget, holds, sweep = {}, {}, {}, 0, false, math.huge
end`;

const savePiece = `if changed then flush() end
if dirty or #put > 0 then
local size, keep = #put, tonumber(book[5]) or 0
local idle = window > 600000 and window or 600000
local wanted = now + idle
if jobs > 0 and needed and needed > wanted then wanted = needed end
if lasting and lasting > wanted then wanted = lasting end
local renew = keep < wanted
if changed and jobs == 0 and keep > wanted + idle and not read('.pins') then
wanted = math.max(wanted, lastQuota())
renew = keep > wanted + idle
end
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
local left = 100
due = math.huge
for i = 1, #entries, 2 do
local kind, name, text = string.sub(entries[i], 1, 1), string.sub(entries[i], 2), entries[i + 1]
if kind == 'j' then
local untilTime = tonumber(string.match(text, '^%a;%d*;%d*;(%d+)'))
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
undo(job, 'l')
lapsed[#lapsed + 1] = name
else
release(job)
end
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
export const admit = script('admit', 'e571c062b7b4bd780a6a39088e1c0c792618b237', [`local id, run, ref = ARGV[2], ARGV[3], ARGV[4]
local adopt = ARGV[7] == '1'
local FIRST, EACH = 10, 4
local more = { 'j' .. id, 't' .. ref, '.plain' }
for i = FIRST, #ARGV, EACH do more[#more + 1] = ARGV[i] end`, openPiece, `local RATE, QUOTA = 119, 113
local count = (#ARGV - FIRST + 1) / EACH
local rare = book[9] or not book[10] or not book[11] or now >= due
for n = 1, count do
if book[11 + n] and string.byte(ARGV[FIRST + (n - 1) * EACH]) == RATE then rare = true end
end
local lapsed, override, overrideRef, maxRun = {}, '', '', tonumber(ARGV[8])
local replayed, replayedRun, known, slow, beforeCharge, addToJob
if rare or call('HEXISTS', KEYS[2], id) > 0 then`, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, overridePiece, logPiece, owedPiece, `slow = true
local asked = cjson.decode(ARGV[5])
terms[ref] = asked
local job = find(id)
local overrideJson
override, overrideRef, overrideJson = overrideIn(KEYS[5])
if override == '' and not book[11] then changed['.plain'] = 1 end
local amounts = ARGV[9] ~= '' and cjson.decode(ARGV[9]) or {}
local nextKey = 6
for n = 1, count do
local i = FIRST + (n - 1) * EACH
local limit = overridden(asked.limits[n], terms[overrideRef])
if limit ~= asked.limits[n] then
ARGV[i + 1], ARGV[i + 2] = limit.limit and string.format('%.0f', limit.limit) or '', limit.windowMs or ''
ARGV[i + 3] = limit.mode == 'shadow' and '1' or ''
if limit.maxRunMs then maxRun = math.min(maxRun, limit.maxRunMs) end
if limit.kind == 'quota' then
local amount = amounts[limit.unit] or (limit.unit == 'jobs' and 1 or 0)
ARGV[i + 2] = PERS[limit.per] .. string.format('%.0f', amount)
end
end
local counter = string.sub(ARGV[i], 2)
if limit.kind == 'creation-rate' then
if owedOf(counter) ~= '' then settleLog(counter, KEYS[nextKey], KEYS[nextKey + 1]) end
nextKey = nextKey + 2
else
book[11 + n] = read(ARGV[i])
end
end
local ended = job and job.unadmitted
local again = job and not ended and job.state ~= 'u' and job.state ~= 'l'
if (ended and adopt) or (again and job.run ~= run) then
replayed, replayedRun = describe(job), job.run
elseif again then
local charged = {}
if job.state == 'p' then
for _, entry in ipairs(limitsOf(job)) do
if entry.limit.kind ~= 'creation-rate' or entry.limit.limit then charged[entry.counter] = 'own' end
end
end
known = {}
for n = 1, count do
known[n] = job.state ~= 'p' and 'settled' or charged[string.sub(ARGV[FIRST + (n - 1) * EACH], 2)]
end
addToJob = function(charges, wasAhead)
job.charges = job.charges .. '+' .. charges .. (job.at == stamp and '' or '@' .. stamp) .. wasAhead
keepTerms(job)
lease(job, job.untilTime)
end
else
beforeCharge = function()
if job then drop(job) end
local used = { [ref] = 1, [overrideRef] = 1 }
if not book[10] then storeTerms(ref, ARGV[5], used) end
if override ~= '' and call('HEXISTS', customerKey, 't' .. overrideRef) == 0 then
storeTerms(overrideRef, overrideJson, used)
end
end
end
end
local answer = { 1, lapsed, override, '' }
local charging, free, refused, shadowed, amounts = not known and not replayed, ',', false, '', ''
local nextKey = 6
for n = 1, replayed and 0 or count do
local i, row = FIRST + (n - 1) * EACH, n * 4
local most, windowMs = ARGV[i + 1] ~= '' and tonumber(ARGV[i + 1]), ARGV[i + 2]
local key, used, reset, retry, oldest, amount, ending = nil, 0, -1, -1, nil, 1, nil
if windowMs == '' then
used = tonumber(book[11 + n]) or 0
elseif string.byte(ARGV[i]) == QUOTA then
local per = string.sub(windowMs, 1, 1)
amounts = amounts .. (amounts == '' and '#' or ',') .. string.sub(windowMs, 2)
amount = tonumber(string.sub(windowMs, 2))
local sums = book[11 + n] or ''
local which, start, finish, sum = string.match(sums, '^(%a)(%d+)%-(%d+):(%d+)')
ending = tonumber(finish)
if which == per and (per == 's' or (date < ending and date >= tonumber(start))) then
used = tonumber(sum)
else`, periodPiece, `start, ending = periodOf(per, date)
local head, others = per .. start .. '-' .. ending .. ':', ''
sum = '0:0'
for before, its, time in string.gmatch(sums, '(%a%d+%-%d+:)(%d+):(%d+);') do
if before == head then
sum, used = its .. ':' .. time, tonumber(its)
elseif tonumber(time) > date or (string.byte(before) == 115 and its ~= '0') then
others = others .. before .. its .. ':' .. time .. ';'
end
end
book[11 + n] = head .. sum .. ';' .. others
end
if used > 0 and per ~= 's' then reset = ending - date end
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
elseif most and amount > 0 and used + (own and 0 or amount) > most and own ~= 'settled' then
if not own then free = free .. n .. ',' end
if ARGV[i + 3] ~= '1' then
refused = true
if most == 0 then
retry = -2
elseif key then
retry = reset
elseif ending then
retry = amount <= most and ending > 0 and ending - date or -2
else
local last, every = tonumber(book[7]), tonumber(book[8])
if not every or now - last > 300000 then every = 10000 end
retry = math.min(60000, math.max(1000, math.floor(every)))
end
elseif not own then
shadowed = shadowed .. (shadowed == '' and '' or ',') .. n
end
end
if used > 1e15 then used = string.format('%.0f', used) end
answer[row + 1], answer[row + 2], answer[row + 3], answer[row + 4] = n, used, reset, retry
end
if charging and not refused then
if beforeCharge then beforeCharge() end
nextKey = 6
for n = 1, count do
local i, row = FIRST + (n - 1) * EACH, n * 4
local kind, windowMs, key = string.byte(ARGV[i]), nil, nil
if kind == RATE then
windowMs = tonumber(ARGV[i + 2])
key = KEYS[nextKey]
nextKey = nextKey + 2
end
if not (known and known[n]) and (free == ',' or not string.find(free, ',' .. n .. ',', 1, true)) then
local value
if key then
answer[row + 2] = answer[row + 2] + 1
if ARGV[i + 1] ~= '' then
call('RPUSH', key, stamp)
call('PEXPIRE', key, windowMs + 1)
end
if answer[row + 3] < 0 then answer[row + 3] = windowMs end
if windowMs > window then
window = windowMs
put[#put + 1], put[#put + 2] = '.window', window
end
elseif kind == QUOTA then
local amount = tonumber(string.sub(ARGV[i + 2], 2))
if amount > 0 then
local head, finish, time, others = string.match(book[11 + n], '^(%a%d+%-(%d+):)%d+:(%d+)(.*)$')
finish, time = tonumber(finish), tonumber(time)
local sum = string.format('%.0f', answer[row + 2] + amount)
answer[row + 2] = sum
if finish > 0 then
answer[row + 3] = finish - date
time = math.max(time, finish + maxRun + 86400000)
lasting = math.max(lasting or 0, now + time - date)
end
value = head .. sum .. ':' .. string.format('%.0f', time) .. others
end
else
answer[row + 2] = answer[row + 2] + 1
value = answer[row + 2]
end
if value and slow then
changed[ARGV[i]] = value
elseif value then
put[#put + 1], put[#put + 2] = ARGV[i], value
end
end
end
local charges = ref .. '.' .. overrideRef .. '~' .. string.sub(free, 2, -2) .. amounts
local wasAhead = ahead > 0 and amounts ~= '' and '^' .. string.format('%.0f', ahead) or ''
if addToJob then
addToJob(charges, wasAhead)
else
local untilTime = now + ARGV[6]
put[#put + 1], put[#put + 2] = 'j' .. id, 'p;' .. stamp .. ';;' .. untilTime .. ';' .. charges .. wasAhead .. ';'
.. (run == id and ';' or 'R' .. #run .. ';' .. run)
jobs = jobs + 1
if untilTime < due then due = untilTime end
needed = untilTime + 3600000
end
end`, savePiece, `if replayed then return { 2, lapsed, override, replayed, replayedRun } end
answer[4] = shadowed
if refused then answer[1] = 0 end
return answer`]);

// prettier-ignore
export const claimShard = script('claim-shard', '1b35d7c637c820104b058ad662174fac254a3797', [`redis.call('ZREM', KEYS[1], '')
local clock = redis.call('TIME')
local date = math.floor(clock[1] * 1000 + clock[2] / 1000 + ARGV[1])
local customers = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', date, 'LIMIT', 0, ARGV[2])
for _, customer in ipairs(customers) do redis.call('ZADD', KEYS[1], date + ARGV[3], customer) end
return customers`]);

// prettier-ignore
export const claim = script('claim', 'b308573f4d5d6e7efdae49dc8bd5db590d924f5d', [`local more, lapsed = { '.sweep' }, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `flush()
local answer = { lapsed, -1, {} }
local ids = call('ZRANGEBYSCORE', scheduleKey, 0, date, 'LIMIT', 0, ARGV[2])
load(ids)
local dropped = 0
for _, id in ipairs(ids) do
local job = loaded[id] and readRecord(loaded[id], id)
if not job then
records[id] = false
elseif forgetAt(job) <= date then
drop(job)
dropped = dropped + 1
else
if job.resultsAt and job.resultsAt <= date then job.announced = true end
local task, at = taskOf(job)
if task and at <= date and not (job.pinned and job.resultsAt) then
job.tries = job.tries + 1
keep(job, date + ARGV[3])
answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = describe(job), task, job.tries
else
keep(job)
end
end
end
if dropped > 0 then lapsed[#lapsed + 1] = dropped end
flush()
local following = tonumber(call('ZRANGEBYSCORE', scheduleKey, 0, APART, 'WITHSCORES', 'LIMIT', 0, 1)[2])
if due < math.huge then following = math.min(following or math.huge, wall(due)) end
if following then
index('CH', following)
answer[2] = math.max(-1, date - following)
else
call('ZREM', dueKey, customer)
end
if latest > 0 then changed['.sweep'] = following or false end
answer[3] = unswept()`, savePiece, `return answer`]);

// prettier-ignore
export const commit = script('commit', '8fb0695c47186e91a8dc5c82f1e96a5e775b9151', [`local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2])
local answer
if not job then
answer = 'unknown'
elseif ARGV[3] == '1' and job.run ~= ARGV[4] then
answer = 'superseded'
elseif job.state == 'p' then
start(job)
answer = 'committed'
elseif job.state == 'l' then
reinstate(job)
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
export const confirm = script('confirm', 'be340df9866f9770519c79c046f5575cc2f11c0a', [`local more, lapsed = { '.sweep' }, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local EACH = 4
local ids, confirmed = {}, 0
for i = 2, #ARGV, EACH do ids[#ids + 1] = ARGV[i + 3] end
load(ids)
for i = 2, #ARGV, EACH do
local job = find(ARGV[i + 3])
if job and job.finishedAt == tonumber(ARGV[i + 1]) and job.resultsAt == tonumber(ARGV[i + 2]) and taskOf(job) == ARGV[i] then
confirmed = confirmed + 1
if ARGV[i] == 'm' then
drop(job)
else
if ARGV[i] == 'r' then
job.deleted = true
giveBackStored(job)
else
job.announced = true
end
job.tries = 0
keep(job)
end
end
end`, savePiece, `return { confirmed, lapsed }`]);

// prettier-ignore
export const expireNow = script('expire-now', 'd83c861318475ca5483fd38439b725ed7120a74d', [`local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2])
local answer = 'expired'
if not job or job.state == 'u' or job.state == 'l' then
answer = 'unknown'
elseif not job.finishedAt then
answer = 'unfinished'
elseif not job.resultsAt then
answer = 'not-retained'
elseif job.pinned and ARGV[3] ~= '1' then
answer = 'pinned'
else
local already = job.resultsAt <= date and not job.pinned
if already then answer = 'already' end
job.resultsAt = math.min(job.resultsAt, date)
job.announced = true
if job.pinned then
pin(job, nil)
elseif not already or tonumber(call('ZSCORE', scheduleKey, job.id)) < 0 then
job.tries = 0
keep(job)
end
end`, savePiece, `return { answer, lapsed }`]);

// prettier-ignore
export const extend = script('extend', 'cca286d10b46219cc9ed100b9e06dba28106d6b6', [`local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}`, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local job, to = findJob(ARGV[2]), tonumber(ARGV[3])
local answer = 'extended'
if not job or job.state == 'u' or job.state == 'l' then
answer = 'unknown'
elseif not job.finishedAt then
answer = 'unfinished'
elseif not job.resultsAt then
answer = 'not-retained'
elseif not job.pinned and job.resultsAt <= date then
answer = 'expired'
elseif to <= job.resultsAt then
answer = 'kept'
else
job.resultsAt, job.metadataAt = to, math.max(job.metadataAt, to)
job.announced, job.tries = false, 0
keep(job)
end`, savePiece, `return { answer, lapsed }`]);

// prettier-ignore
export const finish = script('finish', 'cecf1ea3a3b032c6514ff76f3511b85d06e1e7ee', [`local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2])
local times = ARGV[4] ~= '' and { resultsMs = tonumber(ARGV[4]), metadataMs = tonumber(ARGV[5]) } or nil
local answer
if not job then
answer = times and 'finished' or 'unknown'
keep({
id = ARGV[2], run = ARGV[2], state = ARGV[3], admittedAt = date, startedAt = date, finishedAt = date, tries = 0, rest = '',
resultsAt = times and date + times.resultsMs, metadataAt = date + (times and times.metadataMs or DAY),
unadmitted = not times,
})
elseif job.state == 'u' then
answer = 'refunded'
elseif job.state == 'p' or job.state == 'l' or job.state == 'r' then
if job.state == 'l' then reinstate(job) end
local units = ARGV[6] ~= '' and cjson.decode(ARGV[6]) or nil
answer = finish(job, ARGV[3], times, units) and 'finished' or 'unsettled'
else
answer = 'already'
end
local waiting = ARGV[7] == '1' and unswept() or {}`, savePiece, `return { answer, lapsed, waiting }`]);

// prettier-ignore
export const job = script('job', '4e2208f60281e1310b85b9bf8671a8c82f2f2a61', [`local more, lapsed = { 'j' .. ARGV[2] }, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2])`, savePiece, `return { job and describe(job) or '', lapsed }`]);

// prettier-ignore
export const layout = script('layout', '87e90168275462cb635ce19bbb5ec0a9c7d7ba40', [`local layout = redis.call('GET', KEYS[1])
if not layout then
redis.call('SET', KEYS[1], ARGV[1])
layout = ARGV[1]
end
return layout`]);

// prettier-ignore
export const override = script('override', 'fe1fed4f5a8cec327fc501b9502a190f7b746869', [`local call = redis.call
local clock = call('TIME')
local date = math.floor(clock[1] * 1000 + clock[2] / 1000 + ARGV[1])
local entries = {}
if #ARGV == 1 then entries = call('HGETALL', KEYS[1]) end
for i = 2, #ARGV do
entries[#entries + 1] = ARGV[i]
entries[#entries + 1] = call('HGET', KEYS[1], ARGV[i])
end
local answer = {}
for i = 1, #entries, 2 do
local expiresAt = entries[i + 1] and string.match(entries[i + 1], '^%S+ %d+ (%d*)')
if expiresAt and expiresAt ~= '' and tonumber(expiresAt) <= date then
call('HDEL', KEYS[1], entries[i])
elseif expiresAt then
answer[#answer + 1], answer[#answer + 2] = entries[i], entries[i + 1]
end
end
return answer`]);

// prettier-ignore
export const pin = script('pin', '339e3c7c89261e36d2cc424305894e081fe607e2', [`local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}`, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2])
local answer = 'pinned'
if not job or job.state == 'u' or job.state == 'l' then
answer = 'unknown'
elseif job.finishedAt and not job.resultsAt then
answer = 'not-retained'
elseif job.finishedAt and not job.pinned and job.resultsAt <= date then
answer = 'expired'
else
pin(job, ARGV[3])
end`, savePiece, `return { answer, lapsed }`]);

// prettier-ignore
export const postpone = script('postpone', '113de2a5674559f3f57e79adb0290489c12598d4', [`local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local job, answer = find(ARGV[2]), 0
if job and job.kept and job.finishedAt == tonumber(ARGV[4]) and job.tries == tonumber(ARGV[5]) and taskOf(job) == ARGV[3] then
keep(job, ARGV[6] == '' and math.huge or date + ARGV[6])
answer = 1
end`, savePiece, `return { answer, lapsed }`]);

// prettier-ignore
export const reconcile = script('reconcile', 'eb89ca74ae523d8fcd1773f1ef66a6657036c74d', [`local more, lapsed = {}, {}`, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, overridePiece, `local grace, ref = tonumber(ARGV[2]), ARGV[3]
local asked = cjson.decode(ARGV[4])
local listed, finished, restored = {}, {}, {}
for i = 5, #ARGV do listed[ARGV[i]] = true end
if jobs > 0 then
local entries = call('HGETALL', customerKey)
for i = 1, #entries, 2 do
local id = string.sub(entries[i], 2)
if string.sub(entries[i], 1, 1) == 'j' and changed[entries[i]] == nil and not listed[id] then
local job = readRecord(entries[i + 1], id)
job.leased = true
if job.state == 'r' and now - job.startedAt >= grace then
finish(job, 'c')
finished[#finished + 1] = id
end
end
end
end
local _, overrideRef = overrideIn(KEYS[5])
terms[ref] = asked
local free = {}
for i, limit in ipairs(asked.limits) do
if limit.kind ~= 'concurrency' then free[#free + 1] = i end
end
for i = 5, #ARGV do
local id = ARGV[i]
local job = listed[id] and findJob(id)
if not listed[id] then
job = nil
elseif not job then
job = {
id = id, state = 'r', at = stamp, untilTime = 0, run = id, rest = '', tries = 0,
charges = ref .. '.' .. overrideRef .. '~' .. table.concat(free, ','),
}
elseif job.leased then
job = nil
elseif job.state == 'l' then
reinstate(job)
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
export const refund = script('refund', '01d27a1ee9298c20d0d00e9bce58e19389d719d0', [`local more, lapsed = { 'j' .. ARGV[2] }, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2])
local answer = 'nothing'
if job and job.run == ARGV[3] and (job.state == 'p' or job.state == 'r') then
undo(job, 'u')
answer = 'refunded'
end`, savePiece, `return { answer, lapsed }`]);

// prettier-ignore
export const renew = script('renew', 'f4c152a5f61d62e304219144bb51b052625ff3f8', [`local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2])
local answer
if not job then
answer = 'unknown'
elseif job.state == 'p' or job.state == 'l' then
answer = job.state == 'p' and 'renewed' or 'reinstated'
limitsOf(job)
if job.state == 'l' then reinstate(job) end
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
export const setOverride = script('set-override', '27baeebacaecea74ea4745092f209b5d0a5117aa', [`local call = redis.call
call('HDEL', KEYS[2], '.plain')
if ARGV[4] == '' then
call('HDEL', KEYS[1], ARGV[2])
else
local clock = call('TIME')
local date = math.floor(clock[1] * 1000 + clock[2] / 1000 + ARGV[1])
local head = ARGV[3] .. ' ' .. date .. ' ' .. ARGV[5]
call('HSET', KEYS[1], ARGV[2], head .. '\\n' .. ARGV[4] .. '\\n' .. ARGV[6])
end
return 1`]);

// prettier-ignore
export const unpin = script('unpin', '4bf2f219f306dc21f68de8fc87088fd0516c7769', [`local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, `local job = findJob(ARGV[2])
local answer = 'unpinned'
if not job then
answer = 'unknown'
elseif not job.pinned then
answer = 'not-pinned'
else
pin(job, nil)
end`, savePiece, `return { answer, lapsed }`]);

// prettier-ignore
export const usage = script('usage', 'c3f324ad4d3af52b057352f7feb112b5ca2cb90c', [`local more, lapsed = {}, {}`, freesPiece, openPiece, changesPiece, recordPiece, periodPiece, limitsPiece, quotasPiece, recordsPiece, ratesPiece, leasesPiece, settlePiece, overridePiece, logPiece, owedPiece, `local override, overrideRef = overrideIn(KEYS[5])
local running, kept = {}, {}
local answer = { lapsed, override, running, kept }
local nextKey = 6
for i, limit in ipairs(cjson.decode(ARGV[2]).limits) do
local key, refundKey
if limit.kind == 'creation-rate' then
key, refundKey = KEYS[nextKey], KEYS[nextKey + 1]
nextKey = nextKey + 2
end
limit = overridden(limit, terms[overrideRef])
local counter, used, reset = counterOf(limit), nil, -1
if key then
if owedOf(counter) ~= '' then settleLog(counter, key, refundKey) end
local oldest
used, oldest = countLog(key, micros - limit.windowMs * 1000)
local most = limit.limit
if most and most > 0 and used > most then oldest = call('LINDEX', key, -most) end
if oldest then reset = math.ceil((oldest - micros) / 1000) + limit.windowMs end
elseif limit.kind == 'quota' then
local ending
used, ending = usedOf(counter, PERS[limit.per])
if used > 0 and ending > 0 then reset = ending - date end
else
used = heldOf(counter)
end
answer[#answer + 1] = i
answer[#answer + 1] = used > 1e15 and string.format('%.0f', used) or used
answer[#answer + 1] = reset
end
if jobs > 0 then
local entries = call('HGETALL', customerKey)
for i = 1, #entries, 2 do
if string.sub(entries[i], 1, 1) == 'j' and changed[entries[i]] == nil then
local job = readRecord(entries[i + 1], string.sub(entries[i], 2))
job.leased = true
running[#running + 1] = describe(job)
end
end
end
local most = tonumber(ARGV[3])
if most > 0 then
flush()
local ids = call('ZRANGEBYSCORE', scheduleKey, '(' .. date, APART, 'LIMIT', 0, most * 2)
for _, id in ipairs(call('ZREVRANGEBYSCORE', scheduleKey, date, 0, 'LIMIT', 0, most)) do ids[#ids + 1] = id end
for _, id in ipairs(call('ZRANGEBYSCORE', scheduleKey, '(' .. APART, '+inf', 'LIMIT', 0, most)) do ids[#ids + 1] = id end
load(ids)
for _, id in ipairs(ids) do
local job = loaded[id] and readRecord(loaded[id], id)
if job and job.resultsAt and (job.pinned or job.resultsAt > date) then kept[#kept + 1] = job end
end
table.sort(kept, function(a, b) return a.resultsAt < b.resultsAt end)
for i = #kept, 1, -1 do kept[i] = i <= most and describe(kept[i]) or nil end
end`, savePiece, `return answer`]);
