//! Reads `dataset.resize`: the pixels of the shorter side, or a height and a width.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

#[derive(Debug, Clone, Copy)]
pub(in crate::spec) enum RawResize {
    Shorter(i64),
    Exact([i64; 2]),
}

impl<'de> Deserialize<'de> for RawResize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SideOrSides)
    }
}

struct SideOrSides;

impl<'de> Visitor<'de> for SideOrSides {
    type Value = RawResize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pixels of the shorter side, or [height, width]")
    }

    fn visit_i64<E: Error>(self, side: i64) -> Result<RawResize, E> {
        Ok(RawResize::Shorter(side))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawResize, A::Error> {
        let missing = |count| A::Error::invalid_length(count, &self);
        let height = list.next_element()?.ok_or_else(|| missing(0))?;
        let width = list.next_element()?.ok_or_else(|| missing(1))?;
        match list.next_element::<i64>()? {
            None => Ok(RawResize::Exact([height, width])),
            Some(_) => Err(missing(3)),
        }
    }
}
