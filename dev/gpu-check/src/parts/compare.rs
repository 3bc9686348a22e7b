//! The same noise through the CPU and the device.

use std::ffi::OsStr;

use crate::setup::Setup;
use crate::step::Step;

/// Networks with random weights, and the draws of each.
const NETWORKS: [(&str, u32); 3] = [
    ("cifar-resnet20", 1000),
    ("cifar-resnet110", 1000),
    ("resnet50", 128),
];

/// Returns one step per network, and one for the sweep that was named.
pub(crate) fn steps(setup: &Setup) -> Vec<Step<'static>> {
    let networks: &[_] = if setup.args.quick {
        &[("cifar-resnet20", 64)]
    } else {
        &NETWORKS
    };
    let network = |&(model, draws): &(&str, u32)| {
        let name = format!("compare-{model}");
        step(setup, name, model.as_ref(), draws)
    };
    let sweep = setup.args.spec.iter().map(|spec| {
        let name = "compare-spec".to_owned();
        step(setup, name, spec.as_ref(), 1000)
    });
    networks.iter().map(network).chain(sweep).collect()
}

fn step(setup: &Setup, name: String, model: &OsStr, draws: u32) -> Step<'static> {
    let mut command = setup.programs.worker();
    command
        .args(["doctor", "--device", &setup.args.device])
        .arg("--compare")
        .arg(model)
        .args(["--draws", &draws.to_string()]);
    Step::program(name, 120, command)
}
