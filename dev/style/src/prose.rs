//! Finds the prose of a file: paragraphs of documents and comments, and string literals.

use proc_macro2::{Literal, TokenStream, TokenTree};
use quote::ToTokens;

use crate::functions::is_test;
use crate::offence::Offence;
use crate::tree::SourceFile;

/// The rules themselves, which quote what they forbid.
const RULES: &str = "CONTRIBUTING.md";

/// The prose of one line.
struct ProseLine {
    words: String,
    /// True if the line may continue the paragraph before it.
    joins: bool,
}

/// Returns whole paragraphs, so that a phrase across two lines is found.
pub(crate) fn paragraphs(file: &SourceFile) -> Vec<Offence> {
    if file.path == RULES {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (line, words) in prose_lines(file) {
        add_line(&mut found, file, line, &words);
    }
    found.extend(literals(file));
    found
}

/// Returns the lines that have prose, which count from 1.
fn prose_lines(file: &SourceFile) -> Vec<(usize, ProseLine)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (line, text) in (1..).zip(file.text.lines()) {
        if file.is_document() && text.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            found.extend(prose_of_line(file, text).map(|words| (line, words)));
        }
    }
    found
}

fn add_line(found: &mut Vec<Offence>, file: &SourceFile, line: usize, prose: &ProseLine) {
    match found.last_mut() {
        Some(last) if prose.joins && next_line(last) == line => {
            last.words.push('\n');
            last.words.push_str(&prose.words);
        }
        _ => found.push(Offence::new(&file.path, line, &prose.words)),
    }
}

fn next_line(paragraph: &Offence) -> usize {
    paragraph.line + paragraph.words.matches('\n').count() + 1
}

fn prose_of_line(file: &SourceFile, line: &str) -> Option<ProseLine> {
    let text = line.trim();
    if file.is_document() {
        return non_empty(text, true);
    }
    let mark = comment_mark(&file.path);
    let start = if text.starts_with(mark) {
        0
    } else {
        text.find(&format!("  {mark} "))?
    };
    let words = text[start..].trim_start_matches([' ', '/', '!', '-', '#']);
    non_empty(words, start == 0)
}

fn non_empty(words: &str, joins: bool) -> Option<ProseLine> {
    let words = words.to_owned();
    (!words.is_empty()).then_some(ProseLine { words, joins })
}

fn comment_mark(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("rs") => "//",
        Some("lua") => "--",
        _ => "#",
    }
}

/// Returns the string literals outside tests.
fn literals(file: &SourceFile) -> Vec<Offence> {
    let mut found = Vec::new();
    let items = file.rust.iter().flat_map(|rust| &rust.items);
    for item in items.filter(|item| !is_test(item)) {
        visit_strings(item.to_token_stream(), &mut |line, words| {
            found.push(Offence::new(&file.path, line, words));
        });
    }
    found
}

/// Calls `visit` with the line and text of every string literal except doc comments.
fn visit_strings(stream: TokenStream, visit: &mut impl FnMut(usize, &str)) {
    let mut is_doc = false;
    for tree in stream {
        match tree {
            TokenTree::Ident(ident) => is_doc = ident == "doc",
            TokenTree::Punct(_) => {}
            TokenTree::Literal(_) if is_doc => is_doc = false,
            TokenTree::Literal(literal) => visit_string(literal, visit),
            TokenTree::Group(group) => {
                is_doc = false;
                visit_strings(group.stream(), visit);
            }
        }
    }
}

fn visit_string(literal: Literal, visit: &mut impl FnMut(usize, &str)) {
    if let syn::Lit::Str(text) = syn::Lit::new(literal) {
        visit(text.span().start().line, &text.value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(path: &str, text: &str) -> Vec<String> {
        let places = paragraphs(&SourceFile::fixture(path, text));
        places.into_iter().map(|place| place.words).collect()
    }

    #[test]
    fn comments_on_lines_in_turn_are_one_paragraph() {
        let text = "// One\n// two.\nfn f() {} // No.\nfn g() {}  // Three.\n";
        assert_eq!(words("a.rs", text), ["One\ntwo.", "Three."]);
    }

    #[test]
    fn literals_are_prose_outside_tests() {
        let text = "const A: &str = \"a\";\n#[cfg(test)]\nmod tests { const B: &str = \"b\"; }\n";
        assert_eq!(words("a.rs", text), ["a"]);
    }
}
