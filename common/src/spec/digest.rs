//! Computes the id of a sweep: a digest of everything that can change one of its records.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{
    BoundRule, CertifySpec, DataDependentSpec, DatasetFormat, DatasetSpec, Interpolation,
    LevelSpec, ModelSource, ModelSpec, PixelLayout, QueueSpec, ReportSpec, ResizeTo, SelectedSpec,
    SigmaFileSpec, SigmaMethod, SmoothingSpec, Stopping, Sweep,
};
use crate::architecture::NetworkOptions;
use crate::domain::{Choice, Selection, Sigma, SweepId, is_lowercase_hex};
use crate::grid::{DataFacts, ImageFacts};
use crate::roots::Roots;

/// SHA-256 of a file's bytes, read piece by piece.
///
/// # Errors
/// When the file cannot be read, or is not a regular file.
pub fn file_digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = Roots::anywhere().open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 18];
    loop {
        match read_uninterrupted(&mut file, &mut piece)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&piece[..length]),
        }
    }
}

fn read_uninterrupted(file: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Writes a digest as sixty-four lowercase hexadecimal digits.
#[must_use]
pub fn digest_to_hex(digest: &[u8; 32]) -> String {
    digest
        .iter()
        .flat_map(|byte| [hex_digit(byte >> 4), hex_digit(byte & 15)])
        .collect()
}

fn hex_digit(nibble: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(nibble)])
}

/// Reads what [`digest_to_hex`] writes; `None` for any other text.
#[must_use]
pub fn digest_from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !is_lowercase_hex(text) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, i) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[i..i + 2], 16).ok()?;
    }
    Some(digest)
}

/// The id of a sweep over this data and networks with these digests, in the order of
/// [`Sweep::networks`].
///
/// Everything that can change a record is part of it. `[queue]`, `[report]` and `certify.memory`
/// are not, nor are paths: the digests stand for them (that of the data covers the order of
/// classes).
#[must_use]
pub fn sweep_id(sweep: &Sweep, data: &DataFacts, model_digests: &[[u8; 32]]) -> SweepId {
    let text = "ddrs sweep 2\n".to_owned() + &canonical(sweep) + &data_lines(data);
    id_of(text, model_digests)
}

/// The id that the same sweep had in versions whose noise was not on a grid.
#[must_use]
pub fn sweep_id_without_grid(
    sweep: &Sweep,
    data_digest: &[u8; 32],
    model_digests: &[[u8; 32]],
) -> SweepId {
    let data = line("data", &[digest_to_hex(data_digest)]);
    let text = "ddrs sweep 1\n".to_owned() + &canonical(sweep) + &data;
    id_of(text, model_digests)
}

fn id_of(mut text: String, model_digests: &[[u8; 32]]) -> SweepId {
    for digest in model_digests {
        text += &line("model-digest", &[digest_to_hex(digest)]);
    }
    SweepId::from_digest(&Sha256::digest(text).into())
}

/// The length is left out: the digest covers it.
fn data_lines(data: &DataFacts) -> String {
    let DataFacts {
        len: _,
        digest,
        images: ImageFacts { shape, grid },
    } = data;
    line("data", &[digest_to_hex(digest)])
        + &line("shape", &shape.map(|side| side.to_string()))
        + &line("grid", &[grid.to_string()])
}

/// Writes the sweep as lines of a key and its values; the version comes before them. Names contain
/// no white space, so no two sweeps share a text. Each struct is destructured field by field, so
/// that a new field does not compile before it is placed here.
fn canonical(sweep: &Sweep) -> String {
    let Sweep {
        name,
        seed,
        dataset,
        models,
        smoothing,
        certify,
        queue,
        report,
    } = sweep;
    let QueueSpec {
        job_samples: _,
        lease: _,
        max_attempts: _,
    } = queue;
    let ReportSpec { radii: _ } = report;
    let mut text = line("name", std::slice::from_ref(name));
    text += &line("seed", &[seed.to_string()]);
    text += &dataset_lines(dataset);
    text.extend(models.iter().map(model_lines));
    text + &smoothing_lines(smoothing) + &certify_lines(certify)
}

