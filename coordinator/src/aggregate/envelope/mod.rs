//! The envelope over sigmas: for each loss and each pair of choices (in training, in certifying)
//! the best certified accuracy over the sigmas, and the gain of data-dependent over fixed sigmas.
//!
//! Each log is counted into a [`TableRow`]; an envelope only selects among these counts. The best
//! sigma, and the strongest loss, are found on the same images as the accuracies. The intervals do
//! not cover that selection, nor the variation between trainings with other seeds.

mod gain;
mod log_name;

use ddrs_common::domain::{Choice, InvalidRadii, Radii, SampleIndex, Sigma, Statement};

pub(crate) use gain::Gain;
pub(crate) use log_name::{ChoicePair, LogName};

use super::{Entry, RowSettings, TableRow};

/// The radii of an envelope's table.
const RADII: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// The position in [`RADII`] of [`GAIN_RADIUS`].
const GAIN_COLUMN: usize = 2;

/// The radius at which gains are measured.
pub(crate) const GAIN_RADIUS: f64 = RADII[GAIN_COLUMN];

const BOTH_FIXED: ChoicePair = ChoicePair {
    training: Choice::Fixed,
    certifying: Choice::Fixed,
};

/// One network certified in one way: the content of one log.
#[derive(Debug, Clone)]
pub(crate) struct CertifiedNetwork {
    name: LogName,
    file: String,
    indices: Vec<SampleIndex>,
    row: TableRow,
    /// For each image, in the order of `indices`: certified at [`GAIN_RADIUS`].
    certified: Vec<bool>,
}

/// The best over the sigmas, and the gains.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Envelope {
    /// The radii of `rows`.
    pub radii: Radii,
    /// The initial sigmas that the logs have, in the order in which they first appear.
    pub sigmas: Vec<Sigma>,
    /// One row per loss and pair of choices, in the order in which they first appear.
    pub rows: Vec<EnvelopeRow>,
    /// The gains: per loss and sigma, then over the losses.
    pub gains: Vec<GainRow>,
}

/// The best certified accuracy of one loss and one pair of choices.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnvelopeRow {
    /// The loss of the training.
    pub loss: String,
    /// The choices of sigma.
    pub choices: ChoicePair,
    /// The statement of the certificates.
    pub statement: Option<Statement>,
    /// The number of images.
    pub samples: u64,
    /// For each radius, the images certified by the sigma that certifies most of them.
    pub certified: Vec<u64>,
}

/// The gains of data-dependent sigmas over fixed ones. A gain is `None` where one side was not
/// certified.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GainRow {
    /// The loss; `None` for the strongest loss on each side.
    pub loss: Option<String>,
    /// The initial sigma; `None` for the best one on each side.
    pub sigma: Option<Sigma>,
    /// Data-dependent in training only.
    pub in_training: Option<Gain>,
    /// Data-dependent in certifying only.
    pub in_certifying: Option<Gain>,
    /// Data-dependent in both.
    pub in_both: Option<Gain>,
}

/// The reason why logs cannot be combined into an envelope.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvelopeError {
    /// Two logs have the same loss, choices and sigma.
    #[error("{0} and {1} are logs of the same network, choice and sigma; give one of them")]
    Twice(String, String),
    /// Two logs of one choice of sigma make different statements.
    #[error(
        "{0} and {1} make different statements, one of them with memory; an envelope never mixes \
         them: give the logs of one kind"
    )]
    OtherStatement(String, String),
    /// Two logs are of different images.
    #[error("{0} and {1} have different images; an envelope compares logs of the same images")]
    OtherImages(String, String),
    /// The radii are not valid.
    #[error(transparent)]
    Radii(#[from] InvalidRadii),
}

impl CertifiedNetwork {
    /// Counts the entries of a log. `file` is its name for errors.
    ///
    /// # Errors
    /// Never for the built-in radii.
    pub(crate) fn new(
        name: LogName,
        file: String,
        mut entries: Vec<Entry>,
    ) -> Result<Self, InvalidRadii> {
        entries.sort_by_key(|entry| entry.index);
        let radii = Radii::new(&RADII)?;
        let row = TableRow::count(&file, false, &entries, &radii, RowSettings::default());
        Ok(Self {
            name,
            file,
            indices: entries.iter().map(|entry| entry.index).collect(),
            row,
            certified: entries.iter().map(is_certified_at_gain_radius).collect(),
        })
    }

    fn is_of_row(&self, loss: &str, choices: ChoicePair) -> bool {
        self.name.loss == loss && self.name.choices == choices
    }

    /// Returns true if this is of the loss and of the sigma, where they are given.
    fn is_of(&self, loss: Option<&str>, sigma: Option<Sigma>) -> bool {
        loss.is_none_or(|loss| loss == self.name.loss)
            && sigma.is_none_or(|sigma| sigma == self.name.sigma)
    }
}

fn is_certified_at_gain_radius(entry: &Entry) -> bool {
    entry.correct_radius().is_some_and(|r| r >= GAIN_RADIUS)
}

impl Envelope {
    /// Selects the best of the networks over their sigmas; among equals the first.
    ///
    /// # Errors
    /// When two logs are of one network, choice and sigma, or of different images.
    pub(crate) fn new(networks: &[CertifiedNetwork]) -> Result<Self, EnvelopeError> {
        check_comparable(networks)?;
        let sigmas = distinct(networks.iter().map(|network| network.name.sigma));
        Ok(Self {
            radii: Radii::new(&RADII)?,
            rows: envelope_rows(networks),
            gains: gain_rows(networks, &sigmas),
            sigmas,
        })
    }
}

