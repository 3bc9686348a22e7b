//! Checks that a model file contains the network that a specification names, by the file's header
//! alone.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::{Architecture, Layers, Parameter, Shape, canonical_name};
use crate::domain::{MAX_PIXELS, MAX_SAFETENSORS_HEADER};
use crate::roots::Roots;

/// A model file that does not fit its specification.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}", file = .file.display())]
pub struct ModelError {
    /// The file.
    pub file: PathBuf,
    /// The problem.
    pub problem: ModelProblem,
}

/// The problem of a model file. Tensors have their names in the file, missing ones their canonical
/// names.
#[derive(Debug, thiserror::Error)]
pub enum ModelProblem {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is not a safetensors file, or not a whole one.
    #[error("not a safetensors file: {0}")]
    Format(String),
    /// Its metadata names another network.
    #[error("model is {model}, the specification says {specification}")]
    Architecture {
        /// The architecture in the file.
        model: String,
        /// The value in the specification.
        specification: Architecture,
    },
    /// It has another number of classes.
    #[error("model has {model} classes, the specification says {specification}")]
    Classes {
        /// The number of rows of the last layer.
        model: u64,
        /// The value in the specification.
        specification: u32,
    },
    /// A tensor is missing.
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
    /// A tensor does not contain floating-point numbers of 16, 32 or 64 bits.
    #[error("tensor {name} holds {found:?}, expected F16, BF16, F32 or F64")]
    WrongType {
        /// Its name in the file.
        name: String,
        /// The type of its values.
        found: Dtype,
    },
    /// The network has no such tensor.
    #[error("unknown tensor {0}")]
    Unknown(String),
    /// Two tensors have the same canonical name.
    #[error("tensors {0} and {1} are both {name}", name = canonical_name(.0))]
    Ambiguous(String, String),
}

/// Checks names, types and shapes of all tensors. Reads only the header, since the weights may take
/// gigabytes. It also checks the file's length against its tensors. Only the length of a half-space
/// remains open.
///
/// # Errors
/// The first problem.
pub fn check_model(
    path: &Path,
    architecture: Architecture,
    classes: u32,
) -> Result<(), ModelError> {
    check_model_under(&Roots::anywhere(), path, architecture, classes)
}

/// Checks a model as [`check_model`] does; the file must lie under `roots`.
///
/// # Errors
/// The first problem.
pub fn check_model_under(
    roots: &Roots,
    path: &Path,
    architecture: Architecture,
    classes: u32,
) -> Result<(), ModelError> {
    let expected = Expected {
        architecture,
        classes,
    };
    read_header(path, roots)
        .and_then(|header| expected.check(&header))
        .map_err(|problem| in_file(path, problem))
}

/// Reads the metadata in a file's header.
///
/// # Errors
/// When it cannot be read, or is not a whole safetensors file.
pub fn metadata(path: &Path) -> Result<HashMap<String, String>, ModelError> {
    let header = read_header(path, &Roots::anywhere());
    let header = header.map_err(|problem| in_file(path, problem))?;
    Ok(header.metadata().clone().unwrap_or_default())
}

fn in_file(path: &Path, problem: ModelProblem) -> ModelError {
    ModelError {
        file: path.to_owned(),
        problem,
    }
}

fn read_header(path: &Path, roots: &Roots) -> Result<Metadata, ModelProblem> {
    let mut file = roots.open(path)?;
    let file_len = file.metadata()?.len();
    let Some(after_length) = file_len.checked_sub(8) else {
        return Err(ModelProblem::Format("shorter than 8 bytes".to_owned()));
    };
    let length = read_length(&mut file)?;
    if length > MAX_SAFETENSORS_HEADER.min(after_length) {
        let message = format!("a header of {length} bytes does not fit in a file of {file_len}");
        return Err(ModelProblem::Format(message));
    }
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text)?;
    parse_header(&text, after_length - length)
}

fn read_length(file: &mut impl Read) -> io::Result<u64> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    Ok(u64::from_le_bytes(length))
}

/// Parses a header, and checks that its tensors take `found` bytes.
fn parse_header(text: &[u8], found: u64) -> Result<Metadata, ModelProblem> {
    let header: Metadata =
        serde_json::from_slice(text).map_err(|error| ModelProblem::Format(error.to_string()))?;
    check_data_length(header.data_len() as u64, found)?;
    Ok(header)
}

fn check_data_length(expected: u64, found: u64) -> Result<(), ModelProblem> {
    if expected == found {
        return Ok(());
    }
    let message = format!("its tensors take {expected} bytes, the file holds {found}");
    Err(ModelProblem::Format(message))
}

/// The network that a file must contain.
#[derive(Clone, Copy)]
struct Expected {
    architecture: Architecture,
    classes: u32,
}

