-- Stops handing jobs out. Leased ones may finish; submitting or retrying makes the sweep active
-- again.
if not setting('state') then return NO_SWEEP end
redis.call('HSET', META, 'state', 'cancelled')
return { 'ok' }
