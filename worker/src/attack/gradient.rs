//! The soft smoothed classifier around an input: its probabilities and their gradients.

use ddrs_common::domain::{Phase, SampleIndex, VariantName};
use tch::{Kind, TchError, Tensor};

use super::surface::Surface;
use crate::device::move_to;
use crate::noise::NoiseSource;
use crate::projected_ascent::derivative;
use crate::soft_classifier::{negative_log_likelihood, noisy, smoothed};

/// A smoothed classifier, with the noise that estimates it for one input.
pub(super) struct NoisyClassifier<'a> {
    pub(super) surface: &'a Surface<'a>,
    pub(super) device: tch::Device,
    pub(super) seed: u64,
    /// The name of the noise: the variant and the surface.
    pub(super) noise_name: &'a VariantName,
    pub(super) index: SampleIndex,
}

/// The direction of an ascent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AscentGoal {
    /// Away from the class of the surface.
    Away,
    /// From that class to another one.
    Toward(i64),
}

impl NoisyClassifier<'_> {
    /// Returns the gradients of the goals by the points, one goal per point. All points share the
    /// draws.
    pub(super) fn gradients(
        &self,
        points: &Tensor,
        goals: &[AscentGoal],
        draws: u32,
        chunk: u64,
    ) -> Result<Tensor, TchError> {
        let leaf = points.f_detach()?.f_set_requires_grad(true)?;
        let scores = self.scores(&leaf, draws, chunk)?;
        derivative(&self.losses(&scores, goals, draws)?, &leaf)
    }

    /// Returns the loss of each point: -log of the class's probability, and for a goal with another
    /// class also the log of that one's.
    fn losses(
        &self,
        scores: &Tensor,
        goals: &[AscentGoal],
        draws: u32,
    ) -> Result<Tensor, TchError> {
        let class = i64::from(self.surface.class.0);
        let others: Vec<i64> = goals
            .iter()
            .map(|goal| goal.other().unwrap_or(class))
            .collect();
        let weights: Vec<f32> = goals.iter().map(|goal| goal.weight()).collect();
        let away = self.unlikelihood(scores, &vec![class; goals.len()], draws)?;
        let toward = self.unlikelihood(scores, &others, draws)?;
        let weights = Tensor::f_from_slice(&weights)?.f_to(self.device)?;
        away.f_sub(&toward.f_mul(&weights)?)
    }

    /// Returns -log of the probability of a class at each point.
    fn unlikelihood(
        &self,
        scores: &Tensor,
        classes: &[i64],
        draws: u32,
    ) -> Result<Tensor, TchError> {
        let points = classes.len() as i64;
        let classes = Tensor::f_from_slice(classes)?.f_to(self.device)?;
        negative_log_likelihood(scores, &classes, points, i64::from(draws))
    }

    /// Returns the probability of each class at each point, of shape (points, classes).
    pub(super) fn probabilities(
        &self,
        points: &Tensor,
        draws: u32,
        chunk: u64,
    ) -> Result<Vec<Vec<f64>>, TchError> {
        let count = points.size()[0];
        let scores = tch::no_grad(|| self.scores(points, draws, chunk))?;
        let means = smoothed(&scores, count, i64::from(draws))?;
        Vec::try_from(means.f_to_kind(Kind::Double)?)
    }

    /// Scores `draws` noisy copies of each point.
    fn scores(&self, points: &Tensor, draws: u32, chunk: u64) -> Result<Tensor, TchError> {
        let count = points.size()[0];
        let noise = self.noise(draws, chunk)?.f_repeat([count, 1, 1, 1])?;
        let sigma = Tensor::f_full(
            [count],
            self.surface.sigma.get(),
            (Kind::Float, self.device),
        )?;
        let batch = noisy(points, &sigma, &noise, i64::from(draws))?;
        let scores = self.surface.network.differentiable_scores(&batch)?;
        scores.f_to_kind(Kind::Float)
    }

    /// Draws noise of shape (draws, channels, height, width).
    pub(super) fn noise(&self, draws: u32, chunk: u64) -> Result<Tensor, TchError> {
        let [channels, height, width] = self.surface.network.shape();
        let source = NoiseSource {
            seed: self.seed,
            variant: self.noise_name,
            index: self.index,
        };
        let mut values = Vec::new();
        let key = source.chunk(Phase::Sigma, chunk);
        key.append(u64::from(draws), channels * height * width, &mut values);
        let shape = [
            i64::from(draws),
            height as i64,
            width as i64,
            channels as i64,
        ];
        let noise = Tensor::f_from_slice(&values)?.f_view(shape)?;
        move_to(self.device, noise)?.f_permute([0, 3, 1, 2])
    }
}

impl AscentGoal {
    fn other(self) -> Option<i64> {
        match self {
            Self::Away => None,
            Self::Toward(other) => Some(other),
        }
    }

    /// The weight of the other class in the loss.
    fn weight(self) -> f32 {
        match self {
            Self::Away => 0.0,
            Self::Toward(_) => 1.0,
        }
    }
}
