//! `make chaos`: every case at its full size, and a table of what was done and what was lost.

use std::process::ExitCode;
use std::time::SystemTime;

use ddrs_tests::chaos::{CASES, Case, Size, Verdict};

const USAGE: &str = "usage: chaos [--seed N] [--case NAME]... [--short]";

struct Arguments {
    seed: u64,
    size: Size,
    cases: Vec<&'static Case>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!(
        "seed {} (the same schedule again: --seed {0})\n",
        arguments.seed
    );
    let mut verdicts = Vec::new();
    for case in &arguments.cases {
        println!("{}: {}", case.name, case.what);
        let verdict = case.run(arguments.size, arguments.seed);
        println!("{verdict}");
        verdicts.push(verdict);
    }
    print!("{}", table(&verdicts));
    let failed = verdicts
        .iter()
        .filter(|verdict| verdict.failure.is_some())
        .count();
    let skipped = verdicts
        .iter()
        .filter(|verdict| verdict.is_skipped())
        .count();
    print!(
        "\n{} passed, {failed} failed",
        verdicts.len() - failed - skipped
    );
    println!(
        "{}",
        if skipped > 0 {
            format!(", {skipped} skipped")
        } else {
            String::new()
        }
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments {
        seed: new_seed(),
        size: Size::Full,
        cases: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--seed" => {
                parsed.seed = value()?
                    .parse()
                    .map_err(|error| format!("--seed: {error}"))?
            }
            "--short" => parsed.size = Size::Short,
            "--case" => {
                let name = value()?;
                let Some(case) = CASES.iter().find(|case| case.name == name) else {
                    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
                    return Err(format!("no case {name}; there are {}", names.join(", ")));
                };
                parsed.cases.push(case);
            }
            _ => return Err(format!("unknown argument {argument}")),
        }
    }
    if parsed.cases.is_empty() {
        parsed.cases.extend(CASES);
    }
    Ok(parsed)
}

/// Another schedule every time, short enough to be typed again.
fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |past| u64::from(past.subsec_nanos()) / 1000)
}

fn table(verdicts: &[Verdict]) -> String {
    let mut table = String::from(
        "| case | injected or observed | samples compared | lost |\n|---|---|---|---|\n",
    );
    for verdict in verdicts {
        let faults: Vec<String> = verdict
            .faults
            .iter()
            .map(|(fault, times)| format!("{times} {fault}"))
            .collect();
        let left_out = verdict
            .skipped
            .iter()
            .map(|reason| format!("left out: {reason}"));
        let done = faults
            .into_iter()
            .chain(left_out)
            .collect::<Vec<_>>()
            .join(", ");
        let lost = verdict
            .failure
            .as_deref()
            .unwrap_or(if verdict.is_skipped() { "" } else { "nothing" });
        table += &format!(
            "| {} | {done} | {} | {lost} |\n",
            verdict.name, verdict.samples
        );
    }
    table
}
