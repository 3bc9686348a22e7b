//! Random values in the fields of a record.

use ddrs_common::domain::LevelBound;
use ddrs_common::record_file::{from_line, to_line};
use proptest::prelude::*;
use serde_json::json;

use super::selected::{of_level, selected_sweep};
use super::selection_phase::of_two_classes;
use super::*;

/// Values that a forged field may have.
fn forged_number() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        prop::sample::select(vec![0, 1, 2, 100, 1_000, 1 << 53, u64::MAX]).prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        (0.0..=1.0_f64).prop_map(|p| json!(p)),
        any::<f64>().prop_map(|number| json!(number)),
        prop::collection::vec(any::<u64>(), 0..4).prop_map(|counts| json!(counts)),
    ]
}

proptest! {
    #[test]
    fn no_forged_field_makes_the_check_panic(
        forgeries in prop::collection::vec((any::<prop::sample::Index>(), forged_number()), 1..4),
        strong in any::<bool>(),
        is_selected in any::<bool>(),
    ) {
        const FIELDS: [&str; 22] = [
            "/index", "/label", "/prediction", "/radius", "/sigma", "/sigma0", "/n0", "/n",
            "/count", "/p_lower", "/alpha", "/runner_up", "/runner_up_count", "/seconds",
            "/n0_count", "/n0_runner_up_count",
            "/selector/level", "/selector/n0", "/selector/counts", "/selector/counts/0",
            "/selector/others/0/count", "/selector/others/0/n",
        ];
        let sweep = if is_selected {
            selected_sweep(if strong { "strong" } else { "simple" })
        } else {
            sweep("{ radii = [0, 0.5] }\n        bound = 'two-class'")
        };
        let record = if is_selected {
            let other = LevelBound {
                level: 1,
                n0_count: None,
                n: 1_000,
                count: 990,
                p_lower: Probability::ZERO,
            };
            of_level(&sweep, [700, 300], 998, vec![other])
        } else {
            of_two_classes(&sweep, 4_700, 3_000)
        };
        let mut line: serde_json::Value = serde_json::from_str(&to_line(&record)).unwrap();
        for (place, value) in forgeries {
            if let Some(field) = line.pointer_mut(FIELDS[place.index(FIELDS.len())]) {
                *field = value;
            }
        }
        if let Ok(record) = from_line(&line.to_string()) {
            let _ = rules(&sweep).check(&record);
        }
    }
}
