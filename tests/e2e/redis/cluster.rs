//! Tests a Redis Cluster of three masters.

use std::process::Stdio;
use std::time::Duration;

use ddrs_common::queue::{QueueClient, Submission};
use ddrs_tests::{ProgramOutput, TestDir, ended, run_to_end, signal};

use super::server::{
    TestServer, ask, assert_undisturbed, coordinator, eventually, free_port, long, run, small,
};

const RANGES: [&str; 3] = ["0 5460", "5461 10922", "10923 16383"];

/// Starts three masters that share the slots and form a cluster.
fn start(dir: &TestDir) -> [TestServer; 3] {
    let nodes = [0, 1, 2].map(|number| {
        let bus = free_port();
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus.to_string(),
        ];
        (
            TestServer::start(&dir.path(&format!("node-{number}")), &options),
            bus,
        )
    });
    for ((node, _), range) in nodes.iter().zip(RANGES) {
        let mut connection = node.connection("");
        let _: () = ask(&mut connection, &format!("CLUSTER ADDSLOTSRANGE {range}")).unwrap();
        for (other, bus) in &nodes {
            let _: () = ask(
                &mut connection,
                &format!("CLUSTER MEET 127.0.0.1 {} {bus}", other.port),
            )
            .unwrap();
        }
    }
    for (node, _) in &nodes {
        eventually("a complete cluster", || {
            let info: String = ask(&mut node.connection(""), "CLUSTER INFO").unwrap();
            (info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3"))
                .then_some(())
        });
    }
    nodes.map(|(node, _)| node)
}

fn id(node: &TestServer) -> String {
    ask(&mut node.connection(""), "CLUSTER MYID").unwrap()
}

/// Returns the index of the node that serves the slot of a key without a redirection.
fn owner(nodes: &[TestServer; 3], key: &str) -> usize {
    nodes
        .iter()
        .position(|node| {
            ask::<redis::Value>(&mut node.connection(""), &format!("EXISTS {key}")).is_ok()
        })
        .unwrap()
}

/// Moves a slot with all its keys, as `redis-cli --cluster reshard` does.
fn migrate(nodes: &[TestServer; 3], from: usize, to: usize, slot: u16) {
    let source = &nodes[from];
    let target = &nodes[to];
    let set = |node: &TestServer, what: &str| {
        let _: () = ask(
            &mut node.connection(""),
            &format!("CLUSTER SETSLOT {slot} {what}"),
        )
        .unwrap();
    };
    set(target, &format!("IMPORTING {}", id(source)));
    set(source, &format!("MIGRATING {}", id(target)));
    let mut connection = source.connection("");
    loop {
        let keys: Vec<String> = ask(
            &mut connection,
            &format!("CLUSTER GETKEYSINSLOT {slot} 100"),
        )
        .unwrap();
        if keys.is_empty() {
            break;
        }
        // The key argument is empty because several keys are moved.
        let mut command = redis::cmd("MIGRATE");
        command
            .arg("127.0.0.1")
            .arg(target.port)
            .arg("")
            .arg(0)
            .arg(5000)
            .arg("KEYS")
            .arg(keys);
        let _: () = command.query(&mut connection).unwrap();
    }
    for node in [target, source] {
        set(node, &format!("NODE {}", id(target)));
    }
}

#[test]
fn a_sweep_runs_through_any_node_of_a_cluster() {
    let dir = small();
    let nodes = start(&dir);
    for (number, node) in nodes.iter().enumerate() {
        let out = format!("through-{number}");
        let url = node.url();
        let _ = run_to_end(&mut run(&dir, &out, &[("DDRS_REDIS", &url)])).expect(0);
        assert_eq!(dir.records(&out).len(), 48);
        let sweeps: Vec<String> = nodes
            .iter()
            .flat_map(|node| ask::<Vec<String>>(&mut node.connection(""), "KEYS *:meta").unwrap())
            .collect();
        let [sweep] = sweeps.as_slice() else {
            panic!("{sweeps:?}")
        };
        let mut owner = nodes[owner(&nodes, sweep)].connection("");
        let tag = sweep.trim_end_matches("meta");
        let keys: Vec<String> = ask(&mut owner, "KEYS *").unwrap();
        for key in keys.iter().filter(|key| key.starts_with(tag)) {
            let _: u32 = ask(&mut owner, &format!("DEL {key}")).unwrap();
        }
        let _ = coordinator(&dir, &["doctor"], &[("DDRS_REDIS", &url)]).expect(0);
    }
    assert_undisturbed(&dir, "through-2");
}

