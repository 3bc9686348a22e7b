//! A sweep as it travels: what Redis and `manifest.json` hold.
//!
//! The specification travels as written, so that every program parses it with the same code.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::domain::SweepId;
use crate::plan::{Plan, PlanError};
use crate::spec::{SpecError, Sweep, digest_from_hex, digest_to_hex, parse, sweep_id};

/// The version of [`SweepMessage`], and of the keys and scripts that a sweep lives in.
pub const PROTOCOL: u32 = 2;

/// A sweep with all that it takes to work on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepMessage {
    /// [`PROTOCOL`] of the program that wrote it.
    pub protocol: u32,
    /// The digest of what can change a record.
    pub id: SweepId,
    /// The absolute path of the specification; its relative paths start from the folder.
    pub spec_file: String,
    /// The specification, TOML as written.
    pub spec: String,
    /// How many samples the dataset has, selected or not.
    pub dataset_len: u64,
    /// SHA-256 of the data, hexadecimal.
    pub data_digest: String,
    /// SHA-256 of the model files in the specification's order, hexadecimal.
    pub model_digests: Vec<String>,
}

/// A message that cannot be written, or not be believed.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The specification's path has no meaning elsewhere.
    #[error("{0}: not an absolute path in UTF-8")]
    SpecFile(String),
    /// No JSON, or fields missing.
    #[error("not a sweep message: {0}")]
    Json(String),
    /// Written by another version.
    #[error(
        "the sweep speaks protocol {found}, this program {PROTOCOL}; use programs of one version"
    )]
    Protocol {
        /// The message's version.
        found: u32,
    },
    /// A digest that is none, or too few or many of them.
    #[error("not a sweep message: {0}")]
    Digest(String),
    /// The contents are those of another sweep.
    #[error("sweep {stated} does not hold what its id says: its contents have id {computed}")]
    Id {
        /// The id it claims.
        stated: SweepId,
        /// The id of what it holds.
        computed: SweepId,
    },
    /// The specification in it is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The sweep cannot be cut into jobs.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl SweepMessage {
    /// Composes the message of a sweep, its id included.
    ///
    /// # Errors
    /// When `spec_file` is relative or no UTF-8, the specification is wrong, or digests and models
    /// differ in number.
    pub fn new(
        spec_file: &Path,
        spec: &str,
        dataset_len: u64,
        data_digest: &[u8; 32],
        model_digests: &[[u8; 32]],
    ) -> Result<Self, MessageError> {
        let path = spec_file.to_str().filter(|_| spec_file.is_absolute());
        let path = path.ok_or_else(|| MessageError::SpecFile(spec_file.display().to_string()))?;
        let id = identify(&parse(spec, spec_file)?, data_digest, model_digests)?;
        Ok(Self {
            protocol: PROTOCOL,
            id,
            spec_file: path.to_owned(),
            spec: spec.to_owned(),
            dataset_len,
            data_digest: digest_to_hex(data_digest),
            model_digests: model_digests.iter().map(digest_to_hex).collect(),
        })
    }

    /// One line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and integers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a message and makes sure that it holds what its id says.
    ///
    /// # Errors
    /// When it is another version's, incomplete, or its id does not recompute from its contents.
    pub fn from_json(text: &str) -> Result<Self, MessageError> {
        // Other versions may have other fields, so the version is read on its own.
        let json = |error: serde_json::Error| MessageError::Json(error.to_string());
        let MessageVersion { protocol } = serde_json::from_str(text).map_err(json)?;
        if protocol != PROTOCOL {
            return Err(MessageError::Protocol { found: protocol });
        }
        let message: Self = serde_json::from_str(text).map_err(json)?;
        let digest = |text: &String| {
            digest_from_hex(text)
                .ok_or_else(|| MessageError::Digest(format!("{text:?} is no SHA-256 digest")))
        };
        let models = message
            .model_digests
            .iter()
            .map(digest)
            .collect::<Result<Vec<_>, _>>()?;
        let computed = identify(&message.sweep()?, &digest(&message.data_digest)?, &models)?;
        if computed == message.id {
            Ok(message)
        } else {
            Err(MessageError::Id {
                stated: message.id,
                computed,
            })
        }
    }

    /// The sweep.
    ///
    /// # Errors
    /// When the specification is wrong: by another program's rules only, after [`Self::new`] or
    /// [`Self::from_json`].
    pub fn sweep(&self) -> Result<Sweep, SpecError> {
        parse(&self.spec, Path::new(&self.spec_file))
    }

    /// The sweep's jobs.
    ///
    /// # Errors
    /// When the specification is wrong or selects nothing.
    pub fn plan(&self) -> Result<Plan, MessageError> {
        Ok(Plan::new(&self.sweep()?, self.dataset_len)?)
    }
}

