//! Checks comments, messages and documents against the rules for words.

use std::sync::LazyLock;

use proc_macro2::{TokenStream, TokenTree};
use regex::Regex;

use crate::tree::SourceFile;

/// Phrases that a newcomer has to translate. `CONTRIBUTING.md` says what to write instead.
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
    r"\b(?:one|two|three|once|twice|\d+|folder|files?|records?|lines?|images?|bits|bytes|draws|jobs?|passes|threads?|process(?:es)?|copy|copies|results?) an? (?:GPUs?|device|class|sample|input|image|lane|job|line|row|draw|network|step|epoch|worker|model|variant|second|minute|hour|day|file|machine|node|thread|pass|core)\b",
];

static IDIOM: LazyLock<Regex> = LazyLock::new(|| {
    let all = format!("(?i){}", IDIOMS.join("|"));
    Regex::new(&all).unwrap_or_else(|error| unreachable!("a fixed pattern: {error}"))
});

static QUESTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:What|Who|Whom|Whose|Where|How|Whether)\b")
        .unwrap_or_else(|error| unreachable!("a fixed pattern: {error}"))
});

/// A place in a file, with the words that break a rule.
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) words: String,
}

/// Finds idioms in documents, comments and string literals.
pub(crate) fn idioms(files: &[SourceFile]) -> Vec<Place> {
    files
        .iter()
        .filter(|file| !file.path.starts_with("dev/style/"))
        .flat_map(idioms_of)
        .collect()
}

fn idioms_of(file: &SourceFile) -> Vec<Place> {
    let mut found = Vec::new();
    for paragraph in paragraphs(file) {
        for hit in IDIOM.find_iter(&paragraph.words) {
            let words = hit.as_str().to_owned();
            found.push(Place {
                path: file.path.clone(),
                line: paragraph.line,
                words,
            });
        }
    }
    found
}

/// Returns the prose of a file: whole paragraphs, so that a phrase across two lines is found.
fn paragraphs(file: &SourceFile) -> Vec<Place> {
    let mut found = Vec::new();
    if file.path == "CONTRIBUTING.md" {
        return found;
    }
    let mut fenced = false;
    for (number, line) in file.text.lines().enumerate() {
        if file.path.ends_with(".md") && line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let words = if fenced {
            None
        } else {
            prose_of_line(&file.path, line)
        };
        match (words, found.last_mut()) {
            (Some((words, joins)), Some(last)) if joins && continues(last, number) => {
                push_line(last, &words);
            }
            (Some((words, _)), _) => {
                found.push(Place {
                    path: file.path.clone(),
                    line: number + 1,
                    words,
                });
            }
            (None, _) => {}
        }
    }
    if let Some(rust) = &file.rust {
        found.extend(literals(file, rust));
    }
    found
}

fn continues(last: &Place, number: usize) -> bool {
    last.line + last.words.matches('\n').count() == number
}

fn push_line(last: &mut Place, words: &str) {
    last.words.push('\n');
    last.words.push_str(words);
}

/// Returns the prose of one line, and true where it may continue the line before.
fn prose_of_line(path: &str, line: &str) -> Option<(String, bool)> {
    let text = line.trim();
    let mark = match path.rsplit('.').next() {
        Some("md") => return (!text.is_empty()).then(|| (text.to_owned(), true)),
        Some("rs") => "//",
        Some("lua") => "--",
        _ => "#",
    };
    let start = if text.starts_with(mark) {
        0
    } else {
        text.find(&format!("  {mark} "))?
    };
    let words = text[start..].trim_start_matches([' ', '/', '!', '-', '#']);
    (!words.is_empty()).then(|| (words.to_owned(), start == 0))
}

fn literals(file: &SourceFile, rust: &syn::File) -> Vec<Place> {
    let mut found = Vec::new();
    for item in rust
        .items
        .iter()
        .filter(|item| !crate::functions::is_test(item))
    {
        strings(
            quote::ToTokens::to_token_stream(item),
            &mut |line, words| {
                found.push(Place {
                    path: file.path.clone(),
                    line,
                    words,
                });
            },
        );
    }
    found
}

