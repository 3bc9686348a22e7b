//! Finds phrases that a newcomer has to translate, in documents, comments and messages.

use std::sync::LazyLock;

use regex::Regex;

use crate::offence::Offence;
use crate::prose::paragraphs;
use crate::tree::SourceFile;

/// The file that lists the phrases, and is not searched.
const THIS_FILE: &str = "dev/style/src/idioms.rs";

/// The phrases. `CONTRIBUTING.md` says what to write instead.
const IDIOMS: &[&str] = &[
    r"\b(?:is|are|was|were|be|been|am) none\b",
    r"\b(?:come|comes|came|coming) to\b",
    r"\b(?:is|are|was|were|be|been|being) told\b",
    r"\b(?:some|no|any)body\b",
    r"\bof (?:its|their|his|her|our|your|one's|each one's|each input's|each other's) own\b",
    r"\bbeside\b",
    r"\bso (?:many|often)\b",
    r"\bbe had\b",
    r"\b(?:goes|go|went|going) on (?:with|where|from|at)\b",
    r"\bdoes not do what it is asked\b",
    r"\b(?:is|are|was|were) asked again\b",
    r"\bwhoever\b",
];

/// Things that are counted per something, in "one a GPU".
const COUNTED: &str = concat!(
    "one|two|three|once|twice|\\d+|folder|files?|records?|lines?|images?|bits|bytes|draws|jobs?|",
    "passes|threads?|process(?:es)?|copy|copies|results?"
);

/// The somethings.
const PER: &str = concat!(
    "GPUs?|device|class|sample|input|image|lane|job|line|row|draw|network|step|epoch|worker|model|",
    "variant|second|minute|hour|day|file|machine|node|thread|pass|core"
);

static IDIOM: LazyLock<Regex> = LazyLock::new(|| {
    let distributive = format!(r"\b(?:{COUNTED}) an? (?:{PER})\b");
    let all = format!("(?i){}|{distributive}", IDIOMS.join("|"));
    // A phrase may continue on the next line.
    Regex::new(&all.replace(' ', r"\s+"))
        .unwrap_or_else(|error| unreachable!("a fixed pattern: {error}"))
});

/// Finds idioms in documents, comments and string literals.
pub(crate) fn idioms(files: &[SourceFile]) -> Vec<Offence> {
    let searched = files.iter().filter(|file| file.path != THIS_FILE);
    searched.flat_map(idioms_of).collect()
}

fn idioms_of(file: &SourceFile) -> Vec<Offence> {
    let paragraphs = paragraphs(file);
    let hits = paragraphs.iter().flat_map(|paragraph| {
        let hits = IDIOM.find_iter(&paragraph.words);
        hits.map(|hit| Offence::new(&file.path, paragraph.line, hit.as_str()))
    });
    hits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let places = idioms(&[SourceFile::fixture(path, text)]);
        places.into_iter().map(|place| place.words).collect()
    }

    #[test]
    fn phrases_are_found_in_comments_messages_and_documents() {
        assert_eq!(
            found("a.rs", "/// Beside the file.\nfn f() {}\n"),
            ["Beside"]
        );
        assert_eq!(
            found("a.rs", "fn f() { g(\"one a GPU\") }\n"),
            ["one a GPU"]
        );
        assert_eq!(found("a.md", "The answer is none.\n"), ["is none"]);
        assert_eq!(found("a.lua", "-- somebody asks\n"), ["somebody"]);
    }

    #[test]
    fn a_phrase_across_two_lines_is_found() {
        assert_eq!(found("a.md", "It comes\nto three.\n"), ["comes\nto"]);
    }

    #[test]
    fn names_code_and_plain_words_are_no_phrases() {
        assert!(found("a.rs", "fn beside() { is_none() }\n").is_empty());
        assert!(found("a.md", "```\nis none\n```\none process per GPU\n").is_empty());
    }
}
