//! The seed and the grid of a prepared sweep.
#![allow(clippy::unwrap_used)]

use std::fs;

use ddrs_common::data::write_tensors;
use ddrs_common::domain::Class;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use tempfile::TempDir;

use super::*;

/// A byte as readers of images write it, in single precision.
fn byte(value: u8) -> f32 {
    f32::from(value) / 255.0
}

/// Two images of two values: the second is not of bytes.
const PIXELS: [f32; 4] = [0.0, 1.0, 0.3, 0.7123];

/// Prepares a sweep of two images, with these keys of the dataset and this table of smoothing.
fn prepared(pixels: [f32; 4], dataset: &str, smoothing: &str) -> Result<Prepared> {
    let folder = tempfile::tempdir().unwrap();
    prepare(&specification(&folder, pixels, dataset, smoothing), None)
}

fn specification(folder: &TempDir, pixels: [f32; 4], dataset: &str, smoothing: &str) -> PathBuf {
    let data = folder.path().join("d.safetensors");
    write_tensors(&data, [2, 1, 1, 2], &pixels, &[Class(0), Class(1)]).unwrap();
    write_half_space(&folder.path().join("m.safetensors"));
    let file = folder.path().join("s.toml");
    let text = format!(
        "name = 's'\n[dataset]\nformat = 'tensors'\npath = 'd.safetensors'\n{dataset}\n\
         [[model]]\nname = 'm'\npath = 'm.safetensors'\nclasses = 2\n\
         architecture = 'half-space'\n\
         [smoothing]\n{smoothing}\n[certify]\nn0 = 10\nn = 100\nalpha = 0.01\n"
    );
    fs::write(&file, text).unwrap();
    file
}

/// A linear classifier of two values.
fn write_half_space(path: &Path) {
    let zeros = [0; 8];
    let tensor = |size: usize| TensorView::new(Dtype::F32, vec![size], &zeros[..4 * size]).unwrap();
    serialize_to_file([("weight", tensor(2)), ("bias", tensor(1))], None, path).unwrap();
}

fn grid(pixels: [f32; 4], dataset: &str, smoothing: &str) -> u32 {
    let prepared = prepared(pixels, dataset, smoothing).unwrap();
    prepared.message.images.unwrap().grid.get()
}

#[test]
fn tensors_whose_selected_images_are_of_bytes_have_the_grid_of_bytes() {
    let bytes = [byte(0), byte(77), byte(254), byte(255)];
    assert_eq!(grid(bytes, "", "sigma = [0.5]"), 255);
    assert_eq!(grid(PIXELS, "limit = 1", "sigma = [0.5]"), 255);
    let next = [byte(77).next_up(), byte(0), byte(0), byte(0)];
    assert_eq!(grid(next, "", "sigma = [0.5]"), 4096);
}

#[test]
fn other_tensors_have_the_finest_grid_that_fits_the_widest_sigma_or_the_one_that_is_named() {
    assert_eq!(grid(PIXELS, "", "sigma = [0.25, 0.5]"), 4096);
    let chosen = "sigma = [0.5]\nchoice = ['data-dependent']\n\
                  [smoothing.data-dependent]\nrange = [0.1, 2.0]";
    assert_eq!(grid(PIXELS, "", chosen), 1024);
    assert_eq!(grid(PIXELS, "grid = 100", "sigma = [0.5]"), 100);
}

#[test]
fn a_grid_that_is_too_fine_for_sigma_is_refused_at_its_key() {
    let error = prepared(PIXELS, "grid = 65535", "sigma = [0.5]").unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("s.toml") && error.contains("dataset.grid"),
        "{error}"
    );
}

#[test]
fn a_seed_is_drawn_unless_a_run_holds_one_and_is_written_into_the_specification() {
    let folder = tempfile::tempdir().unwrap();
    let file = specification(&folder, PIXELS, "", "sigma = [0.5]");
    let seed = |held| {
        let prepared = prepare(&file, held).unwrap();
        let written = prepared.message.sweep().unwrap().seed;
        assert_eq!(prepared.sweep.seed, written);
        written
    };
    assert_ne!(seed(None), seed(None));
    assert_eq!(seed(Some(7)), 7);
}
