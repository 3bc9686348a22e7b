#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;
use crate::data::tests::message;

fn read(text: &str, images: &[&str]) -> Result<WrittenLabels, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("labels.txt");
    fs::write(&file, text).unwrap();
    let images: Vec<String> = images.iter().map(|name| (*name).to_owned()).collect();
    read_labels(&file, &Roots::anywhere(), &images)
}

const IMAGES: [&str; 2] = [
    "ILSVRC2012_val_00000001.JPEG",
    "ILSVRC2012_val_00000003.JPEG",
];

#[track_caller]
fn check(text: &str, images: &[&str], expected: [&str; 2]) -> WrittenLabels {
    let written = read(text, images).unwrap();
    assert_eq!(written.of_images, expected);
    written
}

#[test]
fn labels_are_found_by_paths_names_or_names_without_suffix() {
    let val = "ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000003.JPEG 970\n";
    let written = check(val, &IMAGES, ["65", "970"]);
    assert_eq!((written.is_column, written.note), (false, None));
    check(&val.replace(' ', "\t"), &IMAGES, ["65", "970"]);
    check(&val.replace("ILSVRC", "val/ILSVRC"), &IMAGES, ["65", "970"]);
    check(&val.replace("ILSVRC", "./ILSVRC"), &IMAGES, ["65", "970"]);
    check(&val.replace(".JPEG", ""), &IMAGES, ["65", "970"]);
    check(
        val,
        &[
            "val/ILSVRC2012_val_00000001.JPEG",
            "val/ILSVRC2012_val_00000003.JPEG",
        ],
        ["65", "970"],
    );
    check(
        "a/0.png 1\nb/0.png 2\n",
        &["a/0.png", "b/0.png"],
        ["1", "2"],
    );
    check(
        "my cat.png 1\nmy dog.png 2\n",
        &["my cat.png", "my dog.png"],
        ["1", "2"],
    );
}

#[test]
fn tables_give_the_label_after_the_name() {
    let kaggle = "ImageId,PredictionString\n\
                  ILSVRC2012_val_00000003,n03995372 85 1 499 272 \n\
                  ILSVRC2012_val_00000001,n03481172 131 0 254 144 n03481172 1 2 3 4\n";
    let written = check(kaggle, &IMAGES, ["n03481172", "n03995372"]);
    assert_eq!(written.all.len(), 2, "the header is no label");
    assert_eq!(written.note, None);
    let tiny = "val_0.JPEG\tn03444034\t0\t32\t44\t62\nval_1.JPEG\tn04067472\t52\t55\t57\t59\n";
    check(
        tiny,
        &["val_0.JPEG", "val_1.JPEG"],
        ["n03444034", "n04067472"],
    );
    check(
        "\"file\",\"label\"\n\"a.png\",\"cat\"\n\"b.png\",\"dog\"\n",
        &["a.png", "b.png"],
        ["cat", "dog"],
    );
}

#[test]
fn a_column_follows_the_numbers_of_ilsvrc_or_the_order_of_the_images() {
    let written = check("490\n361\n171\n822\n", &IMAGES, ["490", "171"]);
    assert!(written.is_column);
    assert!(written.note.unwrap().contains("2 line(s)"));
    check("5\n6\n", &["a.png", "b.png"], ["5", "6"]);
    // Numbers that the list does not reach: a list of these images alone.
    check("n01\nn02\n", &IMAGES, ["n01", "n02"]);
}

#[test]
fn lines_without_an_image_are_counted_and_still_name_classes() {
    let written = check(
        "a.png cat\nb.png dog\nc.png emu\nd.png fox\n",
        &["a.png", "b.png"],
        ["cat", "dog"],
    );
    assert_eq!(written.all.len(), 4);
    let note = written.note.unwrap();
    assert!(
        note.starts_with("2 line(s) of ") && note.ends_with("such as line 3, \"c.png\""),
        "{note}"
    );
}

#[test]
fn lists_that_leave_a_label_open_are_refused() {
    for (text, images, part) in [
        (
            "a.png 1\n",
            ["a.png", "b.png"],
            "has no label of b.png; its first line is about \"a.png\"",
        ),
        ("1\n2\n3\n", ["a.png", "b.png"], "has 3 labels for 2 images"),
        ("", ["a.png", "b.png"], "has 0 labels for 2 images"),
        (
            "a.png 1\n7\n",
            ["a.png", "b.png"],
            "line 2 is not a name and a label",
        ),
        (
            "a.png,\nb.png,1\n",
            ["a.png", "b.png"],
            "line 1 is not a name and a label",
        ),
        (
            "a.png 1\n\nb.png 2\n",
            ["a.png", "b.png"],
            "line 2 is empty",
        ),
        (
            "a.png 1\na.png 2\nb.png 3\n",
            ["a.png", "b.png"],
            "names an image twice",
        ),
        (
            "0.png 1\n1.png 2\n",
            ["a/0.png", "b/0.png"],
            "has no label of a/0.png",
        ),
    ] {
        let error = message(read(text, &images));
        assert!(
            error.contains("labels.txt: ") && error.contains(part),
            "{text:?}: {error}"
        );
    }
}
