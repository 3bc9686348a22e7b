//! `docs/GETTING_STARTED.md` runs as written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ddrs_tests::{TestDir, end, program};

/// Runs every `sh` block of the tutorial, in order, in one shell, in a copy of the checkout's
/// examples with the built programs first in PATH.
#[test]
fn the_tutorial_runs_as_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tutorial = fs::read_to_string(root.join("docs/GETTING_STARTED.md")).unwrap();
    let script = blocks(&tutorial, "sh").join("\n");
    assert!(script.contains("ddrs-coordinator run"), "{script}");
    let dir = TestDir::new();
    copy_examples(&root, &dir);
    let programs = program("ddrs-coordinator").parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let ended = end(Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(dir.path(""))
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", programs.parent().unwrap())
        .env_remove("DDRS_REDIS"))
    .expect(0);
    for table in blocks(&tutorial, "text") {
        for line in table.lines().filter(|line| line.contains("samples done")) {
            assert!(ended.stdout.contains(line.trim()), "{line}\n{}", ended.stdout);
        }
    }
}

/// Returns the fenced blocks of one language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in document.lines() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(word) => {
                open = word == language;
                if open {
                    found.push(String::new());
                }
            }
            None if open => {
                if let Some(block) = found.last_mut() {
                    block.push_str(line);
                    block.push('\n');
                }
            }
            None => {}
        }
    }
    found
}

fn copy_examples(root: &Path, dir: &TestDir) {
    let copied: PathBuf = dir.path("examples");
    let _ = end(Command::new("cp").arg("-r").arg(root.join("examples")).arg(copied)).expect(0);
}
