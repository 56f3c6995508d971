//! Flows of accounts: sign-up, email address, password, deletion, administration.

pub mod administer_users;
pub mod change_email;
pub mod change_email_by_code;
pub mod change_password;
mod change_user;
pub mod choose_password;
pub mod claim_mailbox;
pub mod delete_user;
pub mod invite_user;
mod mail_entry;
pub mod mail_sign_in;
pub mod mailbox;
pub mod manage_users;
pub mod passkeys;
pub mod require_password;
pub mod reset_factors;
pub mod reset_password;
pub mod send_link;
pub mod sign_up;
pub mod step_up;
pub mod strength;
pub mod two_factor;
pub mod two_factor_session;
pub mod typed;
pub mod update_user;
pub mod verify_email;
pub(in crate::flows) mod ways_in;
