//! What a sweep is known by: a digest of everything that can change one of its records.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{
    CertifySpec, DataDependentSpec, DatasetSpec, ModelSource, ModelSpec, QueueSpec, ReportSpec,
    SigmaMethod, SmoothingSpec, Stopping, Sweep,
};
use crate::domain::{Choice, Selection, Sigma, SweepId};
use crate::roots::Roots;

/// SHA-256 of a file's bytes, read piece by piece.
///
/// # Errors
/// When the file cannot be read, or is no regular one.
pub fn file_digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = Roots::anywhere().open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(length) => hasher.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sixty-four lowercase hexadecimal digits.
#[must_use]
pub fn digest_to_hex(digest: &[u8; 32]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    digest
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The inverse of [`digest_to_hex`]; none for any other text.
#[must_use]
pub fn digest_from_hex(text: &str) -> Option<[u8; 32]> {
    let lowercase = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 64 || !text.bytes().all(lowercase) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, i) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[i..i + 2], 16).ok()?;
    }
    Some(digest)
}

/// The id of a sweep over data and models with these digests, models in the sweep's order.
///
/// Everything that can change a record enters it. `[queue]`, `[report]` and `certify.memory` do
/// not, nor do paths, for which the digests stand (that of the data covers the order of classes).
#[must_use]
pub fn sweep_id(sweep: &Sweep, data_digest: &[u8; 32], model_digests: &[[u8; 32]]) -> SweepId {
    let mut text = canonical(sweep);
    text += &line("data", &[digest_to_hex(data_digest)]);
    for digest in model_digests {
        text += &line("model-digest", &[digest_to_hex(digest)]);
    }
    SweepId::from_digest(&Sha256::digest(text).into())
}

/// The sweep as lines of a key and its values, version first. Names hold no white space, so no two
/// sweeps share a text. The structs are taken apart field by field, so that a new field does not
/// compile before it is placed here.
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
    let CertifySpec {
        n0,
        n,
        alpha,
        chunk,
        memory: _,
        stopping,
    } = certify;
    let mut text = "ddrs sweep 1\n".to_owned();
    text += &line("name", std::slice::from_ref(name));
    text += &line("seed", &[seed.to_string()]);
    text += &dataset_lines(dataset);
    text.extend(models.iter().map(model_lines));
    text += &smoothing_lines(smoothing);
    text += &line(
        "certify",
        &[
            n0.to_string(),
            n.to_string(),
            float(alpha.get()),
            chunk.to_string(),
        ],
    );
    text += &stopping_line(stopping);
    text
}

/// None for the rule that sweeps had before there were others: they keep their ids.
fn stopping_line(stopping: &Stopping) -> String {
    match stopping {
        Stopping::Fixed => String::new(),
        Stopping::Radii(radii) => line(
            "radii",
            &radii.values().into_iter().map(float).collect::<Vec<_>>(),
        ),
        Stopping::Loss(loss) => line("loss", &[float(*loss)]),
    }
}

fn dataset_lines(dataset: &DatasetSpec) -> String {
    let DatasetSpec {
        format,
        path: _,
        selection: Selection {
            offset,
            stride,
            limit,
        },
        resize,
        crop,
        classes: _,
    } = dataset;
    let limit = limit.map_or("none".to_owned(), |limit| limit.to_string());
    let pixels = |value: Option<u32>| value.map_or("none".to_owned(), |pixels| pixels.to_string());
    line("format", &[format.as_str().to_owned()])
        + &line(
            "selection",
            &[offset.to_string(), stride.to_string(), limit],
        )
        + &line("pixels", &[pixels(*resize), pixels(*crop)])
}

fn model_lines(model: &ModelSpec) -> String {
    let ModelSpec {
        name,
        path: _,
        source,
        classes,
        mean,
        std,
        precision,
    } = model;
    let source = match source {
        ModelSource::Safetensors(architecture) => format!("safetensors:{architecture}"),
        ModelSource::TorchScript => "torchscript".to_owned(),
    };
    let channels = |values: &Option<Vec<f64>>| {
        values
            .iter()
            .flatten()
            .copied()
            .map(float)
            .collect::<Vec<_>>()
    };
    line(
        "model",
        &[
            name.clone(),
            source,
            classes.to_string(),
            precision.as_str().to_owned(),
        ],
    ) + &line("mean", &channels(mean))
        + &line("std", &channels(std))
}

/// The parameters of a choice that no variant makes change no record.
fn smoothing_lines(smoothing: &SmoothingSpec) -> String {
    let SmoothingSpec {
        sigma,
        choice,
        data_dependent,
    } = smoothing;
    let words: Vec<_> = choice
        .iter()
        .map(|choice| choice.as_str().to_owned())
        .collect();
    let mut text = line(
        "sigma",
        &sigma
            .iter()
            .copied()
            .map(Sigma::get)
            .map(float)
            .collect::<Vec<_>>(),
    );
    text += &line("choice", &words);
    if choice.contains(&Choice::DataDependent) {
        let DataDependentSpec {
            method,
            iterations,
            draws,
            learning_rate,
            clamp,
            range: (lower, upper),
        } = data_dependent;
        let numbers = [*learning_rate, *clamp, lower.get(), upper.get()].map(float);
        text += &line(
            "data-dependent",
            &[&[iterations.to_string(), draws.to_string()], &numbers[..]].concat(),
        );
        // None for the method that sweeps had before there was another: they keep their ids.
        if let SigmaMethod::Search { rounds, candidates } = method {
            text += &line("search", &[rounds.to_string(), candidates.to_string()]);
        }
    }
    text
}

fn line(key: &str, values: &[String]) -> String {
    let mut line = key.to_owned();
    for value in values {
        // Writing to a string cannot fail.
        let _ = write!(line, " {value}");
    }
    line + "\n"
}

/// The shortest digits that read back as the same number, always with an exponent.
fn float(value: f64) -> String {
    format!("{value:e}")
}

#[cfg(test)]
mod tests;
