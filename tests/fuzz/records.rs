//! Fuzzes `records.jsonl`.

use std::fs;

use ddrs_common::certify::SelectedRules;
use ddrs_common::domain::{
    Alpha, Certification, Class, LevelBound, LevelSelection, Outcome, Probability, Radius, Record,
    RunnerUp, SampleIndex, SelectionCounts, Sigma, Statement, VariantName,
};
use ddrs_common::grid::{Grid, GridLoss};
use ddrs_common::record_file::{RecordFile, from_line, read, to_line};
use ddrs_common::spec::parse;
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
            n0_counts: (a % 2 == 0).then_some(SelectionCounts {
                guess: n0 - n0 / 3,
                runner_up: n0 / 4,
            }),
            level: None,
        },
    )
}

fn probability() -> impl Strategy<Value = Probability> {
    (0.0..=1.0_f64).prop_map(|p| Probability::new(p).unwrap())
}

/// The draws of a selector whose counts add up to a number, mostly one that a sweep may draw.
fn selection() -> impl Strategy<Value = LevelSelection> {
    let counts = prop_oneof![
        (0..=1_000_u64).prop_map(|count| vec![count, 1_000 - count]),
        (0..=600_u64, 0..=400_u64).prop_map(|(a, b)| vec![a, b, 1_000 - a - b]),
        prop::collection::vec(0..=u64::MAX / 4, 0..4),
    ];
    let others = prop::collection::vec(level_bound(), 0..3);
    let n0 = (any::<u64>(), prop::option::of(any::<u64>()));
    (0..4_u32, n0, counts, probability(), others).prop_map(
        |(level, (n0, n0_count), counts, p_lower, others)| LevelSelection {
            level,
            n0,
            n0_count,
            counts,
            p_lower,
            others,
        },
    )
}

fn level_bound() -> impl Strategy<Value = LevelBound> {
    let draws = prop_oneof![
        (0..=1_000_u64).prop_map(|count| (count, 1_000)),
        (any::<u64>(), any::<u64>()),
    ];
    let n0_count = prop::option::of(0..200_u64);
    (0..4_u32, n0_count, draws, probability()).prop_map(|(level, n0_count, (a, b), p_lower)| {
        LevelBound {
            level,
            n0_count,
            n: a.max(b),
            count: a.min(b),
            p_lower,
        }
    })
}

/// Certifications with all fields that some have.
fn whole_certification() -> impl Strategy<Value = Certification> {
    let more = (
        prop::option::of(probability()),
        prop::option::of(selection()),
    );
    (certification(), more).prop_map(|(certification, (p_upper, level))| Certification {
        p_upper,
        level: level.map(Box::new),
        ..certification
    })
}

/// Returns a strategy for arbitrary records, with arbitrary names.
pub(crate) fn record() -> impl Strategy<Value = Record> {
    let result = prop_oneof![
        whole_certification().prop_map(Ok),
        any::<String>().prop_map(Err)
    ];
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

/// The rules of a sweep with this number of levels, at n = 1,000.
fn rules(form: &str, levels: u32, stopping: &str) -> SelectedRules {
    let sigmas = (1..=levels).map(|level| format!("{{ sigma = 0.{level}, model = 'm' }},"));
    let text = format!(
        "name = 's'\nseed = 1\n[dataset]\nformat = 'cifar10'\npath = 'd'\n\
         [[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 10\n\
         [smoothing]\nchoice = ['selected']\n\
         [smoothing.selected]\ntau = 0.5\nform = '{form}'\nlevels = [{}]\n\
         [smoothing.selected.selector]\nname = 'h'\npath = 'h.pt'\nclasses = {levels}\n\
         [certify]\nn0 = 100\nn = 1000\nalpha = 0.001\n\
         stopping = {stopping}\n",
        sigmas.collect::<String>()
    );
    let sweep = parse(&text, "s.toml".as_ref()).unwrap();
    let selected = sweep.smoothing.selected.unwrap();
    SelectedRules::new(
        &sweep.certify,
        &selected,
        GridLoss::new(Grid::BYTES, [3, 32, 32]),
    )
}

#[test]
fn no_forged_selection_makes_the_check_panic_or_raises_the_radius_of_its_level() {
    let fixed = "'fixed'";
    let all = [
        rules("simple", 2, fixed),
        rules("strong", 2, "{ loss = 0.1 }"),
        rules("strong", 3, fixed),
    ];
    fuzz(&(selection(), 0.0..2.0_f64), |(claimed, radius)| {
        let at_level = Radius::new(radius).unwrap();
        for rules in &all {
            let Some(again) = rules.check_selection(&claimed) else {
                continue;
            };
            let _ = rules.draws_levels(&again, Some(at_level));
            let _ = rules.needs_no_expert(&again);
            let _ = rules.follows_pilots(&again);
            prop_assert!(rules.radius(&again, at_level) <= Some(at_level));
        }
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
