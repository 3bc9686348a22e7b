-- Stops handing out jobs. Leased jobs may be completed; submitting or retrying makes the sweep
-- active again.
-- What must hold: no job changes its place.
if not setting('state') then return NO_SWEEP end
redis.call('HSET', META, 'state', 'cancelled')
return { 'ok' }
