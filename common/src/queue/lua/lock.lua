-- Makes ARGV[1] the one who collects, for ARGV[2] ms; also renews that. Kept as fields without a
-- time to live, so that no key of a sweep can ever be evicted by a volatile-* policy.
local owner, ttl = ARGV[1], ARGV[2]
local found = redis.call('HMGET', META, 'state', 'collector', 'collector_until', 'collected_into')
if not found[1] then return NO_SWEEP end
local left = (found[3] or 0) - now
if found[2] and found[2] ~= owner and left > 0 then return { 'busy', found[2], left } end
redis.call('HSET', META, 'collector', owner, 'collector_until', now + ttl)
return { 'held', found[4] }
