//! The checked description of a file with a sigma per sample, `[smoothing.file]`.

use std::path::PathBuf;

use crate::domain::{InvalidValue, Sigma, VariantName};

/// A file with a sigma per sample, and the sigmas once they are read.
#[derive(Debug, Clone, PartialEq)]
pub struct SigmaFileSpec {
    /// A file or a run folder, resolved against the specification's folder.
    pub path: PathBuf,
    /// The name of the array in a file of arrays, or of the column of a log.
    pub name: Option<String>,
    /// The variant of a run folder.
    pub variant: Option<VariantName>,
    /// The largest sigma that the file may give. It names the variant.
    pub largest: Sigma,
    sigmas: Vec<Sigma>,
}

impl SigmaFileSpec {
    pub(super) fn new(
        path: PathBuf,
        name: Option<String>,
        variant: Option<VariantName>,
        largest: Sigma,
    ) -> Self {
        Self {
            path,
            name,
            variant,
            largest,
            sigmas: Vec::new(),
        }
    }

    /// The sigmas of the selected samples, in their order; empty until they are read.
    #[must_use]
    pub fn sigmas(&self) -> &[Sigma] {
        &self.sigmas
    }

    pub(super) fn set_sigmas(&mut self, sigmas: Vec<Sigma>) -> Result<(), InvalidValue> {
        let largest = self.largest;
        if let Some(position) = sigmas.iter().position(|&sigma| sigma > largest) {
            let sigma = sigmas[position];
            return Err(InvalidValue(format!(
                "sigma {sigma} of selected sample {position} is above smoothing.file.largest, \
                 {largest}"
            )));
        }
        self.sigmas = sigmas;
        Ok(())
    }
}
