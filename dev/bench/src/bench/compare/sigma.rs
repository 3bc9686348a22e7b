//! Ways of choosing sigma.

use std::num::NonZeroU64;
use std::ops::Range;

use anyhow::Result;
use ddrs_common::domain::{Alpha, Choice, Sigma};
use ddrs_common::spec::{DataDependentSpec, ModelSource, SigmaMethod, Stopping, Sweep};
use serde_json::{Value, json};

use super::super::peer::{PeerTimes, Peers};
use super::{ImageBench, MethodRun, print_rows};
use crate::cli::{CompareArgs, PeerLoop};

/// Images per batch of PyTorch's ascent: more than any of its steps needs to be efficient on a
/// CPU.
const PEER_BATCH: u64 = 500;
/// Seconds of each of its turns.
const PEER_SECONDS: f64 = 5.0;

/// The ways of choosing sigma on the images of a bench.
struct SigmaComparison<'a> {
    bench: ImageBench,
    methods: [ChoiceMethod; 2],
    /// PyTorch's ascent, where it is available.
    peer: Option<PeerTimes<'a>>,
}

/// A way of choosing sigma, and its run.
struct ChoiceMethod {
    name: &'static str,
    /// Draws per image.
    draws: u64,
    sweep: Sweep,
    run: MethodRun,
}

/// The sigmas that a method chose, one per image.
struct ChosenSigmas {
    method: &'static str,
    draws: u64,
    /// For all images.
    seconds: f64,
    sigmas: Vec<Sigma>,
}

/// Compares the published ascent with the search, both in turn with PyTorch's ascent: seconds,
/// draws, and the mean radius that the same fresh draws estimate at the sigmas of each.
///
/// # Errors
/// [`BadInput`](ddrs_common::cli::BadInput) if the specification, data or model does not fit.
pub(in super::super) fn compare_sigma(args: &CompareArgs) -> Result<()> {
    let bench = ImageBench::open(args)?;
    let peers = Peers::find(&args.peer, bench.engine.device(), PEER_SECONDS)?;
    let mut comparison = SigmaComparison::new(bench, peers.as_ref())?;
    comparison.run()?;
    print_rows(&comparison.rows(args.fresh)?, args.format)
}

impl<'a> SigmaComparison<'a> {
    fn new(bench: ImageBench, peers: Option<&'a Peers>) -> Result<Self> {
        let peer = peers.and_then(|peers| peer_times(&bench, peers));
        let methods = methods(&bench)?;
        Ok(Self {
            bench,
            methods,
            peer,
        })
    }

    fn run(&mut self) -> Result<()> {
        for part in self.bench.parts()? {
            self.run_part(&part)?;
            if let Some(peer) = &mut self.peer {
                peer.take_turn(self.methods[0].draws_per_second());
            }
        }
        Ok(())
    }

    fn run_part(&mut self, part: &Range<usize>) -> Result<()> {
        for ChoiceMethod { sweep, run, .. } in &mut self.methods {
            self.bench.run(sweep, Choice::DataDependent, part, run)?;
        }
        Ok(())
    }

    fn rows(&self, fresh: u32) -> Result<Vec<Value>> {
        let mut rows = self.rows_of_methods(fresh)?;
        let peer = self.peer.iter();
        rows.extend(peer.map(|peer| peer_row(peer, &self.methods[0])));
        Ok(rows)
    }

    fn rows_of_methods(&self, fresh: u32) -> Result<Vec<Value>> {
        let all = self.chosen_sigmas();
        let sigmas: Vec<&[Sigma]> = all.iter().map(|chosen| &chosen.sigmas[..]).collect();
        let radii = self.bench.mean_radii(&sigmas, fresh)?;
        Ok(all.iter().zip(radii).map(row).collect())
    }

    /// Returns the first sigma of the specification for every image, and the sigmas that each
    /// method chose.
    fn chosen_sigmas(&self) -> Vec<ChosenSigmas> {
        let start = self.bench.sweep.smoothing.sigma[0];
        let images = self.bench.images.len();
        let methods = self.methods.iter();
        let mut all = vec![ChosenSigmas::start(images, start)];
        all.extend(methods.map(|method| method.chosen_sigmas(images, start)));
        all
    }
}

impl ChosenSigmas {
    fn start(images: usize, start: Sigma) -> Self {
        Self {
            method: "start",
            draws: 0,
            seconds: 0.0,
            sigmas: vec![start; images],
        }
    }

    fn mean(&self) -> f64 {
        let sum: f64 = self.sigmas.iter().map(|sigma| sigma.get()).sum();
        sum / self.sigmas.len() as f64
    }
}

