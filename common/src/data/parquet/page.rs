//! Pages: the values of one column, packed together.

use std::io::{self, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::footer::{Column, ColumnChunk, ColumnType};
use super::levels;
use super::thrift::ThriftStruct;
use crate::data::bytes::ByteRange;

/// The longest header of a page: it may hold the smallest and the largest value.
const MAX_HEADER: u64 = 1 << 16;
/// The largest page that is unpacked. Programs write pages of about 1 MiB.
const MAX_PAGE: u64 = 256 << 20;

const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE_DICTIONARY: i64 = 8;

const DATA: i64 = 0;
const INDEX: i64 = 1;
const DICTIONARY: i64 = 2;
const DATA_V2: i64 = 3;

/// A failure to read pages: the system's, or one that names the problem.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(String),
}

fn damaged<T>(what: &str) -> Result<T, PageError> {
    Err(PageError::Damaged(what.to_owned()))
}

/// Where a page lies, and what its header says.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// The number of values, missing ones included.
    pub(super) values: u64,
    kind: PageKind,
    encoding: i64,
    codec: i64,
    body: ByteRange,
    unpacked: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum PageKind {
    Dictionary,
    Data,
    /// Levels come first, without compression.
    DataV2 {
        levels: usize,
        repetitions: usize,
        is_packed: bool,
    },
}

/// The pages of one column in one group of rows.
#[derive(Debug, Clone)]
pub(super) struct ChunkPages {
    pub(super) dictionary: Option<Page>,
    pub(super) data: Vec<Page>,
}

impl ChunkPages {
    /// Reads the headers of all pages, which must have one value per row.
    pub(super) fn read(
        file: &ByteRange,
        chunk: &ColumnChunk,
        rows: u64,
    ) -> Result<Self, PageError> {
        let Some(range) = file.part(chunk.start, chunk.len) else {
            return damaged("a column lies past the end of the file");
        };
        let mut pages = Self {
            dictionary: None,
            data: Vec::new(),
        };
        let mut at = 0;
        let mut found = 0;
        while found < rows {
            let (page, end) = read_page(&range, at, chunk.codec)?;
            at = end;
            match page {
                Some(page) if page.kind == PageKind::Dictionary => pages.dictionary = Some(page),
                Some(page) => {
                    found = page.values.saturating_add(found);
                    pages.data.push(page);
                }
                None => {}
            }
        }
        if found > rows {
            return damaged("a column has more values than rows");
        }
        Ok(pages)
    }
}

/// Reads the header of a page. Returns the page and where it ends; `None` for a page of an index.
fn read_page(range: &ByteRange, at: u64, codec: i64) -> Result<(Option<Page>, u64), PageError> {
    let left = range.len().saturating_sub(at);
    let bytes = range.read(at, left.min(MAX_HEADER) as usize)?;
    let Some((header, length)) = ThriftStruct::read(&bytes) else {
        return damaged("the header of a page is damaged");
    };
    let sizes = header.size(2).zip(header.size(3));
    let Some((unpacked, packed)) = sizes.filter(|(unpacked, _)| *unpacked <= MAX_PAGE) else {
        return damaged("a page is damaged, or larger than the 256 MiB allowed");
    };
    let start = at + length as u64;
    let Some(body) = range.part(start, packed) else {
        return damaged("a page is cut short");
    };
    let end = start + packed;
    if header.int(1) == Some(INDEX) {
        return Ok((None, end));
    }
    let Some((kind, values, encoding)) = page_kind(&header) else {
        return damaged("the header of a page is damaged");
    };
    let page = Page {
        values,
        kind,
        encoding,
        codec,
        body,
        unpacked: unpacked as usize,
    };
    Ok((Some(page), end))
}

