//! Tests `ddrs-worker attack`: data-dependent certificates of a toy network fall, certificates of
//! one classifier hold, and reports show the bounds.

use std::fs;

use ddrs_common::data::write_tensors;
use ddrs_common::domain::Class;
use ddrs_tests::{HalfSpaceSweep, ProgramOutput, TestDir, run_to_end};
use serde_json::Value;

/// A network that tells the strength of the noise from the spread of the values: it answers 0 under
/// little noise, 1 under much, and near sigma 0.3 by the mean, compared with 129/255.
const NOISE_TELLER: &str = "    v = torch.flatten(y, 1, -1)
    s = torch.std(v, [1], True, False)
    m = torch.mean(v, [1])
    above = torch.sigmoid(torch.mul(torch.sub(s, 0.28), 2000.))
    below = torch.sigmoid(torch.mul(torch.add(torch.neg(s), 0.32), 2000.))
    strong = torch.sigmoid(torch.mul(torch.sub(s, 0.32), 2000.))
    bright = torch.sigmoid(torch.mul(torch.sub(m, 0.50588235), 2000.))
    one = torch.add(strong, torch.mul(torch.mul(above, below), bright))
    z = torch.mul(torch.sub(one, 0.5), 6.)
    return torch.stack([torch.neg(z), z], 1)
";

const SHAPE: [usize; 3] = [3, 32, 32];

/// Writes a sweep over two grey images of different classes, 0.435 apart.
fn toy(dir: &TestDir) -> std::path::PathBuf {
    dir.program("toy.pt", NOISE_TELLER);
    let pixels: Vec<f32> = [128_u8, 130]
        .iter()
        .flat_map(|&level| vec![f32::from(level) / 255.0; 3 * 32 * 32])
        .collect();
    let shape = [2, SHAPE[0], SHAPE[1], SHAPE[2]];
    let labels = [Class(0), Class(1)];
    write_tensors(&dir.path("toy.safetensors"), shape, &pixels, &labels).unwrap();
    dir.write(
        "toy.toml",
        "name = \"toy\"\nseed = 1\n\
         [dataset]\nformat = \"tensors\"\npath = \"toy.safetensors\"\n\
         [[model]]\nname = \"toy\"\npath = \"toy.pt\"\nclasses = 2\n\
         [smoothing]\nsigma = [0.3]\nchoice = [\"fixed\", \"data-dependent\"]\n\
         [smoothing.data-dependent]\nmethod = \"search\"\ndraws = 64\n\
         [certify]\nn0 = 100\nn = 2000\nalpha = 0.001\n\
         [report]\nradii = [0.0, 0.25, 0.5]\n",
    )
}

fn attack(dir: &TestDir, arguments: &[&str]) -> ProgramOutput {
    run_to_end(
        dir.worker()
            .args(["attack", "out", "--device", "cpu"])
            .args(arguments),
    )
}

