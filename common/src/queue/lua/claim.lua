-- Leases the next job to a worker.
-- What must hold: a job that leaves the queue is leased. The same token gets the same job and fence
-- for as long as its lease is live, so a claim whose reply was lost is simply repeated.
local worker, token, protocol = ARGV[1], ARGV[2], ARGV[3]

local function hand_out(job, claim)
  local first, count = slots_of(job)
  local done = done_in(first, count) > 0 and places_with_bit(first, count, 1) or {}
  local errors = tonumber(redis.call('HGET', ERRORS, job) or 0)
  local attempt = 1 + (redis.call('HGET', CRASHES, job) or 0) + errors
  local only = assign_samples(job, claim) or false
  save_claim(job, claim)
  extend_lease(job, claim)
  local lease = tonumber(setting('lease'))
  return {
    'job', tonumber(job), tonumber(claim.fence), attempt, errors, lease, first, count, done, only,
  }
end

-- Returns true if another worker asked for work, or worked, within the time of a lease.
local function others_are_there()
  local mine = redis.call('ZSCORE', WORKERS, worker)
  local since = now - setting('lease')
  local seen = redis.call('ZCOUNT', WORKERS, since, '+inf')
  return seen > ((mine and tonumber(mine) >= since) and 1 or 0)
end

-- Removes the first pending job and returns it. A worker gets a job again that failed in its own
-- hands only when no other worker is there to try it: one bad machine must not use up a job's
-- attempts.
local function next_job()
  local avoided, found = {}, nil
  while #avoided < 10 and not found do
    local job = redis.call('LPOP', PENDING)
    if not job then break end
    local last = claim_of(job)
    if last and last.state == 'failed' and last.worker == worker and others_are_there() then
      avoided[#avoided + 1] = job
    else
      found = job
    end
  end
  if #avoided > 0 then redis.call('RPUSH', PENDING, unpack(avoided)) end
  return found
end

local found = redis.call('HMGET', META, 'protocol', 'state', 'planned', 'jobs')
if not found[1] then return NO_SWEEP end
if found[1] ~= protocol then return { 'refused', tonumber(found[1]) } end
-- Before anything is written: a job that leaves the queue must be handed out.
sweep_shape()
local again = redis.call('HGET', TOKENS, token)
if again then return hand_out(again, claim_of(again)) end

requeue_expired(100)
redis.call('ZADD', WORKERS, now, worker)
redis.call('ZREMRANGEBYSCORE', WORKERS, '-inf', now - 86400000)
if found[2] ~= 'active' then return { 'cancelled' } end
local job = next_job()
if not job then
  local in_flight = redis.call('ZCARD', LEASES) + redis.call('LLEN', PENDING)
  local unfinished = in_flight > 0 or tonumber(found[3]) < tonumber(found[4])
  return { unfinished and 'empty' or 'finished' }
end

local fence = redis.call('HINCRBY', META, 'fence', 1)
redis.call('HSET', TOKENS, token, job)
return hand_out(job, {
  fence = fence, token = token, state = 'live', since = now, isolated = '-', worker = worker,
})
