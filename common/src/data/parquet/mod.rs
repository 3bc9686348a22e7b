//! Parquet as Hugging Face publishes datasets of images: a column of encoded images and one of
//! labels, in one file or in numbered files.
//!
//! In reading order:
//! - this file: the rows of all files as samples
//! - `shards`: the files of a split
//! - `footer`: columns and groups of rows; `thrift` reads the metadata
//! - `page`: the values of a column; `levels` reads runs of small numbers
//!
//! Opening reads footers, headers of pages and labels. An image is read with its page.

mod footer;
mod levels;
mod page;
mod shards;
mod thrift;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::array_names::find_pair;
use super::bytes::ByteRange;
use super::decode::{Rgb, decode};
use super::files::SharedFile;
use super::{DataError, Fault};
use crate::domain::Class;
use crate::roots::Roots;
use crate::spec::DatasetSpec;
use footer::{Column, ColumnType, Footer, RowGroup};
use page::{ChunkPages, Page, PageError, PageValues};

/// The most rows that are read: their labels and pages are in memory.
const MAX_ROWS: u64 = 20_000_000;

/// The number of unpacked pages that are kept.
const CACHED_PAGES: usize = 8;

/// The open files, their labels, and where their images lie.
#[derive(Debug)]
pub(super) struct ParquetFiles {
    shards: Vec<Shard>,
    labels: Vec<Class>,
    pages: Vec<ImagePage>,
    classes: Option<u32>,
    is_for_tests: bool,
    cache: Mutex<VecDeque<(usize, Arc<PageValues>)>>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    file: ByteRange,
    images: Column,
}

/// A page of images.
#[derive(Debug)]
struct ImagePage {
    shard: usize,
    /// The place of its first row.
    first: usize,
    page: Page,
    dictionary: Option<Arc<Page>>,
}

impl ParquetFiles {
    pub(super) fn open(spec: &DatasetSpec, roots: &Roots) -> Result<Self, DataError> {
        let list = shards::list(spec)?;
        let mut files = Self {
            shards: Vec::new(),
            labels: Vec::new(),
            pages: Vec::new(),
            classes: None,
            is_for_tests: list.is_for_tests,
            cache: Mutex::new(VecDeque::new()),
        };
        for path in &list.paths {
            files.add_shard(spec, path, roots)?;
        }
        if files.labels.is_empty() {
            return Err(DataError::layout(&spec.path, "holds no row"));
        }
        Ok(files)
    }

    fn add_shard(
        &mut self,
        spec: &DatasetSpec,
        path: &Path,
        roots: &Roots,
    ) -> Result<(), DataError> {
        let file = ByteRange::of_file(SharedFile::open(path, roots)?);
        let footer = Footer::read(&file).map_err(DataError::io(path))?;
        let footer = footer.map_err(|what| DataError::layout(path, what))?;
        let columns = ImageColumns::find(spec, path, &footer)?;
        self.classes = footer.classes(&columns.labels.path[0]);
        for group in &footer.groups {
            let read = self.add_group(&file, group, &columns);
            read.map_err(|error| page_error(path, error))?;
        }
        self.shards.push(Shard {
            path: path.to_owned(),
            file,
            images: columns.images,
        });
        Ok(())
    }

    fn add_group(
        &mut self,
        file: &ByteRange,
        group: &RowGroup,
        columns: &ImageColumns,
    ) -> Result<(), PageError> {
        let first = self.labels.len();
        if group.rows > MAX_ROWS - first as u64 {
            let what = format!("it has more than the {MAX_ROWS} rows allowed");
            return Err(PageError::Damaged(what));
        }
        let labels = column_pages(file, group, &columns.labels)?;
        for page in &labels.data {
            self.add_labels(page, labels.dictionary.as_ref(), &columns.labels)?;
        }
        let images = column_pages(file, group, &columns.images)?;
        self.add_images(first, images);
        Ok(())
    }

    fn add_images(&mut self, mut first: usize, pages: ChunkPages) {
        let dictionary = pages.dictionary.map(Arc::new);
        for page in pages.data {
            let rows = page.values as usize;
            self.pages.push(ImagePage {
                shard: self.shards.len(),
                first,
                page,
                dictionary: dictionary.clone(),
            });
            first += rows;
        }
    }

