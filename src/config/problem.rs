//! What is wrong with the settings, one thing at a time.

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`, or a file.
    pub key: String,
    /// What, and what to do.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A key comes from the operator too: it ends no line of a log.
        write!(f, "{}: {}", self.key.escape_debug(), self.message)
    }
}
