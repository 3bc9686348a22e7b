-- Marks slots as done whose records are safe elsewhere.
-- What must hold: a dead job all of whose samples are done by this is completed. Pending ones are
-- left to complete_done_jobs.
local slots = setting('slots')
if not slots then return NO_SWEEP end
local bad = bad_slot(slots)
if bad then return bad end

for _, slot in ipairs(ARGV) do redis.call('SETBIT', DONE, slot, 1) end
if redis.call('HLEN', DEAD) == 0 then return { 'ok' } end
for _, slot in ipairs(ARGV) do
  local job = job_of(slot)
  if redis.call('HEXISTS', DEAD, job) == 1 and is_done(job) then complete_job(job) end
end
return { 'ok' }
