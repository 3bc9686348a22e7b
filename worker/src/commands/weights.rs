//! The network in a file of weights, and the command `convert`.

use std::io;

use anyhow::{Context, Result};
use ddrs_common::architecture::{Recognised, WantedNetwork, recognise};
use ddrs_common::cli::{BadInput, BlameInput};
use ddrs_common::model_file::{NamedTensors, NewTensor, write_safetensors};
use ddrs_common::output::print;
use ddrs_common::roots::Roots;
use ddrs_common::terminal::plain;

use crate::cli::{ConvertArgs, WeightsArgs};

/// Finds the network that the arguments name, or else the one that fits.
pub(super) fn recognised(file: &NamedTensors, args: &WeightsArgs) -> Result<Recognised> {
    let weights = args.weights.as_deref();
    let Some(name) = &args.architecture else {
        return Ok(recognise(file, weights)?);
    };
    let architecture = name.parse().map_err(BadInput::new)?;
    let wanted = WantedNetwork {
        architecture,
        classes: None,
        weights,
    };
    Ok(Recognised {
        architecture,
        network: wanted.find(file)?,
    })
}

/// Writes the network of a file as safetensors, under the names that ddrs uses.
///
/// # Errors
/// When the file cannot be read, no network fits it, or the other file cannot be written.
pub(crate) fn convert(args: &ConvertArgs) -> Result<()> {
    let shown = args.weights.file.display().to_string();
    let text = converted(args).context(shown).blame_input()?;
    Ok(show(&text)?)
}

/// Prints lines, without characters that control a terminal: names in files are not ours.
pub(super) fn show(text: &str) -> io::Result<()> {
    print(
        &text
            .lines()
            .map(|line| plain(line) + "\n")
            .collect::<String>(),
    )
}

fn converted(args: &ConvertArgs) -> Result<String> {
    let file = NamedTensors::open(&args.weights.file, &Roots::anywhere())?;
    let found = recognised(&file, &args.weights)?;
    let names = found.network.names.iter();
    let tensors = names.map(|(canonical, name)| new_tensor(&file, canonical, name));
    let tensors = tensors.collect::<Result<Vec<_>>>()?;
    let out = args.out.display();
    write_safetensors(&args.out, &tensors, &metadata(&found)?)
        .with_context(|| format!("cannot write {out}"))?;
    let mean = found
        .network
        .constants
        .as_ref()
        .ok()
        .and_then(Option::as_ref);
    let remarks = found
        .network
        .remarks(mean.map(|constants| &constants.mean[..]));
    let remarks: String = remarks.into_iter().map(|remark| remark + "\n").collect();
    Ok(format!("{out}: {}\n{remarks}", found.architecture))
}

fn new_tensor(file: &NamedTensors, canonical: &str, name: &str) -> Result<NewTensor> {
    let tensor = &file.tensors()[name];
    Ok(NewTensor {
        name: canonical.to_owned(),
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
        bytes: file.read(name)?,
    })
}

/// The metadata by which a specification needs no more than the path.
fn metadata(found: &Recognised) -> Result<Vec<(&'static str, String)>> {
    let mut metadata = vec![
        ("architecture", found.architecture.to_string()),
        ("classes", found.network.classes.to_string()),
    ];
    if let Ok(Some(constants)) = &found.network.constants {
        metadata.push(("mean", serde_json::to_string(&constants.mean)?));
        metadata.push(("std", serde_json::to_string(&constants.std)?));
    }
    Ok(metadata)
}
