//! Search in a range where a condition holds from some number on.

/// The smallest number from 1 to `most` for which `holds`, by bisection; `most` if no smaller one
/// is found. `holds` must stay true once it is.
pub(crate) fn first(most: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let mut least = 1;
    let mut most = most;
    while least < most {
        let middle = least + (most - least) / 2;
        if holds(middle) {
            most = middle;
        } else {
            least = middle + 1;
        }
    }
    most
}
