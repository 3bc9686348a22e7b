//! Simulates the savings of stopping rules on the samples of real certification logs: `cargo run
//! --release -p ddrs-common --example stopping -- LOG=SIGMA...`
//!
//! A log's radius and sigma give the count that its sample had among the log's n = 100,000 draws at
//! alpha = 0.001, and that count its probability. The log gives no probability for an abstention;
//! abstentions get probabilities spread evenly over \[0, 1/2\]. Every sample is then certified by
//! the fixed rule and by the others on the same draws.
#![allow(clippy::unwrap_used, missing_docs)]

use std::num::NonZeroU64;

use ddrs_common::certify::{Certificate, Certifier, CertifierStep};
use ddrs_common::domain::{Alpha, Outcome, Phase, Radii, Radius, Sigma};
use ddrs_common::grid::GridLoss;
use ddrs_common::spec::{CertifySpec, Stopping};
use ddrs_common::stats;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

const N: u64 = 100_000;
const CHUNK: u64 = 500;
/// The number of samples of a log, evenly spaced, that are simulated.
const SAMPLES: usize = 1000;

struct LogSample {
    sigma: Sigma,
    p: f64,
}

fn main() {
    let grid: Radii = "0:5:0.25".parse().unwrap();
    println!(
        "{:<46} {:<12} {:>8} {:>8} {:>10} {:>8}",
        "log", "rule", "samples", "draws", "decisions", "radius"
    );
    for argument in std::env::args().skip(1) {
        let (path, sigma) = argument.rsplit_once('=').expect("LOG=SIGMA");
        let samples = read(path, sigma.parse().expect("a sigma"));
        compare(path.rsplit('/').next().unwrap_or(path), &samples, &grid);
    }
}

/// Prints a row for each rule.
fn compare(log: &str, samples: &[LogSample], grid: &Radii) {
    let fixed = simulate(samples, &Stopping::Fixed);
    for rule in [
        Stopping::Fixed,
        Stopping::Radii(grid.clone()),
        Stopping::Loss(0.01),
        Stopping::Loss(0.05),
    ] {
        let found = simulate(samples, &rule);
        let all = samples.len() as f64;
        let drawn: u64 = found.iter().map(|certificate| certificate.n).sum();
        let radius: f64 = found.iter().map(length).sum();
        let equal = found
            .iter()
            .zip(&fixed)
            .filter(|(a, b)| decided(a, grid) == decided(b, grid))
            .count();
        println!(
            "{log:<46} {:<12} {:>8} {:>8.3} {:>10.4} {:>8.4}",
            name(&rule),
            samples.len(),
            drawn as f64 / (N as f64 * all),
            equal as f64 / all,
            radius / all,
        );
    }
}

fn name(rule: &Stopping) -> String {
    match rule {
        Stopping::Fixed => "fixed".to_owned(),
        Stopping::Radii(_) => "radii".to_owned(),
        Stopping::Loss(loss) => format!("loss {loss}"),
    }
}

fn length(certificate: &Certificate) -> f64 {
    match certificate.outcome {
        Outcome::Certified { radius, .. } => radius.get(),
        Outcome::Abstained => 0.0,
    }
}

/// The number of radii of the grid that a certificate certifies.
fn decided(certificate: &Certificate, grid: &Radii) -> usize {
    match certificate.outcome {
        Outcome::Certified { radius, .. } => grid.iter().filter(|&at| at <= radius).count(),
        Outcome::Abstained => 0,
    }
}

