//! A sweep as Redis and `manifest.json` store it.
//!
//! The message contains the specification as written, so that every program parses it with the same
//! code.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::domain::{Sigma, SweepId};
use crate::grid::{DataFacts, GridLoss, ImageFacts};
use crate::plan::{Plan, PlanError};
use crate::spec::{
    SpecError, Sweep, digest_from_hex, digest_to_hex, error_at, parse, sweep_id,
    sweep_id_without_grid,
};

/// The version of [`SweepMessage`], and of the keys and scripts of a sweep in Redis.
pub const PROTOCOL: u32 = 3;

/// A sweep with everything that a program needs to work on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepMessage {
    /// [`PROTOCOL`] of the program that wrote it.
    pub protocol: u32,
    /// The digest of everything that can change a record.
    pub id: SweepId,
    /// The absolute path of the specification. Its relative paths start from the folder.
    pub spec_file: String,
    /// The specification, TOML as written.
    pub spec: String,
    /// The number of samples in the dataset, selected or not.
    pub dataset_len: u64,
    /// SHA-256 of the data, hexadecimal.
    pub data_digest: String,
    /// SHA-256 of the files of the sweep's networks, in their order, hexadecimal.
    pub model_digests: Vec<String>,
    /// The images; missing in manifests of protocol 2, whose noise was not on a grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageFacts>,
    /// The sigmas that a file gives, one per selected sample, if a choice reads one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigmas: Option<Vec<f64>>,
}

