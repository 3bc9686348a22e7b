//! Numbers for reading, cut after some digits and never rounded up.

/// Returns a share in percent, cut to one decimal: 1999 of 2000 are 99.9. Only a full count gives
/// 100.0.
#[must_use]
pub(super) fn percent(count: u64, of: u64) -> String {
    let tenths = u128::from(count) * 1000 / u128::from(of.max(1));
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Cuts the shortest decimal that names `number` after `digits` decimals: 1.996 becomes 1.99.
#[must_use]
pub(super) fn cut(number: f64, digits: usize) -> String {
    let decimal = number.to_string();
    let (whole, fraction) = parts(&decimal);
    // The precision cuts the fraction, and the width fills it up with zeros.
    format!("{whole}.{fraction:0<digits$.digits$}")
}

/// Splits a decimal at its point.
fn parts(decimal: &str) -> (&str, &str) {
    decimal.split_once('.').unwrap_or((decimal, ""))
}

/// Returns the radii for headings, with two to six decimals: as many as the longest of them has.
pub(super) fn headings(radii: &[f64]) -> Vec<String> {
    let digits = most_decimals(radii).clamp(2, 6);
    radii.iter().map(|&radius| cut(radius, digits)).collect()
}

fn most_decimals(numbers: &[f64]) -> usize {
    let decimals = numbers.iter().map(|&number| decimals(number));
    decimals.max().unwrap_or(0)
}

fn decimals(number: f64) -> usize {
    let decimal = number.to_string();
    let (_, fraction) = parts(&decimal);
    fraction.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_shown_larger_than_it_is() {
        for (number, digits, expected) in [
            (1.996, 2, "1.99"),
            (1.996, 3, "1.996"),
            (0.999_999_999_999_999_9, 3, "0.999"),
            (0.0, 2, "0.00"),
            (12.0, 3, "12.000"),
            (1e-12, 3, "0.000"),
            (0.525_053_184_4, 3, "0.525"),
        ] {
            assert_eq!(cut(number, digits), expected);
        }
    }

    #[test]
    fn a_share_is_cut_to_tenths_of_a_percent() {
        for (count, of, expected) in [
            (2, 3, "66.6"),
            (1999, 2000, "99.9"),
            (3, 3, "100.0"),
            (0, 0, "0.0"),
            (u64::MAX - 1, u64::MAX, "99.9"),
        ] {
            assert_eq!(percent(count, of), expected);
        }
    }

    #[test]
    fn headings_are_exact_where_six_decimals_suffice() {
        assert_eq!(headings(&[0.0, 0.5, 1.0]), ["0.00", "0.50", "1.00"]);
        assert_eq!(headings(&[0.0, 0.125]), ["0.000", "0.125"]);
        assert_eq!(headings(&[0.0, 2.0 / 3.0]), ["0.000000", "0.666666"]);
    }
}
