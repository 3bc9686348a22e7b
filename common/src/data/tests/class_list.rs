#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;
use crate::data::tests::message;

fn read(text: impl AsRef<[u8]>, names: &[&str]) -> Result<ClassList, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("classes.txt");
    fs::write(&file, text).unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    ClassList::read(&file, &Roots::anywhere(), &names)
}

/// Checks that a text lists fish, shark and bird as classes 0, 1 and 2.
#[track_caller]
fn check(text: impl AsRef<[u8]>) {
    let list = read(text, &["n02", "n01"]).unwrap();
    let labels = ["n02", "n01", "n03"].map(|name| list.label(name));
    assert_eq!(labels, [Some(Class(0)), Some(Class(1)), Some(Class(2))]);
    assert_eq!(list.count(), 3);
}

#[test]
fn lists_are_read_in_the_forms_in_which_they_are_published() {
    check("n02\nn01\nn03\n");
    check("n02\r\nn01\r\nn03\r\n\r\n");
    check("\u{feff}n02\nn01\nn03");
    check("n02 \nn01\t\n n03\n");
    check("n02 tench, Tinca tinca\nn01 shark\nn03 a bird\n");
    check("n02\ttench\nn01\tshark\nn03\tbird\n");
    check("n02,tench\nn01,shark\nn03,bird\n");
    check("'n02',\n'n01',\n'n03'");
    check("['n02',\n 'n01',\n 'n03']");
    check("0 n02\n1 n01\n2 n03");
    check("0: n02 tench\n1: n01 shark\n2: n03 bird");
    check("1 n01\n0 n02\n2 n03");
    check("n01 1\nn02 0\nn03 2");
    check("n02 50\nn01 50\nn03 50");
}

#[test]
fn lists_of_windows_are_read_in_their_encoding() {
    for (mark, bytes) in [
        ([0xff, 0xfe], u16::to_le_bytes as fn(u16) -> [u8; 2]),
        ([0xfe, 0xff], u16::to_be_bytes),
    ] {
        let units = "n02\r\nn01\r\nn03".encode_utf16().flat_map(bytes);
        check(mark.into_iter().chain(units).collect::<Vec<u8>>());
    }
}

#[test]
fn lists_in_json_are_read() {
    check(r#"["n02", "n01", "n03"]"#);
    check(r#"{"0": ["n02", "tench"], "1": ["n01", "shark"], "2": ["n03", "bird"]}"#);
    check(r#"{"2": "n03", "0": "n02", "1": "n01"}"#);
    check(r#"{"n01": 1, "n02": 0, "n03": 2}"#);
}

#[test]
fn names_with_blanks_are_whole_lines_first() {
    let list = read("a b\na c\n", &["a b", "a c"]).unwrap();
    assert_eq!(list.label("a c"), Some(Class(1)));
    let list = read(" lead\n trail\n", &[" lead"]).unwrap();
    assert_eq!(list.label(" lead"), Some(Class(0)));
    let list = read("2\n10\n7\n", &["7", "2"]).unwrap();
    assert_eq!(list.label("7"), Some(Class(2)));
}

#[test]
fn lists_that_mislead_are_refused_with_the_reason() {
    for (text, part) in [
        ("n02\n", "does not list the class \"n01\" of the data"),
        (
            "N02\nN01\n",
            "it has \"N02\", in other upper and lower case",
        ),
        ("\nn01\nn02\n", "line 1 is empty"),
        ("n01\n \nn02\n", "line 2 is empty"),
        ("n01\nn02\nn01\n", "line 3 names \"n01\" again"),
        (
            "n02 1 kit_fox\nn01 2 setter\n",
            "numbers its classes from 1",
        ),
        ("1 n02\n2 n01\n", "numbers its classes from 1"),
        (r#"{"1": "n01", "2": "n02"}"#, "is JSON, but"),
        ("[1, 2]", "is JSON, but"),
        ("", "does not list the class"),
    ] {
        let error = message(read(text, &["n02", "n01"]));
        assert!(
            error.contains("classes.txt: ") && error.contains(part),
            "{text:?}: {error}"
        );
    }
    assert!(message(read(b"n\xff", &[])).contains("neither UTF-8 nor UTF-16"));
    assert!(message(read(b"\xff\xfen", &[])).contains("neither UTF-8 nor UTF-16"));
}

#[test]
fn numbers_from_1_in_the_order_of_the_names_say_nothing_new() {
    let list = read("1 n01\n2 n02\n", &["n02"]).unwrap();
    assert_eq!(list.label("n02"), Some(Class(1)));
}

fn numbers(text: &str) -> Result<ClassNumbers, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("map.txt");
    fs::write(&file, text).unwrap();
    ClassNumbers::read(&file, &Roots::anywhere())
}

#[test]
fn the_numbers_of_ilsvrc_are_translated_to_places_among_the_synsets() {
    for text in [
        "n02119789 1 kit_fox\nn01440764 2 tench\nn02100735 3 setter\n",
        "3 n02100735\n1 n02119789\n2 n01440764\n",
    ] {
        let list = numbers(text).unwrap();
        let classes = list.classes().unwrap();
        let found = [1, 2, 3, 4].map(|number| classes.get(&number).copied());
        assert_eq!(
            found,
            [Some(Class(2)), Some(Class(0)), Some(Class(1)), None]
        );
        assert_eq!(list.count(), 3);
    }
    assert!(numbers("cat\ndog\n").unwrap().classes().is_none());
    assert!(numbers("cat 0\ndog 1\n").unwrap().classes().is_none());
    assert!(numbers("cat 1\ndog 2\n").unwrap().classes().is_some());
    assert!(message(numbers("dog 1\ncat 2\n")).contains("numbers its classes from 1"));
}
