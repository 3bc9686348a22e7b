//! Tests names that try to control a terminal, forge a log line, run code in a browser or a
//! spreadsheet, or escape from a folder.

use std::fs;
use std::path::Path;

use ddrs_common::terminal::is_unsafe;
use ddrs_tests::TestDir;
use serde_json::Value;

use super::{PrivateQueue, pictures};

const CLASS: &str = "=cmd|' \u{1b}[2J\u{9b}1m\u{202e}<script>alert(1)<";
const FILE: &str = "a\nERROR forged \u{1b}]0;x\u{7} $(touch x) \\input{x} <img src=x>.png";
const WORKER: &str = "w\u{1b}[31m\n<script>\u{202e}=1+1";

/// Checks that a text has no character that moves the cursor or hides or reverses text, and no
/// forged line.
#[track_caller]
fn assert_harmless(what: &str, text: &str) {
    let bad = text.chars().find(|&c| c != '\n' && is_unsafe(c));
    assert!(bad.is_none(), "{what} has {bad:?}: {text:?}");
    assert!(
        !text.lines().any(|line| line.starts_with("ERROR forged")),
        "{what}: {text}"
    );
}

#[test]
fn hostile_names_of_files_and_workers_are_shown_only_as_text() {
    let dir = TestDir::new();
    let _ = pictures(&dir, "");
    image::RgbImage::new(8, 8)
        .save(dir.write("images/z/0.png", ""))
        .unwrap();
    dir.write(&format!("images/{CLASS}/{FILE}"), "no picture");
    let queue = PrivateQueue::start(&dir);
    let sweep = queue
        .ask(&dir, &["submit", "sweep.toml"])
        .expect(0)
        .stdout
        .trim()
        .to_owned();
    for format in ["text", "json"] {
        let worked = queue
            .work(&dir, &["--log-format", format, "--name", WORKER])
            .expect(0);
        assert_harmless(format, &worked.stderr);
    }
    for arguments in [
        &["status", &sweep][..],
        &["status", &sweep, "--format", "json"],
        &["collect", &sweep, "--out", "out"],
        &["why", &sweep, "plane/fixed/0.5", "0", "--out", "out"],
        &[
            "why",
            &sweep,
            "plane/fixed/0.5",
            "0",
            "--out",
            "out",
            "--format",
            "json",
        ],
        &["report", "out"],
        &["report", "out", "--format", "json"],
        &["report", "out", "--format", "csv"],
        &["report", "out", "--format", "markdown"],
        &["report", "out", "--format", "latex"],
        &["doctor", "sweep.toml"],
    ] {
        let ended = queue.ask(&dir, arguments);
        assert!(
            [0, 3].contains(&ended.code),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert_harmless(arguments[0], &ended.stdout);
        assert_harmless(arguments[0], &ended.stderr);
    }
    let mut files = 0;
    for folder in ["out", "out/report"] {
        for entry in fs::read_dir(dir.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if entry.is_file() {
                let text = fs::read_to_string(&entry).unwrap();
                // Certification logs separate columns by tabs.
                assert_harmless(&entry.display().to_string(), &text.replace('\t', " "));
                let markup = entry
                    .extension()
                    .is_some_and(|kind| kind == "html" || kind == "svg" || kind == "md");
                assert!(
                    !markup || !(text.contains("<script") || text.contains("<img")),
                    "{}",
                    entry.display()
                );
                files += 1;
            }
        }
    }
    assert!(files >= 9, "{files}");
    // Machine-readable files contain the names unchanged.
    let record = &dir.records("out")[&("plane/fixed/0.5".to_owned(), 0)];
    assert_eq!(record["worker"], WORKER);
    let error = record["error"].as_str().unwrap();
    assert!(error.contains(CLASS) && error.contains(FILE), "{error:?}");
    queue.stop();
}

#[test]
fn reasons_of_dead_jobs_are_shown_only_as_text() {
    let dir = TestDir::new();
    let _ = pictures(&dir, "");
    let text = fs::read_to_string(dir.path("sweep.toml")).unwrap();
    dir.write(
        "sweep.toml",
        text.replace("job-samples = 4", "job-samples = 1\nmax-attempts = 1"),
    );
    for name in ["images/a/0.png".to_owned(), format!("images/{CLASS}/0.png")] {
        image::RgbImage::new(8, 8)
            .save(dir.write("x.png", ""))
            .unwrap();
        let picture = fs::read(dir.path("x.png")).unwrap();
        dir.write(&name, picture);
    }
    // A dangling link makes its job fail, with the name in the reason.
    std::os::unix::fs::symlink("/nowhere", dir.path(&format!("images/{CLASS}/{FILE}"))).unwrap();
    let queue = PrivateQueue::start(&dir);
    let sweep = queue
        .ask(&dir, &["submit", "sweep.toml"])
        .expect(0)
        .stdout
        .trim()
        .to_owned();
    let worked = queue.work(&dir, &["--name", WORKER]).expect(0);
    assert_harmless("worker", &worked.stderr);
    let status = queue.ask(&dir, &["status", &sweep]).expect(0);
    assert!(
        status.stdout.contains("1 dead") && status.stdout.contains("ERROR forged"),
        "{}",
        status.stdout
    );
    assert_harmless("status", &status.stdout);
    let json = queue
        .ask(&dir, &["status", &sweep, "--format", "json"])
        .expect(0)
        .stdout;
    assert_harmless("status", &json);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(
        json["dead_jobs"][0]["reason"]
            .as_str()
            .unwrap()
            .contains(FILE),
        "{json}"
    );
    queue.stop();
}

#[test]
fn names_in_specifications_that_would_escape_from_the_folder_are_refused() {
    for name in [
        "../../up",
        "/tmp/up",
        "..",
        "a\\u0000b",
        "a\\u202eb",
        "<b>",
        "=1+1",
    ] {
        for key in ["name = \"pictures\"", "name = \"plane\""] {
            let dir = TestDir::new();
            let spec = pictures(&dir, "");
            let text = fs::read_to_string(&spec).unwrap();
            dir.write(
                "sweep.toml",
                text.replace(key, &format!("name = \"{name}\"")),
            );
            let ended = dir.run(Path::new("sweep.toml"), "out", 1).expect(2);
            assert!(
                ended.stderr.contains("sweep.toml:") && ended.stderr.contains("name: must be"),
                "{}",
                ended.stderr
            );
            assert_harmless("error", &ended.stderr);
            assert!(!dir.path("out").exists());
        }
    }
}

#[test]
fn a_path_in_an_error_is_shown_only_as_text() {
    let dir = TestDir::new();
    for path in ["a\\u001b[2J\\nERROR forged", "a\\u0000b", &"x".repeat(5000)] {
        dir.write(
            "sweep.toml",
            fs::read_to_string(pictures(&dir, ""))
                .unwrap()
                .replace("\"images\"", &format!("\"{path}\"")),
        );
        let ended = dir.run(Path::new("sweep.toml"), "out", 1).expect(2);
        assert_harmless("error", &ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}
