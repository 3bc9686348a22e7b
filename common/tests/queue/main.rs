//! Tests the queue with a real redis-server that each test starts.

#![allow(clippy::unwrap_used)]

mod support;

mod bad_machines;
mod clocks;
mod collecting;
mod ending;
mod isolating;
mod large;
mod latency;
mod leases;
mod model;
mod outages;
mod private_server;
mod submitting;
mod working;
