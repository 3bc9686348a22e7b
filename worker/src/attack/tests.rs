#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use ddrs_common::attack::AttackSettings;
use ddrs_common::data::Image;
use ddrs_common::domain::{Class, Radius, SampleIndex, Sigma, VariantName};
use ddrs_common::grid::Grid;
use ddrs_common::spec::{self, ModelSpec};
use tch::Tensor;
use tempfile::TempDir;

use super::*;
use crate::engine::{Engine, EngineOptions, LoadedNetwork};

const SHAPE: [usize; 3] = [3, 8, 8];
const PIXELS: usize = 3 * 8 * 8;

/// A half-space on disk, whose smoothed classifier changes its class exactly at the plane.
struct HalfSpace {
    weight: Vec<f32>,
    model: ModelSpec,
    _dir: TempDir,
}

impl HalfSpace {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let weight: Vec<f32> = (0..PIXELS)
            .map(|i| ((i * 37 % 11) as f32 - 4.5) / 5.0)
            .collect();
        // The plane goes through the point of all 0.5.
        let bias = -0.5 * weight.iter().sum::<f32>();
        let path = dir.path().join("plane.safetensors");
        let tensors = [
            ("weight", Tensor::from_slice(&weight)),
            ("bias", Tensor::from_slice(&[bias])),
        ];
        Tensor::write_safetensors(&tensors, path).unwrap();
        Self {
            model: model(dir.path()),
            weight,
            _dir: dir,
        }
    }

    /// Returns (w·x + b) / |w| in double precision.
    fn distance(&self, image: &Image) -> f64 {
        let pairs = self.weight.iter().zip(&image.pixels);
        let dot: f64 = pairs
            .map(|(&w, &x)| f64::from(w) * (f64::from(x) - 0.5))
            .sum();
        let squares = self.weight.iter().map(|&w| f64::from(w).powi(2));
        dot / squares.sum::<f64>().sqrt()
    }
}

fn model(dir: &Path) -> ModelSpec {
    let text = "name = 's'\nseed = 1\n[dataset]\nformat = 'tensors'\npath = 'd'\n\
                [[model]]\nname = 'plane'\npath = 'plane.safetensors'\n\
                architecture = 'half-space'\nclasses = 2\n\
                [smoothing]\nsigma = [0.5]\n\
                [certify]\nn0 = 10\nn = 100\nalpha = 0.01\n";
    spec::parse(text, &dir.join("s.toml")).unwrap().models[0].clone()
}

/// An image on the grid, about 0.35 from the plane.
fn image(half_space: &HalfSpace) -> Image {
    let level = |&weight: &f32| (127.0 + 10.0 * weight).round();
    Image {
        shape: SHAPE,
        pixels: half_space.weight.iter().map(|w| level(w) / 255.0).collect(),
    }
}

/// Searches in a ball whose radius is a multiple of the true one. Returns the points found.
fn search(
    half_space: &HalfSpace,
    network: &LoadedNetwork,
    engine: &Engine,
    part: f64,
) -> GridPoint {
    let image = image(half_space);
    let distance = half_space.distance(&image);
    let search = PointSearch {
        engine,
        variant: &VariantName::new("plane/fixed/0.5"),
        settings: AttackSettings {
            steps: 20,
            starts: 2,
            draws: 16,
            seed: 2,
        },
        grid: Grid::BYTES,
        stop: &AtomicBool::new(false),
    };
    let target = SearchTarget {
        index: SampleIndex(0),
        radius: Radius::new(part * distance.abs()).unwrap(),
        image,
        surfaces: vec![Surface {
            network,
            sigma: Sigma::new(0.5).unwrap(),
            class: Class(u32::from(distance > 0.0)),
        }],
    };
    let mut found = search.find(&[target]).unwrap().unwrap();
    found.remove(0).remove(0)
}

fn engine() -> Engine {
    Engine::new(&EngineOptions {
        device: "cpu".to_owned(),
        threads: Some(1),
    })
    .unwrap()
}

#[test]
fn just_outside_the_true_radius_a_point_of_the_other_class_is_found_and_just_inside_none() {
    let half_space = HalfSpace::new();
    let engine = engine();
    let network = engine.load(&half_space.model, SHAPE).unwrap();
    let at_image = half_space.distance(&image(&half_space));
    assert!(at_image.abs() > 0.1, "{at_image}");
    for (part, is_found) in [(1.03, true), (1.5, true), (0.97, false)] {
        let point = search(&half_space, &network, &engine, part);
        let at_point = half_space.distance(&point.image);
        assert_eq!(at_point * at_image < 0.0, is_found, "{part}: {at_point}");
        assert!(point.distance.get() < part * at_image.abs());
    }
    // Inside, too, the point found is nearly the nearest to the plane.
    let point = search(&half_space, &network, &engine, 0.5);
    let left = half_space.distance(&point.image) / at_image;
    assert!((0.5..0.52).contains(&left), "{left}");
}

#[test]
fn a_search_that_was_stopped_finds_nothing() {
    let half_space = HalfSpace::new();
    let engine = engine();
    let network = engine.load(&half_space.model, SHAPE).unwrap();
    let search = PointSearch {
        engine: &engine,
        variant: &VariantName::new("plane/fixed/0.5"),
        settings: AttackSettings {
            steps: 20,
            starts: 1,
            draws: 4,
            seed: 2,
        },
        grid: Grid::BYTES,
        stop: &AtomicBool::new(true),
    };
    let target = SearchTarget {
        index: SampleIndex(0),
        radius: Radius::new(0.5).unwrap(),
        image: image(&half_space),
        surfaces: vec![Surface {
            network: &network,
            sigma: Sigma::new(0.5).unwrap(),
            class: Class(0),
        }],
    };
    assert!(search.find(&[target]).unwrap().is_none());
}
