//! Sends mails that are queued; opens their links.

pub mod deliver_mail;
pub mod mail_links;
