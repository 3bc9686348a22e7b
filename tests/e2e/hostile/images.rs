//! Tests a folder with each kind of valid and damaged picture, with the real programs under a
//! memory limit.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use ddrs_tests::{TestDir, program, run_to_end};
use image::{DynamicImage, ImageFormat, Luma};
use serde_json::Value;

use super::pictures;
use super::png::png;

/// The limit of the address space of each program, in KiB. libtorch alone takes a fifth of it.
const LIMIT: u32 = 3 << 20;

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../common/src/data/testdata");
    fs::read(folder.join(name)).unwrap()
}

fn encoded(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Returns a JPEG whose frame header claims another size.
fn claiming(jpeg: &[u8], height: u16, width: u16) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    let frame = bytes
        .windows(2)
        .position(|marker| marker == b"\xff\xc0")
        .unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

/// Returns the files, each with words of its expected error, or `None` if it must be certified.
fn files() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let jpeg = fixture("baseline-420.jpg");
    let grey16 = image::ImageBuffer::from_fn(8, 8, |x, y| Luma([(x * 8000 + y) as u16]));
    let grey = image::GrayImage::from_fn(8, 8, |x, y| Luma([(x * 30 + y) as u8]));
    let valid = encoded(image::RgbImage::new(8, 8));
    let rows = [[0u8, 0b0001_1011, 0b1110_0100]; 8].concat();
    let palette = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9];
    let transparency = [0, 128, 255, 255];
    vec![
        ("00-valid.png", valid.clone(), None),
        (
            "01-cut.jpg",
            jpeg[..jpeg.len() / 2].to_vec(),
            Some("the file is cut short"),
        ),
        ("02-grey-16-bit.png", encoded(grey16), None),
        ("03-grey.png", encoded(grey), None),
        (
            "04-palette.png",
            png(8, 8, 2, 3, &[("PLTE", &palette)], &rows),
            None,
        ),
        (
            "05-palette-alpha.png",
            png(
                8,
                8,
                2,
                3,
                &[("PLTE", &palette), ("tRNS", &transparency)],
                &rows,
            ),
            None,
        ),
        ("06-cmyk.jpg", fixture("cmyk.jpg"), None),
        ("07-progressive.jpg", fixture("progressive-420.jpg"), None),
        (
            "08-one-pixel.png",
            encoded(image::RgbImage::new(1, 1)),
            None,
        ),
        (
            "09-huge.png",
            png(20_000, 20_000, 8, 2, &[], &[0; 100]),
            Some("20000 x 20000 pixels are more than"),
        ),
        (
            "10-huge.jpg",
            claiming(&jpeg, 20_000, 20_000),
            Some("20000 x 20000 pixels are more than"),
        ),
        // Zeros that decompress to 81 million pixels, which is below the limit.
        (
            "11-bomb.png",
            encoded(image::GrayImage::new(9000, 9000)),
            None,
        ),
        (
            "12-bomb-cut.png",
            png(9000, 9000, 8, 2, &[], &[0; 100]),
            Some("damaged"),
        ),
        ("13-empty.png", Vec::new(), Some("the file is empty")),
        (
            "14-text.jpg",
            b"<html>404 not found</html>".to_vec(),
            Some("not a JPEG, PNG"),
        ),
        (
            "15-cut.png",
            valid[..valid.len() - 20].to_vec(),
            Some("cut short"),
        ),
        (
            "16-sliver.png",
            encoded(image::GrayImage::new(60_000, 1)),
            Some("pixels are more than"),
        ),
    ]
}

#[test]
fn every_picture_is_certified_or_fails_alone_within_bounded_memory() {
    let dir = TestDir::new();
    let _ = pictures(&dir, "resize = 1500\ncrop = 8\n");
    let files = files();
    for (name, bytes, _) in &files {
        dir.write(&format!("images/a/{name}"), bytes);
    }
    // A sparse file of 1 TiB, and a pipe without a writer.
    File::create(dir.path("images/a/17-endless.png"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(dir.path("images/a/18-pipe.png"))
            .status()
            .unwrap()
            .success()
    );
    dir.write("images/b/valid.png", &files[0].1);
    let ended = run_to_end(
        Command::new("sh")
            .args(["-c", &format!("ulimit -v {LIMIT}; exec \"$0\" \"$@\"")])
            .arg(program("ddrs-coordinator"))
            .args(["run", "sweep.toml", "--out", "out"])
            .args(["--device", "cpu", "--workers", "1"])
            .current_dir(dir.path("")),
    )
    .expect(3);
    assert!(ended.stderr.contains("samples failed"), "{}", ended.stderr);
    let records = dir.records("out");
    assert_eq!(records.len(), files.len() + 3);
    let more = [
        ("17-endless.png", Some("bytes are more than")),
        ("18-pipe.png", Some("not a regular file")),
    ];
    let expected = files
        .iter()
        .map(|&(name, _, word)| (name, word))
        .chain(more);
    for (index, (name, word)) in expected.enumerate() {
        let record = &records[&("plane/fixed/0.5".to_owned(), index as u64)];
        let error = record.get("error").and_then(Value::as_str);
        match (error, word) {
            (None, None) => {}
            (Some(error), Some(word)) => assert!(
                error.contains(name) && error.contains(word),
                "{name}: {error}"
            ),
            _ => panic!("{name}: {record}"),
        }
    }
    assert!(
        records[&("plane/fixed/0.5".to_owned(), 19)]
            .get("error")
            .is_none(),
        "the picture of the other class must be certified"
    );
}
