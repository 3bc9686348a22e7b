//! The state of a training in a file: weights, velocities, the sigma of every input, the best
//! weights so far, and the position in the epoch.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::spec::digest_to_hex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::environment::Environment;
use super::epoch_log::SigmaDistribution;
use super::network::TrainableNetwork;
use super::optimiser::Sgd;
use super::weights_file::{self, Metadata};

/// The metadata key with the digest of everything else in the file.
const DIGEST: &str = "digest";

/// The metadata key with the environments of the steps so far.
const ENVIRONMENTS: &str = "circumstances";

/// The position of a training. The random state is a function of this and the seed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The epoch, from 0.
    pub(super) epoch: u64,
    /// The number of its steps that are done.
    pub(super) step: u64,
    /// Sums over those steps.
    pub(super) sums: EpochSums,
    /// The epoch whose weights are the best so far.
    pub(super) best: Option<BestEpoch>,
}

impl Position {
    pub(super) fn start_next_epoch(&mut self) {
        self.epoch += 1;
        self.step = 0;
        self.sums = EpochSums::default();
    }
}

/// Sums over the steps of an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct EpochSums {
    /// The loss of each input.
    pub(super) loss: f64,
    /// The number of inputs classified correctly under noise; see [`super::step::StepResult`].
    pub(super) correct: f64,
    /// The number of inputs.
    pub(super) inputs: u64,
    /// The time spent computing.
    pub(super) seconds: f64,
}

impl EpochSums {
    /// Adds the result of a step over this number of inputs.
    pub(super) fn add(&mut self, mean_loss: f64, correct: f64, inputs: usize) {
        self.loss += mean_loss * inputs as f64;
        self.correct += correct;
        self.inputs += inputs as u64;
    }

    pub(super) fn mean_loss(&self) -> f64 {
        self.loss / self.inputs as f64
    }

    pub(super) fn accuracy(&self) -> f64 {
        self.correct / self.inputs as f64
    }

    pub(super) fn inputs_per_second(&self) -> f64 {
        self.inputs as f64 / self.seconds
    }
}

/// Of the epochs whose weights may be written, the one with the highest accuracy under noise on the
/// validation samples; of equals, the latest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct BestEpoch {
    /// From 0.
    pub(super) epoch: u64,
    /// From 0 to 1.
    pub(super) accuracy: f64,
    /// The sigmas of the training inputs at its end.
    pub(super) sigma: SigmaDistribution,
}

/// Everything that changes during training.
#[derive(Debug)]
pub(super) struct TrainingState {
    pub(super) network: TrainableNetwork,
    pub(super) optimiser: Sgd,
    /// The sigma of every example, in double precision.
    pub(super) sigma: Vec<f64>,
    /// The tensors of the best epoch.
    pub(super) best: HashMap<String, Tensor>,
    pub(super) position: Position,
    /// The environments of the steps so far, in order.
    pub(super) environments: Vec<Environment>,
}

/// The digests of the specification and the data to which a checkpoint belongs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Of the specification's text.
    pub(super) specification: String,
    /// Of the training set.
    pub(super) data: String,
}

impl Identity {
    /// Returns the part that differs from `found`, if any.
    fn mismatch(&self, found: &Self) -> Option<Mismatch> {
        if self.data != found.data {
            Some(Mismatch::Data)
        } else if self.specification != found.specification {
            Some(Mismatch::Specification)
        } else {
            None
        }
    }
}

/// The path of the checkpoint of `NAME.safetensors`.
pub(super) fn path_for(out: &Path) -> PathBuf {
    out.with_extension("checkpoint.safetensors")
}

/// Writes the state. If that fails, the old file stays.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn save(path: &Path, state: &TrainingState, identity: &Identity) -> Result<()> {
    let tensors = tensors(state)?;
    let mut metadata = metadata(state, identity)?;
    let digest = digest_of(&tensors, &metadata)?;
    metadata.insert(DIGEST.to_owned(), digest);
    weights_file::write(path, &tensors, metadata)
}

fn digest_of(tensors: &[(String, Tensor)], metadata: &Metadata) -> Result<String> {
    let named = tensors.iter().map(|(name, tensor)| (name, tensor));
    Ok(digest_to_hex(&weights_file::digest(named, metadata)?))
}

fn metadata(state: &TrainingState, identity: &Identity) -> Result<Metadata> {
    let values = [
        ("identity", serde_json::to_string(identity)?),
        ("position", serde_json::to_string(&state.position)?),
        (ENVIRONMENTS, serde_json::to_string(&state.environments)?),
    ];
    Ok(values.map(|(key, value)| (key.to_owned(), value)).into())
}

