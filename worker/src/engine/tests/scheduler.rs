//! The distribution of work over the threads.

use std::sync::atomic::AtomicBool;

use super::engine;
use super::fixture::ModelFixture;
use crate::engine::packing::{Packing, PassShape};
use crate::engine::scheduler::{JobScheduler, NextWork};
use crate::engine::task::JobContext;

#[test]
fn only_one_lane_waits_for_a_sample_to_come() {
    let settings = "[smoothing]\nsigma = [0.5]\n[certify]\nn0 = 20\nn = 20\nalpha = 0.1\n";
    let fixture = ModelFixture::half_space(&[1.0, 0.5], 0.0, settings);
    let engine = engine(2);
    let network = fixture.load(&engine);
    let networks = [&network];
    let never = AtomicBool::new(false);
    let variant = &fixture.sweep.variants()[0];
    let task = JobContext::new(&engine.core, &networks, fixture.part(variant), &never);
    let mut samples = (0..2).map(|index| fixture.sample(index));
    let shape = PassShape {
        rows: 20,
        packing: Packing::Anywhere,
    };
    let scheduler = JobScheduler::new(task, &[shape], &mut samples, &|_, _, _| {});
    let NextWork::Begin(fetching) = scheduler.next(true) else {
        panic!("there are samples")
    };
    // Another thread is free for rows in the meantime, if there are any.
    assert!(matches!(scheduler.next(false), NextWork::Nothing));
    assert!(scheduler.begin().is_ok(), "both samples are sound");
    drop(fetching);
    for _ in 0..2 {
        assert!(
            matches!(scheduler.next(true), NextWork::Pass(..)),
            "the first rows of each sample fill a pass"
        );
    }
    assert!(matches!(scheduler.next(true), NextWork::Begin(_)));
}
