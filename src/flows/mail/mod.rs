//! Sends mails that are queued; opens their links; shows the queue.

pub mod deliver_mail;
pub mod mail_links;
mod mail_values;
pub mod queued_mails;
pub mod require_mail;
pub mod sign_in_link;
