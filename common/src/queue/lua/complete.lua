-- Ends a lease if all samples of its job are done. Otherwise the reply names what to do next: the
-- samples whose records a server lost in a crash, or the next sample of a job that is certified
-- sample by sample. If all samples that are left are given up, the job is dead.
-- What must hold: a job is completed only when every sample has a record, and the same request
-- again gets the same answer or 'already'.
local job, fence, token = unpack(ARGV)
if redis.call('GETBIT', COMPLETED, job) == 1 then return { 'already' } end
local claim = named_claim(job, fence, token)
if claim and claim.state == 'buried' then return { 'given_up' } end
if not is_live(claim) then return refuse(job, fence, 'a completion') end
local first, count = slots_of(job)
if done_in(first, count) == count then
  complete_job(job, claim)
  return { 'completed' }
end

local todo = assign_samples(job, claim) or places_with_bit(first, count, 0)
if #todo == 0 then
  end_claim(job, claim, 'buried')
  mark_dead(job, claim, 'nothing else is left of the job; ' .. claim.worker .. ' did the rest')
  return { 'given_up' }
end
save_claim(job, claim)
return { 'incomplete', todo }
