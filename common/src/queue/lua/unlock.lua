-- Gives up the right to collect.
-- What must hold: another owner's right stays.
if setting('collector') == ARGV[1] then redis.call('HDEL', META, 'collector', 'collector_until') end
return { 'ok' }
