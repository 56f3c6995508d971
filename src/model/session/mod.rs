//! Sessions, the refresh decision, and who presented a refresh token.

pub mod presenter;
pub mod refresh;
pub mod session;
pub mod ticket;
