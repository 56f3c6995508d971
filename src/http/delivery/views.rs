//! The JSON of users and sessions (contract section 2): null members are present, dates have three
//! fractional digits. `session.token` is the session's id and not a credential, because scripts
//! must not read what HttpOnly hides. No member changes with a refresh.

use serde_json::{Value, json};

use crate::model::account::permission::Powers;
use crate::model::account::user::User;
use crate::model::kernel::id::SessionId;
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::user_agent::device;
use crate::model::session::session::Session;

/// Returns the user, with the fields of the admin plugin.
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
        "twoFactorEnabled": user.two_factor,
    })
}

/// Returns the user of a session, with the roles that apply in it: applications decide by them.
pub(in crate::http) fn session_user(who: &User, powers: &Powers) -> Value {
    let mut view = user(who);
    view["role"] = json!(powers.roles().join(","));
    view
}

/// Returns the user of `GET /session`, with the permissions that the roles give.
pub(in crate::http) fn user_with_permissions(who: &User, powers: &Powers) -> Value {
    let mut view = session_user(who, powers);
    view["permissions"] = json!(powers.granted().collect::<Vec<_>>());
    view
}

/// Returns what the answers of a sign-in and of a refresh say of the session. `absolute_end` is in
/// every answer the same moment: the idle end would tell a thief of a token when the session was
/// used.
pub(in crate::http) fn own_session(id: SessionId, absolute_end: Timestamp) -> Value {
    json!({ "id": id, "expiresAt": absolute_end })
}

/// Returns the session of `GET /session`.
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

/// Returns one session of a list, for people to read; `current` is the session of the request.
pub(in crate::http) fn listed_session(s: &Session, current: Option<SessionId>) -> Value {
    let mut view = client_session(s);
    view["device"] = json!(device(&s.user_agent));
    view["current"] = json!(current == Some(s.id));
    view
}

/// Returns the session as the Better Auth client expects it.
pub(in crate::http) fn client_session(s: &Session) -> Value {
    let mut view = session(s);
    view["token"] = json!(s.id);
    view["impersonatedBy"] = json!(s.impersonated_by);
    view
}
