//! One row of a table: the counts and averages of its samples.

use ddrs_common::attack::{AttackReach, AttackTally};
use ddrs_common::domain::{Alpha, Choice, Radii, Radius, SampleIndex, Sigma, Statement};
use ddrs_common::spec::BoundRule;

use super::{Entry, EntryOutcome, IndexSet, SigmaQuantiles, SigmaShares};

/// The settings that a row's numbers depend on. A field is `None` where a published log does not
/// state it; a report then says `unknown`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowSettings {
    /// Draws of the selection phase, which guesses the class.
    pub n0: Option<u64>,
    /// Draws of the estimation phase, which bounds the probability of the class; at most this many.
    pub n: Option<u64>,
    /// The rule that may end the estimation phase before `n`, as a specification writes it.
    pub stopping: Option<String>,
    /// The classes whose probabilities are bounded, if it is not the guess alone.
    pub bound: Option<BoundRule>,
    /// The probability with which a certificate may be wrong.
    pub alpha: Option<Alpha>,
    /// The seed of all noise.
    pub seed: Option<u64>,
    /// The fixed sigma, or the initial one of a data-dependent choice.
    pub sigma0: Option<Sigma>,
    /// The choice of sigma.
    pub choice: Option<Choice>,
    /// The precision of the forward passes, as a specification writes it.
    pub precision: Option<String>,
    /// The number of samples of the complete row.
    pub expected: Option<u64>,
}

/// Two certificates about one classifier, of different classes, whose balls overlap: at least one
/// of them is false.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Contradiction {
    /// The input of the earlier one.
    pub first: SampleIndex,
    /// The input of the other one.
    pub second: SampleIndex,
    /// An upper bound on the distance of the two inputs.
    pub distance: f64,
}

/// One variant, or one variant with memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableRow {
    /// `MODEL/CHOICE/SIGMA`, or the name of a log.
    pub variant: String,
    /// True if Algorithm 2 (Alfarra et al. 2022) resolved contradictions among the certificates.
    pub memory: bool,
    /// The indices of the samples.
    pub indices: IndexSet,
    /// The settings that the numbers depend on.
    pub settings: RowSettings,
    /// The samples that have a result, failed ones included: the denominator of every share.
    pub samples: u64,
    /// The samples that have no result yet.
    pub missing: u64,
    /// Quantiles of the chosen sigmas; `None` for a row with a fixed sigma and for a log without
    /// sigmas.
    pub chosen: Option<SigmaQuantiles>,
    /// The sigmas of the selected levels; `None` for a row that selects no level.
    pub levels: Option<SigmaShares>,
    /// For each radius, the samples that are predicted correctly with at least that radius.
    pub certified: Vec<u64>,
    /// The radii certified for the true class, ascending: the curve of certified accuracy in full.
    pub correct_radii: Vec<f64>,
    /// The sum of those radii over `samples`.
    pub average_certified_radius: f64,
    /// Samples for which no class was shown to have a majority.
    pub abstained: u64,
    /// Samples certified for their true class, at any radius.
    pub correct: u64,
    /// Samples certified for another class.
    pub certified_wrong: u64,
    /// Samples that could not be certified.
    pub failed: u64,
    /// The pairs of certificates of which one is false.
    pub contradictions: Vec<Contradiction>,
    /// The attacks on the row's certificates, one entry per radius.
    pub attacks: Vec<AttackTally>,
}

impl TableRow {
    /// Counts `entries`, of distinct indices in any order, into a row.
    ///
    /// Certified accuracy at r is (samples whose prediction is the label with radius >= r) / (all
    /// samples). The average certified radius (Zhai et al. 2020, section 5) is (the sum of correct
    /// radii) / (all samples). Abstained and failed samples count as 0 in both.
    #[must_use]
    pub(crate) fn count(
        variant: &str,
        memory: bool,
        entries: &[Entry],
        radii: &Radii,
        settings: RowSettings,
    ) -> Self {
        let entries = sorted_by_index(entries);
        let samples = entries.len() as u64;
        let correct_radii = correct_radii(&entries);
        Self {
            variant: variant.to_owned(),
            memory,
            indices: index_set(&entries),
            samples,
            missing: missing(settings.expected, samples),
            chosen: chosen_sigmas(&entries, settings.choice),
            levels: selected_sigmas(&entries, settings.choice),
            settings,
            certified: certified(radii, &correct_radii),
            average_certified_radius: average_certified_radius(&entries),
            abstained: count(&entries, |entry| entry.result == EntryOutcome::Abstained),
            correct: correct_radii.len() as u64,
            correct_radii,
            certified_wrong: count(&entries, Entry::is_certified_wrong),
            failed: count(&entries, |entry| entry.result == EntryOutcome::Failed),
            contradictions: Vec::new(),
            attacks: Vec::new(),
        }
    }

    /// Returns the attacks at one of the table's radii.
    #[must_use]
    pub(crate) fn attack_at(&self, radius: Radius) -> Option<&AttackTally> {
        let reach = AttackReach::Radius(radius);
        self.attacks.iter().find(|tally| tally.reach == reach)
    }

    /// Returns the kind of statement that the row's certificates make; `None` for a log that does
    /// not name it.
    #[must_use]
    pub(crate) fn statement(&self) -> Option<Statement> {
        if self.memory {
            return Some(Statement::Memory);
        }
        self.settings.choice.map(Statement::of)
    }

    /// Returns the share of samples certified at each radius.
    #[must_use]
    pub(crate) fn certified_accuracy(&self) -> Vec<f64> {
        self.certified
            .iter()
            .map(|&count| count as f64 / self.samples.max(1) as f64)
            .collect()
    }
}

