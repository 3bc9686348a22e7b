//! The rows that inputs wait for, and how they are packed into forward passes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::certify::Trouble;
use super::input::Input;
use super::progress::{Progress, Scores};
use super::request::Request;
use super::tally::Tally;

/// Which rows may share a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Any, wherever they come to stand: this network scores an image alike in every row, to the
    /// last bit.
    Anywhere,
    /// Those of one request alone, each in the row that its number decides.
    InPlace,
}

/// One forward pass: what its rows are, from the first on. What is left over holds nothing.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) pieces: Vec<Piece>,
}

/// Some rows of one input's request.
#[derive(Clone)]
pub(super) struct Piece {
    place: usize,
    pub(super) input: Arc<Input>,
    pub(super) request: Arc<Request>,
    pub(super) rows: Range<u64>,
    /// Where the device counts these rows.
    pub(super) tally: Option<Arc<Tally>>,
}

impl Pass {
    /// Some rows of one request that is on no board.
    pub(super) fn of(input: Arc<Input>, request: Arc<Request>, rows: Range<u64>) -> Self {
        Self {
            pieces: vec![Piece {
                place: 0,
                input,
                request,
                rows,
                tally: None,
            }],
        }
    }

    /// How many rows hold something.
    pub(super) fn rows(&self) -> u64 {
        self.pieces.iter().map(Piece::len).sum()
    }
}

impl Piece {
    pub(super) fn len(&self) -> u64 {
        self.rows.end - self.rows.start
    }
}

/// The inputs in progress. Lanes take passes from it and bring answers back.
#[derive(Default)]
pub(super) struct Board {
    pub(super) inputs: Vec<Option<Progress>>,
    /// Those with rows that nobody has taken, the earliest first.
    ready: VecDeque<usize>,
    /// Lanes that hold something which may bring more rows.
    pub(super) busy: usize,
    /// Whether a lane is fetching samples to begin with.
    pub(super) fetching: bool,
    /// Whether there are no more samples to begin with.
    pub(super) exhausted: bool,
    /// What ends the job early.
    pub(super) trouble: Option<Trouble>,
}

impl Board {
    /// Adds an input that wants rows.
    pub(super) fn add(&mut self, progress: Progress) {
        let place = self
            .inputs
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.inputs.len());
        if place == self.inputs.len() {
            self.inputs.push(None);
        }
        self.inputs[place] = Some(progress);
        self.ready.push_back(place);
    }

    /// A pass of `rows` rows, or of fewer if `last`; `whole` blocks alone unless one is larger than
    /// a pass.
    ///
    /// Those that have waited longest come first, and an empty pass has room for whatever they
    /// want; so nobody's rows wait for those that came after. Where a block finds no room, later
    /// ones that do may fill what is left.
    pub(super) fn take(
        &mut self,
        rows: u64,
        packing: Packing,
        whole: bool,
        last: bool,
    ) -> Option<Pass> {
        let waiting: u64 = self
            .ready
            .iter()
            .filter_map(|&place| self.inputs[place].as_ref())
            .map(Progress::waiting)
            .sum();
        let enough = if packing == Packing::Anywhere && !last {
            rows
        } else {
            1
        };
        if waiting < enough {
            return None;
        }
        let mut pass = Pass::default();
        for &place in &self.ready {
            let room = rows - pass.rows();
            if room == 0 || (packing == Packing::InPlace && !pass.pieces.is_empty()) {
                break;
            }
            // Inputs leave the board only when nothing of them is ready any more.
            let Some(progress) = &mut self.inputs[place] else {
                continue;
            };
            let start = progress.taken;
            let mut end = progress.request.rows().min(start + room);
            if whole && progress.request.block_end(start) <= end {
                end = progress.request.last_block_end(end);
            } else if whole && !pass.pieces.is_empty() {
                continue;
            }
            progress.taken = end;
            let (input, request) = (Arc::clone(&progress.input), Arc::clone(&progress.request));
            pass.pieces.push(Piece {
                place,
                input,
                request,
                rows: start..end,
                tally: progress.tally(),
            });
        }
        let inputs = &self.inputs;
        self.ready.retain(|&place| {
            inputs[place]
                .as_ref()
                .is_some_and(|progress| progress.waiting() > 0)
        });
        Some(pass)
    }

    /// Brings the answers to a piece, `seconds` having been spent on it. Returns the input if that
    /// was its last.
    pub(super) fn answer<'a>(
        &mut self,
        piece: &Piece,
        scores: impl Iterator<Item = Scores<'a>>,
        seconds: f64,
    ) -> Option<Progress> {
        let progress = self.inputs[piece.place].as_mut()?;
        progress.spend(seconds);
        for (row, scores) in piece.rows.clone().zip(scores) {
            progress.answer(row, &scores);
        }
        if progress.waiting() == 0 {
            self.ready.retain(|&place| place != piece.place);
        }
        if progress.complete() {
            self.inputs[piece.place].take()
        } else {
            None
        }
    }
}
