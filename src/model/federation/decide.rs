//! Whose account an identity opens, as a pure function. An identity opens the account of the person behind
//! it and no other; an account that a stranger made beforehand gives the stranger nothing; and a
//! stranger's account does not keep the owner of a mailbox from signing in. Only a mailbox that the issuer
//! proves opens an account by itself.

use super::identity::EmailWord;
use super::refused::Refused;
use crate::model::kernel::id::UserId;

/// Who holds the email address that the issuer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The user with this email address.
    pub user: UserId,
    /// Whether that user's mailbox was verified.
    pub verified: bool,
}

/// What the identity's issuer says of a mailbox, and who holds it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mailbox {
    /// How much the issuer's word counts.
    pub word: EmailWord,
    /// The user who has the email address here.
    pub holder: Option<Holder>,
}

/// Whether an identity without an account may make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUp {
    /// It may.
    Allowed,
    /// The settings or the client do not want it.
    Disabled,
    /// Email addresses of its domain may not sign up.
    DomainNotAllowed,
}

/// The facts that a sign-in depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignIn {
    /// The user to whom the identity is linked.
    pub linked: Option<UserId>,
    /// The mailbox, if the issuer names one.
    pub mailbox: Option<Mailbox>,
    /// Whether it may make an account.
    pub sign_up: SignUp,
}

/// What a sign-in leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The account of the user to whom the identity is linked.
    Linked(UserId),
    /// The verified account with the email address, to which the identity is linked when the gate
    /// opens.
    Link(UserId),
    /// The account that was never verified, of which everything ends first, also a link of the identity.
    Reclaim(UserId),
    /// A new account, verified or not.
    SignUp {
        /// Whether its mailbox counts as verified.
        verified: bool,
    },
    /// Nothing.
    Refused(Refused),
}

/// Decides what a sign-in with an identity leads to.
pub fn sign_in(facts: SignIn) -> Entry {
    if let Some(user) = facts.linked {
        return if is_begun_by_another(facts.mailbox, user) {
            Entry::Reclaim(user)
        } else {
            Entry::Linked(user)
        };
    }
    let Some(Mailbox { word, holder }) = facts.mailbox else {
        return Entry::Refused(Refused::EmailNotFound);
    };
    let is_proven = word == EmailWord::Proven;
    match (holder, facts.sign_up) {
        (Some(_), _) if !is_proven => Entry::Refused(Refused::AccountNotLinked),
        (Some(holder), _) if holder.verified => Entry::Link(holder.user),
        (Some(holder), _) => Entry::Reclaim(holder.user),
        (None, SignUp::Allowed) => Entry::SignUp {
            verified: is_proven,
        },
        (None, SignUp::Disabled) => Entry::Refused(Refused::SignUpDisabled),
        (None, SignUp::DomainNotAllowed) => Entry::Refused(Refused::DomainNotAllowed),
    }
}

/// Returns whether the account of a user was never verified, although the issuer proves its mailbox to be
/// that of the identity: what else opens the account may be a stranger's.
fn is_begun_by_another(mailbox: Option<Mailbox>, user: UserId) -> bool {
    mailbox.is_some_and(|Mailbox { word, holder }| {
        let is_own = |holder: Holder| holder.user == user && !holder.verified;
        word == EmailWord::Proven && holder.is_some_and(is_own)
    })
}

/// The facts that linking an identity to one's own account depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linking {
    /// The user who wants it.
    pub user: UserId,
    /// The user to whom the identity is linked.
    pub linked: Option<UserId>,
    /// How much the issuer's word about a mailbox counts, if it names that of the user.
    pub own_mailbox: Option<EmailWord>,
}

/// What linking leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The identity is linked.
    Done,
    /// The user is asked on a page first: the browser may be signed in at the issuer as another
    /// person.
    Ask,
    /// Nothing.
    Refused(Refused),
}

