-- A rate's log is the list of the times of its latest admissions, oldest first: an exact window. Scripts that work on a job
-- alone don't have the logs that it was charged to among their KEYS, so they leave the change in the book as owed, and
-- whichever script is given the log next makes it first: <sign><charged at>@<time of the change>/<window in ms>/<limit>;

local function owe(sign, limit, counter, at)
  if limit.kind ~= 'creation-rate' or not limit.limit then return end
  local time = sign == '+' and at or stamp
  local pieces = owing[counter] or {}
  owing[counter] = pieces
  pieces[#pieces + 1] = sign .. at .. '@' .. time .. '/' .. limit.windowMs .. '/' .. limit.limit .. ';'
end
