//! Prints the measures.

use std::io::{self, Write};

use crate::offence::Offence;
use crate::report::Measure;

/// Prints one row per measure.
pub(crate) fn print_table(out: &mut impl Write, measures: &[Measure]) -> io::Result<()> {
    writeln!(out, "| measure | found | limit |")?;
    writeln!(out, "| :--- | ---: | ---: |")?;
    for measure in measures {
        writeln!(out, "{}", row(measure))?;
    }
    Ok(())
}

fn row(measure: &Measure) -> String {
    let limit = measure.limit.map(|limit| limit.to_string());
    let limit = limit.unwrap_or_else(|| "-".to_owned());
    let mark = if measure.passes() { "" } else { " (over)" };
    let found = (measure.found * 10.0).round() / 10.0;
    format!("| {} | {found}{mark} | {limit} |", measure.name)
}

/// Prints the offenders whose path contains `part`.
pub(crate) fn print_offenders(
    out: &mut impl Write,
    measures: &[Measure],
    part: &str,
) -> io::Result<()> {
    for measure in measures {
        let offenders = measure.offenders.iter();
        let mut named = offenders
            .filter(|place| place.path.contains(part))
            .peekable();
        if named.peek().is_some() {
            writeln!(out, "{}:", measure.name)?;
        }
        for place in named {
            writeln!(out, "{}", line(place))?;
        }
    }
    Ok(())
}

fn line(place: &Offence) -> String {
    let Offence { path, line, words } = place;
    format!("  {path}:{line}: {}", words.replace('\n', " "))
}
