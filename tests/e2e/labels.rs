//! Tests the data that people have: folders, lists of labels and archives, taken as they are or
//! refused before a job runs.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ddrs_common::data::write_tensors;
use ddrs_common::domain::Class;
use ddrs_tests::{TestDir, run_to_end, write_half_space};
use zip::ZipWriter;
use zip::write::FileOptions;

/// Writes a picture whose brightness decides its class: 0 is dark, 1 bright.
fn picture(dir: &TestDir, name: &str, class: u8, size: u32) {
    let path = dir.write(name, "");
    let picture = image::RgbImage::from_pixel(size, size, image::Rgb([60 + 120 * class; 3]));
    if Path::new(name)
        .extension()
        .is_some_and(|suffix| suffix == "ppm")
    {
        let header = format!("P6\n{size} {size}\n255\n");
        fs::write(path, [header.as_bytes(), picture.as_raw()].concat()).unwrap();
    } else {
        picture.save(path).unwrap();
    }
}

/// Writes a network of two classes for 8 x 8 pixels, which tells dark from bright, and a
/// specification with these lines about the data.
fn spec(dir: &TestDir, dataset: &str) -> PathBuf {
    write_half_space(&dir.path("model.safetensors"), &[1.0; 192], -96.0);
    dir.write(
        "sweep.toml",
        format!(
            "name = \"labels\"\nseed = 1\n[dataset]\n{dataset}\n\
             [[model]]\nname = \"plane\"\npath = \"model.safetensors\"\n\
             architecture = \"half-space\"\nclasses = 2\n\
             [smoothing]\nsigma = [0.25]\n[certify]\nn0 = 10\nn = 100\nalpha = 0.001\n"
        ),
    )
}

/// Returns the labels in order of the samples, after a run in which all predictions are right.
#[track_caller]
fn labels(dir: &TestDir, spec: &Path, out: &str) -> (Vec<u64>, String) {
    let ended = dir.run(spec, out, 1).expect(0);
    let records = dir.records(out);
    let labels = records.values().map(|record| {
        assert_eq!(record["prediction"], record["label"], "{record}");
        record["label"].as_u64().unwrap()
    });
    (labels.collect(), ended.stderr)
}

/// Checks that `doctor` and `run` refuse a specification with these words, and that no run begins.
#[track_caller]
fn refused(dir: &TestDir, dataset: &str, words: &[&str]) {
    let spec = spec(dir, dataset);
    let doctor = run_to_end(dir.coordinator().arg("doctor").arg(&spec)).expect(2);
    let run = dir.run(&spec, "out", 1).expect(2);
    for word in words {
        assert!(doctor.stdout.contains(word), "{word:?}: {doctor:?}");
        assert!(run.stderr.contains(word), "{word:?}: {run:?}");
    }
    assert!(!dir.path("out").exists(), "{run:?}");
}

const FOLDER: &str = "format = \"image-folder\"\npath = \"images\"";

