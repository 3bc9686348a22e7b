//! The certificates of a variant that an attack tries.

use super::AttackReach;
use crate::domain::{Class, Outcome, Radius, Record, SampleIndex, Sigma};

/// A certificate to attack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttackTarget {
    /// The sample's index in the dataset.
    pub index: SampleIndex,
    /// Its true class.
    pub label: Class,
    /// The certified class.
    pub class: Class,
    /// The radius of the ball to search.
    pub radius: Radius,
    /// The sigma of the certificate.
    pub sigma: Sigma,
    /// The level of the certificate, counted from 0, where a network selects it.
    pub level: Option<u32>,
}

impl AttackTarget {
    /// Returns the target that a record is at this radius.
    ///
    /// At one radius for all, that is a certificate of the label that covers it, since only those
    /// count in a table. At its own radius it is any certificate that covers more than the input.
    #[must_use]
    pub fn of(record: &Record, reach: AttackReach) -> Option<Self> {
        let certification = record.result.as_ref().ok()?;
        let Outcome::Certified { class, radius } = certification.outcome else {
            return None;
        };
        let reached = match reach {
            AttackReach::Own => (radius > Radius::ZERO).then_some(radius),
            AttackReach::Radius(common) => {
                (class == record.label && radius >= common).then_some(common)
            }
        };
        Some(Self {
            index: record.index,
            label: record.label,
            class,
            radius: reached?,
            sigma: certification.sigma,
            level: certification
                .level
                .as_deref()
                .map(|selection| selection.level),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record_file::from_line;

    fn record(label: u32, prediction: &str, radius: f64) -> Record {
        from_line(&format!(
            "{{\"variant\":\"m/fixed/0.25\",\"index\":20,\"label\":{label},\
             \"prediction\":{prediction},\"radius\":{radius},\"sigma\":0.25,\"sigma0\":0.25,\
             \"n0\":100,\"n\":1000,\"count\":970,\"p_lower\":0.94,\"alpha\":0.001,\"seed\":1,\
             \"seconds\":1.5,\"worker\":\"w\",\"attempt\":1,\"device\":\"cpu\"}}"
        ))
        .unwrap()
    }

    fn radius_of(record: &Record, reach: AttackReach) -> Option<f64> {
        AttackTarget::of(record, reach).map(|target| target.radius.get())
    }

    #[test]
    fn at_one_radius_the_right_certificates_that_cover_it_are_targets() {
        let at = |radius| AttackReach::Radius(Radius::new(radius).unwrap());
        assert_eq!(radius_of(&record(3, "3", 0.5), at(0.5)), Some(0.5));
        assert_eq!(radius_of(&record(3, "3", 0.5), at(0.25)), Some(0.25));
        assert_eq!(radius_of(&record(3, "3", 0.5), at(0.75)), None);
        assert_eq!(radius_of(&record(4, "3", 0.5), at(0.25)), None);
        assert_eq!(radius_of(&record(3, "null", 0.0), at(0.25)), None);
    }

    #[test]
    fn at_its_own_radius_every_certificate_is_a_target() {
        let own = |record: &Record| radius_of(record, AttackReach::Own);
        assert_eq!(own(&record(3, "3", 0.5)), Some(0.5));
        assert_eq!(own(&record(4, "3", 0.5)), Some(0.5));
        assert_eq!(own(&record(3, "3", 0.0)), None);
        assert_eq!(own(&record(3, "null", 0.0)), None);
    }
}
