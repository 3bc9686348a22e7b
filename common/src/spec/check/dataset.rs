//! Checks `[dataset]`.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use super::section::SpecTable;
use crate::domain::Selection;
use crate::grid::Grid;
use crate::spec::raw::{RawDataset, RawFormat, RawInterpolation, RawLayout, RawResize};
use crate::spec::{DatasetFormat, DatasetSpec, Interpolation, PixelLayout, ResizeTo, SpecError};

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
        names: raw.names.map(|names| two_names(at, names)).transpose()?,
        split: raw.split.map(|split| split_name(at, split)).transpose()?,
        layout: raw.layout.map(layout),
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

fn two_names(at: &SpecTable, names: Vec<String>) -> Result<[String; 2], SpecError> {
    <[String; 2]>::try_from(names).map_err(|names| {
        let found = names.len();
        let message = format!("must be the names of images and labels, two texts, not {found}");
        at.error("names", message)
    })
}

fn split_name(at: &SpecTable, split: String) -> Result<String, SpecError> {
    if split.is_empty() {
        return Err(at.error("split", "must not be empty"));
    }
    Ok(split)
}

fn layout(raw: RawLayout) -> PixelLayout {
    match raw {
        RawLayout::Nchw => PixelLayout::ChannelsFirst,
        RawLayout::Nhwc => PixelLayout::ChannelsLast,
    }
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
        RawFormat::Cifar100 => DatasetFormat::Cifar100,
        RawFormat::Mnist => DatasetFormat::Mnist,
        RawFormat::Npz => DatasetFormat::Npz,
        RawFormat::Parquet => DatasetFormat::Parquet,
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

/// Refuses keys that have no meaning for the format.
fn check_keys(at: &SpecTable, format: DatasetFormat, raw: &RawDataset) -> Result<(), SpecError> {
    for (key, is_given, formats) in keys_of_formats(raw) {
        if is_given && !formats.contains(&format) {
            return Err(at.error(key, meaningless(format, formats)));
        }
    }
    Ok(())
}

fn meaningless(format: DatasetFormat, formats: &[DatasetFormat]) -> String {
    let format = format.as_str();
    let formats: Vec<&str> = formats.iter().map(|format| format.as_str()).collect();
    let formats = formats.join(", ");
    format!("has no meaning for format {format}, only for {formats}")
}

/// The keys that not every format has, whether they are given, and the formats that have them.
fn keys_of_formats(raw: &RawDataset) -> [(&'static str, bool, &'static [DatasetFormat]); 8] {
    use DatasetFormat::{Cifar10, Cifar100, ImageFolder, Imagenet, Mnist, Npz, Parquet, Tensors};
    const ENCODED: &[DatasetFormat] = &[ImageFolder, Imagenet, Parquet];
    [
        ("resize", raw.resize.is_some(), ENCODED),
        ("interpolation", raw.interpolation.is_some(), ENCODED),
        ("crop", raw.crop.is_some(), ENCODED),
        ("classes", raw.classes.is_some(), &[ImageFolder, Imagenet]),
        ("labels", raw.labels.is_some(), &[Imagenet, Mnist, Npz]),
        ("names", raw.names.is_some(), &[Npz, Parquet, Tensors]),
        (
            "split",
            raw.split.is_some(),
            &[Cifar10, Cifar100, Mnist, Npz, Parquet, Tensors],
        ),
        ("layout", raw.layout.is_some(), &[Npz, Tensors]),
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
