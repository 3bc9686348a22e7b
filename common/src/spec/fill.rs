//! Completes a specification by its model files: by the metadata of a safetensors file, and by the
//! tensors of any file of weights.
//!
//! A key that the specification leaves out is taken from the file; one that it gives must agree
//! with the file's metadata. A network that is certified under another normalisation than it was
//! trained with scores worse without any error, and no other check would find the mistake. So a
//! normalisation that neither gives is an error; constants among the tensors are used, unless the
//! specification gives others.
//!
//! The text is completed, not the parsed sweep: a program that reads it later, from Redis or from a
//! manifest, needs no model file to know what was meant.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::document::Document;
use super::{SpecError, Sweep, error_at, parse};
use crate::architecture::{Architecture, FoundNetwork, OptionKey, WantedNetwork, recognise};
use crate::domain::InvalidValue;
use crate::model_file::{FileKind, NamedTensors, file_kind};
use crate::roots::Roots;

/// Keys of `[[model]]` that the metadata of a safetensors file may contain, under the same names.
const KEYS: [&str; 4] = ["architecture", "classes", "mean", "std"];

const NO_NORMALISATION: &str = "neither the specification nor FILE says how the images are \
    normalised; give mean and std, for CIFAR-10 usually [0.4914, 0.4822, 0.4465] and \
    [0.2023, 0.1994, 0.2010], for ImageNet [0.485, 0.456, 0.406] and [0.229, 0.224, 0.225], or \
    mean = \"none\"";

/// Parses a specification after reading its files of weights. Also returns the
/// text, completed by the keys that were taken from the files, and by `default_seed` if it has no
/// seed.
///
/// # Errors
/// The first mistake, with its line in `text` and its key; also when a file contradicts a key.
pub fn parse_with_models(
    text: &str,
    file: &Path,
    default_seed: u64,
) -> Result<(Sweep, String), SpecError> {
    let filled = fill(text, file, default_seed)?;
    match parse(&filled, file) {
        Ok(sweep) => Ok((sweep, filled)),
        Err(error) if filled == text => Err(error),
        // Lines are counted in the text as written.
        Err(error) => Err(error_at(text, file, &error.key, error.message)),
    }
}

/// Draws a seed from the system's random numbers, below 2^53, so that every program that reads JSON
/// reads it exactly.
///
/// # Errors
/// When the system has no random numbers.
pub fn random_seed() -> io::Result<u64> {
    let random = SysRng.try_next_u64().map_err(io::Error::other)?;
    Ok(random >> 11)
}

/// Inserts the keys that only the models' files give, and a missing seed.
fn fill(text: &str, file: &Path, default_seed: u64) -> Result<String, SpecError> {
    let document = Document::parse(text, file)?;
    let mut additions: Vec<Addition> = seed(&document, text, default_seed).into_iter().collect();
    for model in models(&document, file) {
        additions.extend(addition(&model, text)?);
    }
    additions.sort_by_key(|addition| addition.place);
    Ok(insert_all(text, &additions))
}

/// The line of the seed, before all others, if the specification has none.
fn seed(document: &Document, text: &str, default_seed: u64) -> Option<Addition> {
    let byte_order_mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let is_missing = !document.root().contains_key("seed");
    is_missing.then(|| Addition {
        place: byte_order_mark,
        lines: format!("seed = {default_seed}\n"),
    })
}

/// Inserts additions, which are in the order of their places.
fn insert_all(text: &str, additions: &[Addition]) -> String {
    let mut filled = text.to_owned();
    // From the last to the first, so that no insertion moves a place that is still needed.
    for Addition { place, lines } in additions.iter().rev() {
        filled.insert_str(*place, lines);
    }
    filled
}

/// A table of a model with a `path`.
struct ModelTable<'d> {
    document: &'d Document<'d>,
    table: &'d DeTable<'d>,
    /// The whole dotted key of the table.
    key: String,
    /// The place of the table in the text.
    start: usize,
    /// The place of its key `path`.
    path_key: usize,
    path: PathBuf,
}

