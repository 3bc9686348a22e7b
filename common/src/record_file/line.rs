//! The line: a contract with other people's scripts, so it is a type of its own, [`RecordLine`].
//! The domain's [`Record`] is built from it and written as it, never serialised by accident.

use serde::{Deserialize, Serialize};

use crate::domain::{
    Alpha, Certification, Class, InvalidValue, Outcome, Probability, Radius, Record, SampleIndex,
    Sigma, VariantName,
};
use crate::terminal::escape_json;

/// A record as it stands in the file. Certified and abstained samples carry the certificate, failed
/// ones `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordLine {
    variant: String,
    index: u64,
    label: u32,
    #[serde(flatten)]
    result: ResultFields,
    seed: u64,
    seconds: f64,
    worker: String,
    attempt: u32,
    device: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum ResultFields {
    Certificate {
        // Without this a line that lacks the field would read as an abstention.
        #[serde(deserialize_with = "Option::deserialize")]
        prediction: Option<u32>,
        radius: f64,
        sigma: f64,
        sigma0: f64,
        n0: u64,
        n: u64,
        count: u64,
        p_lower: f64,
        alpha: f64,
    },
    Failure {
        error: String,
    },
}

impl From<&Record> for RecordLine {
    fn from(record: &Record) -> Self {
        let result = match &record.result {
            Err(error) => ResultFields::Failure {
                error: error.clone(),
            },
            Ok(c) => {
                let (prediction, radius) = match c.outcome {
                    Outcome::Certified { class, radius } => (Some(class.0), radius),
                    Outcome::Abstained => (None, Radius::ZERO),
                };
                ResultFields::Certificate {
                    prediction,
                    radius: radius.get(),
                    sigma: c.sigma.get(),
                    sigma0: c.sigma0.get(),
                    n0: c.n0,
                    n: c.n,
                    count: c.count,
                    p_lower: c.p_lower.get(),
                    alpha: c.alpha.get(),
                }
            }
        };
        Self {
            variant: record.variant.to_string(),
            index: record.index.0,
            label: record.label.0,
            result,
            seed: record.seed,
            seconds: record.seconds,
            worker: record.worker.clone(),
            attempt: record.attempt,
            device: record.device.clone(),
        }
    }
}

impl TryFrom<RecordLine> for Record {
    type Error = InvalidValue;

    fn try_from(line: RecordLine) -> Result<Self, InvalidValue> {
        let result = match line.result {
            ResultFields::Failure { error } => Err(error),
            ResultFields::Certificate {
                prediction,
                radius,
                sigma,
                sigma0,
                n0,
                n,
                count,
                p_lower,
                alpha,
            } => {
                let outcome = match (prediction, Radius::new(radius)?) {
                    (Some(class), radius) => Outcome::Certified {
                        class: Class(class),
                        radius,
                    },
                    (None, Radius::ZERO) => Outcome::Abstained,
                    (None, radius) => {
                        return Err(InvalidValue(format!("an abstention has radius {radius}")));
                    }
                };
                if count > n {
                    return Err(InvalidValue(format!("count {count} is more than n {n}")));
                }
                Ok(Certification {
                    outcome,
                    sigma: Sigma::new(sigma)?,
                    sigma0: Sigma::new(sigma0)?,
                    n0,
                    n,
                    count,
                    p_lower: Probability::new(p_lower)?,
                    alpha: Alpha::new(alpha)?,
                })
            }
        };
        if !(line.seconds.is_finite() && line.seconds >= 0.0) {
            return Err(InvalidValue(format!(
                "seconds must be a finite number, 0 or more, not {}",
                line.seconds
            )));
        }
        Ok(Self {
            variant: VariantName::new(line.variant),
            index: SampleIndex(line.index),
            label: Class(line.label),
            result,
            seed: line.seed,
            seconds: line.seconds,
            worker: line.worker,
            attempt: line.attempt,
            device: line.device,
        })
    }
}

/// The record as one line of JSON, without the line feed. Errors and names of others are in it, so
/// what would steer a terminal is written as `\u` and four hexadecimal digits.
#[must_use]
pub fn to_line(record: &Record) -> String {
    // Plain fields and finite numbers always serialise.
    escape_json(&serde_json::to_string(&RecordLine::from(record)).unwrap_or_default())
}

/// Reads one line.
///
/// # Errors
/// When the line is no JSON, lacks a field, holds a value out of range, or contradicts itself.
pub fn from_line(line: &str) -> Result<Record, InvalidValue> {
    let line: RecordLine =
        serde_json::from_str(line).map_err(|e| InvalidValue(format!("no record: {e}")))?;
    line.try_into()
}
