//! The axis of radii: from 0 to a round number, with a handful of round ticks.

/// Equal steps from 0.
#[derive(Debug, PartialEq)]
pub(super) struct Axis {
    step: f64,
    steps: u32,
}

impl Axis {
    /// At most eight steps of 1, 2, 2.5 or 5 times a power of ten that reach `largest`.
    pub(super) fn up_to(largest: f64) -> Self {
        // Where nothing is certified the axis is there all the same, and what no pixel image can
        // have stays finite.
        let largest = if largest > 0.0 {
            largest.clamp(1e-6, 1e6)
        } else {
            1.0
        };
        let power = 10_f64.powi((largest / 8.0).log10().floor() as i32);
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .map(|round| round * power)
            .into_iter()
            .find(|step| step * 8.0 >= largest);
        let step = step.unwrap_or(10.0 * power);
        Self {
            step,
            steps: (largest / step).ceil().max(1.0) as u32,
        }
    }

    /// How far along the axis a radius lies, from 0 to 1.
    pub(super) fn share(&self, radius: f64) -> f64 {
        (radius / (self.step * f64::from(self.steps))).min(1.0)
    }

    /// Each tick's label and place.
    pub(super) fn ticks(&self) -> impl Iterator<Item = (String, f64)> {
        let digits = (1.0 - self.step.log10().floor()).max(0.0) as usize;
        (0..=self.steps).map(move |i| {
            let label = format!("{:.digits$}", f64::from(i) * self.step);
            let label = if label.contains('.') {
                label.trim_end_matches('0').trim_end_matches('.')
            } else {
                &label
            };
            (label.to_owned(), f64::from(i) / f64::from(self.steps))
        })
    }
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
    fn every_radius_has_its_place_on_the_axis() {
        for largest in [1e-300, 1e-3, 0.7, 3.9, 1234.5, 1e300] {
            let share = Axis::up_to(largest).share(largest);
            assert!((0.0..=1.0).contains(&share), "{largest}: {share}");
        }
    }
}
