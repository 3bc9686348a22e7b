//! Runs the acceptance check on real images and a real network if they are available.

use std::process::Command;

use ddrs_tests::{program, shared};

#[test]
#[cfg_attr(
    not(ddrs_shared),
    ignore = "needs real images and models: set DDRS_SHARED to their folder"
)]
fn the_main_job_fulfils_its_contract_on_real_images() {
    let script = shared("accept/main_job.py");
    // The script expects the programs in release/ of the target folder.
    let target = program("ddrs-coordinator")
        .parent()
        .and_then(|dir| dir.parent())
        .expect("a target folder")
        .to_owned();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new("python3")
        .arg(script)
        .current_dir(root)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.trim_end().ends_with(" passed, 0 failed"), "{text}");
}
