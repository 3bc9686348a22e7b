-- The beginning of every script: the keys by name, the server's clock, and the steps that several
-- transitions share. All keys of a sweep come in KEYS, in the order of keys.rs, so each script runs
-- on the one cluster node that has them.
local META, SPEC, PENDING, LEASES, CLAIMS, TOKENS, DONE, RESULTS, CRASHES, ERRORS, DEAD, COMPLETED,
  WORKERS, EVENTS, SUSPECTS =
  unpack(KEYS)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local NO_SWEEP = redis.error_reply('NOSWEEP no such sweep')

local function setting(name)
  return redis.call('HGET', META, name)
end

-- Returns the number of samples of a variant and the largest number of a job. Loops and replies are
-- as long as these say, so numbers that no specification gives (MAX_JOB_SAMPLES) are refused before
-- anything is done with them.
local function sweep_shape()
  local numbers = redis.call('HMGET', META, 'samples', 'job_samples')
  local samples, size = tonumber(numbers[1]), tonumber(numbers[2])
  local sound = samples and size and size >= 1 and size <= 10000
    and samples >= size and samples <= 2 ^ 32
  if not sound or samples % 1 ~= 0 or size % 1 ~= 0 then
    error({ err = 'BADSHAPE samples and job_samples of the sweep are damaged' })
  end
  return samples, size
end

-- Returns the first slot of a job and its number of slots, as plan.rs cuts them.
local function slots_of(job)
  local samples, size = sweep_shape()
  local per_variant = math.ceil(samples / size)
  local variant, start = math.floor(job / per_variant), (job % per_variant) * size
  return variant * samples + start, math.min(size, samples - start)
end

-- Returns the job that a slot belongs to.
local function job_of(slot)
  local samples, size = sweep_shape()
  return math.floor(slot / samples) * math.ceil(samples / size) + math.floor(slot % samples / size)
end

-- Returns an error for the first of ARGV that is not a slot of the sweep.
local function bad_slot(slots)
  for _, slot in ipairs(ARGV) do
    if tonumber(slot) >= tonumber(slots) then
      return redis.error_reply('BADSLOT no slot ' .. slot)
    end
  end
end

local function done_in(first, count)
  return redis.call('BITCOUNT', DONE, first, first + count - 1, 'BIT')
end

local function is_done(job)
  local first, count = slots_of(job)
  return done_in(first, count) == count
end

-- Returns the first place of a job, from `from` on, whose sample has no record.
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

