#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::data::tests::{formula, message, save};

/// Two classes, of which the second has two images, and things that are no images.
fn animals() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in ["dog/a.JPG", "dog/B.jpeg", "cat/z.Png"] {
        save(root.path(), name, &formula(4, 4));
    }
    fs::write(root.path().join("dog/notes.txt"), "x").unwrap();
    fs::write(root.path().join("synsets.txt"), "x").unwrap();
    fs::create_dir(root.path().join("dog/folder.png")).unwrap();
    root
}

fn open(root: &Path, classes: Option<&Path>) -> Result<ImageFolder, DataError> {
    ImageFolder::open(root, classes, &Roots::anywhere())
}

fn listing(folder: &ImageFolder) -> Vec<(String, u32)> {
    let name = |place| {
        folder
            .path(place)
            .strip_prefix(&folder.root)
            .unwrap()
            .display()
            .to_string()
    };
    (0..folder.len())
        .map(|place| (name(place), folder.label(place).0))
        .collect()
}

fn expected(list: [(&str, u32); 3]) -> Vec<(String, u32)> {
    list.map(|(name, label)| (name.to_owned(), label)).to_vec()
}

#[test]
fn classes_then_files_are_in_byte_order() {
    let root = animals();
    let folder = open(root.path(), None).unwrap();
    assert_eq!(
        listing(&folder),
        expected([("cat/z.Png", 0), ("dog/B.jpeg", 1), ("dog/a.JPG", 1)])
    );
    assert_eq!(folder.classes(), 2);
}

#[test]
fn a_classes_file_gives_the_labels() {
    let root = animals();
    let file = root.path().join("names");
    fs::write(&file, "bird\r\ndog\r\ncat\r\n\r\n").unwrap();
    let folder = open(root.path(), Some(&file)).unwrap();
    assert_eq!(
        listing(&folder),
        expected([("cat/z.Png", 2), ("dog/B.jpeg", 1), ("dog/a.JPG", 1)])
    );
    assert_eq!(folder.classes(), 3);
}

#[test]
fn a_classes_file_that_misleads_is_refused() {
    let root = animals();
    let file = root.path().join("names");
    for (text, part) in [
        ("cat\n", "does not list the class \"dog\""),
        ("cat\n\ndog\n", "line 2"),
        ("cat\ndog\ncat", "line 3"),
    ] {
        fs::write(&file, text).unwrap();
        let error = message(open(root.path(), Some(&file)));
        assert!(error.contains(part) && error.contains("names"), "{error}");
    }
    let missing = root.path().join("missing");
    assert!(message(open(root.path(), Some(&missing))).contains("missing"));
}

#[test]
fn folders_without_images_are_refused() {
    let root = tempfile::tempdir().unwrap();
    assert!(message(open(root.path(), None)).contains("no class folders"));
    save(root.path(), "b/0.png", &formula(1, 1));
    fs::create_dir(root.path().join("a")).unwrap();
    let error = message(open(root.path(), None));
    assert!(
        error.contains(root.path().join("a").to_str().unwrap()),
        "{error}"
    );
    // With labels from a file, an empty folder shifts nothing.
    let names = root.path().join("names");
    fs::write(&names, "a\nb").unwrap();
    assert_eq!(open(root.path(), Some(&names)).unwrap().label(0), Class(1));
    fs::remove_file(root.path().join("b/0.png")).unwrap();
    assert!(message(open(root.path(), Some(&names))).contains("hold no file that ends with .jpg"));
}

#[test]
fn links_count_as_what_they_point_to() {
    let elsewhere = animals();
    let root = tempfile::tempdir().unwrap();
    symlink(elsewhere.path().join("cat"), root.path().join("cat")).unwrap();
    save(root.path(), "dog/b.png", &formula(3, 3));
    symlink(
        elsewhere.path().join("dog/a.JPG"),
        root.path().join("dog/a.jpg"),
    )
    .unwrap();
    symlink("/nonexistent/image", root.path().join("dog/c.jpg")).unwrap();
    let folder = open(root.path(), None).unwrap();
    let names: Vec<String> = listing(&folder).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["cat/z.Png", "dog/a.jpg", "dog/b.png", "dog/c.jpg"]);
    assert!((0..3).all(|place| folder.image(place).is_ok()));
    assert!(matches!(folder.image(3), Err(Fault::Io(_))));
    folder.digest();
}

#[test]
fn the_digest_follows_names_lengths_and_labels() {
    let root = animals();
    let digest = || open(root.path(), None).unwrap().digest();
    let first = digest();
    assert_eq!(digest(), first);
    fs::write(root.path().join("dog/notes.txt"), "more").unwrap();
    assert_eq!(digest(), first, "only images count");

    let image = root.path().join("dog/a.JPG");
    let mut bytes = fs::read(&image).unwrap();
    bytes.push(0);
    fs::write(&image, bytes).unwrap();
    let longer = digest();
    assert_ne!(longer, first);
    fs::rename(&image, root.path().join("dog/b.jpg")).unwrap();
    assert_ne!(digest(), longer);

    let renamed = digest();
    let names = root.path().join("names");
    fs::write(&names, "dog\ncat").unwrap();
    assert_ne!(open(root.path(), Some(&names)).unwrap().digest(), renamed);
}

#[test]
fn links_that_lead_out_of_the_roots_are_refused_by_name() {
    let elsewhere = animals();
    let root = tempfile::tempdir().unwrap();
    save(root.path(), "cat/a.png", &formula(3, 3));
    symlink("a.png", root.path().join("cat/b.png")).unwrap();
    let home = Roots::under(&[root.path().to_owned()]).unwrap();
    assert_eq!(
        ImageFolder::open(root.path(), None, &home).unwrap().len(),
        2
    );
    for (link, target) in [("cat/c.png", "dog/B.jpeg"), ("dog", "dog")] {
        symlink(elsewhere.path().join(target), root.path().join(link)).unwrap();
        let error = message(ImageFolder::open(root.path(), None, &home));
        assert!(
            error.contains(link) && error.contains("is outside what this worker may open"),
            "{error}"
        );
        let both = Roots::under(&[root.path().to_owned(), elsewhere.path().to_owned()]).unwrap();
        assert!(ImageFolder::open(root.path(), None, &both).is_ok());
        fs::remove_file(root.path().join(link)).unwrap();
    }
    let names = elsewhere.path().join("synsets.txt");
    assert!(
        message(ImageFolder::open(root.path(), Some(&names), &home))
            .contains("synsets.txt is outside")
    );
}

#[test]
fn a_link_that_changes_after_the_listing_opens_nothing_outside() {
    let elsewhere = animals();
    let root = tempfile::tempdir().unwrap();
    save(root.path(), "cat/a.png", &formula(3, 3));
    symlink("a.png", root.path().join("cat/b.png")).unwrap();
    let folder = ImageFolder::open(
        root.path(),
        None,
        &Roots::under(&[root.path().to_owned()]).unwrap(),
    )
    .unwrap();
    assert!(folder.image(1).is_ok());
    fs::remove_file(root.path().join("cat/b.png")).unwrap();
    symlink(
        elsewhere.path().join("cat/z.Png"),
        root.path().join("cat/b.png"),
    )
    .unwrap();
    let error = folder.image(1).unwrap_err().to_string();
    assert!(
        error.contains("cat/z.Png is outside what this worker may open"),
        "{error}"
    );
}
