//! An event of the audit trail that a database lost because an older backup was restored, read from
//! an export, and what has to be done about it. Pure functions.

use ipnet::IpNet;
use serde_json::Value;

pub use super::deed::{Deed, Topic};
use super::event::{Entry, Kind};
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::limit::block;

/// One event of an export.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The id of the event.
    pub id: EventId,
    /// The user whom it concerned.
    pub subject: Option<UserId>,
    /// The session that it concerned.
    pub session: Option<SessionId>,
    /// The further details, as JSON.
    pub detail: Value,
    /// The whole row, as it stood in the table.
    pub entry: Entry,
}

impl Exported {
    /// Parses a line of `audit export`. Returns `None` if the line is not an event with its
    /// position in a chain and its link.
    pub fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| value[name].as_str();
        let owned = |name: &str| text(name).map(ToOwned::to_owned);
        let detail = value["detail"].clone();
        let entry = Entry {
            id: owned("id")?,
            writer: owned("writer")?,
            sequence: value["sequence"].as_i64()?,
            at: Timestamp::parse(text("at")?)?,
            kind: owned("kind")?,
            actor: owned("actor").unwrap_or_default(),
            subject: owned("subject"),
            session: owned("session"),
            ip_address: owned("ipAddress").unwrap_or_default(),
            user_agent: owned("userAgent").unwrap_or_default(),
            request_id: owned("requestId").unwrap_or_default(),
            detail: detail.to_string(),
            link: owned("link")?,
        };
        let (subject, session) = (
            text("subject").and_then(|id| id.parse().ok()),
            text("session").and_then(|id| id.parse().ok()),
        );
        Some(Self {
            id: entry.id.parse().ok()?,
            subject,
            session,
            detail,
            entry,
        })
    }

    /// Returns what has to be done again.
    pub fn deed(&self) -> Deed {
        let kind = Kind::parse(&self.entry.kind);
        match (kind, self.subject, self.session) {
            (
                Some(Kind::SignedOut | Kind::SessionRevoked | Kind::RefreshTokenReused | Kind::RefreshTokenLost | Kind::ImpersonationStopped),
                _,
                Some(session),
            ) => Deed::EndSession(session),
            (Some(Kind::SignedOut | Kind::SessionRevoked), subject, None) => self.of_many(subject),
            (Some(Kind::UserBanned), Some(user), _) => Deed::Ban(user, self.detail["endsAt"].as_i64().map(Timestamp)),
            (Some(Kind::UserUnbanned), Some(user), _) => Deed::Unban(user),
            (Some(Kind::UserDisabled), Some(user), _) => Deed::Disable(user, true),
            (Some(Kind::UserEnabled), Some(user), _) => Deed::Disable(user, false),
            (Some(Kind::UserDeleted), Some(user), _) => Deed::Delete(user),
            (Some(Kind::RoleChanged), Some(user), _) => match self.detail["role"].as_str() {
                Some(role) => Deed::SetRole(user, role.to_owned()),
                None => Deed::Say("the audit trail does not hold the role; look at `countersign users show`"),
            },
            (Some(Kind::PasswordChanged), Some(user), _) => Deed::EndSessions(
                user,
                "the old password is valid again, and the audit trail does not hold passwords: set one with `countersign users set-password`, or let the user reset it",
            ),
            (Some(Kind::PasswordRequired), Some(user), _) => {
                Deed::EndSessions(user, "the old password is accepted again; run `countersign users require-new-password` for the user again")
            }
            (Some(Kind::PasswordRequired), None, _) => {
                Deed::Say("the old passwords of all users are accepted again; run `countersign users require-new-password --all` again")
            }
            (Some(Kind::FactorEnrolled), Some(user), _) => {
                Deed::EndSessions(user, "the authenticator app of the user is gone; the user has to enrol it again")
            }
            (Some(Kind::FactorRemoved | Kind::FactorsReset), Some(user), _) => {
                Deed::EndSessions(user, "the removed second factor is asked for again; run `countersign users reset-factors` for the user")
            }
            (Some(Kind::PasskeyAdded), Some(_), _) => Deed::Say("the passkey is gone; the user has to make it again"),
            (Some(Kind::PasskeyRemoved), Some(user), _) => Deed::EndSessions(
                user,
                "the removed passkey is good again; the user has to remove it, or run `countersign users reset-factors --passkeys` for the user",
            ),
            (Some(Kind::UpstreamLinked), Some(_), _) => {
                Deed::Say("the link to the identity of another issuer is gone; the user has to connect it again")
            }
            (Some(Kind::UpstreamUnlinked), Some(user), _) => Deed::EndSessions(
                user,
                "the identity of another issuer signs in again; run `countersign users unlink` for the user",
            ),
            (Some(Kind::RecoveryCodeUsed | Kind::RecoveryCodesRenewed), Some(_), _) => {
                Deed::Say("recovery codes that were used or replaced are good again; the user should make new ones")
            }
            (Some(Kind::EmailChanged), Some(user), _) => {
                Deed::EndSessions(user, "the old email address is back, and the audit trail does not hold email addresses: the user has to change it again")
            }
            (Some(Kind::AccountReclaimed), Some(user), _) => Deed::Reclaim { user, forget_profile: self.detail["profile"] == "forgotten" },
            (Some(Kind::NetworkBlocked), _, _) => match (self.network(), self.detail["endsAt"].as_i64()) {
                (Some(network), Some(end)) => Deed::Block(network, Timestamp(end), self.detail["reason"].as_str().unwrap_or_default().to_owned()),
                _ => Deed::Say("the network cannot be read; run `countersign limits block` again"),
            },
            (Some(Kind::NetworkUnblocked), _, _) => match self.network() {
                Some(network) => Deed::Unblock(network),
                None => Deed::Say("the network cannot be read; run `countersign limits unblock` again"),
            },
            (Some(Kind::KeyRevoked), _, _) => Deed::RevokeKeys(revoked_kids(&self.detail)),
            (Some(Kind::UserCreated | Kind::UserInvited), _, _) => Deed::Say("the account is gone; the user has to sign up, or be invited, again"),
            (Some(Kind::EmailVerified), _, _) => Deed::Say("the email address is unverified again; the user has to open a new link"),
            (Some(Kind::UserUpdated), _, _) => Deed::Say("the audit trail does not hold the new values; change them again"),
            (Some(Kind::MasterKeyChanged), _, _) => Deed::Say("the keys are sealed under the former master key; run `countersign keys rewrap` again"),
            (Some(Kind::KeysClosed), _, _) => Deed::Say("keys of an algorithm sign again; run `countersign keys close` again"),
            (Some(Kind::KeyImported), _, _) => Deed::Say("the imported key is gone; run `countersign keys import` again"),
            (Some(Kind::ImportStarted | Kind::ImportFinished), _, _) => Deed::Say("the imported users are gone; run `countersign users import` with the same file again"),
            (Some(Kind::ImportRolledBack), _, _) => Deed::Say("the users of the import are back; run `countersign users rollback` again"),
            (None, _, _) => Deed::Say("this version does not know this kind of event"),
            (Some(Kind::MasterKeyAbandoned), _, _) => {
                Deed::Say("the lost master key counts as current again; with the new master key, run `countersign keys abandon` again")
            }
            (Some(Kind::ClockConfirmed), _, _) => Deed::Say("the time that an operator confirmed is gone; look at `countersign clock show`"),
            // Every kind is named, so that the compiler asks for a decision about a new one.
            (
                // Refusals and notes: no state depends on them.
                Some(
                    Kind::Started
                    | Kind::SignInRefused
                    | Kind::PasswordRefused
                    | Kind::SignedUpAgain
                    | Kind::LinkSent
                    | Kind::RefreshTokenHealed
                    | Kind::RefreshTokenShadowed
                    | Kind::FactorRefused
                    | Kind::PasskeyCloned
                    | Kind::LoginGuessed
                    | Kind::Reapplied
                    // Sessions and links that are lost: the user has to sign in or ask for a link
                    // again, as after any sign-out.
                    | Kind::SignedIn
                    | Kind::SessionSteppedUp
                    | Kind::ImpersonationStarted
                    | Kind::EmailChangeApproved
                    // Counts that came back expire by themselves after their period.
                    | Kind::LimitsCleared
                    // The schedule repeats it without help.
                    | Kind::KeysRotated
                    | Kind::KeysRemoved
                    // Events without the session or the user that they always name.
                    | Kind::RefreshTokenReused
                    | Kind::RefreshTokenLost
                    | Kind::ImpersonationStopped
                    | Kind::UserBanned
                    | Kind::UserUnbanned
                    | Kind::UserDisabled
                    | Kind::UserEnabled
                    | Kind::UserDeleted
                    | Kind::RoleChanged
                    | Kind::PasswordChanged
                    | Kind::EmailChanged
                    | Kind::FactorEnrolled
                    | Kind::FactorRemoved
                    | Kind::FactorsReset
                    | Kind::RecoveryCodeUsed
                    | Kind::RecoveryCodesRenewed
                    | Kind::PasskeyAdded
                    | Kind::PasskeyRemoved
                    | Kind::UpstreamLinked
                    | Kind::UpstreamUnlinked
                    | Kind::AccountReclaimed,
                ),
                _,
                _,
            ) => Deed::Nothing,
        }
    }
}

