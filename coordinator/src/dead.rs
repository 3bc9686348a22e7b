//! Why a job is dead, in the words of its sweep: the queue knows slots, people know variants and
//! indices.

use ddrs_common::domain::SampleIndex;
use ddrs_common::plan::Plan;
use ddrs_common::queue::{CrashSuspect, DeadJob};
use ddrs_common::spec::Sweep;
use serde_json::{Value, json};

/// What slots of a sweep are called.
pub struct Names {
    plan: Plan,
    variants: Vec<String>,
}

impl Names {
    /// The names of a sweep's samples.
    #[must_use]
    pub fn of(sweep: &Sweep, plan: &Plan) -> Self {
        let variants = sweep
            .variants()
            .iter()
            .map(|variant| variant.name.to_string())
            .collect();
        Self {
            plan: plan.clone(),
            variants,
        }
    }

    /// The reason of a job's death. Names every sample that is known to have lost workers.
    #[must_use]
    pub fn reason(&self, dead: &DeadJob) -> String {
        if dead.crash_suspects.is_empty() {
            return dead.reason.clone();
        }
        let told: Vec<String> = dead
            .crash_suspects
            .iter()
            .map(|killer| self.blame(killer))
            .collect();
        // Which is just what was told.
        let rest = dead
            .reason
            .strip_prefix("its worker was lost; ")
            .unwrap_or(&dead.reason);
        format!("{}; {rest}", told.join(", "))
    }

    /// The samples that are known to have lost workers, as JSON.
    #[must_use]
    pub fn killers(&self, dead: &DeadJob) -> Value {
        let told = dead.crash_suspects.iter().map(|killer| {
            let (variant, index) = self.sample(killer.slot);
            json!({"variant": variant, "index": index.0, "workers_lost": killer.crashes})
        });
        told.collect()
    }

    fn blame(&self, killer: &CrashSuspect) -> String {
        let (variant, index) = self.sample(killer.slot);
        let times = if killer.crashes == 1 {
            "once".to_owned()
        } else {
            format!("{} times", killer.crashes)
        };
        format!(
            "sample {index} of {variant} killed its worker {times} while it was certified alone"
        )
    }

    fn sample(&self, slot: u64) -> (&str, SampleIndex) {
        let (variant, position) = (slot / self.plan.samples(), slot % self.plan.samples());
        // The queue refuses slots that the plan has not; a name missing all the same is shown as
        // such.
        (
            self.variants
                .get(variant as usize)
                .map_or("?", String::as_str),
            self.plan.index(position),
        )
    }
}
