//! Rules of stopping.

use anyhow::Result;
use ddrs_common::domain::{Certification, Choice, Outcome, Radii, Radius};
use ddrs_common::spec::{Stopping, Sweep};
use serde_json::{Value, json};

use super::{Bench, Run, show};
use crate::cli::CompareArgs;

/// A rule, and what came of it.
struct Rule {
    name: &'static str,
    sweep: Sweep,
    run: Run,
}

/// Compares the rules of stopping: seconds, draws, and the share of (image, radius) that each
/// decides as `fixed` does on a grid of 0.25.
///
/// # Errors
/// [`BadInput`](ddrs_common::cli::BadInput) where the specification, data or model does not fit.
pub(in super::super) fn stopping(args: &CompareArgs) -> Result<()> {
    let bench = Bench::open(args)?;
    let grid: Radii = "0:4:0.25".parse()?;
    let stopping = [
        ("fixed", Stopping::Fixed),
        ("radii", Stopping::Radii(grid.clone())),
        ("loss 0.01", Stopping::Loss(0.01)),
    ];
    let mut rules = stopping.map(|(name, rule)| {
        let mut sweep = bench.sweep.clone();
        sweep.certify.stopping = rule;
        Rule {
            name,
            sweep,
            run: Run::default(),
        }
    });
    for part in bench.parts()? {
        for Rule { sweep, run, .. } in &mut rules {
            bench.run(sweep, Choice::Fixed, &part, run)?;
        }
    }
    let n = bench.sweep.certify.n.get();
    let rows: Vec<Value> = rules
        .iter()
        .map(|rule| row(rule, &rules[0].run, &grid, n))
        .collect();
    show(&rows, args.format)
}

/// What a rule came to, beside the fixed one.
fn row(Rule { name, run, .. }: &Rule, fixed: &Run, grid: &Radii, n: u64) -> Value {
    let drawn = |run: &Run| run.found.values().map(|found| found.n).sum::<u64>();
    let pairs = || {
        run.found
            .iter()
            .filter_map(|(place, found)| Some((found, fixed.found.get(place)?)))
    };
    let alike = |a, b| {
        grid.iter()
            .filter(|&radius| reaches(a, radius) == reaches(b, radius))
            .count()
    };
    let equal = pairs().map(|(a, b)| alike(a, b)).sum::<usize>();
    let images = run.found.len() as f64;
    json!({"rule": name, "images": run.found.len(), "n": n, "seconds_per_image": run.seconds / images,
        "draws_per_image": drawn(run) as f64 / images, "share_of_draws": drawn(run) as f64 / drawn(fixed) as f64,
        "equal_decisions": equal as f64 / (pairs().count() * grid.iter().len()) as f64})
}

/// Whether this radius is certified.
fn reaches(found: &Certification, at: Radius) -> bool {
    matches!(found.outcome, Outcome::Certified { radius, .. } if radius >= at)
}
