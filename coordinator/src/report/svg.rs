//! The curve of certified accuracy against radius, in full: a step at every radius that was
//! certified.

mod axis;

use std::fmt::Write;

use self::axis::Axis;
use super::caption::notes;
use super::escape::markup;
use super::grid::name;
use super::number::cut;
use crate::aggregate::{Row, Table};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 40.0;
/// The area inside the axes.
const PLOT: (f64, f64) = (WIDTH - LEFT - 24.0, 320.0);
const LINE: f64 = 18.0;
/// How many characters of a note fit on a line.
const NOTE_CHARACTERS: usize = 120;

/// Colours that people with any colour vision can tell apart, on light and on dark (Okabe and Ito
/// 2008).
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];

const STYLE: &str = ".ddrs-paper{fill:#fff}.ddrs-ink{fill:#222}.ddrs-grid{stroke:#ddd}.ddrs-axis{stroke:#222}\
    @media(prefers-color-scheme:dark){.ddrs-paper{fill:#16181d}.ddrs-ink{fill:#e6e6e6}.ddrs-grid{stroke:#3a3d44}\
    .ddrs-axis{stroke:#e6e6e6}}";

/// The table's curves as one SVG image, which stands alone or in a page.
#[must_use]
pub fn svg(table: &Table) -> String {
    let largest = table
        .rows
        .iter()
        .filter_map(|row| row.correct_radii.last())
        .copied()
        .fold(0.0, f64::max);
    let axis = Axis::up_to(largest);
    let notes: Vec<String> = notes(table).iter().flat_map(|note| wrapped(note)).collect();
    let legend = TOP + PLOT.1 + 62.0;
    let footer = legend + LINE * table.rows.len() as f64 + 6.0;
    let height = footer + 15.0 * notes.len() as f64 + 6.0;

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" font-family=\"system-ui,sans-serif\" font-size=\"12\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ddrs-paper\" width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text class=\"ddrs-ink\" x=\"{LEFT}\" y=\"24\" font-size=\"14\" font-weight=\"600\">{title}</text>\n",
        title = markup(&table.title),
    );
    draw_axes(&mut out, &axis);
    for (place, row) in table.rows.iter().enumerate() {
        let line = Line::of(&table.rows, place);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<path d=\"{}\" fill=\"none\" stroke-width=\"1.8\" {line}/>",
            steps(row, &axis)
        );
        let y = legend + LINE * place as f64;
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {:.1}h30\" fill=\"none\" stroke-width=\"1.8\" {line}/>",
            y - 4.0
        );
        let entry = format!(
            "{} (ACR {})",
            name(row),
            cut(row.average_certified_radius, 3)
        );
        let _ = writeln!(
            out,
            "<text class=\"ddrs-ink\" x=\"{}\" y=\"{y}\">{}</text>",
            LEFT + 40.0,
            markup(&entry)
        );
    }
    for (place, note) in notes.iter().enumerate() {
        let y = footer + 15.0 * place as f64;
        let _ = writeln!(
            out,
            "<text class=\"ddrs-ink\" x=\"{LEFT}\" y=\"{y}\" font-size=\"10\">{}</text>",
            markup(note)
        );
    }
    out + "</svg>\n"
}

fn draw_axes(out: &mut String, axis: &Axis) {
    let bottom = TOP + PLOT.1;
    for percent in (0..=100).step_by(20) {
        let y = bottom - PLOT.1 * f64::from(percent) / 100.0;
        let _ = writeln!(
            out,
            "<path class=\"ddrs-grid\" d=\"M{LEFT} {y:.1}h{}\" stroke=\"#ddd\"/><text class=\"ddrs-ink\" x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{percent}%</text>",
            PLOT.0,
            LEFT - 8.0,
            y + 4.0,
        );
    }
    for (label, share) in axis.ticks() {
        let x = LEFT + PLOT.0 * share;
        let _ = writeln!(
            out,
            "<path class=\"ddrs-grid\" d=\"M{x:.1} {TOP}v{}\" stroke=\"#ddd\"/><text class=\"ddrs-ink\" x=\"{x:.1}\" y=\"{}\" \
             text-anchor=\"middle\">{label}</text>",
            PLOT.1,
            bottom + 18.0,
        );
    }
    let _ = writeln!(
        out,
        "<path class=\"ddrs-axis\" d=\"M{LEFT} {TOP}V{bottom}H{}\" fill=\"none\" stroke=\"#222\"/>\
         <text class=\"ddrs-ink\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">L2 radius</text>\
         <text class=\"ddrs-ink\" transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">certified accuracy</text>",
        LEFT + PLOT.0,
        LEFT + PLOT.0 / 2.0,
        bottom + 36.0,
        TOP + PLOT.1 / 2.0,
    );
}

/// The path of a row's curve. Positions go to tenths of a pixel, to the left and down, so that the
/// line is never above the truth and a row of 50,000 samples takes no more points than a screen can
/// show.
fn steps(row: &Row, axis: &Axis) -> String {
    let (bottom, radii) = (TOP + PLOT.1, &row.correct_radii);
    let y = |left: usize| {
        ((bottom - PLOT.1 * left as f64 / row.samples.max(1) as f64) * 10.0).ceil() / 10.0
    };
    let x = |radius: f64| ((LEFT + PLOT.0 * axis.share(radius)) * 10.0).floor() / 10.0;
    let mut path = format!("M{LEFT} {:.1}", y(radii.len()));
    for (place, &radius) in radii.iter().enumerate() {
        let next = radii.get(place + 1);
        if next.is_none_or(|&next| x(next) > x(radius)) {
            let _ = write!(path, "H{:.1}V{:.1}", x(radius), y(radii.len() - place - 1));
        }
    }
    path
}

/// How a row's line looks: rows of one variant share their colour, the one with memory is dashed.
struct Line {
    colour: &'static str,
    dash: &'static str,
}

impl Line {
    fn of(rows: &[Row], place: usize) -> Self {
        let first = |variant: &str| rows.iter().position(|row| row.variant == variant);
        let mut firsts: Vec<usize> = rows.iter().filter_map(|row| first(&row.variant)).collect();
        firsts.dedup();
        let own = first(&rows[place].variant).unwrap_or(place);
        let nth = firsts
            .iter()
            .position(|&known| known == own)
            .unwrap_or(place);
        let dash = match (rows[place].memory, nth / COLOURS.len() % 2) {
            (false, 0) => "none",
            (true, 0) => "6 3",
            (false, _) => "2 3",
            (true, _) => "8 3 2 3",
        };
        Self {
            colour: COLOURS[nth % COLOURS.len()],
            dash,
        }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "stroke=\"{}\" stroke-dasharray=\"{}\"",
            self.colour, self.dash
        )
    }
}

/// A note in lines of at most [`NOTE_CHARACTERS`], broken at spaces, or within a word that is
/// longer.
fn wrapped(note: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in note.split(' ') {
        for (nth, piece) in word
            .chars()
            .collect::<Vec<_>>()
            .chunks(NOTE_CHARACTERS)
            .enumerate()
        {
            let line = lines.last_mut().map(|line| (line.chars().count(), line));
            match line {
                Some((used, line))
                    if nth == 0 && (used == 0 || used + 1 + piece.len() <= NOTE_CHARACTERS) =>
                {
                    line.extend(
                        (used > 0)
                            .then_some(' ')
                            .into_iter()
                            .chain(piece.iter().copied()),
                    );
                }
                _ => lines.push(piece.iter().collect()),
            }
        }
    }
    lines
}
