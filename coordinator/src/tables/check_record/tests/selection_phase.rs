//! The bound and the number of draws are those that the selection phase chooses.

use ddrs_common::certify::{Certifier, CertifierStep};
use ddrs_common::domain::SelectionCounts;
use ddrs_common::grid::Grid;

use super::*;

/// Counts of 100 draws, of which 25 gave further classes.
const SPREAD: SelectionCounts = SelectionCounts {
    guess: 45,
    runner_up: 30,
};

/// An honest record of two classes, at these counts.
pub(super) fn of_two_classes(sweep: &Sweep, count: u64, runner_up: u64) -> Record {
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
    certification.n0_counts = Some(SPREAD);
    certification.outcome = sample.outcome(Class(3), bounds);
    record
}

#[test]
fn a_record_of_two_classes_follows_from_both_counts_and_only_where_the_sweep_allows_it() {
    let one = sweep("'fixed'");
    let two = sweep("'fixed'\n        bound = 'two-class'");
    let record = of_two_classes(&two, 4_700, 3_000);
    assert!(accepted(&two, &record));
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
    assert_eq!(
        forged(|record| record.p_upper = None),
        "its bound is one-class, but its n0_count and n0_runner_up_count choose two-class"
    );
}

#[test]
fn the_selection_draws_alone_choose_between_one_class_and_two() {
    let two = sweep("'fixed'\n        bound = 'two-class'");
    let with = |mut record: Record, guess, runner_up| {
        record.result.as_mut().unwrap().n0_counts = Some(SelectionCounts { guess, runner_up });
        record
    };
    let of_one = |guess, runner_up| with(honest(&two), guess, runner_up);
    let of_two = |guess, runner_up| with(of_two_classes(&two, 4_700, 3_000), guess, runner_up);
    assert!(accepted(&two, &of_one(99, 1)) && accepted(&two, &of_two(70, 15)));
    assert_eq!(
        reason(&two, &of_one(45, 30)),
        "its bound is one-class, but its n0_count and n0_runner_up_count choose two-class"
    );
    assert_eq!(
        reason(&two, &of_two(96, 2)),
        "its bound is two-class, but its n0_count and n0_runner_up_count choose one-class"
    );
}

/// The number of draws of the estimation phase after these counts of the selection phase.
fn drawn(sweep: &Sweep, select: &[u64]) -> u64 {
    let mut certifier = Certifier::new(&sweep.certify, sigma(0.5), GridLoss::NONE);
    certifier.observe(select).unwrap();
    match certifier.next() {
        CertifierStep::Draw { n, .. } => n,
        CertifierStep::Done(certificate) => panic!("{certificate:?}"),
    }
}

#[test]
fn under_loss_a_record_has_the_number_of_draws_that_its_selection_counts_choose() {
    let sweep = sweep("{ loss = 0.1 }");
    let n = drawn(&sweep, &[90, 6, 4]);
    let other = drawn(&sweep, &[70, 26, 4]);
    assert!(n < 10_250 && other != n, "{n} {other}");
    let of = |n: u64, guess, runner_up| {
        let mut record = record(&sweep, n * 9 / 10, n);
        record.result.as_mut().unwrap().n0_counts = Some(SelectionCounts { guess, runner_up });
        record
    };
    assert!(accepted(&sweep, &of(n, 90, 6)));
    for (record, chosen) in [(of(n, 70, 26), other), (of(n + 500, 90, 6), n)] {
        let drawn = record.result.as_ref().unwrap().n;
        assert_eq!(
            reason(&sweep, &record),
            format!("its n is {drawn}, but its n0_count chooses {chosen}")
        );
    }
}

#[test]
fn selection_counts_are_there_where_a_rule_uses_them_and_may_lack_in_runs_without_a_grid() {
    let on_grid = |sweep: &Sweep, record: &Record| {
        let loss = GridLoss::new(Grid::BYTES, [3, 32, 32]);
        let rules = RecordRules::new(sweep, &Plan::new(sweep, 10).unwrap(), loss);
        rules.check(record).unwrap_err().to_string()
    };
    let lacks = "it lacks n0_count, which decides its n";
    let loss = sweep("{ loss = 0.01 }");
    assert!(accepted(&loss, &honest(&loss)));
    assert_eq!(on_grid(&loss, &honest(&loss)), lacks);
    let two = sweep("'fixed'\n        bound = 'two-class'");
    assert_eq!(on_grid(&two, &honest(&two)), lacks);
    let fixed = sweep("'fixed'");
    assert_eq!(
        refused(&fixed, |record| record.n0_counts = Some(SPREAD)),
        "it has n0_count, but no rule of the sweep uses it"
    );
}

#[test]
fn selection_counts_that_no_draws_can_have_are_refused() {
    let loss = sweep("{ loss = 0.01 }");
    let with = |guess, runner_up| {
        refused(&loss, |record| {
            record.n0_counts = Some(SelectionCounts { guess, runner_up });
        })
    };
    assert_eq!(
        with(54, 5),
        "its n0_runner_up_count is 5, but no other class has more, and 41 draws are left for 8 \
         classes"
    );
    assert_eq!(
        with(45, 45),
        "its runner_up has as many of the n0 draws as its prediction and comes before it"
    );
}
