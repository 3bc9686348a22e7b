//! Fuzzes the message that describes a sweep in Redis.

use std::path::Path;

use ddrs_common::grid::{DataFacts, Grid, ImageFacts};
use ddrs_common::sweep_message::SweepMessage;
use proptest::prelude::*;

use crate::damage::damaged_text;
use crate::fuzz;
use crate::spec::WHOLE;

fn message(spec: &str, len: u64, digest: [u8; 32]) -> SweepMessage {
    SweepMessage::new(
        Path::new("/sweeps/a.toml"),
        spec,
        &DataFacts {
            len,
            digest,
            images: ImageFacts {
                shape: [3, 32, 32],
                grid: Grid::BYTES,
            },
        },
        &[digest; 2],
    )
    .unwrap()
}

#[test]
fn a_written_message_is_read_back_unchanged() {
    fuzz(
        &(any::<u64>(), any::<[u8; 32]>(), 0..i64::MAX),
        |(len, digest, seed)| {
            let message = message(
                &WHOLE.replace("seed = 1", &format!("seed = {seed}")),
                len,
                digest,
            );
            let read = SweepMessage::from_json(&message.to_json())
                .map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(&read, &message);
            // A plan for any claimed length must be either consistent or refused.
            if let Ok(plan) = read.plan() {
                prop_assert!(
                    plan.samples() <= len && plan.job(ddrs_common::domain::JobId(0)).is_some()
                );
            }
            Ok(())
        },
    );
}

#[test]
fn a_damaged_message_is_refused_or_still_matches_its_id() {
    let whole = message(WHOLE, 10_000, [7; 32]);
    fuzz(&damaged_text(&whole.to_json()), |text| {
        match SweepMessage::from_json(&text) {
            Ok(read) => {
                prop_assert_eq!(&read.id, &whole.id);
                let _ = read.plan();
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
        Ok(())
    });
}

#[test]
fn other_documents_are_refused() {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        any::<bool>().prop_map(Into::into),
    ];
    let key = prop_oneof![
        Just("protocol"),
        Just("id"),
        Just("spec"),
        Just("dataset_len"),
        Just("model_digests")
    ];
    let document = leaf.prop_recursive(3, 20, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    fuzz(&document, |document| {
        prop_assert!(SweepMessage::from_json(&document.to_string()).is_err());
        Ok(())
    });
    assert!(SweepMessage::from_json(&"[".repeat(1_000_000)).is_err());
}
