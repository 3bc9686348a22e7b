//! Ways of choosing sigma.

use std::num::NonZeroU64;

use anyhow::Result;
use ddrs_common::domain::{Alpha, Choice, Sigma};
use ddrs_common::spec::{DataDependentSpec, ModelSource, SigmaMethod, Stopping, Sweep};
use serde_json::{Value, json};

use super::super::peer::{PeerTimes, Peers};
use super::super::row::median;
use super::{ImageBench, MethodRun, print_rows};
use crate::cli::{CompareArgs, PeerLoop};

/// Images per batch of PyTorch's ascent: more than any of its steps needs to be efficient on a
/// CPU.
const PEER_BATCH: u64 = 500;
/// Seconds of each of its turns.
const PEER_SECONDS: f64 = 5.0;

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
    let mut peer = peers.as_ref().and_then(|peers| peer_times(&bench, peers));
    let mut methods = methods(&bench)?;
    for part in bench.parts()? {
        for method in &mut methods {
            let run = &mut method.run;
            bench.run(&method.sweep, Choice::DataDependent, &part, run)?;
        }
        if let Some(peer) = &mut peer {
            peer.take_turn(methods[0].draws_per_second());
        }
    }
    let mut rows = rows(&bench, &methods, args.fresh)?;
    rows.extend(peer.map(|peer| peer_row(&peer, &methods[0])));
    print_rows(&rows, args.format)
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
        let images = self.run.found.len() as f64;
        images * self.draws as f64 / self.run.seconds
    }

    /// Returns the sigma of every image; `start` where its certification failed.
    fn sigmas(&self, images: usize, start: Sigma) -> Vec<Sigma> {
        let found = &self.run.found;
        (0..images as u64)
            .map(|place| found.get(&place).map_or(start, |found| found.sigma))
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
    let mut ascent = spec.clone();
    let mut search = spec.clone();
    if matches!(spec.method, SigmaMethod::Search { .. }) {
        ascent.method = SigmaMethod::Gradient;
        ascent.draws = 1;
    } else {
        search.method = USUAL_SEARCH;
        search.draws = 8;
    }
    Ok([
        ChoiceMethod::new(bench, "gradient", ascent)?,
        ChoiceMethod::new(bench, "search", search)?,
    ])
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

fn rows(bench: &ImageBench, methods: &[ChoiceMethod], fresh: u32) -> Result<Vec<Value>> {
    let start = bench.sweep.smoothing.sigma[0];
    let images = bench.images.len();
    let mut all = vec![ChosenSigmas {
        method: "start",
        draws: 0,
        seconds: 0.0,
        sigmas: vec![start; images],
    }];
    all.extend(methods.iter().map(|method| ChosenSigmas {
        method: method.name,
        draws: method.draws,
        seconds: method.run.seconds,
        sigmas: method.sigmas(images, start),
    }));
    let sigmas: Vec<&[Sigma]> = all.iter().map(|chosen| &chosen.sigmas[..]).collect();
    let radii = bench.mean_radii(&sigmas, fresh)?;
    Ok(all.iter().zip(radii).map(row).collect())
}

fn row((chosen, radius): (&ChosenSigmas, f64)) -> Value {
    let images = chosen.sigmas.len() as f64;
    let sum: f64 = chosen.sigmas.iter().map(|sigma| sigma.get()).sum();
    json!({
        "method": chosen.method,
        "images": images,
        "draws_per_image": chosen.draws,
        "seconds_per_image": chosen.seconds / images,
        "mean_sigma": sum / images,
        "mean_estimated_radius": radius,
    })
}

/// Returns the time that PyTorch's ascent takes per image.
fn peer_row(peer: &PeerTimes, ascent: &ChoiceMethod) -> Value {
    let seconds = median(&peer.rates).map(|rate| ascent.draws as f64 / rate);
    let mut row = json!({
        "method": "gradient, PyTorch",
        "draws_per_image": ascent.draws,
        "seconds_per_image": seconds,
        "batch": peer.batches.first(),
    });
    if let Some(error) = &peer.error {
        row["error"] = error.as_str().into();
    }
    row
}
