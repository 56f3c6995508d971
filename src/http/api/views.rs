//! Shapes of users and sessions on the wire (contract section 2): nulls present, dates with three
//! digits. `session.token` is the session's handle and no credential: script must not read what
//! HttpOnly hides. Nothing here moves with a refresh.

use serde_json::{Value, json};

use crate::model::account::permission::Powers;
use crate::model::account::user::User;
use crate::model::kernel::id::SessionId;
use crate::model::kernel::user_agent::device;
use crate::model::session::session::Session;

/// The user, with the fields of the admin plugin.
pub(in crate::http) fn user(user: &User) -> Value {
    json!({
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "emailVerified": user.email_verified,
        "image": user.image,
        "createdAt": user.created_at,
        "updatedAt": user.updated_at,
        "role": user.role,
        "banned": user.banned,
        "banReason": user.ban_reason,
        "banExpires": user.ban_expires_at,
    })
}

/// The user of a session, with the roles that count in it: applications decide by them.
pub(in crate::http) fn session_user(who: &User, powers: &Powers) -> Value {
    let mut view = user(who);
    view["role"] = json!(powers.roles().join(","));
    view
}

/// The user of `GET /session`, who also learns what the roles allow.
pub(in crate::http) fn user_with_permissions(who: &User, powers: &Powers) -> Value {
    let mut view = session_user(who, powers);
    view["permissions"] = json!(powers.granted().collect::<Vec<_>>());
    view
}

/// The session of `GET /session`.
pub(in crate::http) fn session(session: &Session) -> Value {
    json!({
        "id": session.id,
        "userId": session.user_id,
        "expiresAt": session.expires_at,
        "createdAt": session.created_at,
        "updatedAt": session.updated_at,
        "ipAddress": session.ip_address,
        "userAgent": session.user_agent,
    })
}

/// One of a list, for people to read; `current` is the one that asks.
pub(in crate::http) fn listed_session(s: &Session, current: Option<SessionId>) -> Value {
    let mut view = client_session(s);
    view["device"] = json!(device(&s.user_agent));
    view["current"] = json!(current == Some(s.id));
    view
}

/// The session as the Better Auth client knows it.
pub(in crate::http) fn client_session(s: &Session) -> Value {
    let mut view = session(s);
    view["token"] = json!(s.id);
    view["impersonatedBy"] = json!(s.impersonated_by);
    view
}
