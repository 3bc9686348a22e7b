-- Removes a worker that has ended from the list of workers.
-- What must hold: its leases, if it has any, stay as they are.
redis.call('ZREM', WORKERS, ARGV[1])
return { 'ok' }
