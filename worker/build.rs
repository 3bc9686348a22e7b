//! Sets the folders in which the program looks for libtorch: the folder that it was built with, or
//! `../lib` in a package. Also passes the version of libtorch to the program.

use std::path::Path;

#[path = "../common/build.rs"]
mod shared_data;

fn main() {
    shared_data::main();
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch = std::env::var("LIBTORCH").ok();
    if let Some(libtorch) = &libtorch {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
    }
    let version = libtorch.and_then(|libtorch| headers_version(Path::new(&libtorch)));
    let version = version.as_deref().unwrap_or("unknown");
    println!("cargo:rustc-env=DDRS_BUILT_WITH_LIBTORCH={version}");
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib");
}

/// Returns the version in libtorch's headers.
fn headers_version(libtorch: &Path) -> Option<String> {
    let header = libtorch.join("include/torch/headeronly/version.h");
    println!("cargo:rerun-if-changed={}", header.display());
    let text = std::fs::read_to_string(header).ok()?;
    let part = |name| version_part(&text, name);
    Some([part("MAJOR")?, part("MINOR")?, part("PATCH")?].join("."))
}

fn version_part(text: &str, name: &str) -> Option<String> {
    let prefix = format!("#define TORCH_VERSION_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&prefix))?;
    Some(value.trim().to_owned())
}
