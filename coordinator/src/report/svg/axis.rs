//! The axis of radii: from 0 to a round number, with a few round ticks.

/// Equal steps from 0.
#[derive(Debug, PartialEq)]
pub(super) struct Axis {
    step: f64,
    steps: u32,
}

/// The largest number of steps.
const MAX_STEPS: f64 = 8.0;

impl Axis {
    /// Makes the axis of at most eight steps of 1, 2, 2.5 or 5 times a power of ten that reaches
    /// `largest`.
    pub(super) fn up_to(largest: f64) -> Self {
        let largest = drawable(largest);
        let step = round_step(largest / MAX_STEPS);
        Self {
            step,
            steps: (largest / step).ceil().max(1.0) as u32,
        }
    }

    /// Returns the position of a radius along the axis, from 0 to 1.
    pub(super) fn share(&self, radius: f64) -> f64 {
        (radius / (self.step * f64::from(self.steps))).min(1.0)
    }

    /// Returns the label and position of each tick.
    pub(super) fn ticks(&self) -> impl Iterator<Item = (String, f64)> {
        (0..=self.steps).map(|tick| {
            let share = f64::from(tick) / f64::from(self.steps);
            (self.label(tick), share)
        })
    }

    fn label(&self, tick: u32) -> String {
        let digits = (1.0 - self.step.log10().floor()).max(0.0) as usize;
        let label = format!("{:.digits$}", f64::from(tick) * self.step);
        without_final_zeros(&label).to_owned()
    }
}

/// Removes the zeros at the end of a fraction.
fn without_final_zeros(decimal: &str) -> &str {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.')
    } else {
        decimal
    }
}

/// Limits the largest radius, so that the axis exists where nothing is certified and stays finite.
fn drawable(largest: f64) -> f64 {
    if largest > 0.0 {
        largest.clamp(1e-6, 1e6)
    } else {
        1.0
    }
}

/// Returns the smallest round step that is at least `smallest`.
fn round_step(smallest: f64) -> f64 {
    let power = 10_f64.powi(smallest.log10().floor() as i32);
    [1.0, 2.0, 2.5, 5.0]
        .map(|round| round * power)
        .into_iter()
        .find(|&step| step >= smallest)
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(largest: f64, labels: &[&str]) {
        let found: Vec<String> = Axis::up_to(largest)
            .ticks()
            .map(|(label, _)| label)
            .collect();
        assert_eq!(found, labels, "{largest}");
    }

    #[test]
    fn ticks_are_round_and_reach_the_largest_radius() {
        check(1.0, &["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        check(3.1, &["0", "0.5", "1", "1.5", "2", "2.5", "3", "3.5"]);
        check(0.9529, &["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        check(
            1.9,
            &["0", "0.25", "0.5", "0.75", "1", "1.25", "1.5", "1.75", "2"],
        );
        check(0.0, &["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        check(70.0, &["0", "10", "20", "30", "40", "50", "60", "70"]);
    }

    #[test]
    fn every_radius_has_a_place_on_the_axis() {
        for largest in [1e-300, 1e-3, 0.7, 3.9, 1234.5, 1e300] {
            let share = Axis::up_to(largest).share(largest);
            assert!((0.0..=1.0).contains(&share), "{largest}: {share}");
        }
    }
}
