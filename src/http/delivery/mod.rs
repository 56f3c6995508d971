//! How the session of an answer reaches its client, by the API and by the pages alike: tokens in
//! cookies or in the body, the shapes of users and sessions, and what is cleared at the end.

pub(in crate::http) mod acting;
pub(in crate::http) mod asker;
pub(in crate::http) mod device;
pub(in crate::http) mod email_code;
pub(in crate::http) mod passkeys;
pub(in crate::http) mod second_step;
pub(in crate::http) mod session_delivery;
pub(in crate::http) mod signed_in;
pub(in crate::http) mod signed_out;
pub(in crate::http) mod upstream;
pub(in crate::http) mod views;
