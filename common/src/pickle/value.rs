//! A view of one object of a pickle.

use std::borrow::Cow;

use super::{Object, ObjectId, Pickle};

/// An object of a pickle. Each method returns `None` if the object is of another type.
#[derive(Debug, Clone, Copy)]
pub struct PickleValue<'p> {
    pickle: &'p Pickle<'p>,
    id: ObjectId,
}

/// A call that a pickle describes.
#[derive(Debug)]
pub struct PickledCall<'p> {
    /// The module of the function or class.
    pub module: &'p str,
    /// The function or class.
    pub name: &'p str,
    /// The arguments.
    pub arguments: Vec<PickleValue<'p>>,
    /// The state that the result was given.
    pub state: Option<PickleValue<'p>>,
}

/// An array of numpy.
#[derive(Debug)]
pub struct NumpyArray<'p> {
    /// The length of each dimension.
    pub shape: Vec<u64>,
    /// numpy's name of the type, without the order of bytes: `u1`, `i8`, `f4`.
    pub kind: String,
    /// True if the bytes of a number are stored from the highest to the lowest.
    pub is_big_endian: bool,
    /// True if the first index changes fastest in memory.
    pub is_fortran: bool,
    /// The values. Their length is not checked against the shape.
    pub bytes: Cow<'p, [u8]>,
}

impl<'p> PickleValue<'p> {
    pub(super) fn new(pickle: &'p Pickle, id: ObjectId) -> Self {
        Self { pickle, id }
    }

    fn object(self) -> &'p Object<'p> {
        &self.pickle.objects[self.id as usize]
    }

    fn at(self, id: ObjectId) -> Self {
        Self { id, ..self }
    }

    fn all(self, ids: &[ObjectId]) -> Vec<Self> {
        ids.iter().map(|&id| self.at(id)).collect()
    }

    /// A number that distinguishes the objects of one pickle.
    #[must_use]
    pub fn id(self) -> u32 {
        self.id
    }

    /// Returns true for `None`.
    #[must_use]
    pub fn is_none(self) -> bool {
        matches!(self.object(), Object::None)
    }

