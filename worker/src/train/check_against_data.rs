//! Checks that the keys of a specification fit its data.

use ddrs_common::spec::Training;

/// A key of the specification that does not fit the data.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {message}")]
pub(super) struct KeyError {
    /// The whole dotted key.
    pub(super) key: &'static str,
    pub(super) message: String,
}

pub(super) fn key_error(key: &'static str, message: String) -> KeyError {
    KeyError { key, message }
}

/// Checks that `count` samples suffice for validation and at least one training batch.
pub(super) fn check_sample_count(training: &Training, count: u64) -> Result<(), KeyError> {
    let validation = &training.validation;
    let left = count.saturating_sub(*validation);
    if count == 0 {
        let message = "no sample is left".to_owned();
        return Err(key_error("dataset.offset", message));
    }
    if left == 0 {
        let message = format!("{validation} of {count} samples leave none to train on");
        return Err(key_error("validation.samples", message));
    }
    check_batch(training, left, count)
}

/// Checks that the `left` of `count` samples that are not for validation fill a batch.
fn check_batch(training: &Training, left: u64, count: u64) -> Result<(), KeyError> {
    let Training {
        validation, batch, ..
    } = training;
    if left >= batch.get() {
        return Ok(());
    }
    let message = format!(
        "{batch} are more than the {left} samples that {validation} for validation leave of \
         {count}"
    );
    Err(key_error("train.batch", message))
}

/// Checks normalisation, augmentation and batch normalisation against the shape of the images.
pub(super) fn check_shape(training: &Training, shape: [usize; 3]) -> Result<(), KeyError> {
    let [channels, height, width] = shape;
    check_channels(training, channels)?;
    check_padding(training, height, width)?;
    check_normalised_values(training, height, width)
}

fn check_channels(training: &Training, channels: usize) -> Result<(), KeyError> {
    let means = training.model.mean.as_ref().map_or(channels, Vec::len);
    if means == channels {
        return Ok(());
    }
    let message = format!("{means} values for images of {channels} channels");
    Err(key_error("model.mean", message))
}

fn check_padding(training: &Training, height: usize, width: usize) -> Result<(), KeyError> {
    let padding = training.augmentation.crop_padding as usize;
    if padding < height.min(width) {
        return Ok(());
    }
    let message = format!(
        "{padding} zeros around {height} x {width} pixels: some crops would contain no pixel of \
         the image"
    );
    Err(key_error("augmentation.crop-padding", message))
}

/// Checks that batch normalisation sees at least two values of each channel in every layer. A
/// single value has no variance.
fn check_normalised_values(
    training: &Training,
    height: usize,
    width: usize,
) -> Result<(), KeyError> {
    let Some(layers) = training.model.architecture.layers(training.model.classes) else {
        return Ok(());
    };
    let [height, width] = [height, width].map(|side| layers.last_side(side as u64));
    if height * width * images_per_group(training) > 1 {
        return Ok(());
    }
    Err(single_value(training))
}

/// The number of noisy images over which batch normalisation takes its statistics.
fn images_per_group(training: &Training) -> u64 {
    training.group.get() * u64::from(training.loss.draws())
}

fn single_value(training: &Training) -> KeyError {
    let key = if training.group == training.batch {
        "train.batch"
    } else {
        "train.group"
    };
    let message = format!(
        "batch normalisation of {} would take its statistics over one value, which has no \
         variance: use more inputs or larger images",
        training.model.architecture
    );
    key_error(key, message)
}
