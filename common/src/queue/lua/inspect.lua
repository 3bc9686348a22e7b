-- Returns the state of one job. Writes nothing.
local jobs = setting('jobs')
if not jobs then return NO_SWEEP end
local job = ARGV[1]
if tonumber(job) >= tonumber(jobs) then return redis.error_reply('BADJOB no job ' .. job) end

local first, count = slots_of(job)

local function state()
  if redis.call('GETBIT', COMPLETED, job) == 1 then return { 'completed' } end
  local dead = redis.call('HGET', DEAD, job)
  if dead then return { 'dead', dead } end
  local deadline = redis.call('ZSCORE', LEASES, job)
  if not deadline then return { 'pending' } end
  local claim = claim_of(job)
  local isolated = claim.isolated ~= '-' and first + claim.isolated
  return { 'leased', claim.worker, tonumber(claim.since), math.max(0, deadline - now), isolated }
end

local crashes = redis.call('HGET', CRASHES, job) or 0
local errors = redis.call('HGET', ERRORS, job) or 0
return {
  tonumber(crashes), tonumber(errors), first, count, places_with_bit(first, count, 0),
  crash_suspects(job, first), state(),
}
