#![allow(clippy::unwrap_used)]
//! Grid noise as a whole: the CPU's and the tensors' integers, their distribution, and their keys.

use ddrs_common::domain::{Phase, SampleIndex, Sigma, VariantName};
use ddrs_common::grid::{Grid, thresholds};
use sha2::{Digest, Sha256};
use tch::Device;

use super::guide::{Guide, UNDECIDED};
use super::philox::{self, LANES};
use super::*;

fn sigma(value: f64) -> Sigma {
    Sigma::new(value).unwrap()
}

fn sampler(value: f64) -> GridSampler {
    GridSampler::new(sigma(value), Grid::BYTES).unwrap()
}

fn key() -> PhaseKey {
    PhaseKey {
        key: [1, 2],
        phase: [3, 4],
    }
}

/// The key of a sample, with one part of its source changed.
fn changed(part: usize) -> PhaseKey {
    let is = |number| part == number;
    let variant = VariantName::new(if is(1) { "w" } else { "v" });
    let levels = [Sigma::new(0.5).unwrap()];
    let source = GridNoiseSource {
        seed: if is(2) { 8 } else { 7 },
        networks: if is(3) { &["b"] } else { &["a"] },
        levels: &levels[usize::from(!is(7))..],
        data: &if is(4) { [1; 32] } else { [0; 32] },
        variant: &variant,
        index: SampleIndex(is(5).into()),
    };
    source.phase(if is(6) {
        Phase::Select
    } else {
        Phase::Estimate
    })
}

