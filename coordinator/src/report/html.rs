//! A self-contained page with the table, the curve and the settings. It has no scripts and loads
//! nothing.

use super::caption::all_notes;
use super::escape::markup;
use super::grid::{Grid, GridGroup};
use super::svg::svg;
use crate::aggregate::Table;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:16px/1.5 system-ui,sans-serif;max-width:86rem;margin:2rem auto;padding:0 1rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .55rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}
tbody th{font-weight:600;padding-top:1rem}
tbody tr:hover{background:var(--soft)}
svg{max-width:100%;height:auto;border:1px solid var(--line);border-radius:6px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}
dd{margin:0;overflow-wrap:anywhere}
.note{font-size:.9rem}
";

/// Allows the page its own style and nothing else.
const SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Renders the page. `facts` are names and values from the run's manifest; `logs` are the names of
/// the files in the same folder that the page links to.
#[must_use]
pub(crate) fn html(table: &Table, facts: &[(String, String)], logs: &[String]) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{SECURITY_POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n<div class=\"wide\">\n{table}</div>\n\
         {notes}{curve}{facts}{logs}</body>\n</html>\n",
        title = markup(&table.title),
        table = html_table(&Grid::of(table)),
        notes = paragraphs(table),
        curve = svg(table),
        facts = section("The run", "dl", &each(facts, fact)),
        logs = section("Certification logs", "ul", &each(logs, |file| link(file))),
    )
}

fn html_table(grid: &Grid) -> String {
    let head = html_row("th", &grid.headings);
    let columns = grid.headings.len();
    let groups = each(&grid.groups, |group| html_group(group, columns));
    format!("<table>\n<thead>\n{head}</thead>\n{groups}</table>\n")
}

/// A line across all columns with the heading, then the rows.
fn html_group(group: &GridGroup, columns: usize) -> String {
    let heading = markup(&group.heading);
    let rows = each(&group.rows, |row| html_row("td", row));
    format!(
        "<tbody>\n<tr><th colspan=\"{columns}\" scope=\"rowgroup\">{heading}</th></tr>\n\
         {rows}</tbody>\n"
    )
}

fn html_row(tag: &str, cells: &[String]) -> String {
    let cells = each(cells, |cell| format!("<{tag}>{}</{tag}>", markup(cell)));
    format!("<tr>{cells}</tr>\n")
}

fn paragraphs(table: &Table) -> String {
    each(all_notes(table), |note| {
        format!("<p class=\"note\">{}</p>\n", markup(&note))
    })
}

fn fact((name, value): &(String, String)) -> String {
    format!("<dt>{}</dt><dd>{}</dd>\n", markup(name), markup(value))
}

fn link(file: &str) -> String {
    format!("<li><a href=\"./{0}\">{0}</a></li>\n", markup(file))
}

/// Concatenates the elements that `element` makes of the items.
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