fn certify_lines(certify: &CertifySpec) -> String {
    let CertifySpec {
        n0,
        n,
        alpha,
        chunk,
        memory: _,
        stopping,
        bound,
    } = certify;
    let alpha = float(alpha.get());
    let numbers = [n0.to_string(), n.to_string(), alpha, chunk.to_string()];
    line("certify", &numbers) + &stopping_line(stopping) + &bound_line(*bound)
}

/// Empty for the first rule, so that sweeps from before there was another keep their ids.
fn bound_line(bound: BoundRule) -> String {
    match bound {
        BoundRule::OneClass => String::new(),
        BoundRule::TwoClass => line("bound", &[bound.as_str().to_owned()]),
    }
}

/// Empty for the first stopping rule, so that sweeps from before there were others keep their ids.
fn stopping_line(stopping: &Stopping) -> String {
    match stopping {
        Stopping::Fixed => String::new(),
        Stopping::Radii(radii) => line("radii", &floats(radii.values())),
        Stopping::Loss(loss) => line("loss", &[float(*loss)]),
    }
}

fn dataset_lines(dataset: &DatasetSpec) -> String {
    let DatasetSpec {
        format,
        path: _,
        selection,
        resize,
        interpolation,
        crop,
        // The digest of the data covers the labels.
        classes: _,
        labels: _,
        split,
        names,
        layout,
        // The data's facts have the grid that follows from it.
        grid: _,
    } = dataset;
    line("format", &[format.as_str().to_owned()])
        + &selection_line(selection)
        + &line("pixels", &[or_none(resize.map(sides)), or_none(*crop)])
        + &interpolation_line(*interpolation)
        + &split_line(*format, split.as_deref())
        + &names_line(names.as_ref())
        + &layout_line(*layout)
}

fn sides(resize: ResizeTo) -> String {
    match resize {
        ResizeTo::Shorter(side) => side.to_string(),
        ResizeTo::Exact { height, width } => format!("{height}x{width}"),
    }
}

/// Empty for the first filter, so that sweeps from before there was another keep their ids.
fn interpolation_line(interpolation: Interpolation) -> String {
    match interpolation {
        Interpolation::Bilinear => String::new(),
        Interpolation::Bicubic => line("interpolation", &["bicubic".to_owned()]),
    }
}

/// The part that is taken of a file. In other formats each part is one file, and the digest of the
/// data tells them apart.
fn split_line(format: DatasetFormat, split: Option<&str>) -> String {
    let is_within_a_file = matches!(format, DatasetFormat::Tensors | DatasetFormat::Npz);
    let split = split.filter(|_| is_within_a_file);
    split.map_or(String::new(), |split| {
        line("split", &[serde_json::Value::from(split).to_string()])
    })
}

/// Empty without names, so that sweeps from before there were any keep their ids. JSON, since a
/// name may contain any character.
fn names_line(names: Option<&[String; 2]>) -> String {
    let texts = names.into_iter().flatten();
    let texts: Vec<String> = texts
        .map(|name| serde_json::Value::from(name.as_str()).to_string())
        .collect();
    if texts.is_empty() {
        String::new()
    } else {
        line("names", &texts)
    }
}

/// Empty if the layout follows from the data, as it did before there was a key.
fn layout_line(layout: Option<PixelLayout>) -> String {
    layout.map_or(String::new(), |layout| {
        line("layout", &[layout.as_str().to_owned()])
    })
}

fn selection_line(selection: &Selection) -> String {
    let Selection {
        offset,
        stride,
        limit,
    } = selection;
    let values = [offset.to_string(), stride.to_string(), or_none(*limit)];
    line("selection", &values)
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or("none".to_owned(), |value| value.to_string())
}

fn model_lines(model: &ModelSpec) -> String {
    let ModelSpec {
        name,
        path: _,
        source,
        weights,
        classes,
        mean,
        std,
        precision,
        options,
    } = model;
    let words = [
        name.clone(),
        source_word(*source),
        classes.to_string(),
        precision.as_str().to_owned(),
    ];
    line("model", &words)
        + &weights_line(weights.as_ref())
        + &channels_line("mean", mean.as_ref())
        + &channels_line("std", std.as_ref())
        + &option_lines(options, &source.usual_options())
}

