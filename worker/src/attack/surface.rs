//! A smoothed classifier to mislead.

use ddrs_common::domain::{Class, Sigma};

use crate::engine::LoadedNetwork;

/// A smoothed classifier, and the class that it should give no more.
#[derive(Clone, Copy)]
pub struct Surface<'a> {
    /// The base network.
    pub network: &'a LoadedNetwork,
    /// The sigma of the noise.
    pub sigma: Sigma,
    /// The class.
    pub class: Class,
}
