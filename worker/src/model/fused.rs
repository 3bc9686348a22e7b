//! A convolution and the operations after it in one call to cuDNN: y = relu(conv(x) + bias), and
//! y = relu(conv(x) + bias + z).
//!
//! A fused call writes the activations once, where the plain operations write and read them two or
//! three times. A fixed rule decides which layers are fused, not a timing: fused and plain results
//! differ in their last bits, and the next worker's timing could decide otherwise. The rule: on a
//! GPU, in bf16, fp16 and fp32, every convolution that a ReLU follows. tf32 is excluded, because
//! the fused calls have no argument for it and follow torch's global setting, which is off (see
//! [`crate::device`]). Passes that need derivatives are excluded, because the calls have none.
//!
//! Before a layer uses the call for images of a shape, it compares the call with the plain
//! operations. That also shows whether this cuDNN supports the call for the layer, and
//!
//! - whether it returns the same bits again. torch does not ask cuDNN for determinism in these
//!   calls, whatever its global setting. An algorithm that adds in a different order each time is
//!   therefore possible; the comparison looks for it but cannot rule it out;
//! - in fp16, whether NaN stays NaN. A ReLU may turn NaN into 0, and the scores of a network whose
//!   activations overflow would then look sound. The largest fp16 number is 65,504, which a sound
//!   network can reach, so in fp16 the call is used only where it keeps NaN. The largest bf16 and
//!   fp32 numbers are 3e38. There weights must be finite, as images are. One case remains: the
//!   scores of a network whose activations pass 3e38 on finite images may look sound, as with the
//!   fused kernels of the CPU.

use std::cell::RefCell;
use std::collections::HashMap;

use tch::{Kind, TchError, Tensor};

use super::arithmetic::Arithmetic;
use super::tensors::{all, are_finite};
use crate::failure::TorchFailure;

/// Counts of the convolutions that can be fused with the ReLU after them, and of those that are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FusionCounts {
    /// Convolutions that a ReLU follows.
    pub candidates: usize,
    /// Candidates that run fused for every shape of images seen so far.
    pub fused: usize,
}

/// The number of repeated calls that look for a result with other bits.
const REPEATS: usize = 2;

/// The decisions of one layer about its fused call.
#[derive(Debug, Clone, Default)]
pub(super) struct Fusion {
    /// By the shape of the input: true if the call is used.
    decisions: RefCell<HashMap<Vec<i64>, bool>>,
    /// True if the call must keep NaN to be used.
    must_keep_nan: bool,
}

impl Fusion {
    /// Applies the rule to a layer with these weights. Returns `None` where it forbids fusion.
    pub(super) fn for_layer(arithmetic: Arithmetic, weights: [&Tensor; 2]) -> Option<Self> {
        let allowed = arithmetic.device.is_cuda() && !arithmetic.tf32 && are_finite(weights);
        allowed.then(|| Self {
            decisions: RefCell::default(),
            must_keep_nan: arithmetic.kind == Kind::Half,
        })
    }

    /// Returns true if the call was tried at least once and is used for every shape so far.
    pub(super) fn is_used(&self) -> bool {
        let decisions = self.decisions.borrow();
        !decisions.is_empty() && decisions.values().all(|&used| used)
    }

