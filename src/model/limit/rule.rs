//! What is limited, one rule for each kind of action and the party that it is counted by.

/// What is limited. The name is part of keys and of the header `RateLimit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Failed passwords of an account from one network.
    SignIn,
    /// Failed passwords from a device that has signed in to the account before; those of strangers
    /// do not count here.
    SignInDevice,
    /// Failed passwords from all such devices together.
    SignInDevices,
    /// The password of a signed-in user, asked for again in one session.
    Confirm,
    /// Failed passwords of an account from all networks together.
    SignInAccount,
    /// Failed passwords from one network.
    SignInNetwork,
    /// Successful sign-ins of an account from one network; each opens a session.
    SignInSuccess,
    /// Wrong codes at the second step of an account from one network.
    SecondFactor,
    /// Wrong codes at the second step from a device that has signed in to the account before.
    SecondFactorDevice,
    /// Wrong codes at the second step of an account from all networks together.
    SecondFactorAccount,
    /// Wrong codes of mails for an email address from one network.
    EmailCode,
    /// Wrong codes of mails from a device that has signed in to the account before.
    EmailCodeDevice,
    /// Wrong codes of mails for an email address from all networks together.
    EmailCodeAccount,
    /// Requests for a code at an email address, from one network or from a known device.
    CodeRequest,
    /// Requests for codes from one network.
    CodeNetwork,
    /// Mails with a code to an email address; those that a known device requests count apart.
    CodeRecipient,
    /// New accounts from one network.
    SignUp,
    /// Requests for mails to an email address.
    MailAddress,
    /// Mails of one kind to an email address, whatever caused them.
    MailRecipient,
    /// Requests for mails from one network.
    MailNetwork,
    /// Access tokens that are minted for a session.
    Mint,
}

impl Rule {
    /// Lists all rules, in the order of their declaration.
    pub const ALL: [Self; 21] = [
        Self::SignIn,
        Self::SignInDevice,
        Self::SignInDevices,
        Self::Confirm,
        Self::SignInAccount,
        Self::SignInNetwork,
        Self::SignInSuccess,
        Self::SecondFactor,
        Self::SecondFactorDevice,
        Self::SecondFactorAccount,
        Self::EmailCode,
        Self::EmailCodeDevice,
        Self::EmailCodeAccount,
        Self::CodeRequest,
        Self::CodeNetwork,
        Self::CodeRecipient,
        Self::SignUp,
        Self::MailAddress,
        Self::MailRecipient,
        Self::MailNetwork,
        Self::Mint,
    ];

    /// Returns the name of the rule.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignInDevice => "sign-in-device",
            Self::SignInDevices => "sign-in-devices",
            Self::Confirm => "confirm",
            Self::SignInAccount => "sign-in-account",
            Self::SignInNetwork => "sign-in-network",
            Self::SignInSuccess => "sign-in-success",
            Self::SecondFactor => "second-factor",
            Self::SecondFactorDevice => "second-factor-device",
            Self::SecondFactorAccount => "second-factor-account",
            Self::EmailCode => "email-code",
            Self::EmailCodeDevice => "email-code-device",
            Self::EmailCodeAccount => "email-code-account",
            Self::CodeRequest => "code-request",
            Self::CodeNetwork => "code-network",
            Self::CodeRecipient => "code-recipient",
            Self::SignUp => "sign-up",
            Self::MailAddress => "mail-address",
            Self::MailRecipient => "mail-recipient",
            Self::MailNetwork => "mail-network",
            Self::Mint => "token",
        }
    }

    pub(super) fn grows(self) -> bool {
        match self {
            Self::SignIn
            | Self::SignInDevice
            | Self::SignInDevices
            | Self::Confirm
            | Self::SignInAccount
            | Self::SecondFactor
            | Self::SecondFactorDevice
            | Self::SecondFactorAccount
            | Self::EmailCode
            | Self::EmailCodeDevice
            | Self::EmailCodeAccount => true,
            Self::SignInNetwork
            | Self::SignInSuccess
            | Self::CodeRequest
            | Self::CodeNetwork
            | Self::CodeRecipient
            | Self::SignUp
            | Self::MailAddress
            | Self::MailRecipient
            | Self::MailNetwork
            | Self::Mint => false,
        }
    }
}
