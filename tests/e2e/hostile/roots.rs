//! Tests that `--root` limits the files that workers open.

use std::fs;
use std::os::unix::fs::symlink;

use ddrs_tests::{HalfSpaceSweep, TestDir};

use super::{PrivateQueue, pictures};

/// Writes a sweep whose image folder has a link to a picture outside the folder.
fn linked(dir: &TestDir) {
    let _ = pictures(dir, "");
    for name in ["elsewhere/secret.png", "images/a/0.png", "images/b/0.png"] {
        image::RgbImage::new(8, 8)
            .save(dir.write(name, ""))
            .unwrap();
    }
    symlink(dir.path("elsewhere/secret.png"), dir.path("images/a/1.png")).unwrap();
}

#[test]
fn a_link_in_the_data_does_not_lead_out_of_the_root() {
    let dir = TestDir::new();
    linked(&dir);
    let queue = PrivateQueue::start(&dir);
    let _ = queue.ask(&dir, &["submit", "sweep.toml"]).expect(0);
    let ended = queue
        .work(&dir, &["--root", "images", "--root", "model.safetensors"])
        .expect(2);
    assert!(
        ended.stderr.contains("images/a/1.png")
            && ended.stderr.contains("elsewhere/secret.png is outside")
    );
    let _ = queue
        .work(
            &dir,
            &[
                &["--root", "images", "--root", "model.safetensors"][..],
                &["--root", "elsewhere"],
            ]
            .concat(),
        )
        .expect(0);
    queue.stop();
}

#[test]
fn a_run_without_a_root_follows_the_links_in_its_data() {
    let dir = TestDir::new();
    linked(&dir);
    let _ = dir.run(&dir.path("sweep.toml"), "out", 1).expect(0);
    assert_eq!(dir.records("out").len(), 3);
}

#[test]
fn data_and_models_outside_the_root_are_refused_for_every_form_of_path() {
    let dir = TestDir::new();
    let queue = PrivateQueue::start(&dir);
    let _ = dir.half_space(&HalfSpaceSweep::default());
    fs::create_dir_all(dir.path("root/inner")).unwrap();
    for (from, to) in [("inputs", "root/inputs"), ("model", "root/model")] {
        symlink(
            dir.path(&format!("{from}.safetensors")),
            dir.path(&format!("{to}.safetensors")),
        )
        .unwrap();
    }
    let text = fs::read_to_string(dir.path("sweep.toml")).unwrap();
    let inside = "root/inner/data.safetensors";
    let outside = "root/inner/../../inputs.safetensors";
    fs::copy(dir.path("inputs.safetensors"), dir.path(inside)).unwrap();
    fs::copy(
        dir.path("model.safetensors"),
        dir.path("root/inner/model.safetensors"),
    )
    .unwrap();
    let model = "root/inner/model.safetensors";
    for (number, (inputs, model, named)) in [
        (
            "root/inputs.safetensors",
            model,
            "inputs.safetensors is outside",
        ),
        (outside, model, "inputs.safetensors is outside"),
        (
            inside,
            "root/model.safetensors",
            "model.safetensors is outside",
        ),
        (inside, "/proc/self/exe.safetensors", "exe.safetensors"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = text
            .replace("inputs.safetensors", inputs)
            .replace("\"model.safetensors\"", &format!("{model:?}"));
        let text = text.replace("seed = 1", &format!("seed = {number}"));
        dir.write("hostile.toml", text);
        let submitted = queue.ask(&dir, &["submit", "hostile.toml"]);
        if submitted.code != 0 {
            assert!(submitted.stderr.contains(named), "{}", submitted.stderr);
            continue;
        }
        let ended = queue
            .work(
                &dir,
                &["--root", "root", "--sweep", submitted.stdout.trim()],
            )
            .expect(2);
        assert!(ended.stderr.contains(named), "{}", ended.stderr);
    }
    queue.stop();
}