    fn add_labels(
        &mut self,
        page: &Page,
        dictionary: Option<&Page>,
        column: &Column,
    ) -> Result<(), PageError> {
        let values = PageValues::read(page, dictionary, column)?;
        for place in 0..page.values as usize {
            let row = self.labels.len();
            let label = values.get(place).map(number);
            let class = label.and_then(|label| u32::try_from(label).ok());
            let class = class.ok_or_else(|| PageError::Damaged(not_a_class(row, label)))?;
            self.labels.push(Class(class));
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The number of classes, if the files tell it.
    pub(super) fn classes(&self) -> Option<u32> {
        self.classes
    }

    pub(super) fn is_for_tests(&self) -> bool {
        self.is_for_tests
    }

    pub(super) fn label(&self, place: usize) -> Class {
        self.labels[place]
    }

    pub(super) fn path(&self, place: usize) -> &Path {
        &self.shards[self.pages[self.page_of(place)].shard].path
    }

    pub(super) fn image(&self, place: usize) -> Result<Rgb, Fault> {
        let number = self.page_of(place);
        let values = self.values(number).map_err(page_fault)?;
        let bytes = values.get(place - self.pages[number].first);
        let missing = || Fault::Damaged("the row holds no bytes of an image".to_owned());
        decode(bytes.ok_or_else(missing)?)
    }

    /// The unpacked page, from the cache if it is there.
    fn values(&self, number: usize) -> Result<Arc<PageValues>, PageError> {
        if let Some(values) = self.cached(number) {
            return Ok(values);
        }
        let ImagePage {
            shard,
            page,
            dictionary,
            ..
        } = &self.pages[number];
        let column = &self.shards[*shard].images;
        let values = Arc::new(PageValues::read(page, dictionary.as_deref(), column)?);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.truncate(CACHED_PAGES - 1);
        cache.push_front((number, Arc::clone(&values)));
        Ok(values)
    }

    fn cached(&self, number: usize) -> Option<Arc<PageValues>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pages = cache.iter();
        pages.find_map(|(cached, values)| (*cached == number).then(|| Arc::clone(values)))
    }

    fn page_of(&self, place: usize) -> usize {
        // The first page starts at 0, and pages cover all rows.
        self.pages.partition_point(|page| page.first <= place) - 1
    }

    /// SHA-256 of the files' bytes, one after the other.
    pub(super) fn digest(&self) -> Result<[u8; 32], DataError> {
        let mut sha = Sha256::new();
        for Shard { path, file, .. } in &self.shards {
            file.hash_into(&mut sha).map_err(DataError::io(path))?;
        }
        Ok(sha.finalize().into())
    }
}

fn column_pages(
    file: &ByteRange,
    group: &RowGroup,
    column: &Column,
) -> Result<ChunkPages, PageError> {
    let Some(chunk) = group.chunk(column) else {
        let name = column.path.join(".");
        return Err(PageError::Damaged(format!(
            "a group of rows lacks column {name:?}"
        )));
    };
    ChunkPages::read(file, chunk, group.rows)
}

/// The value of a whole number of 4 or 8 bytes.
fn number(bytes: &[u8]) -> i64 {
    match bytes {
        [a, b, c, d] => i32::from_le_bytes([*a, *b, *c, *d]).into(),
        _ => bytes
            .first_chunk()
            .map_or(-1, |bytes| i64::from_le_bytes(*bytes)),
    }
}

fn not_a_class(row: usize, label: Option<i64>) -> String {
    match label {
        Some(label) => format!("row {row} has label {label}, which is not a class"),
        None => format!("row {row} has no label"),
    }
}

fn page_error(path: &Path, error: PageError) -> DataError {
    match error {
        PageError::Io(cause) => DataError::io(path)(cause),
        PageError::Damaged(what) => DataError::layout(path, what),
    }
}

fn page_fault(error: PageError) -> Fault {
    match error {
        PageError::Io(cause) => Fault::Io(cause),
        PageError::Damaged(what) => Fault::Damaged(what),
    }
}

/// The columns of images and labels.
struct ImageColumns {
    images: Column,
    labels: Column,
}

impl ImageColumns {
    fn find(spec: &DatasetSpec, path: &Path, footer: &Footer) -> Result<Self, DataError> {
        let columns = footer.columns.iter();
        let mut names: Vec<String> = columns.map(|column| column.path[0].clone()).collect();
        names.dedup();
        let pair = find_pair(path, spec.names.as_ref(), None, &names)?;
        let images = footer
            .columns
            .iter()
            .find(|column| is_image(column, &pair.images));
        let labels = footer
            .columns
            .iter()
            .find(|column| is_label(column, &pair.labels));
        let not_images = || wrong_column(path, &pair.images, "encoded images");
        let not_labels = || wrong_column(path, &pair.labels, "whole numbers");
        Ok(Self {
            images: images.ok_or_else(not_images)?.clone(),
            labels: labels.ok_or_else(not_labels)?.clone(),
        })
    }
}

/// Returns true for a column of encoded images: bytes, or the bytes of a group of that name.
fn is_image(column: &Column, name: &str) -> bool {
    let path: Vec<&str> = column.path.iter().map(String::as_str).collect();
    column.kind == ColumnType::Binary && (path == [name] || path == [name, "bytes"])
}

fn is_label(column: &Column, name: &str) -> bool {
    column.kind != ColumnType::Binary && column.path == [name]
}

fn wrong_column(path: &Path, name: &str, wanted: &str) -> DataError {
    let what = format!("column {name:?} does not hold {wanted}; set dataset.names");
    DataError::layout(path, what)
}

#[cfg(test)]
#[path = "../tests/parquet.rs"]
mod tests;
