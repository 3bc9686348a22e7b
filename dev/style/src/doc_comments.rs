//! Finds doc comments that begin with a question word.

use crate::offence::Offence;
use crate::tree::SourceFile;

/// Words that a doc comment does not begin with.
const QUESTIONS: [&str; 7] = ["What", "Who", "Whom", "Whose", "Where", "How", "Whether"];

/// The doc comments of production code.
#[derive(Default)]
pub(crate) struct DocComments {
    pub(crate) count: usize,
    /// Those that begin with a question word.
    pub(crate) questions: Vec<Offence>,
}

impl DocComments {
    /// Finds the doc comments of all files.
    pub(crate) fn of(files: &[SourceFile]) -> Self {
        let mut found = Self::default();
        for file in files.iter().filter(|file| file.is_production()) {
            found.add(file);
        }
        found
    }

    fn add(&mut self, file: &SourceFile) {
        let mut before = false;
        for (line, text) in (1..).zip(file.text.lines()) {
            let words = doc_words(text);
            if let Some(words) = words.filter(|_| !before) {
                self.add_first_line(file, line, words);
            }
            before = words.is_some();
        }
    }

    fn add_first_line(&mut self, file: &SourceFile, line: usize, words: &str) {
        self.count += 1;
        let first = words.split(|letter: char| !letter.is_alphanumeric()).next();
        if first.is_some_and(|first| QUESTIONS.contains(&first)) {
            self.questions.push(Offence::new(&file.path, line, words));
        }
    }
}

fn doc_words(line: &str) -> Option<&str> {
    let text = line.trim_start();
    let words = text.strip_prefix("///").or(text.strip_prefix("//!"));
    words.map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_word_of_a_comment_counts() {
        let text = "/// What it is.\nfn f() {}\n/// Returns\n/// What.\nfn g() {}\n";
        let found = DocComments::of(&[SourceFile::fixture("worker/src/a.rs", text)]);
        assert_eq!((found.count, found.questions.len()), (2, 1));
        assert_eq!(found.questions[0].line, 1);
    }

    #[test]
    fn a_word_that_begins_like_a_question_is_none() {
        let text = "/// However many.\nfn f() {}\n";
        let found = DocComments::of(&[SourceFile::fixture("worker/src/a.rs", text)]);
        assert_eq!(found.questions.len(), 0);
    }
}
