//! Every permission × every kind of caller × every route. The permissions come from the catalogue
//! of actions and the routes from the routers' own lists, so that a new one of either without a row
//! here fails.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use countersign::flows::session::form_token;
use countersign::model::account::action::Action;
use regex::Regex;
use serde_json::json;

use super::admin::{ask, id, made_admin, set_role};
use super::impersonation::act;
use crate::support::{Answer, TestApp, Tokens, User};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    /// Anyone: it asks for no session, or shows only what the caller sent.
    Open,
    /// Who holds the permission.
    Needs(Action),
    /// Any signed-in user, about require_not_impersonated; also an actor who acts as the user.
    Own,
    /// Any signed-in user, about require_not_impersonated, but no actor.
    OwnAlone,
    /// Any signed-in user, about require_not_impersonated; an actor who holds the permission for others.
    OwnOr(Action),
}

use Action as A;
use Rule::{Needs, Open, Own, OwnAlone, OwnOr};

const ROUTES: [(&str, Rule); 159] = [
    ("GET /ok", Open),
    ("POST /sign-up/email", Open),
    ("POST /sign-in/email", Open),
    ("POST /sign-out", Open),
    ("POST /change-password", OwnAlone),
    ("GET /error", Open),
    ("POST /send-verification-email", Open),
    ("GET /verify-email", Open),
    ("POST /verify-email", Open),
    ("POST /change-email", OwnAlone),
    ("POST /delete-user", OwnAlone),
    ("GET /delete-user/callback", OwnAlone),
    ("POST /delete-user/callback", OwnAlone),
    ("POST /request-password-reset", Open),
    ("POST /reset-password", Open),
    ("GET /reset-password/{token}", Open),
    ("POST /reset-password/{token}", Open),
    ("POST /update-user", OwnOr(A::UpdateUser)),
    ("POST /verify-password", OwnAlone),
    ("POST /step-up", OwnAlone),
    ("POST /step-up/password", OwnAlone),
    ("POST /two-factor/enable", OwnAlone),
    ("POST /two-factor/get-totp-uri", OwnAlone),
    // Without a session they finish a pending sign-in; an actor is refused in the test of its own.
    ("POST /two-factor/verify-totp", Open),
    ("POST /two-factor/verify-backup-code", Open),
    ("POST /two-factor/generate-backup-codes", OwnAlone),
    ("POST /two-factor/disable", OwnAlone),
    ("POST /two-factor/send-otp", Open),
    ("POST /two-factor/verify-otp", Open),
    ("POST /two-factor/verify-password", Open),
    ("GET /passkey/generate-register-options", OwnAlone),
    // Without a session it goes on with a pending sign-in; an actor is refused in the test of its own.
    ("POST /passkey/verify-registration", Open),
    ("GET /passkey/generate-authenticate-options", Open),
    ("POST /passkey/verify-authentication", Open),
    ("GET /passkey/list-user-passkeys", Own),
    ("POST /passkey/update-passkey", OwnAlone),
    ("POST /passkey/delete-passkey", OwnAlone),
    ("GET /passkey/signals", Own),
    ("POST /sign-in/magic-link", Open),
    ("GET /magic-link/verify", Open),
    ("POST /magic-link/verify", Open),
    ("POST /sign-in/email-otp", Open),
    ("POST /email-otp/send-verification-otp", Open),
    ("POST /email-otp/check-verification-otp", Open),
    ("POST /email-otp/verify-email", Open),
    ("POST /email-otp/request-password-reset", Open),
    ("POST /forget-password/email-otp", Open),
    ("POST /email-otp/reset-password", Open),
    ("POST /email-otp/request-email-change", OwnAlone),
    ("POST /email-otp/change-email", OwnAlone),
    ("POST /sign-in/social", Open),
    ("GET /callback/{id}", Open),
    ("POST /callback/{id}", Open),
    ("POST /upstream/{id}/logout", Open),
    ("POST /link-social", OwnAlone),
    ("GET /list-accounts", Own),
    ("POST /unlink-account", OwnAlone),
    ("GET /account-info", Own),
    ("POST /get-access-token", Own),
    ("POST /refresh-token", Own),
    ("POST /update-session", Own),
    ("GET /admin/list-users", Needs(A::ListUsers)),
    ("GET /admin/get-user", Needs(A::GetUser)),
    ("POST /admin/create-user", Needs(A::CreateUser)),
    ("POST /admin/update-user", Needs(A::UpdateUser)),
    ("POST /admin/invite-user", Needs(A::CreateUser)),
    ("GET /admin/audit", Needs(A::ReadAudit)),
    ("POST /admin/set-role", Needs(A::SetRole)),
    ("POST /admin/ban-user", Needs(A::BanUser)),
    ("POST /admin/unban-user", Needs(A::BanUser)),
    ("POST /admin/remove-user", Needs(A::DeleteUser)),
    ("POST /admin/set-user-password", Needs(A::SetPassword)),
    ("POST /admin/reset-factors", Needs(A::ResetFactors)),
    ("POST /admin/list-user-sessions", Needs(A::ListSessions)),
    ("POST /admin/revoke-user-session", Needs(A::RevokeSessions)),
    ("POST /admin/revoke-user-sessions", Needs(A::RevokeSessions)),
    ("POST /admin/has-permission", Own),
    ("POST /admin/impersonate-user", Needs(A::Impersonate)),
    // Asks whether one acts as another, not what one may do.
    ("POST /admin/stop-impersonating", Open),
    ("GET /session", Own),
    ("GET /get-session", Own),
    ("POST /get-session", Own),
    ("GET /list-sessions", Own),
    ("POST /revoke-session", OwnOr(A::RevokeSessions)),
    ("POST /revoke-sessions", OwnOr(A::RevokeSessions)),
    ("POST /revoke-other-sessions", OwnOr(A::RevokeSessions)),
    ("GET /token", Own),
    ("POST /refresh", Open),
    ("POST /oauth2/token", Open),
    ("POST /oauth2/revoke", Open),
    ("GET /", Open),
    ("GET /auth", Open),
    ("GET /auth/sign-in", Open),
    ("POST /auth/sign-in", Open),
    ("GET /auth/sign-in/email", Open),
    ("POST /auth/sign-in/email", Open),
    ("POST /auth/sign-in/code", Open),
    ("POST /auth/sign-in/with", Open),
    ("POST /auth/challenge/send", Open),
    ("POST /auth/challenge/enrol", Open),
    ("GET /auth/challenge", Open),
    ("POST /auth/challenge", Open),
    ("GET /auth/sign-up", Open),
    ("POST /auth/sign-up", Open),
    ("POST /auth/sign-out", Open),
    ("GET /auth/forgot-password", Open),
    ("POST /auth/forgot-password", Open),
    ("GET /auth/reset-password", Open),
    ("POST /auth/reset-password", Open),
    ("GET /auth/verify-email", Open),
    ("POST /auth/verify-email", Open),
    ("POST /auth/password-strength", Open),
    ("GET /auth/account", Own),
    ("POST /auth/account/name", OwnOr(A::UpdateUser)),
    ("POST /auth/account/verify", Own),
    ("POST /auth/account/email", OwnAlone),
    ("POST /auth/account/password", OwnAlone),
    ("POST /auth/account/sessions/end", OwnOr(A::RevokeSessions)),
    (
        "POST /auth/account/sessions/end-others",
        OwnOr(A::RevokeSessions),
    ),
    ("POST /auth/account/delete", OwnAlone),
    ("GET /auth/account/connect", OwnAlone),
    ("POST /auth/account/connect", OwnAlone),
    ("POST /auth/account/connections/connect", OwnAlone),
    ("POST /auth/account/connections/disconnect", OwnAlone),
    ("GET /auth/account/security", OwnAlone),
    ("GET /auth/step-up", OwnAlone),
    ("POST /auth/step-up", OwnAlone),
    ("POST /auth/step-up/send", OwnAlone),
    ("POST /auth/account/security/begin", OwnAlone),
    ("POST /auth/account/security/confirm", OwnAlone),
    ("POST /auth/account/security/by-mail", OwnAlone),
    ("POST /auth/account/security/send", OwnAlone),
    ("POST /auth/account/security/prove", OwnAlone),
    ("POST /auth/account/security/codes", OwnAlone),
    ("POST /auth/account/security/turn-off", OwnAlone),
    ("POST /auth/account/security/passkeys/rename", OwnAlone),
    ("POST /auth/account/security/passkeys/delete", OwnAlone),
    // Leads to the first page of the console that the caller may see.
    ("GET /auth/admin", Open),
    ("GET /auth/admin/users", Needs(A::ListUsers)),
    ("GET /auth/admin/users/{id}", Needs(A::GetUser)),
    ("POST /auth/admin/users/{id}/role", Needs(A::SetRole)),
    ("POST /auth/admin/users/{id}/ban", Needs(A::BanUser)),
    ("POST /auth/admin/users/{id}/unban", Needs(A::BanUser)),
    ("POST /auth/admin/users/{id}/disable", Needs(A::DisableUser)),
    ("POST /auth/admin/users/{id}/enable", Needs(A::DisableUser)),
    (
        "POST /auth/admin/users/{id}/send-reset",
        Needs(A::UpdateUser),
    ),
    (
        "POST /auth/admin/users/{id}/send-verification",
        Needs(A::UpdateUser),
    ),
    ("POST /auth/admin/users/{id}/metadata", Needs(A::UpdateUser)),
    ("POST /auth/admin/users/{id}/delete", Needs(A::DeleteUser)),
    ("POST /auth/admin/users/{id}/act-as", Needs(A::Impersonate)),
    // Asks whether one acts as another, not what one may do.
    ("POST /auth/admin/stop-acting", Open),
    (
        "POST /auth/admin/users/{id}/sessions/end",
        Needs(A::RevokeSessions),
    ),
    (
        "POST /auth/admin/users/{id}/sessions/end-all",
        Needs(A::RevokeSessions),
    ),
    ("GET /auth/admin/keys", Needs(A::ListKeys)),
    ("POST /auth/admin/keys/rotate", Needs(A::RotateKeys)),
    ("GET /auth/admin/keys/{kid}/revoke", Needs(A::RevokeKeys)),
    ("POST /auth/admin/keys/{kid}/revoke", Needs(A::RevokeKeys)),
    ("GET /auth/admin/audit", Needs(A::ReadAudit)),
    ("GET /auth/error", Open),
];

