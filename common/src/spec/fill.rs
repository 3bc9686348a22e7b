//! What a model's file says of itself stands in for keys that a specification leaves out, and is
//! held against those it does not: a network that is certified under another normalisation than it
//! was trained with is still a network, and nothing else would notice.
//!
//! The text is completed, not the parsed sweep: whoever gets it later, in Redis or in a manifest,
//! needs no file to know what was meant.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::{SpecError, Sweep, error_at, parse};
use crate::architecture::{Architecture, metadata};

/// Keys of `[[model]]` that the metadata of a safetensors file may hold, under the same names.
const KEYS: [&str; 4] = ["architecture", "classes", "mean", "std"];

/// As [`parse`], after reading the headers of the models' safetensors files. Also returns the text
/// with the keys that came from there, which is the same text where none did.
///
/// # Errors
/// The first thing that is wrong, with its line in `text` and its key; so also where a file says
/// something else.
pub fn parse_with_models(text: &str, file: &Path) -> Result<(Sweep, String), SpecError> {
    let document = Document::parse(text, file)?;
    let models = document
        .root()
        .get("model")
        .and_then(|models| models.get_ref().as_array());
    let mut additions = Vec::new();
    for (number, model) in models.into_iter().flatten().enumerate() {
        let Some(table) = model.get_ref().as_table() else {
            continue;
        };
        let Some((place, missing)) = missing_keys(&document, table, number, file)? else {
            continue;
        };
        let inline = text
            .get(model.span())
            .is_some_and(|text| text.starts_with('{'));
        let end = if inline { ", " } else { "\n" };
        let lines: Vec<String> = missing
            .into_iter()
            .map(|(key, value)| format!("{key} = {value}{end}"))
            .collect();
        additions.push((place, lines.concat()));
    }
    // From the last to the first, so that what is put in moves no place that is still needed.
    let mut filled = text.to_owned();
    additions.sort_by_key(|(place, _)| *place);
    for (place, lines) in additions.iter().rev() {
        filled.insert_str(*place, lines);
    }
    // Lines are counted in the text that was written.
    let in_text = |error: SpecError| error_at(text, file, &error.key, error.message);
    let sweep = parse(&filled, file).map_err(|error| {
        if filled == text {
            error
        } else {
            in_text(error)
        }
    })?;
    Ok((sweep, filled))
}

/// What the file of model `number` tells and the specification does not, as TOML, and where to put
/// it: before `path`.
type Missing = (usize, Vec<(&'static str, String)>);

fn missing_keys(
    document: &Document,
    table: &DeTable,
    number: usize,
    spec: &Path,
) -> Result<Option<Missing>, SpecError> {
    let Some((key, value)) = table.get_key_value("path") else {
        return Ok(None);
    };
    let Some(path) = value
        .get_ref()
        .as_str()
        .filter(|path| path.ends_with(".safetensors"))
    else {
        return Ok(None);
    };
    let path = spec.parent().unwrap_or(Path::new("")).join(path);
    let error =
        |key: &str, message: String| document.error(&format!("model[{number}].{key}"), message);
    let told = match metadata(&path) {
        Ok(told) => told,
        Err(problem) if !table.contains_key("architecture") || !table.contains_key("classes") => {
            return Err(error(
                "path",
                format!("the file must tell what the specification does not: {problem}"),
            ));
        }
        // Whoever loads the file will say so.
        Err(_) => return Ok(None),
    };
    let mut missing = Vec::new();
    for name in KEYS {
        let Some(said) = told.get(name) else { continue };
        let value = Told::read(name, said);
        match (table.get(name), value) {
            (None, Some(Told::Nothing)) => {}
            (None, Some(value)) => missing.push((name, value.to_toml())),
            (None, None) => {
                return Err(error(
                    name,
                    format!("{} says {said:?}, which is none", path.display()),
                ));
            }
            (Some(given), Some(value)) if !value.agrees(given.get_ref()) => {
                let (given, told) = (written(given.get_ref()), value.to_toml());
                let message = format!(
                    "the specification says {given}, {} itself {told}",
                    path.display()
                );
                return Err(error(name, message));
            }
            (Some(_), _) => {}
        }
    }
    Ok(Some((key.span().start, missing)))
}

/// A value from a file's metadata.
enum Told {
    Architecture(Architecture),
    Classes(u32),
    Channels(Vec<f64>),
    /// That there is no normalisation.
    Nothing,
}

impl Told {
    /// None for what has no meaning under the key: metadata are anyone's.
    fn read(key: &str, said: &str) -> Option<Self> {
        match key {
            // Elsewhere these names are written with `_`.
            "architecture" => said.replace('_', "-").parse().ok().map(Self::Architecture),
            "classes" => said.parse().ok().map(Self::Classes),
            _ => match serde_json::from_str::<Vec<f64>>(said).ok()? {
                values if values.is_empty() => Some(Self::Nothing),
                values => Some(Self::Channels(values)),
            },
        }
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Architecture(architecture) => format!("\"{architecture}\""),
            Self::Classes(classes) => classes.to_string(),
            Self::Channels(values) => format!("{values:?}"),
            Self::Nothing => "none".to_owned(),
        }
    }

    /// Whether a specification's value is the same; numbers to six digits, since some write them in
    /// single precision. A value of a wrong type is left to those who check types.
    fn agrees(&self, given: &DeValue) -> bool {
        match (self, given) {
            (Self::Architecture(told), DeValue::String(given)) => {
                given.parse().is_ok_and(|given| *told == given)
            }
            (Self::Classes(told), DeValue::Integer(_)) => {
                number(given).is_none_or(|given| given == f64::from(*told))
            }
            (Self::Channels(told), DeValue::Array(given)) => {
                let close = |(told, given): (&f64, &toml::Spanned<DeValue>)| {
                    number(given.get_ref())
                        .is_none_or(|given| (given - told).abs() <= 1e-6 * told.abs())
                };
                told.len() == given.len() && told.iter().zip(given.iter()).all(close)
            }
            (Self::Nothing, DeValue::Array(given)) => given.is_empty(),
            _ => true,
        }
    }
}

fn number(value: &DeValue) -> Option<f64> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|value| value as f64),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

fn written(value: &DeValue) -> String {
    match value {
        DeValue::Array(values) => {
            let values: Vec<String> = values
                .iter()
                .map(|value| written(value.get_ref()))
                .collect();
            format!("[{}]", values.join(", "))
        }
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        _ => "something else".to_owned(),
    }
}

#[cfg(test)]
mod tests;
