//! What `doctor` prints.

use std::fmt::Write;

use serde::Serialize;

use super::compare::Comparison;
use super::machine::Machine;
use super::trial::{DeviceTrial, PrecisionTrial};

/// Everything found; the JSON output is this.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) machine: Machine,
    /// What `--device` said.
    pub(super) asked: String,
    /// The device that this means here.
    pub(super) picked: Option<String>,
    /// Why it means none.
    pub(super) not_usable: Option<String>,
    pub(super) devices: Vec<DeviceTrial>,
    pub(super) compared: Vec<Comparison>,
}

impl Report {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let machine = &self.machine;
        let libtorch = machine.libtorch.as_deref().unwrap_or("of unknown version");
        writeln!(
            out,
            "worker    {}, built with libtorch {}",
            machine.worker, machine.built_with
        )?;
        writeln!(out, "libtorch  {libtorch}, from")?;
        for library in &machine.libraries {
            writeln!(out, "          {library}")?;
        }
        if let Some(version) = machine.cudnn {
            writeln!(out, "cudnn     {version}")?;
        }
        let memory = |mib: Option<u64>| {
            mib.map_or(String::new(), |mib| {
                format!(", {:.0} GiB", mib as f64 / 1024.0)
            })
        };
        writeln!(
            out,
            "cpu       {}, {} cores{}",
            machine.cpu,
            machine.cores,
            memory(machine.memory_mib)
        )?;
        writeln!(out, "          {}", machine.features.join(" "))?;
        for gpu in &machine.gpus {
            let driver = gpu
                .driver
                .as_ref()
                .map_or(String::new(), |driver| format!(", driver {driver}"));
            let free = gpu.free_mib.map_or(String::new(), |free| {
                format!(" ({:.0} free)", free as f64 / 1024.0)
            });
            writeln!(
                out,
                "gpu       {}{}{free}{driver}",
                gpu.name,
                memory(gpu.memory_mib)
            )?;
        }
        match &machine.no_cuda {
            Some(reason) => writeln!(out, "cuda      not used: {reason}")?,
            None => writeln!(out, "cuda      used")?,
        }
        for device in &self.devices {
            writeln!(out, "{}", device.name)?;
            device
                .precisions
                .iter()
                .try_for_each(|precision| write_precision(out, precision))?;
        }
        for row in &self.compared {
            writeln!(out, "{row}")?;
        }
        match (&self.picked, &self.not_usable) {
            (Some(picked), _) => writeln!(out, "--device {} is {picked}", self.asked),
            (None, reason) => {
                writeln!(
                    out,
                    "--device {} is none: {}",
                    self.asked,
                    reason.as_deref().unwrap_or_default()
                )
            }
        }
    }
}

fn write_precision(out: &mut String, tried: &PrecisionTrial) -> std::fmt::Result {
    write!(out, "  {}    ", tried.precision)?;
    match (&tried.reason, tried.from_fp32) {
        (Some(reason), _) => writeln!(out, "does not run: {reason}"),
        (None, apart) => writeln!(
            out,
            "runs{}; scores within {:.1e} of fp32 on the cpu; {} of {} convolutions fused",
            if tried.wide {
                ", no faster than fp32: this cpu does not multiply in it"
            } else {
                ""
            },
            apart.unwrap_or_default(),
            tried.fused,
            tried.candidates
        ),
    }
}