/// `METHOD path` of every route, as the routers list them.
pub(super) fn routes() -> Vec<String> {
    let api = include_str!("../../../src/http/mod.rs");
    let api = &api[api.find("let api =").unwrap()..api.find("let open =").unwrap()];
    let pages = include_str!("../../../src/http/pages/mod.rs");
    let pages = &pages[..pages.find("fn assets()").unwrap()];
    let route = Regex::new(r#"\.route\(\s*(?:&at\()?"([^"]+)"\)?,\s*([^\n]+)"#).unwrap();
    let method = Regex::new(r"\b(get|post|put|patch|delete)\(").unwrap();
    let mut found = Vec::new();
    for line in [api, pages]
        .iter()
        .flat_map(|text| route.captures_iter(text))
    {
        if line[1].contains("{*rest}") {
            continue;
        }
        let methods: Vec<_> = method.captures_iter(&line[2]).collect();
        assert!(!methods.is_empty(), "{}", &line[0]);
        found.extend(
            methods
                .iter()
                .map(|m| format!("{} {}", m[1].to_uppercase(), &line[1])),
        );
    }
    found
}

#[test]
fn every_route_has_a_row_in_the_matrix() {
    let rows: BTreeMap<&str, Rule> = ROUTES.into_iter().collect();
    assert_eq!(rows.len(), ROUTES.len(), "a row stands twice");
    let (mut listed, mut known) = (
        routes(),
        rows.keys().map(ToString::to_string).collect::<Vec<_>>(),
    );
    listed.sort();
    known.sort();
    assert_eq!(listed, known);
}

/// A user that is not there: what is allowed changes nothing.
const STRANGER: &str = "00000000-0000-4000-8000-000000000000";

async fn call(app: &TestApp, caller: &Tokens, route: &str) -> Answer {
    let (method, path) = route.split_once(' ').unwrap();
    let is_page = path == "/" || path.starts_with("/auth");
    let path = if is_page {
        path.replace("{id}", STRANGER).replace("{kid}", "none")
    } else {
        format!("/api/auth{path}")
    };
    let request = Request::builder()
        .method(method)
        .header("authorization", format!("Bearer {}", caller.session));
    let request = match (method, is_page) {
        ("POST", true) => {
            let csrf = form_token::of(&app.app, caller.session_id.parse().unwrap()).unwrap();
            let fields = [
                ("csrf", csrf.as_str()),
                ("role", "user"),
                ("active", "none"),
                ("session", STRANGER),
                ("metadata", "{}"),
                ("reason", "leaked"),
            ];
            let body = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish();
            request
                .uri(path)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(body))
        }
        ("POST", false) => {
            let body = json!({ "userId": STRANGER, "role": "user", "newPassword": "another good password", "sessionToken": STRANGER, "token": STRANGER,
                               "data": { "name": "New" }, "permissions": {}, "redirectTo": "/x" });
            request
                .uri(path)
                .header("content-type", "application/json")
                .body(Body::from(body.to_string()))
        }
        _ => request
            .uri(format!("{path}?id={STRANGER}"))
            .body(Body::empty()),
    };
    app.send(request.unwrap()).await
}

