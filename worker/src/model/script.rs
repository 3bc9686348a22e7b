//! A TorchScript program.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tch::{CModule, Kind, TchError, Tensor};

use super::{Arithmetic, Classifier, Normalisation, archive, brief};

/// A program that maps (B, channels, height, width) to (B, classes).
pub struct Script {
    module: Arc<CModule>,
    kind: Kind,
    normalisation: Normalisation,
}

impl Script {
    /// Loads the program in a file's bytes in evaluation mode.
    ///
    /// # Errors
    /// When they are no TorchScript or not whole, or would not be computed in the precision asked
    /// for.
    pub fn load(
        bytes: &[u8],
        arithmetic: Arithmetic,
        normalisation: Normalisation,
    ) -> Result<Self> {
        let Arithmetic {
            device, kind, tf32, ..
        } = arithmetic;
        let forced = std::env::var("NVIDIA_TF32_OVERRIDE").is_ok_and(|value| value == "0");
        if tf32 {
            bail!(
                "whether TorchScript computes in tf32 is up to how it was traced: certify it in fp32, bf16 or fp16"
            );
        }
        if device.is_cuda() && kind == Kind::Float && !forced {
            bail!(
                "a program that was traced may have tf32 convolutions in it, whatever the process allows: start the \
                 worker with NVIDIA_TF32_OVERRIDE=0"
            );
        }
        archive::check(bytes).context("not a TorchScript program")?;
        let module = CModule::load_data_on_device(&mut &bytes[..], device);
        let mut module = module.map_err(brief).context("not a TorchScript program")?;
        module.f_set_eval().map_err(brief)?;
        if kind != Kind::Float {
            module.to(device, kind, false);
        }
        for (_, parameter) in module.named_parameters().map_err(brief)? {
            let _ = parameter.f_set_requires_grad(false)?;
        }
        Ok(Self {
            module: Arc::new(module),
            kind,
            normalisation,
        })
    }
}

impl Classifier for Script {
    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.prepared_scores(&self.normalisation.apply(images)?.f_to_kind(self.kind)?)
    }

    fn prepared_scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let scores = self.module.forward_ts(&[images])?;
        // Weights that tracing or freezing made constants keep their kind, and torch silently
        // computes in the wider one.
        if scores.f_kind()? != self.kind {
            let found = scores.f_kind()?;
            return Err(TchError::Kind(format!(
                "the program computes in {found:?}, the specification says {:?}",
                self.kind
            )));
        }
        Ok(scores)
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn share(&self) -> Box<dyn Classifier> {
        Box::new(Self {
            module: Arc::clone(&self.module),
            kind: self.kind,
            normalisation: self.normalisation.share(),
        })
    }
}
