//! Thrift's compact protocol, in which Parquet writes its metadata. Only what it uses is read.

/// The deepest nesting that is read: Parquet's own is 7.
const MAX_DEPTH: usize = 16;

/// A value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ThriftValue<'a> {
    Bool(bool),
    Int(i64),
    Binary(&'a [u8]),
    List(Vec<Self>),
    Struct(ThriftStruct<'a>),
}

/// The fields of a struct, by their numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ThriftStruct<'a>(Vec<(i16, ThriftValue<'a>)>);

impl<'a> ThriftStruct<'a> {
    /// Reads the struct at the start of `bytes`. Returns it with its length; `None` if it is
    /// damaged or cut off.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let mut input = ThriftInput { bytes, at: 0 };
        let read = input.fields(MAX_DEPTH)?;
        Some((read, input.at))
    }

    fn get(&self, number: i16) -> Option<&ThriftValue<'a>> {
        let mut fields = self.0.iter();
        fields.find_map(|(field, value)| (*field == number).then_some(value))
    }

    pub(super) fn int(&self, number: i16) -> Option<i64> {
        match self.get(number)? {
            ThriftValue::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A number that is not negative.
    pub(super) fn size(&self, number: i16) -> Option<u64> {
        u64::try_from(self.int(number)?).ok()
    }

    pub(super) fn bool(&self, number: i16) -> Option<bool> {
        match self.get(number)? {
            ThriftValue::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn text(&self, number: i16) -> Option<&'a str> {
        self.get(number)?.text()
    }

    pub(super) fn fields(&self, number: i16) -> Option<&Self> {
        match self.get(number)? {
            ThriftValue::Struct(fields) => Some(fields),
            _ => None,
        }
    }

    /// The structs of a list; empty without the list.
    pub(super) fn structs(&self, number: i16) -> impl Iterator<Item = &Self> {
        self.list(number).iter().filter_map(|value| match value {
            ThriftValue::Struct(fields) => Some(fields),
            _ => None,
        })
    }

    /// The texts of a list; empty without the list.
    pub(super) fn texts(&self, number: i16) -> Vec<&'a str> {
        let values = self.list(number).iter();
        values.filter_map(ThriftValue::text).collect()
    }

    fn list(&self, number: i16) -> &[ThriftValue<'a>] {
        match self.get(number) {
            Some(ThriftValue::List(values)) => values,
            _ => &[],
        }
    }
}

impl<'a> ThriftValue<'a> {
    fn text(&self) -> Option<&'a str> {
        match self {
            Self::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

struct ThriftInput<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The types of the compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const STRUCT: u8 = 12;

impl<'a> ThriftInput<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(taken)
    }

    /// A number in groups of seven bits, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A number whose lowest bit is its sign.
    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn fields(&mut self, depth: usize) -> Option<ThriftStruct<'a>> {
        let mut fields = ThriftStruct::default();
        let mut number = 0_i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(fields);
            }
            number = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).ok()?,
                step => number.checked_add(step.into())?,
            };
            let value = match head & 15 {
                TRUE => ThriftValue::Bool(true),
                FALSE => ThriftValue::Bool(false),
                kind => self.value(kind, depth)?,
            };
            fields.0.push((number, value));
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<ThriftValue<'a>> {
        Some(match kind {
            // In a list, a truth value takes a byte.
            TRUE | FALSE => ThriftValue::Bool(self.byte()? == TRUE),
            BYTE => ThriftValue::Int(i64::from(self.byte()? as i8)),
            4..=6 => ThriftValue::Int(self.zigzag()?),
            DOUBLE => ThriftValue::Binary(self.take(8)?),
            BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                ThriftValue::Binary(self.take(length)?)
            }
            9 | 10 => self.list(depth.checked_sub(1)?)?,
            STRUCT => ThriftValue::Struct(self.fields(depth.checked_sub(1)?)?),
            _ => return None,
        })
    }

    fn list(&mut self, depth: usize) -> Option<ThriftValue<'a>> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => count.into(),
        };
        // Every element takes a byte or more, so a count that is too large ends at the end.
        let values = (0..count).map(|_| self.value(head & 15, depth));
        values.collect::<Option<_>>().map(ThriftValue::List)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fields_are_found_by_their_numbers() {
        let bytes = [
            0x15, 0x05, // 1: -3
            0x28, 0x02, b'h', b'i', // 3: "hi"
            0x11, // 4: true
            0x19, 0x25, 0x02, 0x80, 0x02, // 5: [1, 128]
            0x0c, 0xc8, 0x01, 0x15, 0x08, 0x00, // 100: { 1: 4 }
            0x00, 0xff,
        ];
        let (read, length) = ThriftStruct::read(&bytes).unwrap();
        assert_eq!(length, bytes.len() - 1);
        assert_eq!((read.int(1), read.text(3)), (Some(-3), Some("hi")));
        assert_eq!((read.bool(4), read.size(1)), (Some(true), None));
        assert_eq!(read.list(5), [ThriftValue::Int(1), ThriftValue::Int(128)]);
        assert_eq!(read.fields(100).unwrap().size(1), Some(4));
        assert_eq!((read.int(2), read.texts(5)), (None, Vec::new()));
        for cut in 0..length {
            assert_eq!(ThriftStruct::read(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        assert_eq!(ThriftStruct::read(&[0x1c; 1000]), None);
        assert_eq!(ThriftStruct::read(&[0x19; 1000]), None);
    }
}
