//! Mails that stay in this process's memory, for `countersign dev`: a test reads what a user would
//! have got.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;

use super::Rendered;

/// Mails that are kept; the oldest goes when one more comes.
const KEPT: usize = 1_000;

/// One mail as its recipient would see it.
#[derive(Debug, Clone)]
pub struct Received {
    /// The same as in its `Message-ID`.
    pub id: EventId,
    /// The recipient's email address.
    pub to: String,
    /// Subject, plain text and HTML.
    pub content: Rendered,
    /// When it was queued.
    pub at: Timestamp,
}

impl Received {
    /// Every link of the plain text, in its order.
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
    /// Keeps a mail.
    pub fn keep(&self, mail: Received) {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mails.len() == KEPT {
            mails.pop_front();
        }
        mails.push_back(mail);
    }

    /// The mails to this address, or all of them without one, newest first.
    pub fn list(&self, to: Option<&str>) -> Vec<Received> {
        let mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mails
            .iter()
            .rev()
            .filter(|mail| to.is_none_or(|to| mail.to.eq_ignore_ascii_case(to)))
            .cloned()
            .collect()
    }

    /// Forgets every mail.
    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
