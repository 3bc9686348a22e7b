//! `[smoothing]`.

use super::section::Section;
use crate::domain::{Choice, Sigma};
use crate::spec::raw::{RawChoice, RawDataDependent, RawMethod, RawSmoothing};
use crate::spec::{DataDependentSpec, SigmaMethod, SmoothingSpec, SpecError};

/// Far more than a table has rows for, and few enough to compare each with each.
const MOST_SIGMAS: usize = 1000;
/// A sigma ends the names of its variants, and those name files.
const MAX_SIGMA_DIGITS: usize = 64;

pub(super) fn smoothing(at: &Section, raw: RawSmoothing) -> Result<SmoothingSpec, SpecError> {
    let sigma = sigmas(at, &at.required("sigma", raw.sigma)?)?;
    at.not_empty("choice", &raw.choice)?;
    let choice: Vec<Choice> = raw.choice.into_iter().map(meant).collect();
    at.distinct("choice", &choice)?;
    let data_dependent = data_dependent(&at.table("data-dependent"), &raw.data_dependent)?;
    if choice.contains(&Choice::DataDependent) {
        let (lower, upper) = data_dependent.range;
        if let Some(i) = sigma
            .iter()
            .position(|sigma| !(lower..=upper).contains(sigma))
        {
            let message = format!(
                "{} lies outside smoothing.data-dependent.range, [{lower}, {upper}], where its choice would start",
                sigma[i]
            );
            return Err(at.error(&format!("sigma[{i}]"), message));
        }
    }
    Ok(SmoothingSpec {
        sigma,
        choice,
        data_dependent,
    })
}

fn sigmas(at: &Section, raw: &[f64]) -> Result<Vec<Sigma>, SpecError> {
    at.not_empty("sigma", raw)?;
    if raw.len() > MOST_SIGMAS {
        return Err(at.error("sigma", format!("at most {MOST_SIGMAS}, not {}", raw.len())));
    }
    let mut sigmas = Vec::with_capacity(raw.len());
    for (i, &value) in raw.iter().enumerate() {
        let key = format!("sigma[{i}]");
        let sigma = at.unit(&key, Sigma::new(value))?;
        if sigma.to_string().len() > MAX_SIGMA_DIGITS {
            return Err(at.error(
                &key,
                format!("{value:e} has more than {MAX_SIGMA_DIGITS} digits"),
            ));
        }
        sigmas.push(sigma);
    }
    at.distinct("sigma", &sigmas)?;
    Ok(sigmas)
}

fn meant(raw: RawChoice) -> Choice {
    match raw {
        RawChoice::Fixed => Choice::Fixed,
        RawChoice::DataDependent => Choice::DataDependent,
    }
}

pub(in crate::spec) fn data_dependent(
    at: &Section,
    raw: &RawDataDependent,
) -> Result<DataDependentSpec, SpecError> {
    let [lower, upper] = raw.range[..] else {
        return Err(at.error(
            "range",
            format!(
                "wants two numbers, the lower end and the upper, not {}",
                raw.range.len()
            ),
        ));
    };
    let range = (
        at.unit("range[0]", Sigma::new(lower))?,
        at.unit("range[1]", Sigma::new(upper))?,
    );
    if lower >= upper {
        return Err(at.error(
            "range",
            format!("the lower end, {lower}, must lie below the upper, {upper}"),
        ));
    }
    let rate = raw.learning_rate.unwrap_or(1e-4);
    Ok(DataDependentSpec {
        method: method(at, raw)?,
        iterations: at.integer("iterations", raw.iterations.unwrap_or(100), 1, 100_000)? as u32,
        draws: at.integer(
            "draws",
            raw.draws.unwrap_or(default_draws(raw.method)),
            1,
            10_000,
        )? as u32,
        learning_rate: at.number("learning-rate", rate, rate > 0.0, "a finite number above 0")?,
        clamp: at.number(
            "clamp",
            raw.clamp,
            raw.clamp > 0.0 && raw.clamp < 0.5,
            "strictly between 0 and 0.5",
        )?,
        range,
    })
}

fn default_draws(method: RawMethod) -> i64 {
    match method {
        RawMethod::Gradient => 1,
        RawMethod::Search => 8,
    }
}

/// The method, and that no key of the other one is given.
fn method(at: &Section, raw: &RawDataDependent) -> Result<SigmaMethod, SpecError> {
    let refuse = |given: [(&str, bool); 2], word: &str, other: &str| {
        let message = format!("has no meaning for method {word}, only for {other}");
        given
            .into_iter()
            .find(|&(_, given)| given)
            .map_or(Ok(()), |(key, _)| Err(at.error(key, message)))
    };
    match raw.method {
        RawMethod::Gradient => {
            let given = [
                ("rounds", raw.rounds.is_some()),
                ("candidates", raw.candidates.is_some()),
            ];
            refuse(given, "gradient", "search")?;
            Ok(SigmaMethod::Gradient)
        }
        RawMethod::Search => {
            let given = [
                ("iterations", raw.iterations.is_some()),
                ("learning-rate", raw.learning_rate.is_some()),
            ];
            refuse(given, "search", "gradient")?;
            Ok(SigmaMethod::Search {
                rounds: at.integer("rounds", raw.rounds.unwrap_or(3), 1, 100)? as u32,
                candidates: at.integer("candidates", raw.candidates.unwrap_or(5), 3, 1000)? as u32,
            })
        }
    }
}
