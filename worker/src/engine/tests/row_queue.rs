//! The packing of rows where a block must not be divided.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use super::engine;
use super::fixture::ModelFixture;
use crate::engine::input::PreparedInput;
use crate::engine::packing::Packing;
use crate::engine::pass::Pass;
use crate::engine::progress::NextStep;
use crate::engine::row_queue::{PackingRules, RowQueue};
use crate::engine::task::JobContext;
use ddrs_common::grid::Grid;

/// The inputs of a pass with their rows.
type Contents = Vec<(u64, Range<u64>)>;

/// Makes a queue of inputs, numbered from 0, that want these numbers of rows.
fn queue(wanted: &[u64]) -> RowQueue {
    let mut queue = RowQueue::default();
    for (index, &rows) in (0..).zip(wanted) {
        let NextStep::Draw(progress) = begin(index, rows) else {
            panic!("no rows wanted")
        };
        queue.add(*progress);
    }
    queue
}

/// Begins with an input that wants this number of rows, in blocks of ten.
fn begin(index: u64, rows: u64) -> NextStep {
    let settings = format!(
        "[smoothing]\nsigma = [0.5]\n[certify]\nn0 = {rows}\nn = 5\nalpha = 0.1\nchunk = 10\n"
    );
    let fixture = ModelFixture::half_space(&[1.0, 0.5], 0.0, &settings);
    let engine = engine(1);
    let network = fixture.load(&engine);
    let networks = [&network];
    let never = AtomicBool::new(false);
    let variant = &fixture.sweep.variants()[0];
    let task = JobContext::new(&engine.core, &networks, fixture.part(variant), &never);
    let input = PreparedInput::new(&fixture.sample(index), &network, Grid::BYTES).unwrap();
    NextStep::certify(&task, input.into(), Some(0.5), 0.0)
}

fn rules(rows: u64, whole_blocks: bool) -> PackingRules {
    PackingRules {
        rows,
        packing: Packing::Anywhere,
        whole_blocks,
    }
}

fn contents(pass: Pass) -> Contents {
    pass.parts
        .into_iter()
        .map(|part| (part.input.index.0, part.rows))
        .collect()
}

/// Takes passes of `rows` rows until the queue is empty.
fn passes(wanted: &[u64], rows: u64, whole_blocks: bool) -> Vec<Contents> {
    let mut queue = queue(wanted);
    let rules = rules(rows, whole_blocks);
    std::iter::from_fn(|| queue.take(&[rules], true).map(contents)).collect()
}

#[test]
fn a_block_that_finds_no_room_leaves_it_to_a_later_one_that_does() {
    // 10 rows of input 1 do not fit next to 4 of input 0; 6 of input 2 do.
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
    let mut queue = queue(&[5, 10]);
    let later = self::queue(&[5, 5, 5]).into_inputs();
    let rules = rules(10, true);
    // However many small requests come after it: as soon as it has waited longest, it is its turn.
    assert_eq!(
        queue.take(&[rules], true).map(contents),
        Some(vec![(0, 0..5)])
    );
    later.for_each(|progress| queue.add(progress));
    assert_eq!(
        queue.take(&[rules], true).map(contents),
        Some(vec![(1, 0..10)])
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
    for (rows, whole_blocks) in [(4, true), (10, true), (25, true), (7, false)] {
        let mut taken = [0, 0, 0, 0];
        let passes = passes(&[23, 4, 11, 10], rows, whole_blocks);
        for (input, rows) in passes.into_iter().flatten() {
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
