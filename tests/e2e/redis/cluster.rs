//! A Redis Cluster of three masters.

use std::process::Stdio;

use ddrs_tests::{Ended, TestDir, end};

use super::server::{Server, ask, assert_undisturbed, coordinator, eventually, free_port, long, run, small};

const RANGES: [&str; 3] = ["0 5460", "5461 10922", "10923 16383"];

/// Three masters that share the slots and know each other.
fn start(dir: &TestDir) -> [Server; 3] {
    let nodes = [0, 1, 2].map(|number| {
        let bus = free_port();
        let options = ["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()];
        (Server::start(&dir.path(&format!("node-{number}")), &options), bus)
    });
    for ((node, _), range) in nodes.iter().zip(RANGES) {
        let mut connection = node.connection("");
        let _: () = ask(&mut connection, &format!("CLUSTER ADDSLOTSRANGE {range}")).unwrap();
        for (other, bus) in &nodes {
            let _: () = ask(&mut connection, &format!("CLUSTER MEET 127.0.0.1 {} {bus}", other.port)).unwrap();
        }
    }
    for (node, _) in &nodes {
        eventually("a whole cluster", || {
            let info: String = ask(&mut node.connection(""), "CLUSTER INFO").unwrap();
            (info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")).then_some(())
        });
    }
    nodes.map(|(node, _)| node)
}

fn id(node: &Server) -> String {
    ask(&mut node.connection(""), "CLUSTER MYID").unwrap()
}

/// The node that has a slot: the one that does not send elsewhere.
fn owner(nodes: &[Server; 3], key: &str) -> usize {
    nodes
        .iter()
        .position(|node| ask::<redis::Value>(&mut node.connection(""), &format!("EXISTS {key}")).is_ok())
        .unwrap()
}

/// Moves a slot with all its keys, as `redis-cli --cluster reshard` does.
fn migrate(nodes: &[Server; 3], from: usize, to: usize, slot: u16) {
    let (source, target) = (&nodes[from], &nodes[to]);
    let set = |node: &Server, what: &str| {
        let _: () = ask(&mut node.connection(""), &format!("CLUSTER SETSLOT {slot} {what}")).unwrap();
    };
    set(target, &format!("IMPORTING {}", id(source)));
    set(source, &format!("MIGRATING {}", id(target)));
    let mut connection = source.connection("");
    loop {
        let keys: Vec<String> = ask(&mut connection, &format!("CLUSTER GETKEYSINSLOT {slot} 100")).unwrap();
        if keys.is_empty() {
            break;
        }
        // An empty word stands for the one key that is moved; here there are several.
        let mut command = redis::cmd("MIGRATE");
        command.arg("127.0.0.1").arg(target.port).arg("").arg(0).arg(5000).arg("KEYS").arg(keys);
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
        let _ = end(&mut run(&dir, &out, &[("DDRS_REDIS", &url)])).expect(0);
        assert_eq!(dir.records(&out).len(), 48);
        let sweeps: Vec<String> = nodes
            .iter()
            .flat_map(|node| ask::<Vec<String>>(&mut node.connection(""), "KEYS *:meta").unwrap())
            .collect();
        let [sweep] = sweeps.as_slice() else { panic!("{sweeps:?}") };
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
fn a_run_goes_on_while_its_slot_moves_to_another_master() {
    let dir = long();
    let nodes = start(&dir);
    let url = nodes[0].url();
    let running =
        run(&dir, "moved", &[("DDRS_REDIS", &url)]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("records", || (dir.records("moved").len() > 3).then_some(()));
    let sweep = nodes
        .iter()
        .find_map(|node| ask::<Vec<String>>(&mut node.connection(""), "KEYS *:meta").unwrap().pop())
        .unwrap();
    let slot: u16 = ask(&mut nodes[0].connection(""), &format!("CLUSTER KEYSLOT {sweep}")).unwrap();
    let from = owner(&nodes, &sweep);
    let to = (from + 1) % 3;
    migrate(&nodes, from, to, slot);
    assert!(dir.records("moved").len() < 48, "it was over before the slot moved");
    let ended: Ended = running.wait_with_output().unwrap().into();
    let _ = ended.expect(0);
    assert_eq!(owner(&nodes, &sweep), to);
    assert_undisturbed(&dir, "moved");
}
