//! Networks for inference, built from the layers that model files are checked against.

mod conv;
mod linear;
mod norm;
mod onednn;
mod positions;
mod unit;

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, Layers, Outputs};
use ddrs_common::spec::ModelSpec;
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
    outputs: Outputs,
    /// The fused operators of the CPU, where they are available.
    onednn: Option<OneDnn>,
}

impl NativeNetwork {
    /// Builds the network of a specification.
    ///
    /// # Errors
    /// When a tensor is missing.
    pub(super) fn build(
        architecture: Architecture,
        spec: &ModelSpec,
        weights: &WeightMap,
        arithmetic: Arithmetic,
        normalisation: Normalisation,
    ) -> Result<Self> {
        let layers = architecture
            .layers_with(spec.classes, &spec.options)
            .with_context(|| format!("{architecture} has no layers"))?
            .try_map(|unit| NativeUnit::build(unit, weights, arithmetic))?;
        Ok(Self {
            normalisation,
            kind: arithmetic.kind,
            device: arithmetic.device,
            onednn: OneDnn::new(arithmetic.kind, arithmetic.device, &convolutions(&layers)),
            layers,
            outputs: spec.options.outputs,
        })
    }

    /// Returns the scores before the softmax, if the network has one.
    fn run_layers(&self, images: &Tensor) -> Result<Tensor, TchError> {
        match &self.onednn {
            Some(onednn) if !images.requires_grad() => {
                tch::no_grad(|| forward(&OneDnnPass(onednn), &self.layers.0, images))
            }
            _ => forward(&PlainPass, &self.layers.0, images),
        }
    }

    fn prepare(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.normalisation.apply(images)?.f_to_kind(self.kind)
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
        self.prepared_scores(&self.prepare(images)?)
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.run_layers(&self.prepare(images)?)
    }

    fn prepared_scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let scores = self.run_layers(images)?;
        match self.outputs {
            Outputs::Scores => Ok(scores),
            Outputs::Probabilities => scores.f_softmax(-1, None::<Kind>),
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
            outputs: self.outputs,
        })
    }
}

/// Plain torch operations, and cuDNN's fused calls where [`super::fused::Fusion`] allows them.
struct PlainPass;

impl LayerPass for PlainPass {
    type Unit = NativeUnit;

    fn apply(&self, unit: &NativeUnit, x: &Tensor) -> Result<Tensor, TchError> {
        unit.forward(x)
    }

    fn apply_and_add(
        &self,
        unit: &NativeUnit,
        x: &Tensor,
        other: Tensor,
    ) -> Result<Tensor, TchError> {
        unit.forward_and_add(x, &other)
    }
}
