#![allow(clippy::unwrap_used)]
use statrs::distribution::{ContinuousCDF, Normal};

use super::*;

fn key(seed: u64, variant: &str, index: u64, phase: Phase, chunk: u64) -> ChunkKey {
    let variant = VariantName::new(variant);
    NoiseSource { seed, variant: &variant, index: SampleIndex(index) }.chunk(phase, chunk)
}

/// The noise alone of the first draws of a chunk.
fn noise(key: ChunkKey, draws: u64, values: usize) -> Vec<f32> {
    let mut noise = Vec::new();
    key.append(draws, values, &mut noise);
    noise
}

/// 8 million values: 2604 draws of 32 x 32 images.
fn many() -> Vec<f32> {
    noise(key(5, "v", 0, Phase::Estimate, 0), 2604, 3072)
}

#[test]
fn the_noise_of_a_chunk_never_changes() {
    let pinned = noise(key(1, "m/fixed/0.25", 7, Phase::Estimate, 3), 2, 3);
    assert_eq!(pinned, PINNED);
}

#[test]
fn every_cpu_makes_the_same_noise() {
    let key = key(1, "v", 2, Phase::Select, 3);
    for values in [1, 256, 1000, 3072] {
        let (mut plain, mut wide) = (vec![0.5; values], vec![0.5; values]);
        add_noise(&mut plain, 0.25, &key.0, 9);
        key.add(9, 0.25, &mut wide);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&plain), bits(&wide), "{values} values");
    }
}

#[test]
fn each_part_of_the_key_counts() {
    let noise = |seed, variant, index, phase, chunk| noise(key(seed, variant, index, phase, chunk), 2, 3);
    let reference = noise(1, "v", 2, Phase::Select, 3);
    let others = [
        noise(2, "v", 2, Phase::Select, 3),
        noise(1, "w", 2, Phase::Select, 3),
        noise(1, "v", 3, Phase::Select, 3),
        noise(1, "v", 2, Phase::Estimate, 3),
        noise(1, "v", 2, Phase::Sigma, 3),
        noise(1, "v", 2, Phase::Select, 2),
    ];
    for other in others {
        assert!(reference.iter().all(|value| !other.contains(value)), "{reference:?} {other:?}");
    }
}

#[test]
fn a_range_of_draws_is_part_of_the_whole() {
    let key = key(0, "v", 0, Phase::Estimate, 0);
    let pixels = [0.25, 0.5, 0.75];
    let noisy = |draws: [u64; 3]| key.noisy(draws.into_iter().map(|draw| (draw, 0.5)), &pixels);
    let whole: Vec<f32> = [[0, 1, 2], [3, 4, 5], [6, 7, 8]].into_iter().flat_map(noisy).collect();
    assert_eq!(whole[12..21], noisy([4, 5, 6]));
    for (place, (noisy, noise)) in whole.iter().zip(noise(key, 9, 3)).enumerate() {
        assert_eq!(*noisy, pixels[place % 3] + 0.5 * noise);
    }
}

#[test]
fn the_noise_has_the_moments_of_a_normal() {
    let values = many();
    let moment = |power: i32| values.iter().map(|&v| f64::from(v).powi(power)).sum::<f64>() / values.len() as f64;
    // Standard errors at 8 million values, of which five are allowed: sqrt of (E x^2p - (E x^p)^2) / 8e6.
    let cases = [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0), (5, 0.0, 945.0), (6, 15.0, 10_170.0)];
    for (power, expected, variance) in cases {
        let allowed = 5.0 * f64::sqrt(variance / values.len() as f64);
        assert!((moment(power) - expected).abs() < allowed, "moment {power}: {}", moment(power));
    }
}

#[test]
fn the_noise_has_the_distribution_of_a_normal() {
    let mut values = many();
    values.sort_unstable_by(f32::total_cmp);
    let (normal, n) = (Normal::standard(), values.len() as f64);
    let gap = |(place, &value): (usize, &f32)| {
        let exact = normal.cdf(f64::from(value));
        (exact - place as f64 / n).abs().max((exact - (place + 1) as f64 / n).abs())
    };
    let largest = values.iter().enumerate().map(gap).fold(0.0, f64::max);
    // Kolmogorov and Smirnov: beyond 1.95 / sqrt(n) once in a thousand times. Another normal, of a standard deviation
    // of 1.005, would be found out.
    assert!(largest < 1.95 / n.sqrt(), "{largest} at {n} values");
}

#[test]
fn the_tails_are_as_heavy_as_they_should_be() {
    let values = many();
    for limit in [2.0_f32, 3.0, 4.0, 5.0] {
        let expected = Normal::standard().cdf(-f64::from(limit)) * values.len() as f64;
        let allowed = 5.0 * expected.sqrt() + 3.0;
        for side in [1.0, -1.0] {
            let found = values.iter().filter(|&&value| side * value > limit).count() as f64;
            assert!((found - expected).abs() < allowed, "beyond {limit}: {found}, expected {expected}");
        }
    }
}

#[test]
fn values_do_not_follow_from_their_neighbours() {
    let values = many();
    // Neighbours, the other half of a pair, another word of the same block, the next group, the next row, the next draw.
    for lag in [1, 2, 3, 16, 64, 128, 256, 96, 3072] {
        let count = (values.len() - lag) as f64;
        let pairs = || values.iter().zip(&values[lag..]).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        let product = pairs().map(|(a, b)| a * b).sum::<f64>() / count;
        // Squares tell whether the lengths of pairs are related where the values are not.
        let squares = pairs().map(|(a, b)| (a * a - 1.0) * (b * b - 1.0)).sum::<f64>() / count;
        assert!(product.abs() < 5.0 / count.sqrt(), "lag {lag}: {product}");
        assert!(squares.abs() < 5.0 * 2.0 / count.sqrt(), "squares at lag {lag}: {squares}");
    }
}

// All records rest on these values: other ones need another "ddrs noise" number.
const PINNED: [f32; 6] = [-1.287_037, -0.447_344_12, 1.153_573_4, 1.258_283_3, 1.309_581, 0.189_341_8];