fn models<'d>(document: &'d Document<'d>, spec: &Path) -> Vec<ModelTable<'d>> {
    let folder = spec.parent().unwrap_or(Path::new(""));
    let models = model_array(document).iter().enumerate();
    let models = models.map(|(number, model)| (format!("model[{number}]"), model));
    let selector = document.value_at(&["smoothing", "selected", "selector"]);
    let selector = selector.map(|table| ("smoothing.selected.selector".to_owned(), table));
    models
        .chain(selector)
        .filter_map(|(key, model)| model_table(document, key, model, folder))
        .collect()
}

/// The elements of `model`; empty if it is not an array, which a later check reports.
fn model_array<'d>(document: &'d Document<'d>) -> &'d [Spanned<DeValue<'d>>] {
    let models = document.root().get("model");
    let array = models.and_then(|models| models.get_ref().as_array());
    array.map_or(&[], |array| array.as_ref())
}

fn model_table<'d>(
    document: &'d Document<'d>,
    key: String,
    model: &'d Spanned<DeValue>,
    folder: &Path,
) -> Option<ModelTable<'d>> {
    let table = model.get_ref().as_table()?;
    let (path_key, path) = file_of(table)?;
    Some(ModelTable {
        document,
        table,
        key,
        start: model.span().start,
        path_key,
        path: folder.join(path),
    })
}

/// The place of the key `path`, and its value.
fn file_of<'d>(table: &'d DeTable) -> Option<(usize, &'d str)> {
    let (key, value) = table.get_key_value("path")?;
    Some((key.span().start, value.get_ref().as_str()?))
}

/// An architecture, and its network in a file.
type FoundArchitecture = (Architecture, FoundNetwork);

/// Text to insert at a place.
struct Addition {
    place: usize,
    lines: String,
}

/// The keys that the file of a model gives and its table does not; `None` if the file cannot be
/// read but the table has what it needs.
fn addition(model: &ModelTable, text: &str) -> Result<Option<Addition>, SpecError> {
    if model.is_dotted(text) {
        return Ok(None);
    }
    let Some(facts) = model.facts()? else {
        return Ok(None);
    };
    let end = if model.is_inline(text) { ", " } else { "\n" };
    Ok(Some(Addition {
        place: model.path_key,
        lines: model.missing_lines(&facts, end)?,
    }))
}

