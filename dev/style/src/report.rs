//! The measures, their limits, and how they are printed.

use crate::functions::Functions;
use crate::prose::{self, Place, word_count};
use crate::tree::SourceFile;
use crate::{modules, names};

/// One rule: what was found, and what is allowed.
pub(crate) struct Measure {
    name: &'static str,
    found: f64,
    limit: Option<f64>,
    offenders: Vec<Place>,
}

impl Measure {
    /// Returns true where the limit holds, or where there is none.
    pub(crate) fn passes(&self) -> bool {
        self.limit.is_none_or(|limit| self.found <= limit)
    }

    fn new(name: &'static str, found: f64, limit: f64) -> Self {
        Self {
            name,
            found,
            limit: Some(limit),
            offenders: Vec::new(),
        }
    }

    fn counted(name: &'static str, offenders: Vec<Place>, limit: usize) -> Self {
        let found = offenders.len() as f64;
        Self {
            name,
            found,
            limit: Some(limit as f64),
            offenders,
        }
    }
}

/// Measures every rule.
pub(crate) fn measure(files: &[SourceFile]) -> Vec<Measure> {
    let mut all = of_functions(files);
    all.push(Measure::counted(
        "lines over 100 columns",
        prose::wide_lines(files),
        0,
    ));
    all.push(of_doc_comments(files));
    let names = joined_all(names::in_one_crate(files));
    all.push(Measure::counted(
        "type names defined twice in one crate",
        names,
        0,
    ));
    let names = joined_all(names::anywhere(files));
    all.push(Measure::counted(
        "type names defined twice in the workspace",
        names,
        5,
    ));
    all.push(Measure::counted("circles of modules", circles(files), 0));
    all.push(Measure::new(
        "lines of shell and awk",
        shell_lines(files) as f64,
        250.0,
    ));
    all.push(Measure::counted(
        "idioms in prose and messages",
        prose::idioms(files),
        0,
    ));
    all.push(Measure::counted(
        "table cells over 40, list items over 80 words",
        prose::walls(files),
        0,
    ));
    all.push(Measure::new(
        "words of ARCHITECTURE.md",
        architecture_words(files) as f64,
        1200.0,
    ));
    all
}

fn of_functions(files: &[SourceFile]) -> Vec<Measure> {
    let mut tokens = Vec::new();
    let mut large = Vec::new();
    let mut tuples = Vec::new();
    let mut closures = Vec::new();
    for file in files.iter().filter(|file| file.is_production()) {
        let functions = Functions::of(file);
        for (count, line, name) in functions.tokens {
            tokens.push(count);
            large.push(Place {
                path: file.path.clone(),
                line,
                words: format!("{count} {name}"),
            });
        }
        tuples.extend(
            functions
                .tuple_lets
                .iter()
                .map(|line| at(file, *line, "tuple let")),
        );
        closures.extend(
            functions
                .long_closures
                .iter()
                .map(|line| at(file, *line, "long closure")),
        );
    }
    tokens.sort_unstable();
    let mut median = Measure::new("tokens per function, median", quantile(&tokens, 0.5), 45.0);
    median.offenders = large;
    vec![
        median,
        Measure {
            limit: None,
            ..Measure::new("tokens per function, 95 %", quantile(&tokens, 0.95), 0.0)
        },
        Measure {
            limit: None,
            ..Measure::new("functions", tokens.len() as f64, 0.0)
        },
        Measure::counted("let (a, b) = (x, y)", tuples, 30),
        Measure::counted("closures over three lines bound by let", closures, 0),
    ]
}

fn at(file: &SourceFile, line: usize, words: &str) -> Place {
    Place {
        path: file.path.clone(),
        line,
        words: words.to_owned(),
    }
}

fn quantile(sorted: &[usize], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted
        .get((last * share).round() as usize)
        .map_or(0.0, |count| *count as f64)
}

fn of_doc_comments(files: &[SourceFile]) -> Measure {
    let (all, questions) = prose::doc_comments(files);
    let share = 100.0 * questions.len() as f64 / all.max(1) as f64;
    let name = "doc comments that begin with What, Who, ..., in %";
    Measure {
        offenders: questions,
        ..Measure::new(name, share, 6.0)
    }
}

fn joined_all(names: Vec<(String, Vec<String>)>) -> Vec<Place> {
    names
        .into_iter()
        .map(|(name, places)| joined(&places, &name))
        .collect()
}

fn circles(files: &[SourceFile]) -> Vec<Place> {
    modules::circles(files)
        .iter()
        .map(|circle| joined(circle, "circle"))
        .collect()
}

fn joined(paths: &[String], words: &str) -> Place {
    Place {
        path: paths.join(", "),
        line: 0,
        words: words.to_owned(),
    }
}

fn shell_lines(files: &[SourceFile]) -> usize {
    let shell = |file: &&SourceFile| {
        file.path.ends_with(".sh") || file.path.ends_with(".awk") || file.path == ".ci/run"
    };
    files
        .iter()
        .filter(shell)
        .map(|file| file.text.lines().count())
        .sum()
}

fn architecture_words(files: &[SourceFile]) -> usize {
    let document = files
        .iter()
        .find(|file| file.path == "docs/ARCHITECTURE.md");
    document.map_or(0, |file| word_count(&file.text))
}

/// Prints one row per measure.
pub(crate) fn print_table(measures: &[Measure]) {
    println!("| measure | found | limit |");
    println!("| :--- | ---: | ---: |");
    for measure in measures {
        let limit = measure
            .limit
            .map_or_else(|| "-".to_owned(), |limit| limit.to_string());
        let mark = if measure.passes() { "" } else { " (over)" };
        println!(
            "| {} | {:.3}{mark} | {limit} |",
            measure.name, measure.found
        );
    }
}

/// Prints the offenders whose path contains `part`.
pub(crate) fn print_offenders(measures: &[Measure], part: &str) {
    for measure in measures
        .iter()
        .filter(|measure| !measure.offenders.is_empty())
    {
        println!("{}:", measure.name);
        for place in measure
            .offenders
            .iter()
            .filter(|place| place.path.contains(part))
        {
            println!(
                "  {}:{}: {}",
                place.path,
                place.line,
                place.words.replace('\n', " ")
            );
        }
    }
}
