//! A convolution with what follows it in one call to cuDNN: y = relu(conv(x) + bias), and y = relu(conv(x) + bias + z).
//!
//! The activations are then written once and read never, where the plain operations write them two or three times. What
//! is fused follows from a fixed rule, not from a timing: fused and plain results differ in their last bits, and a
//! timing could come out otherwise on the next worker. The rule: on a GPU, in bf16, fp16 and fp32, every convolution that a
//! ReLU follows. Never in tf32, since the fused calls take no word on it and follow torch's global setting, by which it is
//! off (see [`crate::device`]); and never where a derivative is asked for, for they have none.
//!
//! Before a layer relies on the call for images of a shape, it tries it once against the plain operations. That also
//! tells whether this cuDNN has the call for that layer at all.

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

/// What a layer knows about its fused call, by the shape of its input.
#[derive(Debug, Clone, Default)]
pub(super) struct Fusion(RefCell<HashMap<Vec<i64>, bool>>);

impl Fusion {
    /// The rule, for the layers of one network.
    pub(super) fn of(arithmetic: Arithmetic) -> Option<Self> {
        (arithmetic.device.is_cuda() && !arithmetic.tf32).then(Self::default)
    }

    /// Whether the call was tried, and held for every shape.
    pub(super) fn holds(&self) -> bool {
        let tried = self.0.borrow();
        !tried.is_empty() && tried.values().all(|&good| good)
    }

    /// The fused result where the call is good for this shape, else the plain one. The first time both are computed.
    ///
    /// # Errors
    /// What torch reports of the path taken. Memory that ran out is no reason to take the other one: the next worker would
    /// take this.
    pub(super) fn run(
        &self,
        shape: Vec<i64>,
        fused: impl Fn() -> Result<Tensor, TchError>,
        plain: impl Fn() -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        let known = self.0.borrow().get(&shape).copied();
        match known {
            Some(true) => return fused(),
            Some(false) => return plain(),
            None => {}
        }
        let expected = plain()?;
        spoil(&expected)?;
        let (good, result) = match fused() {
            Ok(found) if agrees(&found, &expected)? => (true, found),
            Err(error) if error.to_string().contains("out of memory") => return Err(error),
            Ok(_) | Err(_) => (false, expected),
        };
        self.0.borrow_mut().insert(shape, good);
        Ok(result)
    }
}

/// Leaves NaN in the memory that the next result of this shape gets. `cudnn_convolution_relu` passes its own output,
/// not yet written, as a term times 0; a cuDNN that reads it would make NaN of whatever was there, now and then.
fn spoil(like: &Tensor) -> Result<(), TchError> {
    like.f_full_like(f64::NAN).map(drop)
}

/// Whether two results are the same but for rounding: no element differs by more than some units in the last place of
/// the largest. Fused calls round once where the plain operations round up to three times.
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
    let apart = found.f_to_kind(Kind::Float)?.f_sub(&expected)?.f_abs()?.f_max()?.f_double_value(&[])?;
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

    /// What the layer returns at first and then, for a fused call with these values beside plain ones of 1 and 2.
    fn twice(fused: &[f32]) -> [Vec<f32>; 2] {
        let layer = Fusion::default();
        [(); 2].map(|()| Vec::try_from(layer.run(vec![1], || tensor(fused), || tensor(&[1.0, 2.0])).unwrap()).unwrap())
    }

    #[test]
    fn a_call_that_agrees_is_used_from_the_first_time() {
        assert_eq!(twice(&[1.0, 2.000_01]), [[1.0, 2.000_01], [1.0, 2.000_01]]);
    }

    #[test]
    fn a_call_that_computes_something_else_is_never_used() {
        for wrong in [&[1.0, 2.001][..], &[1.0, f32::NAN], &[f32::INFINITY, 2.0], &[1.0], &[1.0, 2.0, 3.0]] {
            assert_eq!(twice(wrong), [[1.0, 2.0], [1.0, 2.0]], "{wrong:?}");
        }
    }

    #[test]
    fn a_call_that_fails_is_not_tried_again() {
        let (layer, calls) = (Fusion::default(), RefCell::new(0));
        let fused = || {
            *calls.borrow_mut() += 1;
            Err(TchError::Torch("not supported".to_owned()))
        };
        for _ in 0..3 {
            assert_eq!(Vec::<f32>::try_from(layer.run(vec![1], fused, || tensor(&[1.0])).unwrap()).unwrap(), [1.0]);
        }
        assert_eq!((calls.into_inner(), layer.holds()), (1, false));
    }

    #[test]
    fn memory_that_ran_out_is_an_error_and_no_answer() {
        let layer = Fusion::default();
        let full = || Err(TchError::Torch("CUDA out of memory. Tried to allocate".to_owned()));
        assert!(layer.run(vec![1], full, || tensor(&[1.0])).is_err());
        assert!(layer.run(vec![1], || tensor(&[1.0]), || tensor(&[1.0])).is_ok() && layer.holds());
    }

    #[test]
    fn every_shape_is_tried_for_itself() {
        let layer = Fusion::default();
        let run = |size, fused: f32| {
            layer.run(vec![size], || tensor(&[fused]), || tensor(&[1.0])).unwrap().double_value(&[0])
        };
        assert_eq!((run(1, 1.000_01), run(2, 5.0)), (f64::from(1.000_01f32), 1.0));
        assert_eq!((run(1, 7.0), run(2, 1.0), layer.holds()), (7.0, 1.0, false));
    }
}
