//! Prints the measures.

use crate::offence::Offence;
use crate::report::Measure;

/// Prints one row per measure.
pub(crate) fn print_table(measures: &[Measure]) {
    println!("| measure | found | limit |");
    println!("| :--- | ---: | ---: |");
    for measure in measures {
        println!("{}", row(measure));
    }
}

fn row(measure: &Measure) -> String {
    let limit = measure.limit.map(|limit| limit.to_string());
    let limit = limit.unwrap_or_else(|| "-".to_owned());
    let mark = if measure.passes() { "" } else { " (over)" };
    format!(
        "| {} | {:.3}{mark} | {limit} |",
        measure.name, measure.found
    )
}

/// Prints the offenders whose path contains `part`.
pub(crate) fn print_offenders(measures: &[Measure], part: &str) {
    for measure in measures {
        let offenders = measure.offenders.iter();
        let mut named = offenders
            .filter(|place| place.path.contains(part))
            .peekable();
        if named.peek().is_some() {
            println!("{}:", measure.name);
        }
        for place in named {
            println!("{}", line(place));
        }
    }
}

fn line(place: &Offence) -> String {
    let Offence { path, line, words } = place;
    format!("  {path}:{line}: {}", words.replace('\n', " "))
}
