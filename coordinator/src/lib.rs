//! The coordinator: plans sweeps, keeps their queue and turns records into tables.
