//! Tests a replica that is promoted by hand after its master was killed and that lacks the last
//! writes of the master.

use std::process::Stdio;

use ddrs_tests::{run_to_end, signal};

use super::server::{TestServer, ask, assert_undisturbed, eventually, long, run};

#[test]
fn work_that_a_promoted_replica_lacks_is_repeated_and_no_record_is_lost() {
    let dir = long();
    let mut master = TestServer::start(&dir.path("master"), &[]);
    let replica = TestServer::start(
        &dir.path("replica"),
        &["--replicaof", "127.0.0.1", &master.port.to_string()],
    );
    let mut copy = replica.connection("");
    eventually("a replica that is synchronised", || {
        let info: String = ask(&mut copy, "INFO replication").unwrap();
        info.contains("master_link_status:up").then_some(())
    });
    let url = master.url();
    let mut running = run(&dir, "out", &[("DDRS_REDIS", &url)])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("records", || (dir.records("out").len() > 3).then_some(()));
    eventually("a replica that knows the sweep", || {
        let keys: Vec<String> = ask(&mut copy, "KEYS *:meta").unwrap();
        (!keys.is_empty()).then_some(())
    });
    // The replica is disconnected and promoted here. All later writes of the master are lost.
    let _: () = ask(&mut copy, "REPLICAOF NO ONE").unwrap();
    let kept = dir.records("out").len();
    eventually("records that the replica does not receive", || {
        (dir.records("out").len() > kept + 3).then_some(())
    });
    master.kill();
    signal("INT", running.id());
    let interrupted = running.wait().unwrap();
    assert!(!interrupted.success());
    let collected = dir.records("out");
    assert!(
        collected.len() < 48,
        "the run ended before the master was killed"
    );

    // The operator gives the new address.
    let url = replica.url();
    let _ = run_to_end(&mut run(&dir, "out", &[("DDRS_REDIS", &url)])).expect(0);
    let complete = dir.records("out");
    assert!(
        collected
            .iter()
            .all(|(key, record)| complete[key] == *record),
        "a collected record must not change"
    );
    assert_undisturbed(&dir, "out");
}
