//! Fuzzes image files of all formats.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use ddrs_common::spec::{DatasetFormat, DatasetSpec, ResizeTo};
use image::{DynamicImage, ImageFormat, Luma, Rgba};

use crate::damage::damaged;
use crate::data::read_all;
use crate::{file, fuzz};

/// Returns a file of each kind: baseline, progressive and CMYK JPEG; colour, grey, alpha and 16-bit
/// PNG; and the other formats.
fn files() -> Vec<Vec<u8>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../common/src/data/testdata");
    let fixed = [
        "baseline-420.jpg",
        "baseline-444.jpg",
        "progressive-420.jpg",
        "cmyk.jpg",
        "colour.bmp",
        "palette.bmp",
        "colour.ppm",
        "text.ppm",
        "grey.pgm",
        "lzw.tif",
        "grey.tiff",
        "lossless.webp",
        "lossy.webp",
        "alpha.webp",
    ];
    let read = |name| fs::read(fixtures.join(name)).unwrap();
    let png = |image: DynamicImage| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let colour = image::RgbaImage::from_fn(9, 7, |x, y| Rgba([x as u8 * 20, y as u8 * 30, 7, 100]));
    let deep = image::ImageBuffer::from_fn(9, 7, |x, y| Luma([(x * 7000 + y) as u16]));
    let pngs = [
        DynamicImage::from(colour.clone()),
        DynamicImage::ImageRgba8(colour).to_rgb8().into(),
        deep.into(),
    ];
    fixed.map(read).into_iter().chain(pngs.map(png)).collect()
}

#[test]
fn damaged_images_are_read_or_fail_by_name() {
    let (dir, path) = file("class/a.png");
    fs::create_dir(dir.path().join("class")).unwrap();
    let plain = DatasetSpec::whole(DatasetFormat::ImageFolder, dir.path());
    let resized = DatasetSpec {
        resize: Some(ResizeTo::Shorter(16)),
        crop: Some(12),
        ..plain.clone()
    };
    for whole in files() {
        fuzz(&damaged(whole), |bytes| {
            fs::write(&path, &bytes).unwrap();
            read_all(&plain, &path)?;
            read_all(&resized, &path).map(|_| ())
        });
    }
}
