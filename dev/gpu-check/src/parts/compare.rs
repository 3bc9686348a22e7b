//! The same noise through the CPU and the device. The noise is made once and copied, so that only
//! arithmetic differs; `doctor`, which runs first, compares the integers that both draw.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::setup::Setup;
use crate::step::CheckStep;

/// A network with random weights, or a sweep, and the draws to compare.
struct ModelDraws<'a> {
    name: &'a str,
    model: &'a OsStr,
    draws: u32,
}

/// Networks with random weights, and the draws of each.
const FULL: [(&str, u32); 3] = [
    ("cifar-resnet20", 1000),
    ("cifar-resnet110", 1000),
    ("resnet50", 128),
];
const QUICK: [(&str, u32); 1] = [("cifar-resnet20", 64)];

/// Returns one step per network, and one for the sweep that was named.
pub(crate) fn steps(setup: &Setup) -> Vec<CheckStep<'static>> {
    let networks = setup.cases(&QUICK, &FULL).iter();
    let networks = networks.map(ModelDraws::of_network);
    let sweep = setup.args.spec.iter().map(ModelDraws::of_sweep);
    let all = networks.chain(sweep);
    all.map(|comparison| step(setup, &comparison)).collect()
}

impl<'a> ModelDraws<'a> {
    fn of_network(&(name, draws): &(&'a str, u32)) -> Self {
        Self {
            name,
            model: name.as_ref(),
            draws,
        }
    }

    fn of_sweep(spec: &'a PathBuf) -> Self {
        Self {
            name: "spec",
            model: spec.as_ref(),
            draws: 1000,
        }
    }
}

fn step(setup: &Setup, comparison: &ModelDraws) -> CheckStep<'static> {
    let draws = comparison.draws.to_string();
    let mut command = setup.worker(&["doctor", "--draws", &draws]);
    command.arg("--compare").arg(comparison.model);
    CheckStep::program(format!("compare-{}", comparison.name), 120, command)
}
