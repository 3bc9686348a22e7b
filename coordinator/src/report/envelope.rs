//! An envelope as two Markdown tables, each followed by notes.

use ddrs_common::domain::Sigma;

use super::escape::markdown as escaped;
use super::grid::statement_word;
use super::number::{headings, percent};
use crate::aggregate::envelope::{Envelope, EnvelopeRow, GAIN_RADIUS, Gain, GainRow};

/// Renders the best accuracies over the sigmas, then the gains, in Markdown.
#[must_use]
pub(crate) fn envelope_markdown(envelope: &Envelope) -> String {
    [
        accuracy_table(envelope),
        String::new(),
        sigmas_note(&envelope.sigmas),
        String::new(),
        gain_table(envelope),
        String::new(),
        gain_notes(envelope),
    ]
    .join("\n")
}

fn accuracy_table(envelope: &Envelope) -> String {
    let radii = headings(&envelope.radii.values());
    let mut lines = vec![accuracy_header(&radii), alignment(4, radii.len())];
    lines.extend(envelope.rows.iter().map(accuracy_line));
    lines.join("\n")
}

fn accuracy_header(radii: &[String]) -> String {
    let choices = [
        "loss",
        "sigma of training",
        "sigma of certifying",
        "statement",
    ];
    let radii = radii.iter().map(String::as_str);
    let cells: Vec<&str> = choices.into_iter().chain(radii).collect();
    line(&cells)
}

fn accuracy_line(row: &EnvelopeRow) -> String {
    let mut cells = vec![
        escaped(&row.loss),
        row.choices.training.as_str().to_owned(),
        row.choices.certifying.as_str().to_owned(),
        escaped(statement_word(row.statement)),
    ];
    cells.extend(accuracies(row));
    line(&cells)
}

fn accuracies(row: &EnvelopeRow) -> impl Iterator<Item = String> {
    let counts = row.certified.iter();
    counts.map(|&count| percent(count, row.samples))
}

fn sigmas_note(sigmas: &[Sigma]) -> String {
    if let [only] = sigmas {
        return format!(
            "All logs have the initial sigma {only}: with one sigma this is not yet an envelope."
        );
    }
    let sigmas: Vec<String> = sigmas.iter().map(Sigma::to_string).collect();
    format!("Best over the initial sigmas {}.", sigmas.join(", "))
}

fn gain_table(envelope: &Envelope) -> String {
    let mut lines = vec![gain_header(), alignment(1, 4)];
    lines.extend(envelope.gains.iter().map(gain_line));
    lines.join("\n")
}

fn gain_header() -> String {
    let gain = format!("data-dependent over fixed at radius {GAIN_RADIUS}, in points");
    line(&[
        gain.as_str(),
        "sigma",
        "in training only",
        "in certifying only (other statement)",
        "in both (other statement)",
    ])
}

fn gain_line(row: &GainRow) -> String {
    line(&[
        loss(row),
        sigma(row),
        gain(row.in_training),
        gain(row.in_certifying),
        gain(row.in_both),
    ])
}

fn loss(row: &GainRow) -> String {
    let loss = row.loss.as_deref().map(escaped);
    loss.unwrap_or_else(|| "the strongest of each".to_owned())
}

fn sigma(row: &GainRow) -> String {
    let sigma = row.sigma.map(|sigma| sigma.to_string());
    sigma.unwrap_or_else(|| "best".to_owned())
}

/// A gain in percentage points with its interval.
fn gain(gain: Option<Gain>) -> String {
    gain.map_or_else(
        || "not certified".to_owned(),
        |gain| format!("{:+.1} ± {:.1}", 100.0 * gain.mean, 100.0 * gain.half_width),
    )
}

fn gain_notes(envelope: &Envelope) -> String {
    let mut notes = String::from(
        "Columns with \"other statement\" subtract certificates of one classifier from \
         certificates that hold a chosen sigma fixed, or from those of a look-up. They show what \
         the choice of sigma does to these numbers, not a gain in the robustness of a \
         classifier.\n\n\
         ±: 95 % confidence interval over the images, for these trained networks. Training with \
         another seed changes the gains too; the interval does not cover that.\n",
    );
    if envelope.sigmas.len() > 1 {
        notes += "\"best\" takes, on each side, the sigma with the highest accuracy on these \
                  same images. The interval does not cover that selection.\n";
    }
    if envelope.gains.iter().any(|row| row.loss.is_none()) {
        notes += "\"the strongest of each\" takes, on each side, the loss with the highest \
                  accuracy in the same way.\n";
    }
    notes
}

fn line(cells: &[impl AsRef<str>]) -> String {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |", cells.join(" | "))
}

/// The line under the headings: columns of text, then columns of numbers.
fn alignment(texts: usize, numbers: usize) -> String {
    format!("|{}{}", " :--- |".repeat(texts), " ---: |".repeat(numbers))
}
