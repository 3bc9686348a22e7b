//! The reason why a job is dead, with the names of its samples: the queue knows only slots.

use ddrs_common::domain::SampleIndex;
use ddrs_common::plan::Plan;
use ddrs_common::queue::{CrashSuspect, DeadJob};
use ddrs_common::spec::Sweep;
use serde_json::{Value, json};

/// The names of the slots of a sweep.
pub(crate) struct SlotNames {
    plan: Plan,
    variants: Vec<String>,
}

impl SlotNames {
    /// Returns the names of a sweep's samples.
    pub(crate) fn of(sweep: &Sweep, plan: &Plan) -> Self {
        let variants = sweep.variants();
        let names = variants.iter().map(|variant| variant.name.to_string());
        Self {
            plan: plan.clone(),
            variants: names.collect(),
        }
    }

    /// Returns the reason of a job's death. Names every sample that is known to have lost workers.
    pub(crate) fn reason(&self, dead: &DeadJob) -> String {
        if dead.crash_suspects.is_empty() {
            return dead.reason.clone();
        }
        let suspects = dead.crash_suspects.iter();
        let blamed: Vec<String> = suspects.map(|suspect| self.blame(suspect)).collect();
        // The names of the samples say this already.
        let rest = dead.reason.strip_prefix("its worker was lost; ");
        let rest = rest.unwrap_or(&dead.reason);
        format!("{}; {rest}", blamed.join(", "))
    }

    /// Returns the samples that are known to have lost workers, as JSON.
    pub(crate) fn killers(&self, dead: &DeadJob) -> Value {
        let suspects = dead.crash_suspects.iter();
        suspects.map(|suspect| self.suspect_json(suspect)).collect()
    }

    fn suspect_json(&self, suspect: &CrashSuspect) -> Value {
        let (variant, index) = self.sample(suspect.slot);
        json!({"variant": variant, "index": index.0, "workers_lost": suspect.crashes})
    }

    fn blame(&self, suspect: &CrashSuspect) -> String {
        let (variant, index) = self.sample(suspect.slot);
        let times = match suspect.crashes {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        format!(
            "sample {index} of {variant} killed its worker {times} while it was certified alone"
        )
    }

    /// Returns the variant and the index of a slot. The queue refuses slots that the plan does not
    /// have, so a missing name is shown as `?`.
    fn sample(&self, slot: u64) -> (&str, SampleIndex) {
        let variant = slot / self.plan.samples();
        let name = self.variants.get(variant as usize);
        let index = self.plan.index(slot % self.plan.samples());
        (name.map_or("?", String::as_str), index)
    }
}
