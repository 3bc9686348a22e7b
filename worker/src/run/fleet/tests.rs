#![allow(clippy::unwrap_used)]
//! Tests of the fleet with real processes. A signal to a fleet would reach the whole test process,
//! so the test of signals runs a fleet in a separate process.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use ddrs_common::cli::ExitCode;

use super::*;
use crate::cli::{WorkerCli, WorkerCommand};

fn shell(name: &str, script: &str) -> FleetMember {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    FleetMember {
        name: name.to_owned(),
        command,
    }
}

fn supervised(scripts: &[&str]) -> Result<()> {
    let members = scripts
        .iter()
        .enumerate()
        .map(|(number, script)| shell(&format!("worker {number}"), script));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(supervise(members.collect(), false))
}

#[test]
fn a_fleet_ends_well_when_all_its_workers_do() {
    supervised(&["exit 0", "exit 0", "exit 0"]).unwrap();
    supervised(&[]).unwrap();
}

#[test]
fn a_worker_that_dies_does_not_end_another() {
    let dir = tempfile::tempdir().unwrap();
    let done = dir.path().join("done");
    // The second worker waits for the first one's end before it does its work.
    let (first, second) = (dir.path().join("first"), done.display());
    let die = format!("echo > {}; kill -9 $$", first.display());
    let work = format!(
        "while [ ! -e {} ]; do sleep 0.01; done; echo > {second}",
        first.display()
    );
    let error = supervised(&[&die, &work]).unwrap_err();
    assert!(error.to_string().contains("1 workers died"), "{error}");
    assert!(Path::new(&done).exists());
}

#[test]
fn only_a_refusal_by_all_failed_workers_is_bad_input() {
    assert_eq!(
        ExitCode::of(&supervised(&["exit 2", "exit 0"]).unwrap_err()),
        ExitCode::BadInput
    );
    assert_eq!(
        ExitCode::of(&supervised(&["exit 2", "exit 1"]).unwrap_err()),
        ExitCode::Failed
    );
}

#[test]
fn a_worker_that_does_not_start_is_named() {
    let member = FleetMember {
        name: "worker of cuda:3".to_owned(),
        command: Command::new("/no/such/program"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime
        .block_on(supervise(vec![member], false))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("worker of cuda:3 does not start"),
        "{error:#}"
    );
}

#[test]
fn stdin_stays_open_while_a_worker_lives() {
    // `cat` ends with code 0 as soon as stdin closes; `timeout` ends it with code 124.
    supervised(&["timeout 0.5 cat; [ $? = 124 ]"]).unwrap();
}

fn parse(line: &str) -> WorkerRunArgs {
    let words = ["ddrs-worker", "--log-format", "json", "run"].into_iter();
    match WorkerCli::parse_from(words.chain(line.split(' '))).command {
        WorkerCommand::Run(args) => args,
        _ => unreachable!("the command is run"),
    }
}

fn arguments(command: &Command) -> String {
    let arguments = command.as_std().get_args().map(OsStr::to_string_lossy);
    arguments.collect::<Vec<_>>().join(" ")
}

#[test]
fn each_worker_has_the_given_arguments_with_its_own_device_and_name() {
    let sweep = "--sweep=0123456789abcdef --root=/data --root=/models --threads=2 --exit-when-idle";
    let given = parse(&format!("--redis r --device cuda:all --name w {sweep}"));
    let members = members(&given, LogFormat::Json, 3).unwrap();
    let child = parse(
        arguments(&members[2].command)
            .strip_prefix("--log-format json run ")
            .map(|rest| format!("--redis r {rest}"))
            .unwrap()
            .as_str(),
    );
    let expected = parse(&format!(
        "--redis r --device cuda:0 --name w-2 --stop-with-stdin {sweep}"
    ));
    assert_eq!(child.worker, expected.worker);
}

#[test]
fn a_worker_without_a_name_is_not_given_one() {
    let given = parse("--redis r --device=cuda:all --stop-with-stdin");
    let child = member_arguments(&given.worker, 0);
    assert_eq!(child.name, None);
    assert!(child.stop_with_stdin);
}

#[test]
fn each_worker_sees_one_of_the_visible_gpus() {
    let visible = ["4".to_owned(), "GPU-ab".to_owned()];
    assert_eq!(gpu_name(&visible, 1), "GPU-ab");
    assert_eq!(gpu_name(&[], 3), "3");
}

/// A part of [`signals_reach_every_worker`], which runs it in a separate process: a fleet of two
/// workers that write down the signals that they receive.
#[test]
#[ignore = "a part of another test, which starts it"]
fn a_fleet_that_receives_signals() {
    let Ok(dir) = std::env::var("FLEET_TEST_DIR") else {
        return;
    };
    supervised(&[&signal_recorder(&dir, 0), &signal_recorder(&dir, 1)]).unwrap();
}

fn signal_recorder(dir: &str, number: usize) -> String {
    let trap = |signal| format!("trap 'echo {signal} > {dir}/signal-{number}; exit 0' {signal};");
    format!(
        "{}{}{} echo > {dir}/ready-{number}; while :; do sleep 0.01; done",
        trap("TERM"),
        trap("INT"),
        trap("USR1")
    )
}

#[test]
fn signals_reach_every_worker() {
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::USR1, "USR1"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut fleet = start_fleet_process(dir.path());
        kill_process(Pid::from_raw(fleet.id().cast_signed()).unwrap(), signal).unwrap();
        assert!(fleet.wait().unwrap().success(), "SIG{name}");
        for number in 0..2 {
            let file = dir.path().join(format!("signal-{number}"));
            assert_eq!(std::fs::read_to_string(file).unwrap().trim(), name);
        }
    }
}

/// Starts [`a_fleet_that_receives_signals`] and waits until its workers run.
fn start_fleet_process(dir: &Path) -> std::process::Child {
    let mut fleet = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "run::fleet::tests::a_fleet_that_receives_signals",
            "--exact",
            "--ignored",
        ])
        .env("FLEET_TEST_DIR", dir)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !(0..2).all(|number| dir.join(format!("ready-{number}")).exists()) {
        assert!(
            Instant::now() < deadline && fleet.try_wait().unwrap().is_none(),
            "the fleet did not start"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    fleet
}
