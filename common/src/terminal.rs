//! Text of others on its way to a terminal or a log: what would do something other than being seen
//! becomes harmless.
//!
//! Names of files and workers, reasons of failures and specifications come from other people's
//! machines. A control sequence in one of them could rewrite what an operator sees, and a line
//! break could forge a line of a log.

/// Text for a terminal: control characters, those that turn or hide text, and line breaks become
/// U+FFFD.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect()
}

/// A JSON document whose strings would steer a terminal: such characters are written as `\u` and
/// four hexadecimal digits, which changes nothing of what the document means. Line feeds, which no
/// string of JSON holds, stay.
#[must_use]
pub fn visible(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && steers(c) {
            let mut units = [0; 2];
            out.extend(
                c.encode_utf16(&mut units)
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}")),
            );
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character does something other than being seen.
#[must_use]
pub fn steers(c: char) -> bool {
    let hidden = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || hidden
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\u{9b}c\r\nd\u{202e}e\tf"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}d\u{fffd}e\u{fffd}f"
        );
        assert_eq!(plain("r20/fixed/0.25 é 模型"), "r20/fixed/0.25 é 模型");
    }

    #[test]
    fn a_document_means_the_same_once_its_characters_are_visible() {
        let value =
            serde_json::json!({"a": "\u{1b}[2J\u{9b}\u{202e}\u{e0041} é\n", "b": [1, null]});
        for text in [value.to_string(), format!("{value:#}\n")] {
            let shown = visible(&text);
            assert!(!shown.chars().any(|c| c != '\n' && steers(c)), "{shown:?}");
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
                value
            );
        }
    }
}
