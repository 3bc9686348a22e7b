//! Whose clock counts: the server's. A worker's may be an hour off.

use std::fs;
use std::path::Path;

/// Everything that the queue is made of, by path.
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
fn no_script_is_given_a_time_since_nothing_of_the_queue_reads_a_clock_that_could_be_wrong() {
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
    let asking: Vec<_> = sources
        .iter()
        .filter(|(_, text)| text.contains("call('TIME')"))
        .collect();
    assert!(
        asking.len() == 1 && asking[0].0.ends_with("prelude.lua"),
        "one place asks, and it asks the server"
    );
}
