#![allow(clippy::unwrap_used)]

use ddrs_common::domain::{
    Alpha, Class, LevelBound, LevelSelection, Probability, RunnerUp, SampleIndex, Sigma, Statement,
    VariantName,
};
use ddrs_common::grid::Grid;
use ddrs_common::record_file::{from_line, to_line};
use ddrs_common::stats;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn sweep(rule: &str) -> Sweep {
    let text = format!(
        "name = 's'
        seed = 1
        [dataset]
        format = 'cifar10'
        path = 'd'
        [[model]]
        name = 'm'
        path = 'm.pt'
        classes = 10
        [smoothing]
        sigma = [0.5]
        choice = ['fixed', 'data-dependent']
        [certify]
        n0 = 100
        n = 10250
        alpha = 0.001
        chunk = 500
        stopping = {rule}
        "
    );
    ddrs_common::spec::parse(&text, "s.toml".as_ref()).unwrap()
}

/// A record with these counts. Where the rule cannot end there, its radius is of no importance.
fn record(sweep: &Sweep, count: u64, n: u64) -> Record {
    let sigma = Sigma::new(0.5).unwrap();
    let p_lower = ddrs_common::certify::bound(&sweep.certify, count, n)
        .unwrap_or_else(|| stats::lower_bound(count, n, Alpha::new(0.001).unwrap()));
    let outcome = Outcome::Certified {
        class: Class(3),
        radius: stats::radius(sigma, p_lower),
    };
    Record {
        variant: VariantName::new("m/fixed/0.5"),
        index: SampleIndex(0),
        label: Class(3),
        result: Ok(Certification {
            outcome,
            statement: Some(Statement::Fixed),
            sigma,
            sigma0: sigma,
            n0: 100,
            n,
            count,
            p_lower,
            off_grid: Radius::ZERO,
            alpha: sweep.certify.alpha,
            runner_up: None,
            p_upper: None,
            level: None,
        }),
        seed: 1,
        seconds: 1.0,
        worker: "w".to_owned(),
        attempt: 1,
        device: "cpu".to_owned(),
    }
}

fn rules(sweep: &Sweep) -> RecordRules {
    RecordRules::new(sweep, &Plan::new(sweep, 10).unwrap(), GridLoss::NONE)
}

fn accepted(sweep: &Sweep, record: &Record) -> bool {
    rules(sweep).check(record).is_ok()
}

#[test]
fn a_record_may_end_where_the_stopping_rule_may_end() {
    for (rule, ends) in [
        ("'fixed'", vec![10_250]),
        ("{ radii = [0, 0.5] }", vec![500, 9_500, 10_000, 10_250]),
        ("{ loss = 0.01 }", vec![500, 9_500, 10_000, 10_250]),
    ] {
        let sweep = sweep(rule);
        for n in [250, 500, 501, 9_500, 10_000, 10_249, 10_250, 10_500] {
            assert_eq!(
                accepted(&sweep, &record(&sweep, n * 9 / 10, n)),
                ends.contains(&n),
                "{rule} {n}"
            );
        }
    }
}

#[test]
fn a_radius_that_does_not_follow_from_the_rule_is_refused() {
    for rule in ["'fixed'", "{ radii = [0, 0.5] }", "{ loss = 0.01 }"] {
        let sweep = sweep(rule);
        let mut record = record(&sweep, 9_900, 10_250);
        let Ok(Certification {
            outcome: Outcome::Certified { radius, .. },
            ..
        }) = &mut record.result
        else {
            panic!()
        };
        *radius = Radius::new(radius.get().next_up()).unwrap();
        assert!(!accepted(&sweep, &record), "{rule}");
    }
    // The Clopper-Pearson bound of a part of the draws is too large under a stopping rule.
    let sweep = sweep("{ radii = [0, 0.5] }");
    let mut record = record(&sweep, 990, 1_000);
    let Ok(certification) = &mut record.result else {
        panic!()
    };
    let naive = stats::radius(
        certification.sigma,
        stats::lower_bound(990, 1_000, sweep.certify.alpha),
    );
    certification.outcome = certified(naive);
    assert!(!accepted(&sweep, &record));
}

