-- Ends ARGV[1]'s turn to collect, if it is theirs.
if setting('collector') == ARGV[1] then redis.call('HDEL', META, 'collector', 'collector_until') end
return { 'ok' }
