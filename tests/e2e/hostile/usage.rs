//! Tests that wrong usage ends with exit code 2 and a message that says what to change, and that
//! all messages are JSON with `--log-format json`.

use std::fs;

use ddrs_tests::{HalfSpaceSweep, ProgramOutput, TestDir, run_to_end};
use serde_json::Value;

#[test]
fn an_invalid_address_is_wrong_usage_for_every_command() {
    let dir = TestDir::new();
    let _ = dir.half_space(&HalfSpaceSweep::default());
    let id = "0123456789abcdef";
    let commands: [&[&str]; 8] = [
        &["status"],
        &["submit", "sweep.toml"],
        &["collect", id, "--out", "out"],
        &["retry", id],
        &["cancel", id],
        &["why", id, "plane/fixed/0.5", "0"],
        &["run", "sweep.toml", "--out", "run"],
        &["doctor"],
    ];
    for url in ["http://:s3cret@host", "host", "redis://:s3cret@host/x"] {
        let mut ended: Vec<_> = commands
            .iter()
            .map(|command| run_to_end(dir.coordinator().args(*command).args(["--redis", url])))
            .collect();
        ended.push(run_to_end(dir.worker().args(["run", "--redis", url])));
        for ended in ended {
            let ended = ended.expect(2);
            let output = ended.stdout + &ended.stderr;
            let why = if url.contains('@') {
                "holds a password"
            } else {
                "not the address of a Redis"
            };
            assert!(
                output.contains(why) && !output.contains("s3cret"),
                "{output}"
            );
        }
    }
}

#[test]
fn a_folder_that_is_not_a_run_folder_is_wrong_usage() {
    let dir = TestDir::new();
    dir.write("empty/notes.txt", "x");
    for arguments in [
        &["report", "empty"][..],
        &["report", "empty", "--radii", "0:1:0.5"],
        &["report", "nowhere.tsv"],
    ] {
        let ended = run_to_end(dir.coordinator().args(arguments)).expect(2);
        assert!(ended.stderr.contains(arguments[1]), "{}", ended.stderr);
        assert_eq!(
            ended.stderr.matches("No such file").count(),
            1,
            "the cause must be reported once: {}",
            ended.stderr
        );
    }
    let stderr = run_to_end(dir.coordinator().args(["report", "empty"])).stderr;
    assert!(
        stderr.contains("empty is not a run folder: cannot read empty/manifest.json"),
        "{stderr}"
    );
}

#[test]
fn conflicts_with_the_data_are_reported_at_a_line_of_the_specification() {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpaceSweep::default());
    let text = fs::read_to_string(&spec).unwrap();
    for (from, to, error) in [
        (
            "path = \"inputs.safetensors\"",
            "path = \"inputs.safetensors\"\noffset = 24",
            ":6: dataset.offset: 24 is past",
        ),
        (
            "classes = 2",
            "classes = 2\nprecision = \"bf16\"",
            ":11: model[0].precision: must be \"fp32\"",
        ),
    ] {
        assert!(text.contains(from));
        fs::write(&spec, text.replace(from, to)).unwrap();
        let run = dir.run(&spec, "out", 1).expect(2);
        let certify =
            run_to_end(dir.worker().args(["certify", "sweep.toml", "--index", "0"])).expect(2);
        for stderr in [run.stderr, certify.stderr] {
            assert!(stderr.contains(&format!("sweep.toml{error}")), "{stderr}");
        }
    }
}

fn run_with_json_log(dir: &TestDir) -> ProgramOutput {
    let mut command = dir.coordinator();
    command
        .args(["--log-format", "json", "run", "sweep.toml"])
        .args(["--out", "out", "--device", "cpu", "--workers", "1"]);
    run_to_end(&mut command)
}

fn json_lines(log: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(parse).collect()
}

#[test]
fn every_log_line_is_json_with_log_format_json() {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpaceSweep::default());
    let log = json_lines(&run_with_json_log(&dir).expect(0).stderr);
    let progress: Vec<&Value> = log
        .iter()
        .filter(|line| !line["fields"]["records"].is_null())
        .collect();
    let last = &progress.last().expect("progress")["fields"];
    assert_eq!(
        (&last["records"], &last["samples"]),
        (&48.into(), &48.into()),
        "{last}"
    );
    for log in fs::read_dir(dir.path("out/logs")).unwrap() {
        let _ = json_lines(&fs::read_to_string(log.unwrap().path()).unwrap());
    }
    let text = fs::read_to_string(&spec).unwrap();
    fs::write(&spec, text.replace("seed = 1", "seed = -1")).unwrap();
    let log = json_lines(&run_with_json_log(&dir).expect(2).stderr);
    let last = log.last().unwrap();
    let message = "sweep.toml:2: seed: must be 0 or more, not -1";
    assert_eq!(
        (&last["level"], &last["fields"]["message"]),
        (&"ERROR".into(), &message.into())
    );
    let certify = ["certify", "sweep.toml", "--index", "0"];
    let refused = run_to_end(dir.worker().args(["--log-format", "json"]).args(certify)).expect(2);
    assert_eq!(
        json_lines(&refused.stderr).last().unwrap()["level"],
        "ERROR"
    );
}
