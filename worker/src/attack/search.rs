//! Several projected gradient ascents per input.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use ddrs_common::attack::AttackSettings;
use ddrs_common::data::Image;
use ddrs_common::domain::{Radius, SampleIndex, VariantName};
use ddrs_common::grid::Grid;
use ddrs_common::stats::argmax;
use tch::{TchError, Tensor};

use super::gradient::{AscentGoal, NoisyClassifier};
use super::grid::{GridPoint, farthest_inside};
use super::surface::Surface;
use crate::device::move_to;
use crate::engine::Engine;
use crate::failure::brief;
use crate::projected_ascent::{ImageBall, unit};

/// A search for points, with the settings that all inputs share.
pub struct PointSearch<'a> {
    /// The device and its threads.
    pub engine: &'a Engine,
    /// The variant, which the noise depends on.
    pub variant: &'a VariantName,
    /// The numbers of steps, starts and draws, and the seed.
    pub settings: AttackSettings,
    /// The grid of the pixels.
    pub grid: Grid,
    /// Ends the search early.
    pub stop: &'a AtomicBool,
}

/// An input, the ball to search, and the classifiers to mislead.
pub struct SearchTarget<'a> {
    /// Index in the dataset.
    pub index: SampleIndex,
    /// The input.
    pub image: Image,
    /// The radius of the ball.
    pub radius: Radius,
    /// The classifiers. One point is sought for each.
    pub surfaces: Vec<Surface<'a>>,
}

/// The number of draws that compare points, per draw of a step.
const DRAWS_PER_COMPARISON: u32 = 4;

/// The parts of the radius at which points are compared. The farthest is not always the best: in a
/// large ball, the offset itself may look like more noise.
const DISTANCES: [f64; 3] = [1.0, 0.5, 0.25];

/// The length of all steps together, in units of the radius (Madry et al. 2018).
const PATH: f64 = 2.5;

/// Pixels of noisy images whose gradients are computed at once. More would need more memory and
/// gain no speed on a CPU.
const PIXELS_AT_ONCE: usize = 64 * 32 * 32;

/// The reason why a search ends without points.
enum SearchEnd {
    Stopped,
    Torch(TchError),
}

impl From<TchError> for SearchEnd {
    fn from(error: TchError) -> Self {
        Self::Torch(error)
    }
}

impl PointSearch<'_> {
    /// Searches around each input. Returns, per input, the points of its surfaces, the most
    /// promising one of each, in the order of the surfaces; `None` if `stop` was set meanwhile.
    ///
    /// # Errors
    /// When the scores cannot be computed or have no gradient.
    pub fn find(&self, targets: &[SearchTarget]) -> Result<Option<Vec<Vec<GridPoint>>>> {
        let found = self.engine.map(targets, |target| self.around(target));
        let points: Result<Vec<_>, SearchEnd> = found.into_iter().collect();
        match points {
            Ok(points) => Ok(Some(points)),
            Err(SearchEnd::Stopped) => Ok(None),
            Err(SearchEnd::Torch(error)) => Err(brief(error)),
        }
    }

    /// Searches around one input.
    fn around(&self, target: &SearchTarget) -> Result<Vec<GridPoint>, SearchEnd> {
        let mut points = Vec::new();
        for (number, surface) in target.surfaces.iter().enumerate() {
            let noise_name = VariantName::new(format!("attack {number} on {}", self.variant));
            let search = SurfaceSearch {
                search: self,
                target,
                classifier: NoisyClassifier {
                    surface,
                    device: self.engine.torch_device(),
                    seed: self.settings.seed,
                    noise_name: &noise_name,
                    index: target.index,
                },
            };
            points.extend(search.best_point()?);
        }
        Ok(points)
    }
}

/// The search for a point that misleads one smoothed classifier.
struct SurfaceSearch<'a> {
    search: &'a PointSearch<'a>,
    target: &'a SearchTarget<'a>,
    classifier: NoisyClassifier<'a>,
}

/// One ascent: its goal, and the number of its starting point.
#[derive(Clone, Copy)]
struct Ascent {
    goal: AscentGoal,
    start: u32,
}