async fn allows(app: &TestApp, caller: &Tokens, route: &str) -> bool {
    let answer = call(app, caller, route).await;
    // The status of each route is its own, and here nothing depends on it: the caller is known, and
    // whether the call was allowed is read from the code of its refusal.
    assert!(
        answer.status != 401 && !answer.status.is_server_error() && answer.status != 503,
        "{route}: {} {}",
        answer.status,
        answer.text
    );
    answer.status != 403
}

struct Place {
    app: TestApp,
    admin: Tokens,
    root: User,
    plain: User,
    plain_tokens: Tokens,
}

/// A role for each permission: `p0` holds it alone, `a0` may also act as any user.
async fn place() -> Place {
    let roles: Vec<(String, String)> = Action::ALL
        .iter()
        .enumerate()
        .flat_map(|(n, action)| {
            let permission = action.permission();
            [
                (format!("roles.p{n}"), permission.to_owned()),
                (
                    format!("roles.a{n}"),
                    format!("{permission},user:impersonate,user:impersonate-admins"),
                ),
            ]
        })
        .collect();
    let mut settings: Vec<(&str, &str)> = roles
        .iter()
        .map(|(role, permissions)| (role.as_str(), permissions.as_str()))
        .collect();
    settings.push(("roles.acts", "user:impersonate,user:impersonate-admins"));
    let app = TestApp::with(&settings).await;
    let (root, plain) = (made_admin(&app, "root").await, app.user("plain").await);
    let (admin, plain_tokens) = (root.sign_in().await, plain.sign_in().await);
    Place {
        app,
        admin,
        root,
        plain,
        plain_tokens,
    }
}

