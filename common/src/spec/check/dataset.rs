//! Checks `[dataset]`.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use super::section::SpecTable;
use crate::domain::Selection;
use crate::grid::Grid;
use crate::spec::raw::{RawDataset, RawFormat, RawInterpolation, RawResize};
use crate::spec::{DatasetFormat, DatasetSpec, Interpolation, ResizeTo, SpecError};

pub(in crate::spec) fn dataset(
    at: &SpecTable,
    raw: RawDataset,
    folder: &Path,
) -> Result<DatasetSpec, SpecError> {
    let format = format(at.required("format", raw.format.clone())?);
    let resize = resize(at, raw.resize)?;
    let crop = crop(at, raw.crop, resize)?;
    check_keys(at, format, &raw)?;
    let selection = selection(at, &raw)?;
    Ok(DatasetSpec {
        format,
        path: at.path("path", &at.required("path", raw.path)?, folder)?,
        selection,
        resize,
        interpolation: interpolation(at, raw.interpolation, resize)?,
        crop,
        classes: list_file(at, "classes", raw.classes.as_deref(), folder)?,
        labels: list_file(at, "labels", raw.labels.as_deref(), folder)?,
        grid: grid(at, raw.grid)?,
    })
}

fn list_file(
    at: &SpecTable,
    key: &str,
    path: Option<&str>,
    folder: &Path,
) -> Result<Option<PathBuf>, SpecError> {
    path.map(|path| at.path(key, path, folder)).transpose()
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
        RawFormat::Imagenet => DatasetFormat::Imagenet,
        RawFormat::Cifar10 => DatasetFormat::Cifar10,
        RawFormat::Tensors => DatasetFormat::Tensors,
    }
}

fn resize(at: &SpecTable, raw: Option<RawResize>) -> Result<Option<ResizeTo>, SpecError> {
    let side = |value| side(at, "resize", value);
    Ok(match raw {
        None => None,
        Some(RawResize::Shorter(shorter)) => Some(ResizeTo::Shorter(side(shorter)?)),
        Some(RawResize::Exact([height, width])) => Some(ResizeTo::Exact {
            height: side(height)?,
            width: side(width)?,
        }),
    })
}

/// Checks a side of an image, in pixels.
fn side(at: &SpecTable, key: &str, value: i64) -> Result<u32, SpecError> {
    Ok(at.integer(key, value, 1, 16_384)? as u32)
}

fn interpolation(
    at: &SpecTable,
    raw: Option<RawInterpolation>,
    resize: Option<ResizeTo>,
) -> Result<Interpolation, SpecError> {
    match raw {
        Some(_) if resize.is_none() => {
            Err(at.error("interpolation", "has no meaning without dataset.resize"))
        }
        None | Some(RawInterpolation::Bilinear) => Ok(Interpolation::Bilinear),
        Some(RawInterpolation::Bicubic) => Ok(Interpolation::Bicubic),
    }
}

fn crop(
    at: &SpecTable,
    raw: Option<i64>,
    resize: Option<ResizeTo>,
) -> Result<Option<u32>, SpecError> {
    let Some(raw) = raw else { return Ok(None) };
    let crop = side(at, "crop", raw)?;
    match resize.map(shorter_side) {
        Some(shorter) if crop > shorter => Err(too_large_crop(at, crop, shorter)),
        _ => Ok(Some(crop)),
    }
}

fn shorter_side(resize: ResizeTo) -> u32 {
    match resize {
        ResizeTo::Shorter(side) => side,
        ResizeTo::Exact { height, width } => height.min(width),
    }
}

fn too_large_crop(at: &SpecTable, crop: u32, resize: u32) -> SpecError {
    let message = format!("{crop} pixels do not fit in the {resize} of dataset.resize");
    at.error("crop", message)
}

/// Refuses keys that the format does not have.
fn check_keys(at: &SpecTable, format: DatasetFormat, raw: &RawDataset) -> Result<(), SpecError> {
    let word = format.as_str();
    if !format.has_photographs() {
        let reason = format!("has no meaning for format {word}, only for image-folder or imagenet");
        at.refuse(&photograph_keys(raw), &reason)?;
    }
    if format != DatasetFormat::Imagenet {
        let reason = format!("has no meaning for format {word}, only for imagenet");
        at.refuse(&[("labels", raw.labels.is_some())], &reason)?;
    }
    Ok(())
}

fn photograph_keys(raw: &RawDataset) -> [(&'static str, bool); 4] {
    [
        ("resize", raw.resize.is_some()),
        ("interpolation", raw.interpolation.is_some()),
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
