//! `bench`: passes per second, gradient draws per second and the split of a run's time, on networks
//! with random weights, each in turn with the PyTorch loops that users run otherwise.

mod compare;
mod median;
mod network;
mod noise;
mod peer;
mod results;
mod row;
mod script;

use anyhow::Result;
use ddrs_common::cli::{BadInput, DeviceArgs, OutputFormat};
use ddrs_common::output::print;
use ddrs_common::spec::Sweep;
use ddrs_worker::engine::{Engine, EngineOptions};

use crate::cli::{BenchArgs, BenchCompare};
use crate::temporary::TemporaryFolder;
use network::{AscentRun, BenchNetwork, NetworkFile};
use peer::{PeerTimes, Peers};
use row::{CertifiedRun, SpeedRow};

/// Measures one row per model, precision and batch, and prints each when it is done.
///
/// # Errors
/// When a device, model or precision is not available. A peer that fails costs only its ratio.
pub(crate) fn bench(args: &BenchArgs) -> Result<()> {
    match &args.compare {
        Some(BenchCompare::Sigma(args)) => compare::compare_sigma(args),
        Some(BenchCompare::Stopping(args)) => compare::compare_stopping(args),
        Some(BenchCompare::Noise) => noise::bench_noise(),
        Some(BenchCompare::Script(args)) => script::bench_script(args),
        None => SpeedBench::open(args)?.run(),
    }
}

fn open_engine(device: &DeviceArgs) -> Result<Engine, BadInput> {
    Engine::new(&EngineOptions::from(device)).map_err(BadInput)
}

/// The values that all rows share.
struct SpeedBench<'a> {
    args: &'a BenchArgs,
    engine: Engine,
    peers: Option<Peers>,
    folder: TemporaryFolder,
}

/// The runs of one row.
struct RowRuns<'a> {
    network: &'a BenchNetwork<'a>,
    /// The sweep of the run at a fixed sigma.
    fixed: Sweep,
    /// The run that only chooses sigmas, or the reason why it is missing.
    ascent: Result<AscentRun, String>,
}

impl<'a> SpeedBench<'a> {
    fn open(args: &'a BenchArgs) -> Result<Self> {
        let engine = open_engine(&args.device)?;
        let peers = Peers::find(&args.peer, engine.device(), args.seconds)?;
        Ok(Self {
            args,
            engine,
            peers,
            folder: TemporaryFolder::create("bench")?,
        })
    }

    fn run(&self) -> Result<()> {
        for model in &self.args.model {
            for precision in &self.args.precision {
                self.measure_network(model, precision)?;
            }
        }
        Ok(())
    }

    fn measure_network(&self, model: &str, precision: &str) -> Result<()> {
        let folder = self.folder.path();
        let network = BenchNetwork::new(&self.engine, model, precision, folder)?;
        for &batch in &self.args.batch {
            self.measure_row(&network, batch)?;
        }
        Ok(())
    }

    /// Measures a row, in turn with the peers where a python has torch, and prints it.
    fn measure_row(&self, network: &BenchNetwork, batch: u64) -> Result<()> {
        let runs = self.prepare(network, batch)?;
        let mut row = SpeedRow::new(network, batch, network.images_per_pass(&runs.fixed)?);
        let mut peers = self.peers_of(network, batch);
        for turn in 1..=self.args.repeats {
            self.measure_ours(&runs, &mut row)?;
            self.print_first_turn(turn, &row, &peers)?;
            measure_peers(&mut peers, &row);
        }
        Ok(print(&row.render(self.args.format, &peers))?)
    }

    fn prepare<'n>(&self, network: &'n BenchNetwork, batch: u64) -> Result<RowRuns<'n>> {
        let args = self.args;
        let fixed = network.fixed_run(args, batch)?;
        let ascent = network.ascent_run(args.seconds);
        Ok(RowRuns {
            network,
            fixed,
            ascent: ascent.map_err(|error| message(&error)),
        })
    }

    fn peers_of(&self, network: &BenchNetwork, batch: u64) -> Vec<PeerTimes<'_>> {
        let Some(peers) = &self.peers else {
            return Vec::new();
        };
        let NetworkFile { model, side, .. } = network.file;
        let modes = self.args.peers.iter();
        modes
            .map(|&mode| peers.times(mode, model, batch, side))
            .collect()
    }

    fn measure_ours(&self, runs: &RowRuns, row: &mut SpeedRow) -> Result<()> {
        row.add_certified(&self.certify(runs)?);
        row.add_ascent(runs.draws_per_second());
        Ok(())
    }

    fn certify(&self, runs: &RowRuns) -> Result<CertifiedRun> {
        let samples = self.args.samples;
        let before = self.engine.time_split();
        let seconds = runs.network.time(&runs.fixed, samples)?;
        Ok(CertifiedRun {
            passes: samples * runs.passes_per_sample(),
            samples,
            seconds,
            before,
            after: self.engine.time_split(),
        })
    }

    /// Prints a row before its peers run, which may take minutes to compile or never end.
    fn print_first_turn(&self, turn: u32, row: &SpeedRow, peers: &[PeerTimes]) -> Result<()> {
        let args = self.args;
        if turn == 1 && !peers.is_empty() && args.format == OutputFormat::Text {
            let text = row.render(args.format, &[]);
            print(&format!("turn 1 of {}: {text}", args.repeats))?;
        }
        Ok(())
    }
}

fn measure_peers(peers: &mut [PeerTimes], row: &SpeedRow) {
    for peer in peers {
        peer.take_turn(row.last_rate(peer.mode));
    }
}

impl RowRuns<'_> {
    fn passes_per_sample(&self) -> u64 {
        let certify = &self.fixed.certify;
        certify.n0.get() + certify.n.get()
    }

    fn draws_per_second(&self) -> Result<f64, String> {
        let ascent = self.ascent.as_ref().map_err(String::clone)?;
        let rate = self.network.draws_per_second(ascent);
        rate.map_err(|error| message(&error))
    }
}

fn message(error: &anyhow::Error) -> String {
    format!("{error:#}")
}
