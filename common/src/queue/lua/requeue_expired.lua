-- Takes up to ARGV[1] jobs back whose leases have expired. Returns how many.
-- What must hold: each is charged for a lost worker once, and is dead after max_attempts of these.
if not setting('lease') then return NO_SWEEP end
return { requeue_expired(ARGV[1]) }
