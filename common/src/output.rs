//! Printing to stdout. A closed stdout, as in `report | head`, is not an error.

use std::io::{self, Error, ErrorKind, Write, stdout};

/// Prints text.
///
/// # Errors
/// When stdout cannot be written, unless it is closed.
pub fn print(text: &str) -> io::Result<()> {
    match write(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Error::new(
            error.kind(),
            format!("cannot write to stdout: {error}"),
        )),
        Ok(()) => Ok(()),
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a value as indented JSON, without characters that could control a terminal.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &serde_json::Value) -> io::Result<()> {
    print(&crate::terminal::escape_json(&format!("{value:#}\n")))
}
