//! TorchScript files that are cut short, have flipped bits, or unpack to very large sizes.

use std::io::{Cursor, Write};

use ddrs_common::architecture::Outputs;
use tch::{CModule, Device, Kind, Tensor};
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::model::{Arithmetic, Normalisation, ScriptNetwork, archive};

/// A program with a constant and with enough source text to be compressed.
fn program() -> Vec<u8> {
    let weight = Tensor::arange(30, (Kind::Float, Device::Cpu)).view([3, 10]);
    let mut body = |inputs: &[Tensor]| {
        let mean = inputs[0].mean_dim([2, 3].as_slice(), false, None);
        vec![(0..20).fold(mean.matmul(&weight), |scores, step| {
            (scores * 1.5 + f64::from(step)).tanh()
        })]
    };
    let input = Tensor::ones([1, 3, 4, 4], (Kind::Float, Device::Cpu));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.pt");
    CModule::create_by_tracing("m", "forward", &[input], &mut body)
        .unwrap()
        .save(&path)
        .unwrap();
    std::fs::read(path).unwrap()
}

/// Returns the scores of an image, if the program loads.
fn scores(bytes: &[u8]) -> anyhow::Result<Vec<f32>> {
    use crate::model::Classifier;
    let arithmetic = Arithmetic {
        device: Device::Cpu,
        kind: Kind::Float,
        tf32: false,
        emulates_bf16: false,
    };
    let script = ScriptNetwork::load(bytes, arithmetic, Normalisation(None), Outputs::Scores)?;
    let images = Tensor::arange(48, (Kind::Float, Device::Cpu)).view([1, 3, 4, 4]) / 48.0;
    Ok(Vec::try_from(script.scores(&images)?.view(-1))?)
}

#[test]
fn a_program_cut_short_anywhere_is_refused() {
    let whole = program();
    assert!(scores(&whole).is_ok());
    for length in (0..whole.len())
        .step_by(13)
        .chain(whole.len() - 30..whole.len())
    {
        let error = format!("{:#}", scores(&whole[..length]).unwrap_err());
        assert!(
            error.starts_with("not a TorchScript program: "),
            "{length}: {error}"
        );
    }
}

#[test]
fn a_program_with_a_flipped_bit_is_refused_or_computes_the_same() {
    let whole = program();
    let expected = scores(&whole).unwrap();
    let mut refused = 0;
    for place in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << (place % 8);
        match scores(&flipped) {
            Ok(found) => assert_eq!(found, expected, "a flip at {place}"),
            Err(_) => refused += 1,
        }
    }
    // Flips in padding, dates and attributes that nothing reads are accepted.
    assert!(refused > whole.len() / 3, "{refused} of {}", whole.len());
}

fn archive_of(method: CompressionMethod, members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        archive
            .start_file(*name, FileOptions::default().compression_method(method))
            .unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn members_that_unpack_to_too_much_are_refused_by_name_before_they_are_unpacked() {
    let zeros = vec![0; 1 << 20];
    let bomb = archive_of(
        CompressionMethod::Deflated,
        &[("m/a", &zeros), ("m/b", &zeros)],
    );
    assert!(bomb.len() < 10_000);
    assert!(archive::check_within(&bomb, 2 << 20).is_ok());
    let error = archive::check_within(&bomb, (2 << 20) - 1)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "its member \"m/b\" would unpack to 1048576 bytes");
    // The length of the file limits stored members.
    assert!(
        archive::check_within(
            &archive_of(CompressionMethod::Stored, &[("m/a", &zeros)]),
            0
        )
        .is_ok()
    );
}

#[test]
fn a_member_that_holds_more_than_it_says_is_not_unpacked_further() {
    let zeros = vec![0; 1 << 20];
    let mut bomb = archive_of(CompressionMethod::Deflated, &[("m/a", &zeros)]);
    // Its length is in the directory and in the header before the content.
    for place in 0..bomb.len() - 4 {
        if bomb[place..place + 4] == (1_u32 << 20).to_le_bytes() {
            bomb[place..place + 4].copy_from_slice(&9_u32.to_le_bytes());
        }
    }
    let error = format!("{:#}", archive::check_within(&bomb, 1 << 19).unwrap_err());
    assert!(error.contains("m/a"), "{error}");
}

#[test]
fn an_archive_of_something_else_is_refused() {
    for members in [&[][..], &[("a.txt", &b"x"[..])]] {
        let error = format!(
            "{:#}",
            scores(&archive_of(CompressionMethod::Stored, members)).unwrap_err()
        );
        assert!(error.starts_with("not a TorchScript program: "), "{error}");
    }
}
