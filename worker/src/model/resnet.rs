//! Residual networks for inference, built from the layout that model files are checked against.

mod conv;
mod onednn;

use std::iter::once;

use anyhow::{Context, Result};
use ddrs_common::architecture::{Architecture, ResnetLayout};
use tch::{Device, Kind, TchError, Tensor};

use self::conv::FoldedConv;
use self::onednn::{OneDnn, OneDnnPass};
use super::fused::{Fusion, FusionCounts};
use super::{Arithmetic, Classifier, Normalisation, ResnetPass, Shortcut, WeightMap, forward};

/// A residual network whose batch normalisations are folded into the convolutions.
#[derive(Debug)]
pub(super) struct Resnet {
    normalisation: Normalisation,
    kind: Kind,
    device: Device,
    layout: ResnetLayout<FoldedConv>,
    weight: Tensor,
    bias: Tensor,
    /// The fused operators of the CPU, where they are available.
    onednn: Option<OneDnn>,
}

impl Resnet {
    /// Builds the network.
    ///
    /// # Errors
    /// When a tensor is missing.
    pub(super) fn build(
        architecture: Architecture,
        weights: &WeightMap,
        arithmetic: Arithmetic,
        normalisation: Normalisation,
    ) -> Result<Self> {
        let layout = fold(architecture, weights, arithmetic)?;
        Ok(Self {
            normalisation,
            kind: arithmetic.kind,
            device: arithmetic.device,
            onednn: OneDnn::new(arithmetic.kind, arithmetic.device, &layout),
            layout,
            weight: arithmetic.convert(&weights.get("fc.weight")?)?,
            bias: arithmetic.convert(&weights.get("fc.bias")?)?,
        })
    }

    fn fused_scores(&self, onednn: &OneDnn, images: &Tensor) -> Result<Tensor, TchError> {
        let pass = OneDnnPass { net: self, onednn };
        tch::no_grad(|| forward(&pass, images))
    }

    /// All convolutions but the projections of shortcuts.
    fn followed_by_relu(&self) -> impl Iterator<Item = &FoldedConv> {
        let blocks = self.layout.blocks.iter();
        once(&self.layout.stem).chain(blocks.flat_map(|block| &block.path))
    }

    /// Returns true if the convolution runs fused with the operation after it.
    fn is_fused(&self, conv: &FoldedConv) -> bool {
        self.onednn.is_some() || conv.fusion.as_ref().is_some_and(Fusion::is_used)
    }
}

fn fold(
    architecture: Architecture,
    weights: &WeightMap,
    arithmetic: Arithmetic,
) -> Result<ResnetLayout<FoldedConv>> {
    architecture
        .layout()
        .with_context(|| format!("{architecture} is not a residual network"))?
        .try_map(|conv| FoldedConv::fold(conv, weights, arithmetic))
}

impl Classifier for Resnet {
    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.prepared_scores(&self.normalisation.apply(images)?.f_to_kind(self.kind)?)
    }

    fn prepared_scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        match &self.onednn {
            Some(onednn) if !images.requires_grad() => self.fused_scores(onednn, images),
            _ => forward(self, images),
        }
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn fusion_counts(&self) -> FusionCounts {
        let fused = self.followed_by_relu().filter(|conv| self.is_fused(conv));
        FusionCounts {
            candidates: self.followed_by_relu().count(),
            fused: fused.count(),
        }
    }

    fn share(&self) -> Box<dyn Classifier> {
        let layout = self.layout.map(FoldedConv::share);
        Box::new(Self {
            normalisation: self.normalisation.share(),
            kind: self.kind,
            device: self.device,
            onednn: OneDnn::new(self.kind, self.device, &layout),
            layout,
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
        })
    }
}

/// Plain torch operations, and cuDNN's fused calls where [`Fusion`] allows them.
impl ResnetPass for Resnet {
    type Conv = FoldedConv;

    fn layout(&self) -> &ResnetLayout<FoldedConv> {
        &self.layout
    }

    fn conv_relu(&self, conv: &FoldedConv, x: &Tensor) -> Result<Tensor, TchError> {
        conv.relu(x, None)
    }

    fn conv_add_relu(
        &self,
        conv: &FoldedConv,
        y: &Tensor,
        shortcut: Shortcut<'_, FoldedConv>,
    ) -> Result<Tensor, TchError> {
        let z = match shortcut.projection {
            Some(projection) => projection.forward(&shortcut.x)?,
            None => shortcut.x,
        };
        conv.relu(y, Some(&z))
    }

    fn classifier(&self) -> Result<(Tensor, Tensor), TchError> {
        Ok((self.weight.shallow_clone(), self.bias.shallow_clone()))
    }
}
