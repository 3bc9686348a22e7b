//! A convolution with what follows it in one call to cuDNN: y = relu(conv(x) + bias), and y =
//! relu(conv(x) + bias + z).
//!
//! The activations are then written once and read never, where the plain operations write them two
//! or three times. What is fused follows from a fixed rule, not from a timing: fused and plain
//! results differ in their last bits, and a timing could come out otherwise on the next worker. The
//! rule: on a GPU, in bf16, fp16 and fp32, every convolution that a ReLU follows. Never in tf32,
//! since the fused calls take no word on it and follow torch's global setting, by which it is off
//! (see [`crate::device`]); and never where a derivative is asked for, for they have none.
//!
//! Before a layer relies on the call for images of a shape, it tries it against the plain
//! operations. That also tells whether this cuDNN has the call for that layer at all, and
//!
//! - whether it gives the same bits again. torch passes cuDNN no word on determinism in these
//!   calls, whatever its global setting: an algorithm that adds in an order of its own each time is
//!   not ruled out, only looked for;
//! - in fp16, whether what is no number stays so. A relu may make 0 of it, and a network whose
//!   activations overflow would then come to scores that look sound. Numbers of fp16 end at 65,504,
//!   which a sound network can reach, so there the call is used only where NaN goes through. Those
//!   of bf16 and fp32 end at 3e38: there weights must be finite, as images are, and what is left is
//!   a network whose activations pass 3e38 on finite images. Its scores may look sound, as they may
//!   by the fused kernels of the CPU.

use std::cell::RefCell;
use std::collections::HashMap;

use tch::{Kind, TchError, Tensor};

use super::Arithmetic;

/// How many convolutions run fused with what follows them, and how many could.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paths {
    /// Convolutions that a ReLU follows.
    pub candidates: usize,
    /// Those of them that run fused for every shape of images seen so far.
    pub fused: usize,
}

/// How often a call is made again, in search of one that adds in another order each time.
const REPEATS: usize = 2;

/// What a layer knows about its fused call, by the shape of its input.
#[derive(Debug, Clone, Default)]
pub(super) struct Fusion {
    tried: RefCell<HashMap<Vec<i64>, bool>>,
    /// Whether the call is to be used only where NaN goes through.
    shows_nan: bool,
}

impl Fusion {
    /// The rule, for a layer with these weights.
    pub(super) fn of(arithmetic: Arithmetic, weights: [&Tensor; 2]) -> Option<Self> {
        let allowed =
            arithmetic.device.is_cuda() && !arithmetic.tf32 && weights.into_iter().all(is_finite);
        allowed.then(|| Self {
            tried: RefCell::default(),
            shows_nan: arithmetic.kind == Kind::Half,
        })
    }

    /// Whether the call was tried, and held for every shape.
    pub(super) fn holds(&self) -> bool {
        let tried = self.tried.borrow();
        !tried.is_empty() && tried.values().all(|&good| good)
    }

