-- Returns 1 if no job is pending or leased, or the sweep was cancelled: then it has nothing for a
-- worker, who asks this before it opens data and models.
-- What must hold: as in a claim, jobs whose leases have expired are taken back first. Nothing is
-- written to a sweep of another version, and only fields that all versions have are read of it.
local protocol = ARGV[1]
local found = redis.call('HMGET', META, 'state', 'planned', 'jobs', 'protocol')
if not found[1] then return NO_SWEEP end
if found[4] == protocol then requeue_expired(100) end
local planned, jobs = tonumber(found[2] or 0), tonumber(found[3] or 0)
local left = redis.call('LLEN', PENDING) + redis.call('ZCARD', LEASES)
return { (found[1] == 'cancelled' or (left == 0 and planned >= jobs)) and 1 or 0 }
