//! `docs/GETTING_STARTED.md` runs as written.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::demo::is_reference_cpu;
use ddrs_tests::{TestDir, program, run_to_end};

/// The port of the tutorial's Redis. The test replaces it by a free one.
const PORT: &str = "6399";

/// Runs every `sh` block of the tutorial in order, in one shell, in a folder that has the
/// checkout's examples and its built programs. `cargo run` is replaced by the example that is
/// built already, and the port of Redis by a free one.
#[test]
fn the_tutorial_runs_as_written() {
    let tutorial = fs::read_to_string(root().join("docs/GETTING_STARTED.md")).unwrap();
    let script = blocks(&tutorial, "sh").join("\n");
    assert!(
        script.contains(PORT) && script.contains("ddrs-coordinator run"),
        "{script}"
    );
    let dir = TestDir::new();
    prepare(&dir);
    let ended = run_to_end(
        Command::new("bash")
            .args([
                "-euo",
                "pipefail",
                "-c",
                &script.replace(PORT, &free_port()),
            ])
            .current_dir(dir.path(""))
            .env(
                "PATH",
                format!(
                    "{}:{}",
                    dir.path("bin").display(),
                    std::env::var("PATH").unwrap()
                ),
            )
            .env_remove("DDRS_REDIS"),
    )
    .expect(0);
    assert!(ended.stdout.contains("the same table"), "{}", ended.stdout);
    let printed: Vec<String> = ended.stdout.lines().map(shown).collect();
    for block in blocks(&tutorial, "text") {
        for row in block.lines().filter(|line| line.contains("shapes/")) {
            let row = shown(row);
            assert!(
                printed.iter().any(|line| line.starts_with(&row)),
                "{row}\n{}",
                ended.stdout
            );
        }
    }
}

/// Returns the words of a line, one space apart. Only the reference CPU must print the numbers of
/// the tutorial; on another CPU only the first word counts, the variant.
fn shown(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let count = if is_reference_cpu() { words.len() } else { 1 };
    words[..count.min(words.len())].join(" ")
}

/// Returns the fenced blocks of one language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let fence = format!("\n```{language}\n");
    let parts = document.split(fence.as_str()).skip(1);
    parts
        .map(|part| part.split("\n```").next().unwrap_or_default().to_owned())
        .collect()
}

/// Gives the folder the examples, the programs under `target/release`, and a `cargo` that starts
/// the example that is already built.
fn prepare(dir: &TestDir) {
    let examples = dir.path("examples");
    let _ = run_to_end(
        Command::new("cp")
            .arg("-r")
            .arg(root().join("examples"))
            .arg(examples),
    )
    .expect(0);
    let programs = program("ddrs-coordinator").parent().unwrap().to_owned();
    fs::create_dir(dir.path("target")).unwrap();
    symlink(programs, dir.path("target/release")).unwrap();
    let shapes = program("examples/shapes");
    let script = format!(
        "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec {} \"$@\"\n",
        shapes.display()
    );
    let cargo = dir.write("bin/cargo", script);
    fs::set_permissions(cargo, fs::Permissions::from_mode(0o755)).unwrap();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}
