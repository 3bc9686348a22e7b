//! Runs one forward pass and reads its scores.

use std::ops::Range;

use tch::{Kind, TchError, Tensor};

use super::batch::make_batch;
use super::batch_mode::BatchMode;
use super::device_counts::classify;
use super::pass::Pass;
use super::scores::PassScores;
use super::task::JobContext;

/// Scores a pass. The scores have shape (rows, classes) and may not be computed yet. On a GPU the
/// classes of the rows are counted, too.
pub(super) fn launch(task: &JobContext, pass: &Pass, rows: u64) -> Result<Tensor, TchError> {
    let core = task.core;
    let mut timer = core.times.start_pass(core.device, core.mode);
    let batch = make_batch(task, pass, rows as usize)?;
    timer.noise_done();
    let scores = task.network.scores(&batch)?;
    timer.forward_done();
    if wrong_shape(task, rows, &scores).is_none() {
        count_classes(pass, &scores)?;
    }
    timer.end();
    keep_scores(scores, core.mode)
}

/// Reads the scores of a pass, and waits for them. If the device counts the classes of all rows,
/// does neither.
pub(super) fn read(
    task: &JobContext,
    pass: &Pass,
    rows: u64,
    scores: &Tensor,
) -> Result<PassScores, TchError> {
    if let Some(reason) = wrong_shape(task, rows, scores) {
        return Ok(PassScores::WrongShape(reason));
    }
    if pass.parts.iter().all(|part| part.counts.is_some()) {
        return Ok(PassScores::Counted);
    }
    let values = scores
        .f_to_kind(Kind::Float)?
        .f_contiguous()?
        .f_view([-1])?;
    Ok(PassScores::Values {
        values: Vec::try_from(values)?,
        classes: task.classes(),
        outputs: task.network.outputs(),
    })
}

/// Copies scores that the next pass might overwrite: a TorchScript program may return part of its
/// input, which lies in memory that the next pass on a GPU uses.
fn keep_scores(scores: Tensor, mode: BatchMode) -> Result<Tensor, TchError> {
    match mode {
        BatchMode::Device => scores.f_detach_copy(),
        BatchMode::Host => Ok(scores),
    }
}

/// Describes the shape of the scores if it is not (rows, classes).
fn wrong_shape(task: &JobContext, rows: u64, scores: &Tensor) -> Option<String> {
    let found = scores.size();
    let expected = [rows as i64, i64::from(task.network.classes())];
    (found != expected)
        .then(|| format!("the model's scores have shape {found:?}, expected {expected:?}"))
}

/// Counts the classes of the rows whose counts the device keeps.
fn count_classes(pass: &Pass, scores: &Tensor) -> Result<(), TchError> {
    if pass.parts.iter().all(|part| part.counts.is_none()) {
        return Ok(());
    }
    let classes = classify(scores)?;
    let ones = classes.f_ones_like()?;
    for (first, part) in pass.numbered_parts() {
        if let Some(counts) = &part.counts {
            let rows = first as i64..first as i64 + part.len() as i64;
            counts.add(&narrow(&classes, &rows)?, &narrow(&ones, &rows)?)?;
        }
    }
    Ok(())
}

fn narrow(tensor: &Tensor, rows: &Range<i64>) -> Result<Tensor, TchError> {
    tensor.f_narrow(0, rows.start, rows.end - rows.start)
}
