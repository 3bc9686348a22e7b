//! Ways of choosing sigma.

use std::num::NonZeroU64;

use anyhow::Result;
use ddrs_common::domain::{Alpha, Choice, Sigma};
use ddrs_common::spec::{DataDependentSpec, ModelSource, SigmaMethod, Stopping, Sweep};
use serde_json::{Value, json};

use super::super::peer::{Loop, Peers};
use super::super::row::median;
use super::{Bench, Run, show};
use crate::cli::{CompareArgs, PeerLoop};

/// Images to a batch of PyTorch's ascent: more than any of its steps needs to be efficient on a
/// CPU.
const PEER_BATCH: u64 = 500;
/// Seconds that each turn of it takes.
const PEER_SECONDS: f64 = 5.0;

/// A way of choosing sigma, and what it came to.
struct Method {
    name: &'static str,
    draws: u64,
    sweep: Sweep,
    run: Run,
}

/// Compares the published ascent with the search, and in turn with both PyTorch's ascent: seconds,
/// draws, and the mean radius that the same fresh draws estimate at the sigmas of each.
///
/// # Errors
/// [`BadInput`](ddrs_common::cli::BadInput) where the specification, data or model does not fit.
pub(in super::super) fn sigma(args: &CompareArgs) -> Result<()> {
    let bench = Bench::open(args)?;
    let peers = Peers::find(&args.peer, bench.engine.device(), PEER_SECONDS)?;
    let mut peer = match (&peers, &bench.sweep.models[0].source) {
        (Some(peers), ModelSource::Safetensors(architecture)) => Some(peers.of(
            PeerLoop::Sigma,
            &architecture.to_string(),
            PEER_BATCH,
            bench.network.shape()[1],
        )),
        _ => None,
    };
    let mut methods = methods(&bench)?;
    for part in bench.parts()? {
        for Method { sweep, run, .. } in &mut methods {
            bench.run(sweep, Choice::DataDependent, &part, run)?;
        }
        if let Some(peer) = &mut peer {
            let Method { draws, run, .. } = &methods[0];
            peer.turn(run.found.len() as f64 * *draws as f64 / run.seconds);
        }
    }
    let mut rows = rows(&bench, &methods, args.fresh)?;
    rows.extend(peer.map(|peer| peer_row(&peer, &methods[0])));
    show(&rows, args.format)
}

/// The ascent and the search, the one that the specification does not ask for with its usual
/// settings.
fn methods(bench: &Bench) -> Result<[Method; 2]> {
    let spec = &bench.sweep.smoothing.data_dependent;
    let (mut ascent, mut search) = (spec.clone(), spec.clone());
    if matches!(spec.method, SigmaMethod::Search { .. }) {
        (ascent.method, ascent.draws) = (SigmaMethod::Gradient, 1);
    } else {
        (search.method, search.draws) = (
            SigmaMethod::Search {
                rounds: 3,
                candidates: 5,
            },
            8,
        );
    }
    let method = |name, spec: DataDependentSpec| -> Result<Method> {
        let draws = match spec.method {
            SigmaMethod::Gradient => u64::from(spec.iterations * spec.draws),
            SigmaMethod::Search { rounds, candidates } => {
                u64::from((candidates + (rounds - 1) * (candidates - 1)) * spec.draws)
            }
        };
        let mut sweep = bench.sweep.clone();
        sweep.smoothing.data_dependent = spec;
        // Sigma is all that is wanted.
        (sweep.certify.n0, sweep.certify.n) = (NonZeroU64::MIN, NonZeroU64::MIN.saturating_add(1));
        (sweep.certify.alpha, sweep.certify.stopping) = (Alpha::new(0.4)?, Stopping::Fixed);
        Ok(Method {
            name,
            draws,
            sweep,
            run: Run::default(),
        })
    };
    Ok([method("gradient", ascent)?, method("search", search)?])
}

fn rows(bench: &Bench, methods: &[Method], fresh: u32) -> Result<Vec<Value>> {
    let start = bench.sweep.smoothing.sigma[0];
    let places = 0..bench.images.len() as u64;
    let mut all = vec![("start", 0, 0.0, vec![start; bench.images.len()])];
    for Method {
        name, draws, run, ..
    } in methods
    {
        let sigmas = places
            .clone()
            .map(|place| run.found.get(&place).map_or(start, |found| found.sigma))
            .collect();
        all.push((name, *draws, run.seconds, sigmas));
    }
    let sigmas: Vec<&[Sigma]> = all.iter().map(|(.., sigmas)| sigmas.as_slice()).collect();
    let radii = bench.radii(&sigmas, fresh)?;
    let images = bench.images.len() as f64;
    let row = |((name, draws, seconds, sigmas), radius): (&(&str, u64, f64, Vec<Sigma>), f64)| {
        let mean_sigma = sigmas.iter().map(|sigma| sigma.get()).sum::<f64>() / images;
        json!({"method": name, "images": images, "draws_per_image": draws, "seconds_per_image": seconds / images,
            "mean_sigma": mean_sigma, "mean_estimated_radius": radius})
    };
    Ok(all.iter().zip(radii).map(row).collect())
}

/// What PyTorch takes for an image of the ascent.
fn peer_row(peer: &Loop, ascent: &Method) -> Value {
    let seconds = median(&peer.rates).map(|rate| ascent.draws as f64 / rate);
    let mut row = json!({"method": "gradient, PyTorch", "draws_per_image": ascent.draws, "seconds_per_image": seconds,
        "batch": peer.batches.first()});
    if let Some(error) = &peer.error {
        row["error"] = error.as_str().into();
    }
    row
}
