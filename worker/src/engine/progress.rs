//! One input between its first draw and its certification: the draws that it waits for, and the
//! decisions that follow from them.

use std::ops::Range;
use std::sync::Arc;

use anyhow::anyhow;
use ddrs_common::certify::{
    Certificate, Certifier, CertifierStep, DrawSource, SelectedCertificate, SelectedCertifier,
    SelectedStep,
};
use ddrs_common::domain::{Certification, Radius, SampleIndex, Sigma, Statement};
use ddrs_common::grid::GridLoss;
use ddrs_common::stats::argmax;
use tch::TchError;

use super::batch_mode::BatchMode;
use super::device_counts::DeviceCounts;
use super::input::PreparedInput;
use super::pass::PassPart;
use super::request::DrawRequest;
use super::sample::SampleResult;
use super::scores::{NOT_FINITE, RowScores, mean_over_draws};
use super::task::{JobContext, JobError};
use crate::sigma::Search;

/// An input that waits for the rows of a request.
pub(super) struct SampleProgress {
    sample: SampleState,
    request: Arc<DrawRequest>,
    results: RowResults,
    /// The number of rows that passes have taken.
    taken: u64,
    /// The number of rows without an answer.
    missing: u64,
    /// The reason why this input has no certification.
    failure: Option<String>,
}

/// An input with the decision that it is at, and the seconds spent on it.
struct SampleState {
    /// The input as each of the variant's networks takes it; only the first if a decision needs no
    /// other.
    inputs: Vec<Arc<PreparedInput>>,
    decision: Decision,
    seconds: f64,
}

enum Decision {
    Search(Search),
    Certify(Certifier, Sigma),
    Select(Box<SelectedCertifier>),
}

/// The answers so far.
enum RowResults {
    Counts(Vec<u64>),
    OnDevice(Arc<DeviceCounts>),
    /// Probabilities by row and class. They are summed in the order of the rows, whatever the order
    /// in which they arrived.
    Probabilities(Vec<f64>),
}

/// The next step of an input.
pub(super) enum NextStep {
    /// It waits for more rows.
    Draw(Box<SampleProgress>),
    /// It is finished.
    Done(FinishedSample),
}

/// An input with its result.
pub(super) struct FinishedSample {
    pub(super) index: SampleIndex,
    pub(super) result: SampleResult,
    /// The time spent on it.
    pub(super) seconds: f64,
}

impl NextStep {
    /// Begins with an input whose sigma is known; `None` means that choosing it failed.
    pub(super) fn certify(
        task: &JobContext,
        input: Arc<PreparedInput>,
        sigma: Option<f64>,
        seconds: f64,
    ) -> Self {
        let Some(sigma) = sigma.and_then(|value| Sigma::new(value).ok()) else {
            return Self::without_sigma(&input, seconds);
        };
        SampleState {
            decision: Decision::certify(task, &input, sigma),
            inputs: vec![input],
            seconds,
        }
        .next(task)
    }

    /// Begins with an input whose level is to be selected, as each of the variant's networks takes
    /// it.
    pub(super) fn select(task: &JobContext, inputs: Vec<Arc<PreparedInput>>) -> Self {
        let Some(decision) = Decision::select(task, &inputs[0]) else {
            // Only a variant with levels begins this way.
            return Self::without_sigma(&inputs[0], 0.0);
        };
        SampleState {
            inputs,
            decision,
            seconds: 0.0,
        }
        .next(task)
    }

    fn without_sigma(input: &PreparedInput, seconds: f64) -> Self {
        let reason = "choosing sigma led to a score or a derivative that is not finite";
        Self::Done(FinishedSample {
            index: input.index,
            result: Err(reason.to_owned()),
            seconds,
        })
    }

    /// Begins with an input whose sigma is to be searched for.
    pub(super) fn search(task: &JobContext, input: Arc<PreparedInput>) -> Self {
        SampleState {
            inputs: vec![input],
            decision: Decision::search(task),
            seconds: 0.0,
        }
        .next(task)
    }
}

impl SampleProgress {
    fn new(sample: SampleState, request: DrawRequest, task: &JobContext) -> Self {
        Self {
            sample,
            results: RowResults::new(&request, task),
            taken: 0,
            missing: request.rows(),
            failure: None,
            request: Arc::new(request),
        }
    }

    /// Returns the place of the network that its rows wait for, among the variant's.
    pub(super) fn network(&self) -> usize {
        self.request.network()
    }

    /// Returns the number of rows that no pass has taken.
    pub(super) fn waiting(&self) -> u64 {
        self.request.rows() - self.taken
    }

    /// Takes up to `room` rows for a pass. With `whole_blocks`, ends at the end of a block; returns
    /// `None` if no block fits, unless the pass `is_empty`.
    pub(super) fn take_rows(
        &mut self,
        room: u64,
        whole_blocks: bool,
        is_empty: bool,
    ) -> Option<Range<u64>> {
        let start = self.taken;
        let mut end = self.request.rows().min(start + room);
        if whole_blocks && self.request.block_end(start) <= end {
            end = self.request.last_block_end(end);
        } else if whole_blocks && !is_empty {
            return None;
        }
        self.taken = end;
        Some(start..end)
    }

