-- Forgets a worker that has ended.
redis.call('ZREM', WORKERS, ARGV[1])
return { 'ok' }
