//! Exact comparison of doubles with the decimals of a golden file, for tests.

use std::cmp::Ordering;

use serde::Deserialize;

use crate::domain::Alpha;

/// Compares a double with a number written in plain decimal digits. The comparison is exact: a
/// double has a finite expansion, which 1,100 decimals always hold.
pub(super) fn compare(double: f64, decimal: &str) -> Ordering {
    let negative = decimal.starts_with('-');
    let digits = decimal.trim_start_matches('-');
    assert!(
        digits.bytes().all(|b| b.is_ascii_digit() || b == b'.'),
        "{decimal} is not plain"
    );
    if double.is_sign_negative() != negative && double != 0.0 {
        return if negative {
            Ordering::Greater
        } else {
            Ordering::Less
        };
    }
    let exact = format!("{:.1100}", double.abs());
    let magnitudes = aligned(&exact).cmp(&aligned(digits));
    if negative {
        magnitudes.reverse()
    } else {
        magnitudes
    }
}

/// The digits with the point at a fixed place, so that they compare as text.
fn aligned(digits: &str) -> String {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    format!("{whole:0>400}.{fraction:0<1100}")
}

/// A row of `clopper_pearson.json`.
#[derive(Debug, Deserialize)]
pub(super) struct GoldenBound {
    pub(super) k: u64,
    pub(super) n: u64,
    pub(super) alpha: String,
    /// The exact bound.
    pub(super) p_lower: String,
    /// The standard normal quantile of the exact bound; `None` for a bound of 0.
    pub(super) quantile: Option<String>,
}

impl GoldenBound {
    /// The double nearest to the decimal alpha.
    pub(super) fn alpha(&self) -> Alpha {
        Alpha::new(self.alpha.parse().expect("a number")).expect("an alpha")
    }
}

/// The rows of `tests/golden/clopper_pearson.json`.
pub(super) fn golden_bounds() -> Vec<GoldenBound> {
    let rows = crate::golden::json("clopper_pearson.json")["rows"].take();
    let rows: Vec<GoldenBound> = serde_json::from_value(rows).expect("rows of bounds");
    assert!(rows.len() >= 100, "{} rows", rows.len());
    rows
}

#[test]
fn a_double_differs_from_the_decimal_it_was_read_from() {
    assert_eq!(compare(0.5, "0.5"), Ordering::Equal);
    assert_eq!(compare(0.001, "0.001"), Ordering::Greater);
    assert_eq!(compare(0.1_f64.next_down(), "0.1"), Ordering::Less);
    assert_eq!(compare(-1.5, "-1.25"), Ordering::Less);
    assert_eq!(compare(12.0, "3"), Ordering::Greater);
    assert_eq!(compare(-1.0, "1"), Ordering::Less);
}
