//! The tensors of a network: by name, in one long tensor, loaded from a file, shared between
//! threads.

use std::collections::HashMap;
use std::iter::once;

use anyhow::{Context, Result};
use ddrs_common::architecture::Layers;
use tch::{Kind, TchError, Tensor};

use super::TrainableNetwork;
use crate::failure::brief;

/// A tensor with its canonical name.
pub(in crate::train) type NamedTensor = (String, Tensor);

impl TrainableNetwork {
    /// Builds a network from these tensors, which are copied.
    pub(super) fn assemble(
        layers: Layers,
        tensors: Vec<NamedTensor>,
        kind: Kind,
        emulates_bf16: bool,
    ) -> Result<Self, TchError> {
        let learned = flatten(select(&tensors, true))?;
        // A network may have no statistics.
        let nothing = learned.f_narrow(0, 0, 0)?;
        let statistics = flatten(once(&nothing).chain(select(&tensors, false)))?;
        let mut network = Self {
            layers,
            names: tensors.iter().map(|(name, _)| name.clone()).collect(),
            learned,
            statistics,
            tensors: tensors.into_iter().collect(),
            normalisation: None,
            kind,
            emulates_bf16,
        };
        network.replace_by_views(true)?;
        network.replace_by_views(false)?;
        Ok(network)
    }

    /// Makes the tensors that learn, or those that do not, views of the long tensor.
    fn replace_by_views(&mut self, learning: bool) -> Result<(), TchError> {
        for (name, view) in self.split(self.flat(learning), learning)? {
            let view = view.f_detach()?.f_set_requires_grad(learning)?;
            self.tensors.insert(name, view);
        }
        Ok(())
    }

    fn flat(&self, learning: bool) -> &Tensor {
        if learning {
            &self.learned
        } else {
            &self.statistics
        }
    }

    /// Every tensor by its canonical name, in the network's order.
    pub(in crate::train) fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names
            .iter()
            .map(|name| (name.as_str(), &self.tensors[name]))
    }

    /// The weights, which learn, in the network's order.
    pub(in crate::train) fn weights(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors()
            .filter(|(name, _)| learns(name))
            .map(|(_, weight)| weight)
    }

    /// All weights in one tensor of shape (W), in the order of [`flatten`]. Changing it changes the
    /// weights.
    pub(in crate::train) fn learned(&self) -> &Tensor {
        &self.learned
    }

    /// Splits a tensor of shape (W), with one value per weight, into views by the names of the
    /// weights.
    pub(in crate::train) fn by_weight(&self, flat: &Tensor) -> Result<Vec<NamedTensor>, TchError> {
        self.split(flat, true)
    }

    /// Splits a long tensor into views in the shapes of all tensors that learn, or of all that do
    /// not.
    fn split(&self, flat: &Tensor, learning: bool) -> Result<Vec<NamedTensor>, TchError> {
        let mut views = Vec::new();
        let mut from = 0;
        for name in self.names.iter().filter(|name| learns(name) == learning) {
            let like = &self.tensors[name];
            views.push((name.clone(), view_from(flat, from, like)?));
            from += like.numel() as i64;
        }
        Ok(views)
    }

    /// Copies the values of `others` into the tensors of the same names.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub(in crate::train) fn load(&mut self, others: &HashMap<String, Tensor>) -> Result<()> {
        tch::no_grad(|| {
            for (name, tensor) in self.tensors() {
                copy_into(tensor, name, others)?;
            }
            Ok(())
        })
    }

    /// Returns the same weights with a copy of the running statistics, for a group of inputs that
    /// another thread computes.
    pub(in crate::train) fn with_own_statistics(&self) -> Result<Self, TchError> {
        let statistics = copy(&self.statistics)?;
        Ok(Self {
            layers: self.layers.clone(),
            tensors: self.tensors_with(&statistics)?,
            names: self.names.clone(),
            learned: self.learned.shallow_clone(),
            statistics,
            normalisation: self.share_normalisation(),
            kind: self.kind,
            emulates_bf16: self.emulates_bf16,
        })
    }

    fn share_normalisation(&self) -> Option<[Tensor; 2]> {
        let parts = self.normalisation.as_ref()?;
        Some(parts.each_ref().map(Tensor::shallow_clone))
    }

    /// Returns the tensors with views of `statistics` in place of the running statistics.
    fn tensors_with(&self, statistics: &Tensor) -> Result<HashMap<String, Tensor>, TchError> {
        let mut tensors: HashMap<_, _> = self
            .tensors()
            .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
            .collect();
        tensors.extend(self.split(statistics, false)?);
        Ok(tensors)
    }

    /// Sets the running statistics to the mean of those of other networks.
    pub(in crate::train) fn average_statistics(&mut self, others: &[Self]) -> Result<(), TchError> {
        let each: Vec<&Tensor> = others.iter().map(|other| &other.statistics).collect();
        self.statistics.f_copy_(&mean(&each)?)
    }
}

