//! Logs in every known dialect, and the published ones compared with their tables.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use ddrs_common::domain::{Class, Radius, SampleIndex, Sigma};
use proptest::prelude::*;

use super::*;
use crate::aggregate::{EntryOutcome, SigmaQuantiles, TableRow};
use crate::golden;

fn lines(text: &str) -> Vec<LogLine> {
    parse(text, Path::new("a.tsv")).unwrap()
}

fn refusal(text: &str) -> String {
    parse(text, Path::new("a.tsv")).unwrap_err().to_string()
}

fn line(
    index: u64,
    label: u32,
    result: EntryOutcome,
    sigma: Option<f64>,
    seconds: Option<f64>,
) -> LogLine {
    LogLine {
        entry: Entry {
            index: SampleIndex(index),
            label: Class(label),
            result,
            sigma: sigma.map(|sigma| Sigma::new(sigma).unwrap()),
        },
        seconds,
    }
}

fn certified(class: u32, radius: f64) -> EntryOutcome {
    EntryOutcome::Certified {
        class: Class(class),
        radius: Radius::new(radius).unwrap(),
    }
}

#[test]
fn the_first_dialect_has_seconds_and_no_sigma() {
    let text = concat!(
        "idx\tlabel\tpredict\tradius\tcorrect\ttime\n",
        "0\t3\t3\t0.378\t1\t15.4\n",
        "20\t7\t-1\t0.0\t0\t15.6\n"
    );
    let expected = [
        line(0, 3, certified(3, 0.378), None, Some(15.4)),
        line(20, 7, EntryOutcome::Abstained, None, Some(15.6)),
    ];
    assert_eq!(lines(text), expected);
}

#[test]
fn windows_line_ends_and_empty_lines_at_the_end_are_tolerated() {
    let text =
        "idx\tlabel\tpredict\tradius\tcorrect\ttime\r\n5\t7\t7\t0.9529\t1\t0:00:25.5\r\n\r\n\n";
    assert_eq!(
        lines(text),
        [line(5, 7, certified(7, 0.9529), None, Some(25.5))]
    );
    assert_eq!(lines(text.trim_end()).len(), 1);
}

#[test]
fn per_input_sigma_and_unknown_columns_are_read_by_name() {
    let text = concat!(
        "idx\tlabel\tpredict\tradius\tcorrect\tbest_sigma\tpABar\ttime\n",
        "1\t8\t8\t1.25\t1\t0.4\t0.99\t0:00:04.5\n"
    );
    assert_eq!(
        lines(text),
        [line(1, 8, certified(8, 1.25), Some(0.4), Some(4.5))]
    );
    let turned = "\u{feff}radius\tpredict\tlabel\tidx\n1.25\t8\t8\t1\n";
    assert_eq!(lines(turned), [line(1, 8, certified(8, 1.25), None, None)]);
}

#[test]
fn a_log_with_a_sigma_per_sample_has_quantiles_of_the_chosen_ones() {
    let head = "idx\tlabel\tpredict\tradius\tsigma\n";
    let chosen = |rows: &str| {
        let lines = lines(&format!("{head}{rows}"));
        let entries: Vec<Entry> = lines.iter().map(|line| line.entry).collect();
        let radii = "0:1:1".parse().unwrap();
        TableRow::count("a", false, &entries, &radii, settings(&lines)).chosen
    };
    let sigma = |sigma| Sigma::new(sigma).unwrap();
    let expected = SigmaQuantiles {
        p10: sigma(0.2),
        p50: sigma(0.2),
        p90: sigma(0.5),
    };
    let two = "0\t1\t1\t0.1\t0.5\n1\t1\t-1\t0.0\t0.2\n2\t1\t-1\t0.0\tnan\n";
    assert_eq!(chosen(two), Some(expected));
    let shared = "0\t1\t1\t0.1\t0.5\n1\t1\t-1\t0.0\tnan\n";
    assert_eq!((chosen(shared), chosen("")), (None, None));
}

#[test]
fn a_sigma_that_all_samples_share_is_a_setting() {
    let head = "idx\tlabel\tpredict\tradius\tsigma\n";
    let sigma0 = |rows: &str| {
        settings(&lines(&format!("{head}{rows}")))
            .sigma0
            .map(Sigma::get)
    };
    assert_eq!(sigma0("0\t1\t1\t0.1\t0.5\n1\t1\t1\t0.1\t0.5\n"), Some(0.5));
    assert_eq!(sigma0("0\t1\t1\t0.1\t0.5\n1\t1\t1\t0.1\t0.25\n"), None);
    assert_eq!(sigma0(""), None);
}

