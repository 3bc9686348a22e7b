//! How rows are packed where a block must not be torn apart.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ddrs_common::domain::{Phase, Sigma};

use super::engine;
use super::fixture::Fixture;
use crate::engine::board::{Board, Packing, Pass};
use crate::engine::certify::Task;
use crate::engine::input::Input;
use crate::engine::progress::Next;
use crate::engine::request::Request;

const CHUNK: u64 = 10;

/// A board of inputs, numbered from 0, that want so many rows each.
fn board(wanted: &[u64]) -> Board {
    let fixture = Fixture::half_space(
        &[1.0, 0.5],
        0.0,
        "[smoothing]\nsigma = [0.5]\n[certify]\nn0 = 5\nn = 5\nalpha = 0.1\n",
    );
    let (engine, never) = (engine(1), AtomicBool::new(false));
    let network = engine
        .load(&fixture.sweep.models[0], fixture.shape)
        .unwrap();
    let (sweep, variant) = (&fixture.sweep, &fixture.sweep.variants()[0]);
    let task = Task {
        engine: &engine,
        network: &network,
        sweep,
        variant,
        stop: &never,
    };
    let mut board = Board::default();
    for (index, &n) in (0..).zip(wanted) {
        let input = Arc::new(Input::new(&fixture.sample(index), &network).unwrap());
        let Next::Rows(mut progress) = task.begin(input, Some(0.5), 0.0) else {
            panic!("no rows wanted")
        };
        let sigma = Sigma::new(0.5).unwrap();
        progress.request = Arc::new(Request::Count {
            sigma,
            phase: Phase::Estimate,
            first: 0,
            n,
            chunk: CHUNK,
        });
        board.add(*progress);
    }
    board
}

/// The inputs of a pass with their rows.
fn contents(pass: Option<Pass>) -> Vec<(u64, std::ops::Range<u64>)> {
    pass.map_or_else(Vec::new, |pass| {
        pass.pieces
            .into_iter()
            .map(|piece| (piece.input.index.0, piece.rows))
            .collect()
    })
}

/// All passes of `rows` rows.
fn passes(wanted: &[u64], rows: u64, whole: bool) -> Vec<Vec<(u64, std::ops::Range<u64>)>> {
    let mut board = board(wanted);
    std::iter::from_fn(|| {
        board
            .take(rows, Packing::Anywhere, whole, true)
            .map(|pass| contents(Some(pass)))
    })
    .collect()
}

#[test]
fn a_block_that_finds_no_room_leaves_it_to_a_later_one_that_does() {
    // 10 rows of input 1 do not fit beside 4 of input 0; 6 of input 2 do.
    assert_eq!(
        passes(&[4, 10, 6], 10, true),
        [vec![(0, 0..4), (2, 0..6)], vec![(1, 0..10)]]
    );
    assert_eq!(
        passes(&[14, 20, 3, 3], 20, true),
        [vec![(0, 0..14), (2, 0..3), (3, 0..3)], vec![(1, 0..20)]]
    );
}

#[test]
fn a_block_that_never_fits_beside_others_is_not_kept_waiting_by_them() {
    let mut board = board(&[5, 10]);
    let later = self::board(&[5, 5, 5]).inputs.into_iter().flatten();
    // Whatever small requests come after it, in every pass: as soon as it has waited longest, it is
    // its turn.
    assert_eq!(
        contents(board.take(10, Packing::Anywhere, true, true)),
        [(0, 0..5)]
    );
    later.for_each(|progress| board.add(progress));
    assert_eq!(
        contents(board.take(10, Packing::Anywhere, true, true)),
        [(1, 0..10)]
    );
}

#[test]
fn a_block_that_is_larger_than_a_pass_is_torn_apart_and_every_row_is_taken_once() {
    assert_eq!(
        passes(&[10, 3], 4, true),
        [
            vec![(0, 0..4)],
            vec![(0, 4..8)],
            vec![(0, 8..10)],
            vec![(1, 0..3)]
        ]
    );
    for (rows, whole) in [(4, true), (10, true), (25, true), (7, false)] {
        let mut taken = [0, 0, 0, 0];
        for (input, rows) in passes(&[23, 4, 11, 10], rows, whole).into_iter().flatten() {
            assert_eq!(rows.start, taken[input as usize]);
            taken[input as usize] = rows.end;
        }
        assert_eq!(taken, [23, 4, 11, 10], "passes of {rows}");
    }
}

#[test]
fn where_blocks_may_be_torn_apart_only_the_last_pass_is_not_full() {
    assert_eq!(
        passes(&[4, 10, 6], 8, false),
        [
            vec![(0, 0..4), (1, 0..4)],
            vec![(1, 4..10), (2, 0..2)],
            vec![(2, 2..6)]
        ]
    );
}
