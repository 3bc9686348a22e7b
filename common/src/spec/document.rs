//! Parses TOML into a tree that knows the place of every key, so that an error can name line and
//! key.

use std::iter::successors;
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

/// A key or an element of an array, and its place in the text.
struct Place {
    path: String,
    /// The key, or the element.
    name: Range<usize>,
    value: Range<usize>,
}

impl<'t> Document<'t> {
    /// Parses the syntax.
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

    /// Checks keys and types, and converts the tree.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, SpecError> {
        let root = Spanned::new(0..self.text.len(), self.root.clone());
        T::deserialize(Deserializer::from(root)).map_err(|error| self.type_error(&error))
    }

    /// An error about `key`, the whole dotted key. If the key is missing, the line is that of the
    /// table in which it is missing.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> SpecError {
        self.error_in_line(self.line_of_key(key), key.to_owned(), message.into())
    }

    fn error_in_line(&self, line: usize, key: String, message: String) -> SpecError {
        SpecError {
            file: self.file.clone(),
            line,
            key,
            message,
        }
    }

    /// The line of a key, or of the innermost table around it that exists.
    fn line_of_key(&self, key: &str) -> usize {
        let places = self.places();
        let names = successors(Some(key), |name| enclosing(name));
        let mut found = names.filter_map(|name| places.iter().find(|place| place.path == name));
        found.next().map_or(1, |place| self.line(place.name.start))
    }

    /// Refuses arrays in place of `tables`: serde would take their elements for keys in order.
    pub(super) fn tables(&self, tables: &[&str]) -> Result<(), SpecError> {
        for (key, value) in &self.root {
            let key = key.get_ref().as_ref();
            if tables.contains(&key) {
                self.check_table(key, value)?;
            } else if key == "model" {
                self.check_models(value)?;
            }
        }
        self.check_smoothing()
    }

    fn check_models(&self, value: &Spanned<DeValue>) -> Result<(), SpecError> {
        if is_array_of_tables(value) {
            return Ok(());
        }
        Err(self.error("model", "must be an array of tables, [[model]]"))
    }

    /// Refuses arrays in place of the tables inside `[smoothing]`.
    fn check_smoothing(&self) -> Result<(), SpecError> {
        let paths = [
            ["smoothing", "data-dependent", ""],
            ["smoothing", "selected", ""],
            ["smoothing", "selected", "selector"],
        ];
        for path in paths {
            let path: Vec<&str> = path.into_iter().filter(|key| !key.is_empty()).collect();
            if !self.value_at(&path).is_none_or(is_table) {
                return Err(self.error(&path.join("."), "must be one table"));
            }
        }
        let levels = self.value_at(&["smoothing", "selected", "levels"]);
        if levels.is_none_or(is_array_of_tables) {
            return Ok(());
        }
        let message = "must be an array of tables, [{ sigma = 0.25, model = \"a\" }, ...]";
        Err(self.error("smoothing.selected.levels", message))
    }

    fn check_table(&self, key: &str, value: &Spanned<DeValue>) -> Result<(), SpecError> {
        if is_table(value) {
            return Ok(());
        }
        Err(self.error(key, format!("must be one table, [{key}]")))
    }

    /// The value of a key inside tables.
    pub(super) fn value_at(&self, path: &[&str]) -> Option<&Spanned<DeValue<'t>>> {
        let (first, rest) = path.split_first()?;
        let mut keys = rest.iter();
        keys.try_fold(self.root.get(*first)?, |value, key| {
            value.get_ref().get(*key)
        })
    }

    /// Converts an error of types. Its span is exactly that of an unknown key or of a value of the
    /// wrong type.
    fn type_error(&self, error: &Error) -> SpecError {
        let span = error.span().unwrap_or_default();
        let line = self.line(span.start);
        self.error_in_line(line, self.key_at(&span), plain_words(error.message()))
    }

    /// The key whose name or value has this span; empty without one.
    fn key_at(&self, span: &Range<usize>) -> String {
        let mut places = self.places().into_iter();
        let place = places.find(|place| place.name == *span || place.value == *span);
        place.map(|place| place.path).unwrap_or_default()
    }

    /// Converts an error of syntax. The text at fault is not a key of the tree, so the error names
    /// the last key that began on that line or whose value contains the fault.
    fn syntax_error(&self, error: &Error) -> SpecError {
        let span = error.span().unwrap_or_default();
        let line = self.line(span.start);
        let before = self.places_up_to(span.start);
        let near = before
            .iter()
            .rfind(|place| span.start <= place.value.end || self.line(place.name.start) == line);
        let key = match near {
            Some(place) => place.path.clone(),
            None => self.repeated_key(&before, span),
        };
        self.error_in_line(line, key, on_one_line(error.message()))
    }

    /// The keys and elements that begin at `offset` or earlier, in the order of the text.
    fn places_up_to(&self, offset: usize) -> Vec<Place> {
        let mut before = self.places();
        before.retain(|place| place.name.start <= offset);
        before.sort_by_key(|place| place.name.start);
        before
    }

    /// The whole dotted name of a key that is not in the tree because it occurs twice. A header is
    /// complete; another key is in the table of the key before it. Empty if the span is not a key.
    fn repeated_key(&self, before: &[Place], span: Range<usize>) -> String {
        let name = self.text.get(span.clone()).unwrap_or_default();
        if !name.chars().all(is_bare_key_character) {
            return String::new();
        }
        let neighbour = before
            .iter()
            .rfind(|place| !place.path.ends_with(']'))
            .filter(|_| !self.is_header(span.start));
        match neighbour.and_then(|place| place.path.rsplit_once('.')) {
            Some((table, _)) if !name.is_empty() => format!("{table}.{name}"),
            _ => name.to_owned(),
        }
    }

    /// Returns true if the line up to `offset` begins a table header.
    fn is_header(&self, offset: usize) -> bool {
        let before = self.text.get(..offset).unwrap_or_default();
        before
            .rsplit('\n')
            .next()
            .is_some_and(|line| line.trim_start().starts_with('['))
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.bytes().take(offset);
        1 + before.filter(|&byte| byte == b'\n').count()
    }

    /// Every key and element, outer ones before inner ones.
    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        table_places(&self.root, "", &mut places);
        places
    }
}