fn check_comparable(networks: &[CertifiedNetwork]) -> Result<(), EnvelopeError> {
    for (place, network) in networks.iter().enumerate() {
        for earlier in &networks[..place] {
            check_pair(earlier, network)?;
        }
    }
    Ok(())
}

fn check_pair(one: &CertifiedNetwork, other: &CertifiedNetwork) -> Result<(), EnvelopeError> {
    if one.name == other.name {
        return Err(pair_error(EnvelopeError::Twice, one, other));
    }
    if one.name.choices.certifying == other.name.choices.certifying
        && one.name.statement != other.name.statement
    {
        return Err(pair_error(EnvelopeError::OtherStatement, one, other));
    }
    if one.indices != other.indices {
        return Err(pair_error(EnvelopeError::OtherImages, one, other));
    }
    Ok(())
}

fn pair_error(
    kind: fn(String, String) -> EnvelopeError,
    one: &CertifiedNetwork,
    other: &CertifiedNetwork,
) -> EnvelopeError {
    kind(one.file.clone(), other.file.clone())
}

fn envelope_rows(networks: &[CertifiedNetwork]) -> Vec<EnvelopeRow> {
    let names = networks.iter().map(|network| &network.name);
    distinct(names.map(|name| (name.loss.as_str(), name.choices)))
        .into_iter()
        .map(|(loss, choices)| envelope_row(networks, loss, choices))
        .collect()
}

fn envelope_row(networks: &[CertifiedNetwork], loss: &str, choices: ChoicePair) -> EnvelopeRow {
    let networks: Vec<&CertifiedNetwork> = networks
        .iter()
        .filter(|network| network.is_of_row(loss, choices))
        .collect();
    let rows: Vec<&TableRow> = networks.iter().map(|network| &network.row).collect();
    EnvelopeRow {
        loss: loss.to_owned(),
        choices,
        statement: networks.first().map(|network| network.name.statement),
        samples: rows.first().map_or(0, |row| row.samples),
        certified: most_per_radius(&rows),
    }
}

/// Returns, for each radius, the largest number of certified images.
fn most_per_radius(rows: &[&TableRow]) -> Vec<u64> {
    let most = |column: usize| rows.iter().map(|row| row.certified[column]).max();
    (0..RADII.len()).filter_map(most).collect()
}

/// Returns the gains of each loss, and of the strongest losses where there are several.
fn gain_rows(networks: &[CertifiedNetwork], sigmas: &[Sigma]) -> Vec<GainRow> {
    let selections = sigma_selections(sigmas);
    let losses = distinct(networks.iter().map(|network| network.name.loss.as_str()));
    let mut rows = gain_rows_per_loss(networks, &losses, &selections);
    if let (Some(&widest), true) = (selections.last(), losses.len() > 1) {
        rows.push(gain_row(networks, None, widest));
    }
    rows
}

fn gain_rows_per_loss(
    networks: &[CertifiedNetwork],
    losses: &[&str],
    selections: &[Option<Sigma>],
) -> Vec<GainRow> {
    let mut rows = Vec::new();
    for &loss in losses {
        let of_sigma = |&sigma: &_| gain_row(networks, Some(loss), sigma);
        rows.extend(selections.iter().map(of_sigma));
    }
    rows
}

/// Returns each sigma, then `None` for the best one where there are several.
fn sigma_selections(sigmas: &[Sigma]) -> Vec<Option<Sigma>> {
    let mut selections: Vec<Option<Sigma>> = sigmas.iter().copied().map(Some).collect();
    if sigmas.len() > 1 {
        selections.push(None);
    }
    selections
}

fn gain_row(networks: &[CertifiedNetwork], loss: Option<&str>, sigma: Option<Sigma>) -> GainRow {
    let selected = select(networks, loss, sigma);
    GainRow {
        loss: loss.map(str::to_owned),
        sigma,
        in_training: gain(&selected, Choice::DataDependent, Choice::Fixed),
        in_certifying: gain(&selected, Choice::Fixed, Choice::DataDependent),
        in_both: gain(&selected, Choice::DataDependent, Choice::DataDependent),
    }
}

fn select<'a>(
    networks: &'a [CertifiedNetwork],
    loss: Option<&str>,
    sigma: Option<Sigma>,
) -> Vec<&'a CertifiedNetwork> {
    networks
        .iter()
        .filter(|network| network.is_of(loss, sigma))
        .collect()
}

/// Returns the gain of the best network of a pair of choices over the best one with fixed sigmas.
fn gain(networks: &[&CertifiedNetwork], training: Choice, certifying: Choice) -> Option<Gain> {
    let choices = ChoicePair {
        training,
        certifying,
    };
    let best = most_certified(networks, choices)?;
    let baseline = most_certified(networks, BOTH_FIXED)?;
    Some(Gain::paired(&best.certified, &baseline.certified))
}

/// Returns the network of a pair of choices that certifies most images at [`GAIN_RADIUS`]; the
/// first among equals.
fn most_certified<'a>(
    networks: &[&'a CertifiedNetwork],
    choices: ChoicePair,
) -> Option<&'a CertifiedNetwork> {
    networks
        .iter()
        .copied()
        .filter(|network| network.name.choices == choices)
        // `max_by_key` returns the last of equals, so this finds the first.
        .rev()
        .max_by_key(|network| network.row.certified[GAIN_COLUMN])
}

/// Returns each value once, in the order in which they first appear.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}