fn certified(radius: Radius) -> Outcome {
    Outcome::Certified {
        class: Class(3),
        radius,
    }
}

/// An honest record of the fixed variant: 9,900 of all draws.
fn honest(sweep: &Sweep) -> Record {
    let mut record = record(sweep, 9_900, 10_250);
    record.result.as_mut().unwrap().runner_up = Some(RunnerUp {
        class: Class(1),
        count: 200,
    });
    record
}

/// Changes the certificate of an honest record, and returns the reason why it is refused.
fn refused(sweep: &Sweep, forge: impl Fn(&mut Certification)) -> String {
    let mut record = honest(sweep);
    forge(record.result.as_mut().unwrap());
    reason(sweep, &record)
}

fn reason(sweep: &Sweep, record: &Record) -> String {
    rules(sweep).check(record).unwrap_err().to_string()
}

fn sigma(value: f64) -> Sigma {
    Sigma::new(value).unwrap()
}

/// Gives a record another sigma, and the radius that would follow from it.
fn scale(certification: &mut Certification, to: f64) {
    certification.sigma = sigma(to);
    certification.outcome = certified(stats::radius(sigma(to), certification.p_lower));
}

#[test]
fn a_fixed_variant_has_its_sigma_alone() {
    let sweep = sweep("'fixed'");
    assert!(accepted(&sweep, &honest(&sweep)));
    assert_eq!(
        refused(&sweep, |record| scale(record, 40.0)),
        "its sigma is 40, but the variant's is fixed at 0.5"
    );
    assert_eq!(
        refused(&sweep, |record| record.sigma0 = sigma(7.0)),
        "its sigma0 is 7, but the variant's is 0.5"
    );
}

#[test]
fn a_chosen_sigma_lies_in_the_range_of_the_choice() {
    let sweep = sweep("'fixed'");
    let chosen = |to: f64| {
        let mut record = honest(&sweep);
        record.variant = VariantName::new("m/data-dependent/0.5");
        let certification = record.result.as_mut().unwrap();
        certification.statement = Some(Statement::DataDependent);
        scale(certification, to);
        record
    };
    for within in [0.01, 0.5, 4.0] {
        assert!(accepted(&sweep, &chosen(within)), "{within}");
    }
    assert_eq!(
        reason(&sweep, &chosen(40.0)),
        "its sigma is 40, outside the range [0.01, 4] of the choice"
    );
    let mut record = chosen(0.6);
    record.result.as_mut().unwrap().sigma0 = sigma(0.6);
    assert_eq!(
        reason(&sweep, &record),
        "its sigma0 is 0.6, but the variant's is 0.5"
    );
}

#[test]
fn a_certificate_is_what_its_counts_give() {
    let sweep = sweep("'fixed'");
    let forged = |p: f64| {
        move |record: &mut Certification| {
            record.p_lower = Probability::new(p).unwrap();
        }
    };
    let error = refused(&sweep, forged(0.999));
    assert!(
        error.starts_with("it has p_lower 0.999, but its counts give p_lower 0.95"),
        "{error}"
    );
    let error = refused(&sweep, |record| {
        let Outcome::Certified { radius, .. } = record.outcome else {
            panic!()
        };
        record.outcome = certified(Radius::new(radius.get() * 1.000_000_1).unwrap());
    });
    assert!(
        error.starts_with("its radius is ") && error.contains("but its counts and sigma give"),
        "{error}"
    );
    // Certified at radius 0 although the bound is below one half.
    let error = refused(&sweep, |record| {
        *record = Certification {
            outcome: certified(Radius::ZERO),
            count: 500,
            p_lower: stats::lower_bound(500, 10_250, record.alpha),
            ..record.clone()
        };
    });
    assert_eq!(
        error,
        "it is certified, but its counts do not certify a class"
    );
    let error = refused(&sweep, |record| record.outcome = Outcome::Abstained);
    assert!(
        error.starts_with("it abstains, but its counts certify radius 0.87"),
        "{error}"
    );
}

