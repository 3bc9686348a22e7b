//! The summary: printed as the check proceeds, and kept in `summary.txt`.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::process::TIME_UP;
use crate::step::StepEnd;

/// The consequence of a step that fails or is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Importance {
    /// The check fails.
    Required,
    /// The step is listed as left out.
    Optional,
}

/// The lines so far, and the steps by how they ended.
pub(crate) struct Summary {
    file: File,
    passed: usize,
    failed: Vec<String>,
    left_out: Vec<String>,
    /// True if a required step was left out.
    incomplete: bool,
}

impl Summary {
    /// Begins an empty summary in a folder.
    pub(crate) fn create(out: &Path) -> Result<Self> {
        let path = out.join("summary.txt");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self {
            file,
            passed: 0,
            failed: Vec::new(),
            left_out: Vec::new(),
            incomplete: false,
        })
    }

    /// Adds a line.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        println!("{line}");
        Ok(writeln!(self.file, "{line}")?)
    }

    /// Adds the end of a step.
    pub(crate) fn ended(&mut self, end: &StepEnd, importance: Importance) -> Result<()> {
        if end.code == 0 {
            self.passed += 1;
            return self.say(&format!("ok      {} ({} s)", end.name, end.seconds));
        }
        self.did_not_pass(end, importance)
    }

    fn did_not_pass(&mut self, end: &StepEnd, importance: Importance) -> Result<()> {
        let reason = failure(end);
        if importance == Importance::Optional {
            self.left_out.push(end.name.clone());
            return self.say(&format!("LEFT OUT {reason}"));
        }
        self.failed.push(end.name.clone());
        self.say(&format!("FAILED  {reason}"))
    }

    /// Adds a step that did not begin.
    pub(crate) fn left_out(
        &mut self,
        name: &str,
        reason: &str,
        importance: Importance,
    ) -> Result<()> {
        self.left_out.push(name.to_owned());
        self.incomplete |= importance == Importance::Required;
        self.say(&format!("LEFT OUT {name}: {reason}"))
    }

    /// Adds a step that needs PyTorch, where python3 has none.
    pub(crate) fn without_torch(&mut self, name: &str) -> Result<()> {
        self.left_out(name, "no python3 with torch", Importance::Optional)
    }

    /// Notes that a step passed without the ratio that it was for.
    pub(crate) fn without_ratio(&mut self, name: &str) -> Result<()> {
        self.left_out.push(name.to_owned());
        self.say(&format!(
            "        without a ratio: the loop failed, see {name}.txt"
        ))
    }

    /// Adds the totals; returns true if the check passed.
    pub(crate) fn end(&mut self, seconds: u64, out: &Path) -> Result<bool> {
        self.say_left_out()?;
        let failed = self.failures();
        let passed = self.passed;
        let out = out.display();
        self.say(&format!(
            "{passed} steps passed, {failed}; {seconds} s; all output in {out}"
        ))?;
        Ok(self.failed.is_empty() && !self.incomplete)
    }

    fn say_left_out(&mut self) -> Result<()> {
        if self.left_out.is_empty() {
            return Ok(());
        }
        let names = self.left_out.join(" ");
        self.say(&format!("left out, or without a ratio: {names}"))
    }

    fn failures(&self) -> String {
        let count = self.failed.len();
        if count == 0 {
            return "0 failed".to_owned();
        }
        format!("{count} failed: {}", self.failed.join(" "))
    }
}

fn failure(end: &StepEnd) -> String {
    let StepEnd {
        name,
        code,
        seconds,
        last_line,
    } = end;
    let limit = if *code == TIME_UP { ", its limit" } else { "" };
    format!("{name} (exit code {code} after {seconds} s{limit}): {last_line}")
}