/// Calls `visit` with the line and text of every string literal; doc comments are left out.
fn strings(stream: TokenStream, visit: &mut impl FnMut(usize, String)) {
    let mut doc = false;
    for tree in stream {
        match tree {
            TokenTree::Group(group) => strings(group.stream(), visit),
            TokenTree::Literal(literal) if !doc => {
                if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                    visit(text.span().start().line, text.value());
                }
            }
            TokenTree::Ident(ident) => {
                doc = ident == "doc";
                continue;
            }
            TokenTree::Punct(_) => continue,
            TokenTree::Literal(_) => {}
        }
        doc = false;
    }
}

/// Returns the number of doc comments in production code, and those that begin with a question
/// word.
pub(crate) fn doc_comments(files: &[SourceFile]) -> (usize, Vec<Place>) {
    let mut all = 0;
    let mut questions = Vec::new();
    for file in files.iter().filter(|file| file.is_production()) {
        let mut before = false;
        for (number, line) in file.text.lines().enumerate() {
            let text = line.trim_start();
            let doc = text
                .strip_prefix("///")
                .or_else(|| text.strip_prefix("//!"));
            if let (Some(words), false) = (doc, before) {
                all += 1;
                if QUESTION.is_match(words.trim_start()) {
                    let words = words.trim().to_owned();
                    questions.push(Place {
                        path: file.path.clone(),
                        line: number + 1,
                        words,
                    });
                }
            }
            before = doc.is_some();
        }
    }
    (all, questions)
}

/// Finds lines of Rust and Lua over 100 columns.
pub(crate) fn wide_lines(files: &[SourceFile]) -> Vec<Place> {
    let code = files
        .iter()
        .filter(|file| file.path.ends_with(".rs") || file.path.ends_with(".lua"));
    let lines = code.flat_map(|file| file.text.lines().enumerate().map(move |line| (file, line)));
    let wide = lines.filter(|(_, (_, line))| line.chars().count() > 100);
    wide.map(|(file, (number, line))| Place {
        path: file.path.clone(),
        line: number + 1,
        words: line.trim().chars().take(60).collect(),
    })
    .collect()
}

/// Finds table cells over 40 words and list items over 80 words in documents.
pub(crate) fn walls(files: &[SourceFile]) -> Vec<Place> {
    let documents = files.iter().filter(|file| file.path.ends_with(".md"));
    documents
        .flat_map(|file| [long_cells(file), long_items(file)].concat_places())
        .collect()
}

trait ConcatPlaces {
    fn concat_places(self) -> Vec<Place>;
}

impl ConcatPlaces for [Vec<Place>; 2] {
    fn concat_places(self) -> Vec<Place> {
        self.into_iter().flatten().collect()
    }
}

fn long_cells(file: &SourceFile) -> Vec<Place> {
    let rows = file
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim().starts_with('|'));
    let cells = rows.flat_map(|(number, line)| line.split('|').map(move |cell| (number, cell)));
    let long = cells.filter(|(_, cell)| word_count(cell) > 40);
    long.map(|(number, cell)| place(file, number, cell))
        .collect()
}

fn long_items(file: &SourceFile) -> Vec<Place> {
    let mut items: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in file.text.lines().enumerate() {
        let text = line.trim_start();
        if text.starts_with("- ") || text.starts_with("* ") {
            items.push((number, text.to_owned()));
            open = true;
        } else if open && line.starts_with(' ') && !text.is_empty() {
            if let Some((_, item)) = items.last_mut() {
                item.push(' ');
                item.push_str(text);
            }
        } else {
            open = false;
        }
    }
    let long = items.iter().filter(|(_, item)| word_count(item) > 80);
    long.map(|(number, item)| place(file, *number, item))
        .collect()
}

fn place(file: &SourceFile, number: usize, words: &str) -> Place {
    let words = format!(
        "{} words: {}",
        word_count(words),
        words.chars().take(50).collect::<String>()
    );
    Place {
        path: file.path.clone(),
        line: number + 1,
        words,
    }
}

/// Counts words of a text.
pub(crate) fn word_count(text: &str) -> usize {
    text.split_whitespace().count()
}
