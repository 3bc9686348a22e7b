//! One row of a table: what its samples come to at every radius.

use ddrs_common::domain::{Alpha, Radii, SampleIndex, Sigma};

use super::{Entry, IndexSet, Verdict};

/// What a row's numbers rest on. A published log knows little of it, and then a report says
/// `unknown`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Draws that guessed the class.
    pub n0: Option<u64>,
    /// Draws that bounded its probability, at most.
    pub n: Option<u64>,
    /// The rule by which they ended before `n`, as a specification writes it, where there was one.
    pub stopping: Option<String>,
    /// The probability with which a certificate may be wrong.
    pub alpha: Option<Alpha>,
    /// All noise derives from it.
    pub seed: Option<u64>,
    /// The fixed sigma, or where the choice started.
    pub sigma0: Option<Sigma>,
    /// The arithmetic that was certified, as a specification writes it.
    pub precision: Option<String>,
    /// How many samples the row has once it is complete.
    pub expected: Option<u64>,
}

/// One variant, or one variant with memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `MODEL/CHOICE/SIGMA`, or the name of a log.
    pub variant: String,
    /// Whether Algorithm 2 (Alfarra et al. 2022) resolved contradictions among its certificates.
    pub memory: bool,
    /// Which inputs it is about.
    pub indices: IndexSet,
    /// What it rests on.
    pub settings: Settings,
    /// How many samples have a result: the denominator of every share, failed ones included.
    pub samples: u64,
    /// How many are still to come.
    pub missing: u64,
    /// For each radius, the samples that are predicted correctly with at least that radius.
    pub certified: Vec<u64>,
    /// The radii certified for the true class, ascending: the curve of certified accuracy in full.
    pub correct_radii: Vec<f64>,
    /// The sum of those radii over `samples`.
    pub average_certified_radius: f64,
    /// Samples of which no class was shown to be a majority.
    pub abstained: u64,
    /// Samples certified for their true class, at whatever radius.
    pub correct: u64,
    /// Samples certified for another class.
    pub certified_wrong: u64,
    /// Samples that could not be certified at all.
    pub failed: u64,
}

impl Row {
    /// The share of samples certified at each radius; abstained and failed ones are not.
    #[must_use]
    pub fn certified_accuracy(&self) -> Vec<f64> {
        self.certified
            .iter()
            .map(|&count| count as f64 / self.samples.max(1) as f64)
            .collect()
    }
}

/// Counts `entries`, of distinct indices in any order, into a row: certified accuracy at r is
/// (samples whose prediction is the label with radius >= r) / (all samples), and the average
/// certified radius (Zhai et al. 2020, section 5) the sum of correct radii / (all samples).
/// Abstained and failed samples count as 0 in both.
#[must_use]
pub fn row(
    variant: &str,
    memory: bool,
    entries: &[Entry],
    radii: &Radii,
    settings: Settings,
) -> Row {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| entry.index);
    let indices: Vec<SampleIndex> = entries.iter().map(|entry| entry.index).collect();
    let count =
        |holds: fn(&Entry) -> bool| entries.iter().filter(|entry| holds(entry)).count() as u64;
    let abstained = count(|entry| entry.verdict == Verdict::Abstained);
    let failed = count(|entry| entry.verdict == Verdict::Failed);

    let mut correct_radii: Vec<f64> = entries.iter().filter_map(Entry::correct_radius).collect();
    let (samples, correct) = (entries.len() as u64, correct_radii.len() as u64);
    // Summed in the order of indices, so that records give the same number in whatever order they
    // arrived.
    let average_certified_radius = sum(&correct_radii) / samples.max(1) as f64;
    correct_radii.sort_by(f64::total_cmp);
    let at_least = |radius: f64| correct - correct_radii.partition_point(|&r| r < radius) as u64;
    Row {
        variant: variant.to_owned(),
        memory,
        indices: IndexSet::of(&indices),
        samples,
        missing: settings
            .expected
            .map_or(0, |expected| expected.saturating_sub(samples)),
        settings,
        certified: radii.iter().map(|radius| at_least(radius.get())).collect(),
        correct_radii,
        average_certified_radius,
        abstained,
        correct,
        certified_wrong: samples - abstained - failed - correct,
        failed,
    }
}

/// The sum with the rounding error of each addition carried along (Neumaier 1974).
fn sum(numbers: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0);
    for &number in numbers {
        let next = sum + number;
        lost += if sum.abs() >= number.abs() {
            (sum - next) + number
        } else {
            (number - next) + sum
        };
        sum = next;
    }
    sum + lost
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ddrs_common::domain::{Class, Radius};

    fn entry(index: u64, label: u32, verdict: Verdict) -> Entry {
        Entry {
            index: SampleIndex(index),
            label: Class(label),
            verdict,
        }
    }

    fn certified(class: u32, radius: f64) -> Verdict {
        Verdict::Certified {
            class: Class(class),
            radius: Radius::new(radius).unwrap(),
        }
    }

    fn five() -> Vec<Entry> {
        vec![
            entry(40, 1, certified(1, 0.5)),
            entry(0, 1, certified(1, 0.25)),
            entry(10, 1, certified(2, 9.0)),
            entry(20, 1, Verdict::Abstained),
            entry(30, 1, Verdict::Failed),
        ]
    }

    #[test]
    fn abstained_failed_and_wrong_samples_count_against_the_row() {
        let row = row(
            "v",
            false,
            &five(),
            &"0:0.75:0.25".parse().unwrap(),
            Settings::default(),
        );
        assert_eq!(row.certified, [2, 2, 1, 0]);
        assert_eq!(row.certified_accuracy(), [0.4, 0.4, 0.2, 0.0]);
        assert_eq!(
            (
                row.samples,
                row.correct,
                row.certified_wrong,
                row.abstained,
                row.failed
            ),
            (5, 2, 1, 1, 1)
        );
        assert_eq!(row.average_certified_radius, 0.15);
        assert_eq!(row.correct_radii, [0.25, 0.5]);
        assert_eq!(
            row.indices,
            IndexSet::Regular {
                first: 0,
                step: 10,
                count: 5
            }
        );
    }

    #[test]
    fn the_order_of_arrival_changes_nothing() {
        let radii = "0:1:0.1".parse().unwrap();
        let mut entries: Vec<Entry> = (0..1000)
            .map(|i| entry(i, 0, certified(0, 0.1 + i as f64 * 1e-7)))
            .collect();
        let ordered = row("v", false, &entries, &radii, Settings::default());
        entries.reverse();
        assert_eq!(
            row("v", false, &entries, &radii, Settings::default()),
            ordered
        );
    }

    #[test]
    fn samples_without_a_result_are_missing_not_wrong() {
        let settings = Settings {
            expected: Some(7),
            ..Settings::default()
        };
        let row = row("v", false, &five(), &"0:1:1".parse().unwrap(), settings);
        assert_eq!((row.missing, row.samples), (2, 5));
    }

    #[test]
    fn a_row_of_nothing_has_numbers_too() {
        let row = row(
            "v",
            true,
            &[],
            &"0:1:1".parse().unwrap(),
            Settings::default(),
        );
        assert_eq!(
            (row.average_certified_radius, row.certified_accuracy()),
            (0.0, vec![0.0, 0.0])
        );
    }

    #[test]
    fn summing_loses_no_small_term() {
        let numbers = [1e16, 1.0, 1.0, -1e16];
        assert_eq!(sum(&numbers), 2.0);
        assert_ne!(numbers.iter().sum::<f64>(), 2.0);
    }
}
