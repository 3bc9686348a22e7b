//! Runs the short version of every chaos case, with a fixed seed.

use ddrs_tests::chaos::{CASES, Size};

/// The seed of the schedule in every test run.
const SEED: u64 = 1;

fn check(name: &str) {
    let case = CASES
        .iter()
        .find(|case| case.name == name)
        .expect("a case of that name");
    let report = case.run(Size::Short, SEED);
    eprintln!("{report}");
    assert!(report.failure.is_none(), "{report}");
}

#[test]
fn killed_workers_cost_nothing_but_time() {
    check("worker-kills");
}

#[test]
fn a_worker_that_outlived_its_lease_writes_nothing() {
    check("zombies");
}

#[test]
fn a_redis_that_crashes_loses_no_record_permanently() {
    check("redis-crashes");
}

#[test]
fn a_coordinator_killed_while_it_collects_loses_nothing() {
    check("collection");
}

#[test]
fn a_torn_last_line_costs_only_its_own_sample() {
    check("torn-line");
}

#[test]
fn a_full_disk_is_reported_and_writing_resumes_when_there_is_room() {
    check("full-disk");
}

#[test]
fn a_connection_that_is_cut_is_opened_again() {
    check("network-cut");
}

#[test]
fn a_connection_that_stops_answering_is_closed_and_opened_again() {
    check("network-half-open");
}

#[test]
fn a_slow_network_causes_nothing_but_delays() {
    check("network-latency");
}

#[test]
fn a_request_whose_answer_is_lost_is_repeated_without_harm() {
    check("network-reset");
}

#[test]
fn a_redis_that_hangs_is_waited_for() {
    check("network-hang");
}

#[test]
fn leases_outlive_a_redis_without_memory() {
    check("memory-full");
}

#[test]
fn a_redis_that_evicts_is_refused_with_the_setting_to_change() {
    check("memory-eviction");
}

#[test]
fn forgotten_scripts_are_sent_again() {
    check("script-flush");
}

#[test]
fn a_workers_clock_does_not_matter() {
    check("clocks");
}

#[test]
fn many_expired_leases_are_requeued_without_blocking_other_clients() {
    check("crowd");
}
