-- Extends a lease. Also one whose deadline has passed, as long as nobody has taken the job.
local job, fence, token = unpack(ARGV)
local claim = named_claim(job, fence, token)
if not is_live(claim) then return { 'lost' } end
extend(job, claim)
return { 'renewed' }
