-- Whether no job waits or is at a worker, or none is handed out any more: then there is nothing
-- here for a worker, who asks this before it opens data and models. As in a claim, jobs of workers
-- that fell silent are taken back first, but nothing is written to a sweep of another version, of
-- which only what all of them keep is read.
local protocol = ARGV[1]
local found = redis.call('HMGET', META, 'state', 'planned', 'jobs', 'protocol')
if not found[1] then return NO_SWEEP end
if found[4] == protocol then reap(100) end
local planned, jobs = tonumber(found[2] or 0), tonumber(found[3] or 0)
local left = redis.call('LLEN', PENDING) + redis.call('ZCARD', LEASES)
return { (found[1] == 'cancelled' or (left == 0 and planned >= jobs)) and 1 or 0 }
