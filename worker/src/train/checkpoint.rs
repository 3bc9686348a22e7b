//! Where training stands, in a file: weights, velocities, every input's sigma, the best weights so
//! far, and how far the epoch has come.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::spec::digest_to_hex;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::circumstances::Circumstances;
use super::journal::Distribution;
use super::network::Network;
use super::optimiser::Sgd;
use super::weights_file;

/// Where a checkpoint's metadata hold the digest of everything else in it.
const DIGEST: &str = "digest";

/// How far training has come. Random state is a function of this and the seed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch, from 0.
    pub epoch: u64,
    /// Steps of it that are done.
    pub step: u64,
    /// Sums over those steps.
    pub sums: Sums,
    /// The checkpoint to keep.
    pub best: Option<Best>,
}

/// Sums over the steps of an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Of the loss, times inputs.
    pub loss: f64,
    /// Inputs classified rightly under noise.
    pub correct: u64,
    /// Inputs.
    pub inputs: u64,
    /// Seconds of computing.
    pub seconds: f64,
}

/// Of the epochs whose weights may be written, the one with the highest accuracy under noise on the
/// validation samples, the later of equals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// From 0.
    pub epoch: u64,
    /// A part of the validation samples.
    pub accuracy: f64,
    /// How the training inputs' sigmas were distributed at its end.
    pub sigma: Distribution,
}

/// All that changes while a network is trained.
#[derive(Debug)]
pub struct State {
    /// Weights and running statistics.
    pub network: Network,
    /// Velocities.
    pub optimiser: Sgd,
    /// Sigma of every example, (N), in double precision.
    pub sigma: Vec<f64>,
    /// The tensors of the best epoch.
    pub best: HashMap<String, Tensor>,
    /// How far.
    pub position: Position,
    /// Where the steps up to there were computed, in that order.
    pub circumstances: Vec<Circumstances>,
}

/// What a checkpoint belongs to: digests of the specification and the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Of the specification's text.
    pub specification: String,
    /// Of the training set.
    pub data: String,
}

/// `NAME.checkpoint.safetensors` beside `NAME.safetensors`.
#[must_use]
pub fn path_beside(out: &Path) -> PathBuf {
    out.with_extension("checkpoint.safetensors")
}

/// Writes the state, all or nothing.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, state: &State, identity: &Identity) -> Result<()> {
    let mut tensors = vec![("sigma".to_owned(), Tensor::f_from_slice(&state.sigma)?)];
    tensors.extend(
        state
            .network
            .tensors()
            .map(|(name, tensor)| (format!("model/{name}"), tensor.shallow_clone())),
    );
    let velocities = state.optimiser.velocities(&state.network)?;
    tensors.extend(
        velocities
            .into_iter()
            .map(|(name, tensor)| (format!("velocity/{name}"), tensor)),
    );
    tensors.extend(
        state
            .best
            .iter()
            .map(|(name, tensor)| (format!("best/{name}"), tensor.shallow_clone())),
    );
    let mut metadata = HashMap::from([
        ("identity".to_owned(), serde_json::to_string(identity)?),
        (
            "position".to_owned(),
            serde_json::to_string(&state.position)?,
        ),
        (
            "circumstances".to_owned(),
            serde_json::to_string(&state.circumstances)?,
        ),
    ]);
    let digest = weights_file::digest(
        tensors.iter().map(|(name, tensor)| (name, tensor)),
        &metadata,
    )?;
    metadata.insert(DIGEST.to_owned(), digest_to_hex(&digest));
    weights_file::write(path, &tensors, metadata)
}

/// Takes up the state of a file, if there is one. Says whether there was.
///
/// # Errors
/// When the file belongs to another training, or cannot be read; says what to do.
pub fn take_up(path: &Path, state: &mut State, identity: &Identity) -> Result<bool> {
    let advice = "delete it to start over, or write to another --out";
    if !path.exists() {
        return Ok(false);
    }
    match read(path, state, identity)
        .with_context(|| format!("cannot go on from {}: {advice}", path.display()))?
    {
        None => Ok(true),
        Some(other) => bail!("{} is of {other}: {advice}", path.display()),
    }
}

/// What else the file belongs to, if it does; `state` is as it was then.
fn read(path: &Path, state: &mut State, identity: &Identity) -> Result<Option<&'static str>> {
    let (tensors, mut metadata) = weights_file::read(path)?;
    // A bit that turned over in a weight would be trained on and never be seen.
    let written = metadata
        .remove(DIGEST)
        .with_context(|| format!("there is no {DIGEST} in it"))?;
    ensure!(
        digest_to_hex(&weights_file::digest(&tensors, &metadata)?) == written,
        "it is not as it was written"
    );
    let read = |key: &str| {
        metadata
            .get(key)
            .with_context(|| format!("there is no {key} in it"))
    };
    let found: Identity = serde_json::from_str(read("identity")?)?;
    if found != *identity {
        return Ok(Some(if found.data == identity.data {
            "another specification"
        } else {
            "other data"
        }));
    }
    let part = |prefix: &str| -> HashMap<String, Tensor> {
        let inside = |(name, tensor): (&String, &Tensor)| {
            Some((
                name.strip_prefix(prefix)?.to_owned(),
                tensor.shallow_clone(),
            ))
        };
        tensors.iter().filter_map(inside).collect()
    };
    state.position = serde_json::from_str(read("position")?)?;
    state.circumstances = serde_json::from_str(read("circumstances")?)?;
    state.network.load(&part("model/"))?;
    state.optimiser.load(&state.network, &part("velocity/"))?;
    state.best = part("best/");
    let sigma = tensors.get("sigma").context("there is no sigma in it")?;
    let sigma = Vec::try_from(sigma.f_to_kind(Kind::Double)?)?;
    ensure!(
        sigma.len() == state.sigma.len(),
        "{} sigmas for {} examples",
        sigma.len(),
        state.sigma.len()
    );
    state.sigma = sigma;
    Ok(None)
}
