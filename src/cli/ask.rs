//! Asks the operator: passwords without echo or from standard input, never from an argument;
//! questions only on a terminal.

use std::io::{BufRead, IsTerminal, Write};

use zeroize::Zeroizing;

use crate::config::Config;

use super::{Failure, Result};

/// Reads a password: typed twice on a terminal, otherwise the first line of standard input.
pub(super) fn password() -> Result<Zeroizing<String>> {
    let unreadable = |e: std::io::Error| Failure::Usage(format!("cannot read the password: {e}"));
    if !std::io::stdin().is_terminal() {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(unreadable)?;
        let text = line.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(Failure::Usage(
                "give the password on standard input or type it on a terminal".into(),
            ));
        }
        return Ok(Zeroizing::new(text.to_owned()));
    }
    let first = Zeroizing::new(rpassword::prompt_password("Password: ").map_err(unreadable)?);
    let second = Zeroizing::new(rpassword::prompt_password("Again: ").map_err(unreadable)?);
    if first == second {
        Ok(first)
    } else {
        Err(Failure::Usage("the two passwords differ".into()))
    }
}

/// Names the database and asks for confirmation before something that cannot be undone. Without a terminal it fails unless
/// `--yes` was given.
pub(super) fn confirm(config: &Config, question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{question} Confirm with --yes")));
    }
    let (mut stderr, database) = (std::io::stderr(), config.database_name());
    let mut answer = String::new();
    let asked = write!(stderr, "Database: {database}\n{question} [y/N] ")
        .and_then(|()| stderr.flush())
        .and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    asked.map_err(|e| Failure::Usage(format!("cannot ask: {e}")))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Refused("nothing was done".into()))
    }
}
