//! JSON, the interface for other programs: every number in full, unknown settings as `null`.

use ddrs_common::attack::{AttackReach, AttackTally};
use ddrs_common::domain::{Alpha, Radii, Sigma, Statement};
use ddrs_common::spec::BoundRule;
use serde::Serialize;

use super::escape::escape_json;
use crate::aggregate::{
    Contradiction, IndexSet, RowSettings, SigmaQuantiles, SigmaShares, Table, TableRow,
};

#[derive(Serialize)]
struct JsonReport<'a> {
    title: &'a str,
    rows: Vec<JsonRow<'a>>,
}

/// The fields of a row, in the order of the file.
#[derive(Serialize)]
struct JsonRow<'a> {
    #[serde(flatten)]
    name: JsonName<'a>,
    #[serde(flatten)]
    accuracy: JsonAccuracy<'a>,
    #[serde(flatten)]
    counts: JsonCounts,
    indices: JsonIndices,
    #[serde(flatten)]
    settings: JsonSettings<'a>,
    #[serde(flatten)]
    chosen: JsonChosenSigmas,
    /// Missing for a row that selects no level.
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<Vec<JsonLevel>>,
    contradictions: Vec<JsonContradiction>,
    attacks: Vec<JsonAttacks>,
}

#[derive(Serialize)]
struct JsonName<'a> {
    variant: &'a str,
    statement: Option<&'static str>,
    claim: Option<&'static str>,
    memory: bool,
    samples: u64,
}

#[derive(Serialize)]
struct JsonAccuracy<'a> {
    radii: Vec<f64>,
    certified: &'a [u64],
    certified_accuracy: Vec<f64>,
    average_certified_radius: f64,
}

#[derive(Serialize)]
struct JsonCounts {
    abstained: u64,
    correct: u64,
    certified_wrong: u64,
    failed: u64,
    missing: u64,
}

#[derive(Serialize)]
struct JsonSettings<'a> {
    n0: Option<u64>,
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopping: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<&'static str>,
    alpha: Option<f64>,
    seed: Option<u64>,
    sigma0: Option<f64>,
    precision: Option<&'a str>,
}

/// The sigma of a level, and the number of samples for which it was selected.
#[derive(Serialize)]
struct JsonLevel {
    sigma: f64,
    samples: u64,
}

#[derive(Serialize)]
struct JsonChosenSigmas {
    #[serde(rename = "sigma_p10")]
    p10: Option<f64>,
    #[serde(rename = "sigma_p50")]
    p50: Option<f64>,
    #[serde(rename = "sigma_p90")]
    p90: Option<f64>,
}

/// The indices of two inputs whose certificates contradict each other.
#[derive(Serialize)]
struct JsonContradiction {
    first: u64,
    second: u64,
    distance: f64,
}

/// The attacks at one radius; at each certificate's own radius, `radius` is `null`.
#[derive(Serialize)]
struct JsonAttacks {
    radius: Option<f64>,
    own_radius: bool,
    certified: u64,
    attacked: u64,
    fell: u64,
    abstained: u64,
    at_most: u64,
    at_most_accuracy: f64,
}

/// `step` is `null` where the distances between neighbours differ.
#[derive(Serialize)]
struct JsonIndices {
    first: Option<u64>,
    last: Option<u64>,
    step: Option<u64>,
    description: String,
}

pub(super) fn json(table: &Table) -> String {
    // Plain fields and finite numbers always serialise.
    let text = serde_json::to_string_pretty(&json_report(table)).unwrap_or_default();
    escape_json(&text) + "\n"
}

fn json_report(table: &Table) -> JsonReport<'_> {
    let rows = table.rows.iter().map(|row| json_row(row, &table.radii));
    JsonReport {
        title: &table.title,
        rows: rows.collect(),
    }
}

fn json_row<'a>(row: &'a TableRow, radii: &Radii) -> JsonRow<'a> {
    JsonRow {
        name: json_name(row),
        accuracy: json_accuracy(row, radii),
        counts: json_counts(row),
        indices: json_indices(row.indices),
        settings: json_settings(&row.settings),
        chosen: json_chosen_sigmas(row.chosen),
        levels: row.levels.as_ref().map(json_levels),
        contradictions: row.contradictions.iter().map(json_contradiction).collect(),
        attacks: row.attacks.iter().map(json_attacks).collect(),
    }
}

fn json_name(row: &TableRow) -> JsonName<'_> {
    JsonName {
        variant: &row.variant,
        statement: row.statement().map(Statement::as_str),
        claim: row.statement().map(Statement::claim),
        memory: row.memory,
        samples: row.samples,
    }
}

fn json_accuracy<'a>(row: &'a TableRow, radii: &Radii) -> JsonAccuracy<'a> {
    JsonAccuracy {
        radii: radii.values(),
        certified: &row.certified,
        certified_accuracy: row.certified_accuracy(),
        average_certified_radius: row.average_certified_radius,
    }
}

fn json_counts(row: &TableRow) -> JsonCounts {
    JsonCounts {
        abstained: row.abstained,
        correct: row.correct,
        certified_wrong: row.certified_wrong,
        failed: row.failed,
        missing: row.missing,
    }
}

fn json_settings(settings: &RowSettings) -> JsonSettings<'_> {
    JsonSettings {
        n0: settings.n0,
        n: settings.n,
        stopping: settings.stopping.as_deref(),
        bound: settings.bound.map(BoundRule::as_str),
        alpha: settings.alpha.map(Alpha::get),
        seed: settings.seed,
        sigma0: settings.sigma0.map(Sigma::get),
        precision: settings.precision.as_deref(),
    }
}

fn json_levels(shares: &SigmaShares) -> Vec<JsonLevel> {
    let shares = shares.iter();
    shares
        .map(|(sigma, samples)| JsonLevel {
            sigma: sigma.get(),
            samples,
        })
        .collect()
}

fn json_chosen_sigmas(quantiles: Option<SigmaQuantiles>) -> JsonChosenSigmas {
    let [p10, p50, p90] = optional_values(quantiles);
    JsonChosenSigmas { p10, p50, p90 }
}

fn optional_values(quantiles: Option<SigmaQuantiles>) -> [Option<f64>; 3] {
    quantiles.map_or([None; 3], |quantiles| {
        quantiles.values().map(|sigma| Some(sigma.get()))
    })
}

fn json_contradiction(pair: &Contradiction) -> JsonContradiction {
    JsonContradiction {
        first: pair.first.0,
        second: pair.second.0,
        distance: pair.distance,
    }
}

fn json_attacks(tally: &AttackTally) -> JsonAttacks {
    let radius = match tally.reach {
        AttackReach::Radius(radius) => Some(radius.get()),
        AttackReach::Own => None,
    };
    JsonAttacks {
        radius,
        own_radius: radius.is_none(),
        certified: tally.certified,
        attacked: tally.attacked,
        fell: tally.fell,
        abstained: tally.abstained,
        at_most: tally.at_most(),
        at_most_accuracy: tally.at_most_accuracy(),
    }
}

fn json_indices(set: IndexSet) -> JsonIndices {
    JsonIndices {
        first: set.first(),
        last: set.last(),
        step: set.step(),
        description: set.to_string(),
    }
}
