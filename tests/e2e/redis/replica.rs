//! A replica that is promoted by hand after its master was killed, and that lacks what the master
//! did last.

use std::process::Stdio;

use ddrs_tests::{run_to_end, signal};

use super::server::{TestServer, ask, assert_undisturbed, eventually, long, run};

#[test]
fn what_a_promoted_replica_lacks_is_done_again_and_no_record_is_lost() {
    let dir = long();
    let mut master = TestServer::start(&dir.path("master"), &[]);
    let replica = TestServer::start(
        &dir.path("replica"),
        &["--replicaof", "127.0.0.1", &master.port.to_string()],
    );
    let mut copy = replica.connection("");
    eventually("a replica in step", || {
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
    // Cut off and promoted here, so all that the master does from now on is lost with it.
    let _: () = ask(&mut copy, "REPLICAOF NO ONE").unwrap();
    let kept = dir.records("out").len();
    eventually("records that the replica never hears of", || {
        (dir.records("out").len() > kept + 3).then_some(())
    });
    master.kill();
    signal("INT", running.id());
    let interrupted = running.wait().unwrap();
    assert!(!interrupted.success());
    let collected = dir.records("out");
    assert!(collected.len() < 48, "it was over before the master died");

    // The operator names the new address.
    let url = replica.url();
    let _ = run_to_end(&mut run(&dir, "out", &[("DDRS_REDIS", &url)])).expect(0);
    let complete = dir.records("out");
    assert!(
        collected
            .iter()
            .all(|(key, record)| complete[key] == *record),
        "a collected record stays as it is"
    );
    assert_undisturbed(&dir, "out");
}
