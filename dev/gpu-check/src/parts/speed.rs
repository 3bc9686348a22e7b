//! Our own speed: one row per model, precision and batch.
//!
//! A step measures several rows, because a process takes seconds to load the GPU's libraries. The
//! rows that were measured before a step failed are kept.

use anyhow::Result;

use super::again::precisions;
use super::bench_rows::BenchRows;
use crate::session::Session;
use crate::setup::Setup;
use crate::step::CheckStep;
use crate::summary::Importance;

const QUICK: BenchRows = BenchRows {
    seconds: "0.5",
    repeats: "1",
    ..rows("cifar-resnet20", "bf16", "50")
};
const ROWS_WITH_TARGETS: [BenchRows; 3] = [
    rows("cifar-resnet110", "bf16", "1000,4000"),
    rows("cifar-resnet20", "bf16", "1000,4000"),
    rows("resnet50", "bf16", "250,500"),
];

/// Measures the rows that have targets first.
pub(crate) fn measure(setup: &Setup, session: &mut Session) -> Result<()> {
    if setup.args.quick {
        return step(setup, session, &QUICK);
    }
    let others = other_precisions(setup);
    for rows in ROWS_WITH_TARGETS.iter().chain(&other_rows(&others)) {
        step(setup, session, rows)?;
    }
    Ok(())
}

/// Returns the rows in the precisions other than bf16.
fn other_rows(precisions: &str) -> [BenchRows<'_>; 3] {
    // The activations of random weights in a hundred layers exceed the range of fp16.
    let without_fp16 = precisions.strip_suffix(",fp16").unwrap_or(precisions);
    [
        rows("cifar-resnet110", without_fp16, "1000"),
        rows("cifar-resnet20", precisions, "1000"),
        rows("resnet50", precisions, "250"),
    ]
}

const fn rows<'a>(model: &'a str, precisions: &'a str, batches: &'a str) -> BenchRows<'a> {
    BenchRows {
        model,
        precisions,
        batches,
        seconds: "1",
        repeats: "3",
    }
}

fn other_precisions(setup: &Setup) -> String {
    let others = precisions(setup)
        .iter()
        .filter(|&&precision| precision != "bf16");
    others.copied().collect::<Vec<_>>().join(",")
}

fn step(setup: &Setup, session: &mut Session, rows: &BenchRows) -> Result<()> {
    let name = format!("bench-{}-{}", rows.model, rows.precisions);
    let mut command = rows.command(setup);
    command.arg("--no-peers");
    session.step(CheckStep::program(&name, 90, command), Importance::Required)?;
    session.keep_rows(&name)
}
