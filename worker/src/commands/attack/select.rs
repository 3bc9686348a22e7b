//! The certificates to attack.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::attack::{AttackReach, AttackRecord, AttackSettings, AttackTarget};
use ddrs_common::domain::{Record, SampleIndex};
use ddrs_common::roots::Roots;
use ddrs_common::spec::{Sweep, Variant};
use ddrs_common::{record_file, run_folder};

use crate::cli::AttackArgs;
use crate::run::open_sweep::OpenSweep;

/// The number of consecutive seeds that an attack may use: one per point that is certified.
pub(super) const SEEDS: u64 = 64;

/// The run, and the attack that was asked for.
pub(super) struct AttackPlan {
    run: PathBuf,
    pub(super) sweep: Arc<OpenSweep>,
    pub(super) variants: Vec<Variant>,
    pub(super) reach: AttackReach,
    pub(super) settings: AttackSettings,
    limit: usize,
}

impl AttackPlan {
    /// Reads the sweep of a run folder and opens its data.
    ///
    /// # Errors
    /// When the folder is not a run folder, its data is not there or not what was certified, or the
    /// arguments do not fit the sweep.
    pub(super) fn read(args: &AttackArgs) -> Result<Self> {
        let message = run_folder::sweep(&args.run)?;
        let sweep = OpenSweep::open(message, &Roots::anywhere())?;
        Ok(Self {
            run: args.run.clone(),
            variants: variants(&sweep.variants, &args.variant)?,
            reach: args.reach.reach(),
            settings: settings(args, &sweep.sweep)?,
            limit: args.limit.map_or(usize::MAX, usize::from),
            sweep,
        })
    }

    /// Reads the records of the run.
    pub(super) fn records(&self) -> Result<Vec<Record>> {
        let records = record_file::read(&run_folder::records(&self.run))?;
        for record in &records {
            self.check(record).with_context(|| {
                let path = run_folder::records(&self.run);
                format!("{}: {} {}", path.display(), record.variant, record.index)
            })?;
        }
        Ok(records)
    }

    /// Checks what an attack relies on. Reports check records in full.
    fn check(&self, record: &Record) -> Result<()> {
        let sweep = &self.sweep.sweep;
        let known = |variant: &&Variant| variant.name == record.variant;
        let variant = self.sweep.variants.iter().find(known);
        let variant = variant.filter(|_| self.sweep.plan.position(record.index).is_some());
        let variant = variant.context("not a sample of this sweep")?;
        let Some(target) = AttackTarget::of(record, AttackReach::Own) else {
            return Ok(());
        };
        let selected = sweep.selected_by(variant);
        let levels = selected.map(|selected| selected.levels.len());
        let model = selected.map_or(variant.model, |selected| selected.levels[0].model);
        ensure!(
            target.class.0 < sweep.models[model].classes,
            "the network has no class {}",
            target.class.0
        );
        let is_known = |level: u32| levels.is_none_or(|levels| (level as usize) < levels);
        ensure!(
            target.level.is_none_or(is_known),
            "its level is not one of the sweep"
        );
        Ok(())
    }

    /// Returns the certificates of a variant to attack: at most the limit, evenly spread, without
    /// those that have an attack with the same settings.
    pub(super) fn targets(
        &self,
        records: &[Record],
        attacks: &[AttackRecord],
    ) -> Vec<AttackTarget> {
        let mut all: Vec<AttackTarget> = records
            .iter()
            .filter_map(|record| AttackTarget::of(record, self.reach))
            .collect();
        all.sort_by_key(|target| target.index);
        let done = self.done(attacks);
        spread(&all, self.limit)
            .into_iter()
            .filter(|target| !done.contains(&target.index))
            .collect()
    }

    fn done(&self, attacks: &[AttackRecord]) -> HashSet<SampleIndex> {
        let same = attacks
            .iter()
            .filter(|attack| attack.reach == self.reach && attack.settings == self.settings);
        same.map(|attack| attack.point.index).collect()
    }
}

/// Returns at most `limit` of the values, evenly spread.
fn spread<T: Copy>(values: &[T], limit: usize) -> Vec<T> {
    let count = values.len().min(limit);
    (0..count)
        .map(|place| values[place * values.len() / count])
        .collect()
}

fn variants(all: &[Variant], names: &[String]) -> Result<Vec<Variant>> {
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    names.iter().map(|name| variant(all, name)).collect()
}

fn variant(all: &[Variant], name: &str) -> Result<Variant> {
    let found = all.iter().find(|variant| variant.name.as_str() == name);
    found.cloned().with_context(|| {
        let names: Vec<&str> = all.iter().map(|variant| variant.name.as_str()).collect();
        format!("no variant {name:?}; the run has {}", names.join(", "))
    })
}

fn settings(args: &AttackArgs, sweep: &Sweep) -> Result<AttackSettings> {
    let seed = args.seed.unwrap_or(sweep.seed.wrapping_add(1));
    if sweep.seed.wrapping_sub(seed) < SEEDS {
        bail!(
            "--seed {seed} would repeat the noise of the certificates, whose seed is {}; choose \
             another",
            sweep.seed
        );
    }
    Ok(AttackSettings {
        steps: args.steps,
        starts: args.starts,
        draws: args.draws,
        seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_takes_samples_from_the_whole_range() {
        let all: Vec<u32> = (0..10).collect();
        assert_eq!(spread(&all, 3), [0, 3, 6]);
        assert_eq!(spread(&all, 10), all);
        assert_eq!(spread(&all, 99), all);
        assert!(spread::<u32>(&[], 3).is_empty());
    }
}
