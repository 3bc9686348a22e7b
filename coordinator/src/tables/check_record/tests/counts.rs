//! Bounds and radii are those that the counts give.

use ddrs_common::grid::Grid;

use super::*;

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
