//! Tests the shipped access list: it permits everything that the programs do, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ddrs_tests::{TestDir, run_to_end};
use sha2::{Digest, Sha256};

use super::server::{TestServer, ask, assert_undisturbed, coordinator, run, small};

const PASSWORD: &str = "the-test-password";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn shipped() -> String {
    let digest = format!("{:x}", Sha256::digest(PASSWORD));
    let text = fs::read_to_string(repository("deploy/redis/users.acl")).unwrap();
    text.replace("PASSWORD-SHA256", &digest)
        .replace("ADMIN-SHA256", &digest)
}

fn start(dir: &TestDir, users: &str) -> TestServer {
    let file = dir.write("users.acl", users);
    TestServer::start(&dir.path("server"), &["--aclfile", file.to_str().unwrap()])
}

fn login(server: &TestServer) -> [(&'static str, String); 3] {
    [
        ("DDRS_REDIS", server.url()),
        ("DDRS_REDIS_USER", "ddrs".to_owned()),
        ("DDRS_REDIS_PASSWORD", PASSWORD.to_owned()),
    ]
}

#[test]
fn every_program_runs_as_the_user_of_the_shipped_access_list_without_a_refusal() {
    let dir = small();
    let server = start(&dir, &shipped());
    let login = login(&server);
    let login: Vec<(&str, &str)> = login
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let doctor = coordinator(&dir, &["doctor", "sweep.toml"], &login)
        .expect(0)
        .stdout;
    assert_eq!(
        doctor.matches("not permitted to read").count(),
        2,
        "{doctor}"
    );
    let submitted = coordinator(&dir, &["submit", "sweep.toml"], &login).expect(0);
    let sweep = submitted.stdout.trim();
    let worker = ["run", "--exit-when-idle", "--device", "cpu"];
    let _ = run_to_end(dir.worker().args(worker).envs(login.iter().copied())).expect(0);
    let _ = coordinator(&dir, &["status"], &login).expect(0);
    let _ = coordinator(&dir, &["collect", sweep, "--out", "collected"], &login).expect(0);
    let _ = coordinator(&dir, &["why", sweep, "plane/fixed/0.5", "4"], &login).expect(0);
    for command in ["cancel", "retry"] {
        let _ = coordinator(&dir, &[command, sweep], &login).expect(0);
    }
    assert_undisturbed(&dir, "collected");
    let mut admin = server.connection(&format!("admin:{PASSWORD}@"));
    let _: () = ask(&mut admin, "FLUSHALL").unwrap();
    let _ = run_to_end(&mut run(&dir, "run", &login)).expect(0);
    assert_undisturbed(&dir, "run");
    let refused: Vec<redis::Value> = ask(&mut admin, "ACL LOG").unwrap();
    assert_eq!(
        refused,
        [],
        "no program may try a command that is not permitted"
    );
}

#[test]
fn the_user_of_the_shipped_access_list_is_refused_everything_else() {
    let dir = small();
    let server = start(&dir, &shipped());
    let mut user = server.connection(&format!("ddrs:{PASSWORD}@"));
    let _: () = ask(&mut user, "SET ddrs:key value").unwrap();
    for line in [
        "GET other",
        "SET other value",
        "KEYS *",
        "SCAN 0",
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG SET maxmemory 1",
        "CONFIG GET requirepass",
        "ACL LIST",
        "SCRIPT FLUSH",
        "SHUTDOWN NOSAVE",
        "REPLICAOF NO ONE",
        "SAVE",
        "MONITOR",
        "PUBLISH channel word",
        "RENAME ddrs:key ddrs:other",
    ] {
        let error = ask::<redis::Value>(&mut user, line).unwrap_err();
        assert_eq!(error.code(), Some("NOPERM"), "{line}: {error}");
    }
    // A script has only the permissions of its user.
    for script in [
        "return redis.call('FLUSHALL')",
        "return redis.call('GET', 'other')",
    ] {
        let sha: String = redis::cmd("SCRIPT")
            .arg("LOAD")
            .arg(script)
            .query(&mut user)
            .unwrap();
        let error = redis::cmd("EVALSHA")
            .arg(sha)
            .arg(0)
            .query::<redis::Value>(&mut user)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("The user executing the script can't"),
            "{script}: {error}"
        );
    }
    assert!(
        redis::Client::open(server.url())
            .unwrap()
            .get_connection()
            .and_then(|mut anonymous| ask::<String>(&mut anonymous, "PING"))
            .is_err()
    );
}

#[test]
fn the_access_list_grants_what_the_scripts_call() {
    let mut called = BTreeSet::new();
    for entry in fs::read_dir(repository("common/src/queue/lua")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        called.extend(
            text.split("call('")
                .skip(1)
                .map(|rest| rest.split('\'').next().unwrap().to_lowercase()),
        );
    }
    let list = shipped();
    let user = list
        .lines()
        .find(|line| line.starts_with("user ddrs "))
        .unwrap();
    let granted: BTreeSet<&str> = user
        .split(' ')
        .filter_map(|word| word.strip_prefix('+'))
        .collect();
    assert!(called.len() > 20, "{called:?}");
    let missing: Vec<&String> = called
        .iter()
        .filter(|command| !granted.contains(command.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn doctor_names_the_missing_permissions_of_a_user() {
    let dir = small();
    let server = start(&dir, &shipped().replace(" +zadd", ""));
    let login = login(&server);
    let login: Vec<(&str, &str)> = login
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let doctor = coordinator(&dir, &["doctor"], &login).expect(2);
    let line = doctor
        .stdout
        .lines()
        .find(|line| line.contains("permissions"))
        .unwrap();
    assert!(
        line.starts_with("bad") && line.contains("users.acl"),
        "{line}"
    );
}
