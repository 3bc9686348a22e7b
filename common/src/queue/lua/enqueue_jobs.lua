-- Puts the next jobs of the plan into the queue, at most ARGV[1]. Returns how many are left.
-- What must hold: no job is added twice. The cursor is stored here, so a submission that was killed
-- continues from it, and two at once share it.
local found = redis.call('HMGET', META, 'planned', 'jobs')
if not found[1] then return NO_SWEEP end
local planned, jobs = tonumber(found[1]), tonumber(found[2])

local stop = math.min(jobs, planned + ARGV[1])
-- First: after a loss of power only the beginning of a script may be run, and requeue_orphans can
-- repair a job without a place.
redis.call('HSET', META, 'planned', stop)
while planned < stop do
  local batch = {}
  -- unpack fails past about 8,000 values.
  for job = planned, math.min(stop, planned + 5000) - 1 do batch[#batch + 1] = job end
  redis.call('RPUSH', PENDING, unpack(batch))
  planned = planned + #batch
end
return { jobs - planned }
