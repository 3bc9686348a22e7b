//! The tensors of a network: by name, one after another, taken from elsewhere, shared between
//! threads.

use std::collections::HashMap;

use anyhow::{Context, Result};
use ddrs_common::architecture::ResnetLayout;
use tch::{Kind, TchError, Tensor};

use super::Network;
use crate::model::brief;

impl Network {
    /// A network of these tensors, which are copied.
    pub(super) fn assemble(
        layout: ResnetLayout,
        tensors: Vec<(String, Tensor)>,
        kind: Kind,
        wide: bool,
    ) -> Result<Self, TchError> {
        let names = tensors.iter().map(|(name, _)| name.clone()).collect();
        let all = |learning| {
            flat(
                tensors
                    .iter()
                    .filter(|(name, _)| learns(name) == learning)
                    .map(|(_, tensor)| tensor),
            )
        };
        let (learned, statistics) = (all(true)?, all(false)?);
        let tensors = tensors.into_iter().collect();
        let mut network = Self {
            layout,
            tensors,
            names,
            learned,
            statistics,
            normalisation: None,
            kind,
            wide,
        };
        for (flat, learning) in [(&network.learned, true), (&network.statistics, false)] {
            for (name, view) in network.split(flat, learning)? {
                network
                    .tensors
                    .insert(name, view.f_detach()?.f_set_requires_grad(learning)?);
            }
        }
        Ok(network)
    }

    /// Every tensor by its canonical name, in the network's order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names
            .iter()
            .map(|name| (name.as_str(), &self.tensors[name]))
    }

    /// Those that learn, in the network's order.
    pub fn learning(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors().filter(|(name, _)| learns(name))
    }

    /// All weights in one tensor of shape (W), in the order of [`flat`]; to move it is to move
    /// them.
    pub fn learned(&self) -> &Tensor {
        &self.learned
    }

    /// Views of something that has a value for each weight, of shape (W), by the names of the
    /// weights.
    ///
    /// # Errors
    /// What torch reports.
    pub fn by_weight(&self, flat: &Tensor) -> Result<Vec<(String, Tensor)>, TchError> {
        self.split(flat, true)
    }

    /// Views of a long tensor, in the shapes of all tensors that learn, or of all that do not.
    fn split(&self, flat: &Tensor, learning: bool) -> Result<Vec<(String, Tensor)>, TchError> {
        let mut from = 0;
        let view = |name: &String| {
            let like = &self.tensors[name];
            let (size, count) = (like.size(), like.numel() as i64);
            let part = flat.f_narrow(0, from, count)?;
            from += count;
            let view = match size[..] {
                [n, c, h, w] => part.f_view([n, h, w, c])?.f_permute([0, 3, 1, 2])?,
                _ => part.f_view(&size[..])?,
            };
            Ok((name.clone(), view))
        };
        self.names
            .iter()
            .filter(|name| learns(name) == learning)
            .map(view)
            .collect()
    }

    /// Takes the values of `others`, which are named as its own.
    ///
    /// # Errors
    /// When one is missing or has another shape.
    pub fn load(&mut self, others: &HashMap<String, Tensor>) -> Result<()> {
        tch::no_grad(|| {
            for name in &self.names {
                let other = others
                    .get(name)
                    .with_context(|| format!("no tensor {name}"))?;
                let tensor = self
                    .tensors
                    .get_mut(name)
                    .with_context(|| format!("no tensor {name}"))?;
                tensor
                    .f_copy_(other)
                    .map_err(brief)
                    .with_context(|| name.clone())?;
            }
            Ok(())
        })
    }

    /// The same weights, and running statistics of its own: for a group of inputs that another
    /// thread computes.
    ///
    /// # Errors
    /// What torch reports.
    pub fn apart(&self) -> Result<Self, TchError> {
        let share = |tensor: &Tensor| tensor.shallow_clone();
        let statistics = copy(&self.statistics)?;
        let mut tensors: HashMap<_, _> = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), share(tensor)))
            .collect();
        tensors.extend(self.split(&statistics, false)?);
        Ok(Self {
            layout: self.layout.clone(),
            tensors,
            names: self.names.clone(),
            learned: share(&self.learned),
            statistics,
            normalisation: self
                .normalisation
                .as_ref()
                .map(|(mean, std)| (share(mean), share(std))),
            kind: self.kind,
            wide: self.wide,
        })
    }

    /// Takes for its running statistics the mean of others'.
    ///
    /// # Errors
    /// What torch reports.
    pub fn average_statistics(&mut self, others: &[Self]) -> Result<(), TchError> {
        let each: Vec<&Tensor> = others.iter().map(|other| &other.statistics).collect();
        self.statistics
            .f_copy_(&Tensor::f_stack(&each, 0)?.f_mean_dim([0].as_slice(), false, None)?)
    }
}

/// The values of tensors one after another, each in channels-last order, in a tensor of one axis:
/// weights, or a gradient of each.
///
/// # Errors
/// What torch reports.
pub fn flat<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<Tensor, TchError> {
    let line = |tensor: &Tensor| {
        let in_order = if tensor.dim() == 4 {
            tensor.f_permute([0, 2, 3, 1])?
        } else {
            tensor.shallow_clone()
        };
        in_order.f_detach()?.f_reshape([-1])
    };
    Tensor::f_cat(
        &tensors
            .into_iter()
            .map(line)
            .collect::<Result<Vec<_>, _>>()?,
        0,
    )
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
