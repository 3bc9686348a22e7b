//! Settings, statements and classes are those of the sweep.

use super::*;

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