#[test]
fn philox_gives_the_words_that_its_authors_publish() {
    // Random123, tests/kat_vectors: philox 4x32 with 10 rounds.
    let max = u32::MAX;
    let published = [
        (
            [0; 2],
            [0; 4],
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
        ),
        (
            [max; 2],
            [max; 4],
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
        ),
        (
            [0xa409_3822, 0x299f_31d0],
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ];
    for (key, counter, words) in published {
        assert_eq!(philox::words(key, counter), words);
        let mut filled = [[0; LANES]; 4];
        philox::fill(key, counter, &mut filled);
        assert_eq!(filled.map(|lanes| lanes[0]), words);
        let next = [
            counter[0].wrapping_add(9),
            counter[1],
            counter[2],
            counter[3],
        ];
        assert_eq!(filled.map(|lanes| lanes[9]), philox::words(key, next));
    }
}

#[test]
fn each_part_of_the_source_changes_all_of_the_noise() {
    let noise = |part| {
        let mut noise = Vec::new();
        sampler(1.0).append(changed(part), 0, 256, &mut noise);
        noise
    };
    let reference = noise(0);
    assert_eq!(changed(0), changed(0));
    for part in 1..=7 {
        let other = noise(part);
        let equal = reference.iter().zip(&other).filter(|(a, b)| a == b).count();
        // Two independent values are equal with probability 0.0011.
        assert!(equal < 6, "part {part}: {equal} of 256 values are equal");
    }
}

#[test]
fn draws_and_values_are_independent_of_each_other() {
    let sampler = sampler(0.5);
    let mut draws = vec![Vec::new(); 40];
    for (number, draw) in (0..).zip(&mut draws) {
        sampler.append(key(), number, 3_000, draw);
    }
    let correlation = |a: &[i32], b: &[i32]| {
        let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        products.sum::<f64>() / (a.len() as f64).sqrt() / 127.5f64.powi(2)
    };
    // Standard normal numbers: 780 pairs of draws, and lags within a draw.
    for (number, draw) in draws.iter().enumerate() {
        for other in &draws[..number] {
            let z = correlation(draw, other);
            assert!(z.abs() < 5.0, "draw {number}: {z}");
        }
        for lag in [1, 64, 128, 256] {
            let z = correlation(&draw[lag..], &draw[..draw.len() - lag]);
            assert!(z.abs() < 5.0, "lag {lag}: {z}");
        }
    }
}

/// Four million values of noise.
fn many(sampler: &GridSampler) -> Vec<i32> {
    let mut noise = Vec::new();
    for draw in 0..4_000 {
        sampler.append(key(), draw, 1_000, &mut noise);
    }
    noise
}

#[test]
fn every_threshold_is_passed_as_often_as_its_probability() {
    for value in [0.02, 0.12, 0.5, 2.0] {
        let sampler = sampler(value);
        let mut noise = many(&sampler);
        noise.sort_unstable();
        let reach = sampler.thresholds().reach() as i32;
        let n = noise.len() as f64;
        for (k, &threshold) in (-reach..).zip(sampler.thresholds().ascending()) {
            let p = threshold as f64 / 2f64.powi(64);
            let found = noise.partition_point(|&step| step <= k) as f64;
            let allowed = 5.5 * (n * p * (1.0 - p)).sqrt() + 1.0;
            assert!(
                (found - n * p).abs() < allowed,
                "sigma {value}, {k}: {found} of {}",
                n * p
            );
        }
    }
}

#[test]
fn moments_are_those_of_a_rounded_gaussian() {
    let steps = 0.25 * 255.0;
    let noise = many(&sampler(0.25));
    let moment = |power| {
        let sum: f64 = noise
            .iter()
            .map(|&step| (f64::from(step) / steps).powi(power))
            .sum();
        sum / noise.len() as f64
    };
    // Rounding adds a variance of 1/12 step. Five standard errors of four million values.
    let variance = 1.0 + 1.0 / 12.0 / steps / steps;
    for (power, exact, allowed) in [
        (1, 0.0, 0.0025),
        (2, variance, 0.0036),
        (3, 0.0, 0.0097),
        (4, 3.0 * variance * variance, 0.0246),
        (6, 15.0, 0.26),
    ] {
        let found = moment(power);
        assert!((found - exact).abs() < allowed, "moment {power}: {found}");
    }
}

#[test]
fn the_table_gives_what_the_exact_search_gives_out_to_the_furthest_tail() {
    for value in [0.004, 0.12, 0.25, 1.0, 2.0, 13.7] {
        let guide = Guide::new(thresholds(sigma(value), Grid::BYTES).unwrap());
        let around = guide.thresholds().ascending().iter().flat_map(|threshold| {
            let word = (threshold >> 32) as u32;
            [
                word.wrapping_sub(1),
                word,
                word.wrapping_add(1),
                word ^ 0x8000,
            ]
        });
        let words: Vec<u32> = around.chain([0, u32::MAX]).collect();
        let mut decided = 0;
        for word in words {
            let mut steps = [0];
            guide.look_up(&[word], &mut steps);
            if steps[0] != UNDECIDED {
                decided += 1;
                for tie in [0, u32::MAX] {
                    assert_eq!(guide.search(word, || tie), steps[0], "{value}: {word:x}");
                }
            }
        }
        assert!(decided > 0, "{value}");
    }
}

#[test]
fn few_numbers_need_the_exact_search() {
    for value in [0.12, 0.25, 0.5, 1.0, 2.0] {
        let guide = Guide::new(thresholds(sigma(value), Grid::BYTES).unwrap());
        let mut words = [[0; LANES]; 4];
        let mut undecided = 0;
        for draw in 0..1_000 {
            key().fill(draw, 0, &mut words);
            let mut steps = [0; 256];
            guide.look_up(words.as_flattened().try_into().unwrap(), &mut steps);
            undecided += steps.iter().filter(|&&step| step == UNDECIDED).count();
        }
        assert!(undecided < 256_000 / 100, "{value}: {undecided} of 256000");
    }
}

#[test]
fn a_tie_is_decided_by_the_last_bits() {
    let guide = Guide::new(thresholds(sigma(0.5), Grid::BYTES).unwrap());
    let ascending = guide.thresholds().ascending();
    for place in [700, 1186, 1600] {
        let threshold = ascending[place];
        let step = place as i32 - guide.thresholds().reach() as i32;
        let word = (threshold >> 32) as u32;
        let low = threshold as u32;
        assert_eq!(guide.search(word, || low), step + 1);
        assert_eq!(guide.search(word, || low - 1), step);
        // Other numbers do not need the last bits.
        let asked = || panic!("no tie");
        assert_eq!(guide.search(word + 1, asked), step + 1);
        assert_eq!(guide.search(word - 1, asked), step);
    }
}

/// Returns noise by tensor operations, on the CPU.
fn by_tensors(sampler: &GridSampler, key: PhaseKey, draws: u32, values: usize) -> Vec<i64> {
    let thresholds = DeviceThresholds::new(sampler.thresholds(), Device::Cpu).unwrap();
    let noise = thresholds.noise(key, 3..3 + draws, values).unwrap();
    assert_eq!(noise.size(), [i64::from(draws), values as i64]);
    Vec::try_from(noise.contiguous().view(-1)).unwrap()
}

#[test]
fn tensor_operations_give_the_same_integers() {
    for value in [0.004, 0.25, 2.0, 13.7] {
        for values in [1, 192, 256, 3_072, 5_000] {
            let sampler = sampler(value);
            let mut expected = Vec::new();
            for draw in 3..23 {
                sampler.append(changed(0), draw, values, &mut expected);
            }
            let expected: Vec<i64> = expected.into_iter().map(i64::from).collect();
            let found = by_tensors(&sampler, changed(0), 20, values);
            assert_eq!(found, expected, "sigma {value}, {values} values");
        }
    }
}

#[test]
fn ties_are_decided_alike_by_the_table_and_by_tensor_operations() {
    // Here are enough thresholds that 32 bits do not suffice for 15 values in a million.
    let sampler = sampler(13.7);
    let ascending = sampler.thresholds().ascending();
    let values = 256 * 256;
    let mut ties = 0;
    for draw in 3..23 {
        let mut expected = Vec::new();
        for group in 0..256 {
            let mut words = [[0; LANES]; 4];
            key().fill(draw, group, &mut words);
            for (place, &word) in words.as_flattened().iter().enumerate() {
                let high =
                    ascending.partition_point(|&threshold| threshold >> 32 < u64::from(word));
                ties += usize::from(
                    ascending
                        .get(high)
                        .is_some_and(|t| t >> 32 == u64::from(word)),
                );
                let number = u64::from(word) << 32 | u64::from(key().tie(draw, group, place));
                let count = ascending.partition_point(|&threshold| threshold <= number);
                expected.push(count as i32 - sampler.thresholds().reach() as i32);
            }
        }
        let mut found = Vec::new();
        sampler.append(key(), draw, values, &mut found);
        assert_eq!(found, expected);
        if draw == 3 {
            let expected: Vec<i64> = expected.into_iter().map(i64::from).collect();
            assert_eq!(by_tensors(&sampler, key(), 1, values), expected);
        }
    }
    assert!(ties > 5, "{ties} ties");
}

#[test]
fn noise_is_added_in_whole_steps_and_mapped_once() {
    let sampler = sampler(0.25);
    let image: Vec<i32> = (0..700).map(|value| value % 256).collect();
    let maps = ChannelMaps::new(Grid::BYTES, &[(0.5, 0.25), (0.0, 1.0)]).repeated(700);
    assert_eq!(
        maps.scale[..2],
        [(4.0 / 255.0) as f32, (1.0 / 255.0) as f32]
    );
    assert_eq!(maps.offset[..2], [-2.0, 0.0]);
    let mut noise = Vec::new();
    sampler.append(key(), 5, 700, &mut noise);
    let mut noisy = [0f32; 700];
    sampler.add_noise(key(), 5, &image, &maps, &mut noisy);
    let mut short = [[0u8; 2]; 700];
    sampler.add_noise(key(), 5, &image, &maps, &mut short);
    for place in 0..700 {
        let sum = image[place] + noise[place];
        let expected = sum as f32 * maps.scale[place] + maps.offset[place];
        assert_eq!(noisy[place], expected);
        assert_eq!(short[place], <[u8; 2]>::round(expected));
    }
}

#[test]
fn a_whole_image_of_noise_is_the_same_on_every_machine() {
    let mut noise = Vec::new();
    for value in [0.12, 0.5, 2.0] {
        sampler(value).append(changed(0), 7, 3 * 224 * 224, &mut noise);
    }
    let bytes: Vec<u8> = noise.into_iter().flat_map(i32::to_le_bytes).collect();
    assert_eq!(format!("{:x}", Sha256::digest(&bytes)), PINNED_DIGEST);
}

// All records depend on these integers. Others need another "ddrs noise" number.
const PINNED_DIGEST: &str = "91969244ffe87a9712250f0441ceba8b25ef4e5505cd1d0ccb1f393b8ceed2ca";
