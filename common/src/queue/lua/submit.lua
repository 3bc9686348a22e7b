-- Creates a sweep, or finds it and makes it active again.
-- What must hold: a sweep that is found keeps its cut into jobs, since job numbers are already in
-- use. The place of files, the length of leases and the number of attempts follow the newest
-- submission.
local spec, submission = ARGV[1], ARGV[2]
local protocol, slots, jobs, samples, job_samples, lease, max_attempts = unpack(ARGV, 3)

local found = redis.call('HMGET', META, 'protocol', 'slots', 'samples', 'state', 'submission',
  'job_samples')
if found[1] then
  if found[1] ~= protocol then return { 'refused', found[1] } end
  if found[2] ~= slots or found[3] ~= samples then return { 'conflict', found[2] } end
  -- The files may have moved, so the specification is replaced. One that cuts jobs in another way
  -- is not: it would change the meaning of their numbers.
  if found[6] == job_samples then redis.call('SET', SPEC, spec) end
  redis.call('HSET', META, 'lease', lease, 'max_attempts', max_attempts, 'state', 'active')
  if found[5] == submission then return { 'created' } end
  return { 'existing', found[4] }
end

redis.call('SET', SPEC, spec)
redis.call('HSET', META, 'state', 'active', 'protocol', protocol, 'slots', slots, 'jobs', jobs,
  'samples', samples, 'job_samples', job_samples, 'lease', lease, 'max_attempts', max_attempts,
  'submission', submission, 'planned', 0, 'fence', 0, 'created', now)
return { 'created' }