#[test]
fn a_run_continues_while_its_slot_moves_to_another_master() {
    let dir = long();
    let nodes = start(&dir);
    let url = nodes[0].url();
    let running = run(&dir, "moved", &[("DDRS_REDIS", &url)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("records", || (dir.records("moved").len() > 3).then_some(()));
    let sweep = nodes
        .iter()
        .find_map(|node| {
            ask::<Vec<String>>(&mut node.connection(""), "KEYS *:meta")
                .unwrap()
                .pop()
        })
        .unwrap();
    let slot: u16 = ask(
        &mut nodes[0].connection(""),
        &format!("CLUSTER KEYSLOT {sweep}"),
    )
    .unwrap();
    let from = owner(&nodes, &sweep);
    let to = (from + 1) % 3;
    migrate(&nodes, from, to, slot);
    assert!(
        dir.records("moved").len() < 48,
        "the run ended before the slot moved"
    );
    let ended: ProgramOutput = running.wait_with_output().unwrap().into();
    let _ = ended.expect(0);
    assert_eq!(owner(&nodes, &sweep), to);
    assert_undisturbed(&dir, "moved");
}

/// Removes a slot from all nodes. The cluster continues without it.
fn unassign_slot(nodes: &[TestServer; 3], slot: u16) {
    for node in nodes {
        let _: () = ask(
            &mut node.connection(""),
            "CONFIG SET cluster-require-full-coverage no",
        )
        .unwrap();
    }
    // A node assigns the slot again if another node that still has it reports it.
    eventually("a missing slot that all nodes know of", || {
        for node in nodes {
            ask::<()>(
                &mut node.connection(""),
                &format!("CLUSTER DELSLOTS {slot}"),
            )
            .ok();
        }
        let info =
            |node: &TestServer| ask::<String>(&mut node.connection(""), "CLUSTER INFO").unwrap();
        nodes
            .iter()
            .all(|node| info(node).contains("cluster_slots_assigned:16383"))
            .then_some(())
    });
}

#[test]
fn a_slot_without_a_node_stops_only_the_sweep_in_this_slot() {
    let dir = small();
    let text = std::fs::read_to_string(dir.path("sweep.toml")).unwrap();
    dir.write("other.toml", text.replace("seed = 1", "seed = 2"));
    let nodes = start(&dir);
    let url = nodes[0].url();
    let environment = [("DDRS_REDIS", url.as_str())];
    let [lost, healthy] = ["other.toml", "sweep.toml"].map(|spec| {
        coordinator(&dir, &["submit", spec], &environment)
            .expect(0)
            .stdout
            .trim()
            .to_owned()
    });
    let slot: u16 = ask(
        &mut nodes[0].connection(""),
        &format!("CLUSTER KEYSLOT ddrs:{{{lost}}}:meta"),
    )
    .unwrap();
    unassign_slot(&nodes, slot);

    let mut command = dir.worker();
    command
        .args(["run", "--device", "cpu", "--threads", "1"])
        .env("DDRS_REDIS", &url);
    let mut worker = command.spawn().unwrap();
    eventually("the other sweep to be done and shown", || {
        let status = coordinator(&dir, &["status", "--format", "json"], &environment).expect(0);
        assert!(status.stderr.contains(&lost), "{}", status.stderr);
        let sweeps: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        let [sweep] = sweeps.as_array().unwrap().as_slice() else {
            panic!("{sweeps}")
        };
        assert_eq!(sweep["sweep"], healthy);
        (sweep["done"] == 48).then_some(())
    });
    signal("TERM", worker.id());
    assert_eq!(ended(&mut worker).0, 0);

    let doctor = coordinator(&dir, &["doctor"], &environment).expect(2);
    let slots = doctor
        .stdout
        .lines()
        .find(|line| line.contains(" slots "))
        .unwrap();
    assert!(
        slots.starts_with("bad") && slots.contains("1 of the cluster's 16384"),
        "{slots}"
    );

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = QueueClient::connect(&url)
            .await
            .unwrap()
            .with_patience(Duration::ZERO);
        let listed = client.listed().await.unwrap();
        let affected = listed.iter().find(|sweep| sweep.as_str() == lost).unwrap();
        // The sweep is removed from the list, as before its submission. A submission that fails
        // must then leave no sweep that workers would ask for.
        let _: u32 = ask(
            &mut nodes[owner(&nodes, "ddrs:sweeps")].connection(""),
            &format!("SREM ddrs:sweeps {lost}"),
        )
        .unwrap();
        let submission = Submission {
            spec: "",
            jobs: 1,
            samples: 1,
            variants: 1,
            job_samples: 1,
            lease: Duration::from_secs(1),
            max_attempts: 1,
        };
        client
            .sweep(affected)
            .submitter()
            .submit(&submission)
            .await
            .unwrap_err();
        assert!(!client.listed().await.unwrap().contains(affected));
    });
}