#[derive(Deserialize)]
struct MessageVersion {
    protocol: u32,
}

fn identify(sweep: &Sweep, data: &[u8; 32], models: &[[u8; 32]]) -> Result<SweepId, MessageError> {
    if sweep.models.len() == models.len() {
        return Ok(sweep_id(sweep, data, models));
    }
    Err(MessageError::Digest(format!(
        "{} models have {} digests",
        sweep.models.len(),
        models.len()
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SPEC: &str = "name = 's'\nseed = 1\n[dataset]\nformat = 'cifar10'\npath = 'd'\n[[model]]\nname = 'm'\n\
                        path = 'm.pt'\nclasses = 10\n[smoothing]\nsigma = [0.5]\n[certify]\nn0 = 10\nn = 100\nalpha = 0.01\n";

    fn message() -> SweepMessage {
        SweepMessage::new(Path::new("/sweeps/s.toml"), SPEC, 7, &[1; 32], &[[2; 32]]).unwrap()
    }

    fn refusal(change: impl FnOnce(&mut SweepMessage)) -> String {
        let mut message = message();
        change(&mut message);
        SweepMessage::from_json(&message.to_json())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        let message = message();
        assert_eq!(
            SweepMessage::from_json(&message.to_json()).unwrap(),
            message
        );
        assert_eq!(
            message.sweep().unwrap().dataset.path,
            Path::new("/sweeps/d")
        );
        assert_eq!(message.plan().unwrap().samples(), 7);
    }

    #[test]
    fn a_message_that_does_not_hold_what_its_id_says_is_refused() {
        let id = message().id;
        for changed in [
            refusal(|m| m.spec = SPEC.replace("n = 100", "n = 200")),
            refusal(|m| m.data_digest = "3".repeat(64)),
            refusal(|m| m.model_digests[0] = "3".repeat(64)),
            refusal(|m| m.id = SweepId::from_digest(&[9; 32])),
        ] {
            assert!(
                changed.contains("does not hold what its id says"),
                "{changed}"
            );
        }
        let changed = SPEC.replace("[certify]", "[queue]\njob-samples = 9\n[certify]");
        let message = SweepMessage::new(
            Path::new("/elsewhere/s.toml"),
            &changed,
            7,
            &[1; 32],
            &[[2; 32]],
        )
        .unwrap();
        assert_eq!(message.id, id);
    }

    #[test]
    fn another_protocol_is_refused_by_its_number_alone() {
        let found = SweepMessage::from_json(r#"{"protocol": 7, "unheard-of": []}"#)
            .unwrap_err()
            .to_string();
        assert_eq!(
            found,
            format!(
                "the sweep speaks protocol 7, this program {PROTOCOL}; use programs of one version"
            )
        );
    }

    #[test]
    fn a_message_that_is_incomplete_is_refused() {
        assert!(
            SweepMessage::from_json("{")
                .unwrap_err()
                .to_string()
                .starts_with("not a sweep message: ")
        );
        let bare = format!("{{\"protocol\": {PROTOCOL}}}");
        assert!(
            SweepMessage::from_json(&bare)
                .unwrap_err()
                .to_string()
                .contains("missing field `id`")
        );
        assert!(refusal(|m| m.data_digest = "AB".repeat(32)).contains("is no SHA-256 digest"));
        assert_eq!(
            refusal(|m| m.model_digests.clear()),
            "not a sweep message: 1 models have 0 digests"
        );
        assert_eq!(
            refusal(|m| m.spec = SPEC.replace("n0 = 10\n", "")),
            "/sweeps/s.toml:12: certify.n0: is required and missing"
        );
    }

    #[test]
    fn a_relative_specification_has_no_message() {
        let error =
            SweepMessage::new(Path::new("s.toml"), SPEC, 7, &[1; 32], &[[2; 32]]).unwrap_err();
        assert_eq!(error.to_string(), "s.toml: not an absolute path in UTF-8");
    }
}
