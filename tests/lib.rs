//! Helpers of the end-to-end tests: they run the real programs, create temporary folders, and write
//! small specifications.

pub mod chaos;
mod cluster;
mod poison;
pub mod proxy;

pub use cluster::{Cluster, ended, signal};
pub use poison::Poison;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ddrs_common::data::write_tensors;
use ddrs_common::domain::Class;
use serde_json::Value;
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The source text of a TorchScript program up to the lines of its `forward`.
const PROGRAM_HEAD: &str = "\
class Program(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def forward(self: __torch__.Program,
    y: Tensor) -> Tensor:
";

/// A pickled module of that class without attributes.
const PROGRAM_DATA: &[u8] =
    b"\x80\x02c__torch__\nProgram\nq\x00)\x81}X\x08\x00\x00\x00trainingq\x01\x89sb.";

/// A temporary folder of one test. It is removed on drop.
pub struct TestDir {
    pub(crate) dir: tempfile::TempDir,
}

/// The exit code, stdout and stderr of a program that has ended.
#[derive(Debug)]
pub struct ProgramOutput {
    /// The exit code, or -1 if a signal ended the program.
    pub code: i32,
    /// Holds the results that the program printed.
    pub stdout: String,
    /// Holds the log lines and error messages.
    pub stderr: String,
}

impl From<Output> for ProgramOutput {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl ProgramOutput {
    /// Checks the exit code. Panics with the whole output if it differs or the program panicked.
    #[track_caller]
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

/// Returns the path of a program that was built together with the tests.
///
/// # Panics
/// Panics if the program was not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("a test is a program");
    let built = tests
        .ancestors()
        .skip(1)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    built.unwrap_or_else(|| {
        panic!("{name} is not built: run `make test`, or `cargo build --release` first")
    })
}

/// Returns the path of real images or models. Tests that use it are ignored if the folder is
/// missing (`cfg(ddrs_shared)`, set by the build script).
#[must_use]
pub fn shared(name: &str) -> PathBuf {
    Path::new(env!("DDRS_SHARED")).join(name)
}

/// The values that tests vary in a half-space sweep over generated inputs.
#[derive(Debug, Clone)]
pub struct HalfSpaceSweep {
    /// The number of inputs.
    pub samples: usize,
    /// The number of draws in the estimation phase.
    pub n: u64,
    /// The ways to choose sigma, as a TOML array.
    pub choice: &'static str,
    /// The number of samples per job.
    pub job_samples: u64,
    /// The duration of a lease in seconds.
    pub lease: u64,
    /// The seed of the sweep.
    pub seed: u64,
}

impl Default for HalfSpaceSweep {
    fn default() -> Self {
        Self {
            samples: 24,
            n: 500,
            choice: r#"["fixed", "data-dependent"]"#,
            job_samples: 3,
            lease: 5,
            seed: 1,
        }
    }
}

/// Channels, height and width of the generated inputs.
pub const SHAPE: [usize; 3] = [3, 4, 4];

impl HalfSpaceSweep {
    /// Returns the normal vector of the plane.
    #[must_use]
    pub fn weight() -> Vec<f32> {
        (0..SHAPE.iter().product::<usize>())
            .map(|i| ((i * 37 % 11) as f32 - 5.0) / 5.0)
            .collect()
    }

    /// The offset of the plane.
    pub const BIAS: f32 = 0.25;

    /// Returns the pixels of one input.
    #[must_use]
    pub fn image(index: usize) -> Vec<f32> {
        (0..SHAPE.iter().product::<usize>())
            .map(|i| ((i * 7 + index * 13) % 17) as f32 / 16.0)
            .collect()
    }

    /// Returns (w·x + b) / |w|. It is positive for class 1, and its absolute value is the true
    /// radius of the smoothed classifier.
    #[must_use]
    pub fn distance(index: usize) -> f64 {
        let weight = Self::weight();
        let image = Self::image(index);
        let dot: f64 = weight
            .iter()
            .zip(&image)
            .map(|(&w, &x)| f64::from(w) * f64::from(x))
            .sum();
        let norm: f64 = weight
            .iter()
            .map(|&w| f64::from(w) * f64::from(w))
            .sum::<f64>()
            .sqrt();
        (dot + f64::from(Self::BIAS)) / norm
    }
}

impl TestDir {
    /// Creates an empty folder.
    ///
    /// # Panics
    /// Panics if the folder cannot be created.
    #[must_use]
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// Returns a path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file in the folder.
    ///
    /// # Panics
    /// Panics if the file cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a path in the folder")).expect("a folder");
        fs::write(&path, content).expect("a written file");
        path
    }

    /// Writes a TorchScript program whose `forward` maps a batch `y` to scores by these lines of
    /// source text.
    ///
    /// # Panics
    /// Panics if the file cannot be written.
    pub fn program(&self, name: &str, lines: &str) {
        let source = format!("{PROGRAM_HEAD}{lines}");
        let members: [(&str, &[u8]); 4] = [
            ("program/data.pkl", PROGRAM_DATA),
            ("program/code/__torch__.py", source.as_bytes()),
            ("program/constants.pkl", b"\x80\x02)."),
            ("program/version", b"3\n"),
        ];
        let file = fs::File::create(self.path(name)).expect("a created file");
        let mut archive = ZipWriter::new(file);
        let stored = FileOptions::default().compression_method(CompressionMethod::Stored);
        for (name, content) in members {
            archive.start_file(name, stored).expect("a started member");
            archive.write_all(content).expect("a written member");
        }
        let _ = archive.finish().expect("a complete archive");
    }

