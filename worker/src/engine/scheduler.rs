//! Distributes the work of one job over the threads, until none is left.
//!
//! No thread waits for another at the end of a sample: rows of later samples fill the pass. Threads
//! wait only when every sample of the job is being worked on.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;
use ddrs_common::domain::{Choice, Sigma};
use ddrs_common::spec::SigmaMethod;
use tch::{TchError, Tensor};

use super::ascent::{choose_sigmas, group_size};
use super::batch_mode::BatchMode;
use super::forward;
use super::input::PreparedInput;
use super::packing::PassShape;
use super::pass::Pass;
use super::progress::{FinishedSample, NextStep, SampleProgress};
use super::row_queue::{PackingRules, RowQueue};
use super::sample::{Sample, SampleCallback};
use super::sample_groups::SampleGroups;
use super::scores::PassScores;
use super::task::{JobContext, JobError};

/// The work of one job, shared by the threads.
pub(super) struct JobScheduler<'a> {
    task: JobContext<'a>,
    /// The rules by which passes of each network are filled.
    rules: Vec<PackingRules>,
    state: Mutex<SchedulerState>,
    changed: Condvar,
    groups: SampleGroups<'a>,
    on_result: &'a SampleCallback<'a>,
}

#[derive(Default)]
struct SchedulerState {
    queue: RowQueue,
    /// The number of threads that hold something that may bring more rows.
    active: usize,
    /// True while a thread fetches samples to begin with.
    is_fetching: bool,
    /// True if there are no more samples to begin with.
    is_exhausted: bool,
    /// The error that ends the job early.
    error: Option<JobError>,
}

/// The next work of a thread.
pub(super) enum NextWork<'a, 'b> {
    Pass(Pass, ActiveGuard<'a, 'b>),
    Begin(ActiveGuard<'a, 'b>),
    Nothing,
}

/// Counts a thread as one that holds something that may bring more rows, until it is dropped.
pub(super) struct ActiveGuard<'a, 'b>(&'a JobScheduler<'b>);

impl Drop for ActiveGuard<'_, '_> {
    fn drop(&mut self) {
        self.0.state().active -= 1;
        self.0.changed.notify_all();
    }
}

/// A pass whose scores are being computed.
struct LaunchedPass<'a, 'b> {
    pass: Pass,
    scores: Tensor,
    start: Instant,
    _active: ActiveGuard<'a, 'b>,
}

impl<'b> JobScheduler<'b> {
    pub(super) fn new(
        task: JobContext<'b>,
        shapes: &[PassShape],
        samples: &'b mut (dyn Iterator<Item = Sample> + Send),
        on_result: &'b SampleCallback<'b>,
    ) -> Self {
        let group = group_size(task.core.device, task.network, task.sweep);
        Self {
            task,
            rules: shapes.iter().map(|shape| rules(&task, *shape)).collect(),
            state: Mutex::default(),
            changed: Condvar::new(),
            groups: SampleGroups::new(samples, group),
            on_result,
        }
    }

    /// Works on the job until there is nothing left to do. Every thread calls it once.
    pub(super) fn run_thread(&self) {
        if let Err(error) = tch::no_grad(|| self.try_run()) {
            self.fail(error);
        }
    }

