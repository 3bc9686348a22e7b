//! Tests a worker program that is not a ddrs-worker.

use ddrs_tests::{HalfSpaceSweep, TestDir, run_to_end};

#[test]
fn a_worker_program_that_cannot_be_started_is_found_by_doctor_and_run() {
    let dir = TestDir::new();
    let _ = dir.half_space(&HalfSpaceSweep::default());
    let plain = dir.write("plain-file", "");
    for program in [
        "/nonexistent/worker",
        plain.to_str().unwrap(),
        "no-such-program-on-the-path",
    ] {
        let doctor =
            run_to_end(dir.coordinator().arg("doctor").env("DDRS_WORKER", program)).expect(2);
        let line = doctor
            .stdout
            .lines()
            .find(|line| line.contains(" worker "))
            .unwrap();
        assert!(line.starts_with("bad") && line.contains(program), "{line}");
        let mut run = dir.coordinator();
        run.args(["run", "sweep.toml", "--out", "out", "--device", "cpu"])
            .env("DDRS_WORKER", program);
        let run = run_to_end(&mut run).expect(1);
        assert!(
            run.stderr.contains(program) && run.stderr.contains("not an executable file"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_program_that_ends_without_work_is_given_up_with_a_message() {
    let dir = TestDir::new();
    let _ = dir.half_space(&HalfSpaceSweep::default());
    let mut run = dir.coordinator();
    run.args(["run", "sweep.toml", "--out", "out", "--device", "cpu"])
        .env("DDRS_WORKER", "true");
    let run = run_to_end(&mut run).expect(1);
    assert!(run.stderr.contains("starting them again"), "{}", run.stderr);
    assert!(
        run.stderr.contains("5 times in a row") && run.stderr.contains("true a ddrs-worker?"),
        "{}",
        run.stderr
    );
}
