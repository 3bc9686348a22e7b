-- Lets leases run out now that would have, because their holder is known to be gone: those of one worker, or of all
-- when none is named. The jobs are taken back, and charged, by the next reap.
if not setting('state') then return NO_SWEEP end
local gone, lapsed = ARGV[1], 0
for _, job in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
  if gone == '' or claim_of(job).worker == gone then
    redis.call('ZADD', LEASES, 0, job)
    lapsed = lapsed + 1
  end
end
return { lapsed }
