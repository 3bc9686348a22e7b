//! The text of each format, with ordinary and with hostile names.

use ddrs_common::domain::Statement;

use super::*;

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
fn csv_has_one_line_per_row() {
    let csv = render(&table(), Format::Csv);
    let expected = concat!(
        "variant,statement,memory,sigma0,samples,average_certified_radius,abstained,correct,",
        "certified_wrong,failed,missing,indices,n0,n,alpha,seed,precision,",
        "accuracy_at_0,accuracy_at_0.5,accuracy_at_1,accuracy_at_1.5,accuracy_at_2,",
        "sigma_p10,sigma_p50,sigma_p90,contradictions,stopping,bound,levels\n",
        "r20/fixed/0.25,fixed,false,0.25,3,0.6653333333333333,1,1,1,0,0,",
        "\"indices 0 to 40, every 20th (3)\",100,10000,0.001,7,fp32,",
        "0.3333333333333333,0.3333333333333333,0.3333333333333333,0.3333333333333333,0,,,,0,,,\n"
    );
    assert!(csv.starts_with(expected), "{csv}");
    assert_eq!(csv.lines().count(), 3);
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
