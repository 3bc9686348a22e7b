-- Returns the workers that asked for work in the last day, the time since their last request, and
-- the jobs that they hold. Writes nothing.
if not setting('state') then return NO_SWEEP end
local holds = {}
-- The leases renewed last: of a very large number all but a few thousand have expired, and their
-- holders are gone.
for _, job in ipairs(redis.call('ZREVRANGE', LEASES, 0, 4999)) do
  holds[claim_of(job).worker] = tonumber(job)
end
local seen = redis.call('ZRANGE', WORKERS, 0, -1, 'WITHSCORES')
local reply = {}
for i = 1, #seen, 2 do
  reply[#reply + 1] = { seen[i], math.max(0, now - seen[i + 1]), holds[seen[i]] or false }
end
return reply
