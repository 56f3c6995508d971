//! Parses the arguments, runs the command, exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    countersign::cli::main()
}
