//! The tensors of a network: by name, taken from elsewhere, shared between threads.

use std::collections::HashMap;

use anyhow::{Context, Result};
use tch::{TchError, Tensor};

use super::Network;
use crate::model::brief;

impl Network {
    /// Every tensor by its canonical name, in the network's order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(|name| (name.as_str(), &self.tensors[name]))
    }

    /// Those that learn, in the network's order.
    pub fn learning(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors().filter(|(name, _)| learns(name))
    }

    /// Takes the values of `others`, which are named as its own.
    ///
    /// # Errors
    /// When one is missing or has another shape.
    pub fn load(&mut self, others: &HashMap<String, Tensor>) -> Result<()> {
        tch::no_grad(|| {
            for name in &self.names {
                let other = others.get(name).with_context(|| format!("no tensor {name}"))?;
                let tensor = self.tensors.get_mut(name).with_context(|| format!("no tensor {name}"))?;
                tensor.f_copy_(other).map_err(brief).with_context(|| name.clone())?;
            }
            Ok(())
        })
    }

    /// The same weights, and running statistics of its own: for a group of inputs that another thread computes.
    ///
    /// # Errors
    /// What torch reports.
    pub fn apart(&self) -> Result<Self, TchError> {
        let share = |tensor: &Tensor| tensor.shallow_clone();
        let own = |(name, tensor): (&String, &Tensor)| {
            Ok((name.clone(), if learns(name) { share(tensor) } else { copy(tensor)? }))
        };
        Ok(Self {
            layout: self.layout.clone(),
            tensors: self.tensors.iter().map(own).collect::<Result<_, TchError>>()?,
            names: self.names.clone(),
            normalisation: self.normalisation.as_ref().map(|(mean, std)| (share(mean), share(std))),
            kind: self.kind,
            wide: self.wide,
        })
    }

    /// Takes for its running statistics the mean of others'.
    ///
    /// # Errors
    /// What torch reports.
    pub fn average_statistics(&mut self, others: &[Self]) -> Result<(), TchError> {
        for (name, tensor) in self.tensors.iter_mut().filter(|(name, _)| !learns(name)) {
            let each: Vec<&Tensor> = others.iter().map(|other| &other.tensors[name]).collect();
            let mean = Tensor::f_stack(&each, 0)?.f_mean_dim([0].as_slice(), false, None)?;
            tensor.f_copy_(&mean)?;
        }
        Ok(())
    }
}

/// The same values in memory of their own, without a gradient.
///
/// # Errors
/// What torch reports.
pub fn copy(tensor: &Tensor) -> Result<Tensor, TchError> {
    let tensor = tensor.f_detach()?;
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(&tensor)?;
    Ok(copy)
}

/// Whether a tensor takes part in gradients; running statistics do not.
pub(super) fn learns(name: &str) -> bool {
    !name.contains(".running_")
}
