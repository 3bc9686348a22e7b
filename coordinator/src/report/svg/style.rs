//! The colours and dashes of the curves.

use std::collections::HashSet;
use std::fmt;

use crate::aggregate::TableRow;

/// Colours that people with any colour vision can tell apart, on light and on dark (Okabe and Ito
/// 2008).
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];

/// The style of a row's curve: rows of one variant share their colour, and the one with memory is
/// dashed.
pub(super) struct LineStyle {
    colour: &'static str,
    dash: &'static str,
}

impl LineStyle {
    pub(super) fn of(rows: &[TableRow], place: usize) -> Self {
        let nth = variant_number(rows, place);
        Self {
            colour: COLOURS[nth % COLOURS.len()],
            dash: dash(rows[place].memory, nth / COLOURS.len()),
        }
    }
}

/// Returns the dashes of a curve. `round` is the number of times that all colours are used up.
fn dash(memory: bool, round: usize) -> &'static str {
    match (memory, round % 2) {
        (false, 0) => "none",
        (true, 0) => "6 3",
        (false, _) => "2 3",
        (true, _) => "8 3 2 3",
    }
}

/// Returns the number of other variants that appear before this row's variant does.
fn variant_number(rows: &[TableRow], place: usize) -> usize {
    let own = &rows[place].variant;
    let variants = rows.iter().map(|row| &row.variant);
    let earlier: HashSet<&String> = variants.take_while(|&variant| variant != own).collect();
    earlier.len()
}

impl fmt::Display for LineStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "stroke=\"{}\" stroke-dasharray=\"{}\"",
            self.colour, self.dash
        )
    }
}
