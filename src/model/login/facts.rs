//! What the gate is told: the proofs of a user, the account, and what an account can prove; and the
//! steps that it can ask for.

use bitflags::bitflags;

use super::proof::Proofs;
use crate::model::kernel::id::UserId;

/// What one user has proven so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// The user whose proofs these are.
    pub user: UserId,
    /// `users.login_epoch` when the first of them was made.
    pub epoch: i64,
    /// The proofs so far.
    pub proofs: Proofs,
}

/// Whether a user may sign in at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The user may.
    Good,
    /// An admin has banned the user.
    Banned,
    /// The account is disabled.
    Disabled,
}

bitflags! {
    /// What an account can prove.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Factors: u8 {
        /// A password of this service.
        const PASSWORD = 1;
        /// An authenticator app that was confirmed.
        const TOTP = 2;
        /// At least one recovery code.
        const RECOVERY_CODE = 4;
        /// A passkey, whether or not its authenticator verifies its user.
        const PASSKEY = 8;
        /// A passkey whose authenticator verifies its user.
        const VERIFIED_PASSKEY = 16;
    }

    /// What would lead further, each by itself.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Steps: u16 {
        /// The password of the account.
        const PASSWORD = 1;
        /// A link or a code that is sent to the mailbox.
        const MAILBOX = 2;
        /// A code of the authenticator app.
        const TOTP = 4;
        /// One of the recovery codes.
        const RECOVERY_CODE = 8;
        /// A passkey of any kind.
        const PASSKEY = 16;
        /// A passkey whose authenticator verifies its user.
        const VERIFIED_PASSKEY = 32;
        /// A code that is sent to the mailbox, as the second step.
        const MAILED_CODE = 64;
        /// Enrolling an authenticator app.
        const ENROL_TOTP = 128;
        /// Enrolling a new passkey.
        const ENROL_PASSKEY = 256;

        /// What a sign-in that waits can go on with.
        const OF_A_SIGN_IN = Self::TOTP.bits()
            | Self::RECOVERY_CODE.bits()
            | Self::PASSKEY.bits()
            | Self::VERIFIED_PASSKEY.bits()
            | Self::MAILED_CODE.bits()
            | Self::ENROL_TOTP.bits()
            | Self::ENROL_PASSKEY.bits();
    }
}

/// The facts of an account that a sign-in depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The user of the account.
    pub user: UserId,
    /// The `users.login_epoch` of the account now.
    pub epoch: i64,
    /// Whether the user may sign in at all.
    pub standing: Standing,
    /// Whether the user turned two-step sign-in on.
    pub two_step: bool,
    /// Whether the mailbox was verified before.
    pub mailbox_verified: bool,
    /// What the account can prove.
    pub factors: Factors,
}
