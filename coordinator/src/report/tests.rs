//! One table in every format, with ordinary and with hostile names.
#![allow(clippy::unwrap_used)]

use std::fs;

use ddrs_common::attack::{AttackReach, AttackTally};
use ddrs_common::domain::{
    Alpha, Choice, Class, Radius, SampleIndex, Sigma, Statement, VariantName,
};

use super::*;
use crate::aggregate::{Contradiction, Entry, EntryOutcome, RowSettings, TableRow};
use crate::log_file::LogLine;

fn settings() -> RowSettings {
    RowSettings {
        n0: Some(100),
        n: Some(10_000),
        stopping: None,
        alpha: Some(Alpha::new(0.001).unwrap()),
        seed: Some(7),
        sigma0: Some(Sigma::new(0.25).unwrap()),
        choice: Some(Choice::Fixed),
        precision: Some("fp32".into()),
        expected: Some(3),
    }
}

/// Two certified samples, one for the wrong class, and an abstention.
fn entries() -> Vec<Entry> {
    let certified = |class, radius| EntryOutcome::Certified {
        class: Class(class),
        radius: Radius::new(radius).unwrap(),
    };
    let results = [
        (certified(1, 1.996), 0.25),
        (certified(2, 0.5), 0.125),
        (EntryOutcome::Abstained, 0.5),
    ];
    results
        .into_iter()
        .zip(0..)
        .map(|((result, sigma), place)| Entry {
            index: SampleIndex(place * 20),
            label: Class(1),
            result,
            sigma: Some(Sigma::new(sigma).unwrap()),
        })
        .collect()
}

fn table_of(variant: &str) -> Table {
    let radii = "0:2:0.5".parse().unwrap();
    let row = |memory| TableRow::count(variant, memory, &entries(), &radii, settings());
    Table {
        title: "cifar10-resnet20".into(),
        rows: vec![row(false), row(true)],
        radii: radii.clone(),
    }
}

fn table() -> Table {
    table_of("r20/fixed/0.25")
}

#[test]
fn text_is_aligned_and_never_rounds_up() {
    let text = render(&table(), Format::Text);
    let lines: Vec<&str> = text.lines().collect();
    let headings = concat!(
        " variant                              sigma   samples   0.00   0.50   1.00   1.50   2.00",
        "     ACR   abstained   wrong   failed"
    );
    let numbers = concat!(
        " r20/fixed/0.25                        0.25         3   33.3   33.3   33.3   33.3    0.0",
        "   0.665           1       1        0"
    );
    assert_eq!(
        [lines[0], lines[2].trim_end(), lines[5].trim_end()],
        ["cifar10-resnet20", headings, numbers]
    );
    assert!(lines[7].starts_with(" r20/fixed/0.25 + memory"), "{text}");
    assert!(text.ends_with(
        "all rows: indices 0 to 40, every 20th (3); \
         n0 100, n 10000, alpha 0.001, seed 7, precision fp32\n"
    ));
}

#[test]
fn the_sigmas_chosen_are_shown_in_every_format() {
    let mut table = table();
    let data_dependent = RowSettings {
        choice: Some(Choice::DataDependent),
        ..settings()
    };
    let variant = "r20/data-dependent/0.25";
    table.rows[1] = TableRow::count(variant, false, &entries(), &table.radii, data_dependent);
    let text = render(&table, Format::Text);
    let lines: Vec<&str> = text.lines().collect();
    let starts = [
        " variant                     sigma           chosen   samples   0.00",
        " r20/fixed/0.25               0.25                -         3   33.3",
        " r20/data-dependent/0.25      0.25   0.12 0.25 0.50         3   33.3",
    ];
    for (line, start) in [lines[2], lines[5], lines[7]].into_iter().zip(starts) {
        assert!(line.starts_with(start), "{text}");
    }
    assert!(text.contains("quantiles of the sigmas chosen per sample"));
    let markdown = render(&table, Format::Markdown);
    assert!(
        markdown.contains("| 0.25 | 0.12 0.25 0.50 | 3 |"),
        "{markdown}"
    );
    let latex = render(&table, Format::Latex);
    assert!(latex.contains("& 0.25 & 0.12 0.25 0.50 & 3 &"), "{latex}");
    assert!(html(&table, &[], &[]).contains("<td>0.12 0.25 0.50</td>"));
    let csv = render(&table, Format::Csv);
    assert!(csv.ends_with(",0,0.125,0.25,0.5,0\n"), "{csv}");
    let json: serde_json::Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    let row = &json["rows"][1];
    let quantiles = ["sigma_p10", "sigma_p50", "sigma_p90"].map(|name| row[name].as_f64());
    assert_eq!(quantiles, [Some(0.125), Some(0.25), Some(0.5)]);
}

