//! Acting as another user never adds to what the actor may do: on every route, in every token, at
//! each request.

use countersign::clock::Clock;
use countersign::flows::account::administer_users;
use countersign::flows::permit::Permitted;
use countersign::model::audit::event::Requester;
use serde_json::{Value, json};

use super::admin::{ask, id, made_admin, set_role};
use crate::support::{Answer, TestApp, Tokens, User, claims, minutes};

/// Begins to act; the tokens of the session in which `actor` acts as `target`.
pub(super) async fn act(app: &TestApp, actor: &Tokens, target: &User) -> Tokens {
    let answer = ask(
        app,
        actor,
        "impersonate-user",
        json!({ "userId": id(target).await }),
    )
    .await
    .ok();
    Tokens {
        session: answer.header("set-auth-token").to_owned(),
        access: answer.str("accessToken"),
        refresh: answer.str("refreshToken"),
        session_id: answer.body["session"]["id"].as_str().unwrap().to_owned(),
    }
}

async fn with_role(app: &TestApp, name: &str, role: &str) -> User {
    let user = app.user(name).await;
    set_role(app, &user, role).await;
    user
}

async fn who(app: &TestApp, session: &str) -> Answer {
    app.get_as("/api/auth/get-session", session).await
}

#[tokio::test]
async fn who_acts_as_an_admin_may_do_no_more_than_before() {
    let app = TestApp::with(&[
        (
            "roles.support",
            "user:impersonate,user:impersonate-admins,user:list,notes:read",
        ),
        ("roles.writer", "notes:write"),
    ])
    .await;
    let (root, support) = (
        made_admin(&app, "root").await,
        with_role(&app, "support", "support").await,
    );
    set_role(&app, &root, "admin,writer").await;
    let (own, support_id, root_id) = (support.sign_in().await, id(&support).await, id(&root).await);
    let acting = act(&app, &own, &root).await;
    let calls = [
        (
            "set-role",
            json!({ "userId": support_id, "role": "admin" }),
            "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE",
        ),
        (
            "create-user",
            json!({ "email": "new@example.com", "name": "", "password": "a good long password" }),
            "YOU_ARE_NOT_ALLOWED_TO_CREATE_USERS",
        ),
        (
            "set-user-password",
            json!({ "userId": support_id, "newPassword": "a good long password" }),
            "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD",
        ),
        (
            "set-user-password",
            json!({ "userId": root_id, "newPassword": "a good long password" }),
            "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD",
        ),
        (
            "update-user",
            json!({ "userId": support_id, "data": { "metadata": { "tenant": "other" } } }),
            "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS",
        ),
        (
            "impersonate-user",
            json!({ "userId": support_id }),
            "YOU_ARE_NOT_ALLOWED_TO_IMPERSONATE_USERS",
        ),
        (
            "revoke-user-sessions",
            json!({ "userId": root_id }),
            "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS",
        ),
    ];
    for (call, body, code) in calls {
        ask(&app, &acting, call, body).await.refused(403, code);
    }
    // What both of them may do, and no more.
    app.get_as("/api/auth/admin/list-users", &acting.session)
        .await
        .ok();
    let has = async |permissions: Value| {
        ask(
            &app,
            &acting,
            "has-permission",
            json!({ "permissions": permissions }),
        )
        .await
        .ok()
        .body["success"]
            .clone()
    };
    assert_eq!(has(json!({ "user": ["list"] })).await, true);
    for more in [
        json!({ "user": ["ban"] }),
        json!({ "notes": ["read"] }),
        json!({ "notes": ["write"] }),
        json!({ "user": ["impersonate"] }),
    ] {
        assert_eq!(has(more.clone()).await, false, "{more}");
    }
    // Nor does any token or answer say more, which applications would believe.
    let renewed = app.refresh(&acting.refresh).await.ok();
    let minted = app.get_as("/api/auth/token", &acting.session).await;
    let mut tokens = vec![acting.access.clone(), renewed.str("accessToken")];
    tokens.extend(minted.body["token"].as_str().map(ToOwned::to_owned));
    for token in tokens {
        let said = claims(&token);
        assert_eq!(
            (&said["role"], &said["roles"], &said["permissions"]),
            (&json!(""), &json!([]), &json!([])),
            "{said}"
        );
        assert_eq!(
            (&said["act"]["sub"], &said["sub"]),
            (&json!(support_id), &json!(root_id))
        );
    }
    assert_eq!(renewed.body["user"]["role"], "");
    assert_eq!(
        who(&app, &acting.session).await.ok().body["user"]["role"],
        ""
    );
    let session = app
        .get_as("/api/auth/session", &acting.session)
        .await
        .ok()
        .body;
    assert_eq!(
        (&session["user"]["role"], &session["user"]["permissions"]),
        (&json!(""), &json!([]))
    );
    assert_eq!(
        administer_users::get(
            &app.app,
            Permitted::as_operator(),
            support_id.parse().unwrap()
        )
        .await
        .unwrap()
        .role,
        "support"
    );
}

