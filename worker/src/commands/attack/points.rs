//! The attack on some certificates of one variant.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use ddrs_common::attack::{AttackOutcome, AttackRecord, AttackTarget};
use ddrs_common::domain::{Record, SampleIndex};
use ddrs_common::spec::{Sweep, Variant};
use ddrs_worker::attack::{GridPoint, PointSearch, SearchTarget};
use ddrs_worker::engine::{Engine, LoadedNetwork, Sample, SampleResult, SweepPart};
use tracing::warn;

use super::select::AttackPlan;
use super::surfaces::surfaces;

/// Everything that the attack on a variant needs.
pub(super) struct VariantAttack<'a> {
    pub(super) plan: &'a AttackPlan,
    pub(super) engine: &'a Engine,
    /// The networks of the variant, in the order of [`Sweep::networks_of`].
    pub(super) networks: &'a [&'a LoadedNetwork],
    pub(super) variant: &'a Variant,
    pub(super) stop: &'a AtomicBool,
}

/// A certificate, the points to try, and the strongest result so far.
struct TargetState {
    target: AttackTarget,
    /// The most promising point comes last.
    points: Vec<GridPoint>,
    strongest: Option<AttackRecord>,
}

/// The result of certifying a point.
struct PointResult {
    result: SampleResult,
    seconds: f64,
}

impl VariantAttack<'_> {
    /// Attacks some certificates. Those that no point could be certified for are left out, with a
    /// warning; so are all if the attack was stopped.
    ///
    /// # Errors
    /// When an image cannot be read, or scores cannot be computed.
    pub(super) fn attack(&self, targets: &[AttackTarget]) -> Result<Vec<AttackRecord>> {
        let mut states = self.find_points(targets)?;
        for round in 0.. {
            if !self.certify_next(&mut states, round)? {
                break;
            }
        }
        for state in &states {
            self.warn_without_result(state);
        }
        let strongest = states.into_iter().filter_map(|state| state.strongest);
        Ok(strongest.collect())
    }

    fn warn_without_result(&self, state: &TargetState) {
        if state.strongest.is_none() {
            let index = state.target.index;
            let variant = &self.variant.name;
            warn!("index {index} of {variant} was not attacked: no point could be certified");
        }
    }

    fn find_points(&self, targets: &[AttackTarget]) -> Result<Vec<TargetState>> {
        let search = PointSearch {
            engine: self.engine,
            variant: &self.variant.name,
            settings: self.plan.settings,
            grid: self.plan.sweep.data.images.grid,
            stop: self.stop,
        };
        let searched: Vec<SearchTarget> = targets
            .iter()
            .map(|target| self.search_target(target))
            .collect::<Result<_>>()?;
        let found = search.find(&searched)?.unwrap_or_default();
        let states = targets.iter().zip(found);
        Ok(states
            .map(|(&target, points)| TargetState::new(target, points))
            .collect())
    }

    fn search_target(&self, target: &AttackTarget) -> Result<SearchTarget<'_>> {
        let image = self
            .plan
            .sweep
            .image(target.index, self.plan.sweep.data.images.shape)?;
        Ok(SearchTarget {
            index: target.index,
            image,
            radius: target.radius,
            surfaces: surfaces(&self.plan.sweep.sweep, self.variant, self.networks, target),
        })
    }

    /// Certifies the next point of each sample whose certificate has not fallen. Returns false if
    /// no point was left.
    fn certify_next(&self, states: &mut [TargetState], round: u64) -> Result<bool> {
        let mut points = HashMap::new();
        for state in states.iter_mut().filter(|state| !state.has_fallen()) {
            if let Some(point) = state.points.pop() {
                points.insert(state.target.index, point);
            }
        }
        let seed = self.plan.settings.seed.wrapping_add(round);
        let mut results = self.certify(&points, seed)?;
        for state in states.iter_mut() {
            let index = state.target.index;
            if let (Some(point), Some(result)) = (points.get(&index), results.remove(&index)) {
                state.add(self.attack_record(&state.target, point, result, seed));
            }
        }
        Ok(!points.is_empty())
    }

    /// Certifies points as the sweep certifies its samples, but with the noise of another seed.
    fn certify(
        &self,
        points: &HashMap<SampleIndex, GridPoint>,
        seed: u64,
    ) -> Result<HashMap<SampleIndex, PointResult>> {
        let sweep = Sweep {
            seed,
            ..self.plan.sweep.sweep.clone()
        };
        let results = Mutex::new(HashMap::new());
        self.engine.certify(
            self.networks,
            SweepPart {
                sweep: &sweep,
                variant: self.variant,
                data: &self.plan.sweep.data,
            },
            &mut self.samples(points).into_iter(),
            self.stop,
            &|index, result, seconds| {
                if let Ok(mut results) = results.lock() {
                    results.insert(index, PointResult { result, seconds });
                }
            },
        )?;
        Ok(results.into_inner().unwrap_or_default())
    }

    /// Returns points as samples, in the order of the sweep.
    fn samples(&self, points: &HashMap<SampleIndex, GridPoint>) -> Vec<Sample> {
        let mut samples: Vec<Sample> = points
            .iter()
            .filter_map(|(&index, point)| self.sample(index, point))
            .collect();
        samples.sort_by_key(|sample| sample.position);
        samples
    }

    fn sample(&self, index: SampleIndex, point: &GridPoint) -> Option<Sample> {
        Some(Sample {
            index,
            position: self.plan.sweep.plan.position(index)?,
            image: point.image.clone(),
        })
    }

    fn attack_record(
        &self,
        target: &AttackTarget,
        point: &GridPoint,
        PointResult { result, seconds }: PointResult,
        seed: u64,
    ) -> AttackRecord {
        AttackRecord {
            sweep: self.plan.sweep.message.id.clone(),
            certified: target.class,
            radius: target.radius,
            reach: self.plan.reach,
            distance: point.distance,
            settings: self.plan.settings,
            point: Record {
                variant: self.variant.name.clone(),
                index: target.index,
                label: target.label,
                result,
                seed,
                seconds,
                worker: "attack".to_owned(),
                attempt: 1,
                device: self.engine.device().to_owned(),
            },
        }
    }
}

impl TargetState {
    fn new(target: AttackTarget, mut points: Vec<GridPoint>) -> Self {
        points.reverse();
        Self {
            target,
            points,
            strongest: None,
        }
    }

    fn outcome(&self) -> Option<AttackOutcome> {
        self.strongest.as_ref().and_then(AttackRecord::outcome)
    }

    fn has_fallen(&self) -> bool {
        self.outcome() == Some(AttackOutcome::Falls)
    }

    /// Keeps a result that is stronger than those before. A failure is no result.
    fn add(&mut self, attack: AttackRecord) {
        if attack.outcome() > self.outcome() {
            self.strongest = Some(attack);
        }
    }
}
