//! The name of a certification log that takes part in an envelope.

use ddrs_common::domain::{Choice, Sigma, Statement};

/// The choices of sigma when a network was trained and when it was certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChoicePair {
    /// The choice in training.
    pub training: Choice,
    /// The choice in certifying.
    pub certifying: Choice,
}

/// `LOSS-CHOICE-SIGMA_CHOICE_SIGMA`: the loss, choice and sigma of the training, then the choice
/// and initial sigma of the certification.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogName {
    /// The loss of the training.
    pub loss: String,
    /// The two choices.
    pub choices: ChoicePair,
    /// The initial sigma of the certification.
    pub sigma: Sigma,
    /// The statement of the certificates.
    pub statement: Statement,
}

impl LogName {
    /// Reads the name of a log's file, which may end with `.tsv` or `.memory.tsv`; `None` for
    /// another form.
    #[must_use]
    pub(crate) fn parse(file: &str) -> Option<Self> {
        let whole = file.strip_suffix(".tsv").unwrap_or(file);
        let without_memory = whole.strip_suffix(".memory");
        let stem = without_memory.unwrap_or(whole);
        let parts: Vec<&str> = stem.split('_').collect();
        let [network, certifying, sigma] = parts[..] else {
            return None;
        };
        let (loss, training) = parse_network(network)?;
        let certifying = parse_choice(certifying)?;
        Some(Self {
            loss: loss.to_owned(),
            choices: ChoicePair {
                training,
                certifying,
            },
            sigma: parse_sigma(sigma)?,
            statement: match without_memory {
                Some(_) => Statement::Memory,
                None => Statement::of(certifying),
            },
        })
    }
}

/// Reads `LOSS-CHOICE-SIGMA`.
fn parse_network(network: &str) -> Option<(&str, Choice)> {
    let (loss, rest) = network.split_once('-')?;
    let (choice, sigma) = rest.rsplit_once('-')?;
    parse_sigma(sigma)?;
    (!loss.is_empty()).then_some((loss, parse_choice(choice)?))
}

fn parse_choice(word: &str) -> Option<Choice> {
    [Choice::Fixed, Choice::DataDependent]
        .into_iter()
        .find(|choice| choice.as_str() == word)
}

fn parse_sigma(text: &str) -> Option<Sigma> {
    Sigma::new(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_tells_loss_choices_and_sigma() {
        let name = LogName::parse("gaussian-data-dependent-0.25_fixed_0.5").unwrap();
        let choices = ChoicePair {
            training: Choice::DataDependent,
            certifying: Choice::Fixed,
        };
        assert_eq!(
            (name.loss.as_str(), name.choices, name.sigma.get()),
            ("gaussian", choices, 0.5)
        );
    }

    #[test]
    fn a_name_tells_the_statement() {
        let of = |choice: &str, ending: &str| {
            let name = format!("gaussian-fixed-0.25_{choice}_0.5{ending}");
            LogName::parse(&name).unwrap().statement
        };
        assert_eq!(of("fixed", ".tsv"), Statement::Fixed);
        assert_eq!(of("data-dependent", ".tsv"), Statement::DataDependent);
        assert_eq!(of("data-dependent", ".memory.tsv"), Statement::Memory);
    }

    #[test]
    fn another_name_is_not_accepted() {
        for name in [
            "",
            "cohen_0.25",
            "gaussian-fixed-0.25",
            "gaussian-fixed-0.25_fixed",
            "gaussian-fixed-0.25_fixed_0.25_2",
            "gaussian-fixed-0.25_searched_0.25",
            "gaussian-searched-0.25_fixed_0.25",
            "gaussian-fixed_fixed_0.25",
            "-fixed-0.25_fixed_0.25",
            "gaussian-fixed-0.25_fixed_x",
            "gaussian-fixed-0.25_fixed_0",
        ] {
            assert_eq!(LogName::parse(name), None, "{name}");
        }
    }
}
