//! Reads all keys of a small sweep from Redis without the code of the queue.

use std::collections::{BTreeMap, BTreeSet};

use ddrs_common::domain::SweepId;
use redis::aio::MultiplexedConnection;

use super::reference::{ClaimEnd, JOBS, LatestClaim, ReferenceQueue};

#[derive(Debug)]
pub(super) struct Snapshot {
    pending: Vec<u32>,
    leased: BTreeSet<u32>,
    claims: BTreeMap<u32, String>,
    tokens: BTreeMap<String, u32>,
    dead: BTreeSet<u32>,
    completed: BTreeSet<u32>,
    done: BTreeSet<u64>,
    crashes: BTreeMap<u32, u32>,
    errors: BTreeMap<u32, u32>,
    suspects: BTreeMap<u32, BTreeMap<u64, u32>>,
    fence: u64,
    results: Vec<String>,
}

impl Snapshot {
    pub(super) async fn take(raw: &mut MultiplexedConnection, sweep: &SweepId) -> Self {
        let key = |name: &str| format!("ddrs:{{{sweep}}}:{name}");
        let mut pipe = redis::pipe();
        pipe.cmd("LRANGE").arg(key("pending")).arg(0).arg(-1);
        pipe.cmd("ZRANGE").arg(key("leases")).arg(0).arg(-1);
        pipe.cmd("HGETALL").arg(key("claims"));
        pipe.cmd("HGETALL").arg(key("tokens"));
        pipe.cmd("HKEYS").arg(key("dead"));
        pipe.cmd("GET").arg(key("completed"));
        pipe.cmd("GET").arg(key("done"));
        pipe.cmd("HGETALL").arg(key("crashes"));
        pipe.cmd("HGETALL").arg(key("errors"));
        pipe.cmd("HGETALL").arg(key("suspects"));
        pipe.cmd("HGET").arg(key("meta")).arg("fence");
        pipe.cmd("XRANGE").arg(key("results")).arg("-").arg("+");
        let mut values: Vec<redis::Value> = pipe.query_async(raw).await.unwrap();
        let mut next = || values.remove(0);
        Self {
            pending: read(next()),
            leased: read(next()),
            claims: read(next()),
            tokens: read(next()),
            dead: read(next()),
            completed: bits(next()),
            done: bits(next()).into_iter().map(u64::from).collect(),
            crashes: read(next()),
            errors: read(next()),
            suspects: read::<BTreeMap<u32, String>>(next())
                .into_iter()
                .map(|(job, json)| (job, serde_json::from_str(&json).unwrap()))
                .collect(),
            fence: read(next()),
            results: read::<Vec<(String, BTreeMap<String, String>)>>(next())
                .into_iter()
                .map(|(_, mut fields)| fields.remove("record").unwrap())
                .collect(),
        }
    }

    /// Checks the invariants of every state.
    pub(super) fn check_invariants(&self) {
        let mut places: Vec<u32> = self.pending.clone();
        places.extend(self.leased.iter().chain(&self.dead).chain(&self.completed));
        places.sort_unstable();
        assert_eq!(
            places,
            (0..JOBS).collect::<Vec<_>>(),
            "every job must be in exactly one place: {self:?}"
        );

        let live: BTreeSet<u32> = self.tokens.values().copied().collect();
        assert_eq!(
            (live.len(), &live),
            (self.tokens.len(), &self.leased),
            "each lease must have one token: {self:?}"
        );
        for (job, claim) in &self.claims {
            assert_eq!(
                claim.contains(" live "),
                self.leased.contains(job),
                "only live claims may be leases: {self:?}"
            );
        }
        let charged = self
            .crashes
            .keys()
            .chain(self.errors.keys())
            .chain(self.suspects.keys());
        let mentioned: BTreeSet<u32> = self.claims.keys().chain(charged).copied().collect();
        assert!(
            mentioned.is_disjoint(&self.completed),
            "a completed job may have no claim or charge: {self:?}"
        );
        for (job, charges) in &self.suspects {
            let charges: u32 = charges.values().sum();
            assert!(
                charges <= self.crashes[job],
                "a crash may be charged to one sample at most: {self:?}"
            );
        }
    }

    /// Checks that the state equals that of the reference model.
    pub(super) fn check_against(&self, model: &ReferenceQueue) {
        assert!(self.pending.iter().eq(&model.pending), "{self:?} {model:?}");
        assert_eq!(self.leased, model.live().map(|lease| lease.job.0).collect());
        let tokens: BTreeMap<_, _> = model
            .live()
            .map(|lease| (lease.token.to_string(), lease.job.0))
            .collect();
        assert_eq!(self.tokens, tokens);
        assert_eq!(
            (&self.dead, &self.completed, &self.done),
            (&model.dead, &model.completed, &model.done)
        );
        assert_eq!(
            (&self.crashes, &self.errors, self.fence),
            (&model.crashes, &model.errors, model.fence)
        );
        assert_eq!(self.suspects, model.suspects);
        assert_eq!(
            self.results, model.uncollected,
            "the stream must hold each stored record once, in order"
        );
        assert!(self.claims.keys().eq(model.claims.keys()));
        for (
            claim,
            LatestClaim {
                lease,
                end,
                worker,
                isolated,
            },
        ) in self.claims.values().zip(model.claims.values())
        {
            let state = match end {
                ClaimEnd::Live => "live",
                ClaimEnd::Released => "released",
                ClaimEnd::Failed => "failed",
                ClaimEnd::Lapsed => "lapsed",
                ClaimEnd::Buried => "buried",
            };
            let expected = format!("{} {} {state} ", lease.fence.0, lease.token);
            let isolated = isolated.map_or("-".to_owned(), |place| place.to_string());
            let ending = format!(" {isolated} {worker}");
            assert!(
                claim.starts_with(&expected) && claim.ends_with(&ending),
                "claim {claim:?} must be {expected:?} ... {ending:?}"
            );
        }
    }
}

fn read<T: redis::FromRedisValue>(value: redis::Value) -> T {
    redis::from_redis_value(value).unwrap()
}

fn bits(value: redis::Value) -> BTreeSet<u32> {
    let bytes = read::<Option<Vec<u8>>>(value).unwrap_or_default();
    (0..bytes.len() as u32 * 8)
        .filter(|bit| bytes[(bit / 8) as usize] & (0x80 >> (bit % 8)) != 0)
        .collect()
}
