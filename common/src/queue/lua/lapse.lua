-- Lets leases run out now that would have, because their holder is known to be gone: those of one
-- worker, or of all when none is named. The jobs are taken back, and charged, by the next reap.
-- Looks at ARGV[3] leases, after the first ARGV[2] of those that have not been let run out; says
-- how many there were, and how many were let run out.
if not setting('state') then return NO_SWEEP end
local gone, skip, limit = ARGV[1], ARGV[2], ARGV[3]
local leases = redis.call('ZRANGEBYSCORE', LEASES, '(0', '+inf', 'LIMIT', skip, limit)
local lapsed = 0
for _, job in ipairs(leases) do
  if gone == '' or claim_of(job).worker == gone then
    redis.call('ZADD', LEASES, 0, job)
    lapsed = lapsed + 1
  end
end
if gone ~= '' then redis.call('ZREM', WORKERS, gone) end
return { #leases, lapsed }
