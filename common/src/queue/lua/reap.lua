-- Takes up to ARGV[1] jobs from workers that let their lease lapse: charged, and dead after
-- max_attempts of these.
if not setting('lease') then return NO_SWEEP end
return { reap(ARGV[1]) }
