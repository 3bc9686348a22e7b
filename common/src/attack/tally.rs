//! Counts the attacks on one variant at one radius.

use std::collections::BTreeMap;
use std::fmt;

use super::{AttackOutcome, AttackReach, AttackRecord, AttackTarget};
use crate::domain::{Record, SampleIndex};

/// The certificates of one variant that were attacked at one radius. A certificate that was
/// attacked several times counts once, with its worst outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct AttackTally {
    /// The radius of the attacks.
    pub reach: AttackReach,
    /// The samples whose certificate covers that radius and whose class is the label. At its own
    /// radius, every certificate counts.
    pub certified: u64,
    /// All samples of the variant.
    pub samples: u64,
    /// The certificates that were attacked.
    pub attacked: u64,
    /// Those that have a point where another class is certified.
    pub fell: u64,
    /// Those of the others that have a point where no class is certified.
    pub abstained: u64,
}

impl AttackTally {
    /// Counts the attacks on a variant at one radius, from all records and all attacks of the
    /// variant.
    #[must_use]
    pub fn count(reach: AttackReach, records: &[Record], attacks: &[AttackRecord]) -> Self {
        let targets = records
            .iter()
            .filter_map(|record| AttackTarget::of(record, reach));
        let worst = worst_outcomes(attacks.iter().filter(|attack| attack.reach == reach));
        let count = |outcome| worst.values().filter(|&&each| each == outcome).count() as u64;
        Self {
            reach,
            certified: targets.count() as u64,
            samples: records.len() as u64,
            attacked: worst.len() as u64,
            fell: count(AttackOutcome::Falls),
            abstained: count(AttackOutcome::Abstains),
        }
    }

    /// Returns [`Self::at_most`] in percent of all samples, rounded up.
    #[must_use]
    pub fn at_most_percent(&self) -> String {
        tenths((self.at_most() * 1000).div_ceil(self.samples.max(1)))
    }

    /// Returns [`Self::at_most`] as a share of all samples.
    #[must_use]
    pub fn at_most_accuracy(&self) -> f64 {
        self.at_most() as f64 / self.samples.max(1) as f64
    }

    /// Returns the largest number of samples whose certificate at this radius may still hold for
    /// the whole pipeline: those that did not fall, attacked or not.
    #[must_use]
    pub fn at_most(&self) -> u64 {
        self.certified.saturating_sub(self.fell)
    }
}

/// Returns the radii at which certificates were attacked, ascending, with their own radius last.
#[must_use]
pub fn reaches(attacks: &[AttackRecord]) -> Vec<AttackReach> {
    let mut reaches: Vec<AttackReach> = attacks.iter().map(|attack| attack.reach).collect();
    reaches.sort_by(|a, b| order(*a).total_cmp(&order(*b)));
    reaches.dedup();
    reaches
}

fn order(reach: AttackReach) -> f64 {
    match reach {
        AttackReach::Radius(radius) => radius.get(),
        AttackReach::Own => f64::INFINITY,
    }
}

fn worst_outcomes<'a>(
    attacks: impl Iterator<Item = &'a AttackRecord>,
) -> BTreeMap<u64, AttackOutcome> {
    let mut worst = BTreeMap::new();
    for attack in attacks {
        if let Some(outcome) = attack.outcome() {
            let SampleIndex(index) = attack.point.index;
            let entry = worst.entry(index).or_insert(outcome);
            *entry = outcome.max(*entry);
        }
    }
    worst
}

/// The counts in words, with shares of all samples; the upper bound is rounded up.
impl fmt::Display for AttackTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reach,
            certified,
            samples,
            attacked,
            fell,
            abstained,
        } = self;
        let at_most = self.at_most();
        write!(
            f,
            "at {reach}: {certified} of {samples} samples are certified ({} %); {attacked} of them \
             were attacked, {fell} fell, {abstained} abstained; so at most {at_most} ({} %) hold",
            tenths(certified * 1000 / samples.max(&1)),
            self.at_most_percent(),
        )
    }
}

fn tenths(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record_file::{FileLine, from_line};

    fn record(index: u64, prediction: &str, radius: f64) -> Record {
        from_line(&line(index, prediction, radius)).unwrap()
    }

    fn line(index: u64, prediction: &str, radius: f64) -> String {
        format!(
            "{{\"variant\":\"m/fixed/0.25\",\"index\":{index},\"label\":3,\
             \"prediction\":{prediction},\"radius\":{radius},\"sigma\":0.25,\"sigma0\":0.25,\
             \"n0\":100,\"n\":1000,\"count\":970,\"p_lower\":0.94,\"alpha\":0.001,\"seed\":1,\
             \"seconds\":1.5,\"worker\":\"w\",\"attempt\":1,\"device\":\"cpu\"}}"
        )
    }

    fn attack(index: u64, radius: f64, steps: u32, outcome: &str) -> AttackRecord {
        let prediction = match outcome {
            "holds" => "3",
            "falls" => "4",
            _ => "null",
        };
        let point = line(
            index,
            prediction,
            if outcome == "abstains" { 0.0 } else { 0.1 },
        );
        AttackRecord::from_line(&format!(
            "{{\"sweep\":\"abababababababab\",\"radius\":{radius},\"own_radius\":false,\
             \"certified\":3,\"distance\":0.1,\"outcome\":\"{outcome}\",\"steps\":{steps},\
             \"starts\":2,\"draws\":16,\"seed\":2,\"point\":{point}}}"
        ))
        .unwrap()
    }

    fn at(radius: f64) -> AttackReach {
        AttackReach::Radius(crate::domain::Radius::new(radius).unwrap())
    }

    #[test]
    fn a_certificate_counts_once_with_its_worst_outcome() {
        let records = [
            record(0, "3", 0.5),
            record(1, "3", 0.5),
            record(2, "3", 0.75),
            record(3, "3", 0.2),
            record(4, "5", 0.9),
            record(5, "null", 0.0),
        ];
        let attacks = [
            attack(0, 0.5, 20, "holds"),
            attack(0, 0.5, 40, "falls"),
            attack(1, 0.5, 20, "abstains"),
            attack(1, 0.5, 40, "holds"),
            attack(2, 0.75, 20, "falls"),
        ];
        let tally = AttackTally::count(at(0.5), &records, &attacks);
        let expected = AttackTally {
            reach: at(0.5),
            certified: 3,
            samples: 6,
            attacked: 2,
            fell: 1,
            abstained: 1,
        };
        assert_eq!(tally, expected);
        assert_eq!(tally.at_most(), 2);
        assert_eq!(
            tally.to_string(),
            "at radius 0.5: 3 of 6 samples are certified (50.0 %); 2 of them were attacked, 1 \
             fell, 1 abstained; so at most 2 (33.4 %) hold"
        );
        assert_eq!(reaches(&attacks), [at(0.5), at(0.75)]);
    }
}
