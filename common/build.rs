//! Sets `cfg(ddrs_shared)` if the real images and models that some tests need are available: in the
//! folder that `DDRS_SHARED` names (an absolute path), or in `shared` next to the checkout.

/// Looks for the folder and passes its path to the tests.
pub(crate) fn main() {
    println!("cargo:rustc-check-cfg=cfg(ddrs_shared)");
    println!("cargo:rerun-if-env-changed=DDRS_SHARED");
    println!("cargo:rerun-if-changed=build.rs");
    let folder = std::env::var("DDRS_SHARED").unwrap_or_else(|_| "../../shared".to_owned());
    let found = std::path::Path::new(&folder).canonicalize().ok();
    let found = found.filter(|folder| folder.join("data").is_dir());
    if let Some(folder) = &found {
        // A missing folder is not watched, or cargo would build this crate again every time.
        println!("cargo:rerun-if-changed={}", folder.join("data").display());
        println!("cargo:rustc-cfg=ddrs_shared");
    }
    println!(
        "cargo:rustc-env=DDRS_SHARED={}",
        found.unwrap_or(folder.into()).display()
    );
}
