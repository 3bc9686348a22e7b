//! Tests that only the clock of the server matters. The clock of a worker may be wrong.

use std::fs;
use std::path::Path;

/// Returns the paths and texts of all source files of the queue.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else {
            found.push((
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            ));
        }
    }
    found
}

#[test]
fn no_code_of_the_queue_reads_a_clock_other_than_that_of_the_server() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/queue"));
    assert!(sources.iter().any(|(path, _)| path.ends_with("claim.lua")) && sources.len() > 30);
    for (path, text) in &sources {
        for clock in [
            "SystemTime",
            "UNIX_EPOCH",
            "clock_gettime",
            "os.time",
            "os.clock",
        ] {
            assert!(!text.contains(clock), "{path} reads {clock}");
        }
    }
    let users: Vec<_> = sources
        .iter()
        .filter(|(_, text)| text.contains("call('TIME')"))
        .collect();
    assert!(
        users.len() == 1 && users[0].0.ends_with("prelude.lua"),
        "only prelude.lua may ask for the time of the server"
    );
}
