-- What every script begins with: the keys by name, the server's clock, and the steps that several transitions share.
-- All keys of a sweep come in KEYS, in the order of keys.rs, so each script runs on the one cluster node that has them.
local META, SPEC, PENDING, LEASES, CLAIMS, TOKENS, DONE, RESULTS, CRASHES, ERRORS, DEAD, COMPLETED, WORKERS, EVENTS =
  unpack(KEYS)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local NO_SWEEP = redis.error_reply('NOSWEEP no such sweep')

local function setting(name)
  return redis.call('HGET', META, name)
end

-- The first slot of a job and how many it has, as plan.rs cuts them.
local function slots_of(job)
  local shape = redis.call('HMGET', META, 'samples', 'job_samples')
  local samples, size = tonumber(shape[1]), tonumber(shape[2])
  local per_variant = math.ceil(samples / size)
  local variant, start = math.floor(job / per_variant), (job % per_variant) * size
  return variant * samples + start, math.min(size, samples - start)
end

-- The job that a slot belongs to.
local function job_of(slot)
  local shape = redis.call('HMGET', META, 'samples', 'job_samples')
  local samples, size = tonumber(shape[1]), tonumber(shape[2])
  return math.floor(slot / samples) * math.ceil(samples / size) + math.floor(slot % samples / size)
end

-- The first of ARGV that is no slot of the sweep.
local function bad_slot(slots)
  for _, slot in ipairs(ARGV) do
    if tonumber(slot) >= tonumber(slots) then return redis.error_reply('BADSLOT no slot ' .. slot) end
  end
end

local function done_in(first, count)
  return redis.call('BITCOUNT', DONE, first, first + count - 1, 'BIT')
end

local function is_done(job)
  local first, count = slots_of(job)
  return done_in(first, count) == count
end

-- The places in a job, from 0, of those samples whose done bit is `bit`.
local function places(first, count, bit)
  local found = {}
  for place = 0, count - 1 do
    if redis.call('GETBIT', DONE, first + place) == bit then found[#found + 1] = place end
  end
  return found
end

-- The latest claim of a job, also after it ended (then `state` says how) until the next one or completion.
local function claim_of(job)
  local text = redis.call('HGET', CLAIMS, job)
  if not text then return nil end
  local fence, token, state, since, worker = string.match(text, '^(%d+) (%x+) (%a+) (%d+) (.*)$')
  return { fence = fence, token = token, state = state, since = since, worker = worker }
end

local function save_claim(job, claim)
  local text = table.concat({ claim.fence, claim.token, claim.state, claim.since, claim.worker }, ' ')
  redis.call('HSET', CLAIMS, job, text)
end

-- The latest claim of a job if it is the one a worker names. The token is compared as well as the fence: a server that
-- lost its last second in a crash hands the same fence out again.
local function named_claim(job, fence, token)
  local claim = claim_of(job)
  if claim and claim.fence == fence and claim.token == token then return claim end
  return nil
end

local function is_live(claim)
  return claim ~= nil and claim.state == 'live'
end

local function extend(job, claim)
  redis.call('ZADD', LEASES, now + setting('lease'), job)
  redis.call('ZADD', WORKERS, now, claim.worker)
end

local function log(job, what, claim, detail)
  redis.call('XADD', EVENTS, 'MAXLEN', '~', 10000, '*', 'job', job, 'what', what,
    'worker', claim and claim.worker or '', 'since', claim and claim.since or now, 'detail', detail or '')
end

-- What a worker gets whose lease is over: nothing is written but that it asked, which operators see in `status` and
-- `why`.
local function refuse(job, fence, what)
  if not setting('state') then return { 'lost' } end
  redis.call('HINCRBY', META, 'refused', 1)
  log(job, 'refused', nil, what .. ' under claim ' .. fence)
  return { 'lost' }
end

-- A job all of whose samples are done: nothing but one bit remains of it.
local function finish(job, claim)
  redis.call('ZREM', LEASES, job)
  if claim then redis.call('HDEL', TOKENS, claim.token) end
  redis.call('HDEL', CLAIMS, job)
  redis.call('HDEL', CRASHES, job)
  redis.call('HDEL', ERRORS, job)
  redis.call('HDEL', DEAD, job)
  redis.call('SETBIT', COMPLETED, job, 1)
end

-- Ends a live claim that was not completed. From here on its holder can write nothing.
local function end_claim(job, claim, state)
  redis.call('ZREM', LEASES, job)
  redis.call('HDEL', TOKENS, claim.token)
  claim.state = state
  save_claim(job, claim)
end

-- Gives a job another attempt, or up. `counter` is the hash that charges it: CRASHES or ERRORS.
local function charge(job, claim, counter, reason)
  local attempts = redis.call('HINCRBY', counter, job, 1)
  redis.call('HINCRBY', META, counter == CRASHES and 'crashes' or 'errors', 1)
  if attempts < tonumber(setting('max_attempts')) then
    redis.call('RPUSH', PENDING, job)
    return 'requeued'
  end
  local first, count = slots_of(job)
  local missing = places(first, count, 0)
  redis.call('HSET', DEAD, job, cjson.encode({
    reason = reason,
    at = now,
    crashes = tonumber(redis.call('HGET', CRASHES, job) or 0),
    errors = tonumber(redis.call('HGET', ERRORS, job) or 0),
    worker = claim.worker,
    missing = #missing,
    next_slot = first + missing[1],
  }))
  log(job, 'dead', claim, reason)
  return 'dead'
end

-- Takes up to `limit` jobs from workers that let their lease lapse; says how many.
local function reap(limit)
  local lapsed = redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, limit)
  for _, job in ipairs(lapsed) do
    local claim = claim_of(job)
    if is_done(job) then
      finish(job, claim)
    else
      end_claim(job, claim, 'lapsed')
      log(job, 'lapsed', claim)
      charge(job, claim, CRASHES, 'its worker was lost; the last was ' .. claim.worker)
    end
  end
  return #lapsed
end

