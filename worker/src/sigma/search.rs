//! Choosing sigma without derivatives: the largest of Algorithm 1's estimates among sigmas that close in on it.

/// How far apart the candidates of the first round are, and how far a round reaches beyond the outermost of them.
const STEP: f64 = 2.0;

/// Where to look: `rounds` of `candidates` each, from `sigma0` on, within `range`.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// Where it starts.
    pub sigma0: f64,
    /// The least and the largest sigma.
    pub range: (f64, f64),
    /// How often candidates are proposed.
    pub rounds: u32,
    /// How many at a time.
    pub candidates: u32,
}

/// A candidate and its estimated radius.
type Trial = (f64, f64);

impl Search {
    /// The sigma of the largest radius among those tried, the smallest of equals. The first round tries `sigma0` and
    /// its multiples by powers of two, each later one divides what lies between the neighbours of the best so far. So
    /// it never does worse than `sigma0`, by the measure of `radii`.
    ///
    /// `radii` estimates the radius at each of some sigmas, ascending; it must say the same of a sigma whenever it is
    /// asked, which common random numbers see to. `None` from it, or a radius that is not finite, is passed on. Only
    /// sums, products and comparisons decide, so the same radii lead to the same sigma on every machine.
    ///
    /// # Errors
    /// What `radii` reports.
    pub fn run<E>(&self, mut radii: impl FnMut(&[f64]) -> Result<Option<Vec<f64>>, E>) -> Result<Option<f64>, E> {
        let mut tried: Vec<Trial> = Vec::new();
        for _ in 0..self.rounds {
            let mut fresh = self.propose(&tried);
            fresh.sort_by(f64::total_cmp);
            fresh.dedup();
            fresh.retain(|sigma| tried.iter().all(|(known, _)| known != sigma));
            if fresh.is_empty() {
                break;
            }
            match radii(&fresh)? {
                Some(radii) if radii.iter().all(|radius| radius.is_finite()) => {
                    tried.extend(fresh.into_iter().zip(radii));
                }
                _ => return Ok(None),
            }
            tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        Ok(Some(best(&tried).map_or(self.sigma0, |place| tried[place].0)))
    }

    /// The candidates of the next round, all in the range.
    fn propose(&self, tried: &[Trial]) -> Vec<f64> {
        let count = self.candidates;
        let within = |sigma: f64| sigma.clamp(self.range.0, self.range.1);
        let Some(best) = best(tried) else {
            let power = |number: u32| STEP.powi(number as i32 - (count / 2) as i32);
            return (0..count).map(|number| within(self.sigma0 * power(number))).collect();
        };
        let sigma = tried[best].0;
        let low = best.checked_sub(1).map_or(within(sigma / STEP), |below| tried[below].0);
        let high = tried.get(best + 1).map_or(within(sigma * STEP), |above| above.0);
        let between = |number: u32| low + (high - low) * f64::from(number) / f64::from(count + 1);
        (1..=count).map(|number| within(between(number))).collect()
    }
}

/// Which trial has the largest radius, the first of equals.
fn best(tried: &[Trial]) -> Option<usize> {
    (0..tried.len()).reduce(|best, place| if tried[place].1 > tried[best].1 { place } else { best })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SEARCH: Search = Search { sigma0: 0.25, range: (0.01, 4.0), rounds: 3, candidates: 5 };

    /// What the search of a function comes to, and the sigmas it asked for.
    fn run(search: Search, radius: impl Fn(f64) -> f64) -> (Option<f64>, Vec<f64>) {
        let mut asked = Vec::new();
        let found = search.run(|sigmas| {
            asked.extend_from_slice(sigmas);
            Ok::<_, ()>(Some(sigmas.iter().map(|&sigma| radius(sigma)).collect()))
        });
        (found.unwrap(), asked)
    }

    #[test]
    fn a_peak_is_found_to_within_the_last_rounds_steps() {
        for peak in [0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.77, 1.3] {
            let (found, asked) = run(SEARCH, |sigma| -(sigma / peak).ln().abs());
            let found = found.unwrap();
            assert!((found / peak).ln().abs() < 0.12, "{found} for {peak} after {asked:?}");
            assert!(asked.len() <= 15);
        }
    }

    #[test]
    fn more_rounds_reach_the_ends_of_the_range_and_never_leave_it() {
        let search = Search { rounds: 30, ..SEARCH };
        for (radius, end) in [((|sigma| sigma) as fn(f64) -> f64, 4.0), (|sigma| -sigma, 0.01)] {
            let (found, asked) = run(search, radius);
            assert!((found.unwrap() / end - 1.0).abs() < 1e-3, "{found:?} for {end}");
            assert!(asked.iter().all(|sigma| (0.01..=4.0).contains(sigma)), "{asked:?}");
        }
    }

    #[test]
    fn sigma_is_the_best_of_all_that_were_tried_and_the_smallest_of_equals() {
        // Peaks everywhere.
        let rough = |sigma: f64| ((sigma * 1e4) as u64).wrapping_mul(0x9e37_79b9) as f64 % 7.0;
        for candidates in 3..9 {
            let (found, asked) = run(Search { candidates, ..SEARCH }, rough);
            let largest = asked.iter().map(|&sigma| rough(sigma)).fold(f64::MIN, f64::max);
            let first = asked.into_iter().filter(|&sigma| rough(sigma) == largest).fold(f64::MAX, f64::min);
            assert_eq!(found, Some(first));
        }
        assert_eq!(run(Search { rounds: 1, ..SEARCH }, |_| 1.0).0, Some(0.0625));
    }

    #[test]
    fn no_sigma_is_tried_twice() {
        let (_, mut asked) = run(Search { rounds: 9, ..SEARCH }, |sigma| -(sigma - 0.3).abs());
        asked.sort_by(f64::total_cmp);
        assert!(asked.windows(2).all(|pair| pair[0] < pair[1]), "{asked:?}");
    }

    #[test]
    fn a_start_outside_of_the_range_is_moved_into_it() {
        let (found, asked) = run(Search { sigma0: 9.0, range: (0.5, 1.0), ..SEARCH }, |sigma| sigma);
        assert_eq!(found, Some(1.0));
        assert!(asked.iter().all(|sigma| (0.5..=1.0).contains(sigma)), "{asked:?}");
    }

    #[test]
    fn what_is_not_finite_is_no_sigma() {
        for bad in [f64::NAN, f64::INFINITY] {
            assert_eq!(run(SEARCH, |sigma| if sigma > 0.4 { bad } else { sigma }).0, None);
        }
        assert_eq!(SEARCH.run(|_| Ok::<_, ()>(None)), Ok(None));
        assert_eq!(SEARCH.run(|_| Err("stopped")), Err("stopped"));
    }
}
