//! The steps of the certifier, and the radius that follows from given counts.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU64;

use super::*;
use crate::architecture::NetworkOptions;
use crate::domain::{Alpha, Radii};
use crate::spec::{
    BoundRule, LevelSpec, ModelSource, ModelSpec, Precision, SelectedForm, Stopping,
};
use crate::stats;

fn spec(stopping: Stopping) -> CertifySpec {
    let positive = |n| NonZeroU64::new(n).unwrap();
    CertifySpec {
        n0: positive(10),
        n: positive(1_000),
        alpha: Alpha::new(0.001).unwrap(),
        chunk: positive(100),
        memory: false,
        stopping,
        bound: BoundRule::OneClass,
    }
}

fn levels(form: SelectedForm, sigmas: &[f64]) -> SelectedSpec {
    levels_at(0.5, form, sigmas)
}

/// Levels of these sigmas and one network, with a selector at `tau`.
pub(super) fn levels_at(tau: f64, form: SelectedForm, sigmas: &[f64]) -> SelectedSpec {
    SelectedSpec {
        tau: Sigma::new(tau).unwrap(),
        form,
        levels: sigmas
            .iter()
            .map(|&sigma| LevelSpec {
                sigma: Sigma::new(sigma).unwrap(),
                model: 0,
                classes: Vec::new(),
            })
            .collect(),
        selector: ModelSpec {
            name: "s".to_owned(),
            path: "s.pt".into(),
            source: ModelSource::TorchScript,
            weights: None,
            classes: sigmas.len() as u32,
            mean: None,
            std: None,
            precision: Precision::Fp32,
            options: NetworkOptions::default(),
        },
    }
}

