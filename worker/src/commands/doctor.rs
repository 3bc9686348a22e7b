//! `doctor`: shows what this machine offers a worker, tries every precision on every device, and
//! compares devices.

mod compare;
mod comparison;
mod machine;
mod report;
mod same_noise;
mod temporary;
mod trial;

use std::iter;

use anyhow::{Result, bail, ensure};
use ddrs_common::cli::{BadInput, OutputFormat};
use ddrs_common::output::{print, print_json};
use ddrs_worker::device::{self, cuda};
use tch::Device;

use crate::cli::DoctorArgs;
use comparison::Comparison;
use machine::Machine;
use report::DoctorReport;
use trial::DeviceTrial;

/// Prints what was found, and with `--compare` how the devices differ.
///
/// # Errors
/// After printing: when the device cannot be used, no precision runs on it, it draws other noise
/// than the CPU, or a comparison differs by more than rounding explains. [`BadInput`] for bad
/// usage.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<()> {
    let name = &args.device.device;
    name.parse::<device::DeviceChoice>().map_err(BadInput)?;
    let report = examine(args)?;
    print_report(&report, args.output.format)?;
    check(&report)
}

fn print_report(report: &DoctorReport, format: OutputFormat) -> Result<()> {
    match format {
        OutputFormat::Text => print(&report.text())?,
        OutputFormat::Json => print_json(&serde_json::to_value(report)?)?,
    }
    Ok(())
}

fn examine(args: &DoctorArgs) -> Result<DoctorReport> {
    // Before anything else that uses torch: torch remembers its first answer about CUDA.
    let cuda = cuda::devices();
    tch::set_num_threads(1);
    let gpus = *cuda.as_ref().unwrap_or(&0);
    let picked = device::pick(&args.device.device);
    Ok(DoctorReport {
        machine: Machine::examine(cuda.err().map(|reason| reason.to_string())),
        asked: args.device.device.clone(),
        picked: picked.as_ref().ok().map(|&device| device::name(device)),
        not_usable: picked.as_ref().err().map(|error| format!("{error:#}")),
        devices: try_devices(gpus)?,
        compared: match picked {
            Ok(device) => compare_all(args, device)?,
            Err(_) => Vec::new(),
        },
    })
}

fn try_devices(gpus: usize) -> Result<Vec<DeviceTrial>> {
    let gpus = (0..gpus).map(Device::Cuda);
    iter::once(Device::Cpu)
        .chain(gpus)
        .map(trial::try_device)
        .collect()
}

fn compare_all(args: &DoctorArgs, device: Device) -> Result<Vec<Comparison>> {
    let mut compared = Vec::new();
    for model in &args.compare {
        compared.extend(compare::compare(model, device, args.draws)?);
    }
    Ok(compared)
}

/// Returns the reason why the device asked for is not suitable, as an error.
fn check(report: &DoctorReport) -> Result<()> {
    if let Some(reason) = &report.not_usable {
        bail!("{} cannot be used: {reason}", report.asked);
    }
    let picked = report.picked_device();
    ensure!(
        picked.is_some_and(DeviceTrial::runs_any_precision),
        "no precision runs on {}",
        report.asked
    );
    if let Some(difference) = picked.and_then(|device| device.other_noise.as_ref()) {
        bail!(
            "{} draws other noise than the cpu: {difference}",
            report.asked
        );
    }
    check_comparisons(&report.compared)
}

fn check_comparisons(compared: &[Comparison]) -> Result<()> {
    let problems: Vec<_> = compared.iter().filter_map(Comparison::problem).collect();
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests;
