//! Mails that are kept in this process's memory, for `countersign dev`: a test reads what a user
//! would have received.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;

use super::Rendered;

/// The number of mails that are kept; the oldest is dropped for a new one.
const KEPT: usize = 1_000;

/// One mail as its recipient would see it.
#[derive(Debug, Clone)]
pub struct Received {
    /// The id in its `Message-ID`.
    pub id: EventId,
    /// The recipient's email address.
    pub to: String,
    /// Subject, plain text and HTML.
    pub content: Rendered,
    /// When it was queued.
    pub at: Timestamp,
}

impl Received {
    /// Returns every link of the plain text, in order.
    pub fn links(&self) -> Vec<&str> {
        self.content
            .text
            .split_whitespace()
            .filter(|word| word.starts_with("http://") || word.starts_with("https://"))
            .collect()
    }
}

/// The mails so far. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Inbox(Arc<Mutex<VecDeque<Received>>>);

impl Inbox {
    /// Adds a mail to the inbox.
    pub fn keep(&self, mail: Received) {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mails.len() == KEPT {
            mails.pop_front();
        }
        mails.push_back(mail);
    }

    /// Returns the mails to this email address, or all mails without one, newest first.
    pub fn list(&self, to: Option<&str>) -> Vec<Received> {
        let mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mails
            .iter()
            .rev()
            .filter(|mail| to.is_none_or(|to| mail.to.eq_ignore_ascii_case(to)))
            .cloned()
            .collect()
    }

    /// Deletes every mail of the inbox.
    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