#[test]
fn the_kinds_of_statement_are_kept_apart_in_every_format() {
    let mut table = table();
    let of = |name: &str, choice| {
        let settings = RowSettings {
            choice,
            ..settings()
        };
        TableRow::count(name, false, &entries(), &table.radii, settings)
    };
    table.rows = vec![
        of("log", None),
        of("a", Some(Choice::DataDependent)),
        of("b", Some(Choice::Fixed)),
        of("c", Some(Choice::DataDependent)),
    ];
    let order = |text: &str, places: [&str; 7]| {
        let found = places.map(|place| {
            text.find(place)
                .unwrap_or_else(|| panic!("{place}: {text}"))
        });
        assert!(found.is_sorted(), "{found:?} {text}");
    };
    let text = render(&table, Format::Text);
    order(
        &text,
        [
            " statement: fixed",
            " b ",
            " statement: data-dependent ",
            " a ",
            " c ",
            " statement: unknown",
            " log ",
        ],
    );
    let notes = [
        "statement fixed: one classifier; each certificate is false with probability at most alpha",
        "statement data-dependent: for each input the classifier at the sigma chosen for it, held",
        "statement unknown: the log does not name it",
        "Rows of different statements cannot be compared with each other",
    ];
    let one_kind = render(&table_of("b"), Format::Csv);
    assert!(one_kind.contains("\nb,fixed,false,"), "{one_kind}");
    for text in [&text, &html(&table, &[], &[])] {
        for note in notes {
            assert!(text.contains(note), "{note} is not in {text}");
        }
    }
    let page = html(&table, &[], &[]);
    assert!(page.contains("<th colspan=\"13\" scope=\"rowgroup\">statement: fixed</th>"));
    let latex = render(&table, Format::Latex);
    assert!(
        latex.contains("\\multicolumn{13}{l}{\\emph{statement: fixed}} \\\\"),
        "{latex}"
    );
    let markdown = render(&table, Format::Markdown);
    assert!(
        markdown.contains("| **statement: fixed** | | |"),
        "{markdown}"
    );
    let csv = render(&table, Format::Csv);
    assert!(csv.contains("\nlog,unknown,false,"), "{csv}");
    let json: serde_json::Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    assert_eq!(json["rows"][0]["statement"], serde_json::Value::Null);
    assert_eq!(json["rows"][1]["statement"], "data-dependent");
}

#[test]
fn certificates_that_contradict_each_other_are_shown_in_every_format() {
    let mut table = table();
    table.rows[0].contradictions = vec![Contradiction {
        first: SampleIndex(0),
        second: SampleIndex(20),
        distance: 0.03125,
    }];
    let warning =
        "CONTRADICTED r20/fixed/0.25: pairs of certificates of different classes that overlap: 1;";
    for text in [
        render(&table, Format::Text),
        render(&table, Format::Markdown),
        render(&table, Format::Latex),
        html(&table, &[], &[]),
    ] {
        assert!(text.contains(warning), "{text}");
        assert!(
            text.contains("indices 0 and 20, at distance 0.03125"),
            "{text}"
        );
    }
    let json: serde_json::Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    let expected = serde_json::json!([{"first": 0, "second": 20, "distance": 0.03125}]);
    assert_eq!(json["rows"][0]["contradictions"], expected);
    let csv = render(&table, Format::Csv);
    assert!(csv.lines().nth(1).unwrap().ends_with(",1"), "{csv}");
}

