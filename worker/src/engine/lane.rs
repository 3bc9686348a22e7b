//! What lanes do: they take work from a common floor until there is none.
//!
//! No lane waits for another at the end of a sample: rows of the samples after it fill the pass.
//! Lanes wait only where every sample of the job is in somebody's hands.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;
use ddrs_common::domain::Choice;
use tch::Tensor;

use super::Side;
use super::board::{Board, Packing, Pass};
use super::certify::{Sample, Task, Tell, Trouble};
use super::input::Input;
use super::packing::Passes;
use super::progress::{Next, Progress, searches};

type Samples<'a> = std::iter::Peekable<&'a mut (dyn Iterator<Item = Sample> + Send)>;

/// Where the lanes of one job meet.
pub(super) struct Floor<'a> {
    task: Task<'a>,
    /// Images of a forward pass.
    rows: u64,
    packing: Packing,
    board: Mutex<Board>,
    changed: Condvar,
    samples: Mutex<Samples<'a>>,
    tell: &'a Tell<'a>,
}

/// What a lane is to do.
pub(super) enum Work<'a, 'b> {
    Pass(Pass, Busy<'a, 'b>),
    Begin(Busy<'a, 'b>),
    Nothing,
}

/// Says that a lane holds something which may bring more rows, until it is dropped.
pub(super) struct Busy<'a, 'b>(&'a Floor<'b>);

impl Drop for Busy<'_, '_> {
    fn drop(&mut self) {
        self.0.board().busy -= 1;
        self.0.changed.notify_all();
    }
}

/// A pass whose scores are being computed.
struct Launched<'a, 'b> {
    pass: Pass,
    scores: Tensor,
    start: Instant,
    _busy: Busy<'a, 'b>,
}

impl<'b> Floor<'b> {
    pub(super) fn new(
        task: Task<'b>,
        passes: Passes,
        samples: &'b mut (dyn Iterator<Item = Sample> + Send),
        tell: &'b Tell<'b>,
    ) -> Self {
        let (board, changed) = (Mutex::default(), Condvar::new());
        let Passes { rows, packing } = passes;
        Self {
            task,
            rows,
            packing,
            board,
            changed,
            samples: Mutex::new(samples.peekable()),
            tell,
        }
    }

    /// A lane's whole part in the job.
    pub(super) fn work(&self) {
        if let Err(trouble) = tch::no_grad(|| self.try_work()) {
            self.board().trouble.get_or_insert(trouble);
            self.changed.notify_all();
        }
    }

    /// How the job ended, when every lane is done.
    pub(super) fn outcome(self) -> Result<()> {
        match self
            .board
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .trouble
        {
            Some(Trouble::Job(error)) => Err(error),
            Some(Trouble::Stopped) | None => Ok(()),
        }
    }