    /// The fused result where the call is good for images of this shape, else the plain one. The
    /// first time both are computed.
    ///
    /// # Errors
    /// What torch reports of the path taken. Memory that ran out is no reason to take the other
    /// one: the next worker would take this.
    pub(super) fn run(
        &self,
        images: &Tensor,
        fused: impl Fn(&Tensor) -> Result<Tensor, TchError>,
        plain: impl Fn(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        let known = self.tried.borrow().get(&images.size()).copied();
        match known {
            Some(true) => return fused(images),
            Some(false) => return plain(images),
            None => {}
        }
        let expected = plain(images)?;
        spoil(&expected)?;
        let (good, result) = match fused(images) {
            Ok(found) if agrees(&found, &expected)? && self.keeps(&found, images, &fused)? => {
                (true, found)
            }
            Err(error) if error.to_string().contains("out of memory") => return Err(error),
            Ok(_) | Err(_) => (false, expected),
        };
        self.tried.borrow_mut().insert(images.size(), good);
        Ok(result)
    }

    /// Whether a call that gave the right numbers gives them again, and nothing but NaN for images
    /// of NaN.
    fn keeps(
        &self,
        found: &Tensor,
        images: &Tensor,
        fused: impl Fn(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<bool, TchError> {
        for _ in 0..REPEATS {
            spoil(found)?;
            if !fused(images)?.f_equal(found)? {
                return Ok(false);
            }
        }
        if !self.shows_nan {
            return Ok(true);
        }
        // Every window lies over some pixel, and NaN times anything is NaN. Not `spoil` here: the
        // memory must not help.
        let shown = fused(&images.f_full_like(f64::NAN)?)?;
        Ok(shown.f_isnan()?.f_all()?.f_int64_value(&[])? == 1)
    }
}

/// Whether every element is a number.
#[must_use]
pub fn is_finite(tensor: &Tensor) -> bool {
    tensor
        .f_isfinite()
        .and_then(|each| each.f_all())
        .is_ok_and(|all| bool::try_from(all).unwrap_or(false))
}

/// Leaves NaN in the memory that the next result of this shape gets. `cudnn_convolution_relu`
/// passes its own output, not yet written, as a term times 0; a cuDNN that reads it would make NaN
/// of whatever was there, now and then.
fn spoil(like: &Tensor) -> Result<(), TchError> {
    like.f_full_like(f64::NAN).map(drop)
}

/// Whether two results are the same but for rounding: no element differs by more than some units in
/// the last place of the largest. Fused calls round once where the plain operations round up to
/// three times.
fn agrees(found: &Tensor, expected: &Tensor) -> Result<bool, TchError> {
    if found.size() != expected.size() || found.f_kind()? != expected.f_kind()? {
        return Ok(false);
    }
    let allowed = match expected.f_kind()? {
        Kind::BFloat16 => 2f64.powi(-5),
        Kind::Half => 2f64.powi(-8),
        // Sums of some thousand terms in another order.
        _ => 2f64.powi(-16),
    };
    let expected = expected.f_to_kind(Kind::Float)?;
    let apart = found
        .f_to_kind(Kind::Float)?
        .f_sub(&expected)?
        .f_abs()?
        .f_max()?
        .f_double_value(&[])?;
    let largest = expected.f_abs()?.f_max()?.f_double_value(&[])?;
    // NaN is not below anything.
    Ok(apart <= allowed * largest.max(1e-3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "what a layer's calls return")]
    fn tensor(values: &[f32]) -> Result<Tensor, TchError> {
        Ok(Tensor::from_slice(values))
    }

    fn images(size: i64) -> Tensor {
        Tensor::ones([size], (Kind::Float, tch::Device::Cpu))
    }

    /// What the layer returns at first and then, for a fused call with these values beside plain
    /// ones of 1 and 2.
    fn twice(fused: &[f32]) -> [Vec<f32>; 2] {
        let layer = Fusion::default();
        let run = || {
            layer
                .run(&images(1), |_| tensor(fused), |_| tensor(&[1.0, 2.0]))
                .unwrap()
        };
        [(); 2].map(|()| Vec::try_from(run()).unwrap())
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
        let (layer, calls) = (Fusion::default(), RefCell::new(0));
        let fused = |_: &Tensor| {
            *calls.borrow_mut() += 1;
            Err(TchError::Torch("not supported".to_owned()))
        };
        for _ in 0..3 {
            let found = layer.run(&images(1), fused, |_| tensor(&[1.0])).unwrap();
            assert_eq!(Vec::<f32>::try_from(found).unwrap(), [1.0]);
        }
        assert_eq!((calls.into_inner(), layer.holds()), (1, false));
    }

    #[test]
    fn a_call_with_other_bits_the_next_time_is_not_used() {
        let (layer, calls) = (Fusion::default(), RefCell::new(0_u8));
        let fused = |_: &Tensor| {
            *calls.borrow_mut() += 1;
            tensor(&[if *calls.borrow() == 3 { 1.000_001 } else { 1.0 }])
        };
        let _ = layer.run(&images(1), fused, |_| tensor(&[1.0])).unwrap();
        assert!(!layer.holds());
    }

    #[test]
    fn a_call_that_makes_a_number_of_what_is_none_is_not_used_in_fp16() {
        // A relu that takes the larger of 0 and x, where nothing is larger than NaN.
        let swallows = |x: &Tensor| x.f_nan_to_num(0.0, None, None)?.f_relu();
        for (shows_nan, used) in [(true, false), (false, true)] {
            let layer = Fusion {
                shows_nan,
                ..Fusion::default()
            };
            let _ = layer.run(&images(3), swallows, Tensor::f_relu).unwrap();
            assert_eq!(layer.holds(), used);
        }
        let layer = Fusion {
            shows_nan: true,
            ..Fusion::default()
        };
        let _ = layer
            .run(&images(3), Tensor::f_relu, Tensor::f_relu)
            .unwrap();
        assert!(layer.holds());
    }

    #[test]
    fn only_a_gpu_fuses_and_never_tf32_or_weights_that_are_not_finite() {
        let on = |device, kind, tf32| Arithmetic {
            device,
            kind,
            tf32,
            wide: false,
        };
        let gpu = tch::Device::Cuda(0);
        let (sound, damaged) = (images(2), images(2) * f64::INFINITY);
        let of = |arithmetic, bias: &Tensor| {
            Fusion::of(arithmetic, [&sound, bias]).map(|fusion| fusion.shows_nan)
        };
        assert_eq!(of(on(gpu, Kind::BFloat16, false), &sound), Some(false));
        assert_eq!(of(on(gpu, Kind::Half, false), &sound), Some(true));
        assert_eq!(of(on(gpu, Kind::Float, true), &sound), None);
        assert_eq!(of(on(tch::Device::Cpu, Kind::Float, false), &sound), None);
        assert_eq!(of(on(gpu, Kind::Float, false), &damaged), None);
    }

    #[test]
    fn memory_that_ran_out_is_an_error_and_no_answer() {
        let layer = Fusion::default();
        let full = |_: &Tensor| {
            Err(TchError::Torch(
                "CUDA out of memory. Tried to allocate".to_owned(),
            ))
        };
        assert!(layer.run(&images(1), full, |_| tensor(&[1.0])).is_err());
        let run =
            |values: &'static [f32]| layer.run(&images(1), |_| tensor(values), |_| tensor(&[1.0]));
        assert!(run(&[1.0]).is_ok() && layer.holds());
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
        assert_eq!((run(1, 7.0), run(2, 1.0), layer.holds()), (7.0, 1.0, false));
    }
}