#[test]
fn a_stopping_rule_is_shown_where_there_is_one() {
    let mut table = table();
    for row in &mut table.rows {
        row.settings.stopping = Some("{ radii = [0, 0.5] }".into());
    }
    let rule = "n at most 10000, stopping { radii = [0, 0.5] }, alpha 0.001";
    assert!(
        render(&table, Format::Text).contains(rule),
        "{}",
        render(&table, Format::Text)
    );
    let json: serde_json::Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    assert_eq!(json["rows"][0]["stopping"], "{ radii = [0, 0.5] }");
    for format in [Format::Text, Format::Json, Format::Csv] {
        assert!(!render(&self::table(), format).contains("stopping"));
    }
}

#[test]
fn every_format_shows_the_settings_of_its_numbers() {
    let table = table();
    let rendered = [
        Format::Text,
        Format::Json,
        Format::Csv,
        Format::Markdown,
        Format::Latex,
    ]
    .map(|f| render(&table, f));
    for text in rendered
        .iter()
        .chain([&svg(&table), &html(&table, &[], &[])])
    {
        for word in [
            "indices 0 to 40, every 20th (3)",
            "100",
            "10000",
            "0.001",
            "7",
            "fp32",
        ] {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
    }
}

#[test]
fn settings_that_a_log_does_not_tell_are_shown_as_unknown() {
    let mut table = table();
    table.rows[1].settings = RowSettings::default();
    let text = render(&table, Format::Text);
    assert!(
        text.contains(
            "r20/fixed/0.25 + memory: indices 0 to 40, every 20th (3); \
             unknown: n0, n, alpha, seed, precision"
        ),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    assert_eq!(
        (&json["rows"][0]["n"], &json["rows"][1]["n"]),
        (&10_000.into(), &serde_json::Value::Null)
    );
}

#[test]
fn json_has_every_documented_field_in_full() {
    let json: serde_json::Value = serde_json::from_str(&render(&table(), Format::Json)).unwrap();
    let row = &json["rows"][0];
    let third = 1.0 / 3.0;
    let expected = serde_json::json!({
        "variant": "r20/fixed/0.25",
        "statement": "fixed",
        "claim": Statement::Fixed.claim(),
        "memory": false,
        "samples": 3,
        "radii": [0.0, 0.5, 1.0, 1.5, 2.0],
        "certified": [1, 1, 1, 1, 0],
        "certified_accuracy": [third, third, third, third, 0.0],
        "average_certified_radius": 1.996 / 3.0,
        "abstained": 1,
        "correct": 1,
        "certified_wrong": 1,
        "failed": 0,
        "missing": 0,
        "n0": 100,
        "n": 10_000,
        "alpha": 0.001,
        "seed": 7,
        "sigma0": 0.25,
        "precision": "fp32",
        "indices": {
            "first": 0,
            "last": 40,
            "step": 20,
            "description": "indices 0 to 40, every 20th (3)",
        },
        "sigma_p10": null,
        "sigma_p50": null,
        "sigma_p90": null,
        "contradictions": [],
        "attacks": [],
    });
    assert_eq!(row, &expected);
    assert_eq!(json["rows"][1]["memory"], true);
}

#[test]
fn an_attack_is_shown_next_to_the_certified_accuracy_at_its_radius() {
    let tally = |reach, fell| AttackTally {
        reach,
        certified: 1,
        samples: 3,
        attacked: 1,
        fell,
        abstained: 0,
    };
    let half = AttackReach::Radius(Radius::new(0.5).unwrap());
    let mut table = table();
    table.rows[0].attacks = vec![tally(half, 1), tally(AttackReach::Own, 0)];
    let text = render(&table, Format::Text);
    assert!(text.contains("33.3   33.3 (0.0)   33.3"), "{text}");
    assert!(text.contains("In brackets: "), "{text}");
    let sentence = "ATTACKED r20/fixed/0.25 at radius 0.5: 1 of 3 samples are certified (33.3 %); \
                    1 of them were attacked, 1 fell, 0 abstained; so at most 0 (0.0 %) hold; each \
                    fall is a contradiction";
    for text in [
        &text,
        &html(&table, &[], &[]),
        &render(&table, Format::Markdown),
    ] {
        assert!(text.contains(sentence), "{text}");
    }
    assert!(
        text.contains(
            "at the certified radius of each: 1 of 3 samples are certified (33.3 %); 1 \
                       of them were attacked, 0 fell, 0 abstained; so at most 1 (33.4 %) hold\n"
        ),
        "{text}"
    );
    table.rows[0].settings.choice = Some(Choice::DataDependent);
    let text = render(&table, Format::Text);
    assert!(
        text.contains("not the certificates, which hold sigma fixed"),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    let expected = serde_json::json!([
        {
            "radius": 0.5, "own_radius": false, "certified": 1, "attacked": 1, "fell": 1,
            "abstained": 0, "at_most": 0, "at_most_accuracy": 0.0,
        },
        {
            "radius": null, "own_radius": true, "certified": 1, "attacked": 1, "fell": 0,
            "abstained": 0, "at_most": 1, "at_most_accuracy": 1.0 / 3.0,
        },
    ]);
    assert_eq!(json["rows"][0]["attacks"], expected);
}

#[test]
fn csv_has_one_line_per_row() {
    let csv = render(&table(), Format::Csv);
    let expected = concat!(
        "variant,statement,memory,sigma0,samples,average_certified_radius,abstained,correct,",
        "certified_wrong,failed,missing,indices,n0,n,alpha,seed,precision,",
        "accuracy_at_0,accuracy_at_0.5,accuracy_at_1,accuracy_at_1.5,accuracy_at_2,",
        "sigma_p10,sigma_p50,sigma_p90,contradictions\n",
        "r20/fixed/0.25,fixed,false,0.25,3,0.6653333333333333,1,1,1,0,0,",
        "\"indices 0 to 40, every 20th (3)\",100,10000,0.001,7,fp32,",
        "0.3333333333333333,0.3333333333333333,0.3333333333333333,0.3333333333333333,0,,,,0\n"
    );
    assert!(csv.starts_with(expected), "{csv}");
    assert_eq!(csv.lines().count(), 3);
}

#[test]
fn an_incomplete_row_says_so_in_every_format_for_reading() {
    let mut table = table();
    table.rows[0].missing = 4;
    table.rows[0].failed = 1;
    let warning = concat!(
        "INCOMPLETE r20/fixed/0.25: 4 of 7 samples have no result yet and are not counted; ",
        "1 failed and count"
    );
    for text in [
        render(&table, Format::Text),
        render(&table, Format::Markdown),
        render(&table, Format::Latex),
        html(&table, &[], &[]),
    ] {
        assert!(text.contains(warning), "{text}");
    }
}

#[test]
fn a_hostile_name_is_only_text_in_every_format() {
    let name = "\u{1b}[2J\u{9b}31m</text><script>alert(1)</script>|\\input{x}\"\n=1+1,\u{202e}";
    let mut table = table_of(name);
    table.title = name.into();
    table.rows[0].settings.precision = Some(name.into());
    table.rows[0].failed = 1;
    let facts = [(name.to_owned(), name.to_owned())];
    for format in [
        Format::Text,
        Format::Json,
        Format::Csv,
        Format::Markdown,
        Format::Latex,
    ] {
        let text = render(&table, format);
        assert!(
            !text.chars().any(|c| c != '\n' && escape::is_unsafe(c)),
            "{format:?}: {text:?}"
        );
    }
    for text in [
        render(&table, Format::Markdown),
        svg(&table),
        html(&table, &facts, &[name.to_owned()]),
    ] {
        assert!(!text.contains("<script"), "{text}");
        assert!(
            !text.chars().any(|c| c != '\n' && escape::is_unsafe(c)),
            "{text:?}"
        );
    }
    assert!(!render(&table, Format::Latex).contains("\\input"));
    let markdown = render(&table, Format::Markdown);
    let bars = |line: &str| line.matches('|').count() - line.matches("\\|").count();
    let cells: Vec<usize> = markdown
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(bars)
        .collect();
    assert_eq!(cells, [13; 6], "{markdown}");
    let json: serde_json::Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    assert_eq!(
        json["rows"][0]["variant"], name,
        "programs get the name as it is"
    );
}

#[test]
fn the_curve_steps_down_right_after_each_radius() {
    let svg = svg(&table());
    // One of three samples is correct, to 1.996 of an axis that ends at 2.
    assert!(
        svg.contains("<path d=\"M56 253.4H734.6V360.0\" fill=\"none\""),
        "{svg}"
    );
    assert!(
        svg.contains("stroke=\"#0072b2\" stroke-dasharray=\"6 3\""),
        "memory is dashed in its variant's colour"
    );
}

#[test]
fn a_curve_of_many_samples_stays_small() {
    let certified = |i: u64| EntryOutcome::Certified {
        class: Class(1),
        radius: Radius::new(i as f64 * 1e-5).unwrap(),
    };
    let entries: Vec<Entry> = (0..50_000)
        .map(|i| Entry {
            index: SampleIndex(i),
            label: Class(1),
            result: certified(i),
            sigma: None,
        })
        .collect();
    let mut table = table();
    table.rows = vec![TableRow::count(
        "many",
        false,
        &entries,
        &table.radii,
        settings(),
    )];
    assert!(svg(&table).len() < 150_000, "{}", svg(&table).len());
}

#[test]
fn an_empty_table_renders_everywhere() {
    let mut table = table();
    table.rows = vec![TableRow::count(
        "none",
        false,
        &[],
        &table.radii,
        RowSettings::default(),
    )];
    for text in [
        svg(&table),
        html(&table, &[], &[]),
        render(&table, Format::Text),
        render(&table, Format::Csv),
    ] {
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
    table.rows.clear();
    assert!(render(&table, Format::Json).contains("\"rows\": []"));
    assert!(svg(&table).ends_with("</svg>\n") && html(&table, &[], &[]).contains("</table>"));
}

#[test]
fn a_report_is_a_folder_of_complete_files() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("run/report");
    let log = |variant: &str, memory| VariantLog {
        variant: VariantName::new(variant),
        memory,
        lines: entries()
            .into_iter()
            .map(|entry| LogLine {
                entry,
                seconds: None,
            })
            .collect(),
    };
    let logs = [
        log("r20/fixed/0.25", false),
        log("r20/fixed/0.25", true),
        log("r20_fixed/0.25", false),
        log("../up", false),
    ];
    for _ in 0..2 {
        write_all(&report, &table(), &[("host".into(), "a<b".into())], &logs).unwrap();
        let mut names: Vec<String> = fs::read_dir(&report)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected = [
            ".._up.tsv",
            "curve.svg",
            "index.html",
            "r20_fixed_0.25-2.tsv",
            "r20_fixed_0.25.memory.tsv",
            "r20_fixed_0.25.tsv",
            "table.csv",
            "table.json",
            "table.md",
            "table.tex",
            "table.txt",
        ];
        assert_eq!(names, expected);
    }
    let log = fs::read_to_string(report.join("r20_fixed_0.25.tsv")).unwrap();
    assert!(log.starts_with(
        "idx\tlabel\tpredict\tradius\tcorrect\tsigma\ttime\n0\t1\t1\t1.996\t1\t0.25\t"
    ));
    assert_eq!(log.lines().count(), entries().len() + 1);
    let page = fs::read_to_string(report.join("index.html")).unwrap();
    assert!(
        page.contains("<dt>host</dt><dd>a&lt;b</dd>")
            && page.contains("href=\"./r20_fixed_0.25.memory.tsv\"")
    );
}

#[test]
fn a_file_that_cannot_be_replaced_is_named_and_leaves_no_temporary_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("table.txt")).unwrap();
    let error = write_all(folder.path(), &table(), &[], &[])
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("table.txt: cannot write it"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
