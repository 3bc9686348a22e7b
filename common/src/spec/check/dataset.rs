//! Checks `[dataset]`.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use super::section::SpecTable;
use crate::domain::Selection;
use crate::grid::Grid;
use crate::spec::raw::{RawDataset, RawFormat};
use crate::spec::{DatasetFormat, DatasetSpec, SpecError};

pub(in crate::spec) fn dataset(
    at: &SpecTable,
    raw: RawDataset,
    folder: &Path,
) -> Result<DatasetSpec, SpecError> {
    let format = format(at.required("format", raw.format.clone())?);
    let resize = pixels(at, "resize", raw.resize)?;
    let crop = pixels(at, "crop", raw.crop)?;
    check_crop(at, resize, crop)?;
    check_keys(at, format, &raw)?;
    let selection = selection(at, &raw)?;
    Ok(DatasetSpec {
        format,
        path: at.path("path", &at.required("path", raw.path)?, folder)?,
        selection,
        resize,
        crop,
        classes: classes_file(at, raw.classes.as_deref(), folder)?,
        grid: grid(at, raw.grid)?,
    })
}

fn classes_file(
    at: &SpecTable,
    path: Option<&str>,
    folder: &Path,
) -> Result<Option<PathBuf>, SpecError> {
    path.map(|path| at.path("classes", path, folder))
        .transpose()
}

fn grid(at: &SpecTable, raw: Option<i64>) -> Result<Option<Grid>, SpecError> {
    let Some(value) = raw else { return Ok(None) };
    let value = at.integer("grid", value, 1, i64::from(Grid::FINEST))?;
    let grid = Grid::new(value as u32);
    grid.map(Some)
        .map_err(|error| at.error("grid", error.to_string()))
}

fn format(raw: RawFormat) -> DatasetFormat {
    match raw {
        RawFormat::ImageFolder => DatasetFormat::ImageFolder,
        RawFormat::Cifar10 => DatasetFormat::Cifar10,
        RawFormat::Tensors => DatasetFormat::Tensors,
    }
}

fn pixels(at: &SpecTable, key: &str, value: Option<i64>) -> Result<Option<u32>, SpecError> {
    value.map(|value| side(at, key, value)).transpose()
}

/// Checks a side of an image, in pixels.
fn side(at: &SpecTable, key: &str, value: i64) -> Result<u32, SpecError> {
    Ok(at.integer(key, value, 1, 16_384)? as u32)
}

fn check_crop(at: &SpecTable, resize: Option<u32>, crop: Option<u32>) -> Result<(), SpecError> {
    match (resize, crop) {
        (Some(resize), Some(crop)) if crop > resize => Err(too_large_crop(at, crop, resize)),
        _ => Ok(()),
    }
}

fn too_large_crop(at: &SpecTable, crop: u32, resize: u32) -> SpecError {
    let message = format!("{crop} pixels do not fit in the {resize} of dataset.resize");
    at.error("crop", message)
}

/// Refuses keys that only image folders have.
fn check_keys(at: &SpecTable, format: DatasetFormat, raw: &RawDataset) -> Result<(), SpecError> {
    if format == DatasetFormat::ImageFolder {
        return Ok(());
    }
    let format = format.as_str();
    let reason = format!("has no meaning for format {format}, only for image-folder");
    at.refuse(&image_folder_keys(raw), &reason)
}

fn image_folder_keys(raw: &RawDataset) -> [(&'static str, bool); 3] {
    [
        ("resize", raw.resize.is_some()),
        ("crop", raw.crop.is_some()),
        ("classes", raw.classes.is_some()),
    ]
}

fn selection(at: &SpecTable, raw: &RawDataset) -> Result<Selection, SpecError> {
    Ok(Selection {
        offset: at.integer("offset", raw.offset, 0, i64::MAX)?,
        stride: at.positive("stride", raw.stride, i64::MAX)?,
        limit: limit(at, raw.limit)?,
    })
}

fn limit(at: &SpecTable, raw: Option<i64>) -> Result<Option<NonZeroU64>, SpecError> {
    raw.map(|limit| at.positive("limit", limit, i64::MAX))
        .transpose()
}
