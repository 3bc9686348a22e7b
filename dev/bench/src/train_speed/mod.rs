//! `train-speed`: images per second of the Gaussian training step, in turn with the same step in
//! PyTorch eager; or, with `--costs`, the time of the other training steps relative to it.
//!
//! Every other round runs in reverse order, so that a machine that becomes faster or slower favours
//! no contestant. Each run warms up for one epoch and measures one of the same number of steps. The
//! best round of each counts, since other programs only ever make a run slower.

mod peer;
mod table;
mod training;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use ddrs_common::output::print;

use crate::cli::TrainSpeedArgs;
use crate::temporary::TemporaryFolder;
use table::Speed;
use training::OurTraining;

/// Images that are kept for validation.
const VALIDATION: usize = 100;

/// A training step whose speed is measured.
enum Contestant {
    /// `ddrs-worker train`.
    Ours(OurTraining),
    /// PyTorch eager, in a memory layout.
    Peer { layout: &'static str },
}

/// The arguments, and where everything is.
struct Race<'a> {
    args: &'a TrainSpeedArgs,
    folder: TemporaryFolder,
    worker: PathBuf,
    /// Steps of an epoch.
    steps: usize,
}

/// Measures and prints the speeds, one JSON line per run, and a table of the best.
///
/// # Errors
/// When a program is missing or fails.
pub(crate) fn train_speed(args: &TrainSpeedArgs) -> Result<()> {
    let race = Race::prepare(args)?;
    let table = if args.costs {
        table::costs(&race.run(&costs(args))?)
    } else {
        table::ratios(&race.run(&peers(args))?)
    };
    Ok(print(&table)?)
}

/// One group is the same computation as the peer's. Several groups take the statistics of batch
/// normalisation over fewer inputs and are listed apart.
fn peers(args: &TrainSpeedArgs) -> [Contestant; 4] {
    let several = format!("ddrs, groups of {} (other batch statistics)", args.group);
    [
        Contestant::Peer {
            layout: "channels-last",
        },
        Contestant::Ours(OurTraining::gaussian("ddrs, one group", args.batch)),
        Contestant::Peer { layout: "plain" },
        Contestant::Ours(OurTraining::gaussian(&several, args.group)),
    ]
}

fn costs(args: &TrainSpeedArgs) -> [Contestant; 4] {
    let group = args.group;
    [
        OurTraining::gaussian("gaussian", group),
        OurTraining::data_dependent(group),
        OurTraining::smoothadv(group),
        OurTraining::macer(group),
    ]
    .map(Contestant::Ours)
}

impl<'a> Race<'a> {
    /// Finds the programs and draws the images.
    fn prepare(args: &'a TrainSpeedArgs) -> Result<Self> {
        let worker = built_program("ddrs-worker")?;
        let folder = TemporaryFolder::create("train-speed")?;
        draw_shapes(&folder.path().join("shapes"))?;
        let images = count_files(&folder.path().join("shapes/train"))?;
        Ok(Self {
            args,
            folder,
            worker,
            steps: steps_per_epoch(images, args.batch)?,
        })
    }

    /// Runs every contestant once per round, and returns the best speed of each.
    fn run(&self, contestants: &[Contestant]) -> Result<Vec<Speed>> {
        let mut best: Vec<Speed> = contestants.iter().map(Speed::none).collect();
        for round in 0..self.args.rounds.get() {
            for place in order(contestants.len(), round) {
                best[place].add(self.measure(&contestants[place])?);
            }
        }
        Ok(best)
    }

    fn measure(&self, contestant: &Contestant) -> Result<f64> {
        match contestant {
            Contestant::Ours(training) => self.measure_ours(training),
            Contestant::Peer { layout } => self.measure_peer(layout),
        }
    }
}

fn steps_per_epoch(images: usize, batch: NonZeroUsize) -> Result<usize> {
    let steps = images.saturating_sub(VALIDATION) / batch.get();
    ensure!(steps > 0, "--batch {batch}: only {images} images");
    Ok(steps)
}

/// Returns the places of a round: in order, or in reverse in every other round.
fn order(places: usize, round: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..places).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Finds a program that was built next to this one.
fn built_program(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    ensure!(
        program.is_file(),
        "{} is not built; run `make bench-train`, which builds all that is needed",
        program.display()
    );
    Ok(program)
}

fn draw_shapes(folder: &Path) -> Result<()> {
    let program = built_program("examples/shapes")?;
    let drawn = Command::new(program)
        .arg(folder)
        .stdout(Stdio::null())
        .status();
    ensure!(drawn?.success(), "the shapes were not drawn");
    Ok(())
}

fn count_files(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        count += count_of(&entry?.path())?;
    }
    Ok(count)
}

fn count_of(path: &Path) -> Result<usize> {
    if path.is_dir() {
        return count_files(path);
    }
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn every_other_round_runs_in_reverse() {
        assert_eq!(order(3, 0), [0, 1, 2]);
        assert_eq!(order(3, 1), [2, 1, 0]);
    }
}
