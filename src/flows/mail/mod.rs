//! Sends mails that are queued; opens their links; shows the queue.

pub mod deliver_mail;
pub mod mail_links;
pub mod queued_mails;
pub mod require_mail;
