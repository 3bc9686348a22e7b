//! The files of a report.

use std::fs;

use ddrs_common::domain::VariantName;

use super::*;
use crate::log_file::LogLine;

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
