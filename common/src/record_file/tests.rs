//! Tests the lines of the contract, and files that are cut anywhere.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::domain::{
    Alpha, Certification, Class, Outcome, Probability, Radius, Record, SelectionCounts, Sigma,
    Statement,
};

const CERTIFIED: &str = concat!(
    r#"{"variant":"r20/fixed/0.25","index":20,"label":3,"prediction":3,"radius":0.378,"#,
    r#""sigma":0.25,"sigma0":0.25,"n0":100,"n":1000,"count":970,"p_lower":0.94,"#,
    r#""alpha":0.001,"seed":18446744073709551615,"seconds":1.5,"worker":"host-1","#,
    r#""attempt":1,"device":"cpu"}"#,
);
const ABSTAINED: &str = concat!(
    r#"{"variant":"r20/fixed/0.25","index":40,"label":3,"prediction":null,"radius":0.0,"#,
    r#""sigma":0.25,"sigma0":0.25,"n0":100,"n":1000,"count":500,"p_lower":0.45,"#,
    r#""alpha":0.001,"seed":1,"seconds":1.5,"worker":"host-1","attempt":2,"device":"cpu"}"#,
);
const FAILED: &str = concat!(
    r#"{"variant":"r20/fixed/0.25","index":60,"label":3,"error":"a/b.png: not\nan image","#,
    r#""seed":1,"seconds":0.0,"worker":"host-1","attempt":1,"device":"cpu"}"#,
);

fn certified() -> Record {
    Record {
        variant: VariantName::new("r20/fixed/0.25"),
        index: SampleIndex(20),
        label: Class(3),
        result: Ok(Certification {
            outcome: Outcome::Certified {
                class: Class(3),
                radius: Radius::new(0.378).unwrap(),
            },
            statement: None,
            sigma: Sigma::new(0.25).unwrap(),
            sigma0: Sigma::new(0.25).unwrap(),
            n0: 100,
            n: 1000,
            count: 970,
            p_lower: Probability::new(0.94).unwrap(),
            off_grid: Radius::ZERO,
            alpha: Alpha::new(0.001).unwrap(),
            runner_up: None,
            p_upper: None,
            n0_counts: None,
            level: None,
        }),
        seed: u64::MAX,
        seconds: 1.5,
        worker: "host-1".into(),
        attempt: 1,
        device: "cpu".into(),
    }
}

fn three() -> String {
    format!("{CERTIFIED}\n{ABSTAINED}\n{FAILED}\n")
}

/// A file in a temporary folder, which exists as long as the first value.
fn file(text: impl AsRef<[u8]>) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.jsonl");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn a_line_names_its_statement_and_an_unknown_one_is_refused() {
    let mut record = certified();
    record.result.as_mut().unwrap().statement = Some(Statement::DataDependent);
    let line = to_line(&record);
    let field = r#""alpha":0.001,"statement":"data-dependent","seed""#;
    assert!(line.contains(field), "{line}");
    assert_eq!(from_line(&line), Ok(record));
    let other = line.replace(r#":"data-dependent""#, r#":"true""#);
    assert_eq!(
        from_line(&other).unwrap_err().to_string(),
        r#""true" is not a kind of statement"#
    );
}

