//! Runs steps within the time that is left.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::step::{CheckStep, StepEnd};
use crate::summary::{Importance, Summary};

/// A step begins only if more time than this is left.
const SHORTEST: Duration = Duration::from_secs(5);

/// Names of output files that an earlier check may have left, by how they begin.
const OUTPUTS: [&str; 8] = [
    "doctor.",
    "loader.",
    "compare-",
    "again-",
    "train-",
    "bench-",
    "speed-train-",
    "peer-",
];

/// One run of the check: where its output goes, and how much time it has.
pub(crate) struct Session {
    /// The folder of all output.
    pub(crate) out: PathBuf,
    pub(crate) summary: Summary,
    work: tempfile::TempDir,
    rows: File,
    started: Instant,
    deadline: Instant,
}

impl Session {
    /// Prepares the output folder.
    pub(crate) fn begin(out: &Path, time: Duration) -> Result<Self> {
        let out = prepare(out).with_context(|| format!("--out {}", out.display()))?;
        let started = Instant::now();
        Ok(Self {
            summary: Summary::create(&out)?,
            rows: File::create(out.join("bench.jsonl"))?,
            work: tempfile::tempdir()?,
            started,
            deadline: started + time,
            out,
        })
    }

    /// Runs a step; returns true if it passed.
    pub(crate) fn step(&mut self, step: CheckStep, importance: Importance) -> Result<bool> {
        if !self.can_begin(&step, importance)? {
            return Ok(false);
        }
        let end = step.run(&self.out, self.work.path(), self.time_left())?;
        self.summary.ended(&end, importance)?;
        Ok(end.code == 0)
    }

    /// Runs required steps at the same time.
    pub(crate) fn steps_together(&mut self, steps: Vec<CheckStep>) -> Result<()> {
        let begun = self.with_time_left(steps)?;
        for end in self.run_together(begun) {
            self.summary.ended(&end?, Importance::Required)?;
        }
        Ok(())
    }

    fn with_time_left<'a>(&mut self, steps: Vec<CheckStep<'a>>) -> Result<Vec<CheckStep<'a>>> {
        let mut begun = Vec::new();
        for step in steps {
            if self.can_begin(&step, Importance::Required)? {
                begun.push(step);
            }
        }
        Ok(begun)
    }

    fn run_together(&self, steps: Vec<CheckStep>) -> Vec<Result<StepEnd>> {
        let work = self.work.path();
        let time_left = self.time_left();
        let run = |step: CheckStep| step.run(&self.out, work, time_left);
        thread::scope(|scope| {
            let steps = steps.into_iter();
            let begun: Vec<_> = steps.map(|step| scope.spawn(move || run(step))).collect();
            begun.into_iter().map(end_of).collect()
        })
    }

    /// Writes a file of the output.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.out.join(name), text)?)
    }

    /// Returns what a step printed; empty if it did not begin.
    pub(crate) fn printed_by(&self, name: &str) -> String {
        let text = fs::read(self.out.join(format!("{name}.txt")));
        String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
    }

    /// Adds the lines that the outputs of some steps contain to the summary: those of the files
    /// whose name begins with `prefix`, where `wanted` returns true.
    pub(crate) fn summarise(&mut self, prefix: &str, wanted: fn(&str) -> bool) -> Result<()> {
        for name in self.outputs(prefix)? {
            self.say_lines(&name, wanted)?;
        }
        Ok(())
    }

    /// Adds everything that a step printed to the summary.
    pub(crate) fn say_output(&mut self, name: &str) -> Result<()> {
        self.say_lines(name, |_| true)
    }

    fn say_lines(&mut self, name: &str, wanted: fn(&str) -> bool) -> Result<()> {
        let text = self.printed_by(name);
        let mut lines = text.lines().filter(|line| wanted(line));
        lines.try_for_each(|line| self.summary.say(line))
    }

    /// Prints the rows of JSON that a step printed, and keeps them in `bench.jsonl`.
    pub(crate) fn keep_rows(&mut self, name: &str) -> Result<()> {
        let text = self.printed_by(name);
        for row in text.lines().filter(|line| line.starts_with('{')) {
            println!("{row}");
            writeln!(self.rows, "{row}")?;
        }
        Ok(())
    }

    /// Ends the summary; returns true if the check passed.
    pub(crate) fn end(&mut self) -> Result<bool> {
        let seconds = self.started.elapsed().as_secs();
        self.summary.end(seconds, &self.out)
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn can_begin(&mut self, step: &CheckStep, importance: Importance) -> Result<bool> {
        let enough = self.time_left() > SHORTEST;
        if !enough {
            self.summary
                .left_out(&step.name, "no time left", importance)?;
        }
        Ok(enough)
    }

    fn outputs(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for path in files_in(&self.out)? {
            names.extend(output_name(&path));
        }
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        Ok(names)
    }
}

fn output_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    name.strip_suffix(".txt").map(str::to_owned)
}

fn end_of(step: ScopedJoinHandle<Result<StepEnd>>) -> Result<StepEnd> {
    step.join().map_err(|_| anyhow!("a step panicked"))?
}

/// Creates the output folder, or removes an earlier check's outputs from it, and returns its
/// absolute path.
fn prepare(out: &Path) -> Result<PathBuf> {
    fs::create_dir_all(out)?;
    let out = out.canonicalize()?;
    remove_outputs(&out)?;
    Ok(out)
}

fn remove_outputs(out: &Path) -> Result<()> {
    let files = files_in(out)?.into_iter();
    let mut outputs = files.filter(|path| is_output(path));
    Ok(outputs.try_for_each(fs::remove_file)?)
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    paths.collect()
}

fn is_output(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".txt") && OUTPUTS.iter().any(|begin| name.starts_with(begin))
}
