//! Converts attacks to lines of `attack.jsonl` and back.

use serde::{Deserialize, Serialize};

use super::{AttackReach, AttackRecord, AttackSettings};
use crate::domain::{Class, InvalidValue, Radius, SampleIndex, SweepId, VariantName};
use crate::record_file::{FileLine, LineFile, RecordLine};
use crate::terminal::escape_json;

/// A file of attacks that one program alone appends to, until it is dropped.
pub type AttackFile = LineFile<AttackRecord>;

/// An attack as a line of the file. `outcome` follows from the other fields; it is there for
/// readers.
#[derive(Debug, Serialize, Deserialize)]
struct AttackLine {
    sweep: SweepId,
    radius: f64,
    own_radius: bool,
    certified: u32,
    distance: f64,
    outcome: String,
    steps: u32,
    starts: u32,
    draws: u32,
    seed: u64,
    /// The record of the point, with the fields of `records.jsonl`.
    point: RecordLine,
}

impl From<&AttackRecord> for AttackLine {
    fn from(attack: &AttackRecord) -> Self {
        let AttackSettings {
            steps,
            starts,
            draws,
            seed,
        } = attack.settings;
        Self {
            sweep: attack.sweep.clone(),
            radius: attack.radius.get(),
            own_radius: attack.reach == AttackReach::Own,
            certified: attack.certified.0,
            distance: attack.distance.get(),
            outcome: outcome(attack).to_owned(),
            steps,
            starts,
            draws,
            seed,
            point: RecordLine::from(&attack.point),
        }
    }
}

fn outcome(attack: &AttackRecord) -> &'static str {
    attack
        .outcome()
        .map_or("failed", |outcome| outcome.as_str())
}

impl TryFrom<AttackLine> for AttackRecord {
    type Error = InvalidValue;

    fn try_from(line: AttackLine) -> Result<Self, InvalidValue> {
        let radius = Radius::new(line.radius)?;
        let stated = line.outcome.clone();
        let attack = Self {
            certified: Class(line.certified),
            radius,
            reach: reach(line.own_radius, radius),
            distance: Radius::new(line.distance)?,
            settings: settings(&line),
            sweep: line.sweep,
            point: line.point.try_into()?,
        };
        attack.check(&stated)?;
        Ok(attack)
    }
}

fn reach(own_radius: bool, radius: Radius) -> AttackReach {
    if own_radius {
        AttackReach::Own
    } else {
        AttackReach::Radius(radius)
    }
}

fn settings(line: &AttackLine) -> AttackSettings {
    AttackSettings {
        steps: line.steps,
        starts: line.starts,
        draws: line.draws,
        seed: line.seed,
    }
}

impl AttackRecord {
    /// Checks the fields against each other.
    fn check(&self, stated: &str) -> Result<(), InvalidValue> {
        let found = outcome(self);
        if found != stated {
            return Err(InvalidValue(format!(
                "its outcome is {stated:?}, but the record of its point gives {found:?}"
            )));
        }
        if self.distance < self.radius {
            return Ok(());
        }
        Err(InvalidValue(format!(
            "its point is at distance {}, which is not inside the radius {}",
            self.distance, self.radius
        )))
    }
}

impl FileLine for AttackRecord {
    const NAME: &'static str = "an attack";
    const WRITER: &'static str = "another ddrs-worker writes attacks";

    /// Variant, sample, the radius as its bits unless it is the certificate's own, settings.
    type Key = (VariantName, SampleIndex, Option<u64>, AttackSettings);

    fn key(&self) -> Self::Key {
        let radius = match self.reach {
            AttackReach::Radius(radius) => Some(radius.get().to_bits()),
            AttackReach::Own => None,
        };
        let point = &self.point;
        (point.variant.clone(), point.index, radius, self.settings)
    }

    fn sample(&self) -> (&VariantName, SampleIndex) {
        (&self.point.variant, self.point.index)
    }

    fn agrees_with(&self, other: &Self) -> bool {
        self.distance == other.distance
            && self.certified == other.certified
            && self.point.agrees_with(&other.point)
    }

    fn to_line(&self) -> String {
        // Numbers and strings always serialise.
        escape_json(&serde_json::to_string(&AttackLine::from(self)).unwrap_or_default())
    }

    fn from_line(line: &str) -> Result<Self, String> {
        let line: AttackLine =
            serde_json::from_str(line).map_err(|error| format!("not an attack: {error}"))?;
        line.try_into()
            .map_err(|error: InvalidValue| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::attack::AttackOutcome;

    const POINT: &str = concat!(
        r#"{"variant":"m/data-dependent/0.25","index":20,"label":3,"prediction":5,"radius":0.25,"#,
        r#""sigma":0.5,"sigma0":0.25,"n0":100,"n":1000,"count":970,"p_lower":0.94,"#,
        r#""alpha":0.001,"seed":2,"seconds":1.5,"worker":"attack","attempt":1,"device":"cpu"}"#,
    );

    fn line() -> String {
        format!(
            "{{\"sweep\":\"abababababababab\",\"radius\":0.5,\"own_radius\":false,\
             \"certified\":3,\"distance\":0.4375,\"outcome\":\"falls\",\"steps\":20,\
             \"starts\":2,\"draws\":16,\"seed\":2,\"point\":{POINT}}}"
        )
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let attack = AttackRecord::from_line(&line()).unwrap();
        assert_eq!(attack.to_line(), line());
        assert_eq!(attack.outcome(), Some(AttackOutcome::Falls));
        assert_eq!(attack.reach, AttackReach::Radius(attack.radius));
    }

    #[test]
    fn a_line_that_contradicts_itself_is_refused() {
        for (from, to, reason) in [
            ("\"falls\"", "\"holds\"", "gives \"falls\""),
            ("\"certified\":3", "\"certified\":5", "gives \"holds\""),
            ("0.4375", "0.5", "which is not inside the radius 0.5"),
            ("\"radius\":0.5", "\"radius\":-1", "radius must be"),
            ("\"steps\":20,", "", "not an attack: missing field `steps`"),
        ] {
            let refused = AttackRecord::from_line(&line().replace(from, to)).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn attacks_at_another_radius_or_with_other_settings_are_other_attacks() {
        let key = |from: &str, to: &str| {
            let line = line().replacen(from, to, 1);
            AttackRecord::from_line(&line).unwrap().key()
        };
        let first = key("", "");
        assert_eq!(key("0.4375", "0.4"), first);
        for (from, to) in [
            ("\"radius\":0.5", "\"radius\":0.75"),
            ("\"own_radius\":false", "\"own_radius\":true"),
            ("\"steps\":20", "\"steps\":40"),
        ] {
            assert_ne!(key(from, to), first, "{to}");
        }
    }
}
