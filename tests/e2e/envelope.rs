//! The table of the best over sigmas, and of what data-dependent sigmas gain.

use std::path::Path;
use std::process::Command;

use ddrs_tests::{TestDir, end};

/// A certification log of four images: the radius of each, where it is certified for its class.
fn log(dir: &TestDir, name: &str, radii: [Option<f64>; 4]) {
    let mut text = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n".to_owned();
    for (index, radius) in radii.into_iter().enumerate() {
        let (radius, correct) = radius.map_or((0.0, 0), |radius| (radius, 1));
        text += &format!("{index}\t0\t0\t{radius}\t{correct}\t0:00:01\n");
    }
    let _ = dir.write(name, text);
}

/// What the script prints of these logs.
fn printed(dir: &TestDir, logs: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/cifar10-envelope.awk");
    let mut command = Command::new("awk");
    command
        .args(["-F\t", "-f"])
        .arg(script)
        .args(logs.iter().map(|name| dir.path(name)));
    end(&mut command).expect(0).stdout
}

#[test]
fn an_envelope_takes_the_best_sigma_at_each_radius_and_gains_are_of_pairs() {
    let dir = TestDir::new();
    let logs = [
        (
            "gaussian-fixed-0.25_fixed_0.25.tsv",
            [Some(0.6), Some(0.3), Some(0.3), None],
        ),
        (
            "gaussian-fixed-0.25_data-dependent_0.25.memory.tsv",
            [Some(0.6), Some(0.6), Some(0.3), None],
        ),
        (
            "gaussian-fixed-0.5_fixed_0.5.tsv",
            [Some(1.1), None, None, Some(0.5)],
        ),
        (
            "gaussian-fixed-0.5_data-dependent_0.5.memory.tsv",
            [Some(0.4), None, None, Some(0.5)],
        ),
    ];
    for (name, radii) in logs {
        log(&dir, name, radii);
    }
    let said = printed(&dir, &logs.map(|(name, _)| name));
    for line in [
        "| gaussian | fixed | fixed | 75.0 | 75.0 | 50.0 | 25.0 | 25.0 |",
        "| gaussian | fixed | data-dependent | 75.0 | 75.0 | 50.0 | 0.0 | 0.0 |",
        "Best over the initial sigmas 0.25, 0.5.",
        // One image of four is gained: 1.96 times the root of (1/4 - 1/16) / 4.
        "| gaussian | 0.25 | not certified | +25.0 ± 42.4 | not certified |",
        "| gaussian | 0.5 | not certified | -25.0 ± 42.4 | not certified |",
        // Sigma 0.25 with images 0 and 1 over sigma 0.5 with images 0 and 3.
        "| gaussian | best | not certified | +0.0 ± 69.3 | not certified |",
    ] {
        assert!(
            said.lines().any(|it| it == line),
            "{line}\nis not in\n{said}"
        );
    }
}

#[test]
fn the_strongest_of_one_kind_may_be_of_another_loss_than_that_of_the_other() {
    let dir = TestDir::new();
    let logs = [
        (
            "gaussian-fixed-0.5_fixed_0.5.tsv",
            [Some(0.6), None, None, None],
        ),
        (
            "gaussian-fixed-0.5_data-dependent_0.5.memory.tsv",
            [Some(0.6), Some(0.6), Some(0.6), None],
        ),
        (
            "macer-fixed-0.5_fixed_0.5.tsv",
            [None, None, Some(0.6), Some(0.6)],
        ),
        (
            "macer-fixed-0.5_data-dependent_0.5.memory.tsv",
            [None, None, Some(0.6), Some(0.6)],
        ),
    ];
    for (name, radii) in logs {
        log(&dir, name, radii);
    }
    let said = printed(&dir, &logs.map(|(name, _)| name));
    // Images 0, 1 and 2 over images 2 and 3: two are gained and one is lost.
    let line = "| the strongest of each | 0.5 | not certified | +25.0 ± 81.3 | not certified |";
    assert!(
        said.lines().any(|it| it == line),
        "{line}\nis not in\n{said}"
    );
}
