//! What a run folder keeps: the seed that was drawn for it, and the version that made it.

use std::fs;
use std::path::PathBuf;

use ddrs_common::spec::{digest_from_hex, sweep_id_without_grid};
use ddrs_common::sweep_message::SweepMessage;
use ddrs_tests::{HalfSpaceSweep, TestDir, run_to_end};
use serde_json::Value;

fn manifest(dir: &TestDir, out: &str) -> Value {
    let text = fs::read_to_string(dir.path(out).join("manifest.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn message(manifest: &Value) -> SweepMessage {
    serde_json::from_value(manifest["sweep"].clone()).unwrap()
}

fn seed(dir: &TestDir, out: &str) -> u64 {
    message(&manifest(dir, out)).sweep().unwrap().seed
}

fn without_seed(dir: &TestDir) -> PathBuf {
    let spec = dir.half_space(&HalfSpaceSweep::default());
    let text = fs::read_to_string(&spec).unwrap();
    let without = text.replace("seed = 1\n", "");
    assert_ne!(without, text);
    dir.write("sweep.toml", without)
}

#[test]
fn a_seed_that_the_specification_leaves_out_is_drawn_kept_and_used_again() {
    let dir = TestDir::new();
    let spec = without_seed(&dir);
    let _ = dir.run(&spec, "out", 1).expect(0);
    let drawn = seed(&dir, "out");
    let records = dir.stable_records("out");
    assert_eq!(records.len(), 48);
    assert!(records.values().all(|record| record["seed"] == drawn));
    // Half of the records are lost, and the run makes them again.
    let text = fs::read_to_string(dir.path("out/records.jsonl")).unwrap();
    let kept: Vec<&str> = text.lines().take(24).collect();
    dir.write("out/records.jsonl", kept.join("\n") + "\n");
    let _ = dir.run(&spec, "out", 1).expect(0);
    assert_eq!(seed(&dir, "out"), drawn);
    assert_eq!(dir.stable_records("out"), records);
    let _ = dir.run(&spec, "other", 1).expect(0);
    assert_ne!(seed(&dir, "other"), drawn);
}

#[test]
fn a_run_of_another_version_is_read_but_not_continued() {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpaceSweep::default());
    let _ = dir.run(&spec, "out", 1).expect(0);
    let mut manifest = manifest(&dir, "out");
    manifest["sweep"] = serde_json::to_value(of_protocol_2(message(&manifest))).unwrap();
    let old = dir.write("out/manifest.json", manifest.to_string());
    let records = dir.write("out/records.jsonl", "");
    let _ = run_to_end(dir.coordinator().args(["report", "out"])).expect(0);
    let before = fs::read(&old).unwrap();
    let ended = dir.run(&spec, "out", 1).expect(2);
    for part in [
        "out was made by another version of ddrs, which draws other noise: `report` reads it",
        "choose another folder with --out",
    ] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    assert_eq!(fs::read(&old).unwrap(), before);
    assert_eq!(fs::read(&records).unwrap(), b"");
}

/// The message of the same sweep as a version wrote it whose noise was not on a grid.
fn of_protocol_2(message: SweepMessage) -> SweepMessage {
    let data = digest_from_hex(&message.data_digest).unwrap();
    let models = message.model_digests.iter();
    let models: Vec<[u8; 32]> = models.map(|text| digest_from_hex(text).unwrap()).collect();
    SweepMessage {
        protocol: 2,
        id: sweep_id_without_grid(&message.sweep().unwrap(), &data, &models),
        images: None,
        ..message
    }
}
