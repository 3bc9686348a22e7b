//! The arguments of `ddrs-worker run`. Both programs start workers with them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::DeviceArgs;
use crate::domain::SweepId;

/// The arguments of `ddrs-worker run`, without those for Redis.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WorkerArgs {
    /// The device and its threads.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Take jobs of this sweep only; may be repeated
    #[arg(long = "sweep", value_name = "SWEEP")]
    pub sweeps: Vec<SweepId>,
    /// Open data and models only under this folder or file; may be repeated [default: the current
    /// folder]
    #[arg(long = "root", value_name = "PATH")]
    pub roots: Vec<PathBuf>,
    /// Name of this worker in records, at most 128 bytes [default: host, process and a random
    /// number]
    #[arg(long, value_parser = parse_name)]
    pub name: Option<String>,
    /// Exit when no sweep has a job left, instead of waiting for one
    #[arg(long)]
    pub exit_when_idle: bool,
    /// Hand the job back and exit when stdin closes, which happens when the parent dies
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

impl WorkerArgs {
    /// Returns the arguments that parse to these values.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments = vec![option("--device=", &self.device.device)];
        let threads = self.device.threads.map(|threads| threads.to_string());
        arguments.extend(threads.map(|threads| option("--threads=", threads)));
        let sweeps = self.sweeps.iter().map(ToString::to_string);
        arguments.extend(sweeps.map(|sweep| option("--sweep=", sweep)));
        arguments.extend(self.roots.iter().map(|root| option("--root=", root)));
        arguments.extend(self.name.iter().map(|name| option("--name=", name)));
        arguments.extend(self.exit_when_idle.then(|| "--exit-when-idle".into()));
        arguments.extend(self.stop_with_stdin.then(|| "--stop-with-stdin".into()));
        arguments
    }
}

fn option(name: &str, value: impl Into<OsString>) -> OsString {
    let mut argument = OsString::from(name);
    argument.push(value.into());
    argument
}

/// Parses the name of a worker. Every record and every request contains it.
fn parse_name(name: &str) -> Result<String, String> {
    if (1..=128).contains(&name.len()) {
        Ok(name.to_owned())
    } else {
        Err("a name has 1 to 128 bytes".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::ffi::OsStringExt;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct WorkerParser {
        #[command(flatten)]
        args: WorkerArgs,
    }

    fn parse(arguments: Vec<OsString>) -> WorkerArgs {
        let program = [OsString::from("ddrs-worker")].into_iter();
        WorkerParser::try_parse_from(program.chain(arguments))
            .unwrap()
            .args
    }

    #[test]
    fn arguments_parse_to_the_values_that_they_were_made_from() {
        let default = parse(Vec::new());
        let full = WorkerArgs {
            device: DeviceArgs {
                device: "cuda:0".to_owned(),
                threads: Some(3),
            },
            sweeps: vec![
                "0123456789abcdef".parse().unwrap(),
                "fedcba9876543210".parse().unwrap(),
            ],
            roots: vec![
                "--odd name".into(),
                OsString::from_vec(vec![b'/', 0xff]).into(),
            ],
            name: Some("-w=1 2".to_owned()),
            exit_when_idle: true,
            stop_with_stdin: true,
        };
        for args in [default, full] {
            assert_eq!(parse(args.to_arguments()), args);
        }
    }

    #[test]
    fn a_worker_has_a_name_of_sensible_length() {
        assert_eq!(parse_name("gpu-7").as_deref(), Ok("gpu-7"));
        assert!(parse_name("").is_err() && parse_name(&"x".repeat(129)).is_err());
    }
}
