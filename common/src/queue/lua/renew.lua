-- Extends a lease, also one whose deadline has passed, as long as its job was not taken back.
-- What must hold: only the holder of the latest claim extends it.
local job, fence, token = unpack(ARGV)
local claim = named_claim(job, fence, token)
if not is_live(claim) then
  -- A renewal that arrives after its own completion is not counted as refused.
  if redis.call('GETBIT', COMPLETED, job) == 1 then return { 'lost' } end
  return refuse(job, fence, 'a renewal')
end
extend_lease(job, claim)
return { 'renewed' }
