//! The index of the largest value.

/// Returns the index of the largest value, the first among equals, as numpy's `argmax` does; 0 for
/// an empty slice.
///
/// A value replaces the largest so far only if it compares greater. A NaN therefore never replaces
/// a number, and a NaN in the first place is never replaced.
#[must_use]
pub fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    let mut largest = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[largest] {
            largest = index;
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_largest_values_is_found() {
        assert_eq!(argmax(&[1, 3, 2, 3]), 1);
        assert_eq!(argmax(&[0.5, 0.25]), 0);
        assert_eq!(argmax::<u64>(&[]), 0);
    }

    #[test]
    fn a_nan_never_replaces_a_number() {
        assert_eq!(argmax(&[1.0, f64::NAN, 2.0]), 2);
        assert_eq!(argmax(&[f64::NAN, 2.0]), 0);
    }
}
