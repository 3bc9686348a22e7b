//! Tests that a password does not appear in arguments, output, logs or the files of a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ddrs_tests::{ProgramOutput, TestDir, run_to_end};

use super::server::{TestServer, ask, coordinator, eventually, long, run};

const MARKER: &str = "marker-9f2c61";

/// Returns all files below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Returns the arguments of every process whose command line can be read.
fn arguments() -> Vec<String> {
    let processes = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.path().join("cmdline"));
    processes
        .filter_map(|path| fs::read(path).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

fn assert_clean(ended: &ProgramOutput) {
    assert!(
        !ended.stdout.contains(MARKER) && !ended.stderr.contains(MARKER),
        "{ended:?}"
    );
}

fn start(dir: &TestDir) -> TestServer {
    let server = TestServer::start(&dir.path("server"), &[]);
    let _: () = ask(
        &mut server.connection(""),
        &format!("CONFIG SET requirepass {MARKER}"),
    )
    .unwrap();
    server
}

#[test]
fn a_password_appears_nowhere_but_in_its_file() {
    let dir = long();
    let server = start(&dir);
    let file = dir.write("password", format!("{MARKER}\n"));
    let url = server.url();
    let file_name = file.display().to_string();
    let by_file = [
        ("DDRS_REDIS", url.as_str()),
        ("DDRS_REDIS_PASSWORD_FILE", &file_name),
        ("RUST_LOG", "trace"),
    ];
    let secret_url = format!("redis://:{MARKER}@127.0.0.1:{}", server.port);
    let by_url = [("DDRS_REDIS", secret_url.as_str()), ("RUST_LOG", "trace")];
    let by_variable = [
        ("DDRS_REDIS", url.as_str()),
        ("DDRS_REDIS_PASSWORD", MARKER),
        ("RUST_LOG", "trace"),
    ];
    let running = run(&dir, "out", &by_file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("a record", || {
        (!dir.records("out").is_empty()).then_some(())
    });
    let arguments = arguments();
    assert!(
        arguments
            .iter()
            .any(|words| words.contains("ddrs-worker") && words.contains("--name")),
        "no worker process was found"
    );
    assert!(!arguments.iter().any(|words| words.contains(MARKER)));
    let ended: ProgramOutput = running.wait_with_output().unwrap().into();
    assert_clean(&ended.expect(0));
    for login in [&by_file[..], &by_url, &by_variable] {
        for arguments in [
            &["status"][..],
            &["doctor", "sweep.toml"],
            &["submit", "sweep.toml"],
        ] {
            assert_clean(&coordinator(&dir, arguments, login).expect(0));
        }
        let worker = ["run", "--exit-when-idle", "--device", "cpu"];
        assert_clean(&run_to_end(dir.worker().args(worker).envs(login.iter().copied())).expect(0));
    }
    for path in files(&dir.path("")).iter().filter(|path| **path != file) {
        let text = fs::read(path).unwrap();
        assert!(
            !String::from_utf8_lossy(&text).contains(MARKER),
            "{}",
            path.display()
        );
    }
}

#[test]
fn errors_about_a_password_do_not_repeat_it() {
    let dir = long();
    let server = start(&dir);
    let url = server.url();
    let wrong = format!("wrong-{MARKER}");
    let login = [
        ("DDRS_REDIS", url.as_str()),
        ("DDRS_REDIS_PASSWORD", &wrong),
        ("RUST_LOG", "trace"),
    ];
    let worker = run_to_end(dir.worker().args(["run", "--device", "cpu"]).envs(login));
    let among_arguments = format!("redis://:{MARKER}@127.0.0.1:{}", server.port);
    for ended in [
        coordinator(&dir, &["status"], &login),
        coordinator(&dir, &["doctor"], &login),
        worker,
        coordinator(
            &dir,
            &["status"],
            &[("DDRS_REDIS", &format!("redis://:{MARKER}@127.0.0.1:1"))],
        ),
        coordinator(&dir, &["status", "--redis", &among_arguments], &[]),
        run_to_end(dir.worker().args(["run", "--redis", &among_arguments])),
    ] {
        assert_ne!(ended.code, 0, "{ended:?}");
        assert_clean(&ended);
    }
    let refused = coordinator(&dir, &["status", "--redis", &among_arguments], &[]).expect(2);
    assert!(
        refused.stderr.contains("--redis-password-file"),
        "{}",
        refused.stderr
    );
    assert!(
        refused
            .stderr
            .contains("the address among the arguments holds a password"),
        "{}",
        refused.stderr
    );
    for login in [&login[..], &login[..1]] {
        let stderr = coordinator(&dir, &["status"], login).expect(1).stderr;
        assert!(
            stderr.contains("DDRS_REDIS_PASSWORD") && stderr.contains("--redis-password-file"),
            "{stderr}"
        );
    }
}
