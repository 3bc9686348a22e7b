//! The constants of a normalisation layer that a model file holds next to the network.

use std::collections::BTreeMap;

use super::fit::TensorNames;
use crate::model_file::NamedTensors;

/// Mean and standard deviation of each channel, as a model file holds them.
#[derive(Debug, Clone, PartialEq)]
pub struct FileConstants {
    /// The names of the tensors.
    pub names: Vec<String>,
    /// Subtracted from each channel.
    pub mean: Vec<f64>,
    /// Divides each channel after that.
    pub std: Vec<f64>,
}

impl FileConstants {
    /// Says whether these constants count, or those of the specification.
    pub(super) fn remark(&self, mean: Option<&[f64]>) -> String {
        let names = self.names.join(" and ");
        match mean {
            Some(mean) if are_close(mean, &self.mean) => format!("normalised by {names}"),
            Some(_) => format!("{names} do not count: the specification gives other constants"),
            None => format!("{names} do not count: the specification gives mean = \"none\""),
        }
    }
}

fn are_close(one: &[f64], other: &[f64]) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs())
}

/// More channels than images have.
const MOST_CHANNELS: u64 = 4;

/// A larger mean is in units of 0 to 255.
const LARGEST_MEAN: f64 = 2.0;

/// Finds the constants among the tensors that are not the network's, in the dict of the network.
pub(super) fn find(
    file: &NamedTensors,
    network: &TensorNames,
    channels: Option<u64>,
) -> Result<Option<FileConstants>, String> {
    let mut found: Option<FileConstants> = None;
    for layer in layers(file, network) {
        let constants = layer.read(file, channels)?;
        match &found {
            Some(first) if (&first.mean, &first.std) != (&constants.mean, &constants.std) => {
                return Err(two_layers(first, &constants));
            }
            Some(_) => {}
            None => found = Some(constants),
        }
    }
    Ok(found)
}

fn two_layers(one: &FileConstants, other: &FileConstants) -> String {
    format!(
        "the file holds two normalisations, {} and {}; give mean and std in the specification",
        one.names.join(" and "),
        other.names.join(" and ")
    )
}

/// Returns true if a tensor outside the network is one of these constants.
pub(super) fn is_constant(file: &NamedTensors, name: &str) -> bool {
    let tensor = file.tensors().get(name);
    part_of(name).is_some() && tensor.is_some_and(|tensor| tensor.len() <= MOST_CHANNELS)
}

/// The two parts of a normalisation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NormalisationPart {
    Mean,
    Std,
}

/// The part that the last word of a name stands for.
fn part_of(name: &str) -> Option<NormalisationPart> {
    let last = name.rsplit('.').next()?;
    let mut words = last.split('_').filter(|word| !word.is_empty());
    if last.contains("running") {
        return None;
    }
    words.find_map(|word| match word.to_ascii_lowercase().as_str() {
        "mean" | "means" | "mu" => Some(NormalisationPart::Mean),
        "std" | "stds" | "sd" | "sds" | "sigma" | "stdev" => Some(NormalisationPart::Std),
        _ => None,
    })
}

/// The tensors of one normalisation layer.
#[derive(Default)]
struct ConstantNames {
    mean: Option<String>,
    std: Option<String>,
}

/// The layers by the part of their tensors' names before the last point.
fn layers(file: &NamedTensors, network: &TensorNames) -> Vec<ConstantNames> {
    let mut layers: BTreeMap<&str, ConstantNames> = BTreeMap::new();
    for name in network.beside(file) {
        let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
        match part_of(name).filter(|_| is_constant(file, name)) {
            Some(NormalisationPart::Mean) => {
                layers.entry(layer).or_default().mean = Some(name.to_owned());
            }
            Some(NormalisationPart::Std) => {
                layers.entry(layer).or_default().std = Some(name.to_owned());
            }
            None => {}
        }
    }
    layers.into_values().collect()
}

impl ConstantNames {
    /// Reads the constants. A layer that only subtracts a mean divides by 1.
    fn read(&self, file: &NamedTensors, channels: Option<u64>) -> Result<FileConstants, String> {
        let Some(mean_name) = &self.mean else {
            let name = self.std.clone().unwrap_or_default();
            return Err(format!(
                "the file holds {name}, but no mean; give mean and std in the specification"
            ));
        };
        let mean = values(file, mean_name, channels)?;
        let std = match &self.std {
            Some(name) => values(file, name, channels)?,
            None => vec![1.0; mean.len()],
        };
        check(mean_name, &mean, &std)?;
        let names = [Some(mean_name), self.std.as_ref()].into_iter().flatten();
        Ok(FileConstants {
            names: names.cloned().collect(),
            mean,
            std,
        })
    }
}

/// One value per channel; one value alone counts for each.
fn values(file: &NamedTensors, name: &str, channels: Option<u64>) -> Result<Vec<f64>, String> {
    let values = file.read_numbers(name).map_err(|error| error.to_string())?;
    let wanted = channels.unwrap_or(values.len() as u64) as usize;
    match values[..] {
        [value] => Ok(vec![value; wanted]),
        _ if values.len() == wanted => Ok(values),
        _ => Err(format!(
            "tensor {name} has {} values, the network reads {wanted} channels",
            values.len()
        )),
    }
}

/// Refuses constants that cannot belong to pixels from 0 to 1.
fn check(name: &str, mean: &[f64], std: &[f64]) -> Result<(), String> {
    let is_byte = mean.iter().any(|mean| mean.abs() > LARGEST_MEAN);
    let is_valid = mean.len() == std.len() && std.iter().all(|std| (1e-6..=1e6).contains(std));
    if is_valid && !is_byte && mean.iter().all(|mean| mean.is_finite()) {
        return Ok(());
    }
    Err(format!(
        "the normalisation in {name} is mean {mean:?}, std {std:?}, but pixels are from 0 to 1; \
         give mean and std in the specification, in these units"
    ))
}
