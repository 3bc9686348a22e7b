//! The text as a tree that knows where everything stands, so that an error can say its line and its
//! key.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::SpecError;

/// Parsed TOML, with the name of its file.
pub(super) struct Document<'t> {
    file: String,
    text: &'t str,
    root: DeTable<'t>,
}

/// A key or an element of an array, and where it stands in the text.
struct Place {
    path: String,
    /// The key, or the element.
    name: Range<usize>,
    value: Range<usize>,
}

impl<'t> Document<'t> {
    /// Reads the syntax.
    pub(super) fn parse(text: &'t str, file: &Path) -> Result<Self, SpecError> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self {
            file: file.display().to_string(),
            text,
            root: root.into_inner(),
        };
        match errors.first() {
            None => Ok(document),
            Some(error) => Err(document.syntax_error(error)),
        }
    }

    /// The tree.
    pub(super) fn root(&self) -> &DeTable<'t> {
        &self.root
    }

    /// Reads keys and types.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, SpecError> {
        let root = Spanned::new(0..self.text.len(), self.root.clone());
        T::deserialize(Deserializer::from(root)).map_err(|error| self.type_error(&error))
    }

    /// An error about `key`, a full dotted one. Where it is missing, the line is that of the table
    /// it is missing from.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> SpecError {
        let places = self.places();
        let mut found = key;
        let line = loop {
            if let Some(place) = places.iter().find(|place| place.path == found) {
                break self.line(place.name.start);
            }
            match found.rfind(['.', '[']) {
                Some(end) => found = &found[..end],
                None => break 1,
            }
        };
        SpecError {
            file: self.file.clone(),
            line,
            key: key.to_owned(),
            message: message.into(),
        }
    }

    /// Refuses arrays where `tables` belong: serde would take their elements for keys in order.
    pub(super) fn tables(&self, tables: &[&str]) -> Result<(), SpecError> {
        let is_table = |value: &Spanned<DeValue>| value.get_ref().is_table();
        for (key, value) in &self.root {
            let key = key.get_ref().as_ref();
            match key {
                key if tables.contains(&key) && !is_table(value) => {
                    return Err(self.error(key, format!("must be one table, [{key}]")));
                }
                "model"
                    if !tables.contains(&"model")
                        && !value
                            .get_ref()
                            .as_array()
                            .is_some_and(|array| array.iter().all(is_table)) =>
                {
                    return Err(self.error(key, "must be an array of tables, [[model]]"));
                }
                _ => {}
            }
        }
        match self
            .root
            .get("smoothing")
            .and_then(|smoothing| smoothing.get_ref().get("data-dependent"))
        {
            Some(value) if !is_table(value) => {
                Err(self.error("smoothing.data-dependent", "must be one table"))
            }
            _ => Ok(()),
        }
    }

    /// The error's span is exactly that of a key (an unknown one) or of a value (of a wrong type).
    fn type_error(&self, error: &Error) -> SpecError {
        let span = error.span().unwrap_or_default();
        let places = self.places();
        let place = places
            .iter()
            .find(|place| place.name == span || place.value == span);
        let key = place.map(|place| place.path.clone()).unwrap_or_default();
        SpecError {
            file: self.file.clone(),
            line: self.line(span.start),
            key,
            message: plain_words(error.message()),
        }
    }

    /// What stands where the syntax breaks is no key of the tree, so this names the last key that
    /// began on that line or whose value the break lies in.
    fn syntax_error(&self, error: &Error) -> SpecError {
        let span = error.span().unwrap_or_default();
        let (at, line) = (span.start, self.line(span.start));
        let mut places = self.places();
        places.retain(|place| place.name.start <= at);
        places.sort_by_key(|place| place.name.start);
        let near = |place: &&Place| at <= place.value.end || self.line(place.name.start) == line;
        let key = match places.iter().rfind(near) {
            Some(place) => place.path.clone(),
            None => self.repeated_key(&places, span),
        };
        SpecError {
            file: self.file.clone(),
            line,
            key,
            message: on_one_line(error.message()),
        }
    }

    /// The full name of a key that the tree lacks because it is there already: a neighbour of the
    /// key before it, or a header. Empty where the span covers no key.
    fn repeated_key(&self, before: &[Place], span: Range<usize>) -> String {
        let before_it = self.text.get(..span.start).unwrap_or_default();
        let is_header = before_it
            .rsplit('\n')
            .next()
            .is_some_and(|line| line.trim_start().starts_with('['));
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let name = self.text.get(span).unwrap_or_default();
        if name.is_empty() || !name.chars().all(plain) {
            return String::new();
        }
        let neighbour = before
            .iter()
            .rfind(|place| !is_header && !place.path.ends_with(']'));
        match neighbour.and_then(|place| place.path.rsplit_once('.')) {
            Some((table, _)) => format!("{table}.{name}"),
            None => name.to_owned(),
        }
    }

    fn line(&self, offset: usize) -> usize {
        1 + self
            .text
            .bytes()
            .take(offset)
            .filter(|&byte| byte == b'\n')
            .count()
    }

    /// Every key and element, outer before inner.
    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        table_places(&self.root, "", &mut places);
        places
    }
}

fn table_places(table: &DeTable, path: &str, places: &mut Vec<Place>) {
    for (key, value) in table {
        let name = key.get_ref();
        let path = if path.is_empty() {
            name.to_string()
        } else {
            format!("{path}.{name}")
        };
        places.push(Place {
            path: path.clone(),
            name: key.span(),
            value: value.span(),
        });
        value_places(value.get_ref(), &path, places);
    }
}

fn value_places(value: &DeValue, path: &str, places: &mut Vec<Place>) {
    match value {
        DeValue::Table(table) => table_places(table, path, places),
        DeValue::Array(array) => {
            for (index, element) in array.iter().enumerate() {
                let path = format!("{path}[{index}]");
                places.push(Place {
                    path: path.clone(),
                    name: element.span(),
                    value: element.span(),
                });
                value_places(element.get_ref(), &path, places);
            }
        }
        _ => {}
    }
}

/// Rust's names of types mean nothing to whoever writes TOML.
fn plain_words(message: &str) -> String {
    let large = message.starts_with("invalid value: integer");
    let integer = if large {
        "expected one up to 9223372036854775807"
    } else {
        "expected an integer"
    };
    let words = [
        ("expected i64", integer),
        ("expected f64", "expected a number"),
        (": map,", ": table,"),
    ];
    on_one_line(
        &words
            .iter()
            .fold(message.to_owned(), |message, (rust, plain)| {
                message.replace(rust, plain)
            }),
    )
}

fn on_one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
