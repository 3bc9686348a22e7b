-- Ends a lease that came to an error: charged, and dead after max_attempts errors.
local job, fence, token, reason = unpack(ARGV)
if redis.call('GETBIT', COMPLETED, job) == 1 then return { 'completed' } end
local claim = named_claim(job, fence, token)
if claim and claim.state == 'failed' then
  return { redis.call('HEXISTS', DEAD, job) == 1 and 'dead' or 'requeued' }
end
if not is_live(claim) then return refuse(job, fence, 'a failure') end
if is_done(job) then
  finish(job, claim)
  return { 'completed' }
end

end_claim(job, claim, 'failed')
log(job, 'failed', claim, reason)
return { charge_error(job, claim, reason) }