fn sorted_by_index(entries: &[Entry]) -> Vec<Entry> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| entry.index);
    entries
}

fn index_set(ascending: &[Entry]) -> IndexSet {
    let indices: Vec<SampleIndex> = ascending.iter().map(|entry| entry.index).collect();
    IndexSet::of(&indices)
}

fn missing(expected: Option<u64>, samples: u64) -> u64 {
    expected.map_or(0, |expected| expected.saturating_sub(samples))
}

fn chosen_sigmas(entries: &[Entry], choice: Option<Choice>) -> Option<SigmaQuantiles> {
    if !matches!(choice, Some(Choice::DataDependent | Choice::File)) {
        return None;
    }
    SigmaQuantiles::of(entries.iter().filter_map(|entry| entry.sigma))
}

fn selected_sigmas(entries: &[Entry], choice: Option<Choice>) -> Option<SigmaShares> {
    if choice != Some(Choice::Selected) {
        return None;
    }
    SigmaShares::of(entries.iter().filter_map(|entry| entry.sigma))
}

fn count(entries: &[Entry], holds: fn(&Entry) -> bool) -> u64 {
    entries.iter().filter(|entry| holds(entry)).count() as u64
}

fn correct_radii(entries: &[Entry]) -> Vec<f64> {
    let mut radii: Vec<f64> = entries.iter().filter_map(Entry::correct_radius).collect();
    radii.sort_by(f64::total_cmp);
    radii
}

/// Counts, for each radius, the correct radii that reach it.
fn certified(radii: &Radii, ascending: &[f64]) -> Vec<u64> {
    let below = |radius: f64| ascending.partition_point(|&r| r < radius);
    radii
        .iter()
        .map(|radius| (ascending.len() - below(radius.get())) as u64)
        .collect()
}

/// Averages in the order of the entries, which are sorted by index: the same records give the same
/// number in whatever order they arrived.
fn average_certified_radius(entries: &[Entry]) -> f64 {
    sum(entries.iter().filter_map(Entry::correct_radius)) / entries.len().max(1) as f64
}

/// Sums with the rounding error of each addition carried along (Neumaier 1974).
fn sum(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sum = 0.0_f64;
    let mut lost = 0.0;
    for number in numbers {
        let next = sum + number;
        lost += rounding_error(sum, number, next);
        sum = next;
    }
    sum + lost
}

/// Returns the part of `one + other` that was lost when it was rounded to `sum`.
fn rounding_error(one: f64, other: f64, sum: f64) -> f64 {
    if one.abs() >= other.abs() {
        (one - sum) + other
    } else {
        (other - sum) + one
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ddrs_common::domain::Class;

    fn entry(index: u64, label: u32, result: EntryOutcome) -> Entry {
        Entry {
            index: SampleIndex(index),
            label: Class(label),
            result,
            sigma: None,
        }
    }

    fn certified(class: u32, radius: f64) -> EntryOutcome {
        EntryOutcome::Certified {
            class: Class(class),
            radius: Radius::new(radius).unwrap(),
        }
    }

    fn five() -> Vec<Entry> {
        vec![
            entry(40, 1, certified(1, 0.5)),
            entry(0, 1, certified(1, 0.25)),
            entry(10, 1, certified(2, 9.0)),
            entry(20, 1, EntryOutcome::Abstained),
            entry(30, 1, EntryOutcome::Failed),
        ]
    }

    #[test]
    fn abstained_failed_and_wrong_samples_count_against_the_row() {
        let row = TableRow::count(
            "v",
            false,
            &five(),
            &"0:0.75:0.25".parse().unwrap(),
            RowSettings::default(),
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
        let ordered = TableRow::count("v", false, &entries, &radii, RowSettings::default());
        entries.reverse();
        assert_eq!(
            TableRow::count("v", false, &entries, &radii, RowSettings::default()),
            ordered
        );
    }

    #[test]
    fn samples_without_a_result_are_missing_not_wrong() {
        let settings = RowSettings {
            expected: Some(7),
            ..RowSettings::default()
        };
        let row = TableRow::count("v", false, &five(), &"0:1:1".parse().unwrap(), settings);
        assert_eq!((row.missing, row.samples), (2, 5));
    }

    #[test]
    fn the_chosen_sigmas_of_a_data_dependent_row_are_summarised() {
        let mut entries = five();
        for (entry, sigma) in entries.iter_mut().zip([0.3, 0.2, 0.5, 0.4]) {
            entry.sigma = Sigma::new(sigma).ok();
        }
        let chosen = |choice| {
            let settings = RowSettings {
                choice,
                ..RowSettings::default()
            };
            let radii = "0:1:1".parse().unwrap();
            TableRow::count("v", false, &entries, &radii, settings).chosen
        };
        // The failed sample, the fifth, has no sigma.
        let quantiles = chosen(Some(Choice::DataDependent)).unwrap();
        assert_eq!(
            [quantiles.p10, quantiles.p50, quantiles.p90].map(Sigma::get),
            [0.2, 0.3, 0.5]
        );
        assert_eq!((chosen(Some(Choice::Fixed)), chosen(None)), (None, None));
    }

    #[test]
    fn a_row_of_nothing_has_numbers_too() {
        let row = TableRow::count(
            "v",
            true,
            &[],
            &"0:1:1".parse().unwrap(),
            RowSettings::default(),
        );
        assert_eq!(
            (row.average_certified_radius, row.certified_accuracy()),
            (0.0, vec![0.0, 0.0])
        );
    }

    #[test]
    fn summing_loses_no_small_term() {
        let numbers = [1e16, 1.0, 1.0, -1e16];
        assert_eq!(sum(numbers.into_iter()), 2.0);
        assert_ne!(numbers.iter().sum::<f64>(), 2.0);
    }
}
