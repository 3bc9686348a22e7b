//! Images under grid noise, as networks see them.

use ddrs_common::domain::{InvalidValue, Sigma};
use ddrs_common::grid::{Grid, Thresholds, thresholds};

use super::guide::{Guide, UNDECIDED};
use super::philox::LANES;
use super::source::{GROUP, PhaseKey};
use super::value::NoisyValue;

/// The values that are looked at together for one that is undecided.
const WATCHED: usize = 16;

/// Noise of one sigma on one grid.
pub struct GridSampler {
    sigma: Sigma,
    grid: Grid,
    guide: Guide,
}

/// The maps from whole steps to a network's inputs, one per value of an image: input = scale · step
/// + offset, in single precision, each operation rounded once.
pub struct ChannelMaps {
    /// 1 / (grid · standard deviation) per channel.
    pub scale: Vec<f32>,
    /// - mean / standard deviation per channel.
    pub offset: Vec<f32>,
}

impl ChannelMaps {
    /// Returns the maps of channels that are normalised by these means and standard deviations.
    #[must_use]
    pub fn new(grid: Grid, normalisation: &[(f64, f64)]) -> Self {
        let steps_per_unit = f64::from(grid.get());
        let channels = normalisation.iter();
        Self {
            scale: channels
                .clone()
                .map(|(_, std)| (1.0 / (steps_per_unit * std)) as f32)
                .collect(),
            offset: channels.map(|(mean, std)| (-mean / std) as f32).collect(),
        }
    }

    /// Repeats the maps of the channels for each pixel of an image of `values` values.
    #[must_use]
    pub fn repeated(&self, values: usize) -> Self {
        Self {
            scale: repeated(&self.scale, values),
            offset: repeated(&self.offset, values),
        }
    }
}

fn repeated(channels: &[f32], values: usize) -> Vec<f32> {
    channels.iter().copied().cycle().take(values).collect()
}

impl GridSampler {
    /// Prepares the table of a sigma.
    ///
    /// # Errors
    /// When sigma is too wide for the grid.
    pub fn new(sigma: Sigma, grid: Grid) -> Result<Self, InvalidValue> {
        Ok(Self {
            sigma,
            grid,
            guide: Guide::new(thresholds(sigma, grid)?),
        })
    }

    /// Returns true if this is the noise of this sigma on this grid.
    #[must_use]
    pub fn is_of(&self, sigma: Sigma, grid: Grid) -> bool {
        self.sigma == sigma && self.grid == grid
    }

    /// Returns the thresholds.
    #[must_use]
    pub fn thresholds(&self) -> &Thresholds {
        self.guide.thresholds()
    }

    /// Writes an image, given in steps, under the noise of one draw to `noisy`. The image, the
    /// result and the maps, one per value, have one length.
    pub fn add_noise<V: NoisyValue>(
        &self,
        key: PhaseKey,
        draw: u32,
        image: &[i32],
        maps: &ChannelMaps,
        noisy: &mut [V],
    ) {
        let places = maps.scale.chunks(GROUP).zip(maps.offset.chunks(GROUP));
        let groups = noisy.chunks_mut(GROUP).zip(image.chunks(GROUP)).zip(places);
        for (group, ((noisy, image), (scale, offset))) in (0..).zip(groups) {
            let noise = self.group(key, draw, group);
            write(noisy, &noise, image, scale, offset);
        }
    }

    /// Appends the noise alone of one draw, in steps.
    pub fn append(&self, key: PhaseKey, draw: u32, values: usize, noise: &mut Vec<i32>) {
        for (group, start) in (0..).zip((0..values).step_by(GROUP)) {
            let length = GROUP.min(values - start);
            noise.extend_from_slice(&self.group(key, draw, group)[..length]);
        }
    }

    /// Returns the noise of one group of values, in steps.
    fn group(&self, key: PhaseKey, draw: u32, group: u32) -> [i32; GROUP] {
        let mut words = [[0; LANES]; 4];
        key.fill(draw, group, &mut words);
        let mut steps = [0; GROUP];
        let words = flat(&words);
        self.guide.look_up(words, &mut steps);
        self.search_undecided(words, &mut steps, |place| key.tie(draw, group, place));
        steps
    }

    fn search_undecided(
        &self,
        words: &[u32; GROUP],
        steps: &mut [i32; GROUP],
        tie: impl Fn(usize) -> u32,
    ) {
        let watched = steps.chunks_exact_mut(WATCHED);
        for (start, steps) in (0..).step_by(WATCHED).zip(watched) {
            if count_undecided(steps) == 0 {
                continue;
            }
            for (place, step) in (start..).zip(steps) {
                if *step == UNDECIDED {
                    *step = self.guide.search(words[place], || tie(place));
                }
            }
        }
    }
}

/// Counts without a branch per value, so that the loop becomes vector instructions.
fn count_undecided(steps: &[i32]) -> u32 {
    steps.iter().map(|&step| u32::from(step == UNDECIDED)).sum()
}

fn flat(words: &[[u32; LANES]; 4]) -> &[u32; GROUP] {
    words.as_flattened().try_into().expect("four times LANES")
}

fn write<V: NoisyValue>(
    noisy: &mut [V],
    noise: &[i32; GROUP],
    image: &[i32],
    scale: &[f32],
    offset: &[f32],
) {
    let places = image.iter().zip(scale).zip(offset);
    for ((noisy, step), ((pixel, scale), offset)) in noisy.iter_mut().zip(noise).zip(places) {
        let sum = pixel.wrapping_add(*step);
        *noisy = V::round(sum as f32 * scale + offset);
    }
}