impl ChoiceMethod {
    fn new(bench: &ImageBench, name: &'static str, spec: DataDependentSpec) -> Result<Self> {
        Ok(Self {
            name,
            draws: draws_per_image(&spec),
            sweep: sigma_only(&bench.sweep, spec)?,
            run: MethodRun::default(),
        })
    }

    fn draws_per_second(&self) -> f64 {
        self.run.images() * self.draws as f64 / self.run.seconds
    }

    fn chosen_sigmas(&self, images: usize, start: Sigma) -> ChosenSigmas {
        ChosenSigmas {
            method: self.name,
            draws: self.draws,
            seconds: self.run.seconds,
            sigmas: self.sigmas(images, start),
        }
    }

    /// Returns the sigma of every image; `start` where its certification failed.
    fn sigmas(&self, images: usize, start: Sigma) -> Vec<Sigma> {
        let found = &self.run.found;
        let found = (0..images as u64).map(|place| found.get(&place));
        found
            .map(|found| found.map_or(start, |found| found.sigma))
            .collect()
    }
}

/// Returns PyTorch's ascent for the model of the bench; `None` for a model that the script does not
/// have.
fn peer_times<'a>(bench: &ImageBench, peers: &'a Peers) -> Option<PeerTimes<'a>> {
    let ModelSource::Safetensors(architecture) = &bench.sweep.models[0].source else {
        return None;
    };
    let side = bench.network.shape()[1];
    let model = architecture.to_string();
    Some(peers.times(PeerLoop::Sigma, &model, PEER_BATCH, side))
}

/// Returns the ascent and the search. The one that the specification does not ask for has its
/// usual settings.
fn methods(bench: &ImageBench) -> Result<[ChoiceMethod; 2]> {
    let spec = &bench.sweep.smoothing.data_dependent;
    Ok([
        ChoiceMethod::new(bench, "gradient", ascent(spec.clone()))?,
        ChoiceMethod::new(bench, "search", search(spec.clone()))?,
    ])
}

fn ascent(mut spec: DataDependentSpec) -> DataDependentSpec {
    if !matches!(spec.method, SigmaMethod::Gradient) {
        spec.method = SigmaMethod::Gradient;
        spec.draws = 1;
    }
    spec
}

fn search(mut spec: DataDependentSpec) -> DataDependentSpec {
    if !matches!(spec.method, SigmaMethod::Search { .. }) {
        spec.method = USUAL_SEARCH;
        spec.draws = 8;
    }
    spec
}

const USUAL_SEARCH: SigmaMethod = SigmaMethod::Search {
    rounds: 3,
    candidates: 5,
};

fn draws_per_image(spec: &DataDependentSpec) -> u64 {
    match spec.method {
        SigmaMethod::Gradient => u64::from(spec.iterations * spec.draws),
        SigmaMethod::Search { rounds, candidates } => {
            let sigmas = candidates + (rounds - 1) * (candidates - 1);
            u64::from(sigmas * spec.draws)
        }
    }
}

/// Returns the sweep with the fewest draws after sigma is chosen.
fn sigma_only(sweep: &Sweep, spec: DataDependentSpec) -> Result<Sweep> {
    let mut sweep = sweep.clone();
    sweep.smoothing.data_dependent = spec;
    sweep.certify.n0 = NonZeroU64::MIN;
    sweep.certify.n = NonZeroU64::MIN.saturating_add(1);
    sweep.certify.alpha = Alpha::new(0.4)?;
    sweep.certify.stopping = Stopping::Fixed;
    Ok(sweep)
}

fn row((chosen, radius): (&ChosenSigmas, f64)) -> Value {
    let images = chosen.sigmas.len() as f64;
    json!({
        "method": chosen.method,
        "images": images,
        "draws_per_image": chosen.draws,
        "seconds_per_image": chosen.seconds / images,
        "mean_sigma": chosen.mean(),
        "mean_estimated_radius": radius,
    })
}

/// Returns the time that PyTorch's ascent takes per image.
fn peer_row(peer: &PeerTimes, ascent: &ChoiceMethod) -> Value {
    let seconds = peer.rate().map(|rate| ascent.draws as f64 / rate);
    let mut row = json!({
        "method": "gradient, PyTorch",
        "draws_per_image": ascent.draws,
        "seconds_per_image": seconds,
        "batch": peer.batch(),
    });
    if let Some(error) = &peer.error {
        row["error"] = error.as_str().into();
    }
    row
}
