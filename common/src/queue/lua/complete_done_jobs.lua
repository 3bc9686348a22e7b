-- Completes those of the first ARGV[1] pending jobs all of whose samples are done.
-- What must hold: the other jobs move to the tail in order, so that after as many calls as cover
-- the list it is as before, without the completed ones.
if not setting('slots') then return NO_SWEEP end
local rest = {}
for _, job in ipairs(redis.call('LPOP', PENDING, ARGV[1]) or {}) do
  if is_done(job) then complete_job(job) else rest[#rest + 1] = job end
end
if #rest > 0 then redis.call('RPUSH', PENDING, unpack(rest)) end
return { 'ok' }
