//! Decodes an image file to 8-bit RGB, as `PIL.Image.open(file).convert("RGB")` does.
//!
//! Alpha is dropped, not blended; palettes are expanded; EXIF orientation and colour profiles are
//! ignored; the first bytes determine the format, not the name. There is one difference: Pillow
//! clips 16-bit grey at 255, which turns nearly all of it white; here the high byte is taken, as
//! Pillow does with 16-bit RGB.

use std::io::{Cursor, ErrorKind};

use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Pixel};
use jpeg_decoder::{CodingProcess, PixelFormat};

use super::Fault;
use crate::domain::MAX_PIXELS;

/// An image of 8-bit RGB pixels, row by row: `3 * width * height` bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rgb {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bytes: Vec<u8>,
}

/// Decodes a whole file.
pub(super) fn decode(file: &[u8]) -> Result<Rgb, Fault> {
    if file.is_empty() {
        Err(Fault::Empty)
    } else if file.starts_with(b"\xff\xd8\xff") {
        decode_jpeg(file)
    } else {
        decode_as(file, format(file).ok_or(Fault::UnknownFormat)?)
    }
}

/// The format that the first bytes belong to, if it is not JPEG.
fn format(file: &[u8]) -> Option<ImageFormat> {
    match file {
        [b'\x89', b'P', b'N', b'G', b'\r', b'\n', b'\x1a', b'\n', ..] => Some(ImageFormat::Png),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some(ImageFormat::WebP),
        [b'B', b'M', ..] => Some(ImageFormat::Bmp),
        [b'P', b'1'..=b'6', ..] => Some(ImageFormat::Pnm),
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => Some(ImageFormat::Tiff),
        _ => None,
    }
}

/// Refuses sizes that would take unreasonable memory, before it is allocated.
pub(super) fn check_size(width: u64, height: u64) -> Result<(), Fault> {
    if width.saturating_mul(height) > MAX_PIXELS {
        Err(Fault::TooLarge { width, height })
    } else {
        Ok(())
    }
}

fn decode_jpeg(file: &[u8]) -> Result<Rgb, Fault> {
    let mut decoder = jpeg_decoder::Decoder::new(file);
    decoder.read_info().map_err(jpeg_fault)?;
    let missing = || Fault::Damaged("a JPEG without a frame".to_owned());
    let info = decoder.info().ok_or_else(missing)?;
    check_size(info.width.into(), info.height.into())?;
    if info.coding_process == CodingProcess::Lossless {
        return Err(Fault::Damaged("lossless JPEG".to_owned()));
    }
    let pixels = decoder.decode().map_err(jpeg_fault)?;
    Ok(Rgb {
        width: info.width.into(),
        height: info.height.into(),
        bytes: jpeg_bytes(info.pixel_format, pixels)?,
    })
}

fn jpeg_bytes(format: PixelFormat, pixels: Vec<u8>) -> Result<Vec<u8>, Fault> {
    match format {
        PixelFormat::RGB24 => Ok(pixels),
        PixelFormat::L8 => Ok(pixels.iter().flat_map(|&grey| [grey; 3]).collect()),
        PixelFormat::CMYK32 => Ok(cmyk_pixels_to_rgb(&pixels)),
        PixelFormat::L16 => Err(Fault::Damaged("JPEG of more than 8 bits".to_owned())),
    }
}

fn jpeg_fault(error: jpeg_decoder::Error) -> Fault {
    match error {
        jpeg_decoder::Error::Io(e) if e.kind() == ErrorKind::UnexpectedEof => Fault::Truncated,
        other => Fault::Damaged(other.to_string()),
    }
}

fn cmyk_pixels_to_rgb(pixels: &[u8]) -> Vec<u8> {
    let (inks, _) = pixels.as_chunks();
    inks.iter().copied().flat_map(cmyk_to_rgb).collect()
}

/// Converts as Pillow does: the light that black leaves, less the ink, each product divided by 255
/// and rounded.
fn cmyk_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let light = 255 - u32::from(black);
    [cyan, magenta, yellow].map(|ink| {
        let product = u32::from(ink) * light + 128;
        // At most `light`, which fits a byte.
        (light - (((product >> 8) + product) >> 8)) as u8
    })
}

fn decode_as(file: &[u8], format: ImageFormat) -> Result<Rgb, Fault> {
    // The default limit of 512 MiB holds also if the size in the header is small enough.
    let reader = ImageReader::with_format(Cursor::new(file), format);
    let decoder = reader.into_decoder().map_err(|error| image_fault(&error))?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;
    let image = DynamicImage::from_decoder(decoder).map_err(|error| image_fault(&error))?;
    Ok(Rgb {
        width,
        height,
        bytes: rgb_bytes(image)?,
    })
}

fn rgb_bytes(image: DynamicImage) -> Result<Vec<u8>, Fault> {
    use DynamicImage::{ImageLuma8, ImageLuma16, ImageLumaA8, ImageLumaA16};
    match image {
        ImageLuma8(image) => Ok(pixels_of(&image, |p| [p.0[0]; 3])),
        ImageLumaA8(image) => Ok(pixels_of(&image, |p| [p.0[0]; 3])),
        ImageLuma16(image) => Ok(pixels_of(&image, |p| [high(p.0[0]); 3])),
        ImageLumaA16(image) => Ok(pixels_of(&image, |p| [high(p.0[0]); 3])),
        image => colour_bytes(image),
    }
}

fn colour_bytes(image: DynamicImage) -> Result<Vec<u8>, Fault> {
    use DynamicImage::{ImageRgb8, ImageRgb16, ImageRgba8, ImageRgba16};
    match image {
        ImageRgb8(image) => Ok(image.into_raw()),
        ImageRgba8(image) => Ok(pixels_of(&image, |p| drop_alpha(p.0))),
        ImageRgb16(image) => Ok(pixels_of(&image, |p| p.0.map(high))),
        ImageRgba16(image) => Ok(pixels_of(&image, |p| drop_alpha(p.0).map(high))),
        _ => {
            let what = "an image that is neither grey nor RGB of 8 or 16 bits";
            Err(Fault::Damaged(what.to_owned()))
        }
    }
}

fn pixels_of<P: Pixel>(
    image: &ImageBuffer<P, Vec<P::Subpixel>>,
    to_rgb: impl Fn(&P) -> [u8; 3],
) -> Vec<u8> {
    image.pixels().flat_map(to_rgb).collect()
}

fn drop_alpha<T>([red, green, blue, _]: [T; 4]) -> [T; 3] {
    [red, green, blue]
}

fn high(value: u16) -> u8 {
    (value >> 8) as u8
}

fn image_fault(error: &ImageError) -> Fault {
    match error {
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => Fault::Truncated,
        other => Fault::Damaged(other.to_string()),
    }
}

#[cfg(test)]
#[path = "tests/decode.rs"]
mod tests;
