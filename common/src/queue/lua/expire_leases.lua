-- Expires leases whose holder is known to be gone: those of one worker, or all when no worker is
-- named. The next requeue_expired takes the jobs back and charges them.
-- What must hold: no job changes its place, and a lease that is expired stays so.
-- Looks at ARGV[3] live leases, after the first ARGV[2] of them. Returns how many it looked at and
-- how many it expired.
if not setting('state') then return NO_SWEEP end
local gone, skip, limit = ARGV[1], ARGV[2], ARGV[3]
local leases = redis.call('ZRANGEBYSCORE', LEASES, '(0', '+inf', 'LIMIT', skip, limit)
local expired = 0
for _, job in ipairs(leases) do
  if gone == '' or claim_of(job).worker == gone then
    redis.call('ZADD', LEASES, 0, job)
    expired = expired + 1
  end
end
if gone ~= '' then redis.call('ZREM', WORKERS, gone) end
return { #leases, expired }