    /// Writes the inputs, the model and the specification of a half-space sweep. Returns the path
    /// of the specification.
    ///
    /// # Panics
    /// Panics if a file cannot be written.
    #[must_use]
    pub fn half_space(&self, spec: &HalfSpaceSweep) -> PathBuf {
        let pixels: Vec<f32> = (0..spec.samples).flat_map(HalfSpaceSweep::image).collect();
        let labels: Vec<Class> = (0..spec.samples)
            .map(|i| Class(u32::from(HalfSpaceSweep::distance(i) > 0.0)))
            .collect();
        let shape = [spec.samples, SHAPE[0], SHAPE[1], SHAPE[2]];
        write_tensors(&self.path("inputs.safetensors"), shape, &pixels, &labels)
            .expect("written inputs");
        write_half_space(
            &self.path("model.safetensors"),
            &HalfSpaceSweep::weight(),
            HalfSpaceSweep::BIAS,
        );
        let HalfSpaceSweep {
            n,
            choice,
            job_samples,
            lease,
            seed,
            ..
        } = spec;
        self.write(
            "sweep.toml",
            format!(
                "name = \"half-space\"\nseed = {seed}\n\
                 [dataset]\nformat = \"tensors\"\npath = \"inputs.safetensors\"\n\
                 [[model]]\nname = \"plane\"\npath = \"model.safetensors\"\n\
                 architecture = \"half-space\"\nclasses = 2\n\
                 [smoothing]\nsigma = [0.5]\nchoice = {choice}\n\
                 [smoothing.data-dependent]\niterations = 5\ndraws = 4\nlearning-rate = 0.05\n\
                 [certify]\nn0 = 20\nn = {n}\nalpha = 0.001\nchunk = 200\n\
                 [queue]\njob-samples = {job_samples}\nlease-seconds = {lease}\n"
            ),
        )
    }

    /// Returns the command of the coordinator, ready for arguments.
    #[must_use]
    pub fn coordinator(&self) -> Command {
        self.command("ddrs-coordinator")
    }

    /// Returns the command of the worker, ready for arguments.
    #[must_use]
    pub fn worker(&self) -> Command {
        self.command("ddrs-worker")
    }

    /// Returns the command of the development program, ready for arguments.
    #[must_use]
    pub fn dev(&self) -> Command {
        self.command("ddrs-dev")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command
            .current_dir(self.dir.path())
            .env_remove("DDRS_REDIS")
            .stdin(Stdio::null());
        command
    }

    /// Runs `run SPEC --out OUT --workers N --device cpu` to its end.
    #[must_use]
    pub fn run(&self, spec: &Path, out: &str, workers: u32) -> ProgramOutput {
        run_to_end(
            self.coordinator()
                .arg("run")
                .arg(spec)
                .args(["--out", out, "--device", "cpu"])
                .args(["--workers", &workers.to_string()]),
        )
    }

    /// Returns the records of a run by variant and index.
    ///
    /// # Panics
    /// Panics if a line is not JSON or a sample has two records.
    #[must_use]
    pub fn records(&self, out: &str) -> BTreeMap<(String, u64), Value> {
        let text = fs::read_to_string(self.path(out).join("records.jsonl")).unwrap_or_default();
        let mut records = BTreeMap::new();
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).expect("a line of JSON");
            let key = (
                record["variant"].as_str().expect("a variant").to_owned(),
                record["index"].as_u64().expect("an index"),
            );
            assert!(
                records.insert(key.clone(), record).is_none(),
                "two records of {key:?}"
            );
        }
        records
    }

    /// Returns the records without the fields that may differ between runs: time, worker, attempt
    /// and device.
    #[must_use]
    pub fn stable_records(&self, out: &str) -> BTreeMap<(String, u64), Value> {
        let mut records = self.records(out);
        for record in records.values_mut() {
            for key in ["seconds", "worker", "attempt", "device"] {
                record.as_object_mut().map(|fields| fields.remove(key));
            }
        }
        records
    }
}

impl Default for TestDir {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a command to its end.
///
/// # Panics
/// Panics if the program does not start.
#[must_use]
pub fn run_to_end(command: &mut Command) -> ProgramOutput {
    command.output().expect("a program that starts").into()
}

/// Writes the model file of a half-space classifier.
///
/// # Panics
/// Panics if the file cannot be written.
pub fn write_half_space(path: &Path, weight: &[f32], bias: f32) {
    use safetensors::tensor::{Dtype, TensorView};
    let weights: Vec<u8> = weight
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let biases = bias.to_le_bytes();
    let tensors = [
        (
            "weight",
            TensorView::new(Dtype::F32, vec![weight.len()], &weights).expect("a tensor"),
        ),
        (
            "bias",
            TensorView::new(Dtype::F32, vec![1], &biases).expect("a tensor"),
        ),
    ];
    safetensors::serialize_to_file(tensors, None, path).expect("a written model");
}
