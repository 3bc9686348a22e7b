//! Whether a file holds the network that a specification says it holds, from the file's header
//! alone.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::{Architecture, Parameter, Shape, canonical_name};
use crate::domain::{MAX_PIXELS, MAX_SAFETENSORS_HEADER};
use crate::roots::Roots;

/// A model file that does not fit its specification.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}", file = .file.display())]
pub struct ModelError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a model file. Tensors are named as the file names them, missing ones
/// canonically.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no safetensors file, or a part of one.
    #[error("not a safetensors file: {0}")]
    Format(String),
    /// Its own metadata says that it is another network.
    #[error("model is {model}, the specification says {specification}")]
    Architecture {
        /// What the file says.
        model: String,
        /// What the specification says.
        specification: Architecture,
    },
    /// It tells other classes apart.
    #[error("model has {model} classes, the specification says {specification}")]
    Classes {
        /// Rows of the last layer.
        model: u64,
        /// What the specification says.
        specification: u32,
    },
    /// A tensor is not there.
    #[error("tensor {name} of shape {expected} is missing")]
    Missing {
        /// Its canonical name.
        name: String,
        /// The shape it should have.
        expected: Shape,
    },
    /// A tensor has another shape.
    #[error("tensor {name} has shape {found:?}, expected {expected}")]
    WrongShape {
        /// Its name in the file.
        name: String,
        /// The shape it should have.
        expected: Shape,
        /// The shape it has.
        found: Vec<u64>,
    },
    /// A tensor holds something else than floating-point numbers of 16, 32 or 64 bits.
    #[error("tensor {name} holds {found:?}, expected F16, BF16, F32 or F64")]
    WrongType {
        /// Its name in the file.
        name: String,
        /// What it holds.
        found: Dtype,
    },
    /// A tensor that the network has no place for.
    #[error("unknown tensor {0}")]
    Unknown(String),
    /// Two tensors that are one without their prefixes.
    #[error("tensors {0} and {1} are both {name}", name = canonical_name(.0))]
    Ambiguous(String, String),
}

/// Checks names, types and shapes of all tensors. Reads the header only: the weights may be
/// gigabytes. What passes is as long as its tensors, which leaves only the half-space's length
/// open.
///
/// # Errors
/// The first thing that does not fit.
pub fn check_model(
    path: &Path,
    architecture: Architecture,
    classes: u32,
) -> Result<(), ModelError> {
    check_model_under(&Roots::anywhere(), path, architecture, classes)
}

/// As [`check_model`], for a file that must lie under `roots`.
///
/// # Errors
/// The first thing that does not fit.
pub fn check_model_under(
    roots: &Roots,
    path: &Path,
    architecture: Architecture,
    classes: u32,
) -> Result<(), ModelError> {
    read_header(path, roots)
        .and_then(|header| check_header(&header, architecture, classes))
        .map_err(|problem| ModelError {
            file: path.to_owned(),
            problem,
        })
}

/// What a file says of itself: the metadata in its header.
///
/// # Errors
/// When it cannot be read, or is no whole safetensors file.
pub fn metadata(path: &Path) -> Result<HashMap<String, String>, ModelError> {
    let header = read_header(path, &Roots::anywhere());
    let header = header.map_err(|problem| ModelError {
        file: path.to_owned(),
        problem,
    })?;
    Ok(header.metadata().clone().unwrap_or_default())
}

fn read_header(path: &Path, roots: &Roots) -> Result<Metadata, Problem> {
    let format = |message: &dyn fmt::Display| Problem::Format(message.to_string());
    let mut file = roots.open(path)?;
    let file_len = file.metadata()?.len();
    let Some(after_length) = file_len.checked_sub(8) else {
        return Err(format(&"shorter than 8 bytes"));
    };
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_SAFETENSORS_HEADER.min(after_length) {
        return Err(format(&format_args!(
            "a header of {length} bytes does not fit in a file of {file_len}"
        )));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|e| format(&e))?;
    let (expected, found) = (header.data_len() as u64, after_length - length);
    if expected != found {
        return Err(format(&format_args!(
            "its tensors take {expected} bytes, the file holds {found}"
        )));
    }
    Ok(header)
}

fn check_header(
    header: &Metadata,
    architecture: Architecture,
    classes: u32,
) -> Result<(), Problem> {
    let model = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get("architecture"));
    // Elsewhere these names are written with `_`.
    if let Some(model) = model.filter(|model| model.replace('_', "-") != architecture.to_string()) {
        return Err(Problem::Architecture {
            model: model.clone(),
            specification: architecture,
        });
    }
    let infos = header.tensors();
    let mut tensors = BTreeMap::new();
    for name in header.offset_keys() {
        if let Some(earlier) = tensors.insert(canonical_name(&name).to_owned(), name.clone()) {
            return Err(Problem::Ambiguous(earlier, name));
        }
    }
    for parameter in architecture.parameters(classes) {
        let Some(name) = tensors.remove(&parameter.name) else {
            return Err(Problem::Missing {
                name: parameter.name,
                expected: parameter.shape,
            });
        };
        let info = infos[&name];
        check_tensor(name, info, parameter, classes)?;
    }
    let superfluous =
        |(canonical, name): &(String, String)| !is_ignored(canonical) || !is_small(infos[name]);
    match tensors.into_iter().find(superfluous) {
        Some((_, name)) => Err(Problem::Unknown(name)),
        None => Ok(()),
    }
}

fn check_tensor(
    name: String,
    info: &TensorInfo,
    parameter: Parameter,
    classes: u32,
) -> Result<(), Problem> {
    let found: Vec<u64> = info.shape.iter().map(|&length| length as u64).collect();
    // A half-space has a weight for each value of an image.
    let too_many =
        parameter.shape == Shape::Vector && found.iter().any(|&length| length > 3 * MAX_PIXELS);
    if too_many || !parameter.shape.admits(&found) {
        return Err(match (&parameter.shape, found.as_slice()) {
            (Shape::Exact(expected), &[rows, columns])
                if parameter.name == "fc.weight" && expected[1] == columns =>
            {
                Problem::Classes {
                    model: rows,
                    specification: classes,
                }
            }
            _ => Problem::WrongShape {
                name,
                expected: parameter.shape,
                found,
            },
        });
    }
    match info.dtype {
        Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => Ok(()),
        found => Err(Problem::WrongType { name, found }),
    }
}

/// Counters are one number, and normalisations one for each of a few channels.
fn is_small(info: &TensorInfo) -> bool {
    info.shape.iter().product::<usize>() <= 64
}

/// Counters of training, and the constants of a normalisation layer, for which the specification's
/// `mean` and `std` stand.
fn is_ignored(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let layer = name.strip_suffix(last).unwrap_or_default();
    let normalisation = ["", "0.", "normalize.", "normalizer."].contains(&layer);
    last == "num_batches_tracked"
        || (normalisation && ["mean", "means", "std", "sds"].contains(&last))
}

#[cfg(test)]
mod tests;
