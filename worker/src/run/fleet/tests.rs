#![allow(clippy::unwrap_used)]
//! The fleet over real processes. Signals go to the whole test process, so only the ends of
//! processes are tried here; `tests/` sends signals to a fleet of its own.

use std::path::Path;

use ddrs_common::cli::ExitCode;

use super::*;

fn shell(name: &str, script: &str) -> Member {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Member {
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

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn a_fleet_ends_well_when_all_its_workers_do() {
    supervised(&["exit 0", "exit 0", "exit 0"]).unwrap();
    supervised(&[]).unwrap();
}

#[test]
fn a_worker_that_dies_takes_no_other_with_it() {
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
fn a_refusal_of_all_is_a_refusal_and_any_other_end_is_a_failure() {
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
    let member = Member {
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
    // `read` fails as soon as stdin closes; a time limit of its own ends the wait with another
    // code.
    supervised(&["timeout 0.5 cat; [ $? = 124 ]"]).unwrap();
}

#[test]
fn each_worker_has_the_arguments_given_and_a_device_and_name_of_its_own() {
    for given in [
        "--log-format json run --device cuda:all --redis r --name w",
        "--log-format json run --device=cuda:all --redis r --name=w",
    ] {
        let expected =
            "--log-format json run --device=cuda:0 --redis r --name=w-2 --stop-with-stdin";
        assert_eq!(arguments(&words(given), 2), words(expected));
    }
    let given = "run --device cuda:all --stop-with-stdin";
    assert_eq!(
        arguments(&words(given), 0),
        words("run --device=cuda:0 --stop-with-stdin")
    );
}

#[test]
fn each_worker_sees_one_of_the_gpus_that_are_visible() {
    assert_eq!([nth(None, 0), nth(None, 3)], ["0", "3"]);
    assert_eq!(
        [nth(Some("4, GPU-ab,6"), 0), nth(Some("4, GPU-ab,6"), 1)],
        ["4", "GPU-ab"]
    );
}

/// What [`signals_reach_every_worker`] runs in a process of its own: a fleet of two that write down
/// what they are told.
#[test]
#[ignore = "a part of another test, which starts it"]
fn a_fleet_to_be_signalled() {
    let Ok(dir) = std::env::var("FLEET_TEST_DIR") else {
        return;
    };
    let script = |number| {
        let told = |signal| format!("trap 'echo {signal} > {dir}/told-{number}; exit 0' {signal};");
        format!(
            "{}{}{} echo > {dir}/ready-{number}; while :; do sleep 0.01; done",
            told("TERM"),
            told("INT"),
            told("USR1")
        )
    };
    supervised(&[&script(0), &script(1)]).unwrap();
}

#[test]
fn signals_reach_every_worker() {
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::USR1, "USR1"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut fleet = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "run::fleet::tests::a_fleet_to_be_signalled",
                "--exact",
                "--ignored",
            ])
            .env("FLEET_TEST_DIR", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !(0..2).all(|number| dir.path().join(format!("ready-{number}")).exists()) {
            assert!(
                std::time::Instant::now() < deadline && fleet.try_wait().unwrap().is_none(),
                "the fleet did not start"
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        kill_process(Pid::from_raw(fleet.id().cast_signed()).unwrap(), signal).unwrap();
        assert!(fleet.wait().unwrap().success(), "SIG{name}");
        for number in 0..2 {
            let told = std::fs::read_to_string(dir.path().join(format!("told-{number}"))).unwrap();
            assert_eq!(told.trim(), name);
        }
    }
}
