//! `bench noise`: the time that a value of noise takes on one core, on a grid as certifying draws
//! it and in single precision as choosing sigma does, in turn.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use ddrs_common::domain::{Phase, SampleIndex, Sigma, VariantName};
use ddrs_common::grid::Grid;
use ddrs_common::output::print;
use ddrs_worker::noise::{ChannelMaps, GridNoiseSource, GridSampler, NoiseSource, NoisyValue};

const SIGMAS: [f64; 5] = [0.12, 0.25, 0.5, 1.0, 2.0];
/// The values of a CIFAR-10 image.
const VALUES: usize = 3_072;
/// Rounds of each kind of noise. The fastest counts, since other load only slows a round down.
const ROUNDS: u32 = 400;
/// Draws per round.
const DRAWS: u32 = 8;
const MEAN: f64 = 0.5;
const STD: f64 = 0.25;

/// Prints the nanoseconds per value of both kinds of noise and their ratio: per sigma, for inputs
/// in bf16 and in single precision.
///
/// # Errors
/// When nothing can be printed.
pub(super) fn bench_noise() -> Result<()> {
    for sigma in SIGMAS {
        let sigma = Sigma::new(sigma)?;
        let bench = NoiseBench::new(sigma)?;
        print(&bench.line::<[u8; 2]>(sigma, "bf16"))?;
        print(&bench.line::<f32>(sigma, "fp32"))?;
    }
    Ok(())
}

/// A white image, and what both kinds of noise need to add noise to it.
struct NoiseBench {
    sampler: GridSampler,
    maps: ChannelMaps,
    scale: Vec<f32>,
    table_micros: f64,
}

impl NoiseBench {
    fn new(sigma: Sigma) -> Result<Self> {
        let start = Instant::now();
        let sampler = GridSampler::new(sigma, Grid::BYTES)?;
        let table_micros = start.elapsed().as_secs_f64() * 1e6;
        Ok(Self {
            sampler,
            maps: ChannelMaps::new(Grid::BYTES, &[(MEAN, STD)]).repeated(VALUES),
            scale: vec![(sigma.get() / STD) as f32; VALUES],
            table_micros,
        })
    }

    fn line<V: NoisyValue>(&self, sigma: Sigma, precision: &str) -> String {
        let [mut grid, mut single] = [f64::INFINITY; 2];
        for round in 0..ROUNDS {
            grid = grid.min(nanos_per_value(|| self.draw_on_grid::<V>(round)));
            single = single.min(nanos_per_value(|| self.draw_single::<V>(round)));
        }
        format!(
            "noise, sigma {sigma}, {precision}: grid {grid:.2} ns per value, single precision \
             {single:.2}, ratio {:.2}; table {:.0} us\n",
            grid / single,
            self.table_micros
        )
    }

    fn draw_on_grid<V: NoisyValue>(&self, round: u32) {
        let variant = VariantName::new("bench");
        let source = GridNoiseSource {
            seed: 1,
            networks: &[],
            levels: &[],
            data: &[0; 32],
            variant: &variant,
            index: SampleIndex(u64::from(round)),
        };
        let key = source.phase(Phase::Estimate);
        let image = [255; VALUES];
        let mut noisy = [V::default(); VALUES];
        for draw in 0..DRAWS {
            self.sampler
                .add_noise(key, draw, &image, &self.maps, &mut noisy);
            black_box(&mut noisy);
        }
    }

    fn draw_single<V: NoisyValue>(&self, round: u32) {
        let variant = VariantName::new("bench");
        let source = NoiseSource {
            seed: 1,
            variant: &variant,
            index: SampleIndex(u64::from(round)),
        };
        let key = source.chunk(Phase::Sigma, 0);
        let image = [((1.0 - MEAN) / STD) as f32; VALUES];
        let mut noisy = [V::default(); VALUES];
        for draw in 0..DRAWS {
            key.add_noise(u64::from(draw), &image, &self.scale, &mut noisy);
            black_box(&mut noisy);
        }
    }
}

fn nanos_per_value(draw: impl FnOnce()) -> f64 {
    let start = Instant::now();
    draw();
    let values = f64::from(DRAWS) * VALUES as f64;
    start.elapsed().as_secs_f64() * 1e9 / values
}
