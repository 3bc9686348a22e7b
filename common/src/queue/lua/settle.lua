-- Looks at the first ARGV[1] pending jobs: those with nothing left to do are completed, the rest
-- move to the tail in order, so that as many calls as cover the list leave it as it was, without
-- them.
if not setting('slots') then return NO_SWEEP end
local rest = {}
for _, job in ipairs(redis.call('LPOP', PENDING, ARGV[1]) or {}) do
  if is_done(job) then finish(job) else rest[#rest + 1] = job end
end
if #rest > 0 then redis.call('RPUSH', PENDING, unpack(rest)) end
return { 'ok' }
