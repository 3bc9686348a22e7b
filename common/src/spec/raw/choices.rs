//! Reads `smoothing.choice`: a list of words, or one word.

use std::fmt;

use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::RawChoice;

pub(super) fn choices<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<RawChoice>, D::Error> {
    deserializer.deserialize_any(WordOrList)
}

struct WordOrList;

impl<'de> Visitor<'de> for WordOrList {
    type Value = Vec<RawChoice>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a choice, or a list of choices")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Vec<RawChoice>, E> {
        RawChoice::deserialize(StrDeserializer::new(word)).map(|choice| vec![choice])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<RawChoice>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}
