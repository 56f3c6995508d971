//! What is done about one row of an import. The decision is pure: `flows::import` collects what is
//! known about the row's user, and carries the verdict out.

use super::candidate::Candidate;
use super::policy::{OnDuplicate, Policy};
use super::reason::{Note, Reason};
use crate::model::account::email::Email;
use crate::model::kernel::id::UserId;

/// A user here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Id of the user.
    pub id: UserId,
    /// Email address in canonical form.
    pub email: Email,
    /// Whether the user has proven access to the mailbox.
    pub email_verified: bool,
}

/// What became of the row's password hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HashFound {
    /// The row has none.
    #[default]
    None,
    /// It is understood, and of this kind.
    Usable(&'static str),
    /// Verifying it would cost too much.
    TooCostly,
    /// It is not understood.
    Refused(Reason),
}

/// What is here of the row's user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Existing {
    /// The user who came from the same source with the same id.
    pub by_foreign_id: Option<Known>,
    /// The user with the email address.
    pub by_email: Option<Known>,
    /// Whether a user, or the row of a deleted one, has the id that the row's user would keep.
    pub id_is_taken: bool,
    /// Those of the row's accounts that are linked here: the provider, and to whom.
    pub linked: Vec<(String, UserId)>,
    /// What became of the password hash.
    pub hash: HashFound,
    /// Why the row is refused because of another row of the file.
    pub repeated: Option<Reason>,
}

/// How a user is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// The id that the user keeps; `None` for a new one.
    pub kept_id: Option<UserId>,
    /// Whether the mailbox counts as verified.
    pub email_verified: bool,
    /// Role names, joined by commas.
    pub role: String,
    /// What of the row is left behind.
    pub notes: Vec<Note>,
}

/// What is done about a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The user is created.
    Create(Creation),
    /// The user came with an earlier import.
    Unchanged(UserId, Vec<Note>),
    /// The user here gets the foreign id and the accounts at providers.
    Link(UserId),
    /// The row is left out, as the operator asked.
    Skip(Reason),
    /// The row is refused.
    Refuse(Reason),
}

impl Verdict {
    /// Returns the word that reports show.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Unchanged(..) => "unchanged",
            Self::Link(_) => "link",
            Self::Skip(_) => "skip",
            Self::Refuse(_) => "refuse",
        }
    }

    /// Returns why, and what of the row is left behind; may be empty.
    pub fn reason(&self) -> String {
        let notes = match self {
            Self::Skip(reason) | Self::Refuse(reason) => return reason.to_string(),
            Self::Link(_) => return String::new(),
            Self::Create(Creation { notes, .. }) | Self::Unchanged(_, notes) => notes,
        };
        let notes: Vec<String> = notes.iter().map(Note::to_string).collect();
        notes.join("; ")
    }
}

/// Decides about a row.
pub fn judge(candidate: &Candidate, existing: &Existing, policy: &Policy) -> Verdict {
    if let Some(reason) = &existing.repeated {
        return Verdict::Refuse(reason.clone());
    }
    if let Some(known) = &existing.by_foreign_id {
        let differs = known.email != candidate.email;
        let notes = differs.then_some(Note::EmailDiffers).into_iter().collect();
        return Verdict::Unchanged(known.id, notes);
    }
    let decided = match &existing.by_email {
        Some(_) if policy.on_duplicate == OnDuplicate::Skip => {
            return Verdict::Skip(Reason::EmailTaken);
        }
        Some(_) if policy.on_duplicate == OnDuplicate::Refuse => Err(Reason::EmailTaken),
        Some(known) => link(candidate, known, existing, policy),
        None => create(candidate, existing, policy),
    };
    decided.unwrap_or_else(Verdict::Refuse)
}

/// Links the row to a user here. Only where both sides have verified the mailbox is it certain that
/// they are one person.
fn link(
    candidate: &Candidate,
    known: &Known,
    existing: &Existing,
    policy: &Policy,
) -> Result<Verdict, Reason> {
    keep_second_factor(candidate, policy)?;
    if !known.email_verified {
        return Err(Reason::NotVerifiedHere);
    }
    if !(candidate.email_verified && policy.trust_verified) {
        return Err(Reason::NotVerifiedThere);
    }
    if candidate.ban.is_some() || candidate.disabled {
        return Err(Reason::BannedThere);
    }
    check_accounts(candidate, existing, policy, Some(known.id))?;
    Ok(Verdict::Link(known.id))
}

