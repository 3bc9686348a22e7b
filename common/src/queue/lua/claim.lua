-- Leases the next job to a worker. The same token gets the same job and fence for as long as that lease is live, so a
-- claim whose reply was lost is simply repeated.
local worker, token, protocol = ARGV[1], ARGV[2], ARGV[3]

local function hand_out(job, claim)
  local first, count = slots_of(job)
  local done = done_in(first, count) > 0 and places(first, count, 1) or {}
  local attempt = 1 + (redis.call('HGET', CRASHES, job) or 0) + (redis.call('HGET', ERRORS, job) or 0)
  extend(job, claim)
  return { 'job', tonumber(job), tonumber(claim.fence), attempt, tonumber(setting('lease')), first, count, done }
end

local found = redis.call('HMGET', META, 'protocol', 'state', 'planned', 'jobs')
if not found[1] then return NO_SWEEP end
if found[1] ~= protocol then return { 'refused', tonumber(found[1]) } end
local again = redis.call('HGET', TOKENS, token)
if again then return hand_out(again, claim_of(again)) end

reap(100)
redis.call('ZADD', WORKERS, now, worker)
redis.call('ZREMRANGEBYSCORE', WORKERS, '-inf', now - 86400000)
if found[2] ~= 'active' then return { 'cancelled' } end
local job = redis.call('LPOP', PENDING)
if not job then
  local more = redis.call('ZCARD', LEASES) > 0 or tonumber(found[3]) < tonumber(found[4])
  return { more and 'empty' or 'finished' }
end

local fence = redis.call('HINCRBY', META, 'fence', 1)
local claim = { fence = fence, token = token, state = 'live', since = now, worker = worker }
redis.call('HSET', TOKENS, token, job)
save_claim(job, claim)
return hand_out(job, claim)