async fn with_role(app: &TestApp, role: &str) -> (User, Tokens) {
    let user = app.user(role).await;
    set_role(app, &user, role).await;
    let tokens = user.sign_in().await;
    (user, tokens)
}

#[tokio::test]
async fn every_permission_of_every_caller_on_every_administrative_route() {
    let Place {
        app,
        admin,
        root,
        plain,
        plain_tokens,
    } = place().await;
    let administrative: Vec<(&str, Action)> = ROUTES
        .into_iter()
        .filter_map(|(route, rule)| {
            if let Needs(action) = rule {
                Some((route, action))
            } else {
                None
            }
        })
        .collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, permission) in Action::ALL.into_iter().enumerate() {
        let (holder, holding) = with_role(&app, &format!("p{number}")).await;
        let (_, actor) = with_role(&app, &format!("a{number}")).await;
        let chains = matches!(permission, A::Impersonate | A::ImpersonateAdmins);
        let callers = [
            ("a plain user", plain_tokens.clone(), vec![]),
            ("a user who holds it", holding, vec![permission]),
            (
                "an actor who acts as a plain user",
                act(&app, &actor, &plain).await,
                vec![],
            ),
            (
                "an actor who acts as an admin",
                act(&app, &actor, &root).await,
                if chains { vec![] } else { vec![permission] },
            ),
            (
                "an admin who acts as a user who holds it",
                act(&app, &admin, &holder).await,
                if chains { vec![] } else { vec![permission] },
            ),
        ];
        for (name, caller, held) in &callers {
            for (route, needed) in &administrative {
                let expected = held.contains(needed);
                assert_eq!(
                    allows(&app, caller, route).await,
                    expected,
                    "{name} ({}) at {route}",
                    permission.permission()
                );
                *counts.entry("administrative routes").or_default() += 1;
            }
            let (resource, action) = permission.permission().split_once(':').unwrap();
            let answer = ask(
                &app,
                caller,
                "has-permission",
                json!({ "permissions": { resource: [action] } }),
            )
            .await
            .ok();
            assert_eq!(
                answer.body["success"],
                held.contains(&permission),
                "{name} asks for {}",
                permission.permission()
            );
            *counts.entry("has-permission").or_default() += 1;
        }
        let (resource, action) = permission.permission().split_once(':').unwrap();
        let answer = ask(
            &app,
            &admin,
            "has-permission",
            json!({ "permissions": { resource: [action] } }),
        )
        .await
        .ok();
        assert_eq!(
            answer.body["success"],
            permission != A::ImpersonateAdmins,
            "an admin asks for {}",
            permission.permission()
        );
    }
    for (route, _) in &administrative {
        assert!(allows(&app, &admin, route).await, "an admin at {route}");
        *counts
            .entry("an admin at administrative routes")
            .or_default() += 1;
    }
    println!(
        "permissions: {}, administrative routes: {}, calls: {counts:?}",
        Action::ALL.len(),
        administrative.len()
    );
    assert_eq!(
        counts["administrative routes"],
        Action::ALL.len() * 5 * administrative.len()
    );
}

