//! A page that stands alone: the table, the curve, what it rests on. No scripts, nothing fetched.

use super::caption::{READING, notes};
use super::escape::markup;
use super::grid::Grid;
use super::svg::svg;
use crate::aggregate::Table;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:16px/1.5 system-ui,sans-serif;max-width:86rem;margin:2rem auto;padding:0 1rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .55rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}
tbody tr:hover{background:var(--soft)}
svg{max-width:100%;height:auto;border:1px solid var(--line);border-radius:6px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}
dd{margin:0;overflow-wrap:anywhere}
.note{font-size:.9rem}
";

/// The page. `facts` are names and values from the run's manifest, `logs` the files beside it to
/// link to.
#[must_use]
pub fn html(table: &Table, facts: &[(String, String)], logs: &[String]) -> String {
    let grid = Grid::of(table);
    let cells = |tag: &str, cells: &[String]| {
        let cells = each(cells, |cell| format!("<{tag}>{}</{tag}>", markup(cell)));
        format!("<tr>{cells}</tr>\n")
    };
    let rows = each(&grid.rows, |row| cells("td", row));
    let reading = [READING.to_owned()];
    let notes = each(reading.iter().chain(&notes(table)), |note| {
        format!("<p class=\"note\">{}</p>\n", markup(note))
    });
    let facts = each(facts, |(name, value)| {
        format!("<dt>{}</dt><dd>{}</dd>\n", markup(name), markup(value))
    });
    let logs = each(logs, |file| {
        format!("<li><a href=\"./{0}\">{0}</a></li>\n", markup(file))
    });
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n<div class=\"wide\">\n<table>\n<thead>\n{head}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n\
         </div>\n{notes}{curve}{facts}{logs}</body>\n</html>\n",
        title = markup(&table.title),
        head = cells("th", &grid.headings),
        curve = svg(table),
        facts = section("The run", "dl", &facts),
        logs = section("Certification logs", "ul", &logs),
    )
}

/// What `element` makes of each item, one after the other.
fn each<T>(items: impl IntoIterator<Item = T>, element: impl Fn(T) -> String) -> String {
    items.into_iter().map(element).collect()
}

/// A heading and a list, or nothing where the list is empty.
fn section(heading: &str, tag: &str, items: &str) -> String {
    if items.is_empty() {
        String::new()
    } else {
        format!("<h2>{heading}</h2>\n<{tag}>\n{items}</{tag}>\n")
    }
}