#[tokio::test]
async fn an_admin_who_acts_as_a_user_has_that_user_s_permissions() {
    let app = TestApp::with(&[("roles.editor", "notes:write,user:list")]).await;
    let (root, editor) = (
        made_admin(&app, "root").await,
        with_role(&app, "editor", "editor").await,
    );
    let acting = act(&app, &root.sign_in().await, &editor).await;
    let said = claims(&acting.access);
    assert_eq!(
        (&said["role"], &said["permissions"]),
        (&json!("editor"), &json!(["notes:write", "user:list"]))
    );
    app.get_as("/api/auth/admin/list-users", &acting.session)
        .await
        .ok();
    ask(
        &app,
        &acting,
        "ban-user",
        json!({ "userId": id(&root).await }),
    )
    .await
    .refused(403, "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS");
}

#[tokio::test]
async fn a_target_that_rises_ends_the_impersonation() {
    let app = TestApp::with(&[
        ("roles.support", "user:impersonate"),
        ("roles.manager", "user:ban"),
    ])
    .await;
    let (root, support) = (
        made_admin(&app, "root").await,
        with_role(&app, "support", "support").await,
    );
    let (own, admin) = (support.sign_in().await, root.sign_in().await);
    for (name, role) in [
        ("bob", "admin"),
        ("cyd", "manager"),
        ("dan", "user,manager"),
    ] {
        let target = app.user(name).await;
        let (one, two) = (
            act(&app, &own, &target).await,
            act(&app, &own, &target).await,
        );
        let three = act(&app, &own, &target).await;
        ask(
            &app,
            &admin,
            "set-role",
            json!({ "userId": id(&target).await, "role": role }),
        )
        .await
        .ok();
        app.get_as("/api/auth/admin/list-users", &one.session)
            .await
            .refused(401, "UNAUTHORIZED");
        assert_eq!(who(&app, &one.session).await.ok().body, Value::Null);
        app.get_as("/api/auth/session", &two.access)
            .await
            .refused(401, "UNAUTHORIZED");
        app.refresh(&two.refresh)
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
        app.refresh(&three.refresh)
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
        // For good: giving the roles back does not revive it.
        ask(
            &app,
            &admin,
            "set-role",
            json!({ "userId": id(&target).await, "role": "user" }),
        )
        .await
        .ok();
        assert_eq!(who(&app, &one.session).await.ok().body, Value::Null);
        for session in [&one, &two, &three] {
            let reason = app.db_session(&session.session_id).await.revoked_reason;
            assert_eq!(reason.as_deref(), Some("actor_not_allowed"));
        }
    }
    assert_eq!(
        (
            app.db_count_events("impersonation.started").await,
            app.db_count_events("impersonation.stopped").await
        ),
        (9, 9)
    );
    assert_eq!(
        who(&app, &own.session).await.ok().body["user"]["email"],
        json!(support.email),
        "the actor's own session goes on"
    );
}

