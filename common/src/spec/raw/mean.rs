//! The key `mean` of a model.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// The means of the channels, or the word for no normalisation.
#[derive(Debug)]
pub(in crate::spec) enum RawMean {
    Channels(Vec<f64>),
    None,
}

impl<'de> Deserialize<'de> for RawMean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MeanVisitor)
    }
}

struct MeanVisitor;

impl<'de> Visitor<'de> for MeanVisitor {
    type Value = RawMean;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one number per channel, or \"none\"")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<RawMean, E> {
        match word {
            "none" => Ok(RawMean::None),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<RawMean, A::Error> {
        let mut channels = Vec::new();
        while let Some(number) = numbers.next_element()? {
            channels.push(number);
        }
        Ok(RawMean::Channels(channels))
    }
}
