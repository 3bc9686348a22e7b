//! Networks for inference, built from the layers that model files are checked against.

mod conv;
mod linear;
mod onednn;
mod unit;

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, Layers};
use tch::{Device, Kind, TchError, Tensor};

use self::conv::FoldedConv;
use self::onednn::{OneDnn, OneDnnPass};
use self::unit::NativeUnit;
use super::fused::FusionCounts;
use super::{Arithmetic, Classifier, LayerPass, Normalisation, WeightMap, forward};

/// A network whose batch normalisations are folded into the convolutions before them.
#[derive(Debug)]
pub(super) struct NativeNetwork {
    normalisation: Normalisation,
    kind: Kind,
    device: Device,
    layers: Layers<NativeUnit>,
    /// The fused operators of the CPU, where they are available.
    onednn: Option<OneDnn>,
}

impl NativeNetwork {
    /// Builds the network for `classes` classes.
    ///
    /// # Errors
    /// When a tensor is missing.
    pub(super) fn build(
        architecture: Architecture,
        classes: u32,
        weights: &WeightMap,
        arithmetic: Arithmetic,
        normalisation: Normalisation,
    ) -> Result<Self> {
        let layers = architecture
            .layers(classes)
            .with_context(|| format!("{architecture} has no layers"))?
            .try_map(|unit| NativeUnit::build(unit, weights, arithmetic))?;
        Ok(Self {
            normalisation,
            kind: arithmetic.kind,
            device: arithmetic.device,
            onednn: OneDnn::new(arithmetic.kind, arithmetic.device, &convolutions(&layers)),
            layers,
        })
    }

    fn fused_scores(&self, onednn: &OneDnn, images: &Tensor) -> Result<Tensor, TchError> {
        tch::no_grad(|| forward(&OneDnnPass(onednn), &self.layers.0, images))
    }

    /// Returns true if the convolution runs fused with the operation after it.
    fn is_fused(&self, conv: &FoldedConv) -> bool {
        self.onednn.is_some() || conv.uses_fused_call()
    }
}

fn convolutions(layers: &Layers<NativeUnit>) -> Vec<&FoldedConv> {
    let units = layers.units().into_iter();
    units.filter_map(NativeUnit::convolution).collect()
}

impl Classifier for NativeNetwork {
    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.prepared_scores(&self.normalisation.apply(images)?.f_to_kind(self.kind)?)
    }

    fn prepared_scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        match &self.onednn {
            Some(onednn) if !images.requires_grad() => self.fused_scores(onednn, images),
            _ => forward(&PlainPass, &self.layers.0, images),
        }
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn fusion_counts(&self) -> FusionCounts {
        let mut candidates = convolutions(&self.layers);
        candidates.retain(|conv| conv.is_followed_by_relu());
        let fused = candidates.iter().filter(|conv| self.is_fused(conv));
        FusionCounts {
            candidates: candidates.len(),
            fused: fused.count(),
        }
    }

    fn share(&self) -> Box<dyn Classifier> {
        let layers = self.layers.map(NativeUnit::share);
        Box::new(Self {
            normalisation: self.normalisation.share(),
            kind: self.kind,
            device: self.device,
            onednn: OneDnn::new(self.kind, self.device, &convolutions(&layers)),
            layers,
        })
    }
}

/// Plain torch operations, and cuDNN's fused calls where [`super::fused::Fusion`] allows them.
struct PlainPass;

impl LayerPass for PlainPass {
    type Unit = NativeUnit;

    fn apply(&self, unit: &NativeUnit, x: &Tensor) -> Result<Tensor, TchError> {
        match unit {
            NativeUnit::Conv(conv) => conv.forward(x, None),
            NativeUnit::Linear(linear) => linear.forward(x),
        }
    }

    fn apply_and_add(
        &self,
        unit: &NativeUnit,
        x: &Tensor,
        other: Tensor,
    ) -> Result<Tensor, TchError> {
        match unit {
            NativeUnit::Conv(conv) => conv.forward(x, Some(&other)),
            NativeUnit::Linear(linear) => linear.add_to(x, &other),
        }
    }
}