/// The draws that were requested: who, the phase, the first chunk and the number.
type Asked = Vec<(DrawSource, &'static str, u64, u64)>;

/// Certifies an input whose draws have these shares of the levels, and of class 0 at each level.
fn run(
    spec: &CertifySpec,
    selected: &SelectedSpec,
    shares: &[f64],
    class: &[f64],
) -> (Asked, SelectedCertificate) {
    let mut certifier = SelectedCertifier::new(spec, selected, GridLoss::NONE);
    let mut asked = Vec::new();
    loop {
        match certifier.next() {
            SelectedStep::Draw {
                source,
                phase,
                chunk,
                n,
                ..
            } => {
                asked.push((source, phase.as_str(), chunk, n));
                certifier
                    .observe(&counts(source, n, shares, class))
                    .unwrap();
            }
            SelectedStep::Done(certificate) => return (asked, *certificate),
        }
    }
}

fn counts(source: DrawSource, n: u64, shares: &[f64], class: &[f64]) -> Vec<u64> {
    let part = |share: f64| (share * n as f64).round() as u64;
    match source {
        DrawSource::Selector => {
            let mut counts: Vec<u64> = shares.iter().map(|&share| part(share)).collect();
            let others: u64 = counts.iter().skip(1).sum();
            counts[0] = n - others;
            counts
        }
        DrawSource::Expert(level) => {
            let count = part(class[level as usize]);
            vec![count, n - count]
        }
    }
}

fn radius(certificate: &SelectedCertificate) -> f64 {
    match certificate.certificate.outcome {
        Outcome::Certified { radius, .. } => radius.get(),
        Outcome::Abstained => 0.0,
    }
}

/// The radius that a count of 1,000 gives with a part of alpha.
fn radius_of(sigma: f64, count: u64, part: f64) -> f64 {
    let alpha = Alpha::new(0.001).unwrap();
    let alpha = if part < 1.0 { alpha.part(part) } else { alpha };
    let p_lower = stats::lower_bound(count, 1_000, alpha);
    stats::radius(Sigma::new(sigma).unwrap(), p_lower).get()
}

const S: DrawSource = DrawSource::Selector;

fn expert(level: u32) -> DrawSource {
    DrawSource::Expert(level)
}

#[test]
fn the_classes_of_a_level_count_together() {
    let fixed = spec(Stopping::Fixed);
    let mut grouped = levels(SelectedForm::Strong, &[0.25, 1.0]);
    let (asked, found) = run(&fixed, &grouped, &[0.9, 0.1], &[0.98, 0.5]);
    grouped.levels[0].classes = vec![0, 2];
    grouped.levels[1].classes = vec![1];
    assert_eq!(
        run(&fixed, &grouped, &[0.5, 0.1, 0.4], &[0.98, 0.5]),
        (asked, found)
    );
}

#[test]
fn the_simple_form_is_the_smaller_of_two_radii() {
    let selected = levels(SelectedForm::Simple, &[0.25, 1.0]);
    let fixed = spec(Stopping::Fixed);
    for (shares, class, expected) in [
        ([0.9, 0.1], [0.98, 0.5], radius_of(0.25, 980, 1.0)),
        ([0.6, 0.4], [0.98, 0.5], radius_of(0.5, 600, 1.0)),
    ] {
        let (asked, found) = run(&fixed, &selected, &shares, &class);
        assert_eq!(radius(&found), expected);
        assert_eq!(found.sigma.get(), 0.25);
        assert_eq!(
            asked,
            [
                (S, "selector-select", 0, 10),
                (S, "selector-estimate", 0, 1_000),
                (expert(0), "select", 0, 10),
                (expert(0), "estimate", 0, 1_000),
            ]
        );
    }
}

#[test]
fn the_simple_form_asks_no_expert_where_the_level_is_not_certified() {
    let selected = levels(SelectedForm::Simple, &[0.25, 1.0]);
    let (asked, found) = run(&spec(Stopping::Fixed), &selected, &[0.5, 0.5], &[1.0, 1.0]);
    assert_eq!(asked.len(), 2);
    assert_eq!(found.certificate.outcome, Outcome::Abstained);
    assert_eq!((found.certificate.n, found.certificate.n0), (0, 0));
}

#[test]
fn the_strong_form_asks_the_other_level_only_where_it_can_matter() {
    let selected = levels(SelectedForm::Strong, &[0.25, 1.0]);
    let fixed = spec(Stopping::Fixed);
    // The selector alone keeps the level longer than the expert keeps the class.
    let (asked, found) = run(&fixed, &selected, &[0.99, 0.01], &[0.9, 0.5]);
    assert_eq!(asked.len(), 4);
    assert_eq!(radius(&found), radius_of(0.25, 900, 1.0));
    // It does not, and the other expert keeps the class less long, or longer, than the first.
    for (other, expected) in [
        (0.7, radius_of(1.0, 700, 0.5)),
        (0.9, radius_of(0.25, 999, 1.0)),
        (0.4, radius_of(0.5, 650, 0.5)),
    ] {
        let (asked, found) = run(&fixed, &selected, &[0.65, 0.35], &[0.999, other]);
        assert_eq!(asked[4], (expert(1), "level-1-estimate", 0, 1_000));
        assert_eq!(asked.len(), 5);
        assert_eq!(radius(&found), expected, "{other}");
        assert_eq!(found.selection.others.len(), 1);
    }
}

#[test]
fn the_strong_form_certifies_where_the_selector_is_undecided() {
    let selected = levels(SelectedForm::Strong, &[0.25, 1.0]);
    let (_, found) = run(&spec(Stopping::Fixed), &selected, &[0.5, 0.5], &[0.99, 0.8]);
    assert_eq!(radius(&found), radius_of(0.25, 990, 1.0));
    let (_, none) = run(&spec(Stopping::Fixed), &selected, &[0.5, 0.5], &[0.99, 0.5]);
    assert_eq!(none.certificate.outcome, Outcome::Abstained);
}

#[test]
fn more_levels_have_their_own_distances_and_are_asked_in_their_order() {
    let selected = levels(SelectedForm::Strong, &[0.25, 1.0, 0.5]);
    let shares = [0.5, 0.1, 0.4];
    let class = [0.999, 0.9, 0.8];
    let (asked, found) = run(&spec(Stopping::Fixed), &selected, &shares, &class);
    let asked: Vec<_> = asked.iter().map(|(_, phase, ..)| *phase).collect();
    assert_eq!(asked[4..], ["level-2-estimate", "level-1-estimate"]);
    // Level 1 would be reached at 0.25 (Q(0.5) + Q(0.9)), or a little less; its expert keeps the
    // class for longer.
    assert_eq!(radius(&found), radius_of(0.5, 800, 0.5));
}

#[test]
fn a_level_that_cannot_change_a_listed_radius_is_not_asked() {
    let selected = levels(SelectedForm::Strong, &[0.25, 1.0]);
    let radii = |values: &[f64]| spec(Stopping::Radii(Radii::new(values).unwrap()));
    let count = |values: &[f64]| {
        let (asked, _) = run(&radii(values), &selected, &[0.8, 0.2], &[0.99, 0.9]);
        let is_other = |asked: &&(DrawSource, &str, u64, u64)| asked.0 == expert(1);
        asked.iter().filter(is_other).count()
    };
    // The selector keeps the level for about 0.36, the expert the class for about 0.54.
    assert_eq!(count(&[0.0, 0.25]), 0);
    assert!(count(&[0.0, 0.25, 0.45]) > 0);
    assert_eq!(count(&[0.0, 0.25, 1.0]), 0);
}

#[test]
fn early_stopping_saves_draws_of_every_network_and_decides_alike() {
    let selected = levels(SelectedForm::Strong, &[0.25, 0.5]);
    let radii = Radii::new(&[0.0, 0.1, 0.2]).unwrap();
    let early = spec(Stopping::Radii(radii.clone()));
    let drawn = |asked: &Asked| asked.iter().map(|(.., n)| n).sum::<u64>();
    let [early, fixed] = [early, spec(Stopping::Fixed)]
        .map(|spec| run(&spec, &selected, &[0.55, 0.45], &[0.99, 0.95]));
    assert!(drawn(&early.0) < drawn(&fixed.0) / 2, "{:?}", early.0);
    let reached = |found: &SelectedCertificate| {
        let reaches = |at: &Radius| at.get() <= radius(found);
        radii.iter().filter(reaches).count()
    };
    assert_eq!(reached(&early.1), reached(&fixed.1));
}

#[test]
fn the_pilot_of_another_level_has_its_own_draws() {
    let selected = levels(SelectedForm::Strong, &[0.25, 1.0]);
    let rule = spec(Stopping::Loss(0.3));
    let (asked, found) = run(&rule, &selected, &[0.6, 0.4], &[1.0, 0.9]);
    let phases: Vec<_> = asked.iter().map(|(_, phase, ..)| *phase).collect();
    assert_eq!(
        phases,
        [
            "selector-select",
            "selector-estimate",
            "select",
            "estimate",
            "level-1-select",
            "level-1-estimate"
        ]
    );
    assert!(asked[5].3 < 1_000);
    let selection = &found.selection;
    assert_eq!(selection.n0_count, Some(6));
    assert_eq!(selection.others[0].n0_count, Some(9));
    let rules = SelectedRules::new(&rule, &selected, GridLoss::NONE);
    assert_eq!(rules.check_selection(selection).as_ref(), Some(selection));
    assert!(rules.follows_pilots(selection));
}

#[test]
fn a_selection_is_recomputed_from_its_counts_and_a_forged_one_differs() {
    let selected = levels(SelectedForm::Strong, &[0.25, 1.0, 0.5]);
    let fixed = spec(Stopping::Fixed);
    let (_, found) = run(&fixed, &selected, &[0.5, 0.1, 0.4], &[0.999, 0.9, 0.8]);
    let rules = SelectedRules::new(&fixed, &selected, GridLoss::NONE);
    let selection = &found.selection;
    assert_eq!(rules.check_selection(selection).as_ref(), Some(selection));
    let changed = |change: fn(&mut LevelSelection)| {
        let mut forged = selection.clone();
        change(&mut forged);
        rules
            .check_selection(&forged)
            .filter(|again| *again == forged)
    };
    assert_eq!(
        changed(|s| s.p_lower = Probability::new(0.9).unwrap()),
        None
    );
    assert_eq!(changed(|s| s.counts[0] += 1), None);
    assert_eq!(changed(|s| s.counts.push(0)), None);
    assert_eq!(changed(|s| s.level = 3), None);
    assert_eq!(changed(|s| s.level = 1), None);
    assert_eq!(changed(|s| s.n0 = 0), None);
    assert_eq!(changed(|s| s.others[0].count = 999), None);
    assert_eq!(changed(|s| s.others[0].level = 7), None);
    assert_eq!(changed(|s| s.counts = vec![u64::MAX; 3]), None);
}

#[test]
fn the_other_levels_of_a_selection_are_those_that_its_counts_draw_in_their_order() {
    let selected = levels(SelectedForm::Strong, &[0.25, 1.0, 0.5]);
    let fixed = spec(Stopping::Fixed);
    let (_, found) = run(&fixed, &selected, &[0.5, 0.1, 0.4], &[0.999, 0.9, 0.8]);
    let rules = SelectedRules::new(&fixed, &selected, GridLoss::NONE);
    let honest = found.selection.others.clone();
    let draws = |others: &[LevelBound], at_level| {
        let claimed = LevelSelection {
            others: others.to_vec(),
            ..found.selection.clone()
        };
        rules.draws_levels(&claimed, at_level)
    };
    let [first, second] = honest[..] else {
        panic!("{honest:?}");
    };
    let at_level = Radius::new(radius_of(0.25, 999, 1.0)).ok();
    assert!(draws(&honest, at_level));
    assert!(draws(&[], None) && !draws(&honest, None));
    let chosen = LevelBound { level: 0, ..first };
    for wrong in [
        vec![],
        vec![first],
        vec![second],
        vec![second, first],
        vec![first, first],
        vec![first, second, second],
        vec![chosen, second],
        vec![first, second, chosen],
    ] {
        assert!(!draws(&wrong, at_level), "{wrong:?}");
    }
}

#[test]
fn a_selection_of_the_simple_form_lists_no_other_level() {
    let selected = levels(SelectedForm::Simple, &[0.25, 1.0]);
    let fixed = spec(Stopping::Fixed);
    let (_, found) = run(&fixed, &selected, &[0.65, 0.35], &[0.999, 0.9]);
    let rules = SelectedRules::new(&fixed, &selected, GridLoss::NONE);
    let at_level = Radius::new(radius_of(0.25, 999, 1.0)).unwrap();
    let honest = radius_of(0.5, 650, 1.0);
    assert_eq!(radius(&found), honest);
    assert!(rules.draws_levels(&found.selection, Some(at_level)));
    // Each of its bounds follows from counts, and the formula would give the larger radius.
    let mut forged = found.selection;
    forged.others.push(LevelBound {
        level: 1,
        n0_count: None,
        n: 1_000,
        count: 990,
        p_lower: stats::lower_bound(990, 1_000, Alpha::new(0.001).unwrap().part(0.5)),
    });
    assert_eq!(rules.check_selection(&forged).as_ref(), Some(&forged));
    assert!(rules.radius(&forged, at_level).unwrap().get() > 2.0 * honest);
    assert!(!rules.draws_levels(&forged, Some(at_level)));
}

#[test]
fn counts_that_do_not_answer_are_refused_and_change_nothing() {
    let selected = levels(SelectedForm::Strong, &[0.25, 1.0]);
    let mut certifier = SelectedCertifier::new(&spec(Stopping::Fixed), &selected, GridLoss::NONE);
    let before = certifier.clone();
    assert!(certifier.observe(&[4, 5]).is_err());
    assert_eq!(certifier, before);
}
