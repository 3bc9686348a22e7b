//! Records that follow from their counts, and forged ones.
#![allow(clippy::unwrap_used)]

mod counts;
mod forged_fields;
mod selected;
mod selection_phase;
mod settings;

use ddrs_common::domain::{
    Alpha, Class, Probability, RunnerUp, SampleIndex, Sigma, Statement, VariantName,
};
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
            n0_counts: None,
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
