//! Statements, contradictions and attacks.

use ddrs_common::attack::{AttackReach, AttackTally};

use super::*;
use crate::aggregate::Contradiction;

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
    assert!(csv.lines().nth(1).unwrap().ends_with(",1,,,"), "{csv}");
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
    let csv = render(&table, Format::Csv);
    let ends = [
        ",levels,at_most_at_0,at_most_at_0.5,at_most_at_1,at_most_at_1.5,at_most_at_2",
        ",,0,,,",
        ",,,,,",
    ];
    for (line, end) in csv.lines().zip(ends) {
        assert!(line.ends_with(end), "{csv}");
    }
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
