//! The keys of a sweep. The braces are a cluster's hash tag: all keys of one sweep live on one
//! node.

use crate::domain::SweepId;

/// The set of all sweeps that this Redis knows: the one key that belongs to no sweep.
pub(super) const SWEEPS: &str = "ddrs:sweeps";

/// What a sweep keeps, in the order in which `lua/prelude.lua` names them.
const NAMES: [&str; 15] = [
    "meta",      // hash: state, shape of the plan, settings, collector
    "spec",      // string: the specification as the coordinator wrote it
    "pending",   // list of job numbers
    "leases",    // sorted set: job by deadline, ms
    "claims", // hash: job -> "fence token state since alone worker", of its latest claim until it is completed
    "tokens", // hash: claim token -> job, of live claims
    "done",   // bitmap by slot
    "results", // stream of records that are not collected yet
    "crashes", // hash: job -> how many workers it lost
    "errors", // hash: job -> how often it failed
    "dead",   // hash: job -> JSON, why it was given up
    "completed", // bitmap by job
    "workers", // sorted set: worker by when it was last heard of, ms
    "events", // stream, capped: claims that did not end in completion
    "suspects", // hash: job -> JSON, how often each of its samples lost a worker that was at nothing else
];

/// The full keys of one sweep.
#[derive(Debug, Clone)]
pub(super) struct Keys(Vec<String>);

impl Keys {
    pub(super) fn of(sweep: &SweepId) -> Self {
        Self(NAMES.iter().map(|name| key(sweep, name)).collect())
    }

    /// All of them, in the scripts' order.
    pub(super) fn all(&self) -> &[String] {
        &self.0
    }
}

/// One key of a sweep.
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
