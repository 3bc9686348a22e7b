//! The coordinator: plans sweeps, keeps their queue and turns records into tables.
//!
//! In reading order:
//! - [`log_file`]: certification logs in the field's own format
//! - [`aggregate`]: results of samples to the numbers of a table
//! - [`report`]: the table in every format, and the files of a report

pub mod aggregate;
pub mod log_file;
pub mod report;
