//! Tells the programs where libtorch is: where it was built against, or beside the program in a
//! package; and of which version that was.

use std::path::Path;

#[path = "../common/build.rs"]
mod shared_data;

fn main() {
    shared_data::main();
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let mut version = "unknown".to_owned();
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
        version = headers_version(Path::new(&libtorch)).unwrap_or(version);
    }
    println!("cargo:rustc-env=DDRS_BUILT_WITH_LIBTORCH={version}");
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib");
}

/// The version that libtorch's headers name.
fn headers_version(libtorch: &Path) -> Option<String> {
    let header = libtorch.join("include/torch/headeronly/version.h");
    println!("cargo:rerun-if-changed={}", header.display());
    let text = std::fs::read_to_string(header).ok()?;
    let part = |name: &str| {
        let prefix = format!("#define TORCH_VERSION_{name} ");
        text.lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .map(|value| value.trim().to_owned())
    };
    Some([part("MAJOR")?, part("MINOR")?, part("PATCH")?].join("."))
}
