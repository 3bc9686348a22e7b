//! One step: its work, its time limit and its output files.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::process::{TIME_UP, run_until};

/// A program of a step ended with a code other than 0.
#[derive(Debug, thiserror::Error)]
#[error("exit code {0}")]
pub(crate) struct ProgramFailed(i32);

type Work<'a> = Box<dyn FnOnce(&StepFiles) -> Result<()> + Send + 'a>;

/// A step that has not begun.
pub(crate) struct CheckStep<'a> {
    pub(crate) name: String,
    pub(crate) limit: Duration,
    work: Work<'a>,
}

/// The files of a step that runs, and the end of its time.
pub(crate) struct StepFiles {
    /// A folder for everything that the step leaves behind; removed at the end of the check.
    pub(crate) folder: PathBuf,
    deadline: Instant,
    stdout: File,
    stderr: File,
}

/// The end of a step.
pub(crate) struct StepEnd {
    pub(crate) name: String,
    /// 0, or the exit code of the program that failed.
    pub(crate) code: i32,
    pub(crate) seconds: u64,
    /// The last line that the step wrote to stderr.
    pub(crate) last_line: String,
}

impl<'a> CheckStep<'a> {
    /// A step of any work.
    pub(crate) fn new(
        name: impl Into<String>,
        seconds: u64,
        work: impl FnOnce(&StepFiles) -> Result<()> + Send + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            limit: Duration::from_secs(seconds),
            work: Box::new(work),
        }
    }

    /// A step that runs one program.
    pub(crate) fn program(name: impl Into<String>, seconds: u64, command: Command) -> Self {
        Self::new(name, seconds, move |files| files.run(command))
    }

    /// Runs the step. What it prints goes to `NAME.txt` in `out`, what it writes to stderr after
    /// that.
    pub(crate) fn run(self, out: &Path, work: &Path, time_left: Duration) -> Result<StepEnd> {
        let begun = Instant::now();
        let deadline = begun + self.limit.min(time_left);
        let files = StepFiles::create(out, work, &self.name, deadline)?;
        let result = (self.work)(&files);
        Ok(StepEnd {
            name: self.name,
            code: files.exit_code(result)?,
            seconds: begun.elapsed().as_secs(),
            last_line: files.finish()?,
        })
    }
}

impl StepFiles {
    fn create(out: &Path, work: &Path, name: &str, deadline: Instant) -> Result<Self> {
        let folder = work.join(name);
        fs::create_dir_all(&folder)?;
        let stderr = folder.join("stderr");
        Ok(Self {
            folder,
            deadline,
            stdout: create(&out.join(format!("{name}.txt")))?,
            stderr: create(&stderr)?,
        })
    }

    /// Returns the path of a file in the step's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs a program; its output is the step's.
    ///
    /// # Errors
    /// [`ProgramFailed`] for an exit code other than 0.
    pub(crate) fn run(&self, command: Command) -> Result<()> {
        let stdout = self.stdout.try_clone()?;
        self.run_into(command, stdout.into())
    }

    /// Runs a program and returns what it prints; its stderr is the step's.
    pub(crate) fn printed(&self, command: Command) -> Result<String> {
        let path = self.path("printed");
        self.run_into(command, create(&path)?.into())?;
        Ok(fs::read_to_string(path)?)
    }

    /// Prints to the step's output.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        Ok((&self.stdout).write_all(text.as_bytes())?)
    }

    fn run_into(&self, mut command: Command, stdout: Stdio) -> Result<()> {
        let stderr = self.stderr.try_clone()?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let program = command.get_program().to_string_lossy().into_owned();
        let code = run_until(&mut command, self.deadline).with_context(|| program)?;
        Ok(check_code(code)?)
    }

    fn exit_code(&self, result: Result<()>) -> Result<i32> {
        match result {
            Ok(()) => Ok(0),
            Err(error) => self.note(&error),
        }
    }

    /// Notes why the step failed, unless its program has said so, and returns the exit code.
    fn note(&self, error: &anyhow::Error) -> Result<i32> {
        if let Some(ProgramFailed(code)) = error.downcast_ref() {
            return Ok(*code);
        }
        writeln!(&self.stderr, "{error:#}")?;
        Ok(if self.time_is_up() { TIME_UP } else { 1 })
    }

    /// Returns true if the deadline has passed.
    pub(crate) fn time_is_up(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Appends stderr to the output, and returns its last line.
    fn finish(self) -> Result<String> {
        let text = fs::read(self.path("stderr"))?;
        let text = String::from_utf8_lossy(&text);
        if !text.is_empty() {
            self.print(&format!("-- stderr\n{text}"))?;
        }
        Ok(last_line(&text))
    }
}

fn last_line(text: &str) -> String {
    text.lines().next_back().unwrap_or_default().to_owned()
}

fn check_code(code: i32) -> Result<(), ProgramFailed> {
    if code == 0 {
        return Ok(());
    }
    Err(ProgramFailed(code))
}

/// Creates an empty file to append to: several programs write to it, one after another.
fn create(path: &Path) -> Result<File> {
    let named = || format!("cannot create {}", path.display());
    File::create(path).with_context(named)?;
    let file = File::options().append(true).open(path);
    file.with_context(named)
}
