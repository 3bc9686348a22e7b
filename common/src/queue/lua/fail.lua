-- Ends a lease whose job failed. The job is charged, and dead after max_attempts errors.
-- What must hold: one failed attempt is charged once, however often it is reported.
local job, fence, token, reason = unpack(ARGV)
if redis.call('GETBIT', COMPLETED, job) == 1 then return { 'completed' } end
local claim = named_claim(job, fence, token)
if claim and claim.state == 'failed' then
  return { redis.call('HEXISTS', DEAD, job) == 1 and 'dead' or 'requeued' }
end
if not is_live(claim) then return refuse(job, fence, 'a failure') end
if is_done(job) then
  complete_job(job, claim)
  return { 'completed' }
end

end_claim(job, claim, 'failed')
log_event(job, 'failed', claim, reason)
return { charge_error(job, claim, reason) }
