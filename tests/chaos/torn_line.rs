//! `records.jsonl` cut at every byte of its last line, as a crash in the middle of a write leaves
//! it.

use std::fs;

use ddrs_common::record_file::RecordFile;
use rand::RngExt;

use super::{Fsync, Lab, Scene, chaos_sweep};
use crate::HalfSpace;

const CUT: &str = "last lines torn";
const COLLECTED: &str = "of them repaired by a collector";
const AGAIN: &str = "samples certified again after that";

pub(super) fn run(lab: &mut Lab) {
    let mut scene = Scene::new(
        &HalfSpace {
            samples: 6,
            ..chaos_sweep()
        },
        Fsync::EverySecond,
    );
    scene.work_to_the_end();
    let _ = scene
        .ask(&["collect", &scene.sweep, "--out", "out"])
        .expect(0);
    let path = scene.dir.path("out/records.jsonl");
    for _ in 0..lab.pick(1, 4) {
        let whole = fs::read(&path).expect("records");
        let last = whole[..whole.len() - 1]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .expect("two lines")
            + 1;
        lab.announce(CUT, lab.happened(CUT) + (whole.len() - last) as u64);
        // Every byte for the code that opens the file; for whole programs every one in full, some
        // in short.
        let step = lab.pick(40, 1);
        let certify_at = lab.rng.random_range(last..whole.len() - 1);
        for cut in last..whole.len() {
            fs::write(&path, &whole[..cut]).expect("a file that can be written");
            if cut % step == 0 || cut == certify_at {
                let _ = scene
                    .ask(&["collect", &scene.sweep, "--out", "out"])
                    .expect(0);
                lab.count(COLLECTED, 1);
            } else {
                RecordFile::open(&path).expect("a file that can be repaired");
            }
            // A record that lacks nothing but its line feed is whole.
            let expected = if cut == whole.len() - 1 {
                &whole[..]
            } else {
                &whole[..last]
            };
            assert!(
                fs::read(&path).expect("records") == expected,
                "cut at byte {cut}"
            );
            lab.count(CUT, 1);
            if cut == certify_at {
                certify_again(lab, &mut scene);
            }
        }
        fs::write(&path, &whole[..certify_at]).expect("a file that can be written");
        certify_again(lab, &mut scene);
    }
    scene.check(lab);
}

/// The sample whose record was torn is certified again, and no other.
fn certify_again(lab: &mut Lab, scene: &mut Scene) {
    let _ = scene
        .ask(&["collect", &scene.sweep, "--out", "out"])
        .expect(0);
    let status = scene.status();
    assert_eq!(status["done"], scene.samples() - 1, "{status}");
    scene.work_to_the_end();
    let _ = scene
        .ask(&["collect", &scene.sweep, "--out", "out"])
        .expect(0);
    lab.count(AGAIN, 1);
}
