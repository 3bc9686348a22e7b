#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::Write as _;
use std::thread;

use image::ImageFormat;
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::data::tests::{encoded, formula, message};

/// Writes an archive whose members are alternately stored and compressed.
pub(in crate::data) fn write_zip(path: &Path, members: &[(&str, &[u8])]) {
    let mut archive = ZipWriter::new(File::create(path).unwrap());
    for (place, (name, content)) in members.iter().enumerate() {
        let method = [CompressionMethod::Stored, CompressionMethod::Deflated][place % 2];
        let options = FileOptions::default().compression_method(method);
        archive.start_file(*name, options).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap();
}

fn open(path: &Path) -> Result<(ZipImages, LeftAside), DataError> {
    ZipImages::open(path, &Roots::anywhere())
}

#[test]
fn members_are_sorted_and_read_whole_by_several_threads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("val.zip");
    let large = vec![7; 3 * PIECE];
    write_zip(
        &path,
        &[
            ("b.png", b"second"),
            ("a.png", &large),
            ("c.JPEG", b"third"),
        ],
    );
    let (images, aside) = open(&path).unwrap();
    assert_eq!(images.names(), ["a.png", "b.png", "c.JPEG"]);
    assert!(aside.notes().is_empty());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                assert_eq!(images.read(0).unwrap(), large);
                assert_eq!(images.read(1).unwrap(), b"second");
                assert_eq!(images.read(2).unwrap(), b"third");
            });
        }
    });
    assert_eq!(images.label_path(1), path.join("b.png"));
}

#[test]
fn members_that_are_no_images_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("val.zip");
    write_zip(
        &path,
        &[
            ("val/a.png", b"x"),
            ("val/._a.png", b"x"),
            ("__MACOSX/val/a.png", b"x"),
            ("val/map.txt", b"x"),
        ],
    );
    let (images, aside) = open(&path).unwrap();
    assert_eq!(images.names(), ["val/a.png"]);
    let notes = aside.notes().join("\n");
    for part in [
        "1 hidden folder(s)",
        "1 hidden file(s)",
        "such as val/map.txt",
    ] {
        assert!(notes.contains(part), "{notes}");
    }
}

#[test]
fn an_archive_that_cannot_be_used_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("val.zip");
    for (content, part) in [
        (&b""[..], "neither a folder nor a zip archive"),
        (b"ustar and more", "neither a folder nor a zip archive"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = message(open(&path));
        assert!(
            error.contains("val.zip: ") && error.contains(part),
            "{error}"
        );
    }
    write_zip(&path, &[("a.txt", b"x")]);
    assert!(message(open(&path)).contains("holds no image"));
    write_zip(&path, &[("a.png", b"x"), ("b.png", b"y")]);
    let bytes = std::fs::read(&path).unwrap();
    let places: Vec<usize> = (0..bytes.len() - 5)
        .filter(|&at| &bytes[at..at + 5] == b"b.png")
        .collect();
    let mut twice = bytes;
    for place in places {
        twice[place] = b'a';
    }
    std::fs::write(&path, twice).unwrap();
    assert!(message(open(&path)).contains("holds \"a.png\" twice"));
}

#[test]
fn damage_within_a_member_fails_that_member() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("val.zip");
    let picture = encoded(formula(9, 7), ImageFormat::Png);
    write_zip(&path, &[("a.png", &picture), ("b.png", b"fine")]);
    let mut bytes = std::fs::read(&path).unwrap();
    let place = bytes.windows(4).position(|four| four == b"IDAT").unwrap();
    bytes[place + 6] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (images, _) = open(&path).unwrap();
    let fault = images.read(0).unwrap_err();
    assert!(
        matches!(&fault, Fault::Damaged(what) if what.contains("checksum")),
        "{fault}"
    );
    assert_eq!(images.read(1).unwrap(), b"fine");
}

#[test]
fn the_digest_follows_names_content_and_labels() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("val.zip");
    let digest = |members: &[(&str, &[u8])], label| {
        write_zip(&path, members);
        open(&path).unwrap().0.digest(&[Class(label)])
    };
    let first = digest(&[("a.png", b"x")], 0);
    assert_eq!(digest(&[("a.png", b"x")], 0), first);
    for (members, label) in [
        ([("b.png", &b"x"[..])], 0),
        ([("a.png", b"y")], 0),
        ([("a.png", b"x")], 1),
    ] {
        assert_ne!(digest(&members, label), first);
    }
}
