//! Finds the tensors in the dicts of a checkpoint.

use std::collections::{BTreeMap, HashMap};

use super::super::FileTensor;
use super::tensor::stored;
use super::{Indexed, OpenContainer};
use crate::pickle::PickleValue;

/// Dicts in dicts are followed to this depth.
const DEEPEST: usize = 24;

/// The most values that are looked at. A dict that occurs twice counts twice.
const MOST_VALUES: usize = 1 << 22;

/// The most names of values that are kept.
const MOST_OTHERS: usize = 10_000;

/// The content of a checkpoint.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) tensors: BTreeMap<String, FileTensor>,
    pub(super) texts: HashMap<String, String>,
    pub(super) others: Vec<String>,
    values: usize,
}

pub(super) fn walk(root: PickleValue, open: &OpenContainer) -> Indexed<Walked> {
    let mut walked = Walked::default();
    walked.visit(root, &mut Vec::new(), open)?;
    Ok(walked)
}

impl Walked {
    fn visit(
        &mut self,
        value: PickleValue,
        path: &mut Vec<String>,
        open: &OpenContainer,
    ) -> Indexed<()> {
        self.count(1 + value.size())?;
        if let Some(tensor) = stored(value, open) {
            self.add(tensor, path);
            return Ok(());
        }
        let inner = if path.len() < DEEPEST {
            contents(value)
        } else {
            Vec::new()
        };
        if inner.is_empty() {
            self.add_other(value, path);
        }
        for (key, value) in inner {
            path.push(key);
            self.visit(value, path, open)?;
            path.pop();
        }
        Ok(())
    }

    fn count(&mut self, values: usize) -> Indexed<()> {
        self.values += values;
        if self.values > MOST_VALUES {
            return Err(format!("the checkpoint has more than {MOST_VALUES} values"));
        }
        Ok(())
    }

    fn add(&mut self, tensor: FileTensor, path: &[String]) {
        let dict = path
            .split_last()
            .map_or(String::new(), |(_, dict)| dict.join("."));
        self.tensors
            .insert(path.join("."), FileTensor { dict, ..tensor });
    }

    fn add_other(&mut self, value: PickleValue, path: &[String]) {
        if let ([key], Some(text)) = (path, value.as_text()) {
            self.texts.insert(key.clone(), text.to_owned());
        }
        if self.others.len() < MOST_OTHERS {
            self.others.push(name(value, path));
        }
    }
}

/// The name of a value; an instance of a class that was left aside also has its class.
fn name(value: PickleValue, path: &[String]) -> String {
    let path = path.join(".");
    match value.as_call() {
        Some(_) if path.is_empty() => format!("an object of class {}", value.type_name()),
        Some(_) => format!("{path} (an object of class {})", value.type_name()),
        None => path,
    }
}

/// The values in a dict or a list, by key or number. Lists of numbers are not entered.
fn contents(value: PickleValue<'_>) -> Vec<(String, PickleValue<'_>)> {
    if let Some(entries) = value.entries() {
        let named = entries.into_iter();
        return named
            .filter_map(|(key, value)| Some((name_of(key)?, value)))
            .collect();
    }
    let elements = value.elements().unwrap_or_default().into_iter().enumerate();
    let containers = elements.filter(|(_, value)| is_container(*value));
    containers
        .map(|(number, value)| (number.to_string(), value))
        .collect()
}

fn is_container(value: PickleValue) -> bool {
    value.entries().is_some() || value.elements().is_some() || value.as_persistent().is_some()
}

fn name_of(key: PickleValue) -> Option<String> {
    let number = || key.as_int().map(|number| number.to_string());
    key.as_text().map(str::to_owned).or_else(number)
}