#[tokio::test]
async fn an_actor_who_falls_ends_the_impersonation() {
    let app = TestApp::with(&[("roles.support", "user:impersonate")]).await;
    let (bob, support) = (
        app.user("bob").await,
        with_role(&app, "support", "support").await,
    );
    let own = support.sign_in().await;
    let support_id = id(&support).await;
    // Behind the program's back, so that nothing but the look at each request can notice.
    let falls = [
        "UPDATE users SET role = 'user', version = version + 1 WHERE id = ",
        "UPDATE users SET banned = 1, version = version + 1 WHERE id = ",
        "UPDATE users SET disabled_at = 1, version = version + 1 WHERE id = ",
    ];
    for fall in falls {
        let acting = act(&app, &own, &bob).await;
        who(&app, &acting.session).await.ok();
        app.db_execute(&format!("{fall}'{support_id}'"))
            .await
            .unwrap();
        app.get_as("/api/auth/list-sessions", &acting.session)
            .await
            .refused(401, "UNAUTHORIZED");
        app.refresh(&acting.refresh)
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
        let back = format!(
            "UPDATE users SET role = 'support', banned = 0, disabled_at = NULL, version = version + 1 WHERE id = '{support_id}'"
        );
        app.db_execute(&back).await.unwrap();
    }
    // A role that the settings no longer give the permission to.
    let acting = act(&app, &own, &bob).await;
    let later = app.replica_with(&[("roles.support", "user:list")]).await;
    later
        .refresh(&acting.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
}

#[tokio::test]
async fn acting_as_a_user_is_never_answered_from_the_cookie_cache() {
    let app = TestApp::with(&[
        ("sessions.cookie_cache", "5m"),
        ("roles.support", "user:impersonate"),
    ])
    .await;
    let (bob, support) = (
        app.user("bob").await,
        with_role(&app, "support", "support").await,
    );
    let browser = support.browser().await;
    browser.get("/api/auth/get-session").await.ok();
    let acting = browser
        .post(
            "/api/auth/admin/impersonate-user",
            &json!({ "userId": id(&bob).await }),
        )
        .await
        .ok();
    let answers = [acting, browser.get("/api/auth/get-session").await.ok()];
    for answer in answers {
        assert!(
            answer
                .cookies()
                .iter()
                .all(|line| !line.contains("session_data=") || line.contains("Max-Age=0")),
            "{:?}",
            answer.cookies()
        );
    }
    set_role(&app, &bob, "admin").await;
    assert_eq!(
        browser.get("/api/auth/get-session").await.ok().body,
        Value::Null
    );
}

#[tokio::test]
async fn who_acts_as_a_user_changes_only_what_the_actor_may_change() {
    let app = TestApp::with(&[
        ("roles.looks", "user:impersonate"),
        ("roles.renames", "user:impersonate,user:update"),
    ])
    .await;
    let bob = app.user("bob").await;
    let bobs = bob.sign_in().await;
    for (role, renames) in [("looks", false), ("renames", true)] {
        let actor = with_role(&app, role, role).await;
        let acting = act(&app, &actor.sign_in().await, &bob).await;
        let renamed = app
            .post_as(
                "/api/auth/update-user",
                &acting.session,
                &json!({ "name": "Robert" }),
            )
            .await;
        assert_eq!(renamed.status == 200, renames, "{role}: {}", renamed.text);
        let ends = app
            .post_as(
                "/api/auth/revoke-other-sessions",
                &acting.session,
                &json!({}),
            )
            .await;
        ends.refused(403, "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS");
        // A place to guess the user's password at.
        let guess = app
            .post_as(
                "/api/auth/verify-password",
                &acting.session,
                &json!({ "password": bob.password }),
            )
            .await;
        guess.refused(403, "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD");
        app.get_as("/api/auth/list-sessions", &acting.session)
            .await
            .ok();
    }
    app.after(minutes(1));
    assert_eq!(
        app.refresh(&bobs.refresh).await.ok().body["user"]["name"],
        "Robert"
    );
}

#[tokio::test]
async fn an_impersonation_cannot_ban_remove_or_demote_its_own_admin() {
    let app = TestApp::with(&[("roles.chief", "user:impersonate,user:impersonate-admins")]).await;
    let (root, chief) = (
        made_admin(&app, "root").await,
        made_admin(&app, "chief").await,
    );
    set_role(&app, &chief, "admin,chief").await;
    let acting = act(&app, &chief.sign_in().await, &root).await;
    let other = app.user("other").await;
    for path in ["ban-user", "remove-user"] {
        let body = json!({ "userId": id(&other).await });
        ask(&app, &acting, path, body).await.ok();
    }
    app.get_as("/api/auth/admin/list-users", &acting.session)
        .await
        .ok();
    for target in [id(&root).await, id(&chief).await] {
        ask(&app, &acting, "ban-user", json!({ "userId": target }))
            .await
            .refused(400, "YOU_CANNOT_BAN_YOURSELF");
        ask(&app, &acting, "remove-user", json!({ "userId": target }))
            .await
            .refused(400, "YOU_CANNOT_REMOVE_YOURSELF");
    }
    administer_users::ban(
        &app.app,
        Permitted::as_operator(),
        id(&chief).await.parse().unwrap(),
        None,
        None,
        &Requester::default(),
    )
    .await
    .unwrap();
    app.get_as("/api/auth/admin/list-users", &acting.session)
        .await
        .refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn acting_ends_with_the_session_in_which_it_began() {
    let app = TestApp::with(&[
        ("sessions.idle_ttl", "40m"),
        ("rate_limits.enabled", "false"),
        ("sessions.max_per_user", "6"),
    ])
    .await;
    let (bob, root, other) = (
        app.user("bob").await,
        made_admin(&app, "root").await,
        made_admin(&app, "other").await,
    );
    for how in [
        "signed out",
        "revoked",
        "revoked by another admin",
        "reused",
        "gone",
        "too many",
        "expired",
    ] {
        let (own, elsewhere) = (root.sign_in().await, root.sign_in().await);
        let (acting, again, beside) = (
            act(&app, &own, &bob).await,
            act(&app, &own, &bob).await,
            act(&app, &elsewhere, &bob).await,
        );
        who(&app, &acting.session).await.ok();
        match how {
            "signed out" => drop(
                app.post_as("/api/auth/sign-out", &own.session, &json!({}))
                    .await
                    .ok(),
            ),
            "revoked" => drop(
                app.post_as(
                    "/api/auth/revoke-session",
                    &elsewhere.session,
                    &json!({ "token": own.session_id }),
                )
                .await
                .ok(),
            ),
            "revoked by another admin" => {
                app.db_execute("UPDATE users SET role = 'user', version = version + 1 WHERE email = 'bob@example.com'").await.unwrap();
                let by = other.sign_in().await;
                let ended = ask(
                    &app,
                    &by,
                    "revoke-user-session",
                    json!({ "sessionToken": own.session_id }),
                )
                .await;
                if ended.status != 200 {
                    // Who is an admin is not ended by another one: an operator does it.
                    let id = own.session_id.parse().unwrap();
                    countersign::flows::session::manage_sessions::revoke(
                        &app.app,
                        Permitted::as_operator(),
                        countersign::flows::session::manage_sessions::Which::One(id),
                        &Requester::default(),
                    )
                    .await
                    .unwrap();
                }
            }
            "reused" => {
                let next = app.rotate(&own.refresh).await;
                app.after(minutes(2));
                let last = app.rotate(&next).await;
                app.after(minutes(2));
                app.rotate(&last).await;
                app.after(minutes(2));
                app.refresh(&own.refresh)
                    .await
                    .refused(401, "REFRESH_TOKEN_REUSED");
            }
            "gone" => app
                .db_execute(&format!(
                    "DELETE FROM sessions WHERE id = '{}'",
                    own.session_id
                ))
                .await
                .unwrap(),
            "too many" => {
                for _ in 0..6 {
                    app.after(std::time::Duration::from_millis(1));
                    root.sign_in().await;
                }
            }
            _ => {
                app.after(minutes(30));
                app.rotate(&acting.refresh).await;
                app.get_as("/api/auth/session", &elsewhere.session)
                    .await
                    .ok();
                app.after(minutes(11));
            }
        }
        app.get_as("/api/auth/session", &own.session)
            .await
            .refused(401, "UNAUTHORIZED");
        for session in [&acting, &again] {
            app.get_as("/api/auth/session", &session.session)
                .await
                .refused(401, "UNAUTHORIZED");
            app.get_as("/api/auth/session", &session.access)
                .await
                .refused(401, "UNAUTHORIZED");
            assert_eq!(
                who(&app, &session.session).await.ok().body,
                Value::Null,
                "{how}"
            );
            assert_eq!(app.refresh(&session.refresh).await.status, 401, "{how}");
            if !["gone", "expired"].contains(&how) {
                assert!(
                    app.db_session(&session.session_id)
                        .await
                        .revoked_reason
                        .is_some(),
                    "{how}: the row tells it"
                );
            }
        }
        if !["too many", "expired"].contains(&how) {
            who(&app, &beside.session).await.ok();
            assert!(
                !who(&app, &beside.session).await.body.is_null(),
                "{how}: what began in another session goes on"
            );
        }
        app.after(minutes(60));
    }
}

/// Ending the admin's own session marks the rows of acting as well; until that has happened, and if
/// it ever fails, the own row decides.
#[tokio::test]
async fn acting_is_over_as_soon_as_the_own_row_has_ended_whatever_is_marked() {
    let app = TestApp::start().await;
    let (bob, root) = (app.user("bob").await, made_admin(&app, "root").await);
    let own = root.sign_in().await;
    let acting = act(&app, &own, &bob).await;
    assert!(!who(&app, &acting.session).await.ok().body.is_null());
    app.db_execute(&format!(
        "UPDATE sessions SET revoked_at = {}, revoked_reason = 'sign_out' WHERE id = '{}'",
        app.clock.now_ms(),
        own.session_id
    ))
    .await
    .unwrap();
    let row = app.db_session(&acting.session_id).await;
    assert!(row.revoked_reason.is_none(), "nothing has marked it");
    assert_eq!(who(&app, &acting.session).await.ok().body, Value::Null);
    assert_eq!(app.refresh(&acting.refresh).await.status, 401);
}
