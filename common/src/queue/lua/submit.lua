-- Creates a sweep, or finds it and makes it active again. A found one keeps its cut into jobs,
-- since job numbers are already in use; where files are, how long leases last and how often a job
-- is tried follows the newest submission.
local spec, submission = ARGV[1], ARGV[2]
local protocol, slots, jobs, samples, job_samples, lease, max_attempts = unpack(ARGV, 3)

local found = redis.call('HMGET', META, 'protocol', 'slots', 'samples', 'state', 'submission', 'job_samples')
if found[1] then
  if found[1] ~= protocol then return { 'refused', found[1] } end
  if found[2] ~= slots or found[3] ~= samples then return { 'conflict', found[2] } end
  -- The files may have moved; but a text that cuts jobs otherwise would give their numbers another
  -- meaning.
  if found[6] == job_samples then redis.call('SET', SPEC, spec) end
  redis.call('HSET', META, 'lease', lease, 'max_attempts', max_attempts, 'state', 'active')
  if found[5] == submission then return { 'created' } end
  return { 'existing', found[4] }
end

redis.call('SET', SPEC, spec)
redis.call('HSET', META, 'state', 'active', 'protocol', protocol, 'slots', slots, 'jobs', jobs, 'samples', samples,
  'job_samples', job_samples, 'lease', lease, 'max_attempts', max_attempts, 'submission', submission,
  'planned', 0, 'fence', 0, 'created', now)
return { 'created' }