impl Expected {
    fn check(self, header: &Metadata) -> Result<(), ModelProblem> {
        self.check_metadata(header)?;
        let infos = header.tensors();
        let mut tensors = self.by_canonical_name(header)?;
        for parameter in self.architecture.parameters(self.classes) {
            match tensors.remove(&parameter.name) {
                Some(name) => self.check_tensor(infos[&name], name, parameter)?,
                None => return Err(missing(parameter)),
            }
        }
        tensors.retain(|name, _| !self.architecture.is_unused(name));
        refuse_unknown(tensors, &infos)
    }

    /// The tensors' names in the file, by their canonical names.
    fn by_canonical_name(
        self,
        header: &Metadata,
    ) -> Result<BTreeMap<String, String>, ModelProblem> {
        let mut tensors = BTreeMap::new();
        for name in header.offset_keys() {
            let canonical = self.architecture.usual_name(canonical_name(&name));
            if let Some(earlier) = tensors.insert(canonical.into_owned(), name.clone()) {
                return Err(ModelProblem::Ambiguous(earlier, name));
            }
        }
        Ok(tensors)
    }

    /// Checks the name of the architecture, if the file gives one.
    fn check_metadata(self, header: &Metadata) -> Result<(), ModelProblem> {
        let metadata = header.metadata().as_ref();
        match metadata.and_then(|metadata| metadata.get("architecture")) {
            Some(name) => self.check_name(name),
            None => Ok(()),
        }
    }

    fn check_name(self, name: &str) -> Result<(), ModelProblem> {
        // Other programs write these names with `_`.
        if name.replace('_', "-") == self.architecture.to_string() {
            return Ok(());
        }
        Err(ModelProblem::Architecture {
            model: name.to_owned(),
            specification: self.architecture,
        })
    }

    fn check_tensor(
        self,
        info: &TensorInfo,
        name: String,
        parameter: Parameter,
    ) -> Result<(), ModelProblem> {
        let found: Vec<u64> = info.shape.iter().map(|&length| length as u64).collect();
        if !is_admitted(&parameter.shape, &found) {
            return Err(self.wrong_shape(name, parameter, found));
        }
        check_type(name, info.dtype)
    }

    /// The problem of a wrong shape: a wrong number of classes if only the rows of the last layer
    /// differ.
    fn wrong_shape(self, name: String, parameter: Parameter, found: Vec<u64>) -> ModelProblem {
        match self.other_class_count(&parameter, &found) {
            Some(model) => ModelProblem::Classes {
                model,
                specification: self.classes,
            },
            None => ModelProblem::WrongShape {
                name,
                expected: parameter.shape,
                found,
            },
        }
    }

    /// The number of rows of the last layer, if only they differ.
    fn other_class_count(self, parameter: &Parameter, found: &[u64]) -> Option<u64> {
        match (&parameter.shape, found) {
            (Shape::Exact(expected), &[rows, columns])
                if self.returns_scores(&parameter.name) && expected[1] == columns =>
            {
                Some(rows)
            }
            _ => None,
        }
    }

    /// Returns true for the weight of the last layer.
    fn returns_scores(self, name: &str) -> bool {
        let layers = self.architecture.layers(self.classes);
        let last = layers.as_ref().and_then(Layers::classifier);
        last.is_some_and(|last| name == format!("{}.weight", last.name))
    }
}

fn missing(parameter: Parameter) -> ModelProblem {
    ModelProblem::Missing {
        name: parameter.name,
        expected: parameter.shape,
    }
}

fn check_type(name: String, found: Dtype) -> Result<(), ModelProblem> {
    match found {
        Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => Ok(()),
        _ => Err(ModelProblem::WrongType { name, found }),
    }
}

/// Refuses tensors that the network does not have, other than small ones that are ignored.
fn refuse_unknown(
    tensors: BTreeMap<String, String>,
    infos: &HashMap<String, &TensorInfo>,
) -> Result<(), ModelProblem> {
    let mut tensors = tensors.into_iter();
    match tensors.find(|(canonical, name)| !is_ignored(canonical) || !is_small(infos[name])) {
        Some((_, name)) => Err(ModelProblem::Unknown(name)),
        None => Ok(()),
    }
}

/// Returns true if a tensor may have this shape. A half-space has a weight for each value of an
/// image, and images have a limit.
fn is_admitted(shape: &Shape, found: &[u64]) -> bool {
    let is_too_long = |length: &u64| *length > 3 * MAX_PIXELS;
    shape.admits(found) && !(*shape == Shape::Vector && found.iter().any(is_too_long))
}

/// Returns true for a tensor as small as a counter or the constants of a few channels.
fn is_small(info: &TensorInfo) -> bool {
    info.shape.iter().product::<usize>() <= 64
}

/// Returns true for counters of training, and for the constants of a normalisation layer, which the
/// specification's `mean` and `std` replace.
fn is_ignored(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let layer = name.strip_suffix(last).unwrap_or_default();
    last == "num_batches_tracked" || is_normalisation(layer, last)
}

fn is_normalisation(layer: &str, last: &str) -> bool {
    ["", "0.", "normalize.", "normalizer."].contains(&layer)
        && ["mean", "means", "std", "sds"].contains(&last)
}

#[cfg(test)]
mod tests;
