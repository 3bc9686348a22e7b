//! Tests deployments of Redis: users, TLS, clusters, replicas. Every test starts its servers.

mod acl;
mod cluster;
mod doctor;
mod replica;
mod secrets;
mod server;
mod silent;
mod tls;
