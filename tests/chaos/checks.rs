//! Compares the files that a case leaves with those of an undisturbed run.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;

use crate::{HalfSpaceSweep, TestDir};

/// The records and reports of an undisturbed run.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    /// The lines of `records.jsonl`, without time, worker, attempt and device, sorted.
    pub records: Vec<String>,
    /// The files of `report/`: tables and curves unchanged, logs without their column of times.
    pub report: BTreeMap<String, Vec<u8>>,
}

type ReferenceCache = HashMap<String, Arc<Reference>>;
static REFERENCES: LazyLock<Mutex<ReferenceCache>> = LazyLock::new(Mutex::default);

/// Returns the result of an undisturbed run of a sweep. Each sweep runs once per process; later
/// calls return the stored result.
///
/// # Panics
/// Panics if the run fails.
#[must_use]
pub fn reference(spec: &HalfSpaceSweep) -> Arc<Reference> {
    // The settings of the queue do not influence records.
    let key = format!(
        "{:?}",
        HalfSpaceSweep {
            job_samples: 1,
            lease: 1,
            ..spec.clone()
        }
    );
    let mut known = REFERENCES
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let entry = known.entry(key).or_insert_with(|| {
        let dir = TestDir::new();
        let spec = dir.half_space(spec);
        let _ = dir.run(&spec, "out", 1).expect(0);
        Arc::new(Reference::read(&dir.path("out")))
    });
    Arc::clone(entry)
}

/// Checks that a run folder holds one record per sample, and the same records and tables as an
/// undisturbed run. Returns the number of samples.
///
/// # Panics
/// Panics if a record or table is missing or differs.
pub fn check_records(out: &Path, expected: &Reference) -> u64 {
    let found = Reference::read(out);
    let lost: Vec<_> = expected
        .records
        .iter()
        .filter(|record| !found.records.contains(record))
        .collect();
    assert!(
        lost.is_empty(),
        "{} records are missing or changed; the first is {}",
        lost.len(),
        lost[0]
    );
    assert_eq!(
        found.records.len(),
        expected.records.len(),
        "every sample must have exactly one record"
    );
    for (name, content) in &expected.report {
        let same = found.report.get(name) == Some(content);
        assert!(
            same,
            "report/{name} differs from the one of an undisturbed run"
        );
    }
    found.records.len() as u64
}

impl Reference {
    fn read(out: &Path) -> Self {
        let text = fs::read_to_string(out.join("records.jsonl")).expect("records");
        let mut records: Vec<String> = text.lines().map(without_run_fields).collect();
        records.sort();
        let mut report = BTreeMap::new();
        for entry in fs::read_dir(out.join("report")).expect("reports").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let content = fs::read(entry.path()).expect("a report");
            match entry
                .path()
                .extension()
                .and_then(|extension| extension.to_str())
            {
                Some("tsv") => report.insert(name, without_last_column(&content)),
                // The page contains folder names and times.
                Some("html") => None,
                _ => report.insert(name, content),
            };
        }
        Self { records, report }
    }
}

fn without_run_fields(line: &str) -> String {
    let mut record: Value = serde_json::from_str(line).expect("a line of JSON");
    let fields = record.as_object_mut().expect("an object");
    for key in ["seconds", "worker", "attempt", "device"] {
        fields.remove(key);
    }
    record.to_string()
}

fn without_last_column(log: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(log);
    let lines = text
        .lines()
        .map(|line| line.rsplit_once('\t').map_or(line, |(rest, _)| rest));
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}
