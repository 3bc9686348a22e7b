//! Converts records to lines and back. The line is a contract with users' scripts, so it has a
//! separate type, [`RecordLine`]; the domain's [`Record`] is never serialised directly.

use serde::{Deserialize, Serialize};

use crate::domain::{
    Alpha, Certification, Class, InvalidValue, LevelBound, LevelSelection, Outcome, Probability,
    Radius, Record, RunnerUp, SampleIndex, SelectionCounts, Sigma, Statement, VariantName,
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
    Certificate(Box<CertificateFields>),
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
    // The fields below are missing in records of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    off_grid: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runner_up: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runner_up_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p_upper: Option<f64>,
    // These two are there where the rules of the sweep use them.
    #[serde(skip_serializing_if = "Option::is_none")]
    n0_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n0_runner_up_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<SelectorFields>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SelectorFields {
    level: u32,
    n0: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    n0_count: Option<u64>,
    counts: Vec<u64>,
    p_lower: f64,
    others: Vec<LevelFields>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LevelFields {
    level: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    n0_count: Option<u64>,
    n: u64,
    count: u64,
    p_lower: f64,
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
            Ok(certification) => Self::Certificate(Box::new(certification.into())),
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
            off_grid: distance(certification.off_grid),
            statement: certification.statement.map(|kind| kind.as_str().to_owned()),
            runner_up: certification.runner_up.map(|other| other.class.0),
            runner_up_count: certification.runner_up.map(|other| other.count),
            p_upper: certification.p_upper.map(Probability::get),
            n0_count: certification.n0_counts.map(|counts| counts.guess),
            n0_runner_up_count: certification.n0_counts.map(|counts| counts.runner_up),
            selector: certification.level.as_deref().map(SelectorFields::from),
        }
    }
}

impl From<&LevelSelection> for SelectorFields {
    fn from(selection: &LevelSelection) -> Self {
        Self {
            level: selection.level,
            n0: selection.n0,
            n0_count: selection.n0_count,
            counts: selection.counts.clone(),
            p_lower: selection.p_lower.get(),
            others: selection.others.iter().map(LevelFields::from).collect(),
        }
    }
}

impl From<&LevelBound> for LevelFields {
    fn from(bound: &LevelBound) -> Self {
        Self {
            level: bound.level,
            n0_count: bound.n0_count,
            n: bound.n,
            count: bound.count,
            p_lower: bound.p_lower.get(),
        }
    }
}

/// A distance as a line holds it: 0 is left out.
fn distance(off_grid: Radius) -> Option<f64> {
    (off_grid != Radius::ZERO).then_some(off_grid.get())
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
            ResultFields::Certificate(fields) => Ok(Ok((*fields).try_into()?)),
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
            statement: statement(fields.statement.as_deref())?,
            sigma: Sigma::new(fields.sigma)?,
            sigma0: Sigma::new(fields.sigma0)?,
            n0: fields.n0,
            n,
            count,
            p_lower: Probability::new(fields.p_lower)?,
            alpha: alpha(fields.alpha)?,
            off_grid: Radius::new(fields.off_grid.unwrap_or(0.0))?,
            runner_up: runner_up(fields.runner_up, fields.runner_up_count, n - count)?,
            p_upper: fields.p_upper.map(Probability::new).transpose()?,
            n0_counts: selection_counts(fields.n0_count, fields.n0_runner_up_count, fields.n0)?,
            level: selection(fields.selector)?,
        })
    }
}

fn alpha(value: f64) -> Result<Alpha, InvalidValue> {
    let alpha = Alpha::new(value)?;
    if alpha >= Alpha::LEAST {
        return Ok(alpha);
    }
    let least = Alpha::LEAST.get();
    Err(InvalidValue(format!(
        "alpha must be at least {least:e}, not {value:e}"
    )))
}

fn statement(word: Option<&str>) -> Result<Option<Statement>, InvalidValue> {
    let Some(word) = word else { return Ok(None) };
    match Statement::from_word(word) {
        Some(kind) => Ok(Some(kind)),
        None => Err(InvalidValue(format!("{word:?} is not a kind of statement"))),
    }
}

/// Reads the runner-up, which has at most the draws that the guess left.
fn runner_up(
    class: Option<u32>,
    count: Option<u64>,
    left: u64,
) -> Result<Option<RunnerUp>, InvalidValue> {
    match (class.map(Class), count) {
        (None, None) => Ok(None),
        (Some(class), Some(count)) if count <= left => Ok(Some(RunnerUp { class, count })),
        (Some(_), Some(count)) => Err(InvalidValue(format!(
            "runner_up_count {count} is more than the {left} draws that did not give the class"
        ))),
        _ => Err(InvalidValue(
            "runner_up and runner_up_count belong together".to_owned(),
        )),
    }
}

/// Reads the counts of the selection phase, whose most frequent class is the guess.
fn selection_counts(
    guess: Option<u64>,
    runner_up: Option<u64>,
    n0: u64,
) -> Result<Option<SelectionCounts>, InvalidValue> {
    match (guess, runner_up) {
        (None, None) => Ok(None),
        (Some(guess), Some(runner_up)) if guess <= n0 && runner_up <= guess.min(n0 - guess) => {
            Ok(Some(SelectionCounts { guess, runner_up }))
        }
        (Some(guess), Some(runner_up)) => Err(InvalidValue(format!(
            "{n0} draws cannot have n0_count {guess} and n0_runner_up_count {runner_up}"
        ))),
        _ => Err(InvalidValue(
            "n0_count and n0_runner_up_count belong together".to_owned(),
        )),
    }
}

fn selection(fields: Option<SelectorFields>) -> Result<Option<Box<LevelSelection>>, InvalidValue> {
    let selection = fields.map(LevelSelection::try_from).transpose()?;
    Ok(selection.map(Box::new))
}

impl TryFrom<SelectorFields> for LevelSelection {
    type Error = InvalidValue;

    fn try_from(fields: SelectorFields) -> Result<Self, InvalidValue> {
        let others = fields.others.into_iter().map(LevelBound::try_from);
        check_total(&fields.counts)?;
        Ok(Self {
            level: fields.level,
            n0: fields.n0,
            n0_count: fields.n0_count,
            counts: fields.counts,
            p_lower: Probability::new(fields.p_lower)?,
            others: others.collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<LevelFields> for LevelBound {
    type Error = InvalidValue;

    fn try_from(fields: LevelFields) -> Result<Self, InvalidValue> {
        check_count(fields.count, fields.n)?;
        Ok(Self {
            level: fields.level,
            n0_count: fields.n0_count,
            n: fields.n,
            count: fields.count,
            p_lower: Probability::new(fields.p_lower)?,
        })
    }
}

fn check_count(count: u64, n: u64) -> Result<(), InvalidValue> {
    if count <= n {
        return Ok(());
    }
    Err(InvalidValue(format!("count {count} is more than n {n}")))
}

fn check_total(counts: &[u64]) -> Result<(), InvalidValue> {
    let mut counts = counts.iter();
    let total = counts.try_fold(0_u64, |total, &count| total.checked_add(count));
    total
        .map(drop)
        .ok_or_else(|| InvalidValue("the counts of the selector add up to 2^64 or more".to_owned()))
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
