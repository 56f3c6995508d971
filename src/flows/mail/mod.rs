//! Queues and sends mails; opens their links.

pub mod deliver_mail;
pub mod mail_links;
mod mail_words;
pub mod outbox;