/// Routes that do something to another user.
const TARGETED: [(&str, Action); 10] = [
    ("update-user", A::UpdateUser),
    ("set-role", A::SetRole),
    ("ban-user", A::BanUser),
    ("unban-user", A::BanUser),
    ("set-user-password", A::SetPassword),
    ("reset-factors", A::ResetFactors),
    ("list-user-sessions", A::ListSessions),
    ("revoke-user-sessions", A::RevokeSessions),
    ("impersonate-user", A::Impersonate),
    ("remove-user", A::DeleteUser),
];

/// Every permission × {a user who holds it, an actor with it who acts as an admin} × {a user,
/// require_not_impersonated, an admin} at each of these routes. To an admin neither may do anything, whatever they
/// hold.
#[tokio::test]
async fn every_permission_on_every_target() {
    let Place {
        app, admin, root, ..
    } = place().await;
    let other = made_admin(&app, "other").await;
    let (root_id, other_id, shared) = (
        id(&root).await,
        id(&other).await,
        id(&app.user("shared").await).await,
    );
    let mut count = 0;
    for (number, permission) in Action::ALL.into_iter().enumerate() {
        let (holder, holding) = with_role(&app, &format!("p{number}")).await;
        let (actor_user, actor) = with_role(&app, &format!("a{number}")).await;
        let acting = act(&app, &actor, &root).await;
        for (route, needed) in TARGETED {
            for (caller, name, own, powers) in [
                (&holding, "holder", &holder, needed == permission),
                (&acting, "actor", &actor_user, needed == permission),
            ] {
                let chains = needed == A::Impersonate && name == "actor";
                let user = if powers {
                    id(&app.user("target").await).await
                } else {
                    shared.clone()
                };
                let require_not_impersonated = id(own).await;
                // Only an admin may set a role of their own account, the password of require_not_impersonated
                // needs the current one, which is not a question of rights, and one's own factors need a code.
                let on_oneself = powers
                    && !matches!(route, "set-role" | "reset-factors")
                    && !(name == "actor"
                        && matches!(route, "set-user-password" | "impersonate-user"));
                for (target, of, expected) in [
                    (&user, "a user", powers && !chains),
                    (
                        &require_not_impersonated,
                        "require_not_impersonated",
                        on_oneself,
                    ),
                    // To look is not to do.
                    (
                        &other_id,
                        "an admin",
                        powers && route == "list-user-sessions",
                    ),
                    (
                        &root_id,
                        "the admin who is acted as",
                        powers && route == "list-user-sessions",
                    ),
                ] {
                    let harmless =
                        of == "require_not_impersonated" && route == "revoke-user-sessions";
                    if harmless {
                        continue;
                    }
                    let body = json!({ "userId": target, "role": "user", "newPassword": "another good password", "data": { "name": "New" } });
                    let answer = ask(&app, caller, route, body).await;
                    // As in `allows`: the caller is known, and 403 alone tells a missing right.
                    assert!(
                        answer.status != 401 && !answer.status.is_server_error(),
                        "{route}: {} {}",
                        answer.status,
                        answer.text
                    );
                    let allowed = if expected {
                        answer.status != 403
                    } else {
                        answer.status == 200
                    };
                    assert_eq!(
                        allowed,
                        expected,
                        "{name} of {} at {route} on {of}: {}",
                        permission.permission(),
                        answer.text
                    );
                    count += 1;
                }
                if !powers || route == "remove-user" {
                    continue;
                }
                ask(&app, &admin, "remove-user", json!({ "userId": user }))
                    .await
                    .ok();
            }
        }
    }
    println!(
        "permissions: {}, routes: {}, calls on targets: {count}",
        Action::ALL.len(),
        TARGETED.len()
    );
    other.sign_in().await;
    root.sign_in().await;
}

