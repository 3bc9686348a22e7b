//! One table in every format.
#![allow(clippy::unwrap_used)]

mod folder;
mod formats;
mod settings;
mod statements;

use ddrs_common::domain::{Alpha, Choice, Class, Radius, SampleIndex, Sigma};

use super::*;
use crate::aggregate::{Entry, EntryOutcome, RowSettings, TableRow};

fn settings() -> RowSettings {
    RowSettings {
        n0: Some(100),
        n: Some(10_000),
        stopping: None,
        bound: None,
        alpha: Some(Alpha::new(0.001).unwrap()),
        seed: Some(7),
        sigma0: Some(Sigma::new(0.25).unwrap()),
        choice: Some(Choice::Fixed),
        precision: Some("fp32".into()),
        expected: Some(3),
    }
}

/// Two certified samples, one for the wrong class, and an abstention.
fn entries() -> Vec<Entry> {
    let certified = |class, radius| EntryOutcome::Certified {
        class: Class(class),
        radius: Radius::new(radius).unwrap(),
    };
    let results = [
        (certified(1, 1.996), 0.25),
        (certified(2, 0.5), 0.125),
        (EntryOutcome::Abstained, 0.5),
    ];
    results
        .into_iter()
        .zip(0..)
        .map(|((result, sigma), place)| Entry {
            index: SampleIndex(place * 20),
            label: Class(1),
            result,
            sigma: Some(Sigma::new(sigma).unwrap()),
        })
        .collect()
}

fn table_of(variant: &str) -> Table {
    let radii = "0:2:0.5".parse().unwrap();
    let row = |memory| TableRow::count(variant, memory, &entries(), &radii, settings());
    Table {
        title: "cifar10-resnet20".into(),
        rows: vec![row(false), row(true)],
        radii: radii.clone(),
    }
}

fn table() -> Table {
    table_of("r20/fixed/0.25")
}
