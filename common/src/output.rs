//! Printing to a stdout that may close (`report | head` ends quietly) and a stderr whose disk may be full.

use std::io::{ErrorKind, Write, stderr, stdout};

/// Prints text.
///
/// # Errors
/// When stdout cannot be written, other than by having closed.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Says a line on stderr, or nothing when stderr cannot be written: words are not worth a run.
pub fn say(line: &str) {
    writeln!(stderr(), "{line}").ok();
}

/// Prints a value as JSON, on lines.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &serde_json::Value) -> std::io::Result<()> {
    print(&format!("{value:#}\n"))
}
