//! Truncates `records.jsonl` at every byte of its last line, as a crash during a write can leave
//! it.

use std::fs;

use ddrs_common::record_file::RecordFile;
use rand::RngExt;

use super::{ChaosContext, Fsync, TestSweep, chaos_sweep};
use crate::HalfSpaceSweep;

const CUT: &str = "last lines torn";
const COLLECTED: &str = "of them repaired by a collector";
const AGAIN: &str = "samples certified again after that";

pub(super) fn run(context: &mut ChaosContext) {
    let mut sweep = TestSweep::new(
        &HalfSpaceSweep {
            samples: 6,
            ..chaos_sweep()
        },
        Fsync::EverySecond,
    );
    sweep.work_to_the_end();
    let _ = sweep.ask(&["collect", &sweep.id, "--out", "out"]).expect(0);
    let path = sweep.dir.path("out/records.jsonl");
    for _ in 0..context.pick(1, 4) {
        let whole = fs::read(&path).expect("records");
        let last = whole[..whole.len() - 1]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .expect("two lines")
            + 1;
        context.announce(CUT, context.happened(CUT) + (whole.len() - last) as u64);
        // The code that opens the file is tried with every byte. The full size also runs `collect`
        // for every byte, the short size for every 40th.
        let step = context.pick(40, 1);
        let certify_at = context.rng.random_range(last..whole.len() - 1);
        for cut in last..whole.len() {
            fs::write(&path, &whole[..cut]).expect("a file that can be written");
            if cut % step == 0 || cut == certify_at {
                let _ = sweep.ask(&["collect", &sweep.id, "--out", "out"]).expect(0);
                context.count(COLLECTED, 1);
            } else {
                RecordFile::open(&path).expect("a file that can be repaired");
            }
            // A record that lacks only its line feed is complete.
            let expected = if cut == whole.len() - 1 {
                &whole[..]
            } else {
                &whole[..last]
            };
            assert!(
                fs::read(&path).expect("records") == expected,
                "cut at byte {cut}"
            );
            context.count(CUT, 1);
            if cut == certify_at {
                certify_again(context, &mut sweep);
            }
        }
        fs::write(&path, &whole[..certify_at]).expect("a file that can be written");
        certify_again(context, &mut sweep);
    }
    sweep.check(context);
}

/// Checks that the sample of the torn record, and no other, is certified again.
fn certify_again(context: &mut ChaosContext, sweep: &mut TestSweep) {
    let _ = sweep.ask(&["collect", &sweep.id, "--out", "out"]).expect(0);
    let status = sweep.status();
    assert_eq!(status["done"], sweep.samples() - 1, "{status}");
    sweep.work_to_the_end();
    let _ = sweep.ask(&["collect", &sweep.id, "--out", "out"]).expect(0);
    context.count(AGAIN, 1);
}
