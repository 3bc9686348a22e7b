//! Holds the labels of a dataset against the number of classes of a network.

use super::{Dataset, Source};
use crate::domain::SampleIndex;

/// Labels that cannot be those of a network: what the data has, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ClassMismatch(String);

impl Dataset {
    /// Checks that the data has as many classes as a network, or, where it names none, no label
    /// that the network cannot answer.
    ///
    /// # Errors
    /// When it has more or fewer: its labels would count other classes than the network's.
    pub fn check_classes(&self, network: u32) -> Result<(), ClassMismatch> {
        match self.classes() {
            Some(found) if found != network => Err(self.other_count(found, network)),
            _ => self.check_labels(network),
        }
    }

    fn other_count(&self, found: u32, network: u32) -> ClassMismatch {
        let path = self.path.display();
        ClassMismatch(match &self.source {
            Source::Folder(folder) if !folder.has_list() => format!(
                "{path} has {found} class folder(s), whose order by name gives the labels; {}",
                advice(found, network)
            ),
            Source::Folder(_) => format!(
                "dataset.classes lists {found}: list one name per class of the network, in the \
                 order of its classes"
            ),
            Source::Labelled(_) => format!(
                "the labels of {path} have {found}; give dataset.classes, a file with one name \
                 per class of the network, in the order of its classes"
            ),
            Source::Cifar10(_) | Source::Tensors(_) => format!("{path} has {found}"),
        })
    }

    /// Refuses a label that the network cannot answer.
    fn check_labels(&self, network: u32) -> Result<(), ClassMismatch> {
        let labels = (0..self.len()).map(|index| (index, self.label(SampleIndex(index))));
        let mut outside = labels.filter_map(|(index, label)| {
            let label = label.ok()?.0;
            (label >= network).then_some((index, label))
        });
        outside.next().map_or(Ok(()), |(index, label)| {
            Err(ClassMismatch(format!(
                "sample {index} of {} has label {label}; labels are numbers from 0 to {}",
                self.path.display(),
                network - 1
            )))
        })
    }

    /// Returns a statement if the labels are bare numbers, of fewer classes than a network has.
    #[must_use]
    pub fn note_of_classes(&self, network: u32) -> Option<String> {
        if self.classes().is_some() {
            return None;
        }
        let labels = (0..self.len()).filter_map(|index| self.label(SampleIndex(index)).ok());
        let distinct: std::collections::BTreeSet<u32> = labels.map(|label| label.0).collect();
        ((distinct.len() as u32) < network).then(|| {
            format!(
                "{} of the network's {network} classes occur among the labels of {}",
                distinct.len(),
                self.path.display()
            )
        })
    }
}

fn advice(found: u32, network: u32) -> String {
    if found < network {
        format!(
            "give dataset.classes, a file with the names of all {network} classes, one per line, \
             in the order of the network's classes"
        )
    } else {
        "the folder or the model is the wrong one, or a folder is not a class".to_owned()
    }
}
