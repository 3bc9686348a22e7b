-- Puts those of the jobs ARGV[1] to ARGV[2] - 1 back into the queue that are in no place. Returns
-- how many.
-- What must hold: afterwards each of these jobs is in exactly one place, and every token belongs to
-- a live lease.
-- No script leaves a job so. But a server whose append-only file was torn within a transaction, by
-- a loss of power, leaves the torn half in the file. It runs that half, without the rest, when it
-- loads the file for the second time (seen with Redis 7.0.15).
local planned = setting('planned')
if not planned then return NO_SWEEP end
local waits = {}
for _, job in ipairs(redis.call('LRANGE', PENDING, 0, -1)) do waits[job] = true end

local requeued = 0
for number = tonumber(ARGV[1]), math.min(ARGV[2], planned) - 1 do
  local job = string.format('%d', number)
  local has_place = waits[job] or redis.call('GETBIT', COMPLETED, job) == 1
    or redis.call('ZSCORE', LEASES, job) or redis.call('HEXISTS', DEAD, job) == 1
  if not has_place then
    redis.call('RPUSH', PENDING, job)
    log_event(job, 'reopened')
    requeued = requeued + 1
  end
end

local tokens = redis.call('HGETALL', TOKENS)
for i = 1, #tokens, 2 do
  local token, job = tokens[i], tokens[i + 1]
  local claim = claim_of(job)
  local live = is_live(claim) and claim.token == token and redis.call('ZSCORE', LEASES, job)
  if not live then redis.call('HDEL', TOKENS, token) end
end
return { requeued }
