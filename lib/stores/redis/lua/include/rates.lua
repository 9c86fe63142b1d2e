-- A rate's log is the list of the times of its latest admissions, oldest first: an exact window. Scripts that work on a job
-- alone don't have the logs that it was charged to among their KEYS, so they leave the change in the book as owed, and
-- whichever script is given the log next makes it first: <sign><charged at>@<time of the change>/<window in ms>/<limit>;

local function owe(sign, limit, counter, at)
  if limit.kind ~= 'creation-rate' or not limit.limit then return end
  local time = sign == '+' and at or stamp
  setOwed(counter, owedOf(counter) .. sign .. at .. '@' .. time .. '/' .. limit.windowMs .. '/' .. limit.limit .. ';')
end

-- Charges the rates of the job anew, whatever the limits say.
local function chargeRates(job)
  for _, entry in ipairs(limitsOf(job)) do
    entry.at = stamp
    if entry.charged then owe('+', entry.limit, entry.counter, stamp) end
  end
  job.at = stamp
  job.charges = string.gsub(job.charges, '@%d+', '')
end