#[test]
fn an_invalid_line_is_named_with_its_reason() {
    let cases = [
        (
            "0\t3\t3\t0.3",
            "a.tsv, line 2: 4 fields where the header has 7",
        ),
        ("", "1 fields where the header has 7"),
        (
            "0\t3\t3\tnan\t1\t1\t1",
            "radius must be a finite number, 0 or more, not NaN",
        ),
        (
            "0\t3\t3\t-0.1\t1\t1\t1",
            "radius must be a finite number, 0 or more, not -0.1",
        ),
        ("0\t3\t3\tinf\t1\t1\t1", "radius must be"),
        ("0\t3\t3\tx\t1\t1\t1", "radius \"x\" is not a number"),
        ("0\t3\t-1\t0.1\t0\t1\t1", "an abstention has radius 0.1"),
        (
            "0\t3\t-2\t0\t0\t1\t1",
            "predict \"-2\" is not a whole number",
        ),
        ("-1\t3\t3\t0\t1\t1\t1", "idx \"-1\" is not a whole number"),
        (
            "0\t3\t3\t0\t0\t1\t1",
            "correct is false, which its label and prediction contradict",
        ),
        ("0\t3\t4\t0\t1\t1\t1", "correct is true, which"),
        ("0\t3\t3\t0\t2\t1\t1", "correct \"2\" is neither 0 nor 1"),
        (
            "0\t3\t3\t0\t1\tnan\t1",
            "sigma must be a finite number above 0",
        ),
        ("0\t3\t3\t0\t1\t0\t1", "sigma must be"),
        ("0\t3\t3\t0\t1\t1\tsoon", "time \"soon\" is not a duration"),
    ];
    for (row, reason) in cases {
        let message = refusal(&format!("{HEADER}\n{row}\n7\t1\t1\t0\t1\t1\t1\n"));
        assert!(
            message.contains(reason) && message.starts_with("a.tsv, line 2: "),
            "{row:?}: {message}"
        );
    }
    let twice = refusal(&format!(
        "{HEADER}\n4\t1\t1\t0\t1\t1\t1\n5\t1\t1\t0\t1\t1\t1\n4\t1\t1\t0\t1\t1\t1\n"
    ));
    assert_eq!(twice, "a.tsv, line 4: idx 4 is on line 2 already");
}

#[test]
fn a_file_that_is_not_a_log_is_refused_by_its_header() {
    for (text, column) in [
        ("", "idx"),
        ("hello\n", "idx"),
        ("idx\tlabel\tpredict\tcorrect\n", "radius"),
        ("idx label predict radius\n", "idx"),
    ] {
        assert!(
            refusal(text).contains(&format!("no column \"{column}\"")),
            "{text:?}"
        );
    }
    assert!(refusal("idx\tidx\tlabel\tpredict\tradius\n").contains("twice"));
    assert!(
        read(Path::new("/nowhere/a.tsv"))
            .unwrap_err()
            .to_string()
            .starts_with("/nowhere/a.tsv: ")
    );
}

#[test]
fn a_log_is_written_in_the_published_format() {
    let text = write(&[
        line(40, 3, EntryOutcome::Failed, None, Some(0.5)),
        line(0, 3, certified(3, 0.1 + 0.2), Some(0.25), Some(3725.25)),
        line(20, 3, EntryOutcome::Abstained, Some(0.25), Some(1.0)),
    ]);
    let expected = "idx\tlabel\tpredict\tradius\tcorrect\tsigma\ttime\n\
                    0\t3\t3\t0.30000000000000004\t1\t0.25\t1:02:05.250000\n\
                    20\t3\t-1\t0.0\t0\t0.25\t0:00:01.000000\n\
                    40\t3\t-1\t0.0\t0\tnan\t0:00:00.500000\n";
    assert_eq!(text, expected);
}

#[test]
fn published_logs_give_their_tables() {
    let tables = golden::json("tables.json");
    let tables = tables.as_array().unwrap();
    assert_eq!(tables.len(), 5);
    for table in tables {
        let name = table["file"].as_str().unwrap();
        let entries: Vec<Entry> = read(&golden::path("logs").join(name))
            .unwrap()
            .iter()
            .map(|line| line.entry)
            .collect();
        let row = TableRow::count(
            name,
            false,
            &entries,
            &"0:4:0.25".parse().unwrap(),
            RowSettings::default(),
        );
        assert_eq!(
            serde_json::json!(row.certified),
            table["certified"],
            "{name}"
        );
        for (key, count) in [
            ("rows", row.samples),
            ("abstained", row.abstained),
            ("correct", row.correct),
            ("certified_wrong", row.certified_wrong),
        ] {
            assert_eq!(table[key].as_u64(), Some(count), "{name}: {key}");
        }
        let expected = table["average_certified_radius"].as_f64().unwrap();
        assert!(
            (row.average_certified_radius - expected).abs() < 1e-9,
            "{name}"
        );
    }
}

fn any_line() -> impl Strategy<Value = LogLine> {
    let result = prop_oneof![
        (0..1000_u32, 0.0..10.0_f64).prop_map(|(class, radius)| certified(class, radius)),
        Just(EntryOutcome::Abstained),
        Just(EntryOutcome::Failed),
    ];
    (
        any::<u64>(),
        0..1000_u32,
        result,
        1e-9..4.0_f64,
        0..10_000_000_000_u64,
    )
        .prop_map(|(index, label, result, sigma, micros)| {
            let sigma = (result != EntryOutcome::Failed).then_some(sigma);
            line(index, label, result, sigma, Some(micros as f64 / 1e6))
        })
}

const HEADER: &str = "idx\tlabel\tpredict\tradius\tcorrect\tsigma\ttime";

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        text in "[0-9a-z\\t\\n\\r:.,\\-+ \u{0}\u{feff}é]{0,200}",
        row in "[0-9nae\\t.:\\-]{0,40}",
    ) {
        let _ = parse(&text, Path::new("a.tsv"));
        let _ = parse(&format!("{HEADER}\n{row}\n"), Path::new("a.tsv"));
    }

    #[test]
    fn what_is_written_reads_back(
        lines in prop::collection::btree_map(any::<u64>(), any_line(), 0..20),
    ) {
        let lines: Vec<LogLine> = lines.into_iter().map(at_index).collect();
        let read = parse(&write(&lines), Path::new("a.tsv")).unwrap();
        prop_assert_eq!(read.len(), lines.len());
        for (read, line) in read.iter().zip(&lines) {
            prop_assert_eq!(read.entry, line.entry);
            prop_assert!((read.seconds.unwrap() - line.seconds.unwrap()).abs() < 1e-6);
        }
    }
}

fn at_index((index, mut line): (u64, LogLine)) -> LogLine {
    line.entry.index = SampleIndex(index);
    line
}
