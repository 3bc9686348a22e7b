//! Checks `[dataset]`.

use std::path::Path;

use super::section::Section;
use crate::domain::Selection;
use crate::spec::raw::{RawDataset, RawFormat};
use crate::spec::{DatasetFormat, DatasetSpec, SpecError};

pub(in crate::spec) fn dataset(
    at: &Section,
    raw: RawDataset,
    folder: &Path,
) -> Result<DatasetSpec, SpecError> {
    let format = format(at.required("format", raw.format.clone())?);
    let resize = pixels(at, "resize", raw.resize)?;
    let crop = pixels(at, "crop", raw.crop)?;
    check_crop(at, resize, crop)?;
    check_keys(at, format, &raw)?;
    let selection = selection(at, &raw)?;
    let classes = raw.classes;
    Ok(DatasetSpec {
        format,
        path: at.path("path", &at.required("path", raw.path)?, folder)?,
        selection,
        resize,
        crop,
        classes: classes
            .map(|path| at.path("classes", &path, folder))
            .transpose()?,
    })
}

fn format(raw: RawFormat) -> DatasetFormat {
    match raw {
        RawFormat::ImageFolder => DatasetFormat::ImageFolder,
        RawFormat::Cifar10 => DatasetFormat::Cifar10,
        RawFormat::Tensors => DatasetFormat::Tensors,
    }
}

fn pixels(at: &Section, key: &str, value: Option<i64>) -> Result<Option<u32>, SpecError> {
    let checked = value.map(|value| at.integer(key, value, 1, 16_384));
    Ok(checked.transpose()?.map(|pixels| pixels as u32))
}

fn check_crop(at: &Section, resize: Option<u32>, crop: Option<u32>) -> Result<(), SpecError> {
    match (resize, crop) {
        (Some(resize), Some(crop)) if crop > resize => {
            let message = format!("{crop} pixels do not fit in the {resize} of dataset.resize");
            Err(at.error("crop", message))
        }
        _ => Ok(()),
    }
}

/// Refuses keys that only image folders have.
fn check_keys(at: &Section, format: DatasetFormat, raw: &RawDataset) -> Result<(), SpecError> {
    if format == DatasetFormat::ImageFolder {
        return Ok(());
    }
    let given = [
        ("resize", raw.resize.is_some()),
        ("crop", raw.crop.is_some()),
        ("classes", raw.classes.is_some()),
    ];
    let format = format.as_str();
    let reason = format!("has no meaning for format {format}, only for image-folder");
    at.refuse(&given, &reason)
}

fn selection(at: &Section, raw: &RawDataset) -> Result<Selection, SpecError> {
    let limit = raw.limit.map(|limit| at.positive("limit", limit, i64::MAX));
    Ok(Selection {
        offset: at.integer("offset", raw.offset, 0, i64::MAX)?,
        stride: at.positive("stride", raw.stride, i64::MAX)?,
        limit: limit.transpose()?,
    })
}