#[test]
fn counts_of_a_selector_whose_sum_is_no_number_of_draws_are_refused() {
    let line = |counts: &str| {
        let selector = format!(
            r#"1,"selector":{{"level":0,"n0":100,"counts":[{counts}],"p_lower":0.5,"others":[]}}}}"#
        );
        let end = r#"1,"device":"cpu"}"#;
        let start = CERTIFIED.replace(end, "");
        assert_ne!(start, CERTIFIED);
        format!(r#"{start}1,"device":"cpu",{}"#, &selector[2..])
    };
    let largest = from_line(&line("18446744073709551614,1")).unwrap();
    assert_eq!(
        to_line(&largest).matches("18446744073709551614,1").count(),
        1
    );
    assert_eq!(
        from_line(&line("18446744073709551615,1"))
            .unwrap_err()
            .to_string(),
        "the counts of the selector add up to 2^64 or more"
    );
}

#[test]
fn counts_of_the_selection_phase_are_a_pair_that_fits_into_its_draws() {
    let mut record = certified();
    record.result.as_mut().unwrap().n0_counts = Some(SelectionCounts {
        guess: 60,
        runner_up: 40,
    });
    let line = to_line(&record);
    let pair = r#""alpha":0.001,"n0_count":60,"n0_runner_up_count":40,"seed""#;
    assert!(line.contains(pair), "{line}");
    assert_eq!(from_line(&line), Ok(record));
    for (guess, runner_up) in [(60, 41), (39, 40), (101, 0), (u64::MAX, u64::MAX)] {
        let forged = format!(r#""n0_count":{guess},"n0_runner_up_count":{runner_up},"#);
        let forged = line.replace(r#""n0_count":60,"n0_runner_up_count":40,"#, &forged);
        assert_eq!(
            from_line(&forged).unwrap_err().to_string(),
            format!("100 draws cannot have n0_count {guess} and n0_runner_up_count {runner_up}")
        );
    }
    let alone = line.replace(r#""n0_count":60,"#, "");
    assert_eq!(
        from_line(&alone).unwrap_err().to_string(),
        "n0_count and n0_runner_up_count belong together"
    );
}

#[test]
fn a_line_has_the_fields_of_the_contract_in_their_order() {
    assert_eq!(to_line(&certified()), CERTIFIED);
    for line in [CERTIFIED, ABSTAINED, FAILED] {
        assert_eq!(to_line(&from_line(line).unwrap()), line);
    }
    assert_eq!(from_line(CERTIFIED), Ok(certified()));
    assert_eq!(
        from_line(FAILED).unwrap().result,
        Err("a/b.png: not\nan image".to_owned())
    );
}

#[test]
fn a_line_that_contradicts_itself_is_refused() {
    let cases = [
        (
            ABSTAINED,
            "\"radius\":0.0",
            "\"radius\":0.1",
            "an abstention has radius 0.1",
        ),
        (CERTIFIED, "0.378", "-0.378", "radius must be"),
        (
            CERTIFIED,
            "\"count\":970",
            "\"count\":1001",
            "count 1001 is more than n 1000",
        ),
        (
            CERTIFIED,
            "\"alpha\":0.001",
            "\"alpha\":1.0",
            "alpha must be",
        ),
        (
            CERTIFIED,
            "\"p_lower\":0.94",
            "\"p_lower\":1.5",
            "probability must be",
        ),
        (
            CERTIFIED,
            "\"sigma0\":0.25",
            "\"sigma0\":0",
            "sigma must be",
        ),
        (
            CERTIFIED,
            "\"seconds\":1.5",
            "\"seconds\":-1.5",
            "seconds must be",
        ),
        (CERTIFIED, "\"prediction\":3,", "", "not a record"),
        (
            CERTIFIED,
            "\"prediction\":3",
            "\"prediction\":-1",
            "not a record",
        ),
        (
            CERTIFIED,
            "\"label\":3,",
            "",
            "not a record: missing field `label`",
        ),
        (CERTIFIED, "0.378", "NaN", "not a record"),
    ];
    for (line, old, new, reason) in cases {
        assert!(line.contains(old), "{old}");
        let error = from_line(&line.replacen(old, new, 1))
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{new}: {error}");
    }
}

#[test]
fn a_file_torn_at_any_byte_of_its_last_line_is_repaired() {
    let text = three();
    let first_two = CERTIFIED.len() + ABSTAINED.len() + 2;
    for cut in first_two..=text.len() {
        let (_folder, path) = file(&text[..cut]);
        let opened = RecordFile::open(&path).unwrap();
        let (kept, repair) = match text.len() - cut {
            0 => (3, None),
            1 => (3, Some(Repair::Finished)),
            _ if cut == first_two => (2, None),
            _ => (2, Some(Repair::Removed((cut - first_two) as u64))),
        };
        assert_eq!(
            (opened.lines.len(), opened.repair),
            (kept, repair),
            "cut at {cut}"
        );
        let whole = if kept == 3 {
            text.as_str()
        } else {
            &text[..first_two]
        };
        assert_eq!(fs::read_to_string(&path).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn a_repaired_file_takes_further_records() {
    let (_folder, path) = file(&three()[..three().len() - 30]);
    let mut opened = RecordFile::open(&path).unwrap();
    opened.file.append(&[from_line(FAILED).unwrap()]).unwrap();
    opened.file.append(&[]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), three());
}

#[test]
fn reading_leaves_a_torn_last_line_alone() {
    let text = &three()[..three().len() - 30];
    let (_folder, path) = file(text);
    assert_eq!(read(&path).unwrap().len(), 2);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let missing = read(Path::new("/nowhere/records.jsonl"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("/nowhere/records.jsonl: cannot open it: "),
        "{missing}"
    );
}

#[test]
fn a_new_file_is_created_empty_and_takes_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.jsonl");
    let OpenedFile {
        mut file,
        lines: records,
        numbers,
        repair,
    } = RecordFile::open(&path).unwrap();
    assert!(records.is_empty() && numbers.is_empty() && repair.is_none());
    file.append(&[certified(), from_line(ABSTAINED).unwrap()])
        .unwrap();
    file.append(&[from_line(FAILED).unwrap()]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), three());
    assert!(RecordFile::open(&folder.path().join("no/records.jsonl")).is_err());
}

#[test]
fn a_bad_line_that_is_not_the_torn_last_one_is_named() {
    for (text, line) in [
        (format!("{CERTIFIED}\n{{\"variant\":\n{ABSTAINED}\n"), 2),
        (format!("{CERTIFIED}\n\n{ABSTAINED}\n"), 2),
        (format!("{CERTIFIED}\n{ABSTAINED}\nrubbish\n"), 3),
    ] {
        let (_folder, path) = file(&text);
        for error in [
            RecordFile::open(&path).map(|_| ()).unwrap_err(),
            read(&path).map(|_| ()).unwrap_err(),
        ] {
            let start = format!("{}, line {line}: not a record: ", path.display());
            assert!(error.to_string().starts_with(&start), "{error}");
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            text,
            "a file in doubt is not touched"
        );
    }
    let (_folder, path) = file(b"\xff\xfe\n");
    assert!(
        read(&path)
            .unwrap_err()
            .to_string()
            .contains("line 1: not a record: invalid utf-8")
    );
}

#[test]
fn a_sample_with_two_records_counts_once_if_both_agree() {
    let again = ABSTAINED.replace(
        "\"seconds\":1.5,\"worker\":\"host-1\",\"attempt\":2",
        "\"seconds\":9,\"worker\":\"b\",\"attempt\":3",
    );
    assert_ne!(again, ABSTAINED);
    let (_folder, path) = file(format!("{CERTIFIED}\n{ABSTAINED}\n{again}\n{CERTIFIED}\n"));
    let records = RecordFile::open(&path).unwrap().lines;
    assert_eq!(
        records.iter().map(to_line).collect::<Vec<_>>(),
        [CERTIFIED, ABSTAINED]
    );
    let numbered = read_numbered::<Record>(&path).unwrap();
    let numbers: Vec<usize> = numbered.iter().map(|&(line, _)| line).collect();
    assert_eq!(numbers, [1, 2]);

    let other = CERTIFIED.replace("\"count\":970", "\"count\":971");
    let (_folder, path) = file(format!("{CERTIFIED}\n{ABSTAINED}\n{other}\n"));
    let error = read(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{}, line 3: index 20 of \"r20/fixed/0.25\" differs from line 1",
            path.display()
        )
    );
}

#[test]
fn one_program_at_a_time_may_write_and_others_may_read() {
    let (_folder, path) = file(three());
    let opened = RecordFile::open(&path).unwrap();
    assert!(matches!(
        RecordFile::open(&path),
        Err(RecordFileError::Locked { .. })
    ));
    assert_eq!(read(&path).unwrap().len(), 3);
    drop(opened);
    assert!(RecordFile::open(&path).is_ok());
}

#[test]
fn a_failed_append_is_reported_and_leaves_nothing_behind() {
    let (_folder, path) = file(three());
    let mut file = RecordFile::open(&path).unwrap().file;
    file.make_read_only();
    let error = file.append(&[certified()]).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}: cannot append to it: ", path.display())),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), three());
}

#[test]
fn what_a_failed_append_left_is_cut_before_the_next_one() {
    let (_folder, path) = file(three());
    let mut file = RecordFile::open(&path).unwrap().file;
    // The disk took part of a line and could not even be cut back.
    fs::write(&path, format!("{}{{\"variant\":\"r2", three())).unwrap();
    file.mark_dirty();
    let mut next = certified();
    next.index = SampleIndex(80);
    file.append(std::slice::from_ref(&next)).unwrap();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("{}{}\n", three(), to_line(&next))
    );
}

proptest! {
    #[test]
    fn no_line_makes_the_reader_panic(
        line in "[\\[\\]{}\":,.0-9a-z_ \u{0}é\\\\-]{0,120}",
        cut in 0..CERTIFIED.len(),
        byte in any::<u8>(),
    ) {
        let _ = from_line(&line);
        let mut bytes = CERTIFIED.as_bytes().to_vec();
        bytes[cut] = byte;
        let _ = scan::scan::<Record>(&bytes[..], Path::new("a"));
    }
}

#[test]
fn a_line_without_an_end_takes_no_memory() {
    let (_folder, path) = file(three());
    // Sparse: it holds no more on the disk than it did.
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(40 << 30)
        .unwrap();
    let error = RecordFile::open(&path).unwrap_err().to_string();
    assert!(
        error.ends_with(", line 4: not a record: longer than 1048576 bytes"),
        "{error}"
    );
}
