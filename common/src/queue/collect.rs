//! The collector's part: read results, write them elsewhere, then trim them; one collector at a
//! time.

use std::time::Duration;

use redis::Value;

use super::error::QueueError;
use super::ids::StreamId;
use super::scripts::{LOCK, TRIM, UNLOCK};
use super::sweep::SweepQueue;
use crate::domain::InvalidValue;

/// Who may collect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectorLock {
    /// The one who asked.
    Held {
        /// Where trimmed records are, as the last [`SweepQueue::trim`] named it.
        collected_into: Option<String>,
    },
    /// Someone else.
    Busy {
        /// Who.
        owner: String,
        /// How long, unless they renew it.
        left: Duration,
    },
}

impl SweepQueue {
    /// Makes `owner` the one collector for `ttl`, and renews that when it is. `owner` should name
    /// the collecting folder and its machine, so that a collector that was killed takes its place
    /// again without waiting.
    pub async fn lock_collector(
        &self,
        owner: &str,
        ttl: Duration,
    ) -> Result<CollectorLock, QueueError> {
        let mut reply = self
            .run(&self.call(&LOCK).arg(owner).arg(ttl.as_millis() as u64))
            .await?;
        Ok(match reply.word()?.as_str() {
            "held" => CollectorLock::Held {
                collected_into: reply.take()?,
            },
            "busy" => CollectorLock::Busy {
                owner: reply.take()?,
                left: Duration::from_millis(reply.take()?),
            },
            word => return Err(reply.unknown(word)),
        })
    }

    /// Ends `owner`'s turn, if it is theirs.
    pub async fn unlock_collector(&self, owner: &str) -> Result<(), QueueError> {
        self.run(&self.call(&UNLOCK).arg(owner)).await.map(|_| ())
    }

    /// Up to `count` records after `after`, oldest first; with none, from the start. An entry
    /// without a text as its record has an empty one, which is no record. Collectors start over
    /// from there after every trim: ids of a server that lost its last second, or of its replica,
    /// need not be above earlier ones.
    pub async fn results(
        &self,
        after: Option<StreamId>,
        count: usize,
    ) -> Result<Vec<(StreamId, String)>, QueueError> {
        let start = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
        let mut command = redis::cmd("XRANGE");
        command
            .arg(self.key("results"))
            .arg(start)
            .arg("+")
            .arg("COUNT")
            .arg(count);
        let entries: Vec<(String, Vec<(String, Value)>)> = self.query(&command).await?;
        entries
            .into_iter()
            .map(|(id, fields)| read_result(&id, fields))
            .collect()
    }

    /// Drops the results up to and including `upto`, which are now safe at `into`. False, and
    /// nothing is dropped, when `owner` is not the collector: then someone else took over, and may
    /// have read the same results.
    pub async fn trim(&self, owner: &str, into: &str, upto: StreamId) -> Result<bool, QueueError> {
        let mut reply = self
            .run(
                &self
                    .call(&TRIM)
                    .arg(owner)
                    .arg(into)
                    .arg(upto.next().to_string()),
            )
            .await?;
        match reply.word()?.as_str() {
            "trimmed" => Ok(true),
            "not_collector" => Ok(false),
            word => Err(reply.unknown(word)),
        }
    }
}

fn read_result(id: &str, fields: Vec<(String, Value)>) -> Result<(StreamId, String), QueueError> {
    let answer = |problem: String| QueueError::Answer {
        request: "results",
        problem,
    };
    let record = fields.into_iter().find(|(name, _)| name == "record");
    let line = record
        .and_then(|(_, value)| redis::from_redis_value(value).ok())
        .unwrap_or_default();
    Ok((
        id.parse()
            .map_err(|error: InvalidValue| answer(error.to_string()))?,
        line,
    ))
}
