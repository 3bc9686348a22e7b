-- Clears the done bits of slots whose records are lost. Returns how many were set.
-- What must hold: completed jobs among theirs return to the queue. Pending and leased jobs stay: a
-- claim names the samples that are done, and an incomplete job cannot be completed.
local slots = setting('slots')
if not slots then return NO_SWEEP end
local bad = bad_slot(slots)
if bad then return bad end

local cleared = 0
for _, slot in ipairs(ARGV) do
  cleared = cleared + redis.call('SETBIT', DONE, slot, 0)
  local job = job_of(slot)
  if redis.call('SETBIT', COMPLETED, job, 0) == 1 then
    redis.call('RPUSH', PENDING, job)
    log_event(job, 'reopened')
  end
end
return { cleared }