    fn fail(&self, error: JobError) {
        self.state().error.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Returns the job's error, if there was one. To be called when every thread has ended.
    pub(super) fn outcome(self) -> Result<()> {
        let state = self.state.into_inner();
        match state.unwrap_or_else(PoisonError::into_inner).error {
            Some(JobError::Failed(error)) => Err(error),
            Some(JobError::Stopped) | None => Ok(()),
        }
    }

    fn try_run(&self) -> Result<(), JobError> {
        // A GPU computes one pass while the answers of the one before are distributed.
        let mut before: Option<LaunchedPass> = None;
        let mut charged = Instant::now();
        loop {
            let done = match self.next(before.is_none()) {
                NextWork::Pass(pass, active) => self.launch(pass, active, &mut before)?,
                NextWork::Begin(_active) => {
                    self.begin()?;
                    charged = Instant::now();
                    continue;
                }
                NextWork::Nothing if before.is_none() => return Ok(()),
                NextWork::Nothing => before.take(),
            };
            if let Some(launched) = done {
                self.finish(&launched, &mut charged)?;
            }
        }
    }

    /// Finds something to do, and waits for it if `patient` is true.
    pub(super) fn next(&self, patient: bool) -> NextWork<'_, 'b> {
        let mut state = self.state();
        loop {
            if let Some(work) = self.try_next(&mut state) {
                return work;
            }
            if state.active == 0 || !patient {
                return NextWork::Nothing;
            }
            state = self.wait(state);
        }
    }

    /// Finds something to do. Returns `None` if there is nothing now.
    fn try_next(&self, state: &mut SchedulerState) -> Option<NextWork<'_, 'b>> {
        if self.task.is_stopped() || state.error.is_some() {
            return Some(NextWork::Nothing);
        }
        let last = state.is_exhausted;
        if let Some(pass) = state.queue.take(&self.rules, last) {
            return Some(NextWork::Pass(pass, self.activate(state)));
        }
        // One thread fetches at a time. The next sample may take long, and a thread that waited
        // behind the first would miss rows to score in the meantime.
        if state.is_exhausted || state.is_fetching {
            return None;
        }
        state.is_fetching = true;
        Some(NextWork::Begin(self.activate(state)))
    }

    fn activate(&self, state: &mut SchedulerState) -> ActiveGuard<'_, 'b> {
        state.active += 1;
        ActiveGuard(self)
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, SchedulerState>) -> MutexGuard<'a, SchedulerState> {
        let times = &self.task.core.times;
        times
            .wait
            .time(|| self.changed.wait(state))
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with the next samples of the job: one, or a group whose sigmas are chosen together.
    pub(super) fn begin(&self) -> Result<(), JobError> {
        let group = self.groups.next();
        self.end_fetching(group.is_empty());
        match (self.task.variant.choice, self.task.sigma_spec().method) {
            (Choice::Fixed | Choice::File, _) => self.begin_fixed(self.prepare(&group)),
            (Choice::DataDependent, SigmaMethod::Search { .. }) => {
                self.begin_search(self.prepare(&group));
            }
            (Choice::DataDependent, SigmaMethod::Gradient) => {
                self.begin_ascent(self.prepare(&group))?;
            }
            (Choice::Selected, _) => self.begin_selected(&group),
        }
        Ok(())
    }

    fn end_fetching(&self, is_exhausted: bool) {
        let mut state = self.state();
        state.is_fetching = false;
        state.is_exhausted |= is_exhausted;
        drop(state);
        self.changed.notify_all();
    }

    /// Prepares samples for the network, and reports those that cannot be.
    fn prepare(&self, samples: &[Sample]) -> Vec<Arc<PreparedInput>> {
        let mut inputs = Vec::new();
        for sample in samples {
            match PreparedInput::new(sample, self.task.network, self.task.data.images.grid) {
                Ok(input) => inputs.push(Arc::new(input)),
                Err(error) => (self.on_result)(sample.index, Err(error), 0.0),
            }
        }
        inputs
    }

    /// Begins with samples whose level is to be selected, prepared for every network.
    fn begin_selected(&self, samples: &[Sample]) {
        let grid = self.task.data.images.grid;
        for sample in samples {
            let networks = self.task.networks.iter();
            let inputs =
                networks.map(|network| PreparedInput::new(sample, network, grid).map(Arc::new));
            match inputs.collect() {
                Ok(inputs) => self.follow(NextStep::select(&self.task, inputs)),
                Err(error) => (self.on_result)(sample.index, Err(error), 0.0),
            }
        }
    }

    fn begin_fixed(&self, inputs: Vec<Arc<PreparedInput>>) {
        for input in inputs {
            let sigma = self.task.given_sigma(input.index).map(Sigma::get);
            self.follow(NextStep::certify(&self.task, input, sigma, 0.0));
        }
    }

    fn begin_search(&self, inputs: Vec<Arc<PreparedInput>>) {
        for input in inputs {
            self.follow(NextStep::search(&self.task, input));
        }
    }

    fn begin_ascent(&self, inputs: Vec<Arc<PreparedInput>>) -> Result<(), JobError> {
        let start = Instant::now();
        let clock = &self.task.core.times.sigma;
        let sigmas = tch::with_grad(|| clock.time(|| choose_sigmas(&self.task, &inputs)))?;
        let seconds = self.share(start, inputs.len() as u64);
        for (input, sigma) in inputs.into_iter().zip(sigmas) {
            self.follow(NextStep::certify(&self.task, input, sigma, seconds));
        }
        Ok(())
    }

    /// Launches a pass. Returns the pass to finish now: this one, or on a GPU the one `before`.
    fn launch<'a>(
        &'a self,
        pass: Pass,
        active: ActiveGuard<'a, 'b>,
        before: &mut Option<LaunchedPass<'a, 'b>>,
    ) -> Result<Option<LaunchedPass<'a, 'b>>, JobError> {
        let start = Instant::now();
        let rows = self.rules[pass.network].rows;
        let scores = forward::launch(&self.task.at(pass.network), &pass, rows)?;
        let launched = LaunchedPass {
            pass,
            scores,
            start,
            _active: active,
        };
        Ok(match self.task.core.mode {
            BatchMode::Device => before.replace(launched),
            BatchMode::Host => Some(launched),
        })
    }

