//! Whether a specification fits its data.

use ddrs_common::spec::Training;

/// A key of the specification that does not fit the data.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {message}")]
pub struct AtKey {
    /// The whole dotted key.
    pub key: &'static str,
    /// What is wrong with it.
    pub message: String,
}

pub(super) fn at(key: &'static str, message: String) -> AtKey {
    AtKey { key, message }
}

/// Whether `count` samples are enough to keep some back and fill a batch with others.
pub(super) fn enough(training: &Training, count: u64) -> Result<(), AtKey> {
    let Training {
        validation, batch, ..
    } = training;
    let left = count.saturating_sub(*validation);
    if count == 0 {
        return Err(at("dataset.offset", "no sample is left".to_owned()));
    }
    if left == 0 {
        return Err(at(
            "validation.samples",
            format!("{validation} of {count} samples leave none to train on"),
        ));
    }
    if left < batch.get() {
        let message = format!(
            "{batch} are more than the {left} samples that {validation} for validation leave of {count}"
        );
        return Err(at("train.batch", message));
    }
    Ok(())
}

/// Whether normalisation and augmentation are for images of this shape.
pub(super) fn fits(
    training: &Training,
    [channels, height, width]: [usize; 3],
) -> Result<(), AtKey> {
    let means = training.model.mean.as_ref().map_or(channels, Vec::len);
    if means != channels {
        return Err(at(
            "model.mean",
            format!("{means} values for images of {channels} channels"),
        ));
    }
    let padding = training.augmentation.crop_padding as usize;
    if padding >= height.min(width) {
        let message = format!(
            "{padding} zeros around {height} x {width} pixels: some crops would hold nothing of the image"
        );
        return Err(at("augmentation.crop-padding", message));
    }
    several_values(training, height, width)
}

/// Whether batch normalisation sees more than one value of each channel everywhere: one has no
/// variance.
fn several_values(training: &Training, height: usize, width: usize) -> Result<(), AtKey> {
    let Some(layout) = training.model.architecture.layout() else {
        return Ok(());
    };
    let [height, width] = [height, width].map(|side| layout.features_side(side as u64));
    if height * width * training.group.get() * u64::from(training.loss.draws()) > 1 {
        return Ok(());
    }
    let key = if training.group == training.batch {
        "train.batch"
    } else {
        "train.group"
    };
    let message = format!(
        "batch normalisation of {} would take its statistics over one value, which has no variance: more inputs, or larger \
         images",
        training.model.architecture
    );
    Err(at(key, message))
}
