//! Tests checkpoints of `torch.save` as models: used directly, converted, described, and refused.

use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use ddrs_common::model_file::NamedTensors;
use ddrs_common::roots::Roots;
use ddrs_tests::{HalfSpaceSweep, ProgramOutput, TestDir, run_to_end};

/// A pickle that is built piece by piece.
struct PickleText(Vec<u8>);

impl PickleText {
    fn new() -> Self {
        Self(b"\x80\x02}".to_vec())
    }

    fn text(mut self, text: &str) -> Self {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn int(self, number: usize) -> Self {
        let bytes = (number as i32).to_le_bytes();
        self.raw(b"J").raw(&bytes)
    }

    /// A tensor of single-precision numbers with one dimension.
    fn tensor(self, storage: &str, length: usize) -> Self {
        self.raw(b"ctorch._utils\n_rebuild_tensor_v2\n((")
            .text("storage")
            .raw(b"ctorch\nFloatStorage\n")
            .text(storage)
            .text("cpu")
            .int(length)
            .raw(b"tQK\x00")
            .int(length)
            .raw(b"\x85K\x01\x85\x89}tR")
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'.');
        self.0
    }
}

fn archive(pickle: &[u8], storages: &[&[f32]]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::FileOptions::default();
    let options = options.compression_method(zip::CompressionMethod::Stored);
    writer.start_file("m/data.pkl", options).unwrap();
    writer.write_all(pickle).unwrap();
    for (key, values) in storages.iter().enumerate() {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        writer.start_file(format!("m/data/{key}"), options).unwrap();
        writer.write_all(&bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The half-space of the tests as a checkpoint: `state_dict`, `module.`, an optimiser and a number.
fn checkpoint() -> Vec<u8> {
    let weight = HalfSpaceSweep::weight();
    let pickle = PickleText::new()
        .text("state_dict")
        .raw(b"}")
        .text("module.weight")
        .tensor("0", weight.len())
        .raw(b"s")
        .text("module.bias")
        .tensor("1", 1)
        .raw(b"ss")
        .text("optimizer")
        .raw(b"}")
        .text("buffer")
        .tensor("0", weight.len())
        .raw(b"ss")
        .text("epoch")
        .int(90)
        .raw(b"s")
        .end();
    archive(&pickle, &[&weight, &[HalfSpaceSweep::BIAS]])
}

/// Writes a sweep whose model is `model.pth.tar` with this content.
fn sweep(dir: &TestDir, model: &[u8]) -> PathBuf {
    let spec = dir.half_space(&HalfSpaceSweep::default());
    let text = fs::read_to_string(&spec).unwrap();
    dir.write("model.pth.tar", model);
    dir.write(
        "sweep.toml",
        text.replace("model.safetensors", "model.pth.tar"),
    )
}

#[test]
fn a_checkpoint_is_certified_where_it_is_and_the_rest_of_it_left_aside() {
    let dir = TestDir::new();
    let spec = sweep(&dir, &checkpoint());
    let ended = dir.run(&spec, "out", 1).expect(0);
    for words in [
        "the network is under \"state_dict.module\"",
        "left aside: epoch, optimizer",
    ] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    let records = dir.records("out");
    assert_eq!(records.len(), 48);
    for ((_, index), record) in &records {
        let distance = HalfSpaceSweep::distance(*index as usize);
        if let Some(class) = record["prediction"].as_u64() {
            assert_eq!(class == 1, distance > 0.0, "{record}");
        }
    }
}

#[test]
fn a_checkpoint_converts_to_the_same_tensors() {
    let dir = TestDir::new();
    dir.write("model.pth.tar", checkpoint());
    let convert = [
        "convert",
        "model.pth.tar",
        "--architecture",
        "half-space",
        "--out",
    ];
    let _ = run_to_end(dir.worker().args(convert).arg("new.safetensors")).expect(0);
    let _ = dir.half_space(&HalfSpaceSweep::default());
    for name in ["weight", "bias"] {
        let read = |file: &str| {
            let file = NamedTensors::open(&dir.path(file), &Roots::anywhere()).unwrap();
            file.read(name).unwrap()
        };
        assert_eq!(read("new.safetensors"), read("model.safetensors"), "{name}");
    }
    let inspect = ["inspect", "new.safetensors", "--architecture", "half-space"];
    let shown = run_to_end(dir.worker().args(inspect)).expect(0).stdout;
    for line in [
        "half-space with 2 classes",
        "path = \"new.safetensors\"",
        "classes = 2",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
}

fn doctor(dir: &TestDir) -> ProgramOutput {
    run_to_end(dir.coordinator().args(["doctor", "sweep.toml"]))
}

#[test]
fn what_is_not_a_checkpoint_is_refused_before_any_job_with_what_it_is() {
    let call = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.";
    let module = b"\x80\x02c__main__\nNet\n)\x81}X\x08\x00\x00\x00trainingK\x01sb.";
    for (bytes, words) in [
        (archive(call, &[]), "posix.system"),
        (archive(module, &[]), "an object of class __main__.Net"),
        (
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            "git lfs pull",
        ),
        (b"<!DOCTYPE html>".to_vec(), "a web page"),
        (Vec::new(), "an empty file"),
        (
            b"\x80\x04}.".to_vec(),
            "a pickle that torch.save did not write",
        ),
    ] {
        let dir = TestDir::new();
        let spec = sweep(&dir, &bytes);
        for ended in [doctor(&dir).expect(2), dir.run(&spec, "out", 1).expect(2)] {
            let said = ended.stdout + &ended.stderr;
            assert!(
                said.contains("model.pth.tar") && said.contains(words),
                "{said}"
            );
        }
    }
}
