//! Checks `[smoothing]`.

use std::path::Path;

use super::model::ModelList;
use super::section::SpecTable;
use super::selected::selected;
use crate::domain::{Choice, Sigma, VariantName};
use crate::spec::raw::{
    RawChoice, RawDataDependent, RawMethod, RawSelected, RawSigmaFile, RawSmoothing, Required,
};
use crate::spec::{
    DataDependentSpec, SelectedSpec, SigmaFileSpec, SigmaMethod, SmoothingSpec, SpecError,
};

/// More sigmas than a table can show, and few enough to compare every pair.
const MOST_SIGMAS: usize = 1000;

pub(super) fn smoothing(
    at: &SpecTable,
    raw: RawSmoothing,
    experts: &ModelList,
    folder: &Path,
) -> Result<SmoothingSpec, SpecError> {
    let choice = choices(at, raw.choice)?;
    let sigma = needed_sigmas(at, raw.sigma, &choice)?;
    let data_dependent = data_dependent(&at.table("data-dependent"), &raw.data_dependent)?;
    if choice.contains(&Choice::DataDependent) {
        check_start(at, &sigma, data_dependent.range)?;
    }
    Ok(SmoothingSpec {
        selected: levels(at, raw.selected, experts, &choice)?,
        file: sigma_file(at, raw.file, &choice, folder)?,
        sigma,
        choice,
        data_dependent,
    })
}

/// Checks the levels, which a choice may need.
fn levels(
    at: &SpecTable,
    raw: Option<RawSelected>,
    experts: &ModelList,
    choice: &[Choice],
) -> Result<Option<SelectedSpec>, SpecError> {
    let within = at.table("selected");
    match raw {
        Some(raw) => selected(&within, raw, experts).map(Some),
        None if choice.contains(&Choice::Selected) => {
            let message = "is required by the choice \"selected\", and missing";
            Err(at.error("selected", message))
        }
        None => Ok(None),
    }
}

/// Checks the file of sigmas, which a choice may need.
fn sigma_file(
    at: &SpecTable,
    raw: Option<RawSigmaFile>,
    choice: &[Choice],
    folder: &Path,
) -> Result<Option<SigmaFileSpec>, SpecError> {
    let within = at.table("file");
    let Some(raw) = raw else {
        if choice.contains(&Choice::File) {
            let message = "is required by the choice \"file\", and missing";
            return Err(at.error("file", message));
        }
        return Ok(None);
    };
    let path = within.path("path", &within.required("path", raw.path)?, folder)?;
    let largest = within.sigma("largest", within.required("largest", raw.largest)?)?;
    let variant = raw.variant.map(VariantName::new);
    Ok(Some(SigmaFileSpec::new(path, raw.name, variant, largest)))
}

/// Checks the list of sigmas. Without a choice that starts at one of them, it may be left out.
fn needed_sigmas(
    at: &SpecTable,
    raw: Required<Vec<f64>>,
    choice: &[Choice],
) -> Result<Vec<Sigma>, SpecError> {
    match raw.0 {
        None if choice.iter().all(|choice| !starts_at_sigma(*choice)) => Ok(Vec::new()),
        raw => sigmas(at, &at.given("sigma", raw)?),
    }
}

/// Returns true for the choices that take their first sigma from the list.
fn starts_at_sigma(choice: Choice) -> bool {
    matches!(choice, Choice::Fixed | Choice::DataDependent)
}

fn choices(at: &SpecTable, raw: Vec<RawChoice>) -> Result<Vec<Choice>, SpecError> {
    at.not_empty("choice", &raw)?;
    let choices: Vec<Choice> = raw.into_iter().map(choice_of).collect();
    at.distinct("choice", &choices)?;
    Ok(choices)
}

/// Refuses a sigma outside the range in which the choice of sigma stays.
fn check_start(
    at: &SpecTable,
    sigma: &[Sigma],
    (lower, upper): (Sigma, Sigma),
) -> Result<(), SpecError> {
    let is_outside = |sigma: &Sigma| !(lower..=upper).contains(sigma);
    let Some(i) = sigma.iter().position(is_outside) else {
        return Ok(());
    };
    let message = format!(
        "{} lies outside smoothing.data-dependent.range, [{lower}, {upper}], \
         where its choice would start",
        sigma[i]
    );
    Err(at.error(&format!("sigma[{i}]"), message))
}

fn sigmas(at: &SpecTable, raw: &[f64]) -> Result<Vec<Sigma>, SpecError> {
    at.not_empty("sigma", raw)?;
    check_sigma_count(at, raw.len())?;
    let sigmas = raw.iter().enumerate();
    let sigmas: Vec<Sigma> = sigmas
        .map(|(i, &value)| at.sigma(&format!("sigma[{i}]"), value))
        .collect::<Result<_, _>>()?;
    at.distinct("sigma", &sigmas)?;
    Ok(sigmas)
}

