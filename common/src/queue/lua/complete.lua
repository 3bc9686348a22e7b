-- Ends a lease whose samples are all done. Otherwise says which are not: a server that crashed may have lost some.
local job, fence, token = unpack(ARGV)
if redis.call('GETBIT', COMPLETED, job) == 1 then return { 'already' } end
local claim = named_claim(job, fence, token)
if not is_live(claim) then return refuse(job, fence, 'a completion') end
local first, count = slots_of(job)
if done_in(first, count) < count then return { 'incomplete', places(first, count, 0) } end

finish(job, claim)
return { 'completed' }
