//! What stopping rules save, simulated on the samples of real certification logs: `cargo run
//! --release -p ddrs-common --example stopping -- LOG=SIGMA...`
//!
//! A log's radius and sigma give the count that its sample had among the log's n = 100,000 draws at
//! alpha = 0.001, and that count its probability. Of abstentions the log tells nothing; they get
//! probabilities spread evenly over \[0, 1/2\]. Every sample is then certified by the fixed rule
//! and by the others on the same draws.
#![allow(clippy::unwrap_used, missing_docs)]

use std::num::NonZeroU64;

use ddrs_common::certify::{Certificate, Certifier, CertifierStep};
use ddrs_common::domain::{Alpha, Outcome, Phase, Radii, Radius, Sigma};
use ddrs_common::spec::{CertifySpec, Stopping};
use ddrs_common::stats;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

const N: u64 = 100_000;
const CHUNK: u64 = 500;
/// Samples of a log, evenly spaced, that are simulated.
const SAMPLES: usize = 1000;

struct Sample {
    sigma: Sigma,
    p: f64,
}

fn main() {
    let grid: Radii = "0:5:0.25".parse().unwrap();
    let rules = [
        Stopping::Fixed,
        Stopping::Radii(grid.clone()),
        Stopping::Loss(0.01),
        Stopping::Loss(0.05),
    ];
    println!(
        "{:<46} {:<12} {:>8} {:>8} {:>10} {:>8}",
        "log", "rule", "samples", "draws", "decisions", "radius"
    );
    for argument in std::env::args().skip(1) {
        let (path, sigma) = argument.rsplit_once('=').expect("LOG=SIGMA");
        let samples = read(path, sigma.parse().expect("a sigma"));
        let results: Vec<Vec<Certificate>> =
            rules.iter().map(|rule| simulate(&samples, rule)).collect();
        for (rule, certificates) in rules.iter().zip(&results) {
            let name = path.rsplit('/').next().unwrap_or(path);
            let (drawn, radius): (u64, f64) =
                certificates.iter().fold((0, 0.0), |sum, certificate| {
                    (sum.0 + certificate.n, sum.1 + length(certificate))
                });
            let equal = certificates
                .iter()
                .zip(&results[0])
                .filter(|(a, b)| decided(a, &grid) == decided(b, &grid));
            println!(
                "{name:<46} {:<12} {:>8} {:>8.3} {:>10.4} {:>8.4}",
                match rule {
                    Stopping::Radii(_) => "radii".to_owned(),
                    Stopping::Fixed => "fixed".to_owned(),
                    Stopping::Loss(loss) => format!("loss {loss}"),
                },
                samples.len(),
                drawn as f64 / (N * samples.len() as u64) as f64,
                equal.count() as f64 / samples.len() as f64,
                radius / samples.len() as f64,
            );
        }
    }
}

fn length(certificate: &Certificate) -> f64 {
    match certificate.outcome {
        Outcome::Certified { radius, .. } => radius.get(),
        Outcome::Abstained => 0.0,
    }
}

/// How many radii of the grid a certificate certifies.
fn decided(certificate: &Certificate, grid: &Radii) -> usize {
    match certificate.outcome {
        Outcome::Certified { radius, .. } => grid.iter().filter(|&at| at <= radius).count(),
        Outcome::Abstained => 0,
    }
}

fn read(path: &str, sigma: f64) -> Vec<Sample> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut rows = text
        .lines()
        .map(|line| line.trim().split('\t').collect::<Vec<_>>());
    let header = rows.next().expect("a header");
    let column = |name: &str| header.iter().position(|&known| known == name);
    let (predict, radius) = (
        column("predict").expect("predict"),
        column("radius").expect("radius"),
    );
    let own = column("best_sigma").or(column("sigma"));
    let rows: Vec<Vec<&str>> = rows.filter(|row| row.len() == header.len()).collect();
    let rows: Vec<&Vec<&str>> = rows.iter().step_by(rows.len().div_ceil(SAMPLES)).collect();
    let abstained = rows
        .iter()
        .filter(|row| row[predict].starts_with('-'))
        .count() as f64;
    let mut seen = 0.0;
    let sample = |row: &&Vec<&str>| {
        let sigma = own.map_or(sigma, |own| row[own].parse().expect("a sigma"));
        let sigma = Sigma::new(sigma).unwrap();
        if row[predict].starts_with('-') {
            seen += 1.0;
            return Sample {
                sigma,
                p: 0.5 * (seen - 0.5) / abstained,
            };
        }
        Sample {
            sigma,
            p: probability(sigma, row[radius].parse().expect("a radius")),
        }
    };
    rows.iter().map(sample).collect()
}

/// The probability, in the mean of its posterior, after the least count whose certificate has the
/// radius.
fn probability(sigma: Sigma, radius: f64) -> f64 {
    let alpha = Alpha::new(0.001).unwrap();
    let bound = stats::probability_at(sigma, Radius::new(radius).unwrap());
    let count = stats::least_count(N, bound, alpha).unwrap_or(N);
    (count as f64 + 0.5) / (N as f64 + 1.0)
}

/// The same draws for every rule: sample by sample and phase by phase, drawn one by one.
fn simulate(samples: &[Sample], rule: &Stopping) -> Vec<Certificate> {
    let [n0, n, chunk] = [100, N, CHUNK].map(|count| NonZeroU64::new(count).unwrap());
    let spec = CertifySpec {
        n0,
        n,
        alpha: Alpha::new(0.001).unwrap(),
        chunk,
        memory: false,
        stopping: rule.clone(),
    };
    let one = |(seed, sample): (u64, &Sample)| {
        let mut certifier = Certifier::new(&spec, sample.sigma);
        let phase_noise = |phase: u64| Xoshiro256PlusPlus::seed_from_u64(2 * seed + phase);
        let (mut select, mut estimate) = (phase_noise(0), phase_noise(1));
        loop {
            match certifier.next() {
                CertifierStep::Draw { phase, n, .. } => {
                    let noise = if phase == Phase::Select {
                        &mut select
                    } else {
                        &mut estimate
                    };
                    let count = (0..n).filter(|_| noise.random_bool(sample.p)).count() as u64;
                    // Whatever is not this class is another one for the guess, and all others for
                    // the bound.
                    let others = if phase == Phase::Select {
                        (n - count).min(count.saturating_sub(1))
                    } else {
                        n - count
                    };
                    let rest = n - count - others;
                    certifier.observe(&[count, others, rest]).unwrap();
                }
                CertifierStep::Done(certificate) => return certificate,
            }
        }
    };
    (0..).zip(samples).map(one).collect()
}
