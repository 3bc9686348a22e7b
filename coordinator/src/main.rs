//! The coordinator program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ddrs_coordinator::main()
}