impl SurfaceSearch<'_> {
    /// Returns the point at which the class has the smallest lead over the others. `None` if no
    /// point of the grid is inside the ball.
    fn best_point(&self) -> Result<Option<GridPoint>, SearchEnd> {
        let mut best: Option<(f64, GridPoint)> = None;
        for ascents in self.ascents()?.chunks(self.ascents_at_once()) {
            for point in self.points(&self.ascend(ascents)?) {
                let lead = self.lead(&point.image)?;
                if best.as_ref().is_none_or(|(least, _)| lead < *least) {
                    best = Some((lead, point));
                }
            }
        }
        Ok(best.map(|(_, point)| point))
    }

    /// Returns the ascents in the order in which they are made.
    fn ascents(&self) -> Result<Vec<Ascent>, TchError> {
        let goals = self.goals()?;
        let starts = 0..self.search.settings.starts;
        let ascents =
            starts.flat_map(|start| goals.iter().map(move |&goal| Ascent { goal, start }));
        Ok(ascents.collect())
    }

    /// Returns the goals: away from the class, and toward the runner-up. Of two classes, these are
    /// the same.
    fn goals(&self) -> Result<Vec<AscentGoal>, TchError> {
        let mut goals = vec![AscentGoal::Away];
        if self.classifier.surface.network.classes() > 2 {
            let mut probabilities = self.probabilities(&self.target.image)?;
            probabilities[self.class()] = -1.0;
            goals.push(AscentGoal::Toward(argmax(&probabilities) as i64));
        }
        Ok(goals)
    }

    fn class(&self) -> usize {
        self.classifier.surface.class.0 as usize
    }

    fn ascents_at_once(&self) -> usize {
        let [_, height, width] = self.target.image.shape;
        let pixels = self.search.settings.draws as usize * height * width;
        (PIXELS_AT_ONCE / pixels.max(1)).max(1)
    }

    /// Makes several ascents at once. Returns the pixels of the point at the end of each, channel
    /// by channel.
    fn ascend(&self, ascents: &[Ascent]) -> Result<Vec<Vec<f32>>, SearchEnd> {
        let settings = self.search.settings;
        let images = self.tensor(&self.target.image)?;
        let images = images.f_repeat([ascents.len() as i64, 1, 1, 1])?;
        let ball = ImageBall {
            images: &images,
            radius: self.target.radius.get(),
        };
        let goals: Vec<AscentGoal> = ascents.iter().map(|ascent| ascent.goal).collect();
        let length = PATH * ball.radius / f64::from(settings.steps);
        let start = self.starting_points(&ball, ascents)?;
        let points = ball.ascend(start, settings.steps, length, |step, points| {
            self.gradients(step, points, &goals)
        })?;
        Ok(rows(&points)?)
    }

    fn gradients(
        &self,
        step: u32,
        points: &Tensor,
        goals: &[AscentGoal],
    ) -> Result<Tensor, SearchEnd> {
        self.check_stop()?;
        let draws = self.search.settings.draws;
        let classifier = &self.classifier;
        Ok(classifier.gradients(points, goals, draws, step.into())?)
    }

    fn check_stop(&self) -> Result<(), SearchEnd> {
        if self.search.stop.load(Ordering::Relaxed) {
            return Err(SearchEnd::Stopped);
        }
        Ok(())
    }

    /// Returns the starting point of each ascent: the image itself for the first, then random
    /// points of the sphere.
    fn starting_points(&self, ball: &ImageBall, ascents: &[Ascent]) -> Result<Tensor, TchError> {
        let image = self.tensor(&self.target.image)?;
        let mut starts = Vec::new();
        for ascent in ascents {
            starts.push(match ascent.start {
                0 => image.shallow_clone(),
                number => image.f_add(&self.direction(number)?.f_mul_scalar(ball.radius)?)?,
            });
        }
        ball.limit(&Tensor::f_cat(&starts, 0)?)
    }

    /// Returns a random direction for a starting point.
    fn direction(&self, number: u32) -> Result<Tensor, TchError> {
        unit(&self.classifier.noise(1, self.chunk_after_steps(number))?)
    }

    /// Returns the number of a chunk of noise that no step uses.
    fn chunk_after_steps(&self, number: u32) -> u64 {
        u64::from(self.search.settings.steps) + u64::from(number)
    }

    /// Returns points of the grid in the direction of each of some points, at several distances.
    fn points(&self, moved: &[Vec<f32>]) -> Vec<GridPoint> {
        let pairs = moved
            .iter()
            .flat_map(|moved| DISTANCES.map(|part| (moved, part)));
        pairs
            .filter_map(|(moved, part)| self.round(moved, part))
            .collect()
    }

    fn round(&self, moved: &[f32], part: f64) -> Option<GridPoint> {
        let SearchTarget { image, radius, .. } = self.target;
        let limit = Radius::new(radius.get() * part).ok()?;
        farthest_inside(self.search.grid, image, moved, limit)
    }

    /// Returns the lead of the class over the next one.
    fn lead(&self, image: &Image) -> Result<f64, TchError> {
        let mut probabilities = self.probabilities(image)?;
        let own = std::mem::replace(&mut probabilities[self.class()], -1.0);
        Ok(own - probabilities[argmax(&probabilities)])
    }

    /// Returns the probabilities at an image, with more draws than a step has. All points share
    /// them.
    fn probabilities(&self, image: &Image) -> Result<Vec<f64>, TchError> {
        let settings = self.search.settings;
        let draws = settings.draws * DRAWS_PER_COMPARISON;
        let point = self.tensor(image)?;
        let chunk = self.chunk_after_steps(0);
        let mut rows = self.classifier.probabilities(&point, draws, chunk)?;
        Ok(rows.remove(0))
    }

    /// Returns an image as a batch of one, in channels-last order.
    fn tensor(&self, image: &Image) -> Result<Tensor, TchError> {
        let shape = image.shape.map(|side| side as i64);
        let tensor = Tensor::f_from_slice(&image.pixels)?
            .f_view([1, shape[0], shape[1], shape[2]])?
            .f_permute([0, 2, 3, 1])?
            .f_contiguous()?;
        move_to(self.classifier.device, tensor)?.f_permute([0, 3, 1, 2])
    }
}

/// Returns the values of each image of a batch, channel by channel.
fn rows(images: &Tensor) -> Result<Vec<Vec<f32>>, TchError> {
    let count = images.size()[0];
    Vec::try_from(images.f_contiguous()?.f_view([count, -1])?)
}