/// The name of the table or array that contains a key or an element.
fn enclosing(key: &str) -> Option<&str> {
    let end = key.rfind(['.', '['])?;
    key.get(..end)
}

fn is_table(value: &Spanned<DeValue>) -> bool {
    value.get_ref().is_table()
}

fn is_array_of_tables(value: &Spanned<DeValue>) -> bool {
    let array = value.get_ref().as_array();
    array.is_some_and(|array| array.iter().all(is_table))
}

fn is_bare_key_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-".contains(c)
}

fn table_places(table: &DeTable, path: &str, places: &mut Vec<Place>) {
    for (key, value) in table {
        let path = joined(path, key.get_ref());
        places.push(Place {
            path: path.clone(),
            name: key.span(),
            value: value.span(),
        });
        value_places(value.get_ref(), &path, places);
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn value_places(value: &DeValue, path: &str, places: &mut Vec<Place>) {
    match value {
        DeValue::Table(table) => table_places(table, path, places),
        DeValue::Array(array) => array_places(array, path, places),
        _ => {}
    }
}

fn array_places(array: &[Spanned<DeValue>], path: &str, places: &mut Vec<Place>) {
    for (index, element) in array.iter().enumerate() {
        element_places(element, &format!("{path}[{index}]"), places);
    }
}

fn element_places(element: &Spanned<DeValue>, path: &str, places: &mut Vec<Place>) {
    places.push(Place {
        path: path.to_owned(),
        name: element.span(),
        value: element.span(),
    });
    value_places(element.get_ref(), path, places);
}

/// Replaces the names of Rust's types, which mean nothing to an author of TOML.
fn plain_words(message: &str) -> String {
    let message = message
        .replace("expected i64", expected_integer(message))
        .replace("expected f64", "expected a number")
        .replace(": map,", ": table,");
    on_one_line(&message)
}

fn expected_integer(message: &str) -> &'static str {
    if message.starts_with("invalid value: integer") {
        "expected one up to 9223372036854775807"
    } else {
        "expected an integer"
    }
}

fn on_one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
