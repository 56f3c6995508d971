//! A problem with the settings.

/// One problem with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key as `section.key`, or the name of a file.
    pub key: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A key comes from the operator, too: it is escaped so that it cannot end a line of the
        // log.
        write!(f, "{}: {}", self.key.escape_debug(), self.message)
    }
}
