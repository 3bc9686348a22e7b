//! Networks given as TorchScript programs.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use ddrs_common::architecture::Outputs;
use tch::{CModule, Kind, TchError, Tensor};

use super::{Arithmetic, Classifier, Normalisation, archive};
use crate::failure::brief;

/// A program that maps (B, channels, height, width) to (B, classes).
pub(super) struct ScriptNetwork {
    module: Arc<CModule>,
    kind: Kind,
    normalisation: Normalisation,
    outputs: Outputs,
}

impl ScriptNetwork {
    /// Loads a program in evaluation mode.
    ///
    /// # Errors
    /// When the bytes are not a complete TorchScript file, or the program might compute in another
    /// precision.
    pub(super) fn load(
        bytes: &[u8],
        arithmetic: Arithmetic,
        normalisation: Normalisation,
        outputs: Outputs,
    ) -> Result<Self> {
        check_precision(arithmetic)?;
        let module = load_module(bytes, arithmetic).context("not a TorchScript program")?;
        freeze(&module)?;
        Ok(Self {
            module: Arc::new(module),
            kind: arithmetic.kind,
            normalisation,
            outputs,
        })
    }
}

impl ScriptNetwork {
    /// Checks the kind of number of the scores. Tracing or freezing can turn weights into
    /// constants. Those keep their kind, and torch silently computes in the wider one.
    fn check_kind(&self, found: Kind) -> Result<(), TchError> {
        if found == self.kind {
            return Ok(());
        }
        Err(TchError::Kind(format!(
            "the program computes in {found:?}, the specification says {:?}",
            self.kind
        )))
    }
}

/// Refuses the precisions in which a program may compute differently from the specification.
fn check_precision(arithmetic: Arithmetic) -> Result<()> {
    ensure!(
        !arithmetic.tf32,
        "a TorchScript program fixes its use of tf32 when it is traced: certify it in fp32, bf16 \
         or fp16"
    );
    let fp32_on_gpu = arithmetic.device.is_cuda() && arithmetic.kind == Kind::Float;
    ensure!(
        !fp32_on_gpu || tf32_is_forced_off(),
        "a traced program may contain tf32 convolutions, which the settings of the process do not \
         turn off: start the worker with NVIDIA_TF32_OVERRIDE=0"
    );
    Ok(())
}

fn freeze(module: &CModule) -> Result<()> {
    for (_, parameter) in module.named_parameters().map_err(brief)? {
        let _ = parameter.f_set_requires_grad(false)?;
    }
    Ok(())
}

fn tf32_is_forced_off() -> bool {
    std::env::var("NVIDIA_TF32_OVERRIDE").is_ok_and(|value| value == "0")
}

fn load_module(bytes: &[u8], arithmetic: Arithmetic) -> Result<CModule> {
    archive::check(bytes)?;
    let Arithmetic { device, kind, .. } = arithmetic;
    let mut module = CModule::load_data_on_device(&mut &bytes[..], device).map_err(brief)?;
    module.f_set_eval().map_err(brief)?;
    if kind != Kind::Float {
        module.to(device, kind, false);
    }
    Ok(module)
}

impl Classifier for ScriptNetwork {
    fn scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        self.prepared_scores(&self.normalisation.apply(images)?.f_to_kind(self.kind)?)
    }

    /// The logarithm of a probability of 0 would be infinite.
    fn logits(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let outputs = self.scores(images)?;
        match self.outputs {
            Outputs::Scores => Ok(outputs),
            Outputs::Probabilities => {
                let outputs = outputs.f_to_kind(Kind::Float)?;
                outputs.f_clamp_min(f64::from(f32::MIN_POSITIVE))?.f_log()
            }
        }
    }

    fn prepared_scores(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let scores = self.module.forward_ts(&[images])?;
        self.check_kind(scores.f_kind()?)?;
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
            outputs: self.outputs,
        })
    }
}
