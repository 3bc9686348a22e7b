//! Converts records to lines and back. The line is a contract with users' scripts, so it has a
//! separate type, [`RecordLine`]; the domain's [`Record`] is never serialised directly.

use serde::{Deserialize, Serialize};

use crate::domain::{
    Alpha, Certification, Class, InvalidValue, Outcome, Probability, Radius, Record, SampleIndex,
    Sigma, VariantName,
};
use crate::terminal::escape_json;

/// A record as a line of the file. Certified and abstained samples carry the certificate, failed
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
    Certificate(CertificateFields),
    Failure { error: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CertificateFields {
    // Without this, a line without the field would read as an abstention.
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
}

impl From<&Record> for RecordLine {
    fn from(record: &Record) -> Self {
        Self {
            variant: record.variant.to_string(),
            index: record.index.0,
            label: record.label.0,
            result: ResultFields::from(&record.result),
            seed: record.seed,
            seconds: record.seconds,
            worker: record.worker.clone(),
            attempt: record.attempt,
            device: record.device.clone(),
        }
    }
}

impl From<&Result<Certification, String>> for ResultFields {
    fn from(result: &Result<Certification, String>) -> Self {
        match result {
            Ok(certification) => Self::Certificate(certification.into()),
            Err(error) => Self::Failure {
                error: error.clone(),
            },
        }
    }
}

impl From<&Certification> for CertificateFields {
    fn from(certification: &Certification) -> Self {
        let (prediction, radius) = prediction(certification.outcome);
        Self {
            prediction,
            radius: radius.get(),
            sigma: certification.sigma.get(),
            sigma0: certification.sigma0.get(),
            n0: certification.n0,
            n: certification.n,
            count: certification.count,
            p_lower: certification.p_lower.get(),
            alpha: certification.alpha.get(),
        }
    }
}

/// The class of an outcome and its radius, as a line holds them.
fn prediction(outcome: Outcome) -> (Option<u32>, Radius) {
    match outcome {
        Outcome::Certified { class, radius } => (Some(class.0), radius),
        Outcome::Abstained => (None, Radius::ZERO),
    }
}

impl TryFrom<RecordLine> for Record {
    type Error = InvalidValue;

    fn try_from(line: RecordLine) -> Result<Self, InvalidValue> {
        Ok(Self {
            variant: VariantName::new(line.variant),
            index: SampleIndex(line.index),
            label: Class(line.label),
            result: line.result.try_into()?,
            seed: line.seed,
            seconds: check_seconds(line.seconds)?,
            worker: line.worker,
            attempt: line.attempt,
            device: line.device,
        })
    }
}

impl TryFrom<ResultFields> for Result<Certification, String> {
    type Error = InvalidValue;

    fn try_from(fields: ResultFields) -> Result<Self, InvalidValue> {
        match fields {
            ResultFields::Certificate(fields) => Ok(Ok(fields.try_into()?)),
            ResultFields::Failure { error } => Ok(Err(error)),
        }
    }
}

fn check_seconds(seconds: f64) -> Result<f64, InvalidValue> {
    if seconds.is_finite() && seconds >= 0.0 {
        return Ok(seconds);
    }
    let rule = "a finite number, 0 or more";
    Err(InvalidValue(format!(
        "seconds must be {rule}, not {seconds}"
    )))
}

impl TryFrom<CertificateFields> for Certification {
    type Error = InvalidValue;

    fn try_from(fields: CertificateFields) -> Result<Self, InvalidValue> {
        let CertificateFields { count, n, .. } = fields;
        let outcome = outcome(fields.prediction, Radius::new(fields.radius)?)?;
        check_count(count, n)?;
        Ok(Self {
            outcome,
            sigma: Sigma::new(fields.sigma)?,
            sigma0: Sigma::new(fields.sigma0)?,
            n0: fields.n0,
            n,
            count,
            p_lower: Probability::new(fields.p_lower)?,
            alpha: Alpha::new(fields.alpha)?,
        })
    }
}

fn check_count(count: u64, n: u64) -> Result<(), InvalidValue> {
    if count <= n {
        return Ok(());
    }
    Err(InvalidValue(format!("count {count} is more than n {n}")))
}

fn outcome(prediction: Option<u32>, radius: Radius) -> Result<Outcome, InvalidValue> {
    match prediction.map(Class) {
        Some(class) => Ok(Outcome::Certified { class, radius }),
        None if radius == Radius::ZERO => Ok(Outcome::Abstained),
        None => Err(InvalidValue(format!("an abstention has radius {radius}"))),
    }
}

/// Writes the record as one line of JSON, without the line feed. It contains errors and names from
/// other programs, so characters that would control a terminal are written as `\u` and four
/// hexadecimal digits.
#[must_use]
pub fn to_line(record: &Record) -> String {
    // Plain fields and finite numbers always serialise.
    escape_json(&serde_json::to_string(&RecordLine::from(record)).unwrap_or_default())
}

/// Reads one line.
///
/// # Errors
/// When the line is not JSON, lacks a field, holds a value out of range, or contradicts itself.
pub fn from_line(line: &str) -> Result<Record, InvalidValue> {
    let line: RecordLine =
        serde_json::from_str(line).map_err(|e| InvalidValue(format!("not a record: {e}")))?;
    line.try_into()
}
