-- Removes records before ARGV[3], which from now on are only in ARGV[2].
-- What must hold: only the collector that has the right to collect removes records.
local owner, into, before = unpack(ARGV)
if setting('collector') ~= owner then return { 'not_collector' } end
redis.call('HSET', META, 'collected_into', into)
return { 'trimmed', redis.call('XTRIM', RESULTS, 'MINID', before) }
