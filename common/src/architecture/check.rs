//! Checks that a model file contains the network that a specification names: every tensor, and
//! nothing that would change what the network computes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use super::constants::{self, FileConstants};
use super::fit::{self, Networks, TensorNames};
use super::{Architecture, Layers, Parameter, Shape};
use crate::domain::MAX_PIXELS;
use crate::model_file::{FileTensor, NamedTensors, NamedTensorsError};
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
    /// It cannot be read, or has another format.
    #[error("{0}")]
    File(#[from] NamedTensorsError),
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
    #[error("tensor {name} of shape {expected} is missing{holds}")]
    Missing {
        /// Its canonical name.
        name: String,
        /// The shape it should have.
        expected: Shape,
        /// Some of the tensors that the file has, if it has none of the network's.
        holds: String,
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
    /// A tensor next to the network, which may be part of what computes its input or output.
    #[error(
        "unknown tensor {name} next to the network under {prefix:?}; if it plays no part, give \
         weights = {prefix:?}"
    )]
    UnknownBeside {
        /// Its name in the file.
        name: String,
        /// The network's prefix, without the point.
        prefix: String,
    },
    /// The file holds several networks that fit and differ.
    #[error("the file holds {} networks that fit; choose one: {}", .0.len(), prefixes(.0))]
    Ambiguous(Vec<String>),
    /// No network that ddrs builds has the file's tensors.
    #[error("no network that ddrs builds has its tensors{0}; export a TorchScript program")]
    Unrecognised(String),
}

fn prefixes(prefixes: &[String]) -> String {
    let choices = prefixes
        .iter()
        .map(|prefix| format!("weights = {prefix:?}"));
    choices.collect::<Vec<_>>().join(" or ")
}

/// The most groups of names in a remark.
const MOST_GROUPS: usize = 12;

/// The network that a file must contain.
#[derive(Debug, Clone, Copy)]
pub struct WantedNetwork<'w> {
    /// Its architecture.
    pub architecture: Architecture,
    /// The number of its classes; that of the file if it is not known.
    pub classes: Option<u32>,
    /// The part of its tensors' names before their canonical names, if the user names it.
    pub weights: Option<&'w str>,
}

/// A network in a model file.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundNetwork {
    /// The names of its tensors in the file by canonical name.
    pub names: BTreeMap<String, String>,
    /// The part of these names before the canonical names, without a point at the end.
    pub prefix: String,
    /// The number of its classes.
    pub classes: u32,
    /// The constants of a normalisation layer next to it; the reason if they cannot be used.
    pub constants: Result<Option<FileConstants>, String>,
    /// Names of what else is in the file and plays no part.
    pub left_aside: Vec<String>,
}

impl FoundNetwork {
    /// Says where the network is, which normalisation counts, and what was left aside. `mean` is
    /// that of the specification.
    #[must_use]
    pub fn remarks(&self, mean: Option<&[f64]>) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.prefix.is_empty() {
            remarks.push(format!("the network is under {:?}", self.prefix));
        }
        if let Ok(Some(constants)) = &self.constants {
            remarks.push(constants.remark(mean));
        }
        if !self.left_aside.is_empty() {
            remarks.push(format!("left aside: {}", in_groups(&self.left_aside)));
        }
        remarks
    }
}