fn check_sigma_count(at: &SpecTable, count: usize) -> Result<(), SpecError> {
    if count <= MOST_SIGMAS {
        return Ok(());
    }
    let message = format!("at most {MOST_SIGMAS}, not {count}");
    Err(at.error("sigma", message))
}

fn choice_of(raw: RawChoice) -> Choice {
    match raw {
        RawChoice::Fixed => Choice::Fixed,
        RawChoice::DataDependent => Choice::DataDependent,
        RawChoice::Selected => Choice::Selected,
        RawChoice::File => Choice::File,
    }
}

/// Checks the parameters of a choice of sigma.
pub(in crate::spec) fn data_dependent(
    at: &SpecTable,
    raw: &RawDataDependent,
) -> Result<DataDependentSpec, SpecError> {
    let range = range(at, &raw.range)?;
    Ok(DataDependentSpec {
        method: method(at, raw)?,
        iterations: iterations(at, raw)?,
        draws: draws(at, raw)?,
        learning_rate: at.above_zero("learning-rate", raw.learning_rate.unwrap_or(1e-4))?,
        clamp: clamp(at, raw.clamp)?,
        range,
    })
}

fn iterations(at: &SpecTable, raw: &RawDataDependent) -> Result<u32, SpecError> {
    let iterations = raw.iterations.unwrap_or(100);
    Ok(at.integer("iterations", iterations, 1, 100_000)? as u32)
}

fn draws(at: &SpecTable, raw: &RawDataDependent) -> Result<u32, SpecError> {
    let draws = raw.draws.unwrap_or(default_draws(raw.method));
    Ok(at.integer("draws", draws, 1, 10_000)? as u32)
}

fn clamp(at: &SpecTable, clamp: f64) -> Result<f64, SpecError> {
    let holds = clamp > 0.0 && clamp < 0.5;
    at.number("clamp", clamp, holds, "strictly between 0 and 0.5")
}

fn range(at: &SpecTable, raw: &[f64]) -> Result<(Sigma, Sigma), SpecError> {
    let [lower, upper] = two_ends(at, raw)?;
    let range = (
        at.unit("range[0]", Sigma::new(lower))?,
        at.unit("range[1]", Sigma::new(upper))?,
    );
    check_ends(at, lower, upper)?;
    Ok(range)
}

fn two_ends(at: &SpecTable, raw: &[f64]) -> Result<[f64; 2], SpecError> {
    raw.try_into().map_err(|_| {
        let found = raw.len();
        let message = format!("wants two numbers, the lower end and the upper, not {found}");
        at.error("range", message)
    })
}

fn check_ends(at: &SpecTable, lower: f64, upper: f64) -> Result<(), SpecError> {
    if lower < upper {
        return Ok(());
    }
    let message = format!("the lower end, {lower}, must lie below the upper, {upper}");
    Err(at.error("range", message))
}

fn default_draws(method: RawMethod) -> i64 {
    match method {
        RawMethod::Gradient => 1,
        RawMethod::Search => 8,
    }
}

/// Checks the method, and refuses keys of the other one.
fn method(at: &SpecTable, raw: &RawDataDependent) -> Result<SigmaMethod, SpecError> {
    match raw.method {
        RawMethod::Gradient => gradient(at, raw),
        RawMethod::Search => search(at, raw),
    }
}

fn gradient(at: &SpecTable, raw: &RawDataDependent) -> Result<SigmaMethod, SpecError> {
    let given = [
        ("rounds", raw.rounds.is_some()),
        ("candidates", raw.candidates.is_some()),
    ];
    at.refuse(
        &given,
        "has no meaning for method gradient, only for search",
    )?;
    Ok(SigmaMethod::Gradient)
}

fn search(at: &SpecTable, raw: &RawDataDependent) -> Result<SigmaMethod, SpecError> {
    refuse_keys_of_gradient(at, raw)?;
    let rounds = raw.rounds.unwrap_or(3);
    let candidates = raw.candidates.unwrap_or(5);
    Ok(SigmaMethod::Search {
        rounds: at.integer("rounds", rounds, 1, 100)? as u32,
        candidates: at.integer("candidates", candidates, 3, 1000)? as u32,
    })
}

fn refuse_keys_of_gradient(at: &SpecTable, raw: &RawDataDependent) -> Result<(), SpecError> {
    let given = [
        ("iterations", raw.iterations.is_some()),
        ("learning-rate", raw.learning_rate.is_some()),
    ];
    at.refuse(
        &given,
        "has no meaning for method search, only for gradient",
    )
}
