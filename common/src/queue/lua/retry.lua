-- Puts dead jobs back into the queue with all their attempts, about ARGV[1] at a time, and makes
-- the sweep active. Returns how many, and how many are left.
-- What must hold: nothing remains of the charges of a job that is retried.
if not setting('state') then return NO_SWEEP end
redis.call('HSET', META, 'state', 'active')
local dead = redis.call('HRANDFIELD', DEAD, ARGV[1])
for i, job in ipairs(dead) do dead[i] = tonumber(job) end
table.sort(dead)
for _, job in ipairs(dead) do
  redis.call('HDEL', DEAD, job)
  redis.call('HDEL', CRASHES, job)
  redis.call('HDEL', ERRORS, job)
  redis.call('HDEL', SUSPECTS, job)
  redis.call('RPUSH', PENDING, job)
  log_event(job, 'retried')
end
return { #dead, redis.call('HLEN', DEAD) }
