//! Queueing and sending mails; opening their links.

pub mod deliver_mail;
pub mod mail_links;
mod mail_words;
pub mod outbox;
