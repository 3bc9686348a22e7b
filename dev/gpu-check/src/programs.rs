//! The programs that steps start, and the libraries that those need.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

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
    /// A python that has torch.
    python: Option<Python>,
    environment: Vec<(&'static str, OsString)>,
    /// Folders of libraries that this program found.
    pub(crate) libraries: Vec<PathBuf>,
}

#[derive(Clone)]
struct Python {
    program: PathBuf,
    /// Folders of torch's libraries.
    torch: Vec<PathBuf>,
}

impl Programs {
    /// Finds the programs and the libraries.
    ///
    /// # Errors
    /// When there is no worker or no development program.
    pub(crate) fn find(args: &CheckArgs) -> Result<Self> {
        let worker = find_worker(args)?;
        let dev = find_dev(args, &worker)?;
        let python = find_in_path("python3").map(Python::new);
        let libraries = library_folders(python.as_ref());
        Ok(Self {
            worker,
            dev,
            environment: vec![("LD_LIBRARY_PATH", library_path(&libraries)?)],
            libraries,
            python: python.filter(Python::has_torch),
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

    /// Returns a command of the worker.
    pub(crate) fn worker(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.worker);
        command.args(args);
        command
    }

    /// Returns a command of the development program.
    pub(crate) fn dev(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.dev);
        command.args(args);
        command
    }

    /// Returns the path of a python that has torch.
    pub(crate) fn python_with_torch(&self) -> Option<&Path> {
        let python = self.python.as_ref()?;
        Some(&python.program)
    }

    /// Returns a command with the environment that torch needs.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment.iter().cloned());
        command
    }
}

impl Python {
    fn new(program: PathBuf) -> Self {
        let torch = torch_folders(&program);
        Self { program, torch }
    }

    fn has_torch(&self) -> bool {
        !self.torch.is_empty()
    }
}

fn find_worker(args: &CheckArgs) -> Result<PathBuf> {
    find_program(args.worker.as_deref(), "--worker", &worker_places()?)
}

fn find_dev(args: &CheckArgs, worker: &Path) -> Result<PathBuf> {
    let usual = [worker.with_file_name("ddrs-dev")];
    find_program(args.dev.as_deref(), "--dev", &usual)
}

fn worker_places() -> Result<[PathBuf; 3]> {
    let program = env::current_exe().context("the path of this program is unknown")?;
    let folder = program.parent().unwrap_or(Path::new("."));
    Ok(["", "bin", "../bin"].map(|inside| folder.join(inside).join("ddrs-worker")))
}

fn find_program(named: Option<&Path>, option: &str, usual: &[PathBuf]) -> Result<PathBuf> {
    let mut usual = usual.iter().map(PathBuf::as_path);
    let Some(path) = named.or_else(|| usual.find(|path| path.exists())) else {
        bail!("no program for {option}: build it, or name it with {option}");
    };
    let name = path.display();
    ensure!(is_executable(path), "{option} {name}: not a program");
    path.canonicalize().with_context(|| name.to_string())
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut programs = env::split_paths(&path).map(|folder| folder.join(name));
    programs.find(|program| is_executable(program))
}

fn torch_folders(python: &Path) -> Vec<PathBuf> {
    let folders = printed_torch_folders(python);
    let folders = env::split_paths(folders.trim());
    folders
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect()
}

fn printed_torch_folders(python: &Path) -> String {
    let output = Command::new(python).args(["-c", FIND_TORCH]).output();
    let printed = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&printed).into_owned()
}

/// Returns the folders of torch and of the driver.
fn library_folders(python: Option<&Python>) -> Vec<PathBuf> {
    let mut folders = match python {
        Some(python) if python.has_torch() => python.torch.clone(),
        _ => libtorch_folder().into_iter().collect(),
    };
    folders.extend(driver_folders());
    folders
}

/// Returns the folder of the libraries in LIBTORCH.
fn libtorch_folder() -> Option<PathBuf> {
    let libtorch = variable("LIBTORCH")?;
    Some(Path::new(&libtorch).join("lib"))
}

fn driver_folders() -> impl Iterator<Item = PathBuf> {
    let folders = DRIVER_FOLDERS.into_iter().map(PathBuf::from);
    folders.filter(|folder| folder.join("libcuda.so.1").exists())
}

/// Puts the folders before those of the environment, which stay.
fn library_path(folders: &[PathBuf]) -> Result<OsString> {
    let all = folders.iter().cloned().chain(known_folders());
    env::join_paths(all).context("a library folder with a colon")
}

/// Returns the value of an environment variable that is not empty.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn known_folders() -> Vec<PathBuf> {
    let path = variable("LD_LIBRARY_PATH");
    path.iter().flat_map(env::split_paths).collect()
}