#[tokio::test]
async fn every_permission_of_an_actor_on_every_route_of_one_s_own() {
    let Place {
        app, root, plain, ..
    } = place().await;
    let own: Vec<(&str, Rule)> = ROUTES
        .into_iter()
        .filter(|(_, rule)| matches!(rule, Own | OwnAlone | OwnOr(_)))
        .collect();
    let mut count = 0;
    let (_, acts) = with_role(&app, "acts").await;
    let mut actors = vec![(None, acts)];
    for (number, permission) in Action::ALL.into_iter().enumerate() {
        actors.push((
            Some(permission),
            with_role(&app, &format!("a{number}")).await.1,
        ));
    }
    for target in [&plain, &root] {
        for (held, actor) in &actors {
            let mut acting = act(&app, actor, target).await;
            for (route, rule) in &own {
                let expected = match rule {
                    Own => true,
                    OwnOr(action) => *held == Some(*action),
                    OwnAlone | Needs(_) | Open => false,
                };
                let allowed = allows(&app, &acting, route).await;
                assert_eq!(
                    allowed,
                    expected,
                    "{} acts as {} with {:?} at {route}",
                    actor.session_id,
                    target.name,
                    held.map(Action::permission)
                );
                count += 1;
                // Some of them end the session in which they were made.
                if allowed && matches!(rule, OwnOr(A::RevokeSessions)) {
                    acting = act(&app, actor, target).await;
                }
            }
        }
        // The user's own session may do all of it; those that end sessions come last.
        let mut routes = own.clone();
        routes.sort_by_key(|(route, _)| route.contains("revoke") || route.contains("end"));
        for (route, _) in routes {
            let fresh = target.sign_in().await;
            assert!(
                allows(&app, &fresh, route).await,
                "{} at {route}",
                target.name
            );
            count += 1;
        }
    }
    println!("routes of one's own: {}, calls: {count}", own.len());
    assert_eq!(count, 2 * own.len() * (Action::ALL.len() + 2));
}
