//! Fuzzes `records.jsonl`.

use std::fs;

use ddrs_common::domain::{
    Alpha, Certification, Class, Outcome, Probability, Radius, Record, RunnerUp, SampleIndex,
    Sigma, Statement, VariantName,
};
use ddrs_common::record_file::{RecordFile, from_line, read, to_line};
use ddrs_common::terminal::is_unsafe;
use proptest::prelude::*;

use crate::damage::damaged;
use crate::{file, fuzz};

fn kind() -> impl Strategy<Value = Option<Statement>> {
    prop::option::of(prop::sample::select(Statement::ALL.to_vec()))
}

fn runner_up() -> impl Strategy<Value = Option<Class>> {
    prop::option::of(any::<u32>().prop_map(Class))
}

fn certification() -> impl Strategy<Value = Certification> {
    let outcome = prop_oneof![
        Just(Outcome::Abstained),
        (any::<u32>(), 0.0..1e6_f64).prop_map(|(class, radius)| Outcome::Certified {
            class: Class(class),
            radius: Radius::new(radius).unwrap()
        }),
    ];
    let numbers = (
        1e-300..1e300_f64,
        1e-9..1e9_f64,
        0.0..=1.0_f64,
        1e-300..1.0_f64,
    );
    let draws = (any::<u64>(), any::<u64>(), any::<u64>());
    (outcome, kind(), numbers, draws, runner_up()).prop_map(
        |(outcome, kind, (sigma, sigma0, p, alpha), (n0, a, b), other)| Certification {
            outcome,
            statement: kind,
            sigma: Sigma::new(sigma).unwrap(),
            sigma0: Sigma::new(sigma0).unwrap(),
            n0,
            n: a.max(b),
            count: a.min(b),
            p_lower: Probability::new(p).unwrap(),
            off_grid: Radius::new(if n0 % 2 == 0 { 0.0 } else { sigma0 }).unwrap(),
            alpha: Alpha::new(alpha).unwrap(),
            runner_up: other.map(|class| RunnerUp {
                class,
                count: a.abs_diff(b) / 2,
            }),
            p_upper: None,
            level: None,
        },
    )
}

/// Returns a strategy for arbitrary records, with arbitrary names.
pub(crate) fn record() -> impl Strategy<Value = Record> {
    let result = prop_oneof![certification().prop_map(Ok), any::<String>().prop_map(Err)];
    let names = (any::<String>(), any::<String>(), any::<String>());
    (
        names,
        any::<u64>(),
        any::<u32>(),
        result,
        any::<u64>(),
        0.0..1e12_f64,
        any::<u32>(),
    )
        .prop_map(
            |((variant, worker, device), index, label, result, seed, seconds, attempt)| Record {
                variant: VariantName::new(variant),
                index: SampleIndex(index),
                label: Class(label),
                result,
                seed,
                seconds,
                worker,
                attempt,
                device,
            },
        )
}

#[test]
fn every_record_is_read_back_from_its_line_which_has_no_control_characters() {
    fuzz(&record(), |record| {
        let line = to_line(&record);
        prop_assert!(!line.chars().any(is_unsafe), "{line:?}");
        prop_assert_eq!(
            from_line(&line).map_err(|e| TestCaseError::fail(e.to_string()))?,
            record
        );
        Ok(())
    });
}

#[test]
fn damaged_files_are_read_or_refused_at_a_line_and_lose_no_complete_record() {
    let (_dir, path) = file("records.jsonl");
    let cases = prop::collection::vec(record(), 1..5)
        .prop_map(|records| {
            records
                .iter()
                .map(|record| to_line(record) + "\n")
                .collect::<String>()
                .into_bytes()
        })
        .prop_flat_map(damaged);
    fuzz(&cases, |bytes| {
        fs::write(&path, &bytes).unwrap();
        match read(&path) {
            Err(error) => {
                let start = format!("{}, line ", path.display());
                prop_assert!(error.to_string().starts_with(&start), "{error}");
                prop_assert!(RecordFile::open(&path).is_err());
                prop_assert_eq!(
                    fs::read(&path).unwrap(),
                    bytes,
                    "a file that is refused must not change"
                );
            }
            Ok(records) => {
                let opened =
                    RecordFile::open(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert_eq!(&opened.lines, &records);
                drop(opened);
                // A repaired file needs no second repair.
                let again =
                    RecordFile::open(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert!(again.repair.is_none() && again.lines == records);
            }
        }
        Ok(())
    });
}

#[test]
fn no_line_makes_the_reader_panic() {
    fuzz(&"[\\[\\]{}\":,.0-9a-z_ \u{0}é\\\\-]{0,120}", |line| {
        let _ = from_line(&line);
        Ok(())
    });
}
