//! A sample's certification depends on neither the number of threads nor the other samples of the
//! call, to the last bit.

use std::collections::BTreeMap;

use ddrs_common::domain::Certification;

use super::engine;
use super::fixture::ModelFixture;
use crate::engine::Engine;

const CERTIFY: &str = "[certify]\nn0 = 20\nn = 70\nalpha = 0.01\nchunk = 60\n";
const DATA_DEPENDENT: &str = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                              [smoothing.data-dependent]\n";

/// Certifies the samples in calls of `group` samples each.
fn in_groups(
    fixture: &ModelFixture,
    engine: &Engine,
    indices: &[u64],
    group: usize,
) -> BTreeMap<u64, Certification> {
    let groups = indices
        .chunks(group)
        .map(|group| group.iter().map(|&index| fixture.sample(index)).collect());
    groups
        .flat_map(|samples| fixture.certified(engine, samples))
        .collect()
}

/// Certifies five samples by several numbers of threads, in groups of several sizes and in several
/// orders. Returns their records, which must always be the same.
pub(super) fn check(fixture: &ModelFixture, group_sizes: &[usize]) -> BTreeMap<u64, Certification> {
    let reference = in_groups(fixture, &engine(1), &[0, 1, 2, 3, 4], 1);
    for threads in [1, 2, 3] {
        let engine = engine(threads);
        for &size in group_sizes {
            // In several orders, so that a sample is at every place of its group.
            for indices in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]] {
                let found = in_groups(fixture, &engine, &indices, size);
                assert_eq!(
                    found, reference,
                    "{threads} threads, {size} samples at once, in the order {indices:?}"
                );
            }
        }
    }
    reference
}

#[test]
fn counts_depend_on_neither_threads_nor_neighbours() {
    let fixture = ModelFixture::resnet(
        "cifar-resnet20",
        32,
        &format!("[smoothing]\nsigma = [0.5]\n{CERTIFY}"),
    );
    let records = check(&fixture, &[2, 5]);
    assert!(
        records
            .values()
            .any(|record| (1..70).contains(&record.count)),
        "noise decided nothing: {records:?}"
    );
}

/// Tries few draws and many: torch uses other convolutions from a batch of 16 on.
#[test]
fn chosen_sigmas_depend_on_neither_threads_nor_neighbours() {
    check_ascent(3, 4);
    check_ascent(9, 2);
}

fn check_ascent(draws: u32, iterations: u32) {
    let records = check_choice(
        &format!("iterations = {iterations}\ndraws = {draws}\nlearning-rate = 0.1\n"),
        5,
    );
    assert!(
        records.values().all(|record| record.sigma != record.sigma0),
        "{records:?}"
    );
}

/// Tries a ResNet in passes of 50 rows, of which the last is not full, and the half-space, whose
/// inputs find different sigmas.
#[test]
fn searched_sigmas_depend_on_neither_threads_nor_neighbours() {
    let method = "method = \"search\"\nrounds = 2\ndraws = 13\n";
    check_choice(method, 2);
    let settings = format!("{DATA_DEPENDENT}{method}{CERTIFY}");
    let fixture = ModelFixture::half_space(&[6.0, -3.0, 2.0, 1.0], -1.0, &settings);
    let records = check(&fixture, &[3, 5]);
    assert!(
        records
            .values()
            .any(|record| record.sigma != records[&0].sigma),
        "{records:?}"
    );
}

/// Checks five inputs, and that they have at least `distinct` different sigmas.
fn check_choice(method: &str, distinct: usize) -> BTreeMap<u64, Certification> {
    let settings = format!("{DATA_DEPENDENT}{method}{CERTIFY}");
    let fixture = ModelFixture::resnet("cifar-resnet20", 32, &settings);
    let records = check(&fixture, &[3, 5]);
    let mut sigmas: Vec<_> = records
        .values()
        .map(|record| record.sigma.get().to_bits())
        .collect();
    sigmas.sort_unstable();
    sigmas.dedup();
    assert!(
        sigmas.len() >= distinct,
        "too many inputs share a sigma: {records:?}"
    );
    assert!(records.values().all(|record| record.sigma0.get() == 0.25));
    records
}

#[test]
fn the_same_holds_for_a_network_of_larger_images() {
    let choice = "[smoothing]\nsigma = [0.25]\nchoice = [\"data-dependent\"]\n\
                  [smoothing.data-dependent]\niterations = 2\ndraws = 2\nlearning-rate = 0.1\n\
                  [certify]\nn0 = 10\nn = 20\nalpha = 0.01\nchunk = 12\n";
    let fixture = ModelFixture::resnet("resnet18", 64, choice);
    let reference = in_groups(&fixture, &engine(1), &[0, 1, 2], 1);
    assert_eq!(in_groups(&fixture, &engine(2), &[2, 0, 1], 3), reference);
}
