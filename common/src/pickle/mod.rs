//! Reads Python's pickles as data. Nothing is executed: a call of a constructor stays a description
//! of that call, and the caller says which constructors may be called at all.
//!
//! In reading order:
//! - this file: the objects of a pickle
//! - `value`: a view of one object, and [`NumpyArray`]
//! - `machine`: the stack machine that builds the objects; `scalars` reads numbers and strings,
//!   `input` bytes

mod error;
mod input;
mod machine;
mod scalars;
mod value;

pub use error::{PickleError, PickleProblem};
pub use value::{NumpyArray, PickleValue, PickledCall};

use std::borrow::Cow;

/// The constructors of numpy's arrays, as Python 2 and 3 write them.
pub const NUMPY_CONSTRUCTORS: [(&str, &str); 5] = [
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
];

/// The limits of what a pickle may contain.
#[derive(Debug, Clone, Copy)]
pub struct PickleRules<'r> {
    /// The functions and classes that may be called, as module and name. A name that is not called
    /// is only data and may be any.
    pub callable: &'r [(&'r str, &'r str)],
    /// True if instances of other classes are kept as data, with what they contain.
    pub keeps_instances: bool,
    /// The largest number of objects and of operations.
    pub most_objects: usize,
}

/// The objects of a pickle. They refer to each other by number, so that shared objects are stored
/// once and circles do no harm.
#[derive(Debug)]
pub struct Pickle<'a> {
    objects: Vec<Object<'a>>,
    root: ObjectId,
    length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`.
    ///
    /// # Errors
    /// When it is damaged, is cut off, has too many objects, or calls something that the rules do
    /// not name.
    pub fn read(bytes: &'a [u8], rules: PickleRules) -> Result<Self, PickleError> {
        machine::read(bytes, rules)
    }

    /// The object that the pickle stands for.
    #[must_use]
    pub fn root(&self) -> PickleValue<'_> {
        PickleValue::new(self, self.root)
    }

    /// The keys of all objects that are stored outside the pickle.
    pub fn persistent_ids(&self) -> impl Iterator<Item = PickleValue<'_>> {
        let keys = self.objects.iter().filter_map(|object| match object {
            Object::Persistent(key) => Some(*key),
            _ => None,
        });
        keys.map(|key| PickleValue::new(self, key))
    }

    /// The number of bytes of the pickle: others may follow it.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }
}

/// The place of an object in its pickle.
type ObjectId = u32;

#[derive(Debug, Clone)]
enum Object<'a> {
    None,
    Bool(bool),
    Int(i128),
    /// An integer of more than 128 bits.
    LargeInt,
    Float(f64),
    /// Bytes of Python 3, or a string of Python 2.
    Bytes(Cow<'a, [u8]>),
    Text(Cow<'a, str>),
    List(Vec<ObjectId>),
    Tuple(Vec<ObjectId>),
    Set(Vec<ObjectId>),
    Dict(Vec<(ObjectId, ObjectId)>),
    /// A function or class, by module and name.
    Global(&'a str, &'a str),
    Called(Box<Called>),
    /// An object that is stored outside the pickle, under this key.
    Persistent(ObjectId),
}

/// The description of a call, and of what was put into its result.
#[derive(Debug, Clone)]
struct Called {
    constructor: ObjectId,
    arguments: ObjectId,
    state: Option<ObjectId>,
    elements: Vec<ObjectId>,
    entries: Vec<(ObjectId, ObjectId)>,
}

#[cfg(test)]
mod tests;
