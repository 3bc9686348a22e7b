//! Where training stands, in a file: weights, velocities, every input's sigma, the best weights so far, and how far the
//! epoch has come.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::network::Network;
use super::optimiser::Sgd;
use super::weights_file;
use crate::exit::Refused;

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

/// The epoch with the highest accuracy under noise on the validation samples, the later of equals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// From 0.
    pub epoch: u64,
    /// A part of the validation samples.
    pub accuracy: f64,
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
    tensors.extend(state.network.tensors().map(|(name, tensor)| (format!("model/{name}"), tensor.shallow_clone())));
    let velocities = state.optimiser.velocities();
    tensors.extend(velocities.map(|(name, tensor)| (format!("velocity/{name}"), tensor.shallow_clone())));
    tensors.extend(state.best.iter().map(|(name, tensor)| (format!("best/{name}"), tensor.shallow_clone())));
    let metadata = HashMap::from([
        ("identity".to_owned(), serde_json::to_string(identity)?),
        ("position".to_owned(), serde_json::to_string(&state.position)?),
    ]);
    weights_file::write(path, &tensors, metadata)
}

/// Takes up the state of a file, if there is one. Says whether there was.
///
/// # Errors
/// [`Refused`] when the file belongs to another training; when it cannot be read.
pub fn take_up(path: &Path, state: &mut State, identity: &Identity) -> Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    let (tensors, metadata) = weights_file::read(path)?;
    let read = |key: &str| metadata.get(key).with_context(|| format!("{}: no {key} in it", path.display()));
    let found: Identity = serde_json::from_str(read("identity")?)?;
    if found != *identity {
        let what = if found.data == identity.data { "specification" } else { "data" };
        let advice = "delete it to start over, or write to another --out";
        return Err(Refused(anyhow::anyhow!("{} is of another {what}: {advice}", path.display())).into());
    }
    let part = |prefix: &str| -> HashMap<String, Tensor> {
        let inside =
            |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone()));
        tensors.iter().filter_map(inside).collect()
    };
    state.position = serde_json::from_str(read("position")?)?;
    state.network.load(&part("model/")).with_context(|| path.display().to_string())?;
    state.optimiser.load(&part("velocity/")).with_context(|| path.display().to_string())?;
    state.best = part("best/");
    let sigma = tensors.get("sigma").with_context(|| format!("{}: no sigma in it", path.display()))?;
    state.sigma = Vec::try_from(sigma.f_to_kind(Kind::Double)?)?;
    Ok(true)
}
