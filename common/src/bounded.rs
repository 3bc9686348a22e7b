//! Reads files of unknown length, up to a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a file of at most `most` bytes. A pipe, such as a shell's `<(…)`, is read as well, up to
/// the limit.
///
/// # Errors
/// When the file cannot be read, or is longer: [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is longer than the {most} bytes allowed"),
        ));
    }
    Ok(bytes)
}

/// Reads a text file of at most `most` bytes.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is not UTF-8: {}", error.utf8_error()),
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_without_end_is_refused_and_one_that_just_fits_is_read() {
        let error = read(Path::new("/dev/zero"), 1000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "four").unwrap();
        assert_eq!(read_text(file.path(), 4).unwrap(), "four");
        assert_eq!(
            read_text(file.path(), 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        std::fs::write(file.path(), b"\xff").unwrap();
        assert_eq!(
            read_text(file.path(), 4).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