-- Returns the places in a job, from 0, of the samples whose done bit is `bit`.
local function places_with_bit(first, count, bit)
  local found = {}
  for place = 0, count - 1 do
    if redis.call('GETBIT', DONE, first + place) == bit then found[#found + 1] = place end
  end
  return found
end

-- Returns the latest claim of a job. It is kept after it ended, with the reason in `state`, until
-- the next claim or the job's completion. `isolated` is the place of the one sample that its worker
-- certifies alone, `-` while it certifies several.
local function claim_of(job)
  local text = redis.call('HGET', CLAIMS, job)
  if not text then return nil end
  local fence, token, state, since, isolated, worker =
    string.match(text, '^(%d+) (%x+) (%a+) (%d+) (%S+) (.*)$')
  return {
    fence = fence, token = token, state = state, since = since, isolated = isolated,
    worker = worker,
  }
end

local function save_claim(job, claim)
  local fields = {
    claim.fence, claim.token, claim.state, claim.since, claim.isolated, claim.worker,
  }
  redis.call('HSET', CLAIMS, job, table.concat(fields, ' '))
end

-- Returns the latest claim of a job if it is the one that a worker names. The token is compared as
-- well as the fence: a server that lost its last second in a crash hands out the same fence again.
local function named_claim(job, fence, token)
  local claim = claim_of(job)
  if claim and claim.fence == fence and claim.token == token then return claim end
  return nil
end

local function is_live(claim)
  return claim ~= nil and claim.state == 'live'
end

local function extend_lease(job, claim)
  redis.call('ZADD', LEASES, now + setting('lease'), job)
  redis.call('ZADD', WORKERS, now, claim.worker)
end

local function log_event(job, what, claim, detail)
  redis.call('XADD', EVENTS, 'MAXLEN', '~', 10000, '*', 'job', job, 'what', what,
    'worker', claim and claim.worker or '', 'since', claim and claim.since or now,
    'detail', detail or '')
end

-- Returns the reply to a worker whose lease has ended. Only the refusal itself is written, for
-- operators to see in `status` and `why`.
local function refuse(job, fence, what)
  if not setting('state') then return { 'lost' } end
  redis.call('HINCRBY', META, 'refused', 1)
  log_event(job, 'refused', nil, what .. ' under claim ' .. fence)
  return { 'lost' }
end

-- Completes a job all of whose samples are done. Only one bit remains of it.
local function complete_job(job, claim)
  redis.call('ZREM', LEASES, job)
  if claim then redis.call('HDEL', TOKENS, claim.token) end
  redis.call('HDEL', CLAIMS, job)
  redis.call('HDEL', CRASHES, job)
  redis.call('HDEL', ERRORS, job)
  redis.call('HDEL', SUSPECTS, job)
  redis.call('HDEL', DEAD, job)
  redis.call('SETBIT', COMPLETED, job, 1)
end

-- Ends a live claim whose job was not completed. From here on its holder can write nothing.
local function end_claim(job, claim, state)
  redis.call('ZREM', LEASES, job)
  redis.call('HDEL', TOKENS, claim.token)
  claim.state = state
  save_claim(job, claim)
end

-- Returns the number of workers that each sample of a job lost while it was certified alone, by its
-- place as text.
local function suspects_of(job)
  local text = redis.call('HGET', SUSPECTS, job)
  return text and cjson.decode(text) or {}
end

-- Returns the same as a list of { slot, count }, without samples that are done.
local function crash_suspects(job, first)
  local found = {}
  for place, count in pairs(suspects_of(job)) do
    local slot = first + place
    if redis.call('GETBIT', DONE, slot) == 0 then found[#found + 1] = { slot, count } end
  end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found
end

-- Returns the next sample of a job to certify alone. Suspects come last, so that the other samples
-- are done by then. A sample is given up when it lost a worker alone and max_attempts workers in
-- all, counting one worker that was lost while it certified several samples. Returns nil if all
-- samples that are left are given up.
local function next_isolated(job)
  local suspects, isolated = suspects_of(job), 0
  for _, count in pairs(suspects) do isolated = isolated + count end
  local together = math.min(1, (redis.call('HGET', CRASHES, job) or 0) - isolated)
  local max_attempts = tonumber(setting('max_attempts'))
  local first, count = slots_of(job)
  local best, least
  local place = next_missing(first, count, 0)
  while place do
    local lost = suspects[tostring(place)]
    if not lost then return place end
    if lost + together < max_attempts and (not best or lost < least) then
      best, least = place, lost
    end
    place = next_missing(first, count, place + 1)
  end
  return best
end

-- Decides what the holder of a claim does next. Returns the one place if it is to work on one
-- sample alone, an empty list if no sample is worth another attempt, and nil if it is to do all
-- that is missing. A job that lost a worker continues sample by sample, so that the next loss, if
-- there is one, shows which sample it was.
local function assign_samples(job, claim)
  local first, count = slots_of(job)
  claim.isolated = '-'
  local missing = count - done_in(first, count)
  if not redis.call('HGET', CRASHES, job) and missing ~= 1 then return nil end
  local place = next_isolated(job)
  if not place then return {} end
  claim.isolated = place
  return { place }
end

-- Gives a job up. Its claim has ended already.
local function mark_dead(job, claim, reason)
  local first, count = slots_of(job)
  local suspects = crash_suspects(job, first)
  redis.call('HSET', DEAD, job, cjson.encode({
    reason = reason,
    at = now,
    crashes = tonumber(redis.call('HGET', CRASHES, job) or 0),
    errors = tonumber(redis.call('HGET', ERRORS, job) or 0),
    worker = claim.worker,
    missing = count - done_in(first, count),
    next_slot = first + next_missing(first, count, 0),
    -- An empty table would be written as an object.
    killers = #suspects > 0 and suspects or nil,
  }))
  log_event(job, 'dead', claim, reason)
end

-- Charges a job for an error: it gets another attempt, or it is given up.
local function charge_error(job, claim, reason)
  local errors = redis.call('HINCRBY', ERRORS, job, 1)
  redis.call('HINCRBY', META, 'errors', 1)
  if errors < tonumber(setting('max_attempts')) then
    redis.call('RPUSH', PENDING, job)
    return 'requeued'
  end
  mark_dead(job, claim, reason)
  return 'dead'
end

local function lost_reason(claim)
  return 'its worker was lost; the last was ' .. claim.worker
end

-- Charges a job for a lost worker, and the sample that was certified alone, if one was.
local function charge_crash(job, claim)
  redis.call('HINCRBY', CRASHES, job, 1)
  redis.call('HINCRBY', META, 'crashes', 1)
  local first = slots_of(job)
  if claim.isolated ~= '-' and redis.call('GETBIT', DONE, first + claim.isolated) == 0 then
    local suspects = suspects_of(job)
    suspects[claim.isolated] = (suspects[claim.isolated] or 0) + 1
    redis.call('HSET', SUSPECTS, job, cjson.encode(suspects))
  end
  if next_isolated(job) then
    redis.call('RPUSH', PENDING, job)
  else
    mark_dead(job, claim, lost_reason(claim))
  end
end

-- Takes one job back whose lease has expired.
local function requeue_one(job)
  local claim = claim_of(job)
  if is_done(job) then return complete_job(job, claim) end
  end_claim(job, claim, 'lapsed')
  local isolated = claim.isolated ~= '-'
  log_event(job, 'lapsed', claim,
    isolated and 'at work on sample ' .. claim.isolated .. ' of the job alone')
  charge_crash(job, claim)
end

-- Takes up to `limit` jobs back whose leases have expired. Returns how many.
local function requeue_expired(limit)
  local expired = redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, limit)
  for _, job in ipairs(expired) do requeue_one(job) end
  return #expired
end

