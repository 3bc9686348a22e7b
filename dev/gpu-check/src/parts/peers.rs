//! PyTorch's loops, each in turn with the row whose target is a ratio to it.
//!
//! The `tuned` loop is compiled, which takes longest and needs a C compiler. Its steps come last,
//! and where it fails the row says why.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::session::Session;
use crate::setup::Setup;
use crate::step::CheckStep;
use crate::summary::Importance;

/// One of our rows and the loop next to it.
struct PeerRow {
    model: &'static str,
    precision: &'static str,
    batch: &'static str,
    peer_loop: &'static str,
    peer_batches: &'static str,
    /// Limit in seconds.
    limit: u64,
    repeats: &'static str,
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
const QUICK: [PeerRow; 1] = [row(
    ["cifar-resnet20", "bf16", "50", "plain", "50"],
    60,
    "1",
)];

const fn row(words: [&'static str; 5], limit: u64, repeats: &'static str) -> PeerRow {
    let [model, precision, batch, peer_loop, peer_batches] = words;
    PeerRow {
        model,
        precision,
        batch,
        peer_loop,
        peer_batches,
        limit,
        repeats,
    }
}

/// Measures each row next to its loop, as far as the time allows.
pub(crate) fn measure(setup: &Setup, session: &mut Session) -> Result<()> {
    let Some(python) = setup.programs.python_with_torch() else {
        let reason = "no python3 with torch";
        return session
            .summary
            .left_out("peers", reason, Importance::Optional);
    };
    let rows: &[PeerRow] = if setup.args.quick { &QUICK } else { &FULL };
    for row in rows {
        let name = format!("peer-{}-{}-{}", row.model, row.precision, row.peer_loop);
        let command = command(setup, row, python);
        let step = CheckStep::program(&name, row.limit, command);
        if session.step(step, Importance::Optional)? {
            keep_row(session, &name, row)?;
        }
    }
    Ok(())
}

fn command(setup: &Setup, row: &PeerRow, python: &Path) -> Command {
    let seconds = if setup.args.quick { "0.5" } else { "2" };
    let mut command = setup.programs.dev();
    command
        .args(["bench", "--model", row.model])
        .args(["--precision", row.precision, "--device", &setup.args.device])
        .args(["--batch", row.batch, "--samples", "2"])
        .args(["--seconds", seconds, "--repeats", row.repeats])
        .args(["--peers", row.peer_loop])
        .args(["--peer-batch", row.peer_batches, "--format", "json"])
        .arg("--peer-python")
        .arg(python);
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
