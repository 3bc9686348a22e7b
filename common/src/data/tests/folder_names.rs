use super::*;

fn names(names: &[&str]) -> Vec<OsString> {
    names.iter().map(OsString::from).collect()
}

#[test]
fn numbers_out_of_the_order_of_their_names_are_refused() {
    let root = Path::new("/data");
    for good in [
        &["0", "1", "9"][..],
        &["00", "01", "10"],
        &["5"],
        &["0", "1", "10", "x"],
        &["a1", "a10", "a2"],
    ] {
        assert!(check_numbers(root, &names(good)).is_ok(), "{good:?}");
    }
    let error = check_numbers(root, &names(&["0", "1", "10", "2", "3"])).err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    for part in ["/data: ", "0, 1, 10, 2, ...", "dataset.classes"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn names_with_numbers_out_of_order_are_remarked() {
    let note = order_note(&names(&["c1", "c10", "c2"])).unwrap_or_default();
    assert!(note.contains("c10 before c2"), "{note}");
    for good in [&["c01", "c02", "c10"][..], &["a2", "b1"], &["ant", "bee"]] {
        assert_eq!(order_note(&names(good)), None, "{good:?}");
    }
}

fn splits_of(images: &[(&str, &str)]) -> Option<String> {
    let images = images.iter();
    let images = images.map(|(folder, image)| (OsStr::new(*folder), Path::new(*image)));
    let checked = check_splits(Path::new("data"), images);
    checked.err().map(|error| error.to_string())
}

#[test]
fn folders_of_splits_are_not_classes() {
    let error = splits_of(&[
        ("test", "ant/0.png"),
        ("test", "bee/0.png"),
        ("train", "ant/0.png"),
        ("train", "bee/1.png"),
    ]);
    let error = error.unwrap_or_default();
    assert!(
        error.contains("test/ant") && error.ends_with("such as data/test"),
        "{error}"
    );
}

#[test]
fn deeper_folders_within_classes_are_no_splits() {
    for images in [
        // TinyImageNet
        &[("n01", "images/0.png"), ("n02", "images/0.png")][..],
        &[
            ("ant", "0.png"),
            ("bee", "more/0.png"),
            ("bee", "most/0.png"),
        ],
        &[("ant", "a/0.png"), ("ant", "b/0.png"), ("bee", "a/0.png")],
        &[("all", "a/0.png"), ("all", "b/0.png")],
    ] {
        assert_eq!(splits_of(images), None, "{images:?}");
    }
}
