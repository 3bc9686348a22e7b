//! Classes counted under noise, slice by slice of a chunk.

use std::ops::Range;
use std::sync::atomic::Ordering;

use ddrs_common::domain::{Phase, Sigma};
use rayon::prelude::*;
use tch::{Kind, TchError, Tensor};

use super::certify::{Input, Task, Trouble};
use crate::noise::ChunkKey;

/// Pixels of the images that one forward pass on the CPU takes: their activations should stay in the caches. The split
/// of a chunk is a function of the image's size alone, so it changes no result between runs.
const CPU_PIXELS: usize = 50 * 32 * 32;
/// The fewest images of a forward pass, unless the chunk has fewer: with less than 16 on one thread torch does without
/// oneDNN, which makes a third more passes a second of a ResNet-50 in fp32.
const CPU_LEAST: usize = 16;

impl Task<'_> {
    /// How often each class comes in `n` draws of a phase, from chunk `first` on.
    pub(super) fn counts(
        &self,
        input: &Input,
        sigma: Sigma,
        phase: Phase,
        first: u64,
        n: u64,
    ) -> Result<Vec<u64>, Trouble> {
        let chunk = self.sweep.certify.chunk.get();
        let slice = self.slice(chunk);
        let slices: Vec<(ChunkKey, Range<u64>)> = (0..n.div_ceil(chunk))
            .flat_map(|number| {
                let (key, draws) = (self.key(input, phase, first + number), chunk.min(n - number * chunk));
                (0..draws.div_ceil(slice)).map(move |part| (key, part * slice..draws.min((part + 1) * slice)))
            })
            .collect();
        let none = || vec![0; self.network.classes() as usize];
        let add = |mut sum: Vec<u64>, counts: Vec<u64>| {
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            Ok(sum)
        };
        slices.into_par_iter().map(|(key, draws)| self.count(input, sigma, key, draws)).try_reduce(none, add)
    }

    /// One forward pass: how often each class comes in a range of draws of a chunk.
    fn count(&self, input: &Input, sigma: Sigma, key: ChunkKey, draws: Range<u64>) -> Result<Vec<u64>, Trouble> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Trouble::Stopped);
        }
        let times = &self.engine.times;
        tch::no_grad(|| {
            let batch = times.noise.time(|| self.noisy(input, sigma, key, draws.clone()))?;
            let scores = times.forward.time(|| self.network.scores(&batch))?;
            times.count.time(|| count_classes(&scores, draws.end - draws.start, self.network.classes()))
        })
    }

    /// The input under each of the draws, of shape (draws, channels, height, width).
    fn noisy(&self, input: &Input, sigma: Sigma, key: ChunkKey, draws: Range<u64>) -> Result<Tensor, TchError> {
        let images = draws.end - draws.start;
        if self.engine.device.is_cuda() {
            tch::manual_seed(key.device_seed());
            let noise = Tensor::f_randn(self.memory_shape(images as usize), (Kind::Float, self.engine.device))?;
            let noise = noise.f_permute([0, 3, 1, 2])?;
            return self.tensor(&input.pixels, 1)?.f_add(&noise.f_mul_scalar(sigma.get())?);
        }
        let rows = (0..images as usize).map(|row| (draws.start + row as u64, sigma.get()));
        self.tensor(&key.noisy(rows, &input.pixels), images as usize)
    }

    /// How many draws of a chunk one forward pass takes.
    pub(super) fn slice(&self, chunk: u64) -> u64 {
        let [_, height, width] = self.network.shape();
        let slice =
            if self.engine.device.is_cuda() { chunk } else { (CPU_PIXELS / (height * width)).max(CPU_LEAST) as u64 };
        slice.min(chunk)
    }
}

/// How often each class scores highest in `draws` rows, the first among equals. Scores that are not finite are never
/// counted, nor are those of a program that makes something else of this input than of others. Reads back from the
/// device once.
fn count_classes(scores: &Tensor, draws: u64, classes: u32) -> Result<Vec<u64>, Trouble> {
    let expected = [draws as i64, i64::from(classes)];
    if scores.size() != expected {
        let reason = format!("the model's scores have shape {:?}, expected {expected:?}", scores.size());
        return Err(Trouble::Sample(reason));
    }
    let finite = scores.f_isfinite()?.f_all()?.f_to_kind(Kind::Int64)?.f_view([1])?;
    let counts = scores.f_argmax(1, false)?.f_bincount(None::<Tensor>, i64::from(classes))?;
    let read: Vec<i64> = Vec::try_from(Tensor::f_cat(&[finite, counts], 0)?)?;
    match &read[..] {
        [1, counts @ ..] => Ok(counts.iter().map(|&count| count as u64).collect()),
        _ => Err(Trouble::Sample("the model's scores are not all finite".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn equal_scores_count_for_the_first_class() {
        for kind in [Kind::Float, Kind::BFloat16] {
            let scores = Tensor::from_slice(&[1f32, 1.0, 1.0, 0.0, 2.0, 2.0, 3.0, 4.0, 0.0]).view([3, 3]).to_kind(kind);
            assert_eq!(count_classes(&scores, 3, 3).ok().unwrap(), [1, 2, 0]);
        }
    }

    #[test]
    fn scores_that_are_not_finite_are_never_counted() {
        for kind in [Kind::Double, Kind::Float, Kind::BFloat16, Kind::Half] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let scores = Tensor::from_slice(&[0.0, 1.0, bad, 0.0]).view([2, 2]).to_kind(kind);
                assert!(matches!(count_classes(&scores, 2, 2), Err(Trouble::Sample(_))), "{kind:?} {bad}");
            }
            // The largest number of the kind is a score like any other.
            let largest = if kind == Kind::Half { 65504.0 } else { 3e38 };
            let scores = Tensor::from_slice(&[0f32, largest]).view([1, 2]).to_kind(kind);
            assert_eq!(count_classes(&scores, 1, 2).ok().unwrap(), [0, 1]);
        }
    }

    #[test]
    fn scores_of_another_shape_are_never_counted() {
        for shape in [[3, 2], [2, 3], [6, 1], [1, 6]] {
            let scores = Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu));
            assert!(matches!(count_classes(&scores, 2, 2), Err(Trouble::Sample(_))), "{shape:?}");
        }
    }
}