    /// Returns the fused result where the call is sound for images of this shape, else the plain
    /// one. The first call for a shape computes both.
    ///
    /// # Errors
    /// When the operations fail. A fused call that lacks memory is an error too: the plain
    /// operations might succeed here, while the next worker would use the fused call.
    pub(super) fn run(
        &self,
        images: &Tensor,
        fused: impl Fn(&Tensor) -> Result<Tensor, TchError>,
        plain: impl Fn(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        let decision = self.decisions.borrow().get(&images.size()).copied();
        match decision {
            Some(true) => fused(images),
            Some(false) => plain(images),
            None => self.decide(images, fused, &plain(images)?),
        }
    }

    /// Compares the fused call with the expected result, remembers whether to use it, and returns
    /// the result to use.
    fn decide(
        &self,
        images: &Tensor,
        fused: impl Fn(&Tensor) -> Result<Tensor, TchError>,
        expected: &Tensor,
    ) -> Result<Tensor, TchError> {
        leave_nan_in_memory(expected)?;
        let result = self.try_out(images, fused, expected)?;
        let mut decisions = self.decisions.borrow_mut();
        decisions.insert(images.size(), result.is_some());
        Ok(result.unwrap_or_else(|| expected.shallow_clone()))
    }

    /// Returns the result of the fused call if it is sound.
    fn try_out(
        &self,
        images: &Tensor,
        fused: impl Fn(&Tensor) -> Result<Tensor, TchError>,
        expected: &Tensor,
    ) -> Result<Option<Tensor>, TchError> {
        match fused(images) {
            Ok(found) => {
                let is_sound = self.is_sound(&found, expected, images, fused)?;
                Ok(is_sound.then_some(found))
            }
            Err(error) => match TorchFailure::of(&error) {
                TorchFailure::OutOfMemory => Err(error),
                TorchFailure::Other => Ok(None),
            },
        }
    }

    fn is_sound(
        &self,
        found: &Tensor,
        expected: &Tensor,
        images: &Tensor,
        fused: impl Fn(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<bool, TchError> {
        Ok(agrees(found, expected)?
            && repeats(found, images, &fused)?
            && (!self.must_keep_nan || keeps_nan(images, &fused)?))
    }
}

/// Returns true if the call returns the bits of `found` again.
fn repeats(
    found: &Tensor,
    images: &Tensor,
    fused: impl Fn(&Tensor) -> Result<Tensor, TchError>,
) -> Result<bool, TchError> {
    for _ in 0..REPEATS {
        leave_nan_in_memory(found)?;
        if !fused(images)?.f_equal(found)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns true if the call returns only NaN for images of NaN. Every window covers at least one
/// pixel, and NaN times any number is NaN. Memory is not filled with NaN before this call, because
/// that could produce the NaN that the call itself should.
fn keeps_nan(
    images: &Tensor,
    fused: impl Fn(&Tensor) -> Result<Tensor, TchError>,
) -> Result<bool, TchError> {
    let scores = fused(&images.f_full_like(f64::NAN)?)?;
    all(&scores.f_isnan()?)
}

/// Fills with NaN the memory that the next result of this shape gets. `cudnn_convolution_relu`
/// passes its own unwritten output as a term times 0. A cuDNN that reads it would return NaN
/// occasionally, depending on the previous content.
fn leave_nan_in_memory(like: &Tensor) -> Result<(), TchError> {
    like.f_full_like(f64::NAN).map(drop)
}

/// Returns true if two results differ only by rounding: no element differs by more than some units
/// in the last place of the largest. Fused calls round once, the plain operations up to three
/// times.
fn agrees(found: &Tensor, expected: &Tensor) -> Result<bool, TchError> {
    let kind = expected.f_kind()?;
    let same_form = found.size() == expected.size() && found.f_kind()? == kind;
    Ok(same_form && is_close(found, expected, tolerance(kind))?)
}

fn is_close(found: &Tensor, expected: &Tensor, tolerance: f64) -> Result<bool, TchError> {
    let expected = expected.f_to_kind(Kind::Float)?;
    let difference = found.f_to_kind(Kind::Float)?.f_sub(&expected)?;
    let largest = largest_magnitude(&expected)?;
    // A comparison with NaN is false.
    Ok(largest_magnitude(&difference)? <= tolerance * largest.max(1e-3))
}

fn largest_magnitude(tensor: &Tensor) -> Result<f64, TchError> {
    tensor.f_abs()?.f_max()?.f_double_value(&[])
}

/// The largest difference that rounding explains, relative to the largest value.
fn tolerance(kind: Kind) -> f64 {
    match kind {
        Kind::BFloat16 => 2f64.powi(-5),
        Kind::Half => 2f64.powi(-8),
        // Sums of several thousand terms in another order.
        _ => 2f64.powi(-16),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "the signature of a layer's calls")]
    fn tensor(values: &[f32]) -> Result<Tensor, TchError> {
        Ok(Tensor::from_slice(values))
    }

    fn images(size: i64) -> Tensor {
        Tensor::ones([size], (Kind::Float, tch::Device::Cpu))
    }

    /// The layer's first and second result when the fused call returns these values and the plain
    /// operations return 1 and 2.
    fn twice(fused: &[f32]) -> [Vec<f32>; 2] {
        let layer = Fusion::default();
        let run = || layer.run(&images(1), |_| tensor(fused), |_| tensor(&[1.0, 2.0]));
        [(); 2].map(|()| Vec::try_from(run().unwrap()).unwrap())
    }

    #[test]
    fn a_call_that_agrees_is_used_from_the_first_time() {
        assert_eq!(twice(&[1.0, 2.000_01]), [[1.0, 2.000_01], [1.0, 2.000_01]]);
    }

    #[test]
    fn a_call_that_computes_something_else_is_never_used() {
        for wrong in [
            &[1.0, 2.001][..],
            &[1.0, f32::NAN],
            &[f32::INFINITY, 2.0],
            &[1.0],
            &[1.0, 2.0, 3.0],
        ] {
            assert_eq!(twice(wrong), [[1.0, 2.0], [1.0, 2.0]], "{wrong:?}");
        }
    }

    #[test]
    fn a_call_that_fails_is_not_tried_again() {
        let layer = Fusion::default();
        let calls = RefCell::new(0);
        let fused = |_: &Tensor| {
            *calls.borrow_mut() += 1;
            Err(TchError::Torch("not supported".to_owned()))
        };
        for _ in 0..3 {
            let found = layer.run(&images(1), fused, |_| tensor(&[1.0])).unwrap();
            assert_eq!(Vec::<f32>::try_from(found).unwrap(), [1.0]);
        }
        assert_eq!((calls.into_inner(), layer.is_used()), (1, false));
    }

    #[test]
    fn a_call_with_other_bits_the_next_time_is_not_used() {
        let layer = Fusion::default();
        let calls = RefCell::new(0_u8);
        let fused = |_: &Tensor| {
            *calls.borrow_mut() += 1;
            tensor(&[if *calls.borrow() == 3 { 1.000_001 } else { 1.0 }])
        };
        let _ = layer.run(&images(1), fused, |_| tensor(&[1.0])).unwrap();
        assert!(!layer.is_used());
    }

    #[test]
    fn a_call_that_turns_nan_into_a_number_is_not_used_in_fp16() {
        // A ReLU that returns 0 for NaN, because NaN is not larger than 0.
        let swallows = |x: &Tensor| x.f_nan_to_num(0.0, None, None)?.f_relu();
        for (must_keep_nan, used) in [(true, false), (false, true)] {
            let layer = Fusion {
                must_keep_nan,
                ..Fusion::default()
            };
            let _ = layer.run(&images(3), swallows, Tensor::f_relu).unwrap();
            assert_eq!(layer.is_used(), used);
        }
        let layer = Fusion {
            must_keep_nan: true,
            ..Fusion::default()
        };
        let _ = layer
            .run(&images(3), Tensor::f_relu, Tensor::f_relu)
            .unwrap();
        assert!(layer.is_used());
    }

    fn on(device: tch::Device, kind: Kind, tf32: bool) -> Arithmetic {
        Arithmetic {
            device,
            kind,
            tf32,
            emulates_bf16: false,
        }
    }

    #[test]
    fn only_a_gpu_fuses_and_never_tf32_or_weights_that_are_not_finite() {
        let gpu = tch::Device::Cuda(0);
        let sound = images(2);
        let damaged = images(2) * f64::INFINITY;
        let of = |arithmetic, bias: &Tensor| {
            Fusion::for_layer(arithmetic, [&sound, bias]).map(|fusion| fusion.must_keep_nan)
        };
        assert_eq!(of(on(gpu, Kind::BFloat16, false), &sound), Some(false));
        assert_eq!(of(on(gpu, Kind::Half, false), &sound), Some(true));
        assert_eq!(of(on(gpu, Kind::Float, true), &sound), None);
        assert_eq!(of(on(tch::Device::Cpu, Kind::Float, false), &sound), None);
        assert_eq!(of(on(gpu, Kind::Float, false), &damaged), None);
    }

    #[test]
    fn memory_that_ran_out_is_an_error_and_not_a_decision() {
        let layer = Fusion::default();
        let full = |_: &Tensor| {
            Err(TchError::Torch(
                "CUDA out of memory. Tried to allocate".to_owned(),
            ))
        };
        assert!(layer.run(&images(1), full, |_| tensor(&[1.0])).is_err());
        let run =
            |values: &'static [f32]| layer.run(&images(1), |_| tensor(values), |_| tensor(&[1.0]));
        assert!(run(&[1.0]).is_ok() && layer.is_used());
    }

    #[test]
    fn every_shape_is_tried_for_itself() {
        let layer = Fusion::default();
        let run = |size, fused: f32| {
            let found = layer.run(&images(size), |_| tensor(&[fused]), |_| tensor(&[1.0]));
            found.unwrap().double_value(&[0])
        };
        assert_eq!(
            (run(1, 1.000_01), run(2, 5.0)),
            (f64::from(1.000_01f32), 1.0)
        );
        assert_eq!(
            (run(1, 7.0), run(2, 1.0), layer.is_used()),
            (7.0, 1.0, false)
        );
    }
}
