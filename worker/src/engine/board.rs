//! The rows that inputs wait for, and how they are packed into forward passes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::certify::Trouble;
use super::input::Input;
use super::progress::{Progress, Scores};
use super::request::Request;

/// Which rows may share a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Any, wherever they come to stand: this network scores an image alike in every row, to the last bit.
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
}

impl Pass {
    /// Some rows of one request that is on no board.
    pub(super) fn of(input: Arc<Input>, request: Arc<Request>, rows: Range<u64>) -> Self {
        Self { pieces: vec![Piece { place: 0, input, request, rows }] }
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
    inputs: Vec<Option<Progress>>,
    /// Those with rows that nobody has taken, the earliest first.
    ready: VecDeque<usize>,
    /// Lanes that hold something which may bring more rows.
    pub(super) busy: usize,
    /// Whether there are no more samples to begin with.
    pub(super) exhausted: bool,
    /// What ends the job early.
    pub(super) trouble: Option<Trouble>,
}

impl Board {
    /// Adds an input that wants rows.
    pub(super) fn add(&mut self, progress: Progress) {
        let place = self.inputs.iter().position(Option::is_none).unwrap_or(self.inputs.len());
        if place == self.inputs.len() {
            self.inputs.push(None);
        }
        self.inputs[place] = Some(progress);
        self.ready.push_back(place);
    }

    /// A pass of `rows` rows, or of fewer if `last`; `whole` blocks alone unless one is larger than a pass.
    pub(super) fn take(&mut self, rows: u64, packing: Packing, whole: bool, last: bool) -> Option<Pass> {
        let waiting: u64 =
            self.ready.iter().filter_map(|&place| self.inputs[place].as_ref()).map(Progress::waiting).sum();
        let enough = if packing == Packing::Anywhere && !last { rows } else { 1 };
        if waiting < enough {
            return None;
        }
        let mut pass = Pass::default();
        while let Some(&place) = self.ready.front() {
            // Inputs leave the board only when nothing of them is ready any more.
            let Some(progress) = &mut self.inputs[place] else { break };
            let room = rows - pass.rows();
            let start = progress.taken;
            let mut end = progress.request.rows().min(start + room);
            let fits = !whole || progress.request.block_end(start) <= end || pass.pieces.is_empty();
            if room == 0 || !fits || (packing == Packing::InPlace && !pass.pieces.is_empty()) {
                break;
            }
            if whole && progress.request.block_end(start) <= end {
                end = progress.request.last_block_end(end);
            }
            progress.taken = end;
            let (input, request) = (Arc::clone(&progress.input), Arc::clone(&progress.request));
            pass.pieces.push(Piece { place, input, request, rows: start..end });
            if progress.waiting() == 0 {
                self.ready.pop_front();
            }
        }
        Some(pass)
    }

    /// Brings the answers to a piece, `seconds` having been spent on it. Returns the input if that was its last.
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
        if progress.complete() { self.inputs[piece.place].take() } else { None }
    }
}
