//! Our own speed: one row per model, precision and batch.
//!
//! A step measures several rows, because a process takes seconds to load the GPU's libraries. The
//! rows that were measured before a step failed are kept.

use anyhow::Result;

use super::again::precisions;
use crate::session::Session;
use crate::setup::Setup;
use crate::step::CheckStep;
use crate::summary::Importance;

/// The rows of one step.
struct Rows<'a> {
    model: &'a str,
    precisions: &'a str,
    batches: &'a str,
}

/// Measures the rows that have targets first.
pub(crate) fn measure(setup: &Setup, session: &mut Session) -> Result<()> {
    if setup.args.quick {
        let rows = rows("cifar-resnet20", "bf16", "50");
        return step(setup, session, &rows);
    }
    let others = other_precisions(setup);
    // The activations of random weights in a hundred layers exceed the range of fp16.
    let without_fp16 = others.strip_suffix(",fp16").unwrap_or(&others);
    for rows in [
        rows("cifar-resnet110", "bf16", "1000,4000"),
        rows("cifar-resnet20", "bf16", "1000,4000"),
        rows("resnet50", "bf16", "250,500"),
        rows("cifar-resnet110", without_fp16, "1000"),
        rows("cifar-resnet20", &others, "1000"),
        rows("resnet50", &others, "250"),
    ] {
        step(setup, session, &rows)?;
    }
    Ok(())
}

fn rows<'a>(model: &'a str, precisions: &'a str, batches: &'a str) -> Rows<'a> {
    Rows {
        model,
        precisions,
        batches,
    }
}

fn other_precisions(setup: &Setup) -> String {
    let others = precisions(setup)
        .iter()
        .filter(|&&precision| precision != "bf16");
    others.copied().collect::<Vec<_>>().join(",")
}

fn step(setup: &Setup, session: &mut Session, rows: &Rows) -> Result<()> {
    let name = format!("bench-{}-{}", rows.model, rows.precisions);
    let (seconds, repeats) = if setup.args.quick {
        ("0.5", "1")
    } else {
        ("1", "3")
    };
    let mut command = setup.programs.dev();
    command
        .args(["bench", "--model", rows.model])
        .args([
            "--precision",
            rows.precisions,
            "--device",
            &setup.args.device,
        ])
        .args(["--batch", rows.batches, "--samples", "2"])
        .args(["--seconds", seconds, "--repeats", repeats])
        .args(["--no-peers", "--format", "json"]);
    session.step(CheckStep::program(&name, 90, command), Importance::Required)?;
    session.keep_rows(&name)
}
