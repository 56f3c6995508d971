//! What a signed value is for, and the label of the key of each purpose.

/// The purpose of a signed value. Each has its own key, derived from the master key under its own
/// label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The session cookie, and the signed session token after `Bearer`.
    Session,
    /// The cookie cache: an answer of `/get-session`.
    SessionData,
    /// The marker of a session that ends with the browser.
    DontRemember,
    /// An admin's own session, which is set aside during an impersonation.
    AdminSession,
    /// The token of a device that has signed in to an account before.
    KnownDevice,
    /// The token of a browser that needs no second step for a time.
    RememberedDevice,
    /// The token that binds a form of the pages to a session.
    FormToken,
    /// What a visitor has typed into a form of the pages.
    Typed,
}

impl Purpose {
    /// Lists all purposes in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Session,
        Self::SessionData,
        Self::DontRemember,
        Self::AdminSession,
        Self::KnownDevice,
        Self::RememberedDevice,
        Self::FormToken,
        Self::Typed,
    ];

    /// Returns the label of the key (RFC 5869 section 3.2). Sessions keep the label that all
    /// purposes shared in earlier releases, so that an upgrade does not sign any browser out.
    pub(super) fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"countersign/cookie/v1",
            Self::SessionData => b"countersign/cookie/session-data/v1",
            Self::DontRemember => b"countersign/cookie/dont-remember/v1",
            Self::AdminSession => b"countersign/cookie/admin-session/v1",
            Self::KnownDevice => b"countersign/cookie/known-device/v1",
            Self::RememberedDevice => b"countersign/cookie/remembered-device/v1",
            Self::FormToken => b"countersign/form-token/v1",
            Self::Typed => b"countersign/cookie/typed/v1",
        }
    }
}
