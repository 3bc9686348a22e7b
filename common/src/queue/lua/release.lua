-- Hands a job back to the head of the queue.
-- What must hold: it is not charged, and its former holder can write nothing more.
local job, fence, token = unpack(ARGV)
if redis.call('GETBIT', COMPLETED, job) == 1 then return { 'completed' } end
local claim = named_claim(job, fence, token)
if claim and claim.state == 'released' then return { 'released' } end
if not is_live(claim) then return refuse(job, fence, 'a return') end
if is_done(job) then
  complete_job(job, claim)
  return { 'completed' }
end

end_claim(job, claim, 'released')
log_event(job, 'released', claim)
redis.call('LPUSH', PENDING, job)
return { 'released' }
