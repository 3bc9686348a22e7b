-- Stores one sample's record, if the worker still holds the job.
-- What must hold: the record and the done bit are written together, and never a second record.
local job, fence, token, slot, line, failed = unpack(ARGV)
local claim = named_claim(job, fence, token)
if not is_live(claim) then return refuse(job, fence, 'the record of slot ' .. slot) end
local first, count = slots_of(job)
if slot + 0 < first or slot + 0 >= first + count then
  return redis.error_reply('BADSLOT job ' .. job .. ' has no slot ' .. slot)
end

extend_lease(job, claim)
if redis.call('GETBIT', DONE, slot) == 1 then return { 'duplicate' } end
redis.call('XADD', RESULTS, '*', 'slot', slot, 'record', line)
redis.call('SETBIT', DONE, slot, 1)
if failed then redis.call('HINCRBY', META, 'failed', 1) end
return { 'stored' }
