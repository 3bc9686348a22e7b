//! Variants whose level a network selects: records depend on neither threads, neighbours nor the
//! shape of passes, and the way in which a GPU works gives the same ones.

use ddrs_common::domain::{Certification, LevelSelection, Outcome};

use super::device_mode::{certified, records, shape};
use super::fixture::ModelFixture;
use super::reproducible::check;
use super::{engine, like_a_gpu};
use crate::engine::SampleResult;
use crate::engine::packing::Packing;

fn settings(form: &str, stopping: &str, selector: &str) -> String {
    format!(
        "[smoothing]\nsigma = [0.5]\nchoice = [\"selected\"]\n\
         [smoothing.selected]\ntau = 0.5\nform = \"{form}\"\n\
         levels = [{{ sigma = 0.25, model = \"m\" }}, {{ sigma = 0.6, model = \"m\" }}]\n\
         [smoothing.selected.selector]\nname = \"s\"\npath = \"s.safetensors\"\n\
         classes = 2\n{selector}\n\
         [certify]\nn0 = 12\nn = 130\nalpha = 0.05\nchunk = 60\nstopping = {stopping}\n"
    )
}

fn resnet(form: &str, stopping: &str) -> ModelFixture {
    let selector = "architecture = \"cifar-resnet20\"\n\
                    mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]";
    ModelFixture::selected_resnet(&settings(form, stopping, selector))
}

/// Two planes, neither of which any image is far from.
fn half_space(form: &str, stopping: &str) -> ModelFixture {
    let settings = settings(form, stopping, "architecture = \"half-space\"");
    let expert = [2.0, -1.0, -2.0, 1.0];
    let selector = [-1.0, 1.0, -1.0, 1.0];
    ModelFixture::selected_half_space(&expert, &selector, &settings)
}

fn selection(record: &Certification) -> &LevelSelection {
    record.level.as_deref().unwrap()
}

/// Requires that noise decided between the levels, and between the classes.
fn assert_noise_decides<'a>(records: impl Iterator<Item = &'a Certification>) {
    let records: Vec<_> = records.collect();
    let levels = |record: &Certification| selection(record).counts.iter().all(|&n| n > 0);
    let classes = |record: &Certification| (1..record.n).contains(&record.count);
    assert!(records.iter().any(|record| levels(record)), "{records:?}");
    assert!(records.iter().any(|record| classes(record)), "{records:?}");
}

#[test]
fn selected_levels_depend_on_neither_threads_nor_neighbours() {
    let fixture = resnet("strong", "\"fixed\"");
    assert_noise_decides(check(&fixture, &[2, 5]).values());
}

/// The half-spaces certify, so the strong form draws the other level as well.
#[test]
fn other_levels_depend_on_neither_threads_nor_neighbours_under_any_stopping_rule() {
    for (form, stopping) in [
        ("strong", "\"fixed\""),
        ("strong", "{ radii = [0.0, 0.1, 0.25] }"),
        ("strong", "{ loss = 0.1 }"),
        ("simple", "{ radii = [0.0, 0.1, 0.25] }"),
    ] {
        let records = check(&half_space(form, stopping), &[2, 5]);
        assert_noise_decides(records.values());
        let is_certified = |record: &&Certification| record.outcome != Outcome::Abstained;
        assert!(
            records.values().filter(is_certified).count() > 1,
            "{records:?}"
        );
        let draws_others = |record: &Certification| !selection(record).others.is_empty();
        assert_eq!(
            records.values().any(draws_others),
            form == "strong",
            "{records:?}"
        );
    }
}

#[test]
fn passes_of_any_shape_on_a_device_give_the_same_records_of_selected_levels() {
    for (form, stopping) in [("strong", "\"fixed\""), ("strong", "{ loss = 0.1 }")] {
        for fixture in [resnet(form, stopping), half_space(form, stopping)] {
            let in_place = Some(shape(60, Packing::InPlace));
            let reference = records(&fixture, &like_a_gpu(), in_place);
            assert!(reference.iter().all(Result::is_ok), "{reference:?}");
            for shape in [
                Some(shape(25, Packing::Anywhere)),
                Some(shape(120, Packing::Anywhere)),
                None,
            ] {
                let found: Vec<SampleResult> = records(&fixture, &like_a_gpu(), shape);
                assert_eq!(found, reference, "{form} {stopping}, {shape:?}");
            }
        }
    }
}

/// Half-spaces are computed alike in both ways, so the records are equal.
#[test]
fn a_device_counts_levels_and_classes_as_the_threads_do() {
    let fixture = half_space("strong", "{ radii = [0.0, 0.1, 0.25] }");
    let [device, host] = [like_a_gpu(), engine(2)].map(|engine| certified(&fixture, &engine));
    assert_eq!(device, host);
    let fixture = resnet("simple", "\"fixed\"");
    let [device, host] = [like_a_gpu(), engine(1)].map(|engine| certified(&fixture, &engine));
    for (device, host) in device.iter().zip(&host) {
        let counts = selection(device).counts.iter().zip(&selection(host).counts);
        let mut counts = counts.map(|(a, b)| a.abs_diff(*b));
        assert!(
            counts.all(|difference| difference <= 2),
            "{device:?} {host:?}"
        );
    }
}
