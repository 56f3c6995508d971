//! Parse the arguments, run, exit. Nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    countersign::cli::main()
}