/// The reason why a message cannot be written, or is refused.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The specification's path has no meaning on other machines.
    #[error("{0}: not an absolute path in UTF-8")]
    SpecFile(String),
    /// The text is not JSON, or fields are missing.
    #[error("not a sweep message: {0}")]
    Json(String),
    /// Another version wrote it.
    #[error(
        "the sweep speaks protocol {found}, this program {PROTOCOL}; use programs of one version"
    )]
    Protocol {
        /// The message's version.
        found: u32,
    },
    /// A digest is malformed, or there are too few or too many.
    #[error("not a sweep message: {0}")]
    Digest(String),
    /// The contents are those of another sweep.
    #[error("sweep {stated} does not hold what its id says: its contents have id {computed}")]
    Id {
        /// The id in the message.
        stated: SweepId,
        /// The id of the contents.
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
    /// Composes the message of a sweep and computes its id.
    ///
    /// # Errors
    /// When `spec_file` is relative or not UTF-8, the specification is wrong, or digests and models
    /// differ in number.
    pub fn new(
        spec_file: &Path,
        spec: &str,
        data: &DataFacts,
        model_digests: &[[u8; 32]],
    ) -> Result<Self, MessageError> {
        let path = spec_file.to_str().filter(|_| spec_file.is_absolute());
        let path = path.ok_or_else(|| MessageError::SpecFile(spec_file.display().to_string()))?;
        let id = identify(&parse(spec, spec_file)?, data, model_digests)?;
        Ok(Self {
            protocol: PROTOCOL,
            id,
            spec_file: path.to_owned(),
            spec: spec.to_owned(),
            dataset_len: data.len,
            data_digest: digest_to_hex(&data.digest),
            model_digests: model_digests.iter().map(digest_to_hex).collect(),
            images: Some(data.images),
            sigmas: None,
        })
    }

    /// Adds the sigmas that a file gives, one per selected sample, and computes the id anew.
    ///
    /// # Errors
    /// When the specification has no file of sigmas, or their number or values do not fit it.
    pub fn with_sigmas(self, sigmas: &[Sigma]) -> Result<Self, MessageError> {
        let mut message = Self {
            sigmas: Some(sigmas.iter().copied().map(Sigma::get).collect()),
            ..self
        };
        message.id = message.computed_id()?;
        Ok(message)
    }

    /// Returns the message as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and integers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a message and checks that its contents have its id.
    ///
    /// # Errors
    /// When another version wrote it, it is incomplete, or its contents have another id.
    pub fn from_json(text: &str) -> Result<Self, MessageError> {
        // Other versions may have other fields, so the version is read first.
        let MessageVersion { protocol } = from_json(text)?;
        if protocol != PROTOCOL {
            return Err(MessageError::Protocol { found: protocol });
        }
        let message: Self = from_json(text)?;
        message.check_id()?;
        Ok(message)
    }

    /// Checks that the contents have the message's id. Messages of earlier protocols have ids as
    /// well; only manifests hold them.
    ///
    /// # Errors
    /// When a later version wrote it, it is incomplete, or its contents have another id.
    pub fn check_id(&self) -> Result<(), MessageError> {
        let computed = self.computed_id()?;
        if computed == self.id {
            return Ok(());
        }
        Err(MessageError::Id {
            stated: self.id.clone(),
            computed,
        })
    }

    /// Computes the id of the contents.
    fn computed_id(&self) -> Result<SweepId, MessageError> {
        let digests = self.model_digests.iter().map(|text| digest(text));
        let models: Vec<[u8; 32]> = digests.collect::<Result<_, _>>()?;
        match self.protocol {
            PROTOCOL => identify(&self.sweep()?, &self.data()?, &models),
            ..PROTOCOL => {
                let data = digest(&self.data_digest)?;
                Ok(sweep_id_without_grid(&self.sweep()?, &data, &models))
            }
            found => Err(MessageError::Protocol { found }),
        }
    }

    /// Returns the facts about the data.
    ///
    /// # Errors
    /// When the message is of an earlier protocol, or its digest is malformed.
    pub fn data(&self) -> Result<DataFacts, MessageError> {
        let missing = || MessageError::Json("missing field `images`".to_owned());
        Ok(DataFacts {
            len: self.dataset_len,
            digest: digest(&self.data_digest)?,
            images: self.images.ok_or_else(missing)?,
        })
    }

    /// The loss of certificates that the noise of this sweep causes, for images on the grid.
    #[must_use]
    pub fn loss(&self) -> GridLoss {
        self.images.map_or(GridLoss::NONE, |images| images.loss())
    }

    /// Parses the sweep.
    ///
    /// # Errors
    /// When the specification is wrong. After [`Self::new`] or [`Self::from_json`] that is only
    /// possible if another program's rules accepted it.
    pub fn sweep(&self) -> Result<Sweep, SpecError> {
        let sweep = parse(&self.spec, Path::new(&self.spec_file))?;
        match (sweep.sigma_file(), &self.sigmas) {
            (None, None) => Ok(sweep),
            (_, Some(sigmas)) => self.with_read_sigmas(sweep, sigmas),
            (Some(_), None) => Err(self.sigma_error("the message has no sigmas")),
        }
    }

    fn with_read_sigmas(&self, sweep: Sweep, sigmas: &[f64]) -> Result<Sweep, SpecError> {
        let selected = sweep.dataset.selection.count(self.dataset_len);
        if sigmas.len() as u64 != selected {
            let found = sigmas.len();
            let message = format!("the message has {found} sigmas for {selected} samples");
            return Err(self.sigma_error(&message));
        }
        let sigmas: Result<_, _> = sigmas.iter().copied().map(Sigma::new).collect();
        let read = sigmas.and_then(|sigmas| sweep.with_file_sigmas(sigmas));
        read.map_err(|error| self.sigma_error(&error.to_string()))
    }

    fn sigma_error(&self, message: &str) -> SpecError {
        let file = Path::new(&self.spec_file);
        error_at(&self.spec, file, "smoothing.file", message)
    }

    /// Plans the sweep's jobs.
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

fn from_json<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, MessageError> {
    serde_json::from_str(text).map_err(|error| MessageError::Json(error.to_string()))
}

fn digest(text: &str) -> Result<[u8; 32], MessageError> {
    digest_from_hex(text)
        .ok_or_else(|| MessageError::Digest(format!("{text:?} is not a SHA-256 digest")))
}

fn identify(sweep: &Sweep, data: &DataFacts, models: &[[u8; 32]]) -> Result<SweepId, MessageError> {
    let networks = sweep.networks().len();
    if networks == models.len() {
        return Ok(sweep_id(sweep, data, models));
    }
    Err(MessageError::Digest(format!(
        "{} models have {} digests",
        networks,
        models.len()
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::grid::Grid;

    const SPEC: &str = "name = 's'\nseed = 1\n[dataset]\nformat = 'cifar10'\npath = 'd'\n\
                        [[model]]\nname = 'm'\npath = 'm.pt'\nclasses = 10\n\
                        [smoothing]\nsigma = [0.5]\n\
                        [certify]\nn0 = 10\nn = 100\nalpha = 0.01\n";

    fn data() -> DataFacts {
        DataFacts {
            len: 7,
            digest: [1; 32],
            images: ImageFacts {
                shape: [3, 32, 32],
                grid: Grid::BYTES,
            },
        }
    }

    fn message() -> SweepMessage {
        SweepMessage::new(Path::new("/sweeps/s.toml"), SPEC, &data(), &[[2; 32]]).unwrap()
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
            refusal(|m| m.images.as_mut().unwrap().shape = [3, 32, 33]),
            refusal(|m| m.images.as_mut().unwrap().grid = Grid::new(256).unwrap()),
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
            &data(),
            &[[2; 32]],
        )
        .unwrap();
        assert_eq!(message.id, id);
    }

    #[test]
    fn the_id_of_an_old_manifest_is_checked_as_its_version_computed_it() {
        let mut old = SweepMessage {
            protocol: 2,
            images: None,
            ..message()
        };
        assert!(matches!(old.check_id(), Err(MessageError::Id { .. })));
        old.id = sweep_id_without_grid(&old.sweep().unwrap(), &[1; 32], &[[2; 32]]);
        old.check_id().unwrap();
        old.spec = SPEC.replace("alpha = 0.01", "alpha = 0.02");
        assert!(matches!(old.check_id(), Err(MessageError::Id { .. })));
    }

    #[test]
    fn the_sigmas_of_a_file_travel_with_their_sweep() {
        let file = "choice = ['file']\n[smoothing.file]\npath = 's'\nlargest = 1\n[certify]";
        let spec = SPEC
            .replace("sigma = [0.5]\n", "")
            .replace("[certify]", file);
        let without = SweepMessage::new(Path::new("/s.toml"), &spec, &data(), &[[2; 32]]).unwrap();
        let error = SweepMessage::from_json(&without.to_json()).unwrap_err();
        assert!(
            error.to_string().ends_with("the message has no sigmas"),
            "{error}"
        );
        let sigmas: Vec<Sigma> = (1..=7)
            .map(|i| Sigma::new(f64::from(i) / 7.0).unwrap())
            .collect();
        let few = without.clone().with_sigmas(&sigmas[1..]).unwrap_err();
        assert!(
            few.to_string().ends_with("has 6 sigmas for 7 samples"),
            "{few}"
        );
        let whole = without.with_sigmas(&sigmas).unwrap();
        let mut read = SweepMessage::from_json(&whole.to_json()).unwrap();
        assert_eq!(read, whole);
        assert_eq!(read.sweep().unwrap().sigma_file().unwrap().sigmas(), sigmas);
        read.sigmas.as_mut().unwrap()[3] = 0.5;
        assert!(matches!(read.check_id(), Err(MessageError::Id { .. })));
        assert!(
            message().with_sigmas(&sigmas).is_err(),
            "no choice reads them"
        );
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
    fn a_message_without_its_images_is_read_only_as_part_of_an_old_manifest() {
        assert_eq!(
            refusal(|m| m.images = None),
            "not a sweep message: missing field `images`"
        );
        let old = r#"{"protocol":2,"id":"0000000000000000","spec_file":"/s.toml","spec":"",
            "dataset_len":1,"data_digest":"","model_digests":[]}"#;
        let old: SweepMessage = serde_json::from_str(old).unwrap();
        assert_eq!(old.loss(), GridLoss::NONE);
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
        assert!(refusal(|m| m.data_digest = "AB".repeat(32)).contains("is not a SHA-256 digest"));
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
        let error = SweepMessage::new(Path::new("s.toml"), SPEC, &data(), &[[2; 32]]).unwrap_err();
        assert_eq!(error.to_string(), "s.toml: not an absolute path in UTF-8");
    }
}
