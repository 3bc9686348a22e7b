//! The bytes of a pickle, read from front to back.

use std::str;

use super::PickleProblem;

pub(super) struct PickleInput<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> PickleInput<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], PickleProblem> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..length).ok_or(PickleProblem::CutOff)?;
        self.at += length;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleProblem> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleProblem> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads a length of `width` bytes, at most 8, little-endian.
    pub(super) fn length(&mut self, width: usize) -> Result<usize, PickleProblem> {
        let mut length = [0; 8];
        length[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(length)).map_err(|_| PickleProblem::CutOff)
    }

    /// Reads bytes after a length of `width` bytes.
    pub(super) fn counted(&mut self, width: usize) -> Result<&'a [u8], PickleProblem> {
        let length = self.length(width)?;
        self.take(length)
    }

    /// Reads to the end of the line, which is left out.
    pub(super) fn line(&mut self) -> Result<&'a [u8], PickleProblem> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or(PickleProblem::CutOff)?)?;
        self.at += 1;
        Ok(line)
    }

    pub(super) fn text_line(&mut self) -> Result<&'a str, PickleProblem> {
        utf8(self.line()?)
    }
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, PickleProblem> {
    str::from_utf8(bytes).map_err(|_| PickleProblem::Damaged("a string is not UTF-8"))
}
