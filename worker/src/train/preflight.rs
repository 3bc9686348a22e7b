//! Preflight checks: output path, lock, log, specification and data, before any computation.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use ddrs_common::data::{DataError, Dataset};
use ddrs_common::spec::{self, Training, digest_to_hex};
use sha2::{Digest, Sha256};

use super::check_against_data::KeyError;
use super::checkpoint::{self, Identity};
use super::epoch_log;
use super::examples::Examples;

/// A specification that passed the checks, with its data.
pub(super) struct Preflight {
    pub(super) spec: Training,
    /// The specification as the user wrote it.
    pub(super) text: String,
    pub(super) identity: Identity,
    pub(super) examples: Examples,
    /// Held while `out` and the files next to it are written.
    pub(super) lock: File,
}

/// Checks everything that can be checked before training starts.
///
/// # Errors
/// When `out` cannot be written, another process trains to it, or the specification, the data or
/// an existing log do not fit. The error names the file, and the key where a key is wrong.
pub(super) fn check(path: &Path, out: &Path) -> Result<Preflight> {
    check_name(out)?;
    check_folder(out)?;
    let text = read(path)?;
    let spec = Training::parse(&text, path)?;
    let lock = lock(out)?;
    refuse_overwriting(out)?;
    epoch_log::check(&epoch_log::path_for(out))?;
    let dataset = open_dataset(&spec, &text, path)?;
    let examples = read_examples(&spec, &dataset, &text, path)?;
    let identity = identity(&spec, &text, &dataset, &examples)?;
    warn_of_missing_classes(&spec, &dataset);
    Ok(Preflight {
        spec,
        text,
        identity,
        examples,
        lock,
    })
}

fn read(path: &Path) -> Result<String> {
    spec::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn identity(
    spec: &Training,
    text: &str,
    dataset: &Dataset,
    examples: &Examples,
) -> Result<Identity> {
    Ok(Identity {
        specification: digest_to_hex(&Sha256::digest(text.as_bytes()).into()),
        data: digest_to_hex(&data_digest(spec, dataset, examples)?),
    })
}

/// The digest of the dataset; with that of the radii and of the initial weights, if there are some.
fn data_digest(spec: &Training, dataset: &Dataset, examples: &Examples) -> Result<[u8; 32]> {
    let data = dataset.digest()?;
    let mut others = Sha256::new();
    let radii = examples.level_radii();
    others.update(radii.map_or(Vec::new(), |radii| radii.bytes().collect()));
    if let Some(initial) = &spec.model.initial {
        others.update(initial_digest(initial)?);
    }
    if radii.is_none() && spec.model.initial.is_none() {
        return Ok(data);
    }
    Ok(others.chain_update(data).finalize().into())
}

fn initial_digest(path: &Path) -> Result<[u8; 32]> {
    let digest = spec::file_digest(path);
    digest.with_context(|| format!("model.initial: cannot read {}", path.display()))
}

fn check_name(out: &Path) -> Result<()> {
    ensure!(
        has_extension(out, "safetensors"),
        "{} must end in .safetensors",
        out.display()
    );
    let stem = out.file_stem().unwrap_or_default();
    ensure!(
        !has_extension(Path::new(stem), "checkpoint"),
        "{} is the name of a checkpoint",
        out.display()
    );
    Ok(())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn check_folder(out: &Path) -> Result<()> {
    ensure!(!out.is_dir(), "{} is a folder", out.display());
    let folder = folder_of(out);
    ensure!(
        folder.is_dir(),
        "there is no folder {} to write to",
        folder.display()
    );
    Ok(())
}

fn folder_of(out: &Path) -> &Path {
    match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Allows only the training that wrote `out` to overwrite it. Its checkpoint identifies it.
fn refuse_overwriting(out: &Path) -> Result<()> {
    let checkpoint = checkpoint::path_for(out);
    ensure!(
        !out.exists() || checkpoint.exists(),
        "{} exists, but {} does not: delete the model, or write to another --out",
        out.display(),
        checkpoint.display()
    );
    Ok(())
}

fn open_dataset(spec: &Training, text: &str, path: &Path) -> Result<Dataset> {
    let dataset = Dataset::open(&spec.dataset);
    Ok(dataset.map_err(|error| spec::error_at(text, path, key_of(&error), error.to_string()))?)
}

/// Returns the key that most likely caused an error of the dataset.
fn key_of(error: &DataError) -> &'static str {
    if error.is_io() {
        "dataset.path"
    } else {
        "dataset"
    }
}

fn read_examples(spec: &Training, dataset: &Dataset, text: &str, path: &Path) -> Result<Examples> {
    Examples::read(spec, dataset).map_err(|error| match error.downcast::<KeyError>() {
        Ok(KeyError { key, message }) => spec::error_at(text, path, key, message).into(),
        Err(error) => error,
    })
}

fn warn_of_missing_classes(spec: &Training, dataset: &Dataset) {
    if let Some(classes) = dataset.classes()
        && classes < spec.model.classes
    {
        tracing::warn!(
            "{} has {classes} classes, model.classes is {}: the others never occur",
            spec.dataset.path.display(),
            spec.model.classes
        );
    }
}

fn lock_error(error: TryLockError, out: &Path, lock: &Path) -> anyhow::Error {
    let lock = lock.display();
    match error {
        TryLockError::WouldBlock => {
            anyhow!(
                "another process trains to {}: it holds {lock}",
                out.display()
            )
        }
        TryLockError::Error(error) => anyhow!(error).context(format!("cannot lock {lock}")),
    }
}

fn open(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

/// Locks `out` against a second training, which would overwrite its checkpoint. The operating
/// system releases the lock when the process ends, even if it is killed; the empty file stays.
fn lock(out: &Path) -> Result<File> {
    let path = out.with_extension("lock");
    let file = open(&path)?;
    match ddrs_common::lock_where_supported(&file, out, "let one process train to it at a time") {
        Ok(()) => Ok(file),
        Err(error) => Err(lock_error(error, out, &path)),
    }
}
