//! Reads `certify.stopping`: the word `"fixed"`, or a table of one key.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

#[derive(Debug)]
pub(in crate::spec) enum RawStopping {
    Fixed,
    Rule {
        radii: Option<Vec<f64>>,
        loss: Option<f64>,
    },
}

impl<'de> Deserialize<'de> for RawStopping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrTable)
    }
}

struct WordOrTable;

impl<'de> Visitor<'de> for WordOrTable {
    type Value = RawStopping;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"fixed\", { radii = [...] } or { loss = ... }")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<RawStopping, E> {
        match word {
            "fixed" => Ok(RawStopping::Fixed),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawStopping, A::Error> {
        let StoppingRule { radii, loss } =
            StoppingRule::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RawStopping::Rule { radii, loss })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoppingRule {
    radii: Option<Vec<f64>>,
    loss: Option<f64>,
}
