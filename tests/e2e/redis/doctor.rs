//! `doctor` against servers that are set up wrongly: what is wrong, and what to change.

use super::server::{Server, ask, coordinator, free_port, small};

/// The line of a check, for a server with these options.
fn line(options: &[&str], setup: &[&str], subject: &str, code: i32) -> String {
    let dir = small();
    let server = Server::start(&dir.path("server"), options);
    let mut connection = server.connection("");
    for step in setup {
        let _: redis::Value = ask(&mut connection, step).unwrap();
    }
    let told = coordinator(&dir, &["doctor"], &[("DDRS_REDIS", &server.url())]).expect(code);
    let found = told.stdout.lines().find(|line| line.split_whitespace().nth(1) == Some(subject));
    found.unwrap_or_else(|| panic!("{}", told.stdout)).to_owned()
}

fn assert_says(line: &str, verdict: &str, words: &str) {
    assert!(line.starts_with(verdict) && line.contains(words), "{line}");
}

#[test]
fn a_server_that_forgets_is_told_how_to_remember() {
    assert_says(&line(&["--appendonly", "no"], &[], "persistence", 0), "warning", "appendonly yes");
    assert_says(&line(&["--appendfsync", "no"], &[], "persistence", 0), "warning", "appendfsync everysec");
    assert_says(&line(&[], &[], "persistence", 0), "ok", "append-only file");
}

#[test]
fn a_server_that_evicts_is_told_what_to_set() {
    assert_says(&line(&["--maxmemory-policy", "allkeys-lru"], &[], "redis", 2), "bad", "maxmemory-policy noeviction");
}

#[test]
fn the_clocks_of_one_machine_agree() {
    assert_says(&line(&[], &[], "clock", 0), "ok", "agrees");
}

#[test]
fn a_cluster_with_holes_is_found() {
    let dir = small();
    let bus = free_port().to_string();
    let options = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let server = Server::start(&dir.path("server"), &options);
    let _: () = ask(&mut server.connection(""), "CLUSTER ADDSLOTSRANGE 0 9").unwrap();
    let told = coordinator(&dir, &["doctor"], &[("DDRS_REDIS", &server.url())]).expect(2);
    assert!(told.stdout.contains("bad") && told.stdout.to_lowercase().contains("cluster"), "{}", told.stdout);
}
