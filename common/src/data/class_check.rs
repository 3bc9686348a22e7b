//! Holds the labels of a dataset against the number of classes of a network.

use std::collections::BTreeSet;

use super::{Dataset, Source};
use crate::domain::{Class, SampleIndex};
use crate::spec::ModelSpec;

/// A model that does not have the classes of the data.
#[derive(Debug, thiserror::Error)]
#[error("model {name} has {classes} classes, but {found}")]
pub struct ClassMismatch {
    /// The whole dotted key of its number of classes.
    pub key: String,
    name: String,
    classes: u32,
    found: String,
}

impl Dataset {
    /// Checks that the data has as many classes as each model, or, where it names none, no label
    /// that a model cannot answer. Fewer class folders are not refused, but remarked.
    ///
    /// # Errors
    /// When it has more or fewer: its labels would count other classes than the network's.
    pub fn check_models(&self, models: &[ModelSpec]) -> Result<(), ClassMismatch> {
        let mut models = models.iter().enumerate();
        let mismatch = models.find_map(|(place, model)| {
            let found = self.mismatch(model.classes)?;
            Some(ClassMismatch {
                key: format!("model[{place}].classes"),
                name: model.name.clone(),
                classes: model.classes,
                found,
            })
        });
        mismatch.map_or(Ok(()), Err)
    }

    /// Returns what the data has instead of the classes of a network.
    pub(super) fn mismatch(&self, network: u32) -> Option<String> {
        match self.classes() {
            Some(found) if found > network => Some(self.other_count(found)),
            Some(found) if found < network && !self.has_places_as_labels() => {
                Some(self.other_count(found))
            }
            _ => self.label_outside(network),
        }
    }

    /// Returns true if the labels are the places of class folders in order of their names.
    fn has_places_as_labels(&self) -> bool {
        matches!(&self.source, Source::Folder(folder) if !folder.has_list())
    }

    fn other_count(&self, found: u32) -> String {
        let path = self.path.display();
        match &self.source {
            Source::Folder(folder) if !folder.has_list() => format!(
                "{path} has {found} class folders: the folder or the model is the wrong one, or a \
                 folder is not a class"
            ),
            Source::Folder(_) => format!(
                "dataset.classes lists {found}: list one name per class of the network, in the \
                 order of its classes"
            ),
            Source::Labelled(_) => format!(
                "the labels of {path} have {found}; give dataset.classes, a file with one name \
                 per class of the network, in the order of its classes"
            ),
            Source::Cifar(_) | Source::Arrays(_) | Source::Parquet(_) => {
                format!("{path} has {found}")
            }
        }
    }

    /// Describes the first label that a network cannot answer.
    fn label_outside(&self, network: u32) -> Option<String> {
        let (index, label) = self.labels().find(|(_, label)| label.0 >= network)?;
        Some(format!(
            "sample {index} of {} has label {}; labels are numbers from 0 to {}",
            self.path.display(),
            label.0,
            network - 1
        ))
    }

    /// The labels of all samples.
    fn labels(&self) -> impl Iterator<Item = (SampleIndex, Class)> {
        let indices = (0..self.len()).map(SampleIndex);
        indices.filter_map(|index| Some((index, self.label(index).ok()?)))
    }

    /// Returns a statement if the labels are those of fewer classes than a network has, without a
    /// list that says which.
    #[must_use]
    pub fn note_of_classes(&self, network: u32) -> Option<String> {
        match self.classes() {
            Some(found) if found < network && self.has_places_as_labels() => {
                Some(self.note_of_folders(found, network))
            }
            Some(_) => None,
            None => self.note_of_numbers(network),
        }
    }

    fn note_of_folders(&self, found: u32, network: u32) -> String {
        format!(
            "{} has {found} class folder(s), the network {network} classes; the folders' places by \
             name are the labels, so they are wrong unless these are the first classes of the \
             network: give dataset.classes, a file with all {network} names, one per line, in the \
             order of the network's classes",
            self.path.display()
        )
    }

    fn note_of_numbers(&self, network: u32) -> Option<String> {
        let distinct: BTreeSet<Class> = self.labels().map(|(_, label)| label).collect();
        let found = distinct.len();
        (found < network as usize).then(|| {
            let path = self.path.display();
            format!("{found} of the network's {network} classes occur among the labels of {path}")
        })
    }
}
