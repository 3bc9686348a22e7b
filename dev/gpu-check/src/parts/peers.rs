//! PyTorch's loops, each in turn with the row whose target is a ratio to it.
//!
//! The `tuned` loop is compiled, which takes longest and needs a C compiler. Its steps come last,
//! and where it fails the row says why.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::bench_rows::BenchRows;
use crate::session::Session;
use crate::setup::Setup;
use crate::step::CheckStep;
use crate::summary::Importance;

/// One of our rows and the loop next to it.
struct PeerRow {
    ours: BenchRows<'static>,
    peer_loop: &'static str,
    peer_batches: &'static str,
    /// Limit in seconds.
    limit: u64,
}

#[rustfmt::skip]
const FULL: [PeerRow; 7] = [
    row(["cifar-resnet110", "bf16", "4000", "plain", "1000,4000"], 60, "2"),
    row(["resnet50", "bf16", "500", "plain", "250,500"], 60, "2"),
    row(["cifar-resnet110", "fp32", "1000", "plain", "1000,4000"], 60, "2"),
    row(["cifar-resnet110", "fp32", "1000", "sigma", "1000"], 60, "2"),
    row(["cifar-resnet110", "bf16", "4000", "tuned", "4000"], 180, "1"),
    row(["resnet50", "bf16", "500", "tuned", "500"], 180, "1"),
    row(["cifar-resnet20", "fp32", "1000", "plain", "1000,4000"], 60, "1"),
];
const QUICK: [PeerRow; 1] = [PeerRow {
    ours: BenchRows {
        model: "cifar-resnet20",
        precisions: "bf16",
        batches: "50",
        seconds: "0.5",
        repeats: "1",
    },
    peer_loop: "plain",
    peer_batches: "50",
    limit: 60,
}];

const fn row(words: [&'static str; 5], limit: u64, repeats: &'static str) -> PeerRow {
    let [model, precision, batch, peer_loop, peer_batches] = words;
    PeerRow {
        ours: BenchRows {
            model,
            precisions: precision,
            batches: batch,
            seconds: "2",
            repeats,
        },
        peer_loop,
        peer_batches,
        limit,
    }
}

impl PeerRow {
    fn name(&self) -> String {
        let BenchRows {
            model, precisions, ..
        } = self.ours;
        format!("peer-{model}-{precisions}-{}", self.peer_loop)
    }
}

/// Measures each row next to its loop, as far as the time allows.
pub(crate) fn measure(setup: &Setup, session: &mut Session) -> Result<()> {
    let Some(python) = setup.programs.python_with_torch() else {
        return session.summary.without_torch("peers");
    };
    for row in setup.cases(&QUICK, &FULL) {
        measure_row(setup, session, row, python)?;
    }
    Ok(())
}

fn measure_row(setup: &Setup, session: &mut Session, row: &PeerRow, python: &Path) -> Result<()> {
    let name = row.name();
    let command = command(setup, row, python);
    let step = CheckStep::program(&name, row.limit, command);
    if session.step(step, Importance::Optional)? {
        keep_row(session, &name, row)?;
    }
    Ok(())
}

fn command(setup: &Setup, row: &PeerRow, python: &Path) -> Command {
    let mut command = row.ours.command(setup);
    command.args(["--peers", row.peer_loop, "--peer-batch", row.peer_batches]);
    command.arg("--peer-python").arg(python);
    if let Some(script) = &setup.args.peer {
        command.arg("--peer-script").arg(script);
    }
    command
}

fn keep_row(session: &mut Session, name: &str, row: &PeerRow) -> Result<()> {
    session.keep_rows(name)?;
    let error = format!("\"peer_{}_error\"", row.peer_loop);
    if session.printed_by(name).contains(&error) {
        session.summary.without_ratio(name)?;
    }
    Ok(())
}
