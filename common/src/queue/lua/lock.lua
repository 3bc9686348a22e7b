-- Gives ARGV[1] the right to collect for ARGV[2] ms, or renews it.
-- What must hold: two owners never have it at once. It is stored in fields without a time to live,
-- so that no volatile-* policy can evict a key of a sweep.
local owner, ttl = ARGV[1], ARGV[2]
local found = redis.call('HMGET', META, 'state', 'collector', 'collector_until', 'collected_into')
if not found[1] then return NO_SWEEP end
local left = (found[3] or 0) - now
if found[2] and found[2] ~= owner and left > 0 then return { 'busy', found[2], left } end
redis.call('HSET', META, 'collector', owner, 'collector_until', now + ttl)
return { 'held', found[4] }
