//! A run into the folder `killed` that a test ends before it is done.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ddrs_tests::TestDir;

/// Starts the run with two workers.
pub(crate) fn start(dir: &TestDir, spec: &Path) -> Child {
    let mut command = dir.coordinator();
    command
        .arg("run")
        .arg(spec)
        .args(["--out", "killed", "--device", "cpu", "--workers", "2"]);
    command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns true if the run wrote `records` records before its end. It has `all`.
pub(crate) fn wait_for_records(dir: &TestDir, records: usize, all: usize) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let text = std::fs::read_to_string(dir.path("killed/records.jsonl")).unwrap_or_default();
        match text.lines().count() {
            lines if lines == all => return false,
            lines if lines >= records => return true,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    false
}

/// Kills the coordinator and its workers with SIGKILL to the process group, as a batch system does.
pub(crate) fn kill_group(mut child: Child) {
    let group = format!("-{}", child.id());
    let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
    assert!(killed.unwrap().success());
    child.wait().unwrap();
}
