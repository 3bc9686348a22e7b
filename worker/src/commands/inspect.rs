//! The command `inspect`: says what is in a model file, and how a specification names it.

use anyhow::{Context, Result};
use ddrs_common::architecture::{FoundNetwork, Recognised};
use ddrs_common::cli::BlameInput;
use ddrs_common::model_file::{FileKind, NamedTensors, TorchContainer, file_kind};
use ddrs_common::roots::Roots;

use super::weights::{recognised, show};
use crate::cli::WeightsArgs;

/// The most tensors that are listed of a file whose network is not known.
const MOST_TENSORS: usize = 40;

/// Prints what a model file contains.
///
/// # Errors
/// When the file cannot be read, or no network fits it.
pub(crate) fn inspect(args: &WeightsArgs) -> Result<()> {
    let shown = args.file.display().to_string();
    let kind = file_kind(&args.file, &Roots::anywhere())
        .context(shown.clone())
        .blame_input()?;
    if kind == FileKind::TorchScript {
        return Ok(show(&program(&shown))?);
    }
    let file = NamedTensors::open(&args.file, &Roots::anywhere());
    let file = file.context(shown.clone()).blame_input()?;
    show(&format!(
        "{shown}: {}, {} tensors\n",
        words(kind),
        file.tensors().len()
    ))?;
    match recognised(&file, args) {
        Ok(found) => Ok(show(&description(&shown, args, &found))?),
        Err(problem) => {
            show(&tensors(&file))?;
            Err(problem.context(shown))
                .blame_input()
                .map_err(Into::into)
        }
    }
}

fn program(shown: &str) -> String {
    format!(
        "{shown}: a TorchScript program\n\nIn a specification:\n\n[[model]]\nname = \"m\"\n\
         path = {shown:?}\nclasses = ...   # the number of scores per image\n\
         # mean and std only if the program does not normalise its images\n"
    )
}

fn words(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Safetensors => "safetensors",
        FileKind::TorchSave(TorchContainer::Zip) => "a checkpoint of torch.save (zip)",
        FileKind::TorchSave(TorchContainer::Stream) => "a checkpoint of torch.save (stream)",
        FileKind::TorchSave(TorchContainer::Tar) => "a checkpoint of torch.save (tar)",
        FileKind::TorchScript | FileKind::Other(_) => "another file",
    }
}

/// The network, and the lines of a specification for it.
fn description(shown: &str, args: &WeightsArgs, found: &Recognised) -> String {
    let Recognised {
        architecture,
        network,
    } = found;
    let classes = network.classes;
    let mut text = format!("{architecture} with {classes} classes\n");
    let mean = network.constants.as_ref().ok().and_then(Option::as_ref);
    for remark in network.remarks(mean.map(|constants| &constants.mean[..])) {
        text += &format!("{remark}\n");
    }
    text += &format!(
        "\nIn a specification:\n\n[[model]]\nname = \"m\"\npath = {shown:?}\n\
         architecture = \"{architecture}\"\nclasses = {classes}\n"
    );
    if let Some(weights) = &args.weights {
        text += &format!("weights = {weights:?}\n");
    }
    text + &normalisation(network)
}

fn normalisation(network: &FoundNetwork) -> String {
    match &network.constants {
        Ok(Some(constants)) => {
            format!("mean = {:?}\nstd = {:?}\n", constants.mean, constants.std)
        }
        Ok(None) => "# The file does not say how its images are normalised. Usual are, for \
                     CIFAR-10,\n# mean = [0.4914, 0.4822, 0.4465]\n\
                     # std = [0.2023, 0.1994, 0.2010]\n# for ImageNet\n\
                     # mean = [0.485, 0.456, 0.406]\n# std = [0.229, 0.224, 0.225]\n\
                     # and without normalisation\n# mean = \"none\"\n"
            .to_owned(),
        Err(reason) => format!("# {reason}\n"),
    }
}

/// The tensors of a file, for finding out what it is.
fn tensors(file: &NamedTensors) -> String {
    let lines = file.tensors().iter().take(MOST_TENSORS);
    let lines =
        lines.map(|(name, tensor)| format!("  {name} {:?} {:?}\n", tensor.dtype, tensor.shape));
    let more = file.tensors().len().saturating_sub(MOST_TENSORS);
    let more = (more > 0).then(|| format!("  and {more} more\n"));
    lines.chain(more).collect()
}