/// Empty for the usual options, so that sweeps from before there were others keep their ids.
fn option_lines(options: &NetworkOptions, usual: &NetworkOptions) -> String {
    let differences = options.differences(usual).into_iter();
    differences
        .map(|(key, value)| line(key.as_str(), &[value]))
        .collect()
}

/// Empty without the key, so that sweeps from before it keep their ids. Names may contain white
/// space, so the text is quoted.
fn weights_line(weights: Option<&String>) -> String {
    weights.map_or_else(String::new, |weights| {
        line("weights", &[format!("{weights:?}")])
    })
}

fn source_word(source: ModelSource) -> String {
    match source {
        ModelSource::Safetensors(architecture) => format!("safetensors:{architecture}"),
        ModelSource::TorchScript => "torchscript".to_owned(),
    }
}

fn channels_line(key: &str, values: Option<&Vec<f64>>) -> String {
    line(key, &floats(values.into_iter().flatten().copied()))
}

/// The parameters of a choice that no variant makes are left out: they change no record.
fn smoothing_lines(smoothing: &SmoothingSpec) -> String {
    let SmoothingSpec {
        sigma,
        choice,
        data_dependent,
        selected,
        file,
    } = smoothing;
    let sigmas = floats(sigma.iter().copied().map(Sigma::get));
    let mut text = line("sigma", &sigmas) + &choice_line(choice);
    if choice.contains(&Choice::DataDependent) {
        text += &data_dependent_lines(data_dependent);
    }
    if choice.contains(&Choice::Selected) {
        text.extend(selected.iter().map(selected_lines));
    }
    if choice.contains(&Choice::File) {
        text.extend(file.iter().map(sigma_file_lines));
    }
    text
}

/// The sigmas stand for the file, whatever its form. Their digest covers every bit of them.
fn sigma_file_lines(spec: &SigmaFileSpec) -> String {
    let mut sha = Sha256::new();
    for sigma in spec.sigmas() {
        sha.update(sigma.get().to_le_bytes());
    }
    let digest = digest_to_hex(&sha.finalize().into());
    line("file", &[float(spec.largest.get()), digest])
}

fn selected_lines(spec: &SelectedSpec) -> String {
    let SelectedSpec {
        tau,
        form,
        levels,
        selector,
    } = spec;
    let head = line("selected", &[float(tau.get()), form.as_str().to_owned()]);
    let levels: String = levels.iter().map(level_line).collect();
    head + &levels + &model_lines(selector)
}

fn level_line(level: &LevelSpec) -> String {
    let LevelSpec {
        sigma,
        model,
        classes,
    } = level;
    let mut values = vec![float(sigma.get()), model.to_string()];
    values.extend(classes.iter().map(u32::to_string));
    line("level", &values)
}

fn choice_line(choices: &[Choice]) -> String {
    let words = choices.iter().map(|choice| choice.as_str().to_owned());
    line("choice", &words.collect::<Vec<_>>())
}

fn data_dependent_lines(spec: &DataDependentSpec) -> String {
    let DataDependentSpec {
        method,
        iterations,
        draws,
        learning_rate,
        clamp,
        range: (lower, upper),
    } = spec;
    let mut values = vec![iterations.to_string(), draws.to_string()];
    values.extend(floats([*learning_rate, *clamp, lower.get(), upper.get()]));
    line("data-dependent", &values) + &method_line(method)
}

/// Empty for the first method, so that sweeps from before there was another keep their ids.
fn method_line(method: &SigmaMethod) -> String {
    match method {
        SigmaMethod::Gradient => String::new(),
        SigmaMethod::Search { rounds, candidates } => {
            line("search", &[rounds.to_string(), candidates.to_string()])
        }
    }
}

fn line(key: &str, values: &[String]) -> String {
    let mut line = key.to_owned();
    for value in values {
        // Writing to a string cannot fail.
        let _ = write!(line, " {value}");
    }
    line + "\n"
}

fn floats(values: impl IntoIterator<Item = f64>) -> Vec<String> {
    values.into_iter().map(float).collect()
}

/// The shortest digits that read back as the same number, always with an exponent.
fn float(value: f64) -> String {
    format!("{value:e}")
}

#[cfg(test)]
mod tests;