    /// Makes the part of a pass that has these rows.
    pub(super) fn part(&self, slot: usize, rows: Range<u64>) -> PassPart {
        PassPart {
            slot,
            input: Arc::clone(&self.sample.inputs[self.network()]),
            request: Arc::clone(&self.request),
            rows,
            counts: self.results.device_counts(),
        }
    }

    /// Takes the scores of one row. Scores that are not usable end the input, and no pass takes
    /// more of its rows.
    pub(super) fn answer(&mut self, row: u64, scores: &RowScores) {
        self.missing -= 1;
        if let Err(reason) = self.results.add(row, scores) {
            self.fail(reason);
        }
    }

    fn fail(&mut self, reason: &str) {
        self.failure = Some(reason.to_owned());
        self.missing -= self.waiting();
        self.taken = self.request.rows();
    }

    /// Returns true if every row has an answer.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Reads the counts that the device kept. Waits for the device. To be called when every row has
    /// an answer.
    pub(super) fn read_counts(&mut self) -> Result<(), TchError> {
        if let (RowResults::OnDevice(counts), None) = (&self.results, &self.failure) {
            match counts.read()? {
                Some(counts) => self.results = RowResults::Counts(counts),
                None => self.failure = Some(NOT_FINITE.to_owned()),
            }
        }
        Ok(())
    }

    /// Adds to the time spent on the input.
    pub(super) fn spend(&mut self, seconds: f64) {
        self.sample.seconds += seconds;
    }

    /// Decides what follows from the answers, which must be complete.
    pub(super) fn advance(mut self, task: &JobContext) -> Result<NextStep, JobError> {
        if let Some(reason) = self.failure {
            return Ok(NextStep::Done(self.sample.finish(Err(reason))));
        }
        let decision = &mut self.sample.decision;
        if let Some(next) =
            decision.observe(task, &self.sample.inputs[0], &self.request, &self.results)?
        {
            *decision = next;
        }
        Ok(self.sample.next(task))
    }
}

impl SampleState {
    fn next(self, task: &JobContext) -> NextStep {
        match self.decision.request(task) {
            Ok(request) => NextStep::Draw(Box::new(SampleProgress::new(self, request, task))),
            Err(certification) => {
                let off_grid = self.inputs[0].grid_image.off_grid;
                NextStep::Done(self.finish(Ok(Certification {
                    off_grid,
                    ..*certification
                })))
            }
        }
    }

    fn finish(self, result: SampleResult) -> FinishedSample {
        FinishedSample {
            index: self.inputs[0].index,
            result,
            seconds: self.seconds,
        }
    }
}

impl Decision {
    fn certify(task: &JobContext, input: &PreparedInput, sigma: Sigma) -> Self {
        let loss = loss(task, input);
        Self::Certify(Certifier::new(&task.sweep.certify, sigma, loss), sigma)
    }

    fn select(task: &JobContext, input: &PreparedInput) -> Option<Self> {
        let selected = task.sweep.selected_by(task.variant)?;
        let loss = loss(task, input);
        let certifier = SelectedCertifier::new(&task.sweep.certify, selected, loss);
        Some(Self::Select(Box::new(certifier)))
    }

    fn search(task: &JobContext) -> Self {
        Self::Search(Search::new(task.variant.sigma0, task.sigma_spec()))
    }

    /// Returns the draws that are needed next, or the certification if there is one.
    fn request(&self, task: &JobContext) -> Result<DrawRequest, Box<Certification>> {
        match self {
            Self::Search(search) => Ok(comparison(task, search)),
            Self::Certify(certifier, sigma) => match certifier.next() {
                CertifierStep::Draw { phase, chunk, n } => Ok(DrawRequest::Count {
                    network: 0,
                    sigma: *sigma,
                    phase,
                    first: chunk,
                    n,
                    chunk: task.sweep.certify.chunk.get(),
                }),
                CertifierStep::Done(certificate) => {
                    Err(certification(task, *sigma, certificate).into())
                }
            },
            Self::Select(certifier) => selected_request(task, certifier),
        }
    }

    /// Takes the complete answers to a request. Returns the decision that comes after this one, if
    /// this one is made.
    fn observe(
        &mut self,
        task: &JobContext,
        input: &PreparedInput,
        request: &DrawRequest,
        results: &RowResults,
    ) -> Result<Option<Self>, JobError> {
        match (self, request, results) {
            (Self::Certify(certifier, _), _, RowResults::Counts(counts)) => {
                let observed = certifier.observe(counts);
                observed.map_err(|error| JobError::Failed(error.into()))?;
                Ok(None)
            }
            (Self::Select(certifier), _, RowResults::Counts(counts)) => {
                let observed = certifier.observe(counts);
                observed.map_err(|error| JobError::Failed(error.into()))?;
                Ok(None)
            }
            (
                Self::Search(search),
                DrawRequest::Compare { draws, .. },
                RowResults::Probabilities(rows),
            ) => {
                search.observe(&mean_over_draws(rows, *draws as usize, task.classes()));
                Ok(search.best().map(|sigma| Self::certify(task, input, sigma)))
            }
            _ => Err(mismatch()),
        }
    }
}

