//! `attack`: searches for points that contradict the certificates of a run, and certifies them.

mod points;
mod select;
mod surfaces;

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use ddrs_common::attack::{AttackFile, AttackOutcome, AttackRecord, AttackTally};
use ddrs_common::cli::{BadInput, Interrupted};
use ddrs_common::domain::Record;
use ddrs_common::output::print;
use ddrs_common::spec::Variant;
use ddrs_common::terminal::plain;
use ddrs_common::{record_file, run_folder};
use ddrs_worker::engine::{Engine, EngineOptions, LoadedNetwork};
use tracing::{info, warn};

use super::stop_flag::{StopMessages, stop_flag};
use crate::cli::AttackArgs;
use crate::run::load_model;
use points::VariantAttack;
use select::AttackPlan;

const MESSAGES: StopMessages = StopMessages {
    first: "stopping after the samples in progress",
    second: "attacks in progress are lost",
};

/// Attacks the certificates of a run, and prints the bounds that follow for each variant.
///
/// # Errors
/// - [`BadInput`] when the folder, its data or its models cannot be used
/// - [`Interrupted`] when a signal asked to stop
pub(crate) fn attack(args: &AttackArgs) -> Result<()> {
    let plan = AttackPlan::read(args).map_err(BadInput)?;
    let stop = stop_flag(&MESSAGES)?;
    let engine = Engine::new(&EngineOptions::from(&args.device)).map_err(BadInput)?;
    let mut results = AttackResults::open(args, plan.records()?)?;
    for variant in &plan.variants {
        attack_variant(&plan, &engine, variant, &mut results, &stop)?;
    }
    print(&results.summary(&plan))?;
    Ok(())
}

/// The records of the run and the attacks on them, old and new.
struct AttackResults {
    file: AttackFile,
    records: Vec<Record>,
    attacks: Vec<AttackRecord>,
}

impl AttackResults {
    fn open(args: &AttackArgs, records: Vec<Record>) -> Result<Self> {
        let path = run_folder::attacks(&args.run);
        let opened = AttackFile::open(&path).map_err(|error| BadInput(error.into()))?;
        if let Some(record_file::Repair::Removed(bytes)) = opened.repair {
            let path = path.display();
            warn!("{path}: removed {bytes} bytes of a torn last line; its attack is repeated");
        }
        Ok(Self {
            file: opened.file,
            records,
            attacks: opened.lines,
        })
    }

    fn add(&mut self, new: Vec<AttackRecord>) -> Result<()> {
        self.file.append(&new)?;
        self.attacks.extend(new);
        Ok(())
    }

    /// The records of a variant.
    fn records_of(&self, variant: &Variant) -> Vec<Record> {
        let records = self.records.iter();
        records
            .filter(|record| record.variant == variant.name)
            .cloned()
            .collect()
    }

    /// The attacks on a variant, old and new.
    fn attacks_on(&self, variant: &Variant) -> Vec<AttackRecord> {
        let attacks = self.attacks.iter();
        attacks
            .filter(|attack| attack.point.variant == variant.name)
            .cloned()
            .collect()
    }

    /// One line per variant with the bounds that follow from all attacks at this radius.
    fn summary(&self, plan: &AttackPlan) -> String {
        let lines = plan.variants.iter().map(|variant| {
            let records = self.records_of(variant);
            let tally = AttackTally::count(plan.reach, &records, &self.attacks_on(variant));
            plain(&format!("{}, {tally}", variant.name)) + "\n"
        });
        lines.collect()
    }
}

/// Attacks the certificates of one variant that have no attack with these settings yet, a few at a
/// time.
fn attack_variant(
    plan: &AttackPlan,
    engine: &Engine,
    variant: &Variant,
    results: &mut AttackResults,
    stop: &AtomicBool,
) -> Result<()> {
    let targets = plan.targets(&results.records_of(variant), &results.attacks_on(variant));
    if targets.is_empty() {
        return Ok(());
    }
    let loaded = load(plan, engine, variant).map_err(BadInput)?;
    let networks: Vec<&LoadedNetwork> = loaded.iter().collect();
    let attack = VariantAttack {
        plan,
        engine,
        networks: &networks,
        variant,
        stop,
    };
    let mut done = 0;
    for group in targets.chunks(group_size(engine)) {
        let new = attack.attack(group)?;
        if stop.load(Ordering::Relaxed) {
            return Err(Interrupted("run the same command again to resume").into());
        }
        done += group.len();
        let fell = new
            .iter()
            .filter(|attack| attack.outcome() == Some(AttackOutcome::Falls));
        let fell = fell.count();
        let left = targets.len() - done;
        results
            .add(new)
            .context("the results of an attack are lost")?;
        info!(variant = %variant.name, done, left, fell, "attacked");
    }
    Ok(())
}

/// Loads the networks of a variant.
fn load(plan: &AttackPlan, engine: &Engine, variant: &Variant) -> Result<Vec<LoadedNetwork>> {
    let places = plan.sweep.sweep.networks_of(variant).into_iter();
    places
        .map(|place| load_model(engine, &plan.sweep, place))
        .collect()
}

/// The number of samples that are attacked before their results are written.
fn group_size(engine: &Engine) -> usize {
    (2 * engine.threads()).max(4)
}
