//! The settings that the numbers of a row depend on, and its sigmas.

use ddrs_common::spec::BoundRule;

use super::*;

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
    assert!(csv.ends_with(",0,0.125,0.25,0.5,0,,,\n"), "{csv}");
    let json: serde_json::Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    let row = &json["rows"][1];
    let quantiles = ["sigma_p10", "sigma_p50", "sigma_p90"].map(|name| row[name].as_f64());
    assert_eq!(quantiles, [Some(0.125), Some(0.25), Some(0.5)]);
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
    let csv = render(&table, Format::Csv);
    assert!(csv.contains(",0,\"{ radii = [0, 0.5] }\",,\n"), "{csv}");
    for format in [Format::Text, Format::Json] {
        assert!(!render(&super::table(), format).contains("stopping"));
    }
}

#[test]
fn the_bound_of_two_classes_is_named_in_every_format() {
    let mut table = table();
    table.rows[0].settings.bound = Some(BoundRule::TwoClass);
    let text = render(&table, Format::Text);
    let note = "r20/fixed/0.25: indices 0 to 40, every 20th (3); n0 100, n 10000, alpha 0.001, \
                seed 7, precision fp32, bound two-class\n";
    assert!(text.contains(note), "{text}");
    let published = "r20/fixed/0.25 + memory: indices 0 to 40, every 20th (3); n0 100, n 10000, \
                     alpha 0.001, seed 7, precision fp32\n";
    assert!(text.contains(published), "{text}");
    for text in [
        render(&table, Format::Markdown),
        render(&table, Format::Latex),
        svg(&table),
        html(&table, &[], &[]),
    ] {
        assert!(text.contains("bound two-class"), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    assert_eq!(json["rows"][0]["bound"], "two-class");
    assert_eq!(json["rows"][1].get("bound"), None);
    let csv = render(&table, Format::Csv);
    let ends: Vec<bool> = csv
        .lines()
        .map(|line| line.ends_with(",two-class,"))
        .collect();
    assert_eq!(ends, [false, true, false], "{csv}");
}

#[test]
fn the_levels_of_a_selected_row_are_shown_in_every_format() {
    let mut table = table();
    let selected = RowSettings {
        choice: Some(Choice::Selected),
        ..settings()
    };
    table.rows[1] = TableRow::count("s/selected/0.25", false, &entries(), &table.radii, selected);
    let shares = "0.125: 33.3 %, 0.25: 33.3 %, 0.5: 33.3 %";
    for text in [
        render(&table, Format::Text),
        render(&table, Format::Markdown),
        html(&table, &[], &[]),
    ] {
        assert!(text.contains(shares), "{text}");
    }
    let latex = render(&table, Format::Latex);
    assert!(latex.contains(&shares.replace('%', "\\%")), "{latex}");
    let json: serde_json::Value = serde_json::from_str(&render(&table, Format::Json)).unwrap();
    let levels = serde_json::json!([
        {"sigma": 0.125, "samples": 1},
        {"sigma": 0.25, "samples": 1},
        {"sigma": 0.5, "samples": 1},
    ]);
    assert_eq!(json["rows"][1]["levels"], levels);
    let csv = render(&table, Format::Csv);
    assert!(csv.ends_with(",,,0,,,0.125:1 0.25:1 0.5:1\n"), "{csv}");
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