/// Names, of which those that begin alike are counted.
fn in_groups(names: &[String]) -> String {
    let mut groups: BTreeMap<&str, u64> = BTreeMap::new();
    for name in names {
        let end = name
            .match_indices('.')
            .nth(1)
            .map_or(name.len(), |(at, _)| at);
        *groups.entry(&name[..end]).or_default() += 1;
    }
    let shown = groups
        .iter()
        .take(MOST_GROUPS)
        .map(|(name, count)| match count {
            1 => (*name).to_owned(),
            count => format!("{name} ({count} values)"),
        });
    let more = groups.len().saturating_sub(MOST_GROUPS);
    let more = (more > 0).then(|| format!("and {more} more"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

/// Checks names, types and shapes of all tensors. Only the length of a half-space remains open.
///
/// # Errors
/// The first problem.
pub fn check_model(
    path: &Path,
    architecture: Architecture,
    classes: u32,
) -> Result<(), ModelError> {
    let wanted = WantedNetwork {
        architecture,
        classes: Some(classes),
        weights: None,
    };
    find_network(&Roots::anywhere(), path, wanted).map(drop)
}

/// Finds the network in a file, which must lie under `roots`, and checks it.
///
/// # Errors
/// The first problem.
pub fn find_network(
    roots: &Roots,
    path: &Path,
    wanted: WantedNetwork,
) -> Result<FoundNetwork, ModelError> {
    let file = NamedTensors::open(path, roots).map_err(ModelProblem::from);
    file.and_then(|file| wanted.find(&file))
        .map_err(|problem| ModelError {
            file: path.to_owned(),
            problem,
        })
}

impl WantedNetwork<'_> {
    /// Finds the network, and checks it.
    ///
    /// # Errors
    /// The first problem.
    pub fn find(self, file: &NamedTensors) -> Result<FoundNetwork, ModelProblem> {
        self.check_metadata(file)?;
        let names = self.names(file)?;
        let classes = self.classes(file, &names);
        self.check_tensors(file, &names, classes)?;
        self.check_others(file, &names)?;
        Ok(FoundNetwork {
            classes,
            constants: constants::find(file, &names, self.channels()),
            left_aside: left_aside(file, &names),
            prefix: names.prefix.trim_end_matches('.').to_owned(),
            names: names.names,
        })
    }

    /// Checks the name of the architecture, if a safetensors file gives one. In a checkpoint `arch`
    /// is only a hint, since every library has other names.
    fn check_metadata(self, file: &NamedTensors) -> Result<(), ModelProblem> {
        match file.metadata().get("architecture") {
            Some(name) if !file.is_torch_save() => self.check_name(name),
            _ => Ok(()),
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

    /// The number of classes that tensors are checked against.
    fn classes(self, file: &NamedTensors, names: &TensorNames) -> u32 {
        let in_file = || fit::classes(file, self.architecture, names);
        self.classes.or_else(in_file).unwrap_or(2)
    }

    /// Finds the one network in the file.
    fn names(self, file: &NamedTensors) -> Result<TensorNames, ModelProblem> {
        let parameters = self.architecture.parameters(2);
        let networks = match fit::networks(file, self.architecture, &parameters, self.weights) {
            Networks::Complete(networks) => networks,
            Networks::Lacks(parameter) => return Err(missing(file, &parameters, parameter)),
        };
        let mut left = fit::without_copies(file, self.that_fit(file, networks))?;
        match left.pop() {
            Some(network) if left.is_empty() => Ok(network),
            Some(network) => Err(ambiguous(left, network)),
            None => Err(missing(file, &parameters, parameters[0].clone())),
        }
    }

    /// The networks whose shapes fit; all of them if none does, so that an error says why.
    fn that_fit(self, file: &NamedTensors, networks: Vec<TensorNames>) -> Vec<TensorNames> {
        let fitting: Vec<_> = networks
            .iter()
            .filter(|names| self.fits(file, names))
            .cloned()
            .collect();
        if fitting.is_empty() {
            networks
        } else {
            fitting
        }
    }

    fn fits(self, file: &NamedTensors, names: &TensorNames) -> bool {
        let classes = self.classes(file, names);
        self.check_tensors(file, names, classes).is_ok()
    }

    fn check_tensors(
        self,
        file: &NamedTensors,
        names: &TensorNames,
        classes: u32,
    ) -> Result<(), ModelProblem> {
        for parameter in self.architecture.parameters(classes) {
            let name = &names.names[&parameter.name];
            let tensor = &file.tensors()[name];
            if let Some(model) = self.other_class_count(&parameter, &tensor.shape, classes) {
                return Err(ModelProblem::Classes {
                    model,
                    specification: classes,
                });
            }
            check_tensor(tensor, name, &parameter.shape)?;
        }
        Ok(())
    }

    /// The number of rows of the last layer, if only they differ.
    fn other_class_count(self, parameter: &Parameter, found: &[u64], classes: u32) -> Option<u64> {
        match (&parameter.shape, found) {
            (Shape::Exact(expected), &[rows, columns])
                if rows != u64::from(classes)
                    && expected.get(1) == Some(&columns)
                    && self.returns_scores(&parameter.name, classes) =>
            {
                Some(rows)
            }
            _ => None,
        }
    }

    /// Returns true for the weight of the last layer.
    fn returns_scores(self, name: &str, classes: u32) -> bool {
        let layers = self.architecture.layers(classes);
        let last = layers.as_ref().and_then(Layers::classifier);
        last.is_some_and(|last| name == format!("{}.weight", last.name))
    }

    /// Refuses tensors that may belong to the network and that ddrs does not have.
    fn check_others(self, file: &NamedTensors, names: &TensorNames) -> Result<(), ModelProblem> {
        let layers = names.first_words();
        for name in names.in_dict(file) {
            let is_inside = names.is_inside(name, &layers);
            let inner = name.strip_prefix(names.prefix.as_str()).unwrap_or(name);
            if self.architecture.is_unused(inner) {
                continue;
            }
            if is_inside && !is_counter(file, name) {
                return Err(ModelProblem::Unknown(name.to_owned()));
            }
            if !is_inside && !self.is_named() && !plays_no_part(file, names, name) {
                return Err(names.unknown_beside(name));
            }
        }
        Ok(())
    }

    fn is_named(self) -> bool {
        self.weights.is_some()
    }

    /// The number of channels that the first layer reads, if the architecture says so.
    fn channels(self) -> Option<u64> {
        let parameters = self.architecture.parameters(2).into_iter();
        let mut kernels = parameters.filter_map(|parameter| match parameter.shape {
            Shape::Exact(shape) if shape.len() == 4 => Some(shape[1]),
            _ => None,
        });
        kernels.next()
    }
}

impl TensorNames {
    /// The tensors of the dict that holds the network, without the network's.
    pub(super) fn in_dict<'f>(&self, file: &'f NamedTensors) -> impl Iterator<Item = &'f str> {
        let own: BTreeSet<&String> = self.names.values().collect();
        let dict = own.first().and_then(|name| file.tensors().get(*name));
        let dict = dict.map_or("", |tensor| tensor.dict.as_str());
        let tensors = file.tensors().iter();
        let others = tensors.filter(|(name, tensor)| tensor.dict == dict && !own.contains(name));
        others
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The tensors of that dict outside the network's layers.
    pub(super) fn beside<'f>(&self, file: &'f NamedTensors) -> impl Iterator<Item = &'f str> {
        let layers = self.first_words();
        let others = self.in_dict(file);
        others
            .filter(|name| !self.is_inside(name, &layers))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Returns true for a name under the prefix whose first word is one of `layers`.
    fn is_inside(&self, name: &str, layers: &BTreeSet<&str>) -> bool {
        let inner = name.strip_prefix(self.prefix.as_str());
        inner.is_some_and(|inner| layers.contains(first_word(inner)))
    }

    /// The first words of the network's names after the prefix.
    fn first_words(&self) -> BTreeSet<&str> {
        let inner = self
            .names
            .values()
            .filter_map(|name| name.strip_prefix(self.prefix.as_str()));
        inner.map(first_word).collect()
    }

    fn unknown_beside(&self, name: &str) -> ModelProblem {
        if self.prefix.is_empty() {
            return ModelProblem::Unknown(name.to_owned());
        }
        ModelProblem::UnknownBeside {
            name: name.to_owned(),
            prefix: self.prefix.trim_end_matches('.').to_owned(),
        }
    }
}

fn first_word(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Returns true for constants of normalisation, counters and copies of the network, and for what
/// an optimiser keeps.
fn plays_no_part(file: &NamedTensors, names: &TensorNames, name: &str) -> bool {
    const OF_TRAINING: [&str; 12] = [
        "optimizer",
        "optimizers",
        "optim",
        "scheduler",
        "lr_scheduler",
        "scaler",
        "epoch",
        "step",
        "global_step",
        "n_averaged",
        "criterion",
        "best_acc",
    ];
    name.split('.').any(|word| OF_TRAINING.contains(&word))
        || is_counter(file, name)
        || constants::is_constant(file, name)
        || is_copied(file, names, name)
}

/// Returns true for a tensor whose name ends as one of the network's, with the same values: two
/// objects share it.
fn is_copied(file: &NamedTensors, names: &TensorNames, name: &str) -> bool {
    let copies = names.names.iter().filter(|(canonical, _)| {
        let before = name.strip_suffix(canonical.as_str());
        before.is_some_and(|before| before.ends_with('.'))
    });
    copies
        .into_iter()
        .any(|(_, own)| file.are_equal(own, name).unwrap_or(false))
}

fn is_counter(file: &NamedTensors, name: &str) -> bool {
    let is_single = file
        .tensors()
        .get(name)
        .is_some_and(|tensor| tensor.len() <= 1);
    is_single && name.rsplit('.').next() == Some("num_batches_tracked")
}

/// All that the file holds but the network and its counters, without the constants.
fn left_aside(file: &NamedTensors, names: &TensorNames) -> Vec<String> {
    let own: BTreeSet<&String> = names.names.values().collect();
    let tensors = file.tensors().keys();
    let tensors = tensors.filter(|name| {
        let is_constant = constants::is_constant(file, name);
        !own.contains(name) && !is_counter(file, name) && !is_constant
    });
    tensors.chain(file.others()).cloned().collect()
}

fn ambiguous(others: Vec<TensorNames>, last: TensorNames) -> ModelProblem {
    let networks = others.into_iter().chain([last]);
    let prefixes = networks.map(|network| network.prefix.trim_end_matches('.').to_owned());
    ModelProblem::Ambiguous(prefixes.collect())
}

/// The problem of a tensor that is missing. If the file has none of the network's, it says what the
/// file has.
fn missing(file: &NamedTensors, parameters: &[Parameter], missing: Parameter) -> ModelProblem {
    let mut names = file.tensors().keys();
    let is_of_network = |name: &str| parameters.iter().any(|one| name.ends_with(&one.name));
    let has_some = names.any(|name| is_of_network(name));
    ModelProblem::Missing {
        holds: if has_some { String::new() } else { holds(file) },
        name: missing.name,
        expected: missing.shape,
    }
}

/// Some of what a file holds, for an error.
pub(super) fn holds(file: &NamedTensors) -> String {
    let names: Vec<&str> = file.tensors().keys().map(String::as_str).take(3).collect();
    match (&names[..], file.others().first()) {
        ([], Some(other)) => format!(
            "; the file holds no tensor, but {other}: save the weights with \
             torch.save(model.state_dict(), FILE)"
        ),
        ([], None) => "; the file holds no tensor".to_owned(),
        _ => format!(
            "; the file holds {} tensors: {}, ...",
            file.tensors().len(),
            names.join(", ")
        ),
    }
}

fn check_tensor(tensor: &FileTensor, name: &str, shape: &Shape) -> Result<(), ModelProblem> {
    if is_admitted(shape, &tensor.shape) {
        return check_type(name, tensor.dtype);
    }
    Err(ModelProblem::WrongShape {
        name: name.to_owned(),
        expected: shape.clone(),
        found: tensor.shape.clone(),
    })
}

fn check_type(name: &str, found: Dtype) -> Result<(), ModelProblem> {
    match found {
        Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => Ok(()),
        _ => Err(ModelProblem::WrongType {
            name: name.to_owned(),
            found,
        }),
    }
}

/// Returns true if a tensor may have this shape. A half-space has a weight for each value of an
/// image, and images have a limit.
fn is_admitted(shape: &Shape, found: &[u64]) -> bool {
    let is_too_long = |length: &u64| *length > 3 * MAX_PIXELS;
    shape.admits(found) && !(*shape == Shape::Vector && found.iter().any(is_too_long))
}

#[cfg(test)]
mod tests;