#[test]
fn classes_are_those_of_the_model() {
    let sweep = sweep("'fixed'");
    let class = |class| Outcome::Certified {
        class: Class(class),
        radius: match honest(&sweep).result.unwrap().outcome {
            Outcome::Certified { radius, .. } => radius,
            Outcome::Abstained => panic!(),
        },
    };
    assert_eq!(
        refused(&sweep, |record| record.outcome = class(999)),
        "its prediction is 999, but the model has 10 classes"
    );
    let other = |class| RunnerUp {
        class: Class(class),
        count: 1,
    };
    assert_eq!(
        refused(&sweep, |record| record.runner_up = Some(other(10))),
        "its runner_up is 10, but the model has 10 classes"
    );
    assert_eq!(
        refused(&sweep, |record| record.runner_up = Some(other(3))),
        "its runner_up is its prediction"
    );
    let mut record = honest(&sweep);
    record.label = Class(10);
    assert_eq!(
        reason(&sweep, &record),
        "its label is 10, but the model has 10 classes"
    );
}

#[test]
fn settings_and_statement_are_those_of_the_sweep() {
    let sweep = sweep("'fixed'");
    assert_eq!(
        refused(&sweep, |record| record.n0 = 99),
        "its n0 is 99, but the sweep's is 100"
    );
    assert_eq!(
        refused(&sweep, |record| record.alpha = Alpha::new(0.5).unwrap()),
        "its alpha is 0.5, but the sweep's is 0.001"
    );
    assert_eq!(
        refused(&sweep, |record| record.n = 10_251),
        "its n is 10251, where the sweep's draws do not end"
    );
    assert_eq!(
        refused(&sweep, |record| record.statement =
            Some(Statement::DataDependent)),
        "its statement is \"data-dependent\", but this variant's is \"fixed\""
    );
    let of = |variant: &str, index, seed| {
        let mut record = honest(&sweep);
        record.variant = VariantName::new(variant);
        record.index = SampleIndex(index);
        record.seed = seed;
        reason(&sweep, &record)
    };
    assert_eq!(of("m/fixed/0.25", 0, 1), "the sweep has no such variant");
    assert_eq!(
        of("m/fixed/0.5", 10, 1),
        "the sweep does not select this index"
    );
    assert_eq!(
        of("m/fixed/0.5", 0, 2),
        "its seed is 2, but the sweep's is 1"
    );
}

/// An honest record of two classes, at these counts.
fn of_two_classes(sweep: &Sweep, count: u64, runner_up: u64) -> Record {
    let mut record = honest(sweep);
    let counts = EstimationCounts {
        n: 10_250,
        count,
        runner_up,
    };
    let sample = SampleBounds {
        spec: &sweep.certify,
        sigma: sigma(0.5),
        loss: GridLoss::NONE,
    };
    let bounds = sample.of(BoundRule::TwoClass, counts).unwrap();
    let certification = record.result.as_mut().unwrap();
    certification.count = count;
    certification.runner_up.as_mut().unwrap().count = runner_up;
    certification.p_lower = bounds.p_lower;
    certification.p_upper = bounds.p_upper;
    certification.outcome = sample.outcome(Class(3), bounds);
    record
}

#[test]
fn a_record_of_two_classes_follows_from_both_counts_and_only_where_the_sweep_allows_it() {
    let one = sweep("'fixed'");
    let two = sweep("'fixed'\n        bound = 'two-class'");
    let record = of_two_classes(&two, 4_700, 3_000);
    assert!(accepted(&two, &record) && accepted(&two, &honest(&two)));
    assert_eq!(
        reason(&one, &record),
        "it has p_upper, but the sweep bounds one class"
    );
    let forged = |forge: fn(&mut Certification)| {
        let mut record = record.clone();
        forge(record.result.as_mut().unwrap());
        reason(&two, &record)
    };
    let error = forged(|record| record.p_upper = Probability::new(0.2).ok());
    assert!(error.contains("and p_upper 0.2, but"), "{error}");
    assert_eq!(
        forged(|record| record.runner_up = None),
        "it has p_upper, but no runner_up"
    );
    let error = forged(|record| record.runner_up.as_mut().unwrap().count = 2_000);
    assert!(error.contains("but its counts give p_lower"), "{error}");
    // Without the other bound, the draws of one class do not certify.
    let error = forged(|record| record.p_upper = None);
    assert!(error.contains("but its counts give p_lower"), "{error}");
}

