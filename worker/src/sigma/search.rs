//! The sigma with the largest estimated radius, by comparison alone.

use ddrs_common::domain::{Probability, Sigma};
use ddrs_common::spec::{DataDependentSpec, SigmaMethod};
use ddrs_common::stats::quantile_lower;

/// Looks for the sigma that maximises the radius that Algorithm 1 of Alfarra et al. (2022) climbs,
///
/// R(sigma) = sigma/2 · (q(psi_c) - q(psi_o)),
///
/// where psi is the mean over the draws of softmax(f(x + sigma·eps)), c the class that leads at the
/// variant's own sigma, o the best of the others, both clamped to \[clamp, 1 - clamp\], and q is
/// the standard normal quantile. All sigmas are tried on the same draws eps, so their differences
/// are the sigmas' and R is one fixed function.
///
/// The class is held fast because nothing else keeps a search over the whole range from leaving the
/// input behind: under noise that is far too large many networks say one class of everything, with
/// confidence. An ascent in small steps hardly ever gets there.
///
/// The first round tries the variant's sigma and others that divide the range evenly on a
/// logarithmic scale; every further round divides the gaps on both sides of the best so far. Of
/// equal radii the first tried counts. It makes candidates + (rounds - 1)(candidates - 1)
/// comparisons, and is a function of the draws alone.
#[derive(Debug, Clone)]
pub struct Search {
    candidates: Vec<Sigma>,
    /// Every sigma tried so far and its radius.
    tried: Vec<(Sigma, f64)>,
    /// The class that leads at the variant's sigma, once that is tried.
    class: Option<usize>,
    clamp: f64,
    range: (Sigma, Sigma),
    /// New sigmas of every round after the first.
    each_round: u32,
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
        let each_round = candidates - 1;
        let mut first = vec![sigma0];
        first.extend(between(spec.range.0, spec.range.1, each_round));
        Self {
            candidates: first,
            tried: Vec::new(),
            class: None,
            clamp: spec.clamp,
            range: spec.range,
            each_round,
            rounds_left: rounds,
        }
    }

    /// What is to be tried next, on the same draws as before.
    #[must_use]
    pub fn candidates(&self) -> &[Sigma] {
        &self.candidates
    }

    /// Takes psi, a probability for each class, of each of the [`candidates`](Self::candidates).
    pub fn observe(&mut self, psi: &[Vec<f64>]) {
        let class = *self
            .class
            .get_or_insert_with(|| psi.first().map_or(0, |psi| largest(psi)));
        for (&sigma, psi) in self.candidates.iter().zip(psi) {
            self.tried
                .push((sigma, radius(sigma, psi, class, self.clamp)));
        }
        self.rounds_left = self.rounds_left.saturating_sub(1);
        self.candidates = self.closer();
    }

    /// The best sigma, when every round is over.
    #[must_use]
    pub fn best(&self) -> Option<Sigma> {
        if self.rounds_left > 0 {
            None
        } else {
            self.leading()
        }
    }

    fn leading(&self) -> Option<Sigma> {
        let mut best: Option<(Sigma, f64)> = None;
        for &(sigma, radius) in &self.tried {
            if best.is_none_or(|(_, largest)| radius > largest) {
                best = Some((sigma, radius));
            }
        }
        best.map(|(sigma, _)| sigma)
    }

    /// New sigmas on both sides of the best, up to the next ones tried or the ends of the range.
    fn closer(&self) -> Vec<Sigma> {
        let Some(best) = self.leading() else {
            return Vec::new();
        };
        let others = || self.tried.iter().map(|&(sigma, _)| sigma);
        let below = others()
            .filter(|&sigma| sigma < best)
            .fold(self.range.0, |a, b| if b > a { b } else { a });
        let above = others()
            .filter(|&sigma| sigma > best)
            .fold(self.range.1, |a, b| if b < a { b } else { a });
        let first = self.each_round / 2;
        let mut sigmas = between(below, best, first);
        sigmas.extend(between(best, above, self.each_round - first));
        sigmas
    }
}

/// `count` sigmas strictly between two, evenly on a logarithmic scale. Where there is no room they
/// repeat an end.
fn between(low: Sigma, high: Sigma, count: u32) -> Vec<Sigma> {
    let (from, step) = (
        low.get(),
        (high.get() / low.get()).ln() / f64::from(count + 1),
    );
    let at = |number: u32| {
        Sigma::new(
            (from * (step * f64::from(number)).exp()).clamp(low.get().min(high.get()), high.get()),
        )
    };
    // A number between two sigmas is one.
    (1..=count)
        .map(|number| at(number).unwrap_or(low))
        .collect()
}

/// The radius that Algorithm 1 climbs, of psi and its own leading class.
#[must_use]
pub fn estimate(sigma: Sigma, psi: &[f64], clamp: f64) -> f64 {
    radius(sigma, psi, largest(psi), clamp)
}

/// R as above. Below every other value where psi is not made of numbers.
fn radius(sigma: Sigma, psi: &[f64], class: usize, clamp: f64) -> f64 {
    let other = psi
        .iter()
        .enumerate()
        .filter(|&(other, _)| other != class)
        .map(|(_, &p)| p)
        .fold(0.0, f64::max);
    let quantile = |p: f64| {
        let p = p.clamp(clamp, 1.0 - clamp);
        let upper = |p: f64| Probability::new(p).map_or(f64::NAN, quantile_lower);
        if p > 0.5 { upper(p) } else { -upper(1.0 - p) }
    };
    let found = sigma.get() / 2.0 * (quantile(psi[class]) - quantile(other));
    if found.is_nan() {
        f64::NEG_INFINITY
    } else {
        found
    }
}

fn largest(psi: &[f64]) -> usize {
    let mut best = 0;
    for (class, &p) in psi.iter().enumerate() {
        if p > psi[best] {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests;
