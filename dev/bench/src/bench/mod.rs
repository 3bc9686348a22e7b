//! `bench`: passes per second, gradient draws per second and the split of a run's time, on networks
//! with random weights, each in turn with the PyTorch loops that users run instead.

mod compare;
mod peer;
mod row;
mod subject;

use std::path::Path;

use anyhow::{Context, Result};
use ddrs_common::cli::OutputFormat;
use ddrs_common::output::print;

use crate::cli::{BenchArgs, BenchCompare};
use ddrs_common::cli::BadInput;
use ddrs_worker::engine::{Engine, EngineOptions};
use peer::{Loop, Peers};
use row::Row;
use subject::Subject;

/// Measures a row for every model, precision and batch, and prints each as it is done.
///
/// # Errors
/// When a device, model or precision cannot be had. A peer that fails takes nothing from the row
/// but its ratio.
pub(crate) fn bench(args: &BenchArgs) -> Result<()> {
    match &args.compare {
        Some(BenchCompare::Sigma(args)) => return compare::sigma(args),
        Some(BenchCompare::Stopping(args)) => return compare::stopping(args),
        None => {}
    }
    let engine = Engine::new(&EngineOptions::from(&args.device)).map_err(BadInput)?;
    let peers = Peers::find(&args.peer, engine.device(), args.seconds)?;
    let dir = std::env::temp_dir().join(format!("ddrs-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).context("a temporary folder")?;
    let bench = Bench {
        args,
        engine,
        peers,
        dir: &dir,
    };
    let precisions = |model: &String| {
        args.precision
            .iter()
            .try_for_each(|precision| bench.rows(model, precision))
    };
    let measured = args.model.iter().try_for_each(precisions);
    std::fs::remove_dir_all(&dir).ok();
    measured
}

/// What all rows share.
struct Bench<'a> {
    args: &'a BenchArgs,
    engine: Engine,
    peers: Option<Peers>,
    dir: &'a Path,
}

impl Bench<'_> {
    /// A row for each batch.
    fn rows(&self, model: &str, precision: &str) -> Result<()> {
        let subject = Subject::new(&self.engine, model, precision, self.dir)?;
        self.args
            .batch
            .iter()
            .try_for_each(|&batch| self.row(&subject, [model, precision], batch))
    }

    /// Measures a row, in turn with the peers where there is a python for them, and prints it.
    fn row(&self, subject: &Subject, [model, precision]: [&str; 2], batch: u64) -> Result<()> {
        let (args, engine) = (self.args, &self.engine);
        let fixed = subject.fixed(batch, args.n, args.samples, args.seconds)?;
        let climb = subject
            .climb(args.seconds)
            .map_err(|error| format!("{error:#}"));
        let mut row = Row::new(
            model,
            precision,
            engine.images_per_pass(&subject.network, &fixed)?,
            batch,
            engine,
        );
        let [_, side, _] = subject.network.shape();
        let modes = self
            .peers
            .iter()
            .flat_map(|peers| args.peers.iter().map(move |&mode| (peers, mode)));
        let mut loops: Vec<Loop> = modes
            .map(|(peers, mode)| peers.of(mode, model, batch, side))
            .collect();
        let passes = args.samples * (fixed.certify.n0.get() + fixed.certify.n.get());
        for turn in 1..=args.repeats {
            let (before, seconds) = (engine.time_split(), subject.time(&fixed, args.samples)?);
            row.certified(passes, args.samples, seconds, before, engine.time_split());
            match &climb {
                Ok(climb) => row.ascended(
                    subject
                        .draws_per_second(climb)
                        .map_err(|error| format!("{error:#}")),
                ),
                Err(error) => row.ascended(Err(error.clone())),
            }
            // Peers may take minutes to compile, or for ever.
            if turn == 1 && !loops.is_empty() && args.format == OutputFormat::Text {
                print(&format!(
                    "turn 1 of {}: {}",
                    args.repeats,
                    row.render(args.format, &[])
                ))?;
            }
            for peer in &mut loops {
                peer.turn(row.beside(peer.mode));
            }
        }
        Ok(print(&row.render(args.format, &loops))?)
    }
}
