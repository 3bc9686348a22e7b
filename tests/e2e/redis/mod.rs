//! Redis as people run it: users, TLS, clusters, replicas. Every test starts its own servers.

mod acl;
mod cluster;
mod doctor;
mod replica;
mod secrets;
mod server;
mod silent;
mod tls;
