-- What every script begins with: the keys by name, the server's clock, and the steps that several
-- transitions share. All keys of a sweep come in KEYS, in the order of keys.rs, so each script runs
-- on the one cluster node that has them.
local META, SPEC, PENDING, LEASES, CLAIMS, TOKENS, DONE, RESULTS, CRASHES, ERRORS, DEAD, COMPLETED, WORKERS, EVENTS,
  SUSPECTS =
  unpack(KEYS)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local NO_SWEEP = redis.error_reply('NOSWEEP no such sweep')

local function setting(name)
  return redis.call('HGET', META, name)
end

-- How many samples a variant has, and how many a job has at most. Loops and answers are as long as
-- these say, so numbers that no specification gives (MAX_JOB_SAMPLES) are refused before anything
-- is done with them.
local function shape()
  local numbers = redis.call('HMGET', META, 'samples', 'job_samples')
  local samples, size = tonumber(numbers[1]), tonumber(numbers[2])
  local sound = samples and size and size >= 1 and size <= 10000 and samples >= size and samples <= 2 ^ 32
  if not sound or samples % 1 ~= 0 or size % 1 ~= 0 then
    error({ err = 'BADSHAPE samples and job_samples of the sweep are damaged' })
  end
  return samples, size
end

-- The first slot of a job and how many it has, as plan.rs cuts them.
local function slots_of(job)
  local samples, size = shape()
  local per_variant = math.ceil(samples / size)
  local variant, start = math.floor(job / per_variant), (job % per_variant) * size
  return variant * samples + start, math.min(size, samples - start)
end

-- The job that a slot belongs to.
local function job_of(slot)
  local samples, size = shape()
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

-- The first place of a job, from `from` on, whose sample has no record.
local function next_missing(first, count, from)
  local slot, last = first + from, first + count - 1
  if slot > last then return nil end
  -- BITPOS does not look past the end of the string, where every bit is clear.
  local bits = 8 * redis.call('STRLEN', DONE)
  if slot >= bits then return from end
  local found = redis.call('BITPOS', DONE, 0, slot, last, 'BIT')
  if found >= 0 then return found - first end
  if bits <= last then return bits - first end
  return nil
end

-- The places in a job, from 0, of those samples whose done bit is `bit`.
local function places(first, count, bit)
  local found = {}
  for place = 0, count - 1 do
    if redis.call('GETBIT', DONE, first + place) == bit then found[#found + 1] = place end
  end
  return found
end

-- The latest claim of a job, also after it ended (then `state` says how) until the next one or
-- completion. `alone` is the place of the one sample that its worker was at, `-` while it was at
-- several.
local function claim_of(job)
  local text = redis.call('HGET', CLAIMS, job)
  if not text then return nil end
  local fence, token, state, since, alone, worker = string.match(text, '^(%d+) (%x+) (%a+) (%d+) (%S+) (.*)$')
  return { fence = fence, token = token, state = state, since = since, alone = alone, worker = worker }
end

local function save_claim(job, claim)
  local text = table.concat({ claim.fence, claim.token, claim.state, claim.since, claim.alone, claim.worker }, ' ')
  redis.call('HSET', CLAIMS, job, text)
end

-- The latest claim of a job if it is the one a worker names. The token is compared as well as the
-- fence: a server that lost its last second in a crash hands the same fence out again.
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

-- What a worker gets whose lease is over: nothing is written but that it asked, which operators see
-- in `status` and `why`.
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
  redis.call('HDEL', SUSPECTS, job)
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

-- How often each sample of a job lost its worker while that was at nothing else: place, as text, to
-- count.
local function suspects_of(job)
  local text = redis.call('HGET', SUSPECTS, job)
  return text and cjson.decode(text) or {}
end

-- The same as a list of { slot, count }, without samples that are done.
local function killers_of(job, first)
  local killers = {}
  for place, count in pairs(suspects_of(job)) do
    local slot = first + place
    if redis.call('GETBIT', DONE, slot) == 0 then killers[#killers + 1] = { slot, count } end
  end
  table.sort(killers, function(a, b) return a[1] < b[1] end)
  return killers
end

-- The next sample of a job that is to be certified alone: suspects come last, so that the others
-- are done by then. A sample is given up that lost a worker alone, and max_attempts with the one
-- that was lost with others at work. None: all that is left is given up.
local function next_alone(job)
  local suspects, alone = suspects_of(job), 0
  for _, count in pairs(suspects) do alone = alone + count end
  local together = math.min(1, (redis.call('HGET', CRASHES, job) or 0) - alone)
  local max_attempts = tonumber(setting('max_attempts'))
  local first, count = slots_of(job)
  local best, least
  local place = next_missing(first, count, 0)
  while place do
    local lost = suspects[tostring(place)]
    if not lost then return place end
    if lost + together < max_attempts and (not best or lost < least) then best, least = place, lost end
    place = next_missing(first, count, place + 1)
  end
  return best
end

-- Decides what the holder of a claim does next: the one place if it is to work alone, an empty list
-- if nothing is worth another attempt, nothing if it is to do all that is missing. A job that lost
-- a worker goes on sample by sample, so that the next loss, if there is one, tells which sample it
-- was.
local function assign(job, claim)
  local first, count = slots_of(job)
  claim.alone = '-'
  if not redis.call('HGET', CRASHES, job) and count - done_in(first, count) ~= 1 then return nil end
  local place = next_alone(job)
  if not place then return {} end
  claim.alone = place
  return { place }
end

-- Gives a job up. Whoever had it has lost it already.
local function bury(job, claim, reason)
  local first, count = slots_of(job)
  local killers = killers_of(job, first)
  redis.call('HSET', DEAD, job, cjson.encode({
    reason = reason,
    at = now,
    crashes = tonumber(redis.call('HGET', CRASHES, job) or 0),
    errors = tonumber(redis.call('HGET', ERRORS, job) or 0),
    worker = claim.worker,
    missing = count - done_in(first, count),
    next_slot = first + next_missing(first, count, 0),
    -- An empty table would be written as an object.
    killers = #killers > 0 and killers or nil,
  }))
  log(job, 'dead', claim, reason)
end

-- Charges a job for an error: another attempt, or it is given up.
local function charge_error(job, claim, reason)
  local errors = redis.call('HINCRBY', ERRORS, job, 1)
  redis.call('HINCRBY', META, 'errors', 1)
  if errors < tonumber(setting('max_attempts')) then
    redis.call('RPUSH', PENDING, job)
    return 'requeued'
  end
  bury(job, claim, reason)
  return 'dead'
end

local function lost_reason(claim)
  return 'its worker was lost; the last was ' .. claim.worker
end

-- Charges a job for a lost worker, and the sample that it was at if that is known.
local function charge_crash(job, claim)
  redis.call('HINCRBY', CRASHES, job, 1)
  redis.call('HINCRBY', META, 'crashes', 1)
  local first = slots_of(job)
  if claim.alone ~= '-' and redis.call('GETBIT', DONE, first + claim.alone) == 0 then
    local suspects = suspects_of(job)
    suspects[claim.alone] = (suspects[claim.alone] or 0) + 1
    redis.call('HSET', SUSPECTS, job, cjson.encode(suspects))
  end
  if next_alone(job) then redis.call('RPUSH', PENDING, job) else bury(job, claim, lost_reason(claim)) end
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
      log(job, 'lapsed', claim, claim.alone ~= '-' and 'at work on sample ' .. claim.alone .. ' of the job alone')
      charge_crash(job, claim)
    end
  end
  return #lapsed
end

