-- Puts those of the jobs ARGV[1] to ARGV[2] - 1 back into the queue that are nowhere; says how
-- many. No script leaves a job so. But a server whose append-only file was torn within a
-- transaction, by a loss of power, leaves the torn half in the file and runs it, without the rest,
-- when it loads that file for the second time (seen with Redis 7.0.15).
local planned = setting('planned')
if not planned then return NO_SWEEP end
local waits = {}
for _, job in ipairs(redis.call('LRANGE', PENDING, 0, -1)) do waits[job] = true end

local mended = 0
for number = tonumber(ARGV[1]), math.min(ARGV[2], planned) - 1 do
  local job = string.format('%d', number)
  local somewhere = waits[job] or redis.call('GETBIT', COMPLETED, job) == 1 or redis.call('ZSCORE', LEASES, job)
    or redis.call('HEXISTS', DEAD, job) == 1
  if not somewhere then
    redis.call('RPUSH', PENDING, job)
    log(job, 'reopened')
    mended = mended + 1
  end
end

local tokens = redis.call('HGETALL', TOKENS)
for i = 1, #tokens, 2 do
  local claim = claim_of(tokens[i + 1])
  local live = is_live(claim) and claim.token == tokens[i] and redis.call('ZSCORE', LEASES, tokens[i + 1])
  if not live then redis.call('HDEL', TOKENS, tokens[i]) end
end
return { mended }
