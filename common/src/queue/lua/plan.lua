-- Puts the next jobs of the plan into the queue, up to ARGV[1] of them. The cursor is kept here, so
-- a submission that was killed goes on where it stopped, and two at once add nothing twice.
local found = redis.call('HMGET', META, 'planned', 'jobs')
if not found[1] then return NO_SWEEP end
local planned, jobs = tonumber(found[1]), tonumber(found[2])

local stop = math.min(jobs, planned + ARGV[1])
-- First: of a script torn by a loss of power the beginning may be run alone, and a job nowhere can
-- be mended.
redis.call('HSET', META, 'planned', stop)
while planned < stop do
  local batch = {}
  -- unpack fails past about 8,000 values.
  for job = planned, math.min(stop, planned + 5000) - 1 do batch[#batch + 1] = job end
  redis.call('RPUSH', PENDING, unpack(batch))
  planned = planned + #batch
end
return { jobs - planned }