    fn try_work(&self) -> Result<(), Trouble> {
        // A GPU computes one pass while the answers of the one before are handed out.
        let mut before: Option<Launched> = None;
        let mut charged = Instant::now();
        loop {
            match self.next(before.is_none()) {
                Work::Pass(pass, busy) => {
                    let start = Instant::now();
                    let scores = self.task.launch(&pass, self.rows)?;
                    let launched = Launched {
                        pass,
                        scores,
                        start,
                        _busy: busy,
                    };
                    let ahead = self.task.engine.side == Side::Device;
                    let done = if ahead {
                        before.replace(launched)
                    } else {
                        Some(launched)
                    };
                    done.map_or(Ok(()), |launched| self.finish(launched, &mut charged))?;
                }
                Work::Begin(_busy) => {
                    self.begin()?;
                    charged = Instant::now();
                }
                Work::Nothing => match before.take() {
                    Some(launched) => self.finish(launched, &mut charged)?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Finds something to do, and waits for it if `patient`.
    pub(super) fn next(&self, patient: bool) -> Work<'_, 'b> {
        let mut board = self.board();
        loop {
            if self.task.stop.load(Ordering::Relaxed) || board.trouble.is_some() {
                return Work::Nothing;
            }
            let whole = self.task.engine.side == Side::Device;
            let last = board.exhausted;
            if let Some(pass) = board.take(self.rows, self.packing, whole, last) {
                board.busy += 1;
                return Work::Pass(pass, Busy(self));
            }
            // One lane fetches at a time: the next sample may be long in coming, and whoever waited
            // behind that lane would not hear of rows to score meanwhile.
            if !board.exhausted && !board.fetching {
                (board.busy, board.fetching) = (board.busy + 1, true);
                return Work::Begin(Busy(self));
            }
            if board.busy == 0 || !patient {
                return Work::Nothing;
            }
            let start = Instant::now();
            board = self
                .changed
                .wait(board)
                .unwrap_or_else(PoisonError::into_inner);
            self.task.engine.times.wait.add(start.elapsed());
        }
    }

    /// Takes the next samples of the job: one, or a group whose sigmas are climbed to together.
    pub(super) fn begin(&self) -> Result<(), Trouble> {
        let Task {
            network, variant, ..
        } = self.task;
        let group = self.group();
        let mut board = self.board();
        (board.fetching, board.exhausted) = (false, board.exhausted || group.is_empty());
        drop(board);
        self.changed.notify_all();
        let mut inputs = Vec::new();
        for sample in group {
            match Input::new(&sample, network) {
                Ok(input) => inputs.push(Arc::new(input)),
                Err(error) => (self.tell)(sample.index, Err(error), 0.0),
            }
        }
        let search = searches(&self.task.sweep.smoothing.data_dependent);
        match variant.choice {
            Choice::DataDependent if search => {
                for input in inputs {
                    self.follow(self.task.search(input));
                }
            }
            Choice::DataDependent => {
                let start = Instant::now();
                let times = &self.task.engine.times;
                let sigmas = tch::with_grad(|| times.sigma.time(|| self.task.choose(&inputs)))?;
                let share = self.share(start, inputs.len() as u64);
                for (input, sigma) in inputs.into_iter().zip(sigmas) {
                    self.follow(self.task.begin(input, sigma, share));
                }
            }
            Choice::Fixed => {
                for input in inputs {
                    self.follow(self.task.begin(input, Some(variant.sigma0.get()), 0.0));
                }
            }
        }
        Ok(())
    }

    /// The next samples whose positions are in one group.
    fn group(&self) -> Vec<Sample> {
        let size = self.task.group_size() as u64;
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = samples.next() else {
            return Vec::new();
        };
        let group = first.position / size;
        let mut found = vec![first];
        // Looking further than the group would wait for a sample that nobody needs yet.
        while found.len() < size as usize
            && let Some(sample) = samples.next_if(|sample| sample.position / size == group)
        {
            found.push(sample);
        }
        found
    }

    /// Reads a pass and hands its answers out. The time since the pass began is spent on its
    /// inputs, but for what was `charged` before: passes of a GPU overlap.
    fn finish(&self, launched: Launched, charged: &mut Instant) -> Result<(), Trouble> {
        let Launched {
            pass,
            scores,
            start,
            _busy,
        } = launched;
        let (times, side) = (&self.task.engine.times, self.task.engine.side);
        let answers = times.read(side, || self.task.read(&pass, self.rows, &scores))?;
        let each = self.share(start.max(*charged), pass.rows());
        *charged = Instant::now();
        let mut complete = Vec::new();
        times.count.time(|| {
            let (mut row, mut board) = (0, self.board());
            for piece in &pass.pieces {
                let count = piece.len() as usize;
                let scores = (row..row + count).map(|row| answers.row(row));
                complete.extend(board.answer(piece, scores, each * count as f64));
                row += count;
            }
        });
        times.read(side, || complete.iter_mut().try_for_each(Progress::settle))?;
        let each = self.share(*charged, complete.len() as u64);
        *charged = Instant::now();
        times.count.time(|| {
            for mut progress in complete {
                progress.spend(each);
                self.follow(self.task.advance(progress)?);
            }
            Ok(())
        })
    }

    fn follow(&self, next: Next) {
        match next {
            Next::Rows(progress) => {
                self.board().add(*progress);
                self.changed.notify_all();
            }
            Next::Done(index, result, seconds) => (self.tell)(index, result, seconds),
        }
    }

    /// What each of some pieces of work cost of the time since `start`, of which every lane has as
    /// much.
    fn share(&self, start: Instant, pieces: u64) -> f64 {
        start.elapsed().as_secs_f64() / (pieces.max(1) as f64 * self.task.engine.threads() as f64)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // A lane that panicked ends the process; the board is not half written, for its methods do
        // not panic.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
