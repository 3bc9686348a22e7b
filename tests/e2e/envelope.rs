//! `report --envelope`: the best over sigmas, and the gains of data-dependent sigmas.

use std::path::{Path, PathBuf};
use std::process::Command;

use ddrs_tests::{TestDir, run_to_end};

/// The radius of each of four images that is certified for its class.
type Radii = [Option<f64>; 4];

/// Writes a certification log of four images.
fn write_log(dir: &TestDir, name: &str, radii: Radii) -> PathBuf {
    let mut text = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n".to_owned();
    for (index, radius) in radii.into_iter().enumerate() {
        let row = match radius {
            Some(radius) => format!("{index}\t0\t0\t{radius}\t1\t0:00:01\n"),
            None => format!("{index}\t0\t-1\t0.0\t0\t0:00:01\n"),
        };
        text += &row;
    }
    dir.write(name, text)
}

fn write_logs(dir: &TestDir, logs: &[(&str, Radii)]) -> Vec<PathBuf> {
    logs.iter()
        .map(|(name, radii)| write_log(dir, name, *radii))
        .collect()
}

fn envelope(dir: &TestDir, logs: &[PathBuf]) -> Command {
    let mut command = dir.coordinator();
    command.args(["report", "--envelope"]).args(logs);
    command
}

fn check_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            text.lines().any(|found| found == *line),
            "{line}\nis not in\n{text}"
        );
    }
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
    let logs = write_logs(&dir, &logs);
    let printed = run_to_end(&mut envelope(&dir, &logs)).expect(0).stdout;
    check_lines(
        &printed,
        &[
            "| gaussian | fixed | fixed | fixed | 75.0 | 75.0 | 50.0 | 25.0 | 25.0 |",
            concat!(
                "| gaussian | fixed | data-dependent | data-dependent + memory ",
                "| 75.0 | 75.0 | 50.0 | 0.0 | 0.0 |"
            ),
            "Best over the initial sigmas 0.25, 0.5.",
            // One image of four is gained: 1.96 times the root of (1/4 - 1/16) / 4.
            "| gaussian | 0.25 | not certified | +25.0 ± 42.4 | not certified |",
            "| gaussian | 0.5 | not certified | -25.0 ± 42.4 | not certified |",
            // Sigma 0.25 with images 0 and 1 over sigma 0.5 with images 0 and 3.
            "| gaussian | best | not certified | +0.0 ± 69.3 | not certified |",
        ],
    );
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
    let logs = write_logs(&dir, &logs);
    let printed = run_to_end(&mut envelope(&dir, &logs)).expect(0).stdout;
    // Images 0, 1 and 2 over images 2 and 3: two are gained and one is lost.
    let line = "| the strongest of each | 0.5 | not certified | +25.0 ± 81.3 | not certified |";
    check_lines(&printed, &[line]);
}

#[test]
fn the_released_logs_give_the_published_gains() {
    let dir = TestDir::new();
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../release/cifar10-resnet20/certificates");
    let mut logs: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|log| {
            let name = log.file_name().unwrap().to_string_lossy();
            name.starts_with("gaussian-") || name.starts_with("smoothadv-fixed-0.25_")
        })
        .collect();
    logs.sort();
    let printed = run_to_end(&mut envelope(&dir, &logs)).expect(0).stdout;
    check_lines(
        &printed,
        &[
            concat!(
                "| gaussian | data-dependent | data-dependent | data-dependent + memory ",
                "| 69.8 | 62.0 | 46.4 | 39.4 | 30.6 |"
            ),
            "| gaussian | fixed | fixed | fixed | 69.6 | 50.8 | 36.4 | 27.0 | 18.8 |",
            "| smoothadv | fixed | fixed | fixed | 60.6 | 50.4 | 41.0 | 28.0 | 0.0 |",
            "| gaussian | 0.5 | +1.4 ± 2.4 | +8.4 ± 2.4 | +12.0 ± 3.1 |",
            "| gaussian | best | -0.6 ± 3.1 | +9.8 ± 2.7 | +10.0 ± 3.6 |",
            "| the strongest of each | best | -5.2 ± 3.0 | +5.2 ± 3.6 | +5.4 ± 3.0 |",
        ],
    );
}

#[test]
fn logs_that_cannot_be_compared_are_refused() {
    let dir = TestDir::new();
    let four = [Some(0.6), None, None, None];
    let first = write_log(&dir, "gaussian-fixed-0.5_fixed_0.5.tsv", four);
    let same = write_log(&dir, "gaussian-fixed-0.5_fixed_0.50.tsv", four);
    let misnamed = write_log(&dir, "cohen_0.5.tsv", four);
    let chosen = "gaussian-fixed-0.5_data-dependent";
    let without_memory = write_log(&dir, &format!("{chosen}_0.5.tsv"), four);
    let with_memory = write_log(&dir, &format!("{chosen}_0.25.memory.tsv"), four);
    let both = [without_memory, with_memory];
    let ended = run_to_end(&mut envelope(&dir, &both)).expect(2);
    let reason = "make different statements, one of them with memory";
    assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    let text = "idx\tlabel\tpredict\tradius\n9\t0\t0\t0.5\n";
    let other_images = dir.write("gaussian-fixed-0.5_fixed_0.25.tsv", text);
    for (second, reason) in [
        (
            misnamed,
            "does not have the form LOSS-CHOICE-SIGMA_CHOICE_SIGMA.tsv",
        ),
        (other_images, "have different images"),
        (same, "are logs of the same network, choice and sigma"),
    ] {
        let ended = run_to_end(&mut envelope(&dir, &[first.clone(), second])).expect(2);
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    }
    let mut with_radii = envelope(&dir, &[first]);
    let ended = run_to_end(with_radii.args(["--radii", "0:1:0.5"])).expect(2);
    assert!(
        ended.stderr.contains("cannot be used with"),
        "{}",
        ended.stderr
    );
}