/// The kind of a page, the number of its values, and their encoding.
fn page_kind(header: &ThriftStruct) -> Option<(PageKind, u64, i64)> {
    let (kind, facts, encoding) = match header.int(1)? {
        DATA => (PageKind::Data, header.fields(5)?, 2),
        DICTIONARY => (PageKind::Dictionary, header.fields(7)?, 2),
        DATA_V2 => {
            let facts = header.fields(8)?;
            let kind = PageKind::DataV2 {
                levels: usize::try_from(facts.size(5)?).ok()?,
                repetitions: usize::try_from(facts.size(6)?).ok()?,
                is_packed: facts.bool(7).unwrap_or(true),
            };
            (kind, facts, 4)
        }
        _ => return None,
    };
    Some((kind, facts.size(1)?, facts.int(encoding)?))
}

/// The unpacked values of a page.
#[derive(Debug)]
pub(super) struct PageValues {
    buffer: Arc<Vec<u8>>,
    /// Where each value lies in the buffer; `None` if it is missing.
    places: Vec<Option<(usize, usize)>>,
}

impl PageValues {
    /// Unpacks a page of data.
    pub(super) fn read(
        page: &Page,
        dictionary: Option<&Page>,
        column: &Column,
    ) -> Result<Self, PageError> {
        let (levels, body) = page.parts(column)?;
        let present = levels
            .iter()
            .filter(|&&level| level == column.most_level)
            .count();
        let values = match page.encoding {
            PLAIN => plain(body, column.kind, present),
            PLAIN_DICTIONARY | RLE_DICTIONARY => {
                let Some(dictionary) = dictionary else {
                    return damaged("a page needs a dictionary that is missing");
                };
                let entries = dictionary_values(dictionary, column)?;
                indexed(&body, &entries, present)
            }
            other => return damaged(&unsupported_encoding(other)),
        };
        let Some(values) = values else {
            return damaged("the values of a page are damaged");
        };
        Ok(values.with_missing(&levels, column.most_level))
    }

    pub(super) fn get(&self, place: usize) -> Option<&[u8]> {
        let (start, end) = (*self.places.get(place)?)?;
        self.buffer.get(start..end)
    }

    /// Puts the missing values where levels say so.
    fn with_missing(self, levels: &[u32], most: u32) -> Self {
        let mut places = self.places.into_iter();
        let levels = levels.iter();
        Self {
            buffer: self.buffer,
            places: levels
                .map(|&level| if level == most { places.next()? } else { None })
                .collect(),
        }
    }
}

fn unsupported_encoding(encoding: i64) -> String {
    format!(
        "its pages have encoding {encoding}, which is not supported; write the file anew with \
         plain or dictionary encoding"
    )
}

fn dictionary_values(dictionary: &Page, column: &Column) -> Result<PageValues, PageError> {
    let body = unpack(
        &dictionary.body.read(0, dictionary.packed_len())?,
        dictionary,
    )?;
    let count = usize::try_from(dictionary.values).unwrap_or(usize::MAX);
    match plain(body, column.kind, count) {
        Some(values) => Ok(values),
        None => damaged("a dictionary is damaged"),
    }
}

/// Finds `count` values that lie one after the other.
fn plain(buffer: Vec<u8>, kind: ColumnType, count: usize) -> Option<PageValues> {
    let mut places = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let (start, length) = match kind {
            ColumnType::Int32 => (at, 4),
            ColumnType::Int64 => (at, 8),
            ColumnType::Binary => {
                let length = buffer.get(at..)?.first_chunk()?;
                (at + 4, u32::from_le_bytes(*length) as usize)
            }
        };
        at = start + length;
        buffer.get(start..at)?;
        places.push(Some((start, at)));
    }
    Some(PageValues {
        buffer: Arc::new(buffer),
        places,
    })
}

/// Finds `count` values in a dictionary.
fn indexed(body: &[u8], entries: &PageValues, count: usize) -> Option<PageValues> {
    let indices = match body.split_first() {
        Some((&width, bytes)) => levels::decode(bytes, width.into(), count)?,
        None if count == 0 => Vec::new(),
        None => return None,
    };
    let indices = indices.into_iter();
    let places: Option<_> = indices
        .map(|index| entries.places.get(index as usize).copied())
        .collect();
    Some(PageValues {
        buffer: Arc::clone(&entries.buffer),
        places: places?,
    })
}

impl Page {
    fn packed_len(&self) -> usize {
        // A part of a file that lies in memory or was checked against its length.
        self.body.len() as usize
    }

