//! `[dataset]`.

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
    let format = match at.required("format", raw.format)? {
        RawFormat::ImageFolder => DatasetFormat::ImageFolder,
        RawFormat::Cifar10 => DatasetFormat::Cifar10,
        RawFormat::Tensors => DatasetFormat::Tensors,
    };
    let pixels = |key, value: Option<i64>| {
        value
            .map(|value| at.integer(key, value, 1, 16_384))
            .transpose()
    };
    let (resize, crop) = (pixels("resize", raw.resize)?, pixels("crop", raw.crop)?);
    if let (Some(resize), Some(crop)) = (resize, crop)
        && crop > resize
    {
        return Err(at.error(
            "crop",
            format!("{crop} pixels do not fit in the {resize} of dataset.resize"),
        ));
    }
    if format != DatasetFormat::ImageFolder {
        let given = [
            ("resize", resize.is_some()),
            ("crop", crop.is_some()),
            ("classes", raw.classes.is_some()),
        ];
        if let Some((key, _)) = given.into_iter().find(|&(_, given)| given) {
            return Err(at.error(
                key,
                format!(
                    "has no meaning for format {}, only for image-folder",
                    format.as_str()
                ),
            ));
        }
    }
    Ok(DatasetSpec {
        format,
        path: at.path("path", &at.required("path", raw.path)?, folder)?,
        selection: Selection {
            offset: at.integer("offset", raw.offset, 0, i64::MAX)?,
            stride: at.positive("stride", raw.stride, i64::MAX)?,
            limit: raw
                .limit
                .map(|limit| at.positive("limit", limit, i64::MAX))
                .transpose()?,
        },
        resize: resize.map(|pixels| pixels as u32),
        crop: crop.map(|pixels| pixels as u32),
        classes: raw
            .classes
            .map(|path| at.path("classes", &path, folder))
            .transpose()?,
    })
}
