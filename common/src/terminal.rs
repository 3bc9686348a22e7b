//! Sanitizes text from other machines before it is written to a terminal or a log.
//!
//! File names, worker names, error messages and specifications come from other people's machines.
//! A control sequence in one of them could rewrite what an operator sees, and a line break could
//! forge a line of a log.

/// Sanitizes text for a terminal: replaces control characters, invisible characters, those that
/// change the direction of text, and line breaks by U+FFFD.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if is_unsafe(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Sanitizes a JSON document: writes the characters that [`plain`] replaces as `\u` and four
/// hexadecimal digits, which keeps the meaning of the document. Line feeds stay, because no JSON
/// string contains one.
#[must_use]
pub fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_unsafe(c) {
            push_escaped(&mut out, c);
        } else {
            out.push(c);
        }
    }
    out
}

fn push_escaped(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

/// Returns true if a terminal could act on the character instead of showing it, or shows nothing.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain_text_has_no_character_that_controls_a_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\u{9b}c\r\nd\u{202e}e\tf"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}d\u{fffd}e\u{fffd}f"
        );
        assert_eq!(plain("r20/fixed/0.25 é 模型"), "r20/fixed/0.25 é 模型");
    }

    #[test]
    fn an_escaped_document_has_the_same_meaning() {
        let value =
            serde_json::json!({"a": "\u{1b}[2J\u{9b}\u{202e}\u{e0041} é\n", "b": [1, null]});
        for text in [value.to_string(), format!("{value:#}\n")] {
            let escaped = escape_json(&text);
            assert!(
                !escaped.chars().any(|c| c != '\n' && is_unsafe(c)),
                "{escaped:?}"
            );
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&escaped).unwrap(),
                value
            );
        }
    }
}
