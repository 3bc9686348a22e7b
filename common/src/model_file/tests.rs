#![allow(clippy::unwrap_used)]
use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use super::*;

fn golden(name: &str) -> PathBuf {
    crate::golden::path("checkpoints").join(name)
}

fn open(name: &str) -> NamedTensors<'static> {
    NamedTensors::open(&golden(name), &Roots::anywhere()).unwrap()
}

/// The three columns of the numbers 0 to 11 in rows of four, one after the other.
const TRANSPOSED: [f64; 12] = [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.];

#[test]
fn every_container_gives_the_tensors_that_torch_saved() {
    for name in ["zip.pth", "stream.pth.tar"] {
        let file = open(name);
        let numbers = |tensor: &str| file.read_numbers(&format!("state_dict.module.{tensor}"));
        assert_eq!(numbers("transposed").unwrap(), TRANSPOSED, "{name}");
        assert_eq!(numbers("shared").unwrap(), [2., 4., 6., 8.]);
        assert_eq!(numbers("half").unwrap(), [0.5, -2.0]);
        assert_eq!(numbers("bfloat").unwrap(), [1.5, 3.0]);
        assert_eq!(numbers("double").unwrap(), [0.1]);
        assert_eq!(numbers("empty").unwrap(), [0.0; 0]);
        let count = &file.tensors()["state_dict.module.count"];
        assert_eq!((count.dtype, count.shape.len()), (Dtype::I64, 0));
        assert_eq!(
            file.read("state_dict.module.count").unwrap(),
            7_i64.to_le_bytes()
        );
        let transposed = &file.tensors()["state_dict.module.transposed"];
        assert_eq!(transposed.shape, [4, 3]);
        assert_eq!(transposed.dict, "state_dict");
    }
    let file = open("tar.pth");
    assert_eq!(
        file.read_numbers("state_dict.transposed").unwrap(),
        TRANSPOSED
    );
    assert_eq!(
        file.read_numbers("state_dict.shared").unwrap(),
        [2., 4., 6., 8.]
    );
}

#[test]
fn what_is_no_tensor_is_listed() {
    let file = open("zip.pth");
    assert_eq!(file.metadata()["arch"], "cifar_resnet20");
    for name in ["epoch", "args (an object of class argparse.Namespace)"] {
        assert!(
            file.others().iter().any(|other| other == name),
            "{name}: {:?}",
            file.others()
        );
    }
    let momentum = "optimizer.state.0.momentum_buffer";
    assert_eq!(file.read_numbers(momentum).unwrap(), [1.0, 1.0]);
    let module = open("module.pt");
    assert!(module.tensors().is_empty());
    assert_eq!(
        module.others(),
        ["an object of class torch.nn.modules.linear.Linear"]
    );
}

#[test]
fn the_format_is_known_by_the_content() {
    for (name, container) in [
        ("zip.pth", TorchContainer::Zip),
        ("stream.pth.tar", TorchContainer::Stream),
        ("tar.pth", TorchContainer::Tar),
    ] {
        let bytes = fs::read(golden(name)).unwrap();
        assert_eq!(kind_of(&bytes), FileKind::TorchSave(container), "{name}");
    }
    for (bytes, words) in [
        (&b""[..], "an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d",
            "git lfs pull",
        ),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"{\"weight_map\": {}}", "JSON"),
        (b"\x08\x08\x12\x07pytorch", "ONNX"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x80\x04}.", "a pickle that torch.save did not write"),
        (b"PK\x03\x04 cut", "an archive that is damaged"),
        (b"anything else", "neither safetensors"),
    ] {
        let refused = NamedTensors::from_bytes(bytes).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
        assert!(kind_of(bytes).check_program().unwrap_err().contains(words));
    }
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = zip::write::FileOptions::default();
        let method = zip::CompressionMethod::Deflated;
        writer
            .start_file(*name, options.compression_method(method))
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A pickle of `{'w': a tensor of two single-precision numbers}`, whose strides can be chosen.
fn pickle(shape: u8, stride: u8) -> Vec<u8> {
    let mut bytes = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
    bytes.extend(b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000");
    bytes.extend(b"X\x03\x00\x00\x00cpuK\x02tQK\x00K");
    bytes.extend([shape, 0x85, b'K', stride, 0x85]);
    bytes.extend(b"\x89}tRs.");
    bytes
}

#[test]
fn a_compressed_archive_is_read_and_one_on_another_machine_refused() {
    let weights: Vec<u8> = [1.5_f32, 2.5]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let members = [("a/data.pkl", &pickle(2, 1)[..]), ("a/data/0", &weights)];
    let bytes = archive(&members);
    let file = NamedTensors::from_bytes(&bytes).unwrap();
    assert_eq!(file.read_numbers("w").unwrap(), [1.5, 2.5]);
    let big = archive(&[members[0], members[1], ("a/byteorder", b"big")]);
    let refused = NamedTensors::from_bytes(&big).unwrap_err().to_string();
    assert!(refused.contains("big-endian"), "{refused}");
}

#[test]
fn a_tensor_outside_its_storage_is_no_tensor() {
    for (shape, stride) in [(3, 1), (2, 2), (255, 255)] {
        let bytes = archive(&[
            ("a/data.pkl", &pickle(shape, stride)),
            ("a/data/0", &[0; 8]),
        ]);
        assert!(
            NamedTensors::from_bytes(&bytes)
                .unwrap()
                .tensors()
                .is_empty()
        );
    }
    // One value may stand for many.
    let bytes = archive(&[("a/data.pkl", &pickle(3, 0)), ("a/data/0", &[0; 8])]);
    let file = NamedTensors::from_bytes(&bytes).unwrap();
    assert_eq!(file.read_numbers("w").unwrap(), [0.0; 3]);
}

#[test]
fn a_call_in_a_checkpoint_is_refused_by_name() {
    let pickle = b"\x80\x02}X\x01\x00\x00\x00wcposix\nsystem\nX\x04\x00\x00\x00true\x85Rs.";
    let bytes = archive(&[("a/data.pkl", pickle)]);
    let refused = NamedTensors::from_bytes(&bytes).unwrap_err().to_string();
    assert!(refused.contains("posix.system"), "{refused}");
}

#[test]
fn a_flipped_bit_of_a_weight_in_an_archive_is_found() {
    let mut bytes = fs::read(golden("zip.pth")).unwrap();
    let eleven = 11.0_f32.to_le_bytes();
    let place = bytes
        .windows(4)
        .position(|window| window == eleven)
        .unwrap();
    bytes[place] ^= 1;
    let file = NamedTensors::from_bytes(&bytes).unwrap();
    let refused = file
        .read("state_dict.module.transposed")
        .unwrap_err()
        .to_string();
    assert!(refused.contains("its checksum does not match"), "{refused}");
}

#[test]
fn a_checkpoint_that_is_cut_off_is_refused_or_keeps_its_values() {
    for name in ["zip.pth", "stream.pth.tar", "tar.pth"] {
        let whole = fs::read(golden(name)).unwrap();
        for length in (0..whole.len()).step_by(7) {
            let Ok(file) = NamedTensors::from_bytes(&whole[..length]) else {
                continue;
            };
            let transposed = file
                .tensors()
                .keys()
                .find(|name| name.ends_with("transposed"));
            let numbers = transposed.map(|name| file.read_numbers(name).unwrap());
            assert_eq!(
                numbers.as_deref(),
                Some(&TRANSPOSED[..]),
                "{name}: {length}"
            );
        }
    }
}