impl ModelTable<'_> {
    /// The facts in a file of weights; `None` for another file. A file that cannot be read is an
    /// error only if the table needs it; loading the model reports it otherwise.
    fn facts(&self) -> Result<Option<HashMap<String, String>>, SpecError> {
        if !self.has_weights() {
            return Ok(None);
        }
        match NamedTensors::open(&self.path, &Roots::anywhere()) {
            Ok(file) => self.facts_of(&file).map(Some),
            Err(problem) if self.needs_file() => Err(self.unreadable(&problem.to_string())),
            Err(_) => Ok(None),
        }
    }

    /// Returns true unless the file is a program, or the table one for a program.
    fn has_weights(&self) -> bool {
        let is_named_so = self
            .path
            .extension()
            .is_some_and(|name| name == "safetensors");
        match file_kind(&self.path, &Roots::anywhere()) {
            Ok(FileKind::Safetensors | FileKind::TorchSave(_)) => true,
            _ => is_named_so,
        }
    }

    /// The facts in the metadata, and those that the tensors add.
    fn facts_of(&self, file: &NamedTensors) -> Result<HashMap<String, String>, SpecError> {
        let mut facts = HashMap::new();
        if !file.is_torch_save() {
            facts.clone_from(file.metadata());
        }
        match self.network(file, &facts) {
            Ok(network) => self.add(&network, &mut facts)?,
            Err(problem) if self.lacks_a_fact(&facts) => return Err(self.unreadable(&problem)),
            // Checking the model reports it.
            Err(_) => {}
        }
        Ok(facts)
    }

    /// Finds the network that the table or the metadata names, or else one that fits.
    fn network(
        &self,
        file: &NamedTensors,
        facts: &HashMap<String, String>,
    ) -> Result<FoundArchitecture, String> {
        let given = self.text("architecture").map(str::to_owned);
        let given = given.or_else(|| facts.get("architecture").map(|name| name.replace('_', "-")));
        let weights = self.text("weights");
        let Some(name) = given else {
            let found = recognise(file, weights).map_err(|problem| problem.to_string())?;
            return Ok((found.architecture, found.network));
        };
        let architecture = name
            .parse()
            .map_err(|error: InvalidValue| error.to_string())?;
        let wanted = WantedNetwork {
            architecture,
            classes: None,
            weights,
        };
        let found = wanted.find(file).map_err(|problem| problem.to_string())?;
        Ok((architecture, found))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.table.get(key)?.get_ref().as_str()
    }

    /// Returns true if neither the table nor the facts have a key that a model must have.
    fn lacks_a_fact(&self, facts: &HashMap<String, String>) -> bool {
        let required = ["architecture", "classes"];
        required
            .iter()
            .any(|key| !self.has(key) && !facts.contains_key(*key))
    }

    /// Adds what the tensors say.
    fn add(
        &self,
        (architecture, network): &FoundArchitecture,
        facts: &mut HashMap<String, String>,
    ) -> Result<(), SpecError> {
        self.add_fact("architecture", architecture.to_string(), facts);
        self.add_fact("classes", network.classes.to_string(), facts);
        let says = ["mean", "std"]
            .iter()
            .any(|key| self.has(key) || facts.contains_key(*key));
        if says || *architecture == Architecture::HalfSpace {
            return Ok(());
        }
        match &network.constants {
            Ok(Some(constants)) => {
                self.add_fact("mean", format!("{:?}", constants.mean), facts);
                self.add_fact("std", format!("{:?}", constants.std), facts);
                Ok(())
            }
            Ok(None) => Err(self.error("mean", self.with_file(NO_NORMALISATION))),
            Err(reason) => {
                let file = self.path.display();
                Err(self.error("mean", format!("{file}: {reason}")))
            }
        }
    }

    fn add_fact(&self, key: &str, value: String, facts: &mut HashMap<String, String>) {
        if !self.has(key) {
            facts.entry(key.to_owned()).or_insert(value);
        }
    }

    fn with_file(&self, message: &str) -> String {
        message.replace("FILE", &self.path.display().to_string())
    }

    fn unreadable(&self, problem: &str) -> SpecError {
        let file = self.path.display();
        let message = format!("the file must give what the specification omits: {file}: {problem}");
        self.error("path", message)
    }

    /// Returns true if the table lacks a key that a model must have.
    fn needs_file(&self) -> bool {
        !self.has("architecture") || !self.has("classes")
    }

    /// Returns true if the table is written on one line, in braces.
    fn is_inline(&self, text: &str) -> bool {
        let table = text.get(self.start..);
        table.is_some_and(|table| table.starts_with('{'))
    }

    /// Returns true if `path` is written as `selector.path`, before which no line can be inserted.
    fn is_dotted(&self, text: &str) -> bool {
        let before = text.get(..self.path_key).unwrap_or_default();
        before.trim_end().ends_with('.')
    }

    /// The keys that only the file gives, each followed by `end`.
    fn missing_lines(
        &self,
        facts: &HashMap<String, String>,
        end: &str,
    ) -> Result<String, SpecError> {
        let mut lines = String::new();
        for key in KEYS {
            if let Some(value) = self.missing_value(key, facts)? {
                lines += &format!("{key} = {value}{end}");
            }
        }
        Ok(lines + &self.option_lines(facts, end))
    }

    /// The options of the network that the table omits, each followed by `end`.
    fn option_lines(&self, facts: &HashMap<String, String>, end: &str) -> String {
        let Some(architecture) = self.architecture(facts) else {
            return String::new();
        };
        let usual = architecture.usual_options();
        let keys = OptionKey::ALL.into_iter();
        let omitted = keys.filter(|key| architecture.has_option(*key) && !self.has(key.as_str()));
        let lines = omitted.map(|key| [key.as_str(), " = ", &usual.to_toml(key), end].concat());
        lines.collect()
    }

    /// The network by the table, or else by the file.
    fn architecture(&self, facts: &HashMap<String, String>) -> Option<Architecture> {
        match self.text("architecture") {
            Some(name) => name.parse().ok(),
            None => facts.get("architecture")?.replace('_', "-").parse().ok(),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn error(&self, key: &str, message: String) -> SpecError {
        let key = format!("{}.{key}", self.key);
        self.document.error(&key, message)
    }

    /// The TOML value of a key that only the file gives.
    ///
    /// # Errors
    /// When table and file differ, or the file's value has no meaning and the table has none.
    fn missing_value(
        &self,
        key: &str,
        facts: &HashMap<String, String>,
    ) -> Result<Option<String>, SpecError> {
        let Some(text) = facts.get(key) else {
            return Ok(None);
        };
        match self.table.get(key) {
            Some(given) => self
                .check_agreement(key, given.get_ref(), text)
                .map(|()| None),
            None => self.value_in_file(key, text),
        }
    }

    /// Refuses a value of the table that differs from the file's. A value of the file that has no
    /// meaning is ignored.
    fn check_agreement(&self, key: &str, given: &DeValue, text: &str) -> Result<(), SpecError> {
        match ModelFact::read(key, text) {
            Some(fact) if !fact.agrees(given) => Err(self.contradiction(key, given, &fact)),
            _ => Ok(()),
        }
    }

    fn contradiction(&self, key: &str, given: &DeValue, fact: &ModelFact) -> SpecError {
        let given = to_toml(given);
        let file = self.path.display();
        let message = format!("the specification says {given}, {file} {}", fact.to_toml());
        self.error(key, message)
    }

    /// The file's value as TOML; `None` if it says that there is no normalisation.
    fn value_in_file(&self, key: &str, text: &str) -> Result<Option<String>, SpecError> {
        match ModelFact::read(key, text) {
            Some(ModelFact::NoNormalisation) => Ok(None),
            Some(fact) => Ok(Some(fact.to_toml())),
            None => {
                let file = self.path.display();
                let message = format!("{file} says {text:?}, which is not a valid value");
                Err(self.error(key, message))
            }
        }
    }
}

/// A value from a file's metadata.
enum ModelFact {
    Architecture(Architecture),
    Classes(u32),
    Channels(Vec<f64>),
    NoNormalisation,
}

impl ModelFact {
    /// Reads a value; `None` if it has no meaning under the key, as any program may write metadata.
    fn read(key: &str, text: &str) -> Option<Self> {
        match key {
            // Other programs write these names with `_`.
            "architecture" => text.replace('_', "-").parse().ok().map(Self::Architecture),
            "classes" => text.parse().ok().map(Self::Classes),
            _ => serde_json::from_str(text).ok().map(Self::channels),
        }
    }

    fn channels(values: Vec<f64>) -> Self {
        if values.is_empty() {
            Self::NoNormalisation
        } else {
            Self::Channels(values)
        }
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Architecture(architecture) => format!("\"{architecture}\""),
            Self::Classes(classes) => classes.to_string(),
            Self::Channels(values) => format!("{values:?}"),
            Self::NoNormalisation => "none".to_owned(),
        }
    }

    /// Returns true if a specification's value is the same. Numbers are compared to six digits,
    /// since some programs write them in single precision. A value of a wrong type agrees: the
    /// check of types reports it.
    fn agrees(&self, given: &DeValue) -> bool {
        match (self, given) {
            (Self::Architecture(fact), DeValue::String(name)) => name.parse() == Ok(*fact),
            (Self::Classes(fact), DeValue::Integer(_)) => is_number(given, (*fact).into()),
            (Self::Channels(facts), DeValue::Array(given)) => are_close(facts, given),
            (Self::NoNormalisation, DeValue::Array(given)) => given.is_empty(),
            (Self::Channels(_), DeValue::String(_)) => false,
            _ => true,
        }
    }
}

fn are_close(facts: &[f64], given: &[Spanned<DeValue>]) -> bool {
    let mut pairs = facts.iter().zip(given);
    facts.len() == given.len() && pairs.all(|(fact, given)| is_close(*fact, given.get_ref()))
}

fn is_close(fact: f64, given: &DeValue) -> bool {
    number(given).is_none_or(|given| (given - fact).abs() <= 1e-6 * fact.abs())
}

fn is_number(given: &DeValue, fact: f64) -> bool {
    number(given).is_none_or(|given| given == fact)
}

fn number(value: &DeValue) -> Option<f64> {
    match value {
        DeValue::Integer(number) => integer(number).map(|value| value as f64),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

fn integer(number: &DeInteger) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn to_toml(value: &DeValue) -> String {
    match value {
        DeValue::Array(values) => array_to_toml(values),
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        _ => "something else".to_owned(),
    }
}

fn array_to_toml(values: &[Spanned<DeValue>]) -> String {
    let values = values.iter().map(|value| to_toml(value.get_ref()));
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
