//! The programs that steps start, and the libraries that those need.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cli::CheckArgs;

/// Prints the folders in which python's torch has its libraries, separated by colons. Imports
/// nothing: the folders of the wheel are enough, and found faster.
const FIND_TORCH: &str = include_str!("find_torch.py");

/// Folders in which images with a mounted driver have it. The loader does not always know them.
const DRIVER_FOLDERS: [&str; 2] = ["/usr/local/nvidia/lib64", "/usr/local/nvidia/lib"];

/// Programs and their environment.
#[derive(Clone)]
pub(crate) struct Programs {
    worker: PathBuf,
    dev: PathBuf,
    python: Option<Python>,
    environment: Vec<(&'static str, OsString)>,
    /// Folders of libraries that this program found.
    pub(crate) libraries: Vec<PathBuf>,
}

#[derive(Clone)]
struct Python {
    program: PathBuf,
    has_torch: bool,
}

impl Programs {
    /// Finds the programs and the libraries.
    ///
    /// # Errors
    /// When there is no worker or no development program.
    pub(crate) fn find(args: &CheckArgs) -> Result<Self> {
        let worker = find_program(args.worker.as_deref(), "--worker", &worker_places()?)?;
        let dev = find_program(
            args.dev.as_deref(),
            "--dev",
            &[worker.with_file_name("ddrs-dev")],
        )?;
        let python = find_in_path("python3");
        let torch = python.as_deref().map(torch_folders).unwrap_or_default();
        let python = python.map(|program| Python {
            program,
            has_torch: !torch.is_empty(),
        });
        let libraries = library_folders(torch);
        let environment = vec![("LD_LIBRARY_PATH", library_path(&libraries)?)];
        Ok(Self {
            worker,
            dev,
            python,
            environment,
            libraries,
        })
    }

    /// Returns the same programs for steps that run at the same time: their threads do not wait by
    /// spinning, which would take the cores from the other steps.
    pub(crate) fn for_steps_together(&self) -> Self {
        let mut programs = self.clone();
        let policy = ("OMP_WAIT_POLICY", OsString::from("passive"));
        programs.environment.push(policy);
        programs
    }

    /// Returns the worker's path.
    pub(crate) fn worker_path(&self) -> &Path {
        &self.worker
    }

    /// Returns the worker's command, ready for arguments.
    pub(crate) fn worker(&self) -> Command {
        self.command(&self.worker)
    }

    /// Returns the development program's command, ready for arguments.
    pub(crate) fn dev(&self) -> Command {
        self.command(&self.dev)
    }

    /// Returns the path of a python that has torch.
    pub(crate) fn python_with_torch(&self) -> Option<&Path> {
        let python = self.python.as_ref().filter(|python| python.has_torch)?;
        Some(&python.program)
    }

    /// Returns a command with the environment that torch needs.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment.iter().cloned());
        command
    }
}

fn worker_places() -> Result<[PathBuf; 3]> {
    let program = env::current_exe().context("the path of this program is unknown")?;
    let folder = program.parent().unwrap_or(Path::new("."));
    Ok(["", "bin", "../bin"].map(|inside| folder.join(inside).join("ddrs-worker")))
}

fn find_program(named: Option<&Path>, option: &str, usual: &[PathBuf]) -> Result<PathBuf> {
    let Some(path) = named.or_else(|| {
        usual
            .iter()
            .map(PathBuf::as_path)
            .find(|path| path.exists())
    }) else {
        bail!("no program for {option}: build it, or name it with {option}");
    };
    if !is_executable(path) {
        bail!("{option} {}: not a program", path.display());
    }
    path.canonicalize()
        .with_context(|| path.display().to_string())
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| is_executable(program))
}

fn torch_folders(python: &Path) -> Vec<PathBuf> {
    let printed = Command::new(python).args(["-c", FIND_TORCH]).output();
    let text = printed.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let folders = text.unwrap_or_default();
    env::split_paths(&folders)
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect()
}

/// Adds the folders of LIBTORCH, where python has no torch, and of the driver.
fn library_folders(torch: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut folders = torch;
    if folders.is_empty() {
        let libtorch = env::var_os("LIBTORCH").filter(|folder| !folder.is_empty());
        folders.extend(libtorch.map(|folder| Path::new(&folder).join("lib")));
    }
    let drivers = DRIVER_FOLDERS.map(PathBuf::from);
    folders.extend(
        drivers
            .into_iter()
            .filter(|folder| folder.join("libcuda.so.1").exists()),
    );
    folders
}

/// Puts the folders before those of the environment, which stay.
fn library_path(folders: &[PathBuf]) -> Result<OsString> {
    let before = env::var_os("LD_LIBRARY_PATH").filter(|path| !path.is_empty());
    let known: Vec<PathBuf> = before.iter().flat_map(env::split_paths).collect();
    env::join_paths(folders.iter().chain(&known)).context("a library folder with a colon")
}