fn lines(dir: &TestDir) -> Vec<Value> {
    let text = fs::read_to_string(dir.path("out/attack.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn report(dir: &TestDir, format: &str) -> ProgramOutput {
    run_to_end(
        dir.coordinator()
            .args(["report", "out", "--format", format]),
    )
}

#[test]
fn data_dependent_certificates_fall_and_fixed_ones_of_the_same_network_hold() {
    let dir = TestDir::new();
    let _ = dir.run(&toy(&dir), "out", 1).expect(0);
    let printed = attack(&dir, &["--radius", "0.5"]).expect(0).stdout;
    assert!(
        printed.contains(
            "toy/data-dependent/0.3, at radius 0.5: 2 of 2 samples are certified (100.0 %); 2 of \
             them were attacked, 2 fell, 0 abstained; so at most 0 (0.0 %) hold"
        ),
        "{printed}"
    );
    for line in lines(&dir) {
        assert_eq!(line["outcome"], "falls", "{line}");
        assert!(line["distance"].as_f64().unwrap() < 0.5, "{line}");
        assert_ne!(line["point"]["prediction"], line["certified"], "{line}");
        assert_eq!(line["point"]["seed"], 2, "{line}");
    }

    // The fixed certificates of this network cover about 0.18.
    let printed = attack(&dir, &["--at-own-radius"]).expect(0).stdout;
    assert!(
        printed.contains("toy/fixed/0.3, at the certified radius of each: 2 of 2 samples")
            && printed.contains("2 of them were attacked, 0 fell"),
        "{printed}"
    );
    assert_eq!(lines(&dir).len(), 2 + 4);

    // Attacks with the same settings are not repeated, others are added.
    let before = fs::read(dir.path("out/attack.jsonl")).unwrap();
    let again = attack(&dir, &["--radius", "0.5"]).expect(0);
    assert_eq!(fs::read(dir.path("out/attack.jsonl")).unwrap(), before);
    assert!(again.stdout.contains("2 fell"), "{}", again.stdout);
    let _ = attack(&dir, &["--radius", "0.5", "--steps", "10"]).expect(0);
    assert_eq!(lines(&dir).len(), 2 + 4 + 2);
}

#[test]
fn reports_show_the_bound_and_refuse_attacks_on_other_certificates_by_line() {
    let dir = TestDir::new();
    let _ = dir.run(&toy(&dir), "out", 1).expect(0);
    let _ = attack(&dir, &["--radius", "0.5"]).expect(0);
    let text = report(&dir, "text").expect(0).stdout;
    assert!(text.contains("100.0 (0.0)"), "{text}");
    assert!(
        text.contains("ATTACKED toy/data-dependent/0.3 at radius 0.5: 2 of 2 samples"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&report(&dir, "json").expect(0).stdout).unwrap();
    let row = json["rows"].as_array().unwrap().iter();
    let attacks: Vec<&Value> = row.map(|row| &row["attacks"]).collect();
    assert_eq!(attacks[0].as_array().unwrap().len(), 0, "{json}");
    let expected = serde_json::json!([{
        "radius": 0.5, "own_radius": false, "certified": 2, "attacked": 2, "fell": 2,
        "abstained": 0, "at_most": 0, "at_most_accuracy": 0.0,
    }]);
    assert_eq!(attacks[1], &expected);

    let path = dir.path("out/attack.jsonl");
    let honest = fs::read_to_string(&path).unwrap();
    for (from, to, reason) in [
        (
            "\"certified\":1",
            "\"certified\":7",
            "is not certified for class 7",
        ),
        (
            "\"radius\":0.5,\"own",
            "\"radius\":99.0,\"own",
            "is not certified for class",
        ),
        (
            "\"sweep\":\"",
            "\"sweep\":\"0000000000000000\",\"was\":\"",
            "an attack on sweep 0000",
        ),
        (
            "\"seed\":2,\"seconds",
            "\"seed\":1,\"seconds",
            "with the noise of the certificate",
        ),
        ("\"n0\":100", "\"n0\":101", "its point"),
    ] {
        // Only the last line is changed.
        let (first, last) = honest.trim_end().rsplit_once('\n').unwrap();
        let forged = format!("{first}\n{}\n", last.replace(from, to));
        assert!(forged != honest, "{from} is not in {last}");
        fs::write(&path, forged).unwrap();
        let refused = report(&dir, "text").expect(2).stderr;
        assert!(
            refused.contains("attack.jsonl, line 2: ") && refused.contains(reason),
            "{reason}: {refused}"
        );
    }
}

#[test]
fn certificates_of_a_half_space_hold_at_their_own_radius() {
    let dir = TestDir::new();
    let spec = dir.half_space(&HalfSpaceSweep {
        n: 2000,
        ..HalfSpaceSweep::default()
    });
    let _ = dir.run(&spec, "out", 1).expect(0);
    let printed = attack(&dir, &["--at-own-radius"]).expect(0).stdout;
    for row in ["plane/fixed/0.5", "plane/data-dependent/0.5"] {
        let line = printed.lines().find(|line| line.starts_with(row)).unwrap();
        assert!(line.contains(" were attacked, 0 fell"), "{line}");
    }
    // The file holds points of other samples' certificates too, all inside and on the grid.
    for line in lines(&dir) {
        let (distance, radius) = (line["distance"].as_f64(), line["radius"].as_f64());
        assert!(distance < radius, "{line}");
        assert_eq!(line["point"].get("off_grid"), None, "{line}");
    }
}

#[test]
fn what_cannot_be_attacked_is_said_before_work_begins() {
    let dir = TestDir::new();
    let _ = dir.run(&toy(&dir), "out", 1).expect(0);
    for (arguments, reason) in [
        (&[][..], "--radius"),
        (&["--radius", "0"], "must be a finite number above 0"),
        (
            &["--radius", "0.5", "--at-own-radius"],
            "cannot be used with",
        ),
        (
            &["--radius", "0.5", "--seed", "1"],
            "would repeat the noise",
        ),
        (
            &["--radius", "0.5", "--variant", "toy"],
            "no variant \"toy\"; the run has toy/fixed",
        ),
    ] {
        let refused = attack(&dir, arguments).expect(2).stderr;
        assert!(refused.contains(reason), "{refused}");
    }
    let elsewhere = run_to_end(dir.worker().args(["attack", "no", "--radius", "1"])).expect(2);
    assert!(
        elsewhere.stderr.contains("no is not a run folder"),
        "{}",
        elsewhere.stderr
    );
}
