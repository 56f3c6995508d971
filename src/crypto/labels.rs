//! Labels of the keys that are derived from the master key: each purpose has its own key (RFC 5869
//! section 3.2). The labels of signed cookies are in `cookie_purpose`.

pub(super) const SEAL: &[u8] = b"countersign/seal/v1";
pub(super) const TAG: &[u8] = b"countersign/refresh/tag/v1";
pub(super) const NEXT: &[u8] = b"countersign/refresh/next/v1";
pub(super) const LATE: &[u8] = b"countersign/refresh/late/v1";
pub(super) const MAIL: &[u8] = b"countersign/mail/token/v1";
pub(super) const PRESENTERS: &[u8] = b"countersign/refresh/presenters/v1";
pub(super) const PRESENTER_TAG: &[u8] = b"countersign/refresh/presenter-tag/v1";
pub(super) const CODE: &[u8] = b"countersign/code/v1";
pub(super) const TOTP: &[u8] = b"countersign/totp/v1";
pub(super) const CEREMONY: &[u8] = b"countersign/ceremony/v1";
pub(super) const UPSTREAM: &[u8] = b"countersign/upstream/v1";
pub(super) const DECOY: &[u8] = b"countersign/decoy/v1";
pub(super) const ID: &[u8] = b"countersign/master-key/id/v1";
