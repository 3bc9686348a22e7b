#![allow(clippy::unwrap_used)]

use ddrs_common::domain::{Alpha, Class, SampleIndex, Sigma, Statement, VariantName};

use ddrs_common::stats;

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
    let p_lower = certify::bound(&sweep.certify, count, n)
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

fn accepted(sweep: &Sweep, record: &Record) -> bool {
    check_record(
        record,
        sweep,
        &Plan::new(sweep, 10).unwrap(),
        GridLoss::NONE,
    )
    .is_ok()
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
    certification.outcome = Outcome::Certified {
        class: Class(3),
        radius: naive,
    };
    assert!(!accepted(&sweep, &record));
}
