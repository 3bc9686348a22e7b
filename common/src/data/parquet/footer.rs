//! The metadata at the end of a Parquet file: its columns, and where their pages lie.

use serde_json::Value;

use super::thrift::ThriftStruct;
use crate::data::bytes::ByteRange;

pub(super) const MAGIC: &[u8] = b"PAR1";

/// The longest footer that is read.
const MAX_FOOTER: u64 = 16 << 20;

/// Parquet's numbers of physical types.
const INT32: i64 = 1;
const INT64: i64 = 2;
const BYTE_ARRAY: i64 = 6;

/// The type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    Int32,
    Int64,
    Binary,
}

/// A column that can be read: one value per row, or none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    /// The names from the outermost group to the column.
    pub(super) path: Vec<String>,
    pub(super) kind: ColumnType,
    /// The level of a value that is there: the number of groups that may be missing.
    pub(super) most_level: u32,
}

/// The rows of a file that lie together.
#[derive(Debug)]
pub(super) struct RowGroup {
    pub(super) rows: u64,
    chunks: Vec<ColumnChunk>,
}

/// The pages of one column in one group of rows.
#[derive(Debug, Clone)]
pub(super) struct ColumnChunk {
    path: Vec<String>,
    pub(super) codec: i64,
    /// Where its pages lie in the file.
    pub(super) start: u64,
    pub(super) len: u64,
}

impl RowGroup {
    /// The chunk of a column.
    pub(super) fn chunk(&self, column: &Column) -> Option<&ColumnChunk> {
        self.chunks.iter().find(|chunk| chunk.path == column.path)
    }
}

/// The metadata of a file.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) columns: Vec<Column>,
    pub(super) groups: Vec<RowGroup>,
    /// What Hugging Face's library says about the columns.
    features: Value,
}

impl Footer {
    pub(super) fn read(file: &ByteRange) -> std::io::Result<Result<Self, &'static str>> {
        let len = file.len();
        if len < 12 || !file.starts_with(MAGIC) {
            return Ok(Err("is not a Parquet file"));
        }
        let tail = file.read(len - 8, 8)?;
        let (length, magic) = tail.split_at(4);
        let length = length
            .iter()
            .rev()
            .fold(0, |length, &byte| length << 8 | u64::from(byte));
        if magic != MAGIC || length > len - 12 {
            return Ok(Err("is a Parquet file that is cut short or encrypted"));
        }
        if length > MAX_FOOTER {
            return Ok(Err("has a footer longer than the 16 MiB allowed"));
        }
        let bytes = file.read(len - 8 - length, length as usize)?;
        Ok(parse(&bytes).ok_or("has a damaged footer"))
    }

    /// The number of classes of a column of labels, if the file tells it.
    pub(super) fn classes(&self, column: &str) -> Option<u32> {
        let names = self.features[column]["names"].as_array()?;
        u32::try_from(names.len()).ok()
    }
}

fn parse(bytes: &[u8]) -> Option<Footer> {
    let (footer, _) = ThriftStruct::read(bytes)?;
    let schema: Vec<&ThriftStruct> = footer.structs(2).collect();
    let mut columns = Vec::new();
    let mut walk = SchemaWalk {
        rest: schema.get(1..)?,
        columns: &mut columns,
    };
    walk.group(schema.first()?.size(5)?, &Nesting::default())?;
    let groups: Option<_> = footer.structs(4).map(row_group).collect();
    Some(Footer {
        columns,
        groups: groups?,
        features: features(&footer),
    })
}

fn features(footer: &ThriftStruct) -> Value {
    let entry = footer
        .structs(5)
        .find(|entry| entry.text(1) == Some("huggingface"));
    let text = entry.and_then(|entry| entry.text(2));
    let value = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    value.map_or(Value::Null, |mut value| value["info"]["features"].take())
}

fn row_group(group: &ThriftStruct) -> Option<RowGroup> {
    Some(RowGroup {
        rows: group.size(3)?,
        chunks: group.structs(1).filter_map(column_chunk).collect(),
    })
}

/// Reads where a chunk lies; `None` if it is damaged or in another file, which is an error only for
/// the columns that are read.
fn column_chunk(chunk: &ThriftStruct) -> Option<ColumnChunk> {
    if chunk.text(1).is_some() {
        return None;
    }
    let facts = chunk.fields(3)?;
    let data = facts.size(9)?;
    let dictionary = facts.size(11).filter(|&offset| offset > 0);
    let path = facts.texts(3).into_iter();
    Some(ColumnChunk {
        path: path.map(str::to_owned).collect(),
        codec: facts.int(4)?,
        start: dictionary.map_or(data, |dictionary| dictionary.min(data)),
        len: facts.size(7)?,
    })
}

/// The groups around a part of the schema.
#[derive(Debug, Clone, Default)]
struct Nesting {
    path: Vec<String>,
    optional: u32,
    is_repeated: bool,
}

impl Nesting {
    fn inside(&self, element: &ThriftStruct) -> Option<Self> {
        let mut path = self.path.clone();
        path.push(element.text(4)?.to_owned());
        let repetition = element.int(3).unwrap_or(0);
        Some(Self {
            path,
            optional: self.optional + u32::from(repetition == 1),
            is_repeated: self.is_repeated || repetition == 2,
        })
    }
}

/// The deepest group that is read.
const MAX_NESTING: usize = 8;

/// Goes through the schema, which lists groups before their members.
struct SchemaWalk<'s, 'a> {
    rest: &'s [&'s ThriftStruct<'a>],
    columns: &'s mut Vec<Column>,
}

impl SchemaWalk<'_, '_> {
    fn group(&mut self, members: u64, around: &Nesting) -> Option<()> {
        if around.path.len() > MAX_NESTING {
            return None;
        }
        for _ in 0..members {
            let (element, rest) = self.rest.split_first()?;
            self.rest = rest;
            let nesting = around.inside(element)?;
            match element.size(5) {
                Some(members) if members > 0 => self.group(members, &nesting)?,
                _ => self.columns.extend(column(element, nesting)),
            }
        }
        Some(())
    }
}

/// A column; `None` if its type or its nesting cannot be read.
fn column(element: &ThriftStruct, nesting: Nesting) -> Option<Column> {
    let kind = match element.int(1)? {
        INT32 => ColumnType::Int32,
        INT64 => ColumnType::Int64,
        BYTE_ARRAY => ColumnType::Binary,
        _ => return None,
    };
    (!nesting.is_repeated).then_some(Column {
        path: nesting.path,
        kind,
        most_level: nesting.optional,
    })
}
