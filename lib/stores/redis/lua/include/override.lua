-- The customer's override as it was stored, its reference and its JSON; nothing where none holds.
local function overrideIn(key)
  local stored = call('HGET', key, customer)
  local ref, expiresAt, json = string.match(stored or '', '^(%S+) %d+ (%d*)\n([^\n]*)\n')
  if not ref or (expiresAt ~= '' and tonumber(expiresAt) <= date) then return '', '' end
  terms[ref] = cjson.decode(json)
  return stored, ref, json
end