/// Decides whether an identity is linked to the account of the user who wants it.
pub fn link(facts: Linking) -> Link {
    match (facts.linked, facts.own_mailbox) {
        (Some(user), _) if user == facts.user => Link::Done,
        (Some(_), _) => Link::Refused(Refused::LinkedToDifferentUser),
        (None, Some(EmailWord::Verified | EmailWord::Proven)) => Link::Done,
        (None, Some(EmailWord::Claimed) | None) => Link::Ask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ana() -> UserId {
        UserId::random([1; 16])
    }

    fn eve() -> UserId {
        UserId::random([2; 16])
    }

    fn holders() -> [Option<Holder>; 3] {
        let holder = |verified| {
            Some(Holder {
                user: ana(),
                verified,
            })
        };
        [None, holder(false), holder(true)]
    }

    #[test]
    fn a_linked_identity_opens_its_account_whatever_else_is_said() {
        for holder in holders() {
            for word in EmailWord::ALL {
                for sign_up in [SignUp::Allowed, SignUp::Disabled, SignUp::DomainNotAllowed] {
                    for mailbox in [None, Some(Mailbox { word, holder })] {
                        let facts = SignIn {
                            linked: Some(eve()),
                            mailbox,
                            sign_up,
                        };
                        assert_eq!(sign_in(facts), Entry::Linked(eve()));
                    }
                }
            }
        }
    }

    #[test]
    fn a_linked_identity_that_proves_the_mailbox_of_its_account_ends_what_a_stranger_began() {
        for word in EmailWord::ALL {
            for holder in holders() {
                let facts = SignIn {
                    linked: Some(ana()),
                    mailbox: Some(Mailbox { word, holder }),
                    sign_up: SignUp::Allowed,
                };
                let is_unverified = holder.is_some_and(|holder| !holder.verified);
                let expected = if word == EmailWord::Proven && is_unverified {
                    Entry::Reclaim(ana())
                } else {
                    Entry::Linked(ana())
                };
                assert_eq!(sign_in(facts), expected, "{word:?} {holder:?}");
            }
        }
    }

    #[test]
    fn an_unlinked_identity_opens_an_account_only_by_a_proven_mailbox() {
        let of = |word, holder, sign_up| {
            sign_in(SignIn {
                linked: None,
                mailbox: Some(Mailbox { word, holder }),
                sign_up,
            })
        };
        let [_, unverified, verified] = holders();
        for sign_up in [SignUp::Allowed, SignUp::Disabled, SignUp::DomainNotAllowed] {
            assert_eq!(of(EmailWord::Proven, verified, sign_up), Entry::Link(ana()));
            assert_eq!(
                of(EmailWord::Proven, unverified, sign_up),
                Entry::Reclaim(ana())
            );
            for word in [EmailWord::Claimed, EmailWord::Verified] {
                for holder in [unverified, verified] {
                    let refused = Entry::Refused(Refused::AccountNotLinked);
                    assert_eq!(of(word, holder, sign_up), refused);
                }
            }
        }
        for word in EmailWord::ALL {
            let verified = word == EmailWord::Proven;
            assert_eq!(of(word, None, SignUp::Allowed), Entry::SignUp { verified });
            assert_eq!(
                of(word, None, SignUp::Disabled),
                Entry::Refused(Refused::SignUpDisabled)
            );
            assert_eq!(
                of(word, None, SignUp::DomainNotAllowed),
                Entry::Refused(Refused::DomainNotAllowed)
            );
        }
        let nothing = SignIn {
            linked: None,
            mailbox: None,
            sign_up: SignUp::Allowed,
        };
        assert_eq!(sign_in(nothing), Entry::Refused(Refused::EmailNotFound));
    }

    #[test]
    fn linking_asks_unless_the_issuer_verified_the_users_own_mailbox() {
        let of = |linked, own_mailbox| {
            link(Linking {
                user: ana(),
                linked,
                own_mailbox,
            })
        };
        for word in [
            None,
            Some(EmailWord::Claimed),
            Some(EmailWord::Verified),
            Some(EmailWord::Proven),
        ] {
            assert_eq!(of(Some(ana()), word), Link::Done);
            assert_eq!(
                of(Some(eve()), word),
                Link::Refused(Refused::LinkedToDifferentUser)
            );
        }
        assert_eq!(of(None, Some(EmailWord::Proven)), Link::Done);
        assert_eq!(of(None, Some(EmailWord::Verified)), Link::Done);
        assert_eq!(of(None, Some(EmailWord::Claimed)), Link::Ask);
        assert_eq!(of(None, None), Link::Ask);
    }
}
