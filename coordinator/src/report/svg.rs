//! The curve of certified accuracy against radius, in full: it steps down at every certified
//! radius.

mod axis;
mod legend;
mod note;
mod style;

use std::fmt::Write;

use self::axis::Axis;
use self::legend::draw_legend;
use self::note::{draw_notes, wrapped};
use self::style::LineStyle;
use super::caption::notes;
use super::escape::markup;
use crate::aggregate::{Table, TableRow};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 40.0;
/// The area inside the axes.
const PLOT_WIDTH: f64 = WIDTH - LEFT - 24.0;
const PLOT_HEIGHT: f64 = 320.0;
const BOTTOM: f64 = TOP + PLOT_HEIGHT;
/// The baseline of the legend's first line.
const LEGEND_TOP: f64 = BOTTOM + 62.0;
const LEGEND_LINE: f64 = 18.0;
const NOTE_LINE: f64 = 15.0;

const STYLE: &str = concat!(
    ".ddrs-paper{fill:#fff}.ddrs-ink{fill:#222}.ddrs-grid{stroke:#ddd}.ddrs-axis{stroke:#222}",
    "@media(prefers-color-scheme:dark){.ddrs-paper{fill:#16181d}.ddrs-ink{fill:#e6e6e6}",
    ".ddrs-grid{stroke:#3a3d44}.ddrs-axis{stroke:#e6e6e6}}",
);

/// Renders the table's curves as one SVG image, for a file or inside a page.
#[must_use]
pub(crate) fn svg(table: &Table) -> String {
    let axis = Axis::up_to(largest_radius(&table.rows));
    let notes = note_lines(table);
    let notes_top = legend_y(table.rows.len()) + 6.0;
    let height = notes_top + NOTE_LINE * notes.len() as f64 + 6.0;
    let mut out = String::new();
    draw_frame(&mut out, &table.title, height);
    draw_axes(&mut out, &axis);
    draw_rows(&mut out, &table.rows, &axis);
    draw_notes(&mut out, &notes, notes_top);
    out + "</svg>\n"
}

fn note_lines(table: &Table) -> Vec<String> {
    let notes = notes(table);
    notes.iter().flat_map(|note| wrapped(note)).collect()
}

/// Returns the baseline of a line of the legend.
fn legend_y(line: usize) -> f64 {
    LEGEND_TOP + LEGEND_LINE * line as f64
}

fn largest_radius(rows: &[TableRow]) -> f64 {
    let largest = rows.iter().filter_map(|row| row.correct_radii.last());
    largest.copied().fold(0.0, f64::max)
}

// In all that follows: writing to a string cannot fail.

fn draw_frame(out: &mut String, title: &str, height: f64) {
    let title = markup(title);
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" font-family=\"system-ui,sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ddrs-paper\" width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text class=\"ddrs-ink\" x=\"{LEFT}\" y=\"24\" font-size=\"14\" \
         font-weight=\"600\">{title}</text>\n",
    );
}

fn draw_axes(out: &mut String, axis: &Axis) {
    for percent in (0..=100).step_by(20) {
        draw_accuracy_line(out, percent);
    }
    for (label, share) in axis.ticks() {
        draw_radius_line(out, &label, LEFT + PLOT_WIDTH * share);
    }
    draw_titled_axes(out);
}

fn draw_titled_axes(out: &mut String) {
    let _ = writeln!(
        out,
        "<path class=\"ddrs-axis\" d=\"M{LEFT} {TOP}V{BOTTOM}H{}\" fill=\"none\" stroke=\"#222\"/>\
         <text class=\"ddrs-ink\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">L2 radius</text>\
         <text class=\"ddrs-ink\" transform=\"translate(14 {}) rotate(-90)\" \
         text-anchor=\"middle\">certified accuracy</text>",
        LEFT + PLOT_WIDTH,
        LEFT + PLOT_WIDTH / 2.0,
        BOTTOM + 36.0,
        TOP + PLOT_HEIGHT / 2.0,
    );
}

fn draw_accuracy_line(out: &mut String, percent: u8) {
    let y = BOTTOM - PLOT_HEIGHT * f64::from(percent) / 100.0;
    let _ = writeln!(
        out,
        "<path class=\"ddrs-grid\" d=\"M{LEFT} {y:.1}h{PLOT_WIDTH}\" stroke=\"#ddd\"/>\
         <text class=\"ddrs-ink\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{percent}%</text>",
        LEFT - 8.0,
        y + 4.0,
    );
}

fn draw_radius_line(out: &mut String, label: &str, x: f64) {
    let _ = writeln!(
        out,
        "<path class=\"ddrs-grid\" d=\"M{x:.1} {TOP}v{PLOT_HEIGHT}\" stroke=\"#ddd\"/>\
         <text class=\"ddrs-ink\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
        BOTTOM + 18.0,
    );
}

/// Draws each row's curve, followed by its line of the legend.
fn draw_rows(out: &mut String, rows: &[TableRow], axis: &Axis) {
    for (place, row) in rows.iter().enumerate() {
        let style = LineStyle::of(rows, place);
        draw_curve(out, &steps(row, axis), &style);
        draw_legend(out, row, &style, legend_y(place));
    }
}

fn draw_curve(out: &mut String, path: &str, style: &LineStyle) {
    let _ = writeln!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke-width=\"1.8\" {style}/>"
    );
}

/// The path of a row's curve. A path has at most one step per tenth of a pixel, so that a row of
/// 50,000 samples takes no more points than a screen can show.
fn steps(row: &TableRow, axis: &Axis) -> String {
    let radii = &row.correct_radii;
    let mut path = format!("M{LEFT} {:.1}", pixel_y(radii.len(), row.samples));
    for place in last_at_each_pixel(radii, axis) {
        let x = pixel_x(radii[place], axis);
        let y = pixel_y(radii.len() - place - 1, row.samples);
        let _ = write!(path, "H{x:.1}V{y:.1}");
    }
    path
}

/// Returns the positions of the radii after which the next one has another x.
fn last_at_each_pixel(ascending: &[f64], axis: &Axis) -> impl Iterator<Item = usize> {
    (0..ascending.len()).filter(|&place| {
        let x = pixel_x(ascending[place], axis);
        let next = ascending.get(place + 1);
        next.is_none_or(|&next| pixel_x(next, axis) > x)
    })
}

/// The position of a radius, in tenths of a pixel, rounded to the left so that the curve never
/// overstates a radius.
fn pixel_x(radius: f64, axis: &Axis) -> f64 {
    ((LEFT + PLOT_WIDTH * axis.share(radius)) * 10.0).floor() / 10.0
}

/// The position of an accuracy, in tenths of a pixel, rounded down so that the curve never
/// overstates it.
fn pixel_y(certified: usize, samples: u64) -> f64 {
    let share = certified as f64 / samples.max(1) as f64;
    ((BOTTOM - PLOT_HEIGHT * share) * 10.0).ceil() / 10.0
}