    /// A truth value.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.object() {
            Object::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer of at most 128 bits.
    #[must_use]
    pub fn as_int(self) -> Option<i128> {
        match self.object() {
            Object::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A length or an offset.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        self.as_int().and_then(|value| value.try_into().ok())
    }

    /// A number.
    #[must_use]
    pub fn as_float(self) -> Option<f64> {
        match self.object() {
            Object::Float(value) => Some(*value),
            Object::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// Text, or bytes that are UTF-8: Python 2 does not tell them apart.
    #[must_use]
    pub fn as_text(self) -> Option<&'p str> {
        match self.object() {
            Object::Text(text) => Some(text),
            Object::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Bytes, also those that Python 3 writes as text for old protocols.
    #[must_use]
    pub fn as_bytes(self) -> Option<Cow<'p, [u8]>> {
        match self.object() {
            Object::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Object::Called(_) => self.encoded_bytes().map(Cow::Owned),
            _ => None,
        }
    }

    /// The elements of a list, a tuple, or a set.
    #[must_use]
    pub fn elements(self) -> Option<Vec<Self>> {
        match self.object() {
            Object::List(ids) | Object::Tuple(ids) | Object::Set(ids) => Some(self.all(ids)),
            Object::Called(called) if !called.elements.is_empty() => {
                Some(self.all(&called.elements))
            }
            _ => None,
        }
    }

    /// The number of objects in this one.
    #[must_use]
    pub fn size(self) -> usize {
        match self.object() {
            Object::List(ids) | Object::Tuple(ids) | Object::Set(ids) => ids.len(),
            Object::Dict(entries) => entries.len(),
            Object::Called(called) => called.elements.len() + called.entries.len(),
            _ => 0,
        }
    }

    /// The keys and values of a dict, or of an instance of a class like `OrderedDict`.
    #[must_use]
    pub fn entries(self) -> Option<Vec<(Self, Self)>> {
        let entries = match self.object() {
            Object::Dict(entries) => entries,
            Object::Called(called) => &called.entries,
            _ => return None,
        };
        let views = entries
            .iter()
            .map(|&(key, value)| (self.at(key), self.at(value)));
        Some(views.collect())
    }

    /// The value under a key of a dict; the last one if it occurs several times.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        let entries = self.entries()?.into_iter().rev();
        entries
            .filter(|(name, _)| name.as_text() == Some(key))
            .map(|(_, value)| value)
            .next()
    }

    /// The module and the name of a function or class.
    #[must_use]
    pub fn as_global(self) -> Option<(&'p str, &'p str)> {
        match self.object() {
            Object::Global(module, name) => Some((module, name)),
            _ => None,
        }
    }

    /// A call of a function, or an instance of a class.
    #[must_use]
    pub fn as_call(self) -> Option<PickledCall<'p>> {
        let Object::Called(called) = self.object() else {
            return None;
        };
        let (module, name) = self.at(called.constructor).as_global()?;
        Some(PickledCall {
            module,
            name,
            arguments: self.at(called.arguments).elements()?,
            state: called.state.map(|state| self.at(state)),
        })
    }

    /// The key of an object that is stored outside the pickle.
    #[must_use]
    pub fn as_persistent(self) -> Option<Self> {
        match self.object() {
            Object::Persistent(key) => Some(self.at(*key)),
            _ => None,
        }
    }

    /// The type, in Python's words, for messages.
    #[must_use]
    pub fn type_name(self) -> String {
        let name = match self.object() {
            Object::None => "None",
            Object::Bool(_) => "bool",
            Object::Int(_) | Object::LargeInt => "int",
            Object::Float(_) => "float",
            Object::Bytes(_) => "bytes",
            Object::Text(_) => "str",
            Object::List(_) => "list",
            Object::Tuple(_) => "tuple",
            Object::Set(_) => "set",
            Object::Dict(_) => "dict",
            Object::Global(..) => "type",
            Object::Persistent(_) => "stored object",
            Object::Called(called) => return self.class_name(called.constructor),
        };
        name.to_owned()
    }

    fn class_name(self, constructor: ObjectId) -> String {
        let class = self.at(constructor).as_global();
        class.map_or_else(String::new, |(module, name)| format!("{module}.{name}"))
    }

    /// An array of numpy, of numbers.
    #[must_use]
    pub fn as_numpy_array(self) -> Option<NumpyArray<'p>> {
        let call = self.as_call().filter(|call| call.name == "_reconstruct")?;
        let state = call.state?.elements()?;
        let [_, shape, kind, is_fortran, bytes] = state[..] else {
            return None;
        };
        let (kind, is_big_endian) = kind.numpy_kind()?;
        let shape: Option<_> = shape.elements()?.into_iter().map(Self::as_u64).collect();
        Some(NumpyArray {
            shape: shape?,
            kind,
            is_big_endian,
            is_fortran: is_fortran.as_bool()?,
            bytes: bytes.as_bytes()?,
        })
    }

    /// The name of a numpy type, and true if it is big-endian.
    fn numpy_kind(self) -> Option<(String, bool)> {
        let call = self.as_call().filter(|call| call.name == "dtype")?;
        let name = call.arguments.first()?.as_text()?;
        let order = call.state.and_then(Self::elements);
        let order = order.and_then(|state| state.get(1)?.as_text());
        Some((name.to_owned(), order == Some(">")))
    }

    /// Bytes written as `_codecs.encode(text, 'latin1')`, or as `bytes()`.
    fn encoded_bytes(self) -> Option<Vec<u8>> {
        let call = self.as_call()?;
        match (call.module, call.name, &call.arguments[..]) {
            ("_codecs", "encode", [text, ..]) => latin1(text.as_text()?),
            (_, "bytes" | "bytearray", []) => Some(Vec::new()),
            (_, "bytearray", [bytes, ..]) => match bytes.object() {
                Object::Bytes(bytes) => Some(bytes.to_vec()),
                Object::Text(text) => latin1(text),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The bytes of text whose characters are all below 256.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).ok())
        .collect()
}
