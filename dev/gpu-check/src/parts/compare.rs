//! The same noise through the CPU and the device.

use std::ffi::OsStr;

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
    let networks: &[_] = if setup.args.quick { &QUICK } else { &FULL };
    let networks = networks.iter().map(|&(name, draws)| ModelDraws {
        name,
        model: name.as_ref(),
        draws,
    });
    let sweep = setup.args.spec.iter().map(|spec| ModelDraws {
        name: "spec",
        model: spec.as_ref(),
        draws: 1000,
    });
    let all = networks.chain(sweep);
    all.map(|comparison| step(setup, &comparison)).collect()
}

fn step(setup: &Setup, comparison: &ModelDraws) -> CheckStep<'static> {
    let mut command = setup.programs.worker();
    command
        .args(["doctor", "--device", &setup.args.device])
        .arg("--compare")
        .arg(comparison.model)
        .args(["--draws", &comparison.draws.to_string()]);
    CheckStep::program(format!("compare-{}", comparison.name), 120, command)
}
