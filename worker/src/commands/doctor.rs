//! `doctor`: what this machine offers a worker, tried out; and whether two devices compute the
//! same.

mod compare;
mod machine;
mod report;
mod trial;

use anyhow::{Result, anyhow, bail};
use ddrs_common::output::{print, print_json};
use tch::Device;

use self::machine::Machine;
use self::report::Report;
use ddrs_common::cli::OutputFormat;

use crate::cli::DoctorArgs;
use ddrs_common::cli::BadInput;
use ddrs_worker::device::{self, cuda};

/// Prints what was found, and with `--compare` what the devices counted.
///
/// # Errors
/// When the device asked for cannot be used, no precision runs on it, or what was compared differs
/// by more than rounding explains; after printing. [`BadInput`] for bad usage.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<()> {
    args.device
        .device
        .parse::<device::DeviceChoice>()
        .map_err(BadInput)?;
    // Before anything else that has to do with torch: it remembers what it is told about CUDA
    // first.
    let cuda = cuda::devices();
    tch::set_num_threads(1);
    let asked = device::pick(&args.device.device);
    let mut devices = vec![Device::Cpu];
    devices.extend((0..*cuda.as_ref().unwrap_or(&0)).map(Device::Cuda));
    let mut report = Report {
        machine: Machine::look(cuda.err().map(|reason| reason.to_string())),
        asked: args.device.device.clone(),
        picked: asked
            .as_ref()
            .map_or(None, |&device| Some(device::name(device))),
        not_usable: asked.as_ref().err().map(|error| format!("{error:#}")),
        devices: devices
            .into_iter()
            .map(trial::try_out)
            .collect::<Result<_>>()?,
        compared: Vec::new(),
    };
    if let Ok(device) = &asked {
        for what in &args.compare {
            report
                .compared
                .extend(compare::compare(what, *device, args.draws)?);
        }
    }
    match args.output.format {
        OutputFormat::Text => print(&report.text())?,
        OutputFormat::Json => print_json(&serde_json::to_value(&report)?)?,
    }
    verdict(&report)
}

fn verdict(report: &Report) -> Result<()> {
    if let Some(reason) = &report.not_usable {
        bail!("{} cannot be used: {reason}", report.asked);
    }
    let picked = report
        .devices
        .iter()
        .find(|device| Some(&device.name) == report.picked.as_ref());
    if !picked.is_some_and(|device| device.precisions.iter().any(trial::PrecisionTrial::runs)) {
        bail!("no precision runs on {}", report.asked);
    }
    let wrong: Vec<_> = report
        .compared
        .iter()
        .filter_map(compare::Comparison::wrong)
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(anyhow!("{}", wrong.join("; ")))
    }
}

#[cfg(test)]
mod tests;
