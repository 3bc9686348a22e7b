//! The keys of a sweep. The braces are a cluster's hash tag: all keys of one sweep live on one
//! node.

use crate::domain::SweepId;

/// The set of all sweeps of this Redis: the only key that does not belong to one sweep.
pub(super) const SWEEPS: &str = "ddrs:sweeps";

/// The names of a sweep's keys, in the order of `lua/prelude.lua`.
const NAMES: [&str; 15] = [
    // Hash: state, shape of the plan, settings, collector.
    "meta",
    // String: the specification as the coordinator wrote it.
    "spec",
    // List of job numbers.
    "pending",
    // Sorted set: job by deadline, in ms.
    "leases",
    // Hash: job -> "fence token state since isolated worker" of its latest claim, until the job is
    // completed.
    "claims",
    // Hash: claim token -> job, of live claims.
    "tokens",
    // Bitmap by slot.
    "done",
    // Stream of records that are not collected yet.
    "results",
    // Hash: job -> number of workers that it lost.
    "crashes",
    // Hash: job -> number of attempts that ended with an error.
    "errors",
    // Hash: job -> JSON that says why it was given up.
    "dead",
    // Bitmap by job.
    "completed",
    // Sorted set: worker by the time of its last request, in ms.
    "workers",
    // Stream, capped: claims that did not end with a completed job.
    "events",
    // Hash: job -> JSON, the number of workers lost by each sample that was certified alone.
    "suspects",
];

/// The full keys of one sweep.
#[derive(Debug, Clone)]
pub(super) struct Keys(Vec<String>);

impl Keys {
    pub(super) fn of(sweep: &SweepId) -> Self {
        Self(NAMES.iter().map(|name| key(sweep, name)).collect())
    }

    /// Returns all keys, in the scripts' order.
    pub(super) fn all(&self) -> &[String] {
        &self.0
    }
}

/// Returns one key of a sweep.
pub(super) fn key(sweep: &SweepId, name: &str) -> String {
    format!("ddrs:{{{sweep}}}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_name_the_keys_in_the_same_order() {
        let prelude = include_str!("lua/prelude.lua");
        let first = prelude.find("local META").expect("the names");
        let last = prelude.find("unpack(KEYS)").expect("the keys");
        let named = prelude[first + "local".len()..last]
            .replace(['\n', '=', ' '], "")
            .to_lowercase();
        assert_eq!(named, NAMES.join(","));
    }

    #[test]
    fn a_key_carries_the_sweep_as_hash_tag() {
        let sweep = SweepId::from_digest(&[0xab; 32]);
        assert_eq!(Keys::of(&sweep).all()[0], "ddrs:{abababababababab}:meta");
    }
}
