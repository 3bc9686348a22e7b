-- Extends a lease. Also one whose deadline has passed, as long as nobody has taken the job.
local job, fence, token = unpack(ARGV)
local claim = named_claim(job, fence, token)
if not is_live(claim) then
  -- A renewal that its own completion overtook is nobody's fault.
  if redis.call('GETBIT', COMPLETED, job) == 1 then return { 'lost' } end
  return refuse(job, fence, 'a renewal')
end
extend(job, claim)
return { 'renewed' }