fn mean(tensors: &[&Tensor]) -> Result<Tensor, TchError> {
    Tensor::f_stack(tensors, 0)?.f_mean_dim([0].as_slice(), false, None)
}

/// Copies the tensor `name` of `others` into `tensor`.
///
/// # Errors
/// When it is missing or has another shape.
pub(in crate::train) fn copy_into(
    tensor: &Tensor,
    name: &str,
    others: &HashMap<String, Tensor>,
) -> Result<()> {
    let other = others
        .get(name)
        .with_context(|| format!("no tensor {name}"))?;
    tensor
        .shallow_clone()
        .f_copy_(other)
        .map_err(brief)
        .with_context(|| name.to_owned())
}

/// Views the values of `flat` from an offset on in the shape of `like`.
fn view_from(flat: &Tensor, from: i64, like: &Tensor) -> Result<Tensor, TchError> {
    let part = flat.f_narrow(0, from, like.numel() as i64)?;
    view_as(&part, &like.size())
}

/// Views consecutive values in this shape. The values of a convolution are in channels-last order.
fn view_as(values: &Tensor, shape: &[i64]) -> Result<Tensor, TchError> {
    match *shape {
        [n, c, h, w] => values.f_view([n, h, w, c])?.f_permute([0, 3, 1, 2]),
        _ => values.f_view(shape),
    }
}

/// Concatenates the values of tensors, each in channels-last order, into a tensor with one axis.
/// The tensors are weights, or one gradient per weight.
pub(in crate::train) fn flatten<'a>(
    tensors: impl IntoIterator<Item = &'a Tensor>,
) -> Result<Tensor, TchError> {
    let parts: Vec<Tensor> = tensors
        .into_iter()
        .map(flatten_one)
        .collect::<Result<_, _>>()?;
    Tensor::f_cat(&parts, 0)
}

fn flatten_one(tensor: &Tensor) -> Result<Tensor, TchError> {
    channels_last(tensor)?.f_detach()?.f_reshape([-1])
}

/// Returns a view with the channels of a convolution as the last axis.
fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    match tensor.dim() {
        4 => tensor.f_permute([0, 2, 3, 1]),
        _ => Ok(tensor.shallow_clone()),
    }
}

/// Copies a tensor to new memory, without its gradient.
pub(in crate::train) fn copy(tensor: &Tensor) -> Result<Tensor, TchError> {
    let tensor = tensor.f_detach()?;
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(&tensor)?;
    Ok(copy)
}

fn select(tensors: &[NamedTensor], learning: bool) -> impl Iterator<Item = &Tensor> {
    tensors
        .iter()
        .filter(move |(name, _)| learns(name) == learning)
        .map(|(_, tensor)| tensor)
}

/// Returns true if a tensor takes part in gradients; running statistics do not.
fn learns(name: &str) -> bool {
    !name.contains(".running_")
}