fn create(candidate: &Candidate, existing: &Existing, policy: &Policy) -> Result<Verdict, Reason> {
    keep_second_factor(candidate, policy)?;
    if existing.id_is_taken {
        return Err(Reason::IdTaken);
    }
    check_accounts(candidate, existing, policy, None)?;
    if let HashFound::Refused(reason) = &existing.hash {
        return Err(reason.clone());
    }
    let (role, unmapped) = policy.roles_of(&candidate.roles);
    let mut notes = candidate.notes.clone();
    notes.extend(unmapped.into_iter().map(Note::RoleNotMapped));
    if candidate.second_factor {
        notes.push(Note::SecondFactorDropped);
    }
    if existing.hash == HashFound::TooCostly {
        notes.push(Note::HashTooCostly);
    }
    Ok(Verdict::Create(Creation {
        kept_id: candidate.kept_id,
        email_verified: candidate.email_verified && policy.trust_verified,
        role,
        notes,
    }))
}

/// Refuses to take the user's second factor away, unless the operator asked for it.
fn keep_second_factor(candidate: &Candidate, policy: &Policy) -> Result<(), Reason> {
    if candidate.second_factor && !policy.without_second_factor {
        Err(Reason::SecondFactor)
    } else {
        Ok(())
    }
}

/// Refuses accounts that could not open this user's account, or that open another one.
fn check_accounts(
    candidate: &Candidate,
    existing: &Existing,
    policy: &Policy,
    user: Option<UserId>,
) -> Result<(), Reason> {
    let unknown = candidate
        .accounts
        .iter()
        .find(|account| !policy.issuers.contains_key(&account.provider));
    if let Some(account) = unknown {
        return Err(Reason::UnknownProvider(account.provider.to_string()));
    }
    let taken = existing
        .linked
        .iter()
        .find(|(_, owner)| Some(*owner) != user);
    match taken {
        Some((provider, _)) => Err(Reason::AccountTaken(provider.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::import::draft::{Draft, DraftBan, Factors};
    use crate::model::import::reason::Place;

    fn id(n: u8) -> UserId {
        UserId::random([n; 16])
    }

    fn known(n: u8, email_verified: bool) -> Known {
        Known {
            id: id(n),
            email: "ana@example.com".parse().unwrap(),
            email_verified,
        }
    }

    fn candidate(change: impl FnOnce(&mut Draft)) -> Candidate {
        let mut draft = Draft {
            id: "auth0|1".into(),
            email: "ana@example.com".into(),
            email_verified: true,
            accounts: vec![("google".into(), "10".into())],
            ..Draft::default()
        };
        change(&mut draft);
        draft.check(Place { number: 1, line: 1 }).unwrap()
    }

    fn policy(on_duplicate: OnDuplicate) -> Policy {
        Policy {
            on_duplicate,
            trust_verified: true,
            issuers: [(
                "google".parse().unwrap(),
                "https://accounts.google.com".into(),
            )]
            .into(),
            ..Policy::default()
        }
    }

    fn here(email_verified: bool) -> Existing {
        Existing {
            by_email: Some(known(1, email_verified)),
            ..Existing::default()
        }
    }

    fn created(candidate: &Candidate, existing: &Existing, policy: &Policy) -> Creation {
        match judge(candidate, existing, policy) {
            Verdict::Create(creation) => creation,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_user_keeps_the_id_and_gets_what_the_operator_allows() {
        let policy = policy(OnDuplicate::Refuse);
        let nothing = Existing::default();
        let plain = candidate(|d| d.roles = vec!["admin".into()]);
        let creation = created(&plain, &nothing, &policy);
        assert_eq!(creation.kept_id, "auth0|1".parse().ok());
        assert!(creation.email_verified);
        assert_eq!(creation.role, "user");
        assert_eq!(creation.notes, [Note::RoleNotMapped("admin".into())]);
        let untrusted = Policy {
            trust_verified: false,
            ..policy.clone()
        };
        assert!(!created(&plain, &nothing, &untrusted).email_verified);
        let unproven = candidate(|d| d.email_verified = false);
        assert!(!created(&unproven, &nothing, &policy).email_verified);
        let mapped = Policy {
            roles: [("admin".to_owned(), "admin".to_owned())].into(),
            ..policy
        };
        assert_eq!(created(&plain, &nothing, &mapped).role, "admin");
    }

    /// Each line: what is here, what the row says, the choice for duplicates, and the verdict.
    #[test]
    fn an_email_address_that_is_known_is_refused_skipped_or_linked() {
        use OnDuplicate::{Link, Refuse, Skip};
        type Row = fn(&mut Draft);
        let plain: Row = |_| {};
        let unproven: Row = |d| d.email_verified = false;
        let banned: Row = |d| d.ban = Some(DraftBan::default());
        let disabled: Row = |d| d.disabled = true;
        let two: Row = |d| d.factors = Factors::Two;
        let facebook: Row = |d| d.accounts.push(("facebook".into(), "1".into()));
        let table: [(bool, Row, OnDuplicate, &str, &str); 12] = [
            (true, plain, Refuse, "refuse", "email_taken"),
            (false, plain, Refuse, "refuse", "email_taken"),
            (true, plain, Skip, "skip", "email_taken"),
            (false, two, Skip, "skip", "email_taken"),
            (true, plain, Link, "link", ""),
            (false, plain, Link, "refuse", "not_verified_here"),
            (true, unproven, Link, "refuse", "not_verified_there"),
            (true, banned, Link, "refuse", "banned_there"),
            (true, disabled, Link, "refuse", "banned_there"),
            (true, two, Link, "refuse", "second_factor"),
            (true, facebook, Link, "refuse", "unknown_provider: facebook"),
            (true, two, Refuse, "refuse", "email_taken"),
        ];
        for (proven, row, on_duplicate, word, reason) in table {
            let verdict = judge(&candidate(row), &here(proven), &policy(on_duplicate));
            assert_eq!((verdict.word(), verdict.reason().as_str()), (word, reason));
        }
        let untrusted = Policy {
            trust_verified: false,
            ..policy(Link)
        };
        let verdict = judge(&candidate(plain), &here(true), &untrusted);
        assert_eq!(verdict, Verdict::Refuse(Reason::NotVerifiedThere));
    }

    #[test]
    fn a_user_who_came_before_is_left_as_it_is() {
        let earlier = |email: &str| Existing {
            by_foreign_id: Some(Known {
                email: email.parse().unwrap(),
                ..known(1, false)
            }),
            by_email: Some(known(1, false)),
            id_is_taken: true,
            linked: vec![("google".into(), id(1))],
            hash: HashFound::Refused(Reason::UnsupportedHash("x".into())),
            repeated: None,
        };
        for choice in OnDuplicate::ALL {
            let row = candidate(|d| d.factors = Factors::Two);
            let same = judge(&row, &earlier("ana@example.com"), &policy(choice));
            assert_eq!(same, Verdict::Unchanged(id(1), vec![]));
            let moved = judge(&row, &earlier("new@example.com"), &policy(choice));
            assert_eq!(moved.reason(), "email_differs");
            let repeated = Existing {
                repeated: Some(Reason::RepeatedEmail(9)),
                ..earlier("ana@example.com")
            };
            let verdict = judge(&row, &repeated, &policy(choice));
            assert_eq!(verdict, Verdict::Refuse(Reason::RepeatedEmail(9)));
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_not_taken() {
        let policy = policy(OnDuplicate::Link);
        let row = candidate(|_| {});
        let taken = Existing {
            id_is_taken: true,
            ..Existing::default()
        };
        assert_eq!(
            judge(&row, &taken, &policy),
            Verdict::Refuse(Reason::IdTaken)
        );
        let linked = |n, by_email| Existing {
            linked: vec![("google".into(), id(n))],
            by_email,
            ..Existing::default()
        };
        let refused = Verdict::Refuse(Reason::AccountTaken("google".into()));
        assert_eq!(judge(&row, &linked(2, None), &policy), refused);
        let me = Some(known(1, true));
        assert_eq!(judge(&row, &linked(2, me.clone()), &policy), refused);
        assert_eq!(judge(&row, &linked(1, me), &policy), Verdict::Link(id(1)));
    }

    #[test]
    fn a_second_factor_is_dropped_only_by_its_flag_and_noted() {
        let row = candidate(|d| d.factors = Factors::Two);
        let strict = policy(OnDuplicate::Refuse);
        let nothing = Existing::default();
        assert_eq!(
            judge(&row, &nothing, &strict),
            Verdict::Refuse(Reason::SecondFactor)
        );
        let without = Policy {
            without_second_factor: true,
            ..strict
        };
        let creation = created(&row, &nothing, &without);
        assert_eq!(creation.notes, [Note::SecondFactorDropped]);
    }

    #[test]
    fn a_hash_that_is_not_understood_refuses_its_row_and_a_costly_one_is_left_behind() {
        let policy = policy(OnDuplicate::Refuse);
        let with = |hash| Existing {
            hash,
            ..Existing::default()
        };
        let row = candidate(|_| {});
        let reason = Reason::UnsupportedHash("lanman".into());
        let verdict = judge(&row, &with(HashFound::Refused(reason.clone())), &policy);
        assert_eq!(verdict, Verdict::Refuse(reason));
        let costly = created(&row, &with(HashFound::TooCostly), &policy);
        assert_eq!(costly.notes, [Note::HashTooCostly]);
        let usable = created(&row, &with(HashFound::Usable("bcrypt")), &policy);
        assert!(usable.notes.is_empty());
    }
}
