-- Who asked for work in the last day, how long ago they were heard of, and what they hold.
if not setting('state') then return NO_SWEEP end
local holds = {}
-- Those renewed last: of very many leases all but a few thousand have lapsed, and their holders are
-- gone.
for _, job in ipairs(redis.call('ZREVRANGE', LEASES, 0, 4999)) do holds[claim_of(job).worker] = tonumber(job) end
local seen = redis.call('ZRANGE', WORKERS, 0, -1, 'WITHSCORES')
local reply = {}
for i = 1, #seen, 2 do
  reply[#reply + 1] = { seen[i], math.max(0, now - seen[i + 1]), holds[seen[i]] or false }
end
return reply