    /// Reads a pass and distributes its answers.
    ///
    /// The time since the pass began is spent on its inputs, except for the time until `charged`,
    /// already counted for other passes: passes of a GPU overlap.
    fn finish(&self, launched: &LaunchedPass, charged: &mut Instant) -> Result<(), JobError> {
        let scores = self.read(launched)?;
        let since = launched.start.max(*charged);
        let seconds = self.charge(since, launched.pass.rows(), charged);
        let times = &self.task.core.times;
        let complete = times
            .count
            .time(|| self.distribute(&launched.pass, &scores, seconds));
        let complete = self.read_counts(complete)?;
        let seconds = self.charge(*charged, complete.len() as u64, charged);
        times.count.time(|| self.advance(complete, seconds))
    }

    fn read(&self, launched: &LaunchedPass) -> Result<PassScores, TchError> {
        let LaunchedPass { pass, scores, .. } = launched;
        let core = self.task.core;
        core.times.read(core.mode, || {
            let rows = self.rules[pass.network].rows;
            forward::read(&self.task.at(pass.network), pass, rows, scores)
        })
    }

    /// Reads the counts that the device kept for inputs that are complete.
    fn read_counts(
        &self,
        mut complete: Vec<SampleProgress>,
    ) -> Result<Vec<SampleProgress>, TchError> {
        let core = self.task.core;
        let mut all = complete.iter_mut();
        core.times
            .read(core.mode, || all.try_for_each(SampleProgress::read_counts))?;
        Ok(complete)
    }

    /// Returns the seconds for each of `pieces` pieces of work since `since`, and moves `charged`
    /// to now.
    fn charge(&self, since: Instant, pieces: u64, charged: &mut Instant) -> f64 {
        let seconds = self.share(since, pieces);
        *charged = Instant::now();
        seconds
    }

    /// Brings the scores of a pass to its inputs. `seconds` were spent on each row. Returns the
    /// inputs that are complete now.
    fn distribute(&self, pass: &Pass, scores: &PassScores, seconds: f64) -> Vec<SampleProgress> {
        let mut state = self.state();
        let mut complete = Vec::new();
        for (first, part) in pass.numbered_parts() {
            let count = part.len() as usize;
            let rows = (first..first + count).map(|row| scores.row(row));
            complete.extend(state.queue.answer(part, rows, seconds * count as f64));
        }
        complete
    }

    /// Decides what follows for inputs that are complete.
    fn advance(&self, complete: Vec<SampleProgress>, seconds: f64) -> Result<(), JobError> {
        for mut progress in complete {
            progress.spend(seconds);
            self.follow(progress.advance(&self.task)?);
        }
        Ok(())
    }

    /// Queues the next rows of an input, or reports its result.
    fn follow(&self, next: NextStep) {
        match next {
            NextStep::Draw(progress) => {
                self.state().queue.add(*progress);
                self.changed.notify_all();
            }
            NextStep::Done(FinishedSample {
                index,
                result,
                seconds,
            }) => (self.on_result)(index, result, seconds),
        }
    }

    /// Divides the time since `start` among `pieces` pieces of work, and by the number of threads:
    /// every thread has as much time.
    fn share(&self, start: Instant, pieces: u64) -> f64 {
        let threads = self.task.core.thread_count() as f64;
        start.elapsed().as_secs_f64() / (pieces.max(1) as f64 * threads)
    }

    fn state(&self) -> MutexGuard<'_, SchedulerState> {
        // A panic ends the process. Until then the state is usable, for the methods that change it
        // do not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rules(task: &JobContext, shape: PassShape) -> PackingRules {
    PackingRules {
        rows: shape.rows,
        packing: shape.packing,
        whole_blocks: task.core.mode == BatchMode::Device,
    }
}