/// Returns what a certificate of an input gives up because noise is drawn on a grid.
fn loss(task: &JobContext, input: &PreparedInput) -> GridLoss {
    let loss = task.data.images.loss();
    loss.at_distance(input.grid_image.off_grid)
}

fn mismatch() -> JobError {
    JobError::Failed(anyhow!("an answer does not belong to its request"))
}

fn comparison(task: &JobContext, search: &Search) -> DrawRequest {
    DrawRequest::Compare {
        sigmas: search.candidates().to_vec(),
        draws: u64::from(task.sigma_spec().draws),
    }
}

/// Returns the draws that a variant with levels needs next, or the certification if there is one.
fn selected_request(
    task: &JobContext,
    certifier: &SelectedCertifier,
) -> Result<DrawRequest, Box<Certification>> {
    match certifier.next() {
        SelectedStep::Draw {
            source,
            sigma,
            phase,
            chunk,
            n,
        } => Ok(DrawRequest::Count {
            network: place(task, source),
            sigma,
            phase,
            first: chunk,
            n,
            chunk: task.sweep.certify.chunk.get(),
        }),
        SelectedStep::Done(certificate) => Err(selected_certification(task, *certificate).into()),
    }
}

/// Returns the place of a network among the variant's.
fn place(task: &JobContext, source: DrawSource) -> usize {
    let selected = task.sweep.selected_by(task.variant);
    match (source, selected) {
        (DrawSource::Expert(level), Some(selected)) => selected.place_of_expert(level as usize),
        _ => 0,
    }
}

fn selected_certification(task: &JobContext, selected: SelectedCertificate) -> Certification {
    Certification {
        level: Some(Box::new(selected.selection)),
        ..certification(task, selected.sigma, selected.certificate)
    }
}

fn certification(task: &JobContext, sigma: Sigma, certificate: Certificate) -> Certification {
    Certification {
        outcome: certificate.outcome,
        statement: Some(Statement::of(task.variant.choice)),
        sigma,
        sigma0: task.variant.sigma0,
        n0: certificate.n0,
        n: certificate.n,
        count: certificate.count,
        p_lower: certificate.p_lower,
        off_grid: Radius::ZERO,
        alpha: task.sweep.certify.alpha,
        runner_up: certificate.runner_up,
        p_upper: certificate.p_upper,
        n0_counts: certificate.n0_counts,
        level: None,
    }
}

impl RowResults {
    fn new(request: &DrawRequest, task: &JobContext) -> Self {
        let classes = task.at(request.network()).classes();
        match (request, task.core.mode) {
            (DrawRequest::Count { .. }, BatchMode::Device) => {
                Self::OnDevice(Arc::new(DeviceCounts::new(classes)))
            }
            (DrawRequest::Count { .. }, BatchMode::Host) => Self::Counts(vec![0; classes]),
            (DrawRequest::Compare { .. }, _) => {
                Self::Probabilities(vec![0.0; request.rows() as usize * classes])
            }
        }
    }

    /// Returns the counts that the device keeps, if it does.
    fn device_counts(&self) -> Option<Arc<DeviceCounts>> {
        match self {
            Self::OnDevice(counts) => Some(Arc::clone(counts)),
            Self::Counts(_) | Self::Probabilities(_) => None,
        }
    }

    /// Adds the scores of one row, or returns the reason why they are not usable.
    fn add<'a>(&mut self, row: u64, scores: &RowScores<'a>) -> Result<(), &'a str> {
        match self {
            // The device has counted the row, and notices scores that are not finite.
            Self::OnDevice(_) if *scores == RowScores::Counted => {}
            Self::OnDevice(_) => {
                scores.values()?;
            }
            Self::Counts(counts) => counts[argmax(scores.values()?)] += 1,
            Self::Probabilities(rows) => {
                let classes = scores.values()?.len();
                let start = row as usize * classes;
                scores.write_probabilities(&mut rows[start..start + classes])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ddrs_common::architecture::Outputs;

    use super::*;

    #[test]
    fn equal_scores_count_for_the_first_class() {
        for (scores, class) in [
            ([1.0, 1.0, 1.0], 0),
            ([0.0, 2.0, 2.0], 1),
            ([3.0, 4.0, 0.0], 1),
            ([-1.0, -2.0, 0.5], 2),
        ] {
            let mut results = RowResults::Counts(vec![0; 3]);
            assert_eq!(
                results.add(0, &RowScores::All(&scores, Outputs::Scores)),
                Ok(())
            );
            let RowResults::Counts(counts) = results else {
                panic!("counts become something else")
            };
            assert_eq!(counts[class], 1);
        }
    }
}
