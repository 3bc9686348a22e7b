//! What is looked at before anything is computed, so that what cannot end well does not begin.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ddrs_common::data::Dataset;
use ddrs_common::spec::{self, Training, digest_to_hex};
use sha2::{Digest, Sha256};

use super::checkpoint::{self, Identity};
use super::examples::Examples;
use super::fit::AtKey;
use super::journal;

/// All that a training needs of its surroundings.
pub(super) struct Opened {
    pub(super) spec: Training,
    /// The specification as it was written.
    pub(super) text: String,
    pub(super) identity: Identity,
    pub(super) examples: Examples,
    /// Held as long as something is written to `out` and beside it.
    pub(super) lock: File,
}

/// # Errors
/// When `out` cannot be written, another process trains to it, or a specification, its data or a
/// log do not fit; names the file, and the key where it is one's.
pub(super) fn open(path: &Path, out: &Path) -> Result<Opened> {
    ensure!(
        out.extension().is_some_and(|it| it == "safetensors"),
        "{} must end in .safetensors",
        out.display()
    );
    ensure!(!out.is_dir(), "{} is a folder", out.display());
    let is_checkpoint = out.file_stem().is_some_and(|stem| {
        Path::new(stem)
            .extension()
            .is_some_and(|it| it == "checkpoint")
    });
    ensure!(
        !is_checkpoint,
        "{} is the name of a checkpoint",
        out.display()
    );
    let folder = out
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    ensure!(
        folder.is_dir(),
        "there is no folder {} to write to",
        folder.display()
    );
    let text = spec::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = Training::parse(&text, path)?;
    let lock = lock(out)?;
    keep_finished(out)?;
    journal::check(&journal::path_beside(out))?;
    let dataset = Dataset::open(&spec.dataset).map_err(|error| {
        let key = if error.is_io() {
            "dataset.path"
        } else {
            "dataset"
        };
        spec::error_at(&text, path, key, error.to_string())
    })?;
    let specification = Sha256::digest(text.as_bytes()).into();
    let identity = Identity {
        specification: digest_to_hex(&specification),
        data: digest_to_hex(&dataset.digest()?),
    };
    let examples =
        Examples::read(&spec, &dataset).map_err(|error| match error.downcast::<AtKey>() {
            Ok(AtKey { key, message }) => spec::error_at(&text, path, key, message).into(),
            Err(error) => error,
        })?;
    let fewer = dataset
        .classes()
        .filter(|&classes| classes < spec.model.classes);
    if let Some(classes) = fewer {
        let (told, asked) = (spec.dataset.path.display(), spec.model.classes);
        tracing::warn!(
            "{told} has {classes} classes, model.classes is {asked}: the others never occur"
        );
    }
    Ok(Opened {
        spec,
        text,
        identity,
        examples,
        lock,
    })
}

/// What stands at `out` may be written over only by the training that made it, which its checkpoint
/// tells.
fn keep_finished(out: &Path) -> Result<()> {
    let checkpoint = checkpoint::path_beside(out);
    ensure!(
        !out.exists() || checkpoint.exists(),
        "{} is there already, without {}: delete it, or write to another --out",
        out.display(),
        checkpoint.display()
    );
    Ok(())
}

/// Two trainings to one file would each write over the other's checkpoint. The lock is the
/// process's, so none is left behind when that is killed; the empty file is.
fn lock(out: &Path) -> Result<File> {
    let path = out.with_extension("lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    match ddrs_common::lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another process trains to {}: it holds {}",
                out.display(),
                path.display()
            );
        }
        // Some cluster file systems have no locks.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!(
                "{}: its file system has no locks; let one process train to it at a time",
                out.display()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    Ok(file)
}
