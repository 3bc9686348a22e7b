//! The runs of `make chaos`: every case at its full size, and a table of the faults and the losses.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use ddrs_tests::chaos::{CASES, CaseReport, ChaosCase, Size};

const HEADER: &str =
    "| case | injected or observed | samples compared | lost |\n|---|---|---|---|\n";

/// Injects faults into the programs and Redis, and prints how many records were lost
#[derive(Parser)]
struct ChaosArguments {
    /// Seed of the schedule of faults [default: a new one]
    #[arg(long)]
    seed: Option<u64>,
    /// Case to run; repeat the option for several cases [default: all]
    #[arg(long = "case", value_name = "NAME", value_parser = case_names())]
    cases: Vec<String>,
    /// Run the short cases that are part of the tests
    #[arg(long)]
    short: bool,
}

fn main() -> ExitCode {
    let arguments = ChaosArguments::parse();
    let seed = arguments.seed.unwrap_or_else(new_seed);
    println!("seed {seed} (repeat this schedule with --seed {seed})\n");
    let cases = CASES.iter().filter(|case| arguments.has(case));
    let reports: Vec<CaseReport> = cases.map(|case| arguments.run(case, seed)).collect();
    print!("{HEADER}");
    for report in &reports {
        println!("{}", row(report));
    }
    println!("\n{}", totals(&reports));
    if reports.iter().any(|report| report.failure.is_some()) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

impl ChaosArguments {
    fn has(&self, case: &ChaosCase) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|name| name == case.name)
    }

    fn run(&self, case: &ChaosCase, seed: u64) -> CaseReport {
        println!("{}: {}", case.name, case.what);
        let size = if self.short { Size::Short } else { Size::Full };
        let report = case.run(size, seed);
        println!("{report}");
        report
    }
}

fn case_names() -> PossibleValuesParser {
    let names: Vec<&'static str> = CASES.iter().map(|case| case.name).collect();
    PossibleValuesParser::new(names)
}

/// Returns a seed that differs from run to run and is short enough to type.
fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |past| u64::from(past.subsec_nanos()) / 1000)
}

fn row(report: &CaseReport) -> String {
    let faults = faults(report);
    let lost = match &report.failure {
        Some(failure) => failure,
        None if report.is_skipped() => "",
        None => "nothing",
    };
    format!(
        "| {} | {faults} | {} | {lost} |",
        report.name, report.samples
    )
}

fn faults(report: &CaseReport) -> String {
    let faults = report.faults.iter();
    let faults = faults.map(|(fault, times)| format!("{times} {fault}"));
    let skipped = report.skipped.iter();
    let skipped = skipped.map(|reason| format!("skipped: {reason}"));
    faults.chain(skipped).collect::<Vec<_>>().join(", ")
}

fn totals(reports: &[CaseReport]) -> String {
    let failed = count(reports, |report| report.failure.is_some());
    let skipped = count(reports, CaseReport::is_skipped);
    let passed = reports.len() - failed - skipped;
    let mut text = format!("{passed} passed, {failed} failed");
    if skipped > 0 {
        text += &format!(", {skipped} skipped");
    }
    text
}

fn count(reports: &[CaseReport], of: impl Fn(&CaseReport) -> bool) -> usize {
    reports.iter().filter(|report| of(report)).count()
}
