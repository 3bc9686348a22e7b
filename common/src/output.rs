//! Printing to a stdout that may close: `report | head` ends quietly.

use std::io::{Error, ErrorKind, Write, stdout};

/// Prints text.
///
/// # Errors
/// When stdout cannot be written, other than by having closed.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Error::new(
            error.kind(),
            format!("cannot write to stdout: {error}"),
        )),
        Ok(()) => Ok(()),
    }
}

/// Prints a value as JSON, on lines, without a character that would steer a terminal.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &serde_json::Value) -> std::io::Result<()> {
    print(&crate::terminal::visible(&format!("{value:#}\n")))
}