#[test]
fn what_the_grid_takes_off_is_taken_off_again() {
    let sweep = sweep("'fixed'");
    let grid = GridLoss::new(Grid::BYTES, [3, 224, 224]);
    let rules = RecordRules::new(&sweep, &Plan::new(&sweep, 10).unwrap(), grid);
    let mut record = honest(&sweep);
    let error = rules.check(&record).unwrap_err().to_string();
    assert!(error.starts_with("it has p_lower 0.9"), "{error}");
    let certification = record.result.as_mut().unwrap();
    let loss = grid.at_distance(Radius::new(0.25).unwrap());
    let lowered = loss.lower(certification.sigma, certification.p_lower);
    certification.p_lower = lowered;
    certification.off_grid = loss.off_grid();
    let radius = loss.certified_radius(certification.sigma, lowered);
    certification.outcome = certified(radius.unwrap());
    assert!(rules.check(&record).is_ok());
}

/// A sweep with one selected variant of two levels, 0.25 and 1.
fn selected_sweep(form: &str) -> Sweep {
    let text = format!(
        "name = 's'
        seed = 1
        [dataset]
        format = 'cifar10'
        path = 'd'
        [[model]]
        name = 'm'
        path = 'm.pt'
        classes = 10
        [smoothing]
        choice = ['selected']
        [smoothing.selected]
        tau = 0.5
        form = '{form}'
        levels = [{{ sigma = 0.25, model = 'm' }}, {{ sigma = 1.0, model = 'm' }}]
        [smoothing.selected.selector]
        name = 'h'
        path = 'h.pt'
        classes = 2
        [certify]
        n0 = 100
        n = 1000
        alpha = 0.001
        "
    );
    ddrs_common::spec::parse(&text, "s.toml".as_ref()).unwrap()
}

fn selected_rules(sweep: &Sweep) -> SelectedRules {
    let selected = sweep.smoothing.selected.as_ref().unwrap();
    SelectedRules::new(&sweep.certify, selected, GridLoss::NONE)
}

/// A record at level 0, with the bounds and the radius that follow from its counts by the formula,
/// whether or not the certifier would have drawn the other level.
fn of_level(sweep: &Sweep, counts: [u64; 2], count: u64, others: Vec<LevelBound>) -> Record {
    let rules = selected_rules(sweep);
    let claimed = LevelSelection {
        level: 0,
        n0: 100,
        counts: counts.to_vec(),
        p_lower: Probability::ZERO,
        others,
    };
    let selection = rules.check_selection(&claimed).unwrap();
    let p_lower = stats::lower_bound(count, 1_000, sweep.certify.alpha);
    let at_level = stats::radius(sigma(0.25), p_lower);
    let mut record = honest(sweep);
    record.variant = VariantName::new("h/selected/0.5");
    let certification = record.result.as_mut().unwrap();
    *certification = Certification {
        outcome: certified(rules.radius(&selection, at_level).unwrap()),
        statement: Some(Statement::Selected),
        sigma: sigma(0.25),
        n: 1_000,
        count,
        p_lower,
        runner_up: None,
        level: Some(Box::new(selection)),
        ..certification.clone()
    };
    record
}

fn radius_of(record: &Record) -> f64 {
    match record.result.as_ref().unwrap().outcome {
        Outcome::Certified { radius, .. } => radius.get(),
        Outcome::Abstained => 0.0,
    }
}

