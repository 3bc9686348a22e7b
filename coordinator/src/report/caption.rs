//! The text under a table: how to read it, and the settings that it depends on.

use ddrs_common::attack::AttackTally;
use ddrs_common::domain::Statement;
use ddrs_common::spec::BoundRule;

use super::grid::name;
use crate::aggregate::{Table, TableRow};

const READING: &str = "Certified accuracy in % at each L2 radius: samples predicted correctly \
    with at least that radius, of all samples. ACR is the average certified radius. All are cut, \
    not rounded up.";

const OTHER_KINDS: &str = "Rows of different statements cannot be compared with each other: they \
    certify different things.";

const CHOSEN: &str = "chosen: the 10 %, 50 % and 90 % quantiles of the sigmas chosen per sample.";

const LEVELS: &str = "chosen: the share of samples at the sigma of each level.";

const ATTACKED: &str = "In brackets: the share that still holds for the whole pipeline after an \
    attack at this radius, at most; rounded up.";

/// Returns all lines of the caption: how to read the numbers, then the notes.
pub(super) fn all_notes(table: &Table) -> impl Iterator<Item = String> {
    std::iter::once(reading(table)).chain(notes(table))
}

/// Explains how to read the numbers.
pub(super) fn reading(table: &Table) -> String {
    let chosen = table.rows.iter().any(|row| row.chosen.is_some());
    let levels = table.rows.iter().any(|row| row.levels.is_some());
    let parts = [
        Some(READING),
        chosen.then_some(CHOSEN),
        levels.then_some(LEVELS),
        table.has_attacks().then_some(ATTACKED),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The meaning of each kind of statement, the settings that the rows depend on, one sentence for
/// all rows that share them, and warnings.
pub(super) fn notes(table: &Table) -> Vec<String> {
    let groups = grouped_by_settings(&table.rows);
    let settings: Vec<String> = match &groups[..] {
        [only] => vec![format!("all rows: {}", only.settings)],
        groups => groups.iter().map(SettingsGroup::note).collect(),
    };
    let warnings = table.rows.iter().flat_map(warnings);
    let claims = claims(table).into_iter();
    claims.chain(settings).chain(warnings).collect()
}

/// The statement of each kind of certificate, and that several kinds are no common currency.
fn claims(table: &Table) -> Vec<String> {
    let kinds: Vec<Option<Statement>> = table
        .by_statement()
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    let mut claims: Vec<String> = kinds.iter().map(|&kind| claim(kind)).collect();
    claims.extend(are_different_claims(&kinds).then(|| OTHER_KINDS.to_owned()));
    claims
}

/// Returns true unless all kinds, or the only one, are about one classifier.
fn are_different_claims(kinds: &[Option<Statement>]) -> bool {
    let is_of_one = |kind: &Option<Statement>| kind.is_some_and(Statement::is_of_one_classifier);
    kinds.len() > 1 && !kinds.iter().all(is_of_one)
}

fn claim(kind: Option<Statement>) -> String {
    match kind {
        Some(kind) => format!("statement {}: {}", kind.as_str(), kind.claim()),
        None => "statement unknown: the log does not name it".to_owned(),
    }
}

/// Settings in words, with the names of the rows that have them.
struct SettingsGroup {
    settings: String,
    names: Vec<String>,
}

impl SettingsGroup {
    fn note(&self) -> String {
        format!("{}: {}", self.names.join(", "), self.settings)
    }
}

fn grouped_by_settings(rows: &[TableRow]) -> Vec<SettingsGroup> {
    let mut groups = Vec::new();
    for row in rows {
        add_to_group(&mut groups, settings(row), name(row));
    }
    groups
}

fn add_to_group(groups: &mut Vec<SettingsGroup>, settings: String, name: String) {
    let group = groups.iter_mut().find(|group| group.settings == settings);
    match group {
        Some(group) => group.names.push(name),
        None => groups.push(SettingsGroup {
            settings,
            names: vec![name],
        }),
    }
}

/// The settings of a row in words; unknown ones are listed as unknown.
fn settings(row: &TableRow) -> String {
    let indices = Some(row.indices.to_string());
    let parts = [indices, known_settings(row), unknown_settings(row)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn known_settings(row: &TableRow) -> Option<String> {
    let settings = named_settings(row).into_iter();
    let mut known: Vec<String> = settings
        .filter_map(|(name, value)| Some(format!("{name} {}", value?)))
        .collect();
    known.extend(row.settings.bound.map(bound));
    list(&known)
}

fn unknown_settings(row: &TableRow) -> Option<String> {
    let settings = named_settings(row).into_iter();
    let unknown: Vec<String> = settings
        .filter_map(|(name, value)| value.is_none().then(|| name.to_owned()))
        .collect();
    list(&unknown).map(|names| format!("unknown: {names}"))
}

fn list(words: &[String]) -> Option<String> {
    (!words.is_empty()).then(|| words.join(", "))
}

fn named_settings(row: &TableRow) -> [(&'static str, Option<String>); 5] {
    let settings = &row.settings;
    let stopping = settings.stopping.as_deref();
    [
        ("n0", text(settings.n0)),
        ("n", settings.n.map(|n| draws(n, stopping))),
        ("alpha", text(settings.alpha)),
        ("seed", text(settings.seed)),
        ("precision", settings.precision.clone()),
    ]
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// The number of draws of the estimation phase, and the rule that may have ended it earlier.
fn draws(n: u64, stopping: Option<&str>) -> String {
    stopping.map_or(n.to_string(), |rule| {
        format!("at most {n}, stopping {rule}")
    })
}

fn bound(rule: BoundRule) -> String {
    format!("bound {}", rule.as_str())
}

fn warnings(row: &TableRow) -> impl Iterator<Item = String> + '_ {
    let attacked = row.attacks.iter().map(|tally| attacked(row, tally));
    let contradicted = contradicted(row).into_iter();
    contradicted.chain(attacked).chain(incomplete(row))
}

fn contradicted(row: &TableRow) -> Option<String> {
    let example = row.contradictions.first()?;
    let pairs = row.contradictions.len();
    Some(format!(
        "CONTRADICTED {}: pairs of certificates of different classes that overlap: {pairs}; at \
         least one of each pair is false; the first is indices {} and {}, at distance {}",
        name(row),
        example.first,
        example.second,
        example.distance
    ))
}

fn attacked(row: &TableRow, tally: &AttackTally) -> String {
    let meaning = if tally.fell == 0 {
        None
    } else {
        row.statement().map(meaning_of_falls)
    };
    let parts = [Some(format!("ATTACKED {} {tally}", name(row))), meaning];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The meaning of attacks that another class was certified by.
fn meaning_of_falls(statement: Statement) -> String {
    let meaning = if statement.is_of_one_classifier() {
        "each fall is a contradiction: the certificate or that of the point is false; of N \
         samples, N times alpha false certificates are expected at most"
    } else {
        "the falls refute the pipeline that chooses sigma again at the point, not the \
         certificates, which hold sigma fixed"
    };
    meaning.to_owned()
}

fn incomplete(row: &TableRow) -> Option<String> {
    let parts: Vec<String> = missing(row).into_iter().chain(failed(row)).collect();
    (!parts.is_empty()).then(|| format!("INCOMPLETE {}: {}", name(row), parts.join("; ")))
}

fn missing(row: &TableRow) -> Option<String> {
    let missing = row.missing;
    let expected = row.samples + missing;
    (missing > 0)
        .then(|| format!("{missing} of {expected} samples have no result yet and are not counted"))
}

fn failed(row: &TableRow) -> Option<String> {
    let failed = row.failed;
    (failed > 0).then(|| format!("{failed} failed and count as not certified"))
}