    /// Unpacks the page. Returns the level of every value, and the bytes of the values.
    fn parts(&self, column: &Column) -> Result<(Vec<u32>, Vec<u8>), PageError> {
        let body = self.body.read(0, self.packed_len())?;
        let width = levels::width_of(column.most_level);
        let count = usize::try_from(self.values).unwrap_or(usize::MAX);
        let (levels, values) = match self.kind {
            PageKind::DataV2 {
                levels: length,
                repetitions,
                is_packed,
            } => {
                let parts = body.split_at_checked(repetitions);
                let parts = parts.and_then(|(_, rest)| rest.split_at_checked(length));
                let Some((levels, values)) = parts else {
                    return damaged("the levels of a page are damaged");
                };
                let levels = levels::decode(levels, width, count);
                let before = length.saturating_add(repetitions);
                (levels, self.unpack_values(values, before, is_packed)?)
            }
            _ if column.most_level == 0 => (Some(vec![0; count]), unpack(&body, self)?),
            _ => {
                let mut unpacked = unpack(&body, self)?;
                let levels = split_levels(&mut unpacked);
                let levels = levels.and_then(|levels| levels::decode(&levels, width, count));
                (levels, unpacked)
            }
        };
        match levels {
            Some(levels) => Ok((levels, values)),
            None => damaged("the levels of a page are damaged"),
        }
    }

    fn unpack_values(
        &self,
        values: &[u8],
        before: usize,
        is_packed: bool,
    ) -> Result<Vec<u8>, PageError> {
        if is_packed {
            unpack_to(values, self.codec, self.unpacked.saturating_sub(before))
        } else {
            Ok(values.to_vec())
        }
    }
}

/// Takes the levels from the front of a page: their length, then they themselves.
fn split_levels(unpacked: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::from_le_bytes(*unpacked.first_chunk()?) as usize;
    let end = length.checked_add(4).filter(|&end| end <= unpacked.len())?;
    let values = unpacked.split_off(end);
    let mut levels = std::mem::replace(unpacked, values);
    levels.drain(..4);
    Some(levels)
}

fn unpack(bytes: &[u8], page: &Page) -> Result<Vec<u8>, PageError> {
    unpack_to(bytes, page.codec, page.unpacked)
}

/// Unpacks bytes to a known length.
fn unpack_to(bytes: &[u8], codec: i64, length: usize) -> Result<Vec<u8>, PageError> {
    let unpacked = match codec {
        0 => bytes.to_vec(),
        1 => unpack_snappy(bytes, length)?,
        2 => unpack_gzip(bytes, length)?,
        other => {
            return damaged(&format!(
                "its pages are packed by {}, which is not supported; write the file anew with \
                 snappy or gzip",
                codec_name(other)
            ));
        }
    };
    if unpacked.len() == length {
        Ok(unpacked)
    } else {
        damaged("a page unpacks to another length than its header says")
    }
}

fn unpack_snappy(bytes: &[u8], length: usize) -> Result<Vec<u8>, PageError> {
    // The length is read before memory is taken.
    let described = snap::raw::decompress_len(bytes).ok();
    if described != Some(length) {
        return damaged("a page unpacks to another length than its header says");
    }
    let unpacked = snap::raw::Decoder::new().decompress_vec(bytes);
    unpacked.map_err(|error| PageError::Damaged(format!("a page cannot be unpacked: {error}")))
}

fn unpack_gzip(bytes: &[u8], length: usize) -> Result<Vec<u8>, PageError> {
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(bytes)
        .take(length as u64 + 1)
        .read_to_end(&mut unpacked);
    match read {
        Ok(_) => Ok(unpacked),
        Err(error) => damaged(&format!("a page cannot be unpacked: {error}")),
    }
}

fn codec_name(codec: i64) -> String {
    let names = [
        "none", "snappy", "gzip", "lzo", "brotli", "lz4", "zstd", "lz4",
    ];
    let name = usize::try_from(codec)
        .ok()
        .and_then(|codec| names.get(codec));
    name.map_or_else(|| format!("codec {codec}"), |name| (*name).to_owned())
}