#[test]
fn a_selected_record_lists_the_levels_that_its_form_draws_and_no_others() {
    let other = LevelBound {
        level: 1,
        n: 1_000,
        count: 990,
        p_lower: Probability::ZERO,
    };
    let simple = selected_sweep("simple");
    let strong = selected_sweep("strong");
    let counts = [700, 300];
    let honest = of_level(&simple, counts, 998, vec![]);
    assert!(accepted(&simple, &honest));
    assert!(accepted(
        &strong,
        &of_level(&strong, counts, 998, vec![other])
    ));
    // The radius of the strong form, where the specification asks for the simple one.
    let forged = of_level(&simple, counts, 998, vec![other]);
    assert!(radius_of(&forged) > 2.0 * radius_of(&honest));
    let reason_of_levels =
        "the other levels that it lists are not those that its counts and the sweep's form draw";
    assert_eq!(reason(&simple, &forged), reason_of_levels);
    let without = of_level(&strong, counts, 998, vec![]);
    assert_eq!(reason(&strong, &without), reason_of_levels);
    // The selector keeps the level for longer than the expert keeps the class.
    let needless = of_level(&strong, [990, 10], 800, vec![other]);
    assert_eq!(reason(&strong, &needless), reason_of_levels);
}

#[test]
fn an_abstention_without_draws_of_an_expert_has_the_settings_of_the_sweep_and_no_classes() {
    let sweep = selected_sweep("simple");
    let abstention = |forge: fn(&mut Certification)| {
        let mut record = of_level(&sweep, [700, 300], 998, vec![]);
        let certification = record.result.as_mut().unwrap();
        let mut level = certification.level.take().unwrap();
        level.counts = vec![510, 490];
        level = Box::new(selected_rules(&sweep).check_selection(&level).unwrap());
        *certification = Certification {
            outcome: Outcome::Abstained,
            n0: 0,
            n: 0,
            count: 0,
            p_lower: Probability::ZERO,
            level: Some(level),
            ..certification.clone()
        };
        forge(certification);
        record
    };
    assert!(accepted(&sweep, &abstention(|_| ())));
    assert_eq!(
        reason(
            &sweep,
            &abstention(|record| record.alpha = Alpha::new(0.5).unwrap())
        ),
        "its alpha is 0.5, but the sweep's is 0.001"
    );
    let no_draws = "it has counts or a bound, but no draws of an expert";
    let p_upper = abstention(|record| record.p_upper = Probability::new(0.5).ok());
    assert_eq!(reason(&sweep, &p_upper), no_draws);
    let runner_up = abstention(|record| {
        record.runner_up = Some(RunnerUp {
            class: Class(1),
            count: 0,
        });
    });
    assert_eq!(reason(&sweep, &runner_up), no_draws);
}

/// Values that a forged field may have.
fn forged_number() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        prop::sample::select(vec![0, 1, 2, 100, 1_000, 1 << 53, u64::MAX]).prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        (0.0..=1.0_f64).prop_map(|p| json!(p)),
        any::<f64>().prop_map(|number| json!(number)),
        prop::collection::vec(any::<u64>(), 0..4).prop_map(|counts| json!(counts)),
    ]
}

proptest! {
    #[test]
    fn no_forged_field_makes_the_check_panic(
        forgeries in prop::collection::vec((any::<prop::sample::Index>(), forged_number()), 1..4),
        strong in any::<bool>(),
        is_selected in any::<bool>(),
    ) {
        const FIELDS: [&str; 20] = [
            "/index", "/label", "/prediction", "/radius", "/sigma", "/sigma0", "/n0", "/n",
            "/count", "/p_lower", "/alpha", "/runner_up", "/runner_up_count", "/seconds",
            "/selector/level", "/selector/n0", "/selector/counts", "/selector/counts/0",
            "/selector/others/0/count", "/selector/others/0/n",
        ];
        let sweep = if is_selected {
            selected_sweep(if strong { "strong" } else { "simple" })
        } else {
            sweep("{ radii = [0, 0.5] }\n        bound = 'two-class'")
        };
        let record = if is_selected {
            let other = LevelBound {
                level: 1,
                n: 1_000,
                count: 990,
                p_lower: Probability::ZERO,
            };
            of_level(&sweep, [700, 300], 998, vec![other])
        } else {
            of_two_classes(&sweep, 4_700, 3_000)
        };
        let mut line: serde_json::Value = serde_json::from_str(&to_line(&record)).unwrap();
        for (place, value) in forgeries {
            if let Some(field) = line.pointer_mut(FIELDS[place.index(FIELDS.len())]) {
                *field = value;
            }
        }
        if let Ok(record) = from_line(&line.to_string()) {
            let _ = rules(&sweep).check(&record);
        }
    }
}
