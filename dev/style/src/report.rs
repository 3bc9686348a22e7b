//! The measures and their limits.

use crate::doc_comments::DocComments;
use crate::functions::Functions;
use crate::idioms::idioms;
use crate::lengths::{walls, wide_lines, word_count};
use crate::modules;
use crate::names::{self, RepeatedName};
use crate::offence::Offence;
use crate::tree::SourceFile;

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";

/// One rule: the measurement, its limit and the places that break it.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) found: f64,
    pub(crate) limit: Option<f64>,
    pub(crate) offenders: Vec<Offence>,
}

impl Measure {
    /// Returns true if there is no limit, or if it holds.
    pub(crate) fn passes(&self) -> bool {
        self.limit.is_none_or(|limit| self.found <= limit)
    }

    fn number(name: &'static str, found: f64) -> Self {
        Self {
            name,
            found,
            limit: None,
            offenders: Vec::new(),
        }
    }

    fn counted(name: &'static str, offenders: Vec<Offence>, limit: usize) -> Self {
        Self {
            name,
            found: offenders.len() as f64,
            limit: Some(limit as f64),
            offenders,
        }
    }

    fn at_most(self, limit: f64) -> Self {
        let limit = Some(limit);
        Self { limit, ..self }
    }

    fn with(self, offenders: Vec<Offence>) -> Self {
        Self { offenders, ..self }
    }
}

/// Measures every rule.
pub(crate) fn measure(files: &[SourceFile]) -> Vec<Measure> {
    let mut all = of_functions(Functions::of(files));
    all.extend([of_wide_lines(files), of_doc_comments(files)]);
    all.extend(of_modules(files));
    all.extend(of_documents(files));
    all
}

fn of_functions(functions: Functions) -> Vec<Measure> {
    let mut tokens: Vec<usize> = functions.all.iter().map(|one| one.tokens).collect();
    tokens.sort_unstable();
    let places = functions.all.into_iter().map(|function| function.place);
    let closures = functions.long_closures;
    vec![
        Measure::number("tokens per function, median", quantile(&tokens, 0.5))
            .at_most(45.0)
            .with(places.collect()),
        Measure::number("tokens per function, 95 %", quantile(&tokens, 0.95)),
        Measure::number("functions", tokens.len() as f64),
        Measure::counted("let (a, b) = (x, y)", functions.tuple_lets, 30),
        Measure::counted("closures over three lines bound by let", closures, 0),
    ]
}

fn quantile(sorted: &[usize], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    let value = sorted.get((last * share).round() as usize);
    value.map_or(0.0, |value| *value as f64)
}

fn of_wide_lines(files: &[SourceFile]) -> Measure {
    Measure::counted("lines over 100 columns", wide_lines(files), 0)
}

fn of_doc_comments(files: &[SourceFile]) -> Measure {
    let found = DocComments::of(files);
    let share = found.questions.len() as f64 / found.count.max(1) as f64;
    let name = "doc comments that begin with What, Who, ..., in %";
    Measure::number(name, 100.0 * share)
        .at_most(6.0)
        .with(found.questions)
}

fn of_modules(files: &[SourceFile]) -> [Measure; 3] {
    let in_crate = of_names(names::in_one_crate(files));
    let anywhere = of_names(names::anywhere(files));
    let circles = modules::circles(files);
    let circles = circles.iter().map(|paths| joined(paths, "circle"));
    [
        Measure::counted("type names defined twice in one crate", in_crate, 0),
        Measure::counted("type names defined twice in the workspace", anywhere, 5),
        Measure::counted("circles of modules", circles.collect(), 0),
    ]
}

fn of_names(names: Vec<RepeatedName>) -> Vec<Offence> {
    let names = names.into_iter();
    names
        .map(|repeated| joined(&repeated.paths, &repeated.name))
        .collect()
}

fn joined(paths: &[String], words: &str) -> Offence {
    Offence::new(&paths.join(", "), 0, words)
}

fn of_documents(files: &[SourceFile]) -> [Measure; 4] {
    let shell = files.iter().filter(|file| file.is_shell());
    let shell: usize = shell.map(|file| file.text.lines().count()).sum();
    let walls = walls(files);
    [
        Measure::number("lines of shell and awk", shell as f64).at_most(250.0),
        Measure::counted("idioms in prose and messages", idioms(files), 0),
        Measure::counted("table cells over 40, list items over 80 words", walls, 0),
        Measure::number("words of ARCHITECTURE.md", architecture_words(files)).at_most(1200.0),
    ]
}

fn architecture_words(files: &[SourceFile]) -> f64 {
    let document = files.iter().find(|file| file.path == ARCHITECTURE);
    document.map_or(0.0, |file| word_count(&file.text) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[SourceFile], name: &str) -> (f64, bool) {
        let measures = measure(files);
        let measure = measures.iter().find(|measure| measure.name == name);
        measure.map_or((f64::NAN, false), |measure| {
            (measure.found, measure.passes())
        })
    }

    #[test]
    fn an_empty_checkout_passes() {
        assert!(measure(&[]).iter().all(Measure::passes));
    }

    #[test]
    fn the_median_function_has_a_limit() {
        let large = format!("fn f() {{ {} }}", "a;".repeat(22));
        let file = SourceFile::fixture("worker/src/a.rs", &large);
        assert_eq!(found(&[file], "tokens per function, median"), (46.0, false));
    }

    #[test]
    fn shell_has_a_limit_on_its_lines() {
        let file = SourceFile::fixture("scripts/a.sh", &"true\n".repeat(251));
        assert_eq!(found(&[file], "lines of shell and awk"), (251.0, false));
    }

    #[test]
    fn the_architecture_has_a_limit_on_its_words() {
        let file = SourceFile::fixture(ARCHITECTURE, &"w ".repeat(1200));
        assert_eq!(found(&[file], "words of ARCHITECTURE.md"), (1200.0, true));
    }
}