/// Collects all tensors of the state, with a prefix for each part.
fn tensors(state: &TrainingState) -> Result<Vec<(String, Tensor)>> {
    let sigma = Tensor::f_from_slice(&state.sigma)?;
    let mut tensors = vec![("sigma".to_owned(), sigma)];
    tensors.extend(prefixed("model/", state.network.tensors()));
    tensors.extend(velocities(state)?);
    tensors.extend(prefixed("best/", &state.best));
    Ok(tensors)
}

fn velocities(state: &TrainingState) -> Result<Vec<(String, Tensor)>> {
    let velocities = state.optimiser.velocities(&state.network)?;
    let velocities = velocities.iter().map(|(name, tensor)| (name, tensor));
    Ok(prefixed("velocity/", velocities).collect())
}

fn prefixed<'a, N: Display>(
    prefix: &str,
    tensors: impl IntoIterator<Item = (N, &'a Tensor)>,
) -> impl Iterator<Item = (String, Tensor)> {
    tensors
        .into_iter()
        .map(move |(name, tensor)| (format!("{prefix}{name}"), tensor.shallow_clone()))
}

/// Loads the state from a file, if it exists. Returns true if it did.
///
/// # Errors
/// When the file belongs to another training or cannot be read. The error says what to do.
pub(super) fn resume(path: &Path, state: &mut TrainingState, identity: &Identity) -> Result<bool> {
    const ADVICE: &str = "delete it to start over, or write to another --out";
    if !path.exists() {
        return Ok(false);
    }
    let mismatch = load(path, state, identity)
        .with_context(|| format!("cannot resume from {}: {ADVICE}", path.display()))?;
    match mismatch {
        None => Ok(true),
        Some(mismatch) => bail!("{} is of {mismatch}: {ADVICE}", path.display()),
    }
}

/// The part of a checkpoint's identity that differs.
enum Mismatch {
    Specification,
    Data,
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Specification => "another specification",
            Self::Data => "other data",
        })
    }
}

/// Loads the file into `state`. If the file belongs to another training, returns the difference.
fn load(path: &Path, state: &mut TrainingState, identity: &Identity) -> Result<Option<Mismatch>> {
    let (tensors, mut metadata) = weights_file::read(path)?;
    check_digest(&tensors, &mut metadata)?;
    let mismatch = identity.mismatch(&value(&metadata, "identity")?);
    if mismatch.is_none() {
        load_metadata(&metadata, state)?;
        load_tensors(&tensors, state)?;
    }
    Ok(mismatch)
}

fn load_metadata(metadata: &Metadata, state: &mut TrainingState) -> Result<()> {
    state.position = value(metadata, "position")?;
    state.environments = value(metadata, ENVIRONMENTS)?;
    Ok(())
}

fn load_tensors(tensors: &HashMap<String, Tensor>, state: &mut TrainingState) -> Result<()> {
    state.network.load(&part(tensors, "model/"))?;
    let velocities = part(tensors, "velocity/");
    state.optimiser.load(&state.network, &velocities)?;
    state.best = part(tensors, "best/");
    state.sigma = load_sigma(tensors, state.sigma.len())?;
    Ok(())
}

/// Checks that nothing in the file changed since it was written. A flipped bit in a weight would
/// otherwise never be noticed.
fn check_digest(tensors: &HashMap<String, Tensor>, metadata: &mut Metadata) -> Result<()> {
    let written = take_digest(metadata)?;
    ensure!(
        digest_to_hex(&weights_file::digest(tensors, metadata)?) == written,
        "checksum mismatch: the file is damaged or was edited"
    );
    Ok(())
}

fn take_digest(metadata: &mut Metadata) -> Result<String> {
    let digest = metadata.remove(DIGEST);
    digest.with_context(|| format!("it has no {DIGEST}"))
}

fn value<T: DeserializeOwned>(metadata: &Metadata, key: &str) -> Result<T> {
    let text = metadata.get(key);
    let text = text.with_context(|| format!("it has no {key}"))?;
    Ok(serde_json::from_str(text)?)
}

/// Returns the tensors whose names begin with `prefix`, by the rest of the name.
fn part(tensors: &HashMap<String, Tensor>, prefix: &str) -> HashMap<String, Tensor> {
    tensors
        .iter()
        .filter_map(|(name, tensor)| {
            let name = name.strip_prefix(prefix)?;
            Some((name.to_owned(), tensor.shallow_clone()))
        })
        .collect()
}

fn load_sigma(tensors: &HashMap<String, Tensor>, examples: usize) -> Result<Vec<f64>> {
    let sigma = tensors.get("sigma").context("it has no sigma")?;
    let sigma: Vec<f64> = Vec::try_from(sigma.f_to_kind(Kind::Double)?)?;
    check_sigma_count(sigma.len(), examples)?;
    Ok(sigma)
}

fn check_sigma_count(found: usize, examples: usize) -> Result<()> {
    ensure!(
        found == examples,
        "it has {found} sigmas for {examples} examples"
    );
    Ok(())
}
