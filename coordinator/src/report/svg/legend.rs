//! The legend under the curves.

use std::fmt::Write;

use super::LEFT;
use super::style::LineStyle;
use crate::aggregate::TableRow;
use crate::report::escape::markup;
use crate::report::grid::name;
use crate::report::number::cut;

/// Draws one line of the legend: a piece of the curve's line, its name and average radius.
pub(super) fn draw_legend(out: &mut String, row: &TableRow, style: &LineStyle, y: f64) {
    let radius = cut(row.average_certified_radius, 3);
    let entry = format!("{} (ACR {radius})", name(row));
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<path d=\"M{LEFT} {:.1}h30\" fill=\"none\" stroke-width=\"1.8\" {style}/>\n\
         <text class=\"ddrs-ink\" x=\"{}\" y=\"{y}\">{}</text>",
        y - 4.0,
        LEFT + 40.0,
        markup(&entry)
    );
}