/// Reads evenly spaced samples of a log. `sigma` is used for logs without a column of sigmas.
fn read(path: &str, sigma: f64) -> Vec<LogSample> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut rows = text.lines().map(|line| line.trim().split('\t').collect());
    let header: Vec<&str> = rows.next().expect("a header");
    let columns = LogColumns::find(&header, sigma);
    let rows: Vec<Vec<&str>> = rows.filter(|row| row.len() == header.len()).collect();
    let rows: Vec<&Vec<&str>> = rows.iter().step_by(rows.len().div_ceil(SAMPLES)).collect();
    let abstentions = rows.iter().filter(|row| columns.abstained(row)).count();
    let mut seen = 0.0;
    rows.iter()
        .map(|row| {
            let sigma = columns.sigma(row);
            let p = if columns.abstained(row) {
                seen += 1.0;
                0.5 * (seen - 0.5) / abstentions as f64
            } else {
                probability(sigma, columns.radius(row))
            };
            LogSample { sigma, p }
        })
        .collect()
}

/// The places of columns in a log.
struct LogColumns {
    predict: usize,
    radius: usize,
    sigma: Option<usize>,
    /// The sigma of a log without a column of sigmas.
    default: f64,
}

impl LogColumns {
    fn find(header: &[&str], default: f64) -> Self {
        let place = |name: &str| header.iter().position(|&known| known == name);
        Self {
            predict: place("predict").expect("predict"),
            radius: place("radius").expect("radius"),
            sigma: place("best_sigma").or(place("sigma")),
            default,
        }
    }

    fn abstained(&self, row: &[&str]) -> bool {
        row[self.predict].starts_with('-')
    }

    fn radius(&self, row: &[&str]) -> f64 {
        row[self.radius].parse().expect("a radius")
    }

    fn sigma(&self, row: &[&str]) -> Sigma {
        let sigma = self.sigma.map(|place| row[place].parse().expect("a sigma"));
        Sigma::new(sigma.unwrap_or(self.default)).unwrap()
    }
}

/// The mean of the posterior probability after the least count whose certificate has the radius.
fn probability(sigma: Sigma, radius: f64) -> f64 {
    let alpha = Alpha::new(0.001).unwrap();
    let bound = stats::probability_at(sigma, Radius::new(radius).unwrap());
    let count = stats::least_count(N, bound, alpha).unwrap_or(N);
    (count as f64 + 0.5) / (N as f64 + 1.0)
}

/// Certifies the samples, with the same draws for every rule.
fn simulate(samples: &[LogSample], rule: &Stopping) -> Vec<Certificate> {
    let positive = |count| NonZeroU64::new(count).unwrap();
    let spec = CertifySpec {
        n0: positive(100),
        n: positive(N),
        alpha: Alpha::new(0.001).unwrap(),
        chunk: positive(CHUNK),
        memory: false,
        stopping: rule.clone(),
        bound: ddrs_common::spec::BoundRule::OneClass,
    };
    let seeded = (0..).zip(samples);
    seeded
        .map(|(seed, sample)| certify(&spec, seed, sample))
        .collect()
}

/// Certifies one sample. Its draws are made one by one, separately for each phase.
fn certify(spec: &CertifySpec, seed: u64, sample: &LogSample) -> Certificate {
    let mut certifier = Certifier::new(spec, sample.sigma, GridLoss::NONE);
    let mut select = Xoshiro256PlusPlus::seed_from_u64(2 * seed);
    let mut estimate = Xoshiro256PlusPlus::seed_from_u64(2 * seed + 1);
    loop {
        match certifier.next() {
            CertifierStep::Draw { phase, n, .. } => {
                let noise = if phase == Phase::Select {
                    &mut select
                } else {
                    &mut estimate
                };
                let count = (0..n).filter(|_| noise.random_bool(sample.p)).count() as u64;
                certifier.observe(&counts(phase, n, count)).unwrap();
            }
            CertifierStep::Done(certificate) => return certificate,
        }
    }
}

/// The counts of this class and of two others. The draws of other classes never change the guess,
/// and count together for the bound.
fn counts(phase: Phase, n: u64, count: u64) -> [u64; 3] {
    let others = if phase == Phase::Select {
        (n - count).min(count.saturating_sub(1))
    } else {
        n - count
    };
    [count, others, n - count - others]
}
