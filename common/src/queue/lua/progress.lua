-- Returns the counts of a sweep at one moment. Writes nothing.
local found = redis.call('HMGET', META, 'slots', 'jobs', 'planned', 'state', 'crashes', 'errors',
  'created', 'failed', 'refused')
if not found[1] then return NO_SWEEP end
return {
  found[4],
  tonumber(found[1]),
  redis.call('BITCOUNT', DONE),
  tonumber(found[2]),
  redis.call('LLEN', PENDING) + found[2] - found[3],
  redis.call('ZCARD', LEASES),
  redis.call('HLEN', DEAD),
  redis.call('BITCOUNT', COMPLETED),
  redis.call('XLEN', RESULTS),
  tonumber(found[5] or 0),
  tonumber(found[6] or 0),
  math.max(0, now - found[7]),
  tonumber(found[8] or 0),
  tonumber(found[9] or 0),
  redis.call('ZCOUNT', LEASES, '-inf', now),
}
