-- Ends a lease whose samples are all done. Otherwise says what to do next: samples whose records a
-- server lost that crashed, or the next one of a job that is certified sample by sample. When only
-- samples are left that are given up, so is the job.
local job, fence, token = unpack(ARGV)
if redis.call('GETBIT', COMPLETED, job) == 1 then return { 'already' } end
local claim = named_claim(job, fence, token)
if claim and claim.state == 'buried' then return { 'given_up' } end
if not is_live(claim) then return refuse(job, fence, 'a completion') end
local first, count = slots_of(job)
if done_in(first, count) == count then
  finish(job, claim)
  return { 'completed' }
end

local todo = assign(job, claim) or places(first, count, 0)
if #todo == 0 then
  end_claim(job, claim, 'buried')
  bury(job, claim, 'nothing else is left of the job; ' .. claim.worker .. ' did the rest')
  return { 'given_up' }
end
save_claim(job, claim)
return { 'incomplete', todo }
