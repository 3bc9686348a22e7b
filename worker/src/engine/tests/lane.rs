//! Who does what among the lanes.

use std::sync::atomic::AtomicBool;

use super::engine;
use super::fixture::Fixture;
use crate::engine::board::Packing;
use crate::engine::certify::Task;
use crate::engine::lane::{Floor, Work};
use crate::engine::packing::Passes;

#[test]
fn only_one_lane_waits_for_a_sample_to_come() {
    let settings = "[smoothing]\nsigma = [0.5]\n[certify]\nn0 = 20\nn = 20\nalpha = 0.1\n";
    let fixture = Fixture::half_space(&[1.0, 0.5], 0.0, settings);
    let (engine, never) = (engine(2), AtomicBool::new(false));
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
    let mut samples = (0..2).map(|index| fixture.sample(index));
    let passes = Passes {
        rows: 20,
        packing: Packing::Anywhere,
    };
    let floor = Floor::new(task, passes, &mut samples, &|_, _, _| {});
    let Work::Begin(fetching) = floor.next(true) else {
        panic!("there are samples")
    };
    // Another lane is free for rows meanwhile, if there are any.
    assert!(matches!(floor.next(false), Work::Nothing));
    floor
        .begin()
        .unwrap_or_else(|_| panic!("both samples are sound"));
    drop(fetching);
    for _ in 0..2 {
        assert!(
            matches!(floor.next(true), Work::Pass(..)),
            "the first rows of each sample fill a pass"
        );
    }
    assert!(matches!(floor.next(true), Work::Begin(_)));
}
