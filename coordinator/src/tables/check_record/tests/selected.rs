//! Records of variants whose level a network selects.

use ddrs_common::certify::{DrawSource, SelectedCertifier, SelectedStep};
use ddrs_common::domain::{LevelBound, LevelSelection};

use super::*;

/// A sweep with one selected variant of two levels, 0.25 and 1.
pub(super) fn selected_sweep(form: &str) -> Sweep {
    selected_sweep_with(form, "'fixed'")
}

fn selected_sweep_with(form: &str, stopping: &str) -> Sweep {
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
        chunk = 50
        stopping = {stopping}
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
pub(super) fn of_level(
    sweep: &Sweep,
    counts: [u64; 2],
    count: u64,
    others: Vec<LevelBound>,
) -> Record {
    let rules = selected_rules(sweep);
    let claimed = LevelSelection {
        level: 0,
        n0: 100,
        n0_count: None,
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
        n0_count: None,
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

/// The counts of draws that are spread alike in every phase. Most give level 0 and class 3.
fn counts(source: DrawSource, n: u64) -> Vec<u64> {
    let share = |percent: u64| [n * percent / 100, n - n * percent / 100];
    let [class, other] = match source {
        DrawSource::Selector => return share(60).to_vec(),
        DrawSource::Expert(0) => share(98),
        DrawSource::Expert(_) => share(90),
    };
    vec![0, other, 0, class, 0, 0, 0, 0, 0, 0]
}

/// The record of the certifier for these counts.
fn certified_by_counts(sweep: &Sweep) -> Record {
    let selected = sweep.smoothing.selected.as_ref().unwrap();
    let mut certifier = SelectedCertifier::new(&sweep.certify, selected, GridLoss::NONE);
    let found = loop {
        match certifier.next() {
            SelectedStep::Draw { source, n, .. } => certifier.observe(&counts(source, n)).unwrap(),
            SelectedStep::Done(found) => break found,
        }
    };
    let mut record = of_level(sweep, [700, 300], 998, vec![]);
    let certification = record.result.as_mut().unwrap();
    *certification = Certification {
        outcome: found.certificate.outcome,
        sigma: found.sigma,
        n: found.certificate.n,
        count: found.certificate.count,
        p_lower: found.certificate.p_lower,
        runner_up: found.certificate.runner_up,
        n0_counts: found.certificate.n0_counts,
        level: Some(Box::new(found.selection)),
        ..certification.clone()
    };
    record
}

#[test]
fn the_draws_of_selector_and_levels_end_where_their_selection_phases_say() {
    let sweep = selected_sweep_with("strong", "{ loss = 0.1 }");
    let record = certified_by_counts(&sweep);
    assert!(accepted(&sweep, &record), "{}", reason(&sweep, &record));
    let level = |record: &mut Certification, forge: fn(&mut LevelSelection)| {
        forge(record.level.as_mut().unwrap());
    };
    let forged = |forge: &dyn Fn(&mut Certification)| {
        let mut record = record.clone();
        forge(record.result.as_mut().unwrap());
        reason(&sweep, &record)
    };
    let of_level = |forge| forged(&|record: &mut Certification| level(record, forge));
    let pilots: [fn(&mut LevelSelection); 6] = [
        |level| level.n0_count = Some(99),
        |level| level.n0_count = None,
        |level| level.n0_count = Some(u64::MAX),
        |level| level.others[0].n0_count = Some(60),
        |level| level.others[0].n0_count = None,
        |level| level.others[0].n0_count = Some(101),
    ];
    for (place, forge) in pilots.into_iter().enumerate() {
        assert_eq!(
            of_level(forge),
            "the draws of its selector, or of another level, do not end where n0_count says",
            "{place}"
        );
    }
    let error = forged(&|record| record.n0_counts.as_mut().unwrap().guess = 60);
    assert!(error.starts_with("its n0_runner_up_count is 2"), "{error}");
    let error = forged(&|record| {
        let counts = record.n0_counts.as_mut().unwrap();
        (counts.guess, counts.runner_up) = (60, 40);
    });
    assert!(error.contains("but its n0_count chooses"), "{error}");
    let fixed = selected_sweep("strong");
    let mut record = certified_by_counts(&fixed);
    assert!(accepted(&fixed, &record));
    record
        .result
        .as_mut()
        .unwrap()
        .level
        .as_mut()
        .unwrap()
        .n0_count = Some(60);
    assert!(!accepted(&fixed, &record));
}