impl Exported {
    /// Returns the network of a block.
    pub fn network(&self) -> Option<IpNet> {
        block::network(self.detail["network"].as_str()?).ok()
    }

    /// Decides about an event that concerns many sessions: `detail.of` says whose they are
    /// (`flows::session::end_session`).
    fn of_many(&self, subject: Option<UserId>) -> Deed {
        match (self.detail["of"].as_str(), subject) {
            (Some("everybody"), _) => Deed::EndEverything,
            // A session that made room for a newer one.
            (Some("user"), Some(_)) if self.detail["reason"] == "too_many" => Deed::Nothing,
            (Some("user"), Some(user)) => Deed::EndSessions(
                user,
                "this includes sessions that began later and one that the user had kept",
            ),
            (Some("acting"), Some(user)) => Deed::EndActing(user),
            _ => Deed::Nothing,
        }
    }
}

/// Returns the kids in the steps of a key change, as `change_keys::describe` writes them.
fn revoked_kids(detail: &Value) -> Vec<String> {
    let steps = detail["steps"].as_array().cloned().unwrap_or_default();
    steps
        .iter()
        .filter_map(|step| {
            step.as_str()?
                .strip_prefix("revoke ")
                .map(ToOwned::to_owned)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user() -> UserId {
        UserId::random([1; 16])
    }

    fn session() -> SessionId {
        SessionId::at(Timestamp(1_795_219_200_000), [2; 10])
    }

    fn line(kind: &str, subject: bool, of_session: bool, detail: Value) -> Value {
        let mut line = json!({
            "id": EventId::at(Timestamp(1_795_219_200_000), [3; 10]).to_string(),
            "writer": "w",
            "sequence": 5,
            "at": "2026-11-21T00:00:00.000Z",
            "kind": kind,
            "actor": "cli:ana",
            "subject": subject.then(|| user().to_string()),
            "session": of_session.then(|| session().to_string()),
            "ipAddress": "192.0.2.1",
            "userAgent": "curl",
            "requestId": "r",
            "link": "L",
        });
        line["detail"] = detail;
        line
    }

    /// What an event of this kind asks for.
    fn deed(kind: Kind, subject: bool, of_session: bool, detail: Value) -> Deed {
        let line = line(kind.as_str(), subject, of_session, detail);
        Exported::parse(&line.to_string()).unwrap().deed()
    }

    #[test]
    fn a_line_is_read_with_all_its_fields_or_not_at_all() {
        let whole = line("user.banned", true, true, json!({ "a": 1 }));
        let read = Exported::parse(&whole.to_string()).unwrap();
        let expected = Entry {
            id: read.id.to_string(),
            writer: "w".into(),
            sequence: 5,
            at: Timestamp(1_795_219_200_000),
            kind: "user.banned".into(),
            actor: "cli:ana".into(),
            subject: Some(user().to_string()),
            session: Some(session().to_string()),
            ip_address: "192.0.2.1".into(),
            user_agent: "curl".into(),
            request_id: "r".into(),
            detail: r#"{"a":1}"#.into(),
            link: "L".into(),
        };
        assert_eq!(read.entry, expected);
        assert_eq!(
            (read.subject, read.session, read.detail),
            (Some(user()), Some(session()), json!({ "a": 1 }))
        );
        for needed in ["id", "writer", "sequence", "at", "kind", "link"] {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(needed);
            assert_eq!(Exported::parse(&without.to_string()), None, "{needed}");
        }
        assert_eq!(Exported::parse("no JSON"), None);
    }

    #[test]
    fn a_lost_end_of_sessions_ends_as_many_again() {
        use Kind::{
            ImpersonationStopped, RefreshTokenLost, RefreshTokenReused, SessionRevoked, SignedOut,
        };
        for kind in [
            SignedOut,
            SessionRevoked,
            RefreshTokenReused,
            RefreshTokenLost,
            ImpersonationStopped,
        ] {
            assert_eq!(
                deed(kind, true, true, json!({})),
                Deed::EndSession(session())
            );
        }
        for kind in [SignedOut, SessionRevoked] {
            let many = |subject, detail| deed(kind, subject, false, detail);
            assert_eq!(
                many(false, json!({ "of": "everybody" })),
                Deed::EndEverything
            );
            assert_eq!(
                many(true, json!({ "of": "everybody" })),
                Deed::EndEverything
            );
            assert_eq!(
                many(true, json!({ "of": "user", "reason": "too_many" })),
                Deed::Nothing
            );
            let all = many(true, json!({ "of": "user", "reason": "revoked" }));
            assert!(matches!(all, Deed::EndSessions(of, _) if of == user()));
            assert_eq!(
                many(true, json!({ "of": "acting" })),
                Deed::EndActing(user())
            );
            for whom in ["user", "acting"] {
                assert_eq!(many(false, json!({ "of": whom })), Deed::Nothing);
            }
            assert_eq!(many(true, json!({})), Deed::Nothing);
        }
        for kind in [RefreshTokenReused, RefreshTokenLost, ImpersonationStopped] {
            assert_eq!(deed(kind, true, false, json!({})), Deed::Nothing);
        }
    }

    #[test]
    fn a_lost_decision_about_a_user_is_taken_again_where_the_trail_says_which() {
        let of = |kind, detail| deed(kind, true, false, detail);
        assert_eq!(of(Kind::UserBanned, json!({})), Deed::Ban(user(), None));
        assert_eq!(
            of(Kind::UserBanned, json!({ "endsAt": 7 })),
            Deed::Ban(user(), Some(Timestamp(7)))
        );
        assert_eq!(of(Kind::UserUnbanned, json!({})), Deed::Unban(user()));
        assert_eq!(
            of(Kind::UserDisabled, json!({})),
            Deed::Disable(user(), true)
        );
        assert_eq!(
            of(Kind::UserEnabled, json!({})),
            Deed::Disable(user(), false)
        );
        assert_eq!(of(Kind::UserDeleted, json!({})), Deed::Delete(user()));
        assert_eq!(
            of(Kind::RoleChanged, json!({ "role": "admin" })),
            Deed::SetRole(user(), "admin".into())
        );
        assert!(matches!(of(Kind::RoleChanged, json!({})), Deed::Say(_)));
        for kind in [
            Kind::PasswordChanged,
            Kind::PasswordRequired,
            Kind::EmailChanged,
        ] {
            let ended = of(kind, json!({}));
            assert!(matches!(ended, Deed::EndSessions(of, _) if of == user()));
        }
        for (profile, forget_profile) in [("forgotten", true), ("kept", false)] {
            let reclaim = Deed::Reclaim {
                user: user(),
                forget_profile,
            };
            let detail = json!({ "profile": profile });
            assert_eq!(of(Kind::AccountReclaimed, detail), reclaim);
        }
        for kind in [
            Kind::UserBanned,
            Kind::UserUnbanned,
            Kind::UserDisabled,
            Kind::UserEnabled,
            Kind::UserDeleted,
            Kind::RoleChanged,
            Kind::PasswordChanged,
            Kind::EmailChanged,
            Kind::AccountReclaimed,
        ] {
            let without_a_user = deed(kind, false, false, json!({ "role": "admin" }));
            assert_eq!(without_a_user, Deed::Nothing, "{kind:?}");
        }
    }

    #[test]
    fn a_lost_block_or_revocation_is_made_again_and_the_rest_is_told() {
        let of = |kind, detail| deed(kind, false, false, detail);
        let network = || "192.0.2.0/24".parse::<IpNet>().unwrap();
        assert_eq!(
            of(
                Kind::NetworkBlocked,
                json!({ "network": "192.0.2.0/24", "endsAt": 7, "reason": "flood" })
            ),
            Deed::Block(network(), Timestamp(7), "flood".into())
        );
        for detail in [
            json!({ "network": "192.0.2.0/24" }),
            json!({ "network": "x", "endsAt": 7 }),
            json!({ "endsAt": 7 }),
        ] {
            assert!(matches!(of(Kind::NetworkBlocked, detail), Deed::Say(_)));
        }
        assert_eq!(
            of(Kind::NetworkUnblocked, json!({ "network": "192.0.2.0/24" })),
            Deed::Unblock(network())
        );
        assert!(matches!(
            of(Kind::NetworkUnblocked, json!({})),
            Deed::Say(_)
        ));
        let steps = json!({ "steps": ["revoke a", "activate b", "create standby", "revoke c"] });
        assert_eq!(
            of(Kind::KeyRevoked, steps),
            Deed::RevokeKeys(vec!["a".into(), "c".into()])
        );
        for kind in [
            Kind::UserCreated,
            Kind::UserInvited,
            Kind::EmailVerified,
            Kind::UserUpdated,
            Kind::MasterKeyChanged,
            Kind::MasterKeyAbandoned,
            Kind::KeyImported,
            Kind::KeysClosed,
            Kind::ClockConfirmed,
            Kind::ImportStarted,
            Kind::ImportFinished,
            Kind::ImportRolledBack,
        ] {
            assert!(matches!(of(kind, json!({})), Deed::Say(_)), "{kind:?}");
        }
        let unknown = line("user.teleported", true, false, json!({}));
        let unknown = Exported::parse(&unknown.to_string()).unwrap();
        assert!(matches!(unknown.deed(), Deed::Say(_)));
        for kind in [Kind::Started, Kind::SignedIn, Kind::KeysRotated] {
            assert_eq!(of(kind, json!({})), Deed::Nothing, "{kind:?}");
        }
    }

    #[test]
    fn of_two_decisions_about_one_topic_the_later_one_counts() {
        let network = || "192.0.2.0/24".parse::<IpNet>().unwrap();
        let reclaim = Deed::Reclaim {
            user: user(),
            forget_profile: true,
        };
        let (role, ban, disabled, block) = (
            Some(Topic::Role(user())),
            Some(Topic::Ban(user())),
            Some(Topic::Disabled(user())),
            Some(Topic::Network(network())),
        );
        let table: [(Deed, bool, Option<Topic>, &[Kind]); 15] = [
            (
                Deed::SetRole(user(), "x".into()),
                true,
                role,
                &[Kind::RoleChanged],
            ),
            (
                Deed::Ban(user(), None),
                true,
                ban.clone(),
                &[Kind::UserUnbanned],
            ),
            (
                Deed::Unban(user()),
                true,
                ban,
                &[Kind::UserBanned, Kind::UserUnbanned],
            ),
            (
                Deed::Disable(user(), true),
                true,
                disabled,
                &[Kind::UserDisabled, Kind::UserEnabled],
            ),
            (
                Deed::Block(network(), Timestamp(0), String::new()),
                false,
                block.clone(),
                &[Kind::NetworkUnblocked],
            ),
            (
                Deed::Unblock(network()),
                false,
                block,
                &[Kind::NetworkBlocked, Kind::NetworkUnblocked],
            ),
            (Deed::EndSessions(user(), ""), true, None, &[]),
            (Deed::EndActing(user()), true, None, &[]),
            (Deed::Delete(user()), true, None, &[]),
            (reclaim, true, None, &[]),
            (Deed::EndSession(session()), false, None, &[]),
            (Deed::EndEverything, false, None, &[]),
            (Deed::RevokeKeys(vec![]), false, None, &[]),
            (Deed::Say(""), false, None, &[]),
            (Deed::Nothing, false, None, &[]),
        ];
        for (deed, of_user, topic, overruled_by) in table {
            assert_eq!(deed.user(), of_user.then(user), "{deed:?}");
            assert_eq!(deed.topic(), topic, "{deed:?}");
            assert_eq!(deed.overruled_by(), overruled_by, "{deed:?}");
        }
    }
}
