//! Escapes text from specifications and files of other people, so that no format reads it as
//! markup or as a control sequence.

pub(super) use ddrs_common::terminal::escape_json;
#[cfg(test)]
pub(super) use ddrs_common::terminal::is_unsafe;
pub(super) use ddrs_common::terminal::plain;

/// Escapes text between tags, or in a quoted attribute, of HTML or SVG.
pub(super) fn markup(text: &str) -> String {
    escaped(text, |c| {
        entity(c).or_else(|| quote_entity(c)).map(str::to_owned)
    })
}

/// Escapes text in a cell or a list item of Markdown, and HTML too, because Markdown passes it
/// through.
pub(super) fn markdown(text: &str) -> String {
    escaped(text, |c| {
        with_backslash(c, &MARKDOWN).or_else(|| entity(c).map(str::to_owned))
    })
}

/// Escapes text in a paragraph of LaTeX.
pub(super) fn latex(text: &str) -> String {
    escaped(text, |c| {
        with_backslash(c, &LATEX)
            .or_else(|| in_braces(c))
            .or_else(|| latex_symbol(c).map(str::to_owned))
    })
}

/// Escapes texts with `escape` and joins them.
pub(super) fn joined(texts: &[String], separator: &str, escape: fn(&str) -> String) -> String {
    let escaped: Vec<String> = texts.iter().map(|text| escape(text)).collect();
    escaped.join(separator)
}

/// Characters that a backslash escapes in Markdown.
const MARKDOWN: [char; 11] = ['\\', '`', '*', '_', '[', ']', '#', '~', '!', '|', '$'];

/// Characters that a backslash escapes in LaTeX.
const LATEX: [char; 7] = ['{', '}', '$', '&', '#', '%', '_'];

fn with_backslash(c: char, special: &[char]) -> Option<String> {
    special.contains(&c).then(|| format!("\\{c}"))
}

/// Puts a character into braces that LaTeX would read as part of a line break before it: as its
/// star, or as the bracket of its argument.
fn in_braces(c: char) -> Option<String> {
    matches!(c, '[' | ']' | '*').then(|| format!("{{{c}}}"))
}

fn latex_symbol(c: char) -> Option<&'static str> {
    Some(match c {
        '\\' => "\\textbackslash{}",
        '^' => "\\textasciicircum{}",
        '~' => "\\textasciitilde{}",
        '<' => "\\textless{}",
        '>' => "\\textgreater{}",
        '|' => "\\textbar{}",
        '"' => "\\symbol{34}",
        '≥' => "$\\geq$",
        '\u{fffd}' => "?",
        _ => return None,
    })
}

fn entity(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

fn quote_entity(c: char) -> Option<&'static str> {
    match c {
        '\'' => Some("&#39;"),
        '"' => Some("&quot;"),
        _ => None,
    }
}

/// Replaces control sequences, then each character for which there is an escape.
fn escaped(text: &str, escape: impl Fn(char) -> Option<String>) -> String {
    let characters = plain(text);
    characters
        .chars()
        .map(|c| escape(c).unwrap_or_else(|| c.to_string()))
        .collect()
}

/// Characters that begin a formula. Some spreadsheets accept the wide forms too.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Escapes a field of CSV: quotes it where that is necessary, and prevents a spreadsheet from
/// reading it as a formula.
pub(super) fn csv(text: &str) -> String {
    let text = as_no_formula(plain(text));
    if text.contains(['"', ',', '\'', ' ']) {
        quoted(&text)
    } else {
        text
    }
}

fn as_no_formula(text: String) -> String {
    if text.trim_start().starts_with(FORMULA_STARTS) {
        format!("'{text}")
    } else {
        text
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup() {
        assert_eq!(
            markup("<script>\"'&\u{0}"),
            "&lt;script&gt;&quot;&#39;&amp;\u{fffd}"
        );
        assert_eq!(
            markdown("a|b <i> [x](y) `c` \\|"),
            "a\\|b &lt;i&gt; \\[x\\](y) \\`c\\` \\\\\\|"
        );
        assert_eq!(
            latex("\\input{/etc/passwd}%$x_1^2~"),
            concat!(
                "\\textbackslash{}input\\{/etc/passwd\\}\\%\\$x\\_1",
                "\\textasciicircum{}2\\textasciitilde{}"
            )
        );
        assert_eq!(latex("\u{1b}"), "?");
        assert_eq!(latex("[1cm]*"), "{[}1cm{]}{*}");
    }

    #[test]
    fn a_field_of_csv_is_one_field_and_never_a_formula() {
        assert_eq!(csv("r20/fixed/0.25"), "r20/fixed/0.25");
        assert_eq!(csv("a,\"b\"\nc"), "\"a,\"\"b\"\"\u{fffd}c\"");
        for formula in ["=1+1", "+1", "-1", "@x", " =1", "＝1"] {
            assert!(csv(formula).starts_with("\"'"), "{formula}");
        }
    }
}