#[test]
fn a_folder_is_taken_as_torchvision_takes_it_and_the_rest_is_named() {
    let dir = TestDir::new();
    for (name, class) in [
        ("images/dark/0.bmp", 0),
        ("images/dark/1.PNG", 0),
        ("images/dark/more/0.ppm", 0),
        ("images/light/0.tiff", 1),
        ("images/light/0.webp", 1),
        ("images/.ipynb_checkpoints/0.png", 1),
        ("images/dark/.1.png", 1),
        ("images/stray.png", 1),
    ] {
        picture(&dir, name, class, 8);
    }
    dir.write("images/dark/Thumbs.db", "x");
    dir.write("images/light/._0.webp", "\0\u{5}\u{16}\u{7}");
    let (labels, log) = labels(&dir, &spec(&dir, FOLDER), "out");
    assert_eq!(labels, [0, 0, 0, 1, 1]);
    for part in [
        "1 image(s) in deeper folders, such as dark/more/0.ppm",
        "left aside 1 hidden folder(s), such as .ipynb_checkpoints",
        "left aside 2 hidden file(s), such as dark/.1.png",
        "left aside 1 image(s) outside the class folders, such as stray.png",
        "such as dark/Thumbs.db",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let doctor = run_to_end(dir.coordinator().args(["doctor", "sweep.toml"])).expect(0);
    assert!(doctor.stdout.contains("stray.png"), "{doctor:?}");
}

#[test]
fn a_list_of_classes_may_be_as_kaggle_publishes_it() {
    let dir = TestDir::new();
    picture(&dir, "images/n02/0.png", 0, 8);
    picture(&dir, "images/n01/0.png", 1, 8);
    dir.write("map.txt", "n02 night, dark\r\nn01 day, bright light\r\n");
    let dataset = format!("{FOLDER}\nclasses = \"map.txt\"");
    assert_eq!(labels(&dir, &spec(&dir, &dataset), "out").0, [1, 0]);
}

/// Writes four pictures as ImageNet's validation set has them, in the folder `val`.
fn validation_set(dir: &TestDir) -> [String; 4] {
    let names = [1, 2, 3, 4].map(|number| format!("ILSVRC2012_val_{number:08}.png"));
    for (name, class) in names.iter().zip([1, 0, 0, 1]) {
        picture(dir, &format!("val/{name}"), class, 8);
    }
    names
}

fn stem(name: &str) -> &str {
    name.trim_end_matches(".png")
}

#[test]
fn a_flat_folder_takes_its_labels_from_any_published_list() {
    let dir = TestDir::new();
    let [first, second, third, fourth] = validation_set(&dir);
    // The synset of bright pictures comes second in order of names, and first in the map.
    let map = "n00000002 1 day\nn00000001 2 night\n".to_owned();
    let solution = format!(
        "ImageId,PredictionString\n{},n02 1 2 3 4\n{},n01 1 2 3 4\n{},n02 5 6 7 8\n\
         {},n01 0 0 1 1\n",
        stem(&fourth),
        stem(&third),
        stem(&first),
        stem(&second)
    );
    let by_name = format!("{first} 1\n{second} 0\n{third} 0\n{fourth} 1\n");
    for (name, text, classes) in [
        ("val.txt", by_name, None),
        ("truth.txt", "1\n2\n2\n1\n".to_owned(), Some(map.as_str())),
        ("solution.csv", solution, Some("n01 dark\nn02 bright\n")),
    ] {
        dir.write(name, text);
        let mut dataset = format!("format = \"imagenet\"\npath = \"val\"\nlabels = \"{name}\"");
        if let Some(classes) = classes {
            dir.write("classes.txt", classes);
            dataset += "\nclasses = \"classes.txt\"";
        }
        let out = format!("out-{name}");
        assert_eq!(
            labels(&dir, &spec(&dir, &dataset), &out).0,
            [1, 0, 0, 1],
            "{name}"
        );
    }
}

#[test]
fn an_archive_gives_the_records_of_its_folder() {
    let dir = TestDir::new();
    let names = validation_set(&dir);
    let mut archive = ZipWriter::new(File::create(dir.path("val.zip")).unwrap());
    let mut map = String::new();
    for (name, class) in names.iter().zip([1, 0, 0, 1]) {
        archive
            .start_file(name.as_str(), FileOptions::default())
            .unwrap();
        archive
            .write_all(&fs::read(dir.path("val").join(name)).unwrap())
            .unwrap();
        map += &format!("{name}\t{class}\n");
    }
    let _ = archive.finish().unwrap();
    dir.write("val_map.txt", map);
    let dataset =
        |path| format!("format = \"imagenet\"\npath = \"{path}\"\nlabels = \"val_map.txt\"");
    let _ = labels(&dir, &spec(&dir, &dataset("val.zip")), "zip");
    let _ = labels(&dir, &spec(&dir, &dataset("val")), "folder");
    assert_eq!(dir.stable_records("zip"), dir.stable_records("folder"));
}

#[test]
fn fewer_folders_than_the_network_has_classes_are_counted_and_named() {
    let dir = TestDir::new();
    picture(&dir, "images/dark/0.png", 0, 8);
    let (_, log) = labels(&dir, &spec(&dir, FOLDER), "out");
    let doctor = run_to_end(dir.coordinator().args(["doctor", "sweep.toml"])).expect(0);
    for text in [&log, &doctor.stdout] {
        assert!(
            text.contains("1 class folder(s), the network 2 classes")
                && text.contains("dataset.classes"),
            "{text}"
        );
    }
}

#[test]
fn folders_that_cannot_be_the_classes_are_refused_before_a_job_runs() {
    let dir = TestDir::new();
    picture(&dir, "images/dark/0.png", 0, 8);
    picture(&dir, "images/light/0.png", 1, 8);
    picture(&dir, "images/other/0.png", 1, 8);
    refused(
        &dir,
        FOLDER,
        &[
            "sweep.toml:10: model[0].classes",
            "3 class folders",
            "a folder is not a class",
        ],
    );
    dir.write("classes.txt", "dark\nlight\nother\n");
    let listed = format!("{FOLDER}\nclasses = \"classes.txt\"");
    refused(&dir, &listed, &["dataset.classes lists 3"]);
    dir.write("classes.txt", "Dark\nLight\n");
    refused(
        &dir,
        &listed,
        &["classes.txt", "\"dark\"", "in other upper and lower case"],
    );

    let numbered = TestDir::new();
    for number in 0..11 {
        picture(&numbered, &format!("images/{number}/0.png"), 0, 8);
    }
    refused(
        &numbered,
        FOLDER,
        &["images: its class folders are numbers", "0, 1, 10, 2"],
    );

    let splits = TestDir::new();
    for name in ["test/dark", "test/light", "train/dark", "train/light"] {
        picture(&splits, &format!("images/{name}/0.png"), 0, 8);
    }
    refused(&splits, FOLDER, &["they are not classes", "images/test"]);

    let flat = TestDir::new();
    picture(&flat, "images/0.png", 0, 8);
    refused(
        &flat,
        FOLDER,
        &["images: has no class folders", "`imagenet`"],
    );
}

fn named_labels(names: &[String; 4], labels: [&str; 4]) -> String {
    let lines = names.iter().zip(labels);
    let lines: Vec<String> = lines
        .map(|(name, label)| format!("{name} {label}\n"))
        .collect();
    lines.concat()
}

#[test]
fn labels_that_cannot_be_the_classes_are_refused_before_a_job_runs() {
    let dir = TestDir::new();
    let names = validation_set(&dir);
    let dataset = "format = \"imagenet\"\npath = \"val\"\nlabels = \"labels.txt\"";
    let named = |labels| named_labels(&names, labels);
    for (text, words) in [
        (named(["2", "1", "1", "2"]), ["sample 0 of ", "has label 2"]),
        (
            named(["a", "b", "c", "a"]),
            ["labels of ", "dataset.classes"],
        ),
        ("1\n2\n2\n1\n".to_owned(), ["labels.txt", "map_clsloc.txt"]),
        ("1\n0\n".to_owned(), ["labels.txt", "2 labels for 4 images"]),
        (format!("{} 1\n", names[0]), ["labels.txt", &names[1]]),
    ] {
        dir.write("labels.txt", text);
        refused(&dir, dataset, &words);
    }
    let shape = [2, 3, 8, 8];
    write_tensors(
        &dir.path("t.safetensors"),
        shape,
        &[0.0; 384],
        &[Class(1), Class(2)],
    )
    .unwrap();
    let tensors = "format = \"tensors\"\npath = \"t.safetensors\"";
    refused(&dir, tensors, &["sample 1 of ", "has label 2"]);
}

#[test]
fn photographs_of_several_sizes_are_refused_before_a_job_runs() {
    let dir = TestDir::new();
    picture(&dir, "images/dark/0.png", 0, 8);
    picture(&dir, "images/light/0.png", 1, 12);
    refused(
        &dir,
        FOLDER,
        &[
            "dark/0.png is 8 x 8",
            "light/0.png is 12 x 12",
            "dataset.crop",
        ],
    );
    let resized = format!("{FOLDER}\nresize = [8, 8]\ninterpolation = \"bicubic\"");
    assert_eq!(labels(&dir, &spec(&dir, &resized), "out").0, [0, 1]);
}
