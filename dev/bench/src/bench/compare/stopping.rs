//! Stopping rules.

use std::ops::Range;

use anyhow::Result;
use ddrs_common::domain::{Certification, Choice, Outcome, Radii, Radius};
use ddrs_common::spec::{Stopping, Sweep};
use serde_json::{Value, json};

use super::{ImageBench, MethodRun, print_rows};
use crate::cli::CompareArgs;

/// A stopping rule, and its run.
struct RuleRun {
    name: &'static str,
    sweep: Sweep,
    run: MethodRun,
}

/// Compares the stopping rules: seconds, draws, and the share of (image, radius) that each decides
/// as `fixed` does on a grid of 0.25.
///
/// # Errors
/// [`BadInput`](ddrs_common::cli::BadInput) if the specification, data or model does not fit.
pub(in super::super) fn compare_stopping(args: &CompareArgs) -> Result<()> {
    let bench = ImageBench::open(args)?;
    let grid: Radii = "0:4:0.25".parse()?;
    let mut rules = rules(&bench.sweep, &grid);
    for part in bench.parts()? {
        run_part(&bench, &mut rules, &part)?;
    }
    print_rows(&rows(&rules, &grid), args.format)
}

fn run_part(bench: &ImageBench, rules: &mut [RuleRun], part: &Range<usize>) -> Result<()> {
    for RuleRun { sweep, run, .. } in rules {
        bench.run(sweep, Choice::Fixed, part, run)?;
    }
    Ok(())
}

/// Returns the row of each rule, compared with the first.
fn rows(rules: &[RuleRun], grid: &Radii) -> Vec<Value> {
    let fixed = &rules[0].run;
    rules.iter().map(|rule| rule.row(fixed, grid)).collect()
}

fn rules(sweep: &Sweep, grid: &Radii) -> [RuleRun; 3] {
    [
        RuleRun::new("fixed", sweep, Stopping::Fixed),
        RuleRun::new("radii", sweep, Stopping::Radii(grid.clone())),
        RuleRun::new("loss 0.01", sweep, Stopping::Loss(0.01)),
    ]
}

impl RuleRun {
    fn new(name: &'static str, sweep: &Sweep, stopping: Stopping) -> Self {
        let mut sweep = sweep.clone();
        sweep.certify.stopping = stopping;
        Self {
            name,
            sweep,
            run: MethodRun::default(),
        }
    }

    /// Returns the row of a rule, compared with the fixed one.
    fn row(&self, fixed: &MethodRun, grid: &Radii) -> Value {
        let drawn = self.run.drawn() as f64;
        json!({
            "rule": self.name,
            "images": self.run.found.len(),
            "n": self.sweep.certify.n.get(),
            "seconds_per_image": self.run.seconds / self.run.images(),
            "draws_per_image": drawn / self.run.images(),
            "share_of_draws": drawn / fixed.drawn() as f64,
            "equal_decisions": equal_decisions(&self.run, fixed, grid),
        })
    }
}

impl MethodRun {
    fn drawn(&self) -> u64 {
        self.found.values().map(|found| found.n).sum()
    }
}

/// Returns the share of (image, radius) that two runs decide alike, among the images of both.
fn equal_decisions(run: &MethodRun, fixed: &MethodRun, grid: &Radii) -> f64 {
    let mut equal = 0;
    let mut all = 0;
    for (place, found) in &run.found {
        if let Some(other) = fixed.found.get(place) {
            equal += count_equal(found, other, grid);
            all += grid.iter().len();
        }
    }
    equal as f64 / all as f64
}

/// Counts the radii at which two certifications decide alike.
fn count_equal(found: &Certification, other: &Certification, grid: &Radii) -> usize {
    let radii = grid.iter();
    let equal = radii.filter(|&radius| reaches(found, radius) == reaches(other, radius));
    equal.count()
}

/// Returns true if this radius is certified.
fn reaches(found: &Certification, at: Radius) -> bool {
    matches!(found.outcome, Outcome::Certified { radius, .. } if radius >= at)
}
