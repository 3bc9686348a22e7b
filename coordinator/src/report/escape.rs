//! Text of others in the formats of reports: what would be markup or a control sequence becomes
//! harmless.

pub(super) use ddrs_common::terminal::escape_json;
#[cfg(test)]
pub(super) use ddrs_common::terminal::is_unsafe;
pub(super) use ddrs_common::terminal::plain;

/// Text between tags or in a quoted attribute of HTML or SVG.
pub(super) fn markup(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Text in a cell or a list item of Markdown. HTML is escaped too, for Markdown passes it through.
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '!' | '|' | '$' => {
                out.extend(['\\', c])
            }
            c => out.push(c),
        }
    }
    out
}

/// Text in a paragraph of LaTeX.
pub(super) fn latex(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '%' | '_' => out.extend(['\\', c]),
            '^' => out.push_str("\\textasciicircum{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("\\symbol{34}"),
            '≥' => out.push_str("$\\geq$"),
            '\u{fffd}' => out.push('?'),
            // After a line break these would begin its argument, or be its star.
            '[' | ']' | '*' => out.extend(['{', c, '}']),
            c => out.push(c),
        }
    }
    out
}

/// A field of CSV: quoted where it must be, and never a formula when a spreadsheet opens it.
pub(super) fn csv(text: &str) -> String {
    let text = plain(text);
    // Some spreadsheets take the wide forms, too.
    let formula = text
        .trim_start()
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    let text = if formula { format!("'{text}") } else { text };
    if text.contains(['"', ',', '\'', ' ']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
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
            "\\textbackslash{}input\\{/etc/passwd\\}\\%\\$x\\_1\\textasciicircum{}2\\textasciitilde{}"
        );
        assert_eq!(latex("\u{1b}"), "?");
        assert_eq!(latex("[1cm]*"), "{[}1cm{]}{*}");
    }

    #[test]
    fn a_field_of_csv_is_one_field_and_no_formula() {
        assert_eq!(csv("r20/fixed/0.25"), "r20/fixed/0.25");
        assert_eq!(csv("a,\"b\"\nc"), "\"a,\"\"b\"\"\u{fffd}c\"");
        for formula in ["=1+1", "+1", "-1", "@x", " =1", "＝1"] {
            assert!(csv(formula).starts_with("\"'"), "{formula}");
        }
    }
}
