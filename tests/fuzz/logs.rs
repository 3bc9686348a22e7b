//! Fuzzes published certification logs.

use std::fs;
use std::path::Path;

use ddrs_common::domain::{Class, Radius, SampleIndex, Sigma};
use ddrs_coordinator::log_file::{LogLine, parse, read, write};
use ddrs_coordinator::{Entry, EntryOutcome};
use proptest::prelude::*;

use crate::damage::damaged;
use crate::{file, fuzz};

fn line() -> impl Strategy<Value = LogLine> {
    let result = prop_oneof![
        Just(EntryOutcome::Abstained),
        (any::<u32>(), 0.0..1e6_f64).prop_map(|(class, radius)| EntryOutcome::Certified {
            class: Class(class),
            radius: Radius::new(radius).unwrap()
        }),
    ];
    (
        any::<u32>(),
        any::<u32>(),
        result,
        1e-6..1e6_f64,
        0.0..1e6_f64,
    )
        .prop_map(|(index, label, result, sigma, seconds)| LogLine {
            entry: Entry {
                index: SampleIndex(index.into()),
                label: Class(label),
                result,
                sigma: Some(Sigma::new(sigma).unwrap()),
            },
            seconds: Some(seconds),
        })
}

fn log() -> impl Strategy<Value = Vec<LogLine>> {
    prop::collection::vec(line(), 0..6).prop_map(|mut lines| {
        lines.sort_by_key(|line| line.entry.index);
        lines.dedup_by_key(|line| line.entry.index);
        lines
    })
}

#[test]
fn a_written_log_is_read_back_unchanged() {
    fuzz(&log(), |lines| {
        let read = parse(&write(&lines), Path::new("a.tsv"))
            .map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(read.len(), lines.len());
        for (read, line) in read.iter().zip(&lines) {
            prop_assert_eq!(read.entry, line.entry);
            let difference = (read.seconds.unwrap() - line.seconds.unwrap()).abs();
            prop_assert!(difference < 1e-6, "{difference}");
        }
        Ok(())
    });
}

#[test]
fn damaged_logs_are_read_or_refused_at_a_line() {
    let (_dir, path) = file("a.tsv");
    fuzz(
        &log().prop_flat_map(|lines| damaged(write(&lines).into_bytes())),
        |bytes| {
            fs::write(&path, &bytes).unwrap();
            let lines = bytes.split(|&byte| byte == b'\n').count();
            if let Err(error) = read(&path) {
                let error = error.to_string();
                let rest = error.strip_prefix(&path.display().to_string());
                let number = rest.and_then(|rest| {
                    rest.strip_prefix(", line ")?
                        .split_once(':')?
                        .0
                        .parse::<usize>()
                        .ok()
                });
                let not_utf8 = rest.is_some_and(|rest| rest.contains("it is not UTF-8"));
                prop_assert!(
                    not_utf8 || number.is_some_and(|number| (1..=lines).contains(&number)),
                    "{error}"
                );
            }
            Ok(())
        },
    );
}

#[test]
fn any_table_between_tabs_is_read_or_refused() {
    let cell = prop_oneof![
        Just("idx".to_owned()),
        Just("label".to_owned()),
        Just("predict".to_owned()),
        Just("radius".to_owned()),
        Just("-1".to_owned()),
        Just("0.0".to_owned()),
        "[0-9:.,e+ -]{0,12}",
        "nan|inf|True|1 day, 0:00:01|\\PC{0,6}",
    ];
    let row = prop::collection::vec(cell, 0..8).prop_map(|cells| cells.join("\t"));
    fuzz(&prop::collection::vec(row, 0..6), |rows| {
        let _ = parse(
            &format!(
                "idx\tlabel\tpredict\tradius\tsigma\ttime\n{}",
                rows.join("\n")
            ),
            Path::new("a.tsv"),
        );
        let _ = parse(&rows.join("\n"), Path::new("a.tsv"));
        Ok(())
    });
}
