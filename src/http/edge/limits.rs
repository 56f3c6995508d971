//! The greatest lengths of the parts of a request, in characters unless another unit is named.

/// Longer than any email address that is accepted, so that the specific error is returned.
pub(in crate::http) const MAX_EMAIL: usize = 1_024;
/// A URL to return to.
pub(in crate::http) const MAX_URL: usize = 2_048;
/// Longer than any password that is accepted, so that the specific error is returned.
pub(in crate::http) const MAX_PASSWORD: usize = 16_384;
/// An id in a query string that is only looked up: as long as a URL may be, so that an unknown one
/// is 404 whatever its length.
pub(in crate::http) const MAX_LOOKED_UP_ID: usize = 64 * 1024;
/// The id of a user or of a session.
pub(in crate::http) const MAX_ID: usize = 64;
/// The handle of a session that is to be ended.
pub(in crate::http) const MAX_HANDLE: usize = 256;
/// The roles of a user, joined by commas.
pub(in crate::http) const MAX_ROLES: usize = 1_024;
/// Longer than any token of a known device.
pub(in crate::http) const MAX_DEVICE_TOKEN: usize = 512;
/// Longer than any token of a link in a mail.
pub(in crate::http) const MAX_LINK_TOKEN: usize = 256;
/// Longer than any refresh token.
pub(in crate::http) const MAX_REFRESH_TOKEN: usize = 1_024;
/// Longer than any access token.
pub(in crate::http) const MAX_ACCESS_TOKEN: usize = 16 * 1024;
/// Longer than any error code in the query of a page.
pub(in crate::http) const MAX_CODE: usize = 256;
/// Longer than any audience.
pub(in crate::http) const MAX_AUDIENCE: usize = 1_024;
/// Longer than any key id.
pub(in crate::http) const MAX_KEY_ID: usize = 128;
/// An entry of a short list, a number or a duration.
pub(in crate::http) const MAX_WORD: usize = 64;
/// A text that is searched for or filtered by.
pub(in crate::http) const MAX_FILTER: usize = 1_024;
/// Longer than any sealed state of a ceremony.
pub(in crate::http) const MAX_STATE: usize = 1_024;
/// Longer than any sealed link to an account of another service.
pub(in crate::http) const MAX_SEALED_LINK: usize = 4_096;
/// The name of a passkey.
pub(in crate::http) const MAX_PASSKEY_NAME: usize = 64;
/// A nonce that a client has used at another issuer.
pub(in crate::http) const MAX_NONCE: usize = 1_024;
/// A scope, or another parameter for an issuer.
pub(in crate::http) const MAX_SCOPE: usize = 256;
/// Longer than any authorization code of an issuer.
pub(in crate::http) const MAX_UPSTREAM_CODE: usize = 4_096;
/// What Apple sends of a user at the first sign-in.
pub(in crate::http) const MAX_FIRST_USER: usize = 4_096;
