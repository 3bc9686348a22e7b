//! Searches the sigma with the largest estimated radius by comparison, without a derivative.

use ddrs_common::domain::{Probability, Sigma};
use ddrs_common::spec::{DataDependentSpec, SigmaMethod};
use ddrs_common::stats::{argmax, quantile_lower};

/// Searches the sigma that maximises the radius that Algorithm 1 of Alfarra et al. (2022) ascends,
///
/// R(sigma) = sigma/2 · (q(psi_c) - q(psi_o)).
///
/// psi is the mean over the draws of softmax(f(x + sigma·eps)). c is the class that leads at the
/// variant's sigma, and o the best of the others, both clamped to \[clamp, 1 - clamp\]. q is the
/// standard normal quantile. All sigmas are tried on the same draws eps, so R is one fixed function
/// and differences come from the sigmas alone.
///
/// The class is fixed because a search over the whole range could otherwise lose the input: under
/// noise that is far too large, many networks return one class for every input, with confidence. An
/// ascent in small steps hardly ever gets there.
///
/// The first round tries the variant's sigma and others that divide the range evenly on a
/// logarithmic scale. Every further round divides the gaps on both sides of the best so far. Among
/// equal radii the first one tried wins. The search makes
/// candidates + (rounds - 1)(candidates - 1) comparisons and is a function of the draws alone.
#[derive(Debug, Clone)]
pub struct Search {
    candidates: Vec<Sigma>,
    /// Every sigma tried so far with its radius.
    tried: Vec<(Sigma, f64)>,
    /// The class that leads at the variant's sigma, once that is tried.
    class: Option<usize>,
    clamp: f64,
    range: (Sigma, Sigma),
    /// New sigmas per round after the first.
    per_round: u32,
    rounds_left: u32,
}

impl Search {
    /// Begins at the variant's sigma.
    #[must_use]
    pub fn new(sigma0: Sigma, spec: &DataDependentSpec) -> Self {
        let (rounds, candidates) = match spec.method {
            SigmaMethod::Search { rounds, candidates } => (rounds, candidates),
            SigmaMethod::Gradient => (1, 1),
        };
        let per_round = candidates - 1;
        let mut first = vec![sigma0];
        first.extend(between(spec.range.0, spec.range.1, per_round));
        Self {
            candidates: first,
            tried: Vec::new(),
            class: None,
            clamp: spec.clamp,
            range: spec.range,
            per_round,
            rounds_left: rounds,
        }
    }

    /// Returns the sigmas to try next, on the same draws as before.
    #[must_use]
    pub fn candidates(&self) -> &[Sigma] {
        &self.candidates
    }

    /// Takes psi, one probability per class, for each of the [`candidates`](Self::candidates).
    pub fn observe(&mut self, psi: &[Vec<f64>]) {
        let leading = || psi.first().map_or(0, |psi| argmax(psi));
        let class = *self.class.get_or_insert_with(leading);
        for (&sigma, psi) in self.candidates.iter().zip(psi) {
            let radius = radius(sigma, psi, class, self.clamp);
            self.tried.push((sigma, radius));
        }
        self.rounds_left = self.rounds_left.saturating_sub(1);
        self.candidates = self.refined();
    }

    /// Returns the best sigma once every round is over.
    #[must_use]
    pub fn best(&self) -> Option<Sigma> {
        if self.rounds_left > 0 {
            None
        } else {
            self.leader()
        }
    }

    /// Returns the sigma with the largest radius so far, the first among equals.
    fn leader(&self) -> Option<Sigma> {
        let mut best: Option<(Sigma, f64)> = None;
        for &(sigma, radius) in &self.tried {
            if best.is_none_or(|(_, largest)| radius > largest) {
                best = Some((sigma, radius));
            }
        }
        best.map(|(sigma, _)| sigma)
    }

    /// Returns new sigmas on both sides of the best, up to the nearest ones tried or the ends of
    /// the range.
    fn refined(&self) -> Vec<Sigma> {
        let Some(best) = self.leader() else {
            return Vec::new();
        };
        let below = self.per_round / 2;
        let mut sigmas = between(self.nearest_below(best), best, below);
        sigmas.extend(between(
            best,
            self.nearest_above(best),
            self.per_round - below,
        ));
        sigmas
    }

    fn sigmas(&self) -> impl Iterator<Item = Sigma> {
        self.tried.iter().map(|&(sigma, _)| sigma)
    }

    fn nearest_below(&self, best: Sigma) -> Sigma {
        self.sigmas()
            .filter(|&sigma| sigma < best)
            .fold(self.range.0, larger)
    }

    fn nearest_above(&self, best: Sigma) -> Sigma {
        self.sigmas()
            .filter(|&sigma| sigma > best)
            .fold(self.range.1, smaller)
    }
}

fn larger(a: Sigma, b: Sigma) -> Sigma {
    if b > a { b } else { a }
}

fn smaller(a: Sigma, b: Sigma) -> Sigma {
    if b < a { b } else { a }
}

/// Returns `count` sigmas strictly between two, evenly on a logarithmic scale. Where there is no
/// room they repeat an end.
fn between(low: Sigma, high: Sigma, count: u32) -> Vec<Sigma> {
    let step = (high.get() / low.get()).ln() / f64::from(count + 1);
    let values = (1..=count).map(|number| low.get() * (step * f64::from(number)).exp());
    values.map(|value| clamped(value, low, high)).collect()
}

fn clamped(value: f64, low: Sigma, high: Sigma) -> Sigma {
    let value = value.clamp(low.get().min(high.get()), high.get());
    // A number between two sigmas is a valid sigma.
    Sigma::new(value).unwrap_or(low)
}

/// Estimates the radius R of Algorithm 1 from psi and its leading class.
/// [`estimated_radius`](super::estimated_radius) is the form for tensors.
#[must_use]
pub fn estimate(sigma: Sigma, psi: &[f64], clamp: f64) -> f64 {
    radius(sigma, psi, argmax(psi), clamp)
}

/// Estimates the radius R of [`Search`] for a fixed class: the scalar form of
/// [`estimated_radius`](super::estimated_radius). Returns minus infinity if psi is not made of
/// numbers.
fn radius(sigma: Sigma, psi: &[f64], class: usize, clamp: f64) -> f64 {
    let gap = quantile(psi[class], clamp) - quantile(largest_other(psi, class), clamp);
    number_or_lowest(sigma.get() / 2.0 * gap)
}

fn number_or_lowest(value: f64) -> f64 {
    if value.is_nan() {
        f64::NEG_INFINITY
    } else {
        value
    }
}

fn largest_other(psi: &[f64], class: usize) -> f64 {
    let others = psi[..class].iter().chain(&psi[class + 1..]);
    others.copied().fold(0.0, f64::max)
}

/// Returns the standard normal quantile of p, clamped to \[clamp, 1 - clamp\].
fn quantile(p: f64, clamp: f64) -> f64 {
    let p = p.clamp(clamp, 1.0 - clamp);
    if p > 0.5 {
        upper_quantile(p)
    } else {
        -upper_quantile(1.0 - p)
    }
}

fn upper_quantile(p: f64) -> f64 {
    Probability::new(p).map_or(f64::NAN, quantile_lower)
}

#[cfg(test)]
mod tests;
