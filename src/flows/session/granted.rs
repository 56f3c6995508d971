//! What a client gets when its session has begun.

use zeroize::Zeroizing;

use crate::crypto::token::SessionToken;
use crate::flows::token::issue_token::Issued;
use crate::model::account::permission::Powers;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::Session;

/// The tokens that the client gets.
pub struct SessionTokens {
    /// The row of the new session.
    pub session: Session,
    /// What may be done in the session.
    pub powers: Powers,
    /// The `token` of the answer, which is accepted as Bearer wherever the session cookie is.
    pub session_token: SessionToken,
    /// The signed value of the session cookie.
    pub session_cookie: Zeroizing<String>,
    /// The literal `true`, signed: the cookie that marks a session which ends with the browser.
    pub dont_remember: String,
    /// The token by which the device is recognised at this account; `None` in an impersonation
    /// session.
    pub device: Option<String>,
    /// The first refresh token.
    pub refresh_token: Zeroizing<String>,
    /// The first access token.
    pub access: Issued,
    /// The idle or absolute end of the session, whichever is earlier.
    pub ends_at: Timestamp,
}
