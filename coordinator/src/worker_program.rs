//! The location of the worker program.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};

/// The environment variable that names the worker program.
pub(crate) const WORKER_VARIABLE: &str = "DDRS_WORKER";

const NAME: &str = "ddrs-worker";

/// Finds the worker program: `DDRS_WORKER`, or the one in the folder of this program, or the one on
/// the path.
///
/// # Errors
/// When there is no such program, or `DDRS_WORKER` does not name an executable file.
pub(crate) fn find() -> Result<PathBuf> {
    match env::var_os(WORKER_VARIABLE) {
        Some(name) => find_named(Path::new(&name)),
        None => find_installed(),
    }
}

fn find_named(name: &Path) -> Result<PathBuf> {
    first_executable(places_of(name)).with_context(|| {
        let name = name.display();
        format!("{WORKER_VARIABLE} is {name}, which is not an executable file")
    })
}

/// Returns the files that a name may mean. As in a shell, a name without a folder is looked up on
/// the path.
fn places_of(name: &Path) -> Vec<PathBuf> {
    if name.components().count() == 1 {
        on_path(name.as_os_str())
    } else {
        vec![name.to_owned()]
    }
}

fn find_installed() -> Result<PathBuf> {
    let places = sibling().into_iter().chain(on_path(OsStr::new(NAME)));
    first_executable(places).with_context(|| {
        format!(
            "no {NAME} in the folder of this program or on the path; \
             name it with {WORKER_VARIABLE}"
        )
    })
}

/// Returns the file of that name in the folder of this program.
fn sibling() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    Some(program.with_file_name(NAME))
}

fn on_path(name: &OsStr) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .collect()
}

fn first_executable(places: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    places.into_iter().find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
