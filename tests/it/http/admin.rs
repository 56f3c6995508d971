//! What admins do with users, and who is refused.

use std::time::Duration;

use countersign::flows::account::administer_users;
use countersign::flows::account::invite_user;
use countersign::flows::account::invite_user::Invitation;
use countersign::flows::account::manage_users;
use countersign::flows::permit::Permitted;
use countersign::model::account::profile::DisplayName;
use countersign::model::audit::event::{Event, Requester};
use serde_json::{Value, json};

use crate::support::{
    ADMIN_COOKIE, Answer, DONT_REMEMBER_COOKIE, SESSION_COOKIE, TestApp, Tokens, User, minutes,
};

pub(super) async fn made_admin(app: &TestApp, name: &str) -> User {
    let user = app.user(name).await;
    set_role(app, &user, "admin").await;
    user
}

pub(super) async fn set_role(app: &TestApp, user: &User, role: &str) {
    let id = manage_users::find(&app.app, Permitted::as_operator(), &user.email)
        .await
        .unwrap()
        .id;
    administer_users::set_role(
        &app.app,
        Permitted::as_operator(),
        id,
        role.into(),
        &Requester::default(),
    )
    .await
    .unwrap();
}

pub(super) async fn id(user: &User) -> String {
    manage_users::find(&user.app.app, Permitted::as_operator(), &user.email)
        .await
        .unwrap()
        .id
        .to_string()
}

pub(super) async fn ask(app: &TestApp, by: &Tokens, what: &str, body: Value) -> Answer {
    app.post_as(&format!("/api/auth/admin/{what}"), &by.session, &body)
        .await
}

#[tokio::test]
async fn an_admin_changes_others_only_while_the_password_was_proven_a_short_time_ago() {
    let app = TestApp::with(&[("policies.admin.fresh_for", "10m")]).await;
    let (root, ana) = (made_admin(&app, "root").await, app.user("ana").await);
    let (admin, target) = (root.sign_in().await, id(&ana).await);
    let unban = async || ask(&app, &admin, "unban-user", json!({ "userId": target })).await;
    app.after(Duration::from_millis(600_000));
    unban().await.ok();
    app.after(Duration::from_millis(1));
    unban().await.refused(403, "SESSION_NOT_FRESH");
    // Looking changes nothing.
    let path = format!("/api/auth/admin/get-user?id={target}");
    app.get_as(&path, &admin.session).await.ok();
}

/// Another program that writes to the table of users does not know of the epochs that end sessions.
#[tokio::test]
async fn a_user_whose_row_says_banned_or_disabled_has_no_session_that_counts() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await.sign_in().await.session;
    for change in ["banned = 1", "banned = 0, disabled_at = 1"] {
        app.get_as("/api/auth/session", &ana).await.ok();
        let shut_out = format!("UPDATE users SET {change}, version = version + 1");
        app.db_execute(&shut_out).await.unwrap();
        let answer = app.get_as("/api/auth/session", &ana).await;
        answer.refused(401, "UNAUTHORIZED");
        let again = "UPDATE users SET banned = 0, disabled_at = NULL, version = version + 1";
        app.db_execute(again).await.unwrap();
    }
}

#[tokio::test]
async fn without_the_permission_every_call_is_refused_with_its_own_code() {
    let app = TestApp::with(&[("roles.support", "user:list,user:get,session:list")]).await;
    let (ana, eve) = (app.user("ana").await, app.user("eve").await);
    let target = json!({ "userId": id(&eve).await, "role": "user", "data": { "name": "x" }, "newPassword": "a good long password", "sessionToken": "x",
                         "email": "new@example.com", "name": "New" });
    let calls = [
        ("create-user", "YOU_ARE_NOT_ALLOWED_TO_CREATE_USERS"),
        ("update-user", "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS"),
        ("set-role", "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE"),
        ("ban-user", "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS"),
        ("unban-user", "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS"),
        ("remove-user", "YOU_ARE_NOT_ALLOWED_TO_DELETE_USERS"),
        (
            "set-user-password",
            "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD",
        ),
        (
            "impersonate-user",
            "YOU_ARE_NOT_ALLOWED_TO_IMPERSONATE_USERS",
        ),
        (
            "revoke-user-session",
            "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS",
        ),
        (
            "revoke-user-sessions",
            "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS",
        ),
        (
            "list-user-sessions",
            "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS_SESSIONS",
        ),
    ];
    let tokens = ana.sign_in().await;
    for (call, code) in calls {
        ask(&app, &tokens, call, target.clone())
            .await
            .refused(403, code);
        app.post(&format!("/api/auth/admin/{call}"), &target)
            .await
            .refused(401, "UNAUTHORIZED");
    }
    app.get_as("/api/auth/admin/list-users", &tokens.session)
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS");
    app.get_as("/api/auth/admin/get-user?id=x", &tokens.session)
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_GET_USER");
    assert_eq!(
        manage_users::find(&app.app, Permitted::as_operator(), &eve.email)
            .await
            .unwrap()
            .name,
        "eve"
    );
    // What [roles] grants, and no more.
    set_role(&app, &ana, "support").await;
    app.get_as("/api/auth/admin/list-users", &tokens.session)
        .await
        .ok();
    ask(&app, &tokens, "list-user-sessions", target.clone())
        .await
        .ok();
    ask(&app, &tokens, "ban-user", target)
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS");
    let has = async |permissions: Value| {
        ask(
            &app,
            &tokens,
            "has-permission",
            json!({ "permissions": permissions }),
        )
        .await
        .ok()
        .body["success"]
            .clone()
    };
    assert_eq!(has(json!({ "user": ["list", "get"] })).await, true);
    assert_eq!(has(json!({ "user": ["list", "ban"] })).await, false);
    assert_eq!(has(json!({ "spaceship": ["fly"] })).await, false);
}

#[tokio::test]
async fn an_admins_life_of_a_user() {
    let app = TestApp::with(&[("roles.editor", "posts:write")]).await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    let new = json!({ "email": "Bob@Example.com", "name": "Bob", "password": "bob's good password", "role": ["user", "editor"],
                      "data": { "emailVerified": true, "metadata": { "department": "press" } } });
    let bob = ask(&app, &admin, "create-user", new.clone())
        .await
        .ok()
        .body["user"]
        .clone();
    assert_eq!(
        (
            bob["email"].clone(),
            bob["role"].clone(),
            bob["emailVerified"].clone()
        ),
        (json!("bob@example.com"), json!("user,editor"), json!(true))
    );
    ask(&app, &admin, "create-user", new)
        .await
        .refused(400, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL");
    let short = json!({ "email": "c@example.com", "name": "", "password": "1" });
    ask(&app, &admin, "create-user", short)
        .await
        .refused(400, "PASSWORD_TOO_SHORT");
    ask(
        &app,
        &admin,
        "create-user",
        json!({ "email": "c", "name": "" }),
    )
    .await
    .refused(400, "INVALID_EMAIL");
    ask(
        &app,
        &admin,
        "create-user",
        json!({ "email": "c@example.com", "name": "", "role": "king" }),
    )
    .await
    .refused(400, "YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE");

    let user_id = bob["id"].clone();
    let found = app
        .get_as(
            &format!("/api/auth/admin/get-user?id={}", user_id.as_str().unwrap()),
            &admin.session,
        )
        .await
        .ok()
        .body;
    assert_eq!(found, bob);
    let update = async |data: Value| {
        ask(
            &app,
            &admin,
            "update-user",
            json!({ "userId": user_id, "data": data }),
        )
        .await
    };
    assert_eq!(
        update(json!({ "name": "Robert", "unknown": 1 }))
            .await
            .ok()
            .body["name"],
        "Robert"
    );
    update(json!({})).await.refused(400, "NO_DATA_TO_UPDATE");
    update(json!({ "password": "x" }))
        .await
        .refused(400, "PASSWORD_CANNOT_BE_UPDATED_VIA_UPDATE_USER");
    update(json!({ "id": "x" }))
        .await
        .refused(400, "USER_ID_CANNOT_BE_UPDATED");
    update(json!({ "email": "root@example.com" }))
        .await
        .refused(400, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL");
    update(json!({ "emailVerified": "yes" }))
        .await
        .refused(400, "VALIDATION_ERROR");
    ask(
        &app,
        &admin,
        "update-user",
        json!({ "userId": "unknown", "data": { "name": "x" } }),
    )
    .await
    .refused(404, "USER_NOT_FOUND");

    let sign_in = json!({ "email": "bob@example.com", "password": "bob's good password", "tokenDelivery": "body" });
    let session = app.post("/api/auth/sign-in/email", &sign_in).await.ok();
    assert_eq!(
        session.claims("accessToken")["roles"],
        json!(["user", "editor"])
    );
    assert_eq!(
        session.claims("accessToken")["permissions"],
        json!(["posts:write"])
    );
    // A change of role is in the next token; no token ever carries another one than the database's.
    ask(
        &app,
        &admin,
        "set-role",
        json!({ "userId": user_id, "role": "user" }),
    )
    .await
    .ok();
    let refreshed = app.refresh(&session.str("refreshToken")).await.ok();
    assert_eq!(
        (
            refreshed.claims("accessToken")["role"].clone(),
            refreshed.claims("accessToken")["permissions"].clone()
        ),
        (json!("user"), json!([]))
    );

    let listed = ask(
        &app,
        &admin,
        "list-user-sessions",
        json!({ "userId": user_id }),
    )
    .await
    .ok()
    .body["sessions"]
        .clone();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    ask(
        &app,
        &admin,
        "revoke-user-session",
        json!({ "sessionToken": listed[0]["token"] }),
    )
    .await
    .ok();
    app.refresh(&refreshed.str("refreshToken"))
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    ask(
        &app,
        &admin,
        "revoke-user-session",
        json!({ "sessionToken": "unknown" }),
    )
    .await
    .ok();
    let session = app.post("/api/auth/sign-in/email", &sign_in).await.ok();
    ask(
        &app,
        &admin,
        "revoke-user-sessions",
        json!({ "userId": user_id }),
    )
    .await
    .ok();
    app.refresh(&session.str("refreshToken"))
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");

    ask(
        &app,
        &admin,
        "set-user-password",
        json!({ "userId": user_id, "newPassword": "" }),
    )
    .await
    .refused(400, "VALIDATION_ERROR");
    ask(
        &app,
        &admin,
        "set-user-password",
        json!({ "userId": user_id, "newPassword": "short" }),
    )
    .await
    .refused(400, "PASSWORD_TOO_SHORT");
    ask(
        &app,
        &admin,
        "set-user-password",
        json!({ "userId": user_id, "newPassword": "another good password" }),
    )
    .await
    .ok();
    app.post("/api/auth/sign-in/email", &sign_in)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");

    ask(&app, &admin, "remove-user", json!({ "userId": user_id }))
        .await
        .ok();
    ask(&app, &admin, "remove-user", json!({ "userId": user_id }))
        .await
        .refused(404, "USER_NOT_FOUND");
    assert_eq!(app.db_number("SELECT COUNT(*) FROM accounts").await, 1);
    for kind in [
        "user.created",
        "user.updated",
        "user.role_changed",
        "session.revoked",
        "password.changed",
        "user.deleted",
    ] {
        assert!(app.db_count_events(kind).await > 0, "{kind}");
    }
}

#[tokio::test]
async fn a_user_without_a_password_gets_one_from_an_admin() {
    let app = TestApp::start().await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    let bob = ask(
        &app,
        &admin,
        "create-user",
        json!({ "email": "bob@example.com", "name": "Bob" }),
    )
    .await
    .ok()
    .body["user"]["id"]
        .clone();
    let sign_in = json!({ "email": "bob@example.com", "password": "bob's good password" });
    app.post("/api/auth/sign-in/email", &sign_in)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    ask(
        &app,
        &admin,
        "set-user-password",
        json!({ "userId": bob, "newPassword": "bob's good password" }),
    )
    .await
    .ok();
    app.post("/api/auth/sign-in/email", &sign_in).await.ok();
}

#[tokio::test]
async fn a_ban_ends_every_session_and_may_end_by_itself() {
    let app = TestApp::start().await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    let bob = app.user("bob").await;
    let (held, user_id) = (bob.sign_in().await, id(&bob).await);
    let banned = ask(
        &app,
        &admin,
        "ban-user",
        json!({ "userId": user_id, "banExpiresIn": 3600 }),
    )
    .await
    .ok()
    .body["user"]
        .clone();
    assert_eq!(
        (banned["banned"].clone(), banned["banReason"].clone()),
        (json!(true), json!("No reason"))
    );
    app.refresh(&held.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    app.get_as("/api/auth/session", &held.access)
        .await
        .refused(401, "UNAUTHORIZED");
    bob.try_sign_in(&bob.password)
        .await
        .refused(403, "BANNED_USER");
    bob.try_sign_in("a wrong password")
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    app.after(minutes(61));
    bob.sign_in().await;
    // 0 is no end, as in Better Auth: a ban that is over at once would be none.
    let endless = ask(
        &app,
        &admin,
        "ban-user",
        json!({ "userId": user_id, "banExpiresIn": 0 }),
    )
    .await
    .ok()
    .body["user"]
        .clone();
    assert_eq!(
        (endless["banned"].clone(), endless["banExpires"].clone()),
        (json!(true), json!(null))
    );
    bob.try_sign_in(&bob.password)
        .await
        .refused(403, "BANNED_USER");
    ask(&app, &admin, "unban-user", json!({ "userId": user_id }))
        .await
        .ok();
    ask(
        &app,
        &admin,
        "ban-user",
        json!({ "userId": user_id, "banReason": "spam" }),
    )
    .await
    .ok();
    app.after(minutes(60 * 24 * 400));
    bob.try_sign_in(&bob.password)
        .await
        .refused(403, "BANNED_USER");
    let admin = User {
        app: app.clone(),
        name: "root".into(),
        email: "root@example.com".into(),
        password: "root's good password".into(),
    }
    .sign_in()
    .await;
    let lifted = ask(&app, &admin, "unban-user", json!({ "userId": user_id }))
        .await
        .ok()
        .body["user"]
        .clone();
    assert_eq!(
        (
            lifted["banned"].clone(),
            lifted["banReason"].clone(),
            lifted["banExpires"].clone()
        ),
        (json!(false), Value::Null, Value::Null)
    );
    bob.sign_in().await;
    let myself = app
        .get_as("/api/auth/session", &admin.access)
        .await
        .ok()
        .body["user"]["id"]
        .clone();
    ask(&app, &admin, "ban-user", json!({ "userId": myself }))
        .await
        .refused(400, "YOU_CANNOT_BAN_YOURSELF");
    ask(
        &app,
        &admin,
        "update-user",
        json!({ "userId": myself, "data": { "banned": true } }),
    )
    .await
    .refused(400, "YOU_CANNOT_BAN_YOURSELF");
    ask(&app, &admin, "remove-user", json!({ "userId": myself }))
        .await
        .refused(400, "YOU_CANNOT_REMOVE_YOURSELF");
}

#[tokio::test]
async fn the_last_admin_stays_one_also_when_two_unmake_each_other() {
    let app = TestApp::start().await;
    let (one, two) = (made_admin(&app, "one").await, made_admin(&app, "two").await);
    let (ids, tokens) = (
        (id(&one).await, id(&two).await),
        (one.sign_in().await, two.sign_in().await),
    );
    let demote = async |by: &Tokens, who: &str| {
        ask(
            &app,
            by,
            "set-role",
            json!({ "userId": who, "role": "user" }),
        )
        .await
    };
    let (first, second) = tokio::join!(demote(&tokens.0, &ids.1), demote(&tokens.1, &ids.0));
    let done = [&first, &second].iter().filter(|a| a.status == 200).count();
    assert_eq!(done, 1, "{} {}", first.text, second.text);
    let refused = if first.status == 200 { second } else { first };
    assert!(
        ["LAST_ADMIN", "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE"]
            .contains(&refused.body["code"].as_str().unwrap()),
        "{}",
        refused.text
    );
    let both = [
        manage_users::find(&app.app, Permitted::as_operator(), &one.email)
            .await
            .unwrap(),
        manage_users::find(&app.app, Permitted::as_operator(), &two.email)
            .await
            .unwrap(),
    ];
    let last = both
        .into_iter()
        .find(countersign::model::account::user::User::is_admin)
        .unwrap();
    // Who is invited and has not come, or was made without a password, is an admin in name alone.
    let requester = Requester::default();
    let invited = Invitation {
        email: "later@example.com".parse().unwrap(),
        name: DisplayName::default(),
        role: "admin".into(),
        redirect: Some("/".into()),
    };
    invite_user::invite(&app.app, Permitted::as_operator(), invited, &requester)
        .await
        .unwrap();
    let refusals = [
        administer_users::set_role(
            &app.app,
            Permitted::as_operator(),
            last.id,
            "user".into(),
            &requester,
        )
        .await
        .err()
        .unwrap()
        .to_string(),
        administer_users::ban(
            &app.app,
            Permitted::as_operator(),
            last.id,
            None,
            None,
            &requester,
        )
        .await
        .err()
        .unwrap()
        .to_string(),
        administer_users::remove(&app.app, Permitted::as_operator(), last.id, &requester)
            .await
            .err()
            .unwrap()
            .to_string(),
        manage_users::set_disabled(
            &app.app,
            Permitted::as_operator(),
            last.id,
            true,
            &requester,
        )
        .await
        .err()
        .unwrap()
        .to_string(),
    ];
    assert!(
        refusals
            .iter()
            .all(|r| r.contains("At least one admin must remain")),
        "{refusals:?}"
    );
}

#[tokio::test]
async fn who_is_no_admin_touches_none_and_makes_none() {
    let powers = "user:set-role,user:set-password,user:ban,user:update,user:set-email,user:delete,user:impersonate,user:create,session:revoke";
    let app = TestApp::with(&[("roles.helper", powers)]).await;
    let (root, helper, bob) = (
        made_admin(&app, "root").await,
        app.user("helper").await,
        app.user("bob").await,
    );
    set_role(&app, &helper, "helper").await;
    let (helper, root_id, bob_id) = (helper.sign_in().await, id(&root).await, id(&bob).await);
    let on_admin = [
        (
            "set-role",
            json!({ "role": "user" }),
            "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE",
        ),
        (
            "set-user-password",
            json!({ "newPassword": "a good long password" }),
            "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD",
        ),
        ("ban-user", json!({}), "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS"),
        (
            "update-user",
            json!({ "data": { "email": "mine@example.com" } }),
            "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS",
        ),
        (
            "remove-user",
            json!({}),
            "YOU_ARE_NOT_ALLOWED_TO_DELETE_USERS",
        ),
        (
            "impersonate-user",
            json!({}),
            "YOU_CANNOT_IMPERSONATE_ADMINS",
        ),
        (
            "revoke-user-sessions",
            json!({}),
            "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS",
        ),
    ];
    for (call, mut body, code) in on_admin {
        body["userId"] = json!(root_id);
        ask(&app, &helper, call, body).await.refused(403, code);
    }
    ask(
        &app,
        &helper,
        "set-role",
        json!({ "userId": bob_id, "role": "user,admin" }),
    )
    .await
    .refused(403, "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE");
    let new = json!({ "email": "new@example.com", "name": "", "role": "admin" });
    ask(&app, &helper, "create-user", new)
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE");
    ask(
        &app,
        &helper,
        "set-role",
        json!({ "userId": bob_id, "role": "helper" }),
    )
    .await
    .ok();
    assert_eq!(root.sign_in().await.session_id.len(), 36, "unharmed");
}

#[tokio::test]
async fn an_admin_impersonates_a_user_and_returns_to_the_own_session() {
    let app = TestApp::start().await;
    let (root, bob) = (made_admin(&app, "root").await, app.user("bob").await);
    let browser = root.browser().await;
    browser.refresh().await.ok();
    let own = browser.get("/api/auth/get-session").await.ok().body;
    let acting = browser
        .post(
            "/api/auth/admin/impersonate-user",
            &json!({ "userId": id(&bob).await }),
        )
        .await
        .ok();
    assert_eq!(
        (
            acting.body["user"]["email"].clone(),
            acting.body["session"]["impersonatedBy"].clone()
        ),
        (json!(bob.email), own["user"]["id"].clone())
    );
    assert_eq!(
        acting.claims("accessToken")["act"]["sub"],
        own["user"]["id"]
    );
    assert_eq!(
        acting.claims("accessToken")["sub"],
        acting.body["user"]["id"]
    );
    let line = |answer: &Answer, name: &str| {
        answer
            .cookies()
            .into_iter()
            .rfind(|c| c.starts_with(&format!("{name}=")))
            .unwrap()
    };
    assert!(
        !line(&acting, SESSION_COOKIE).contains("Max-Age"),
        "it ends with the browser"
    );
    // The mark stays through a refresh; the session lives for an hour, is not the user's own, and
    // cannot be stacked.
    app.after(minutes(2));
    assert_eq!(
        browser.refresh().await.ok().claims("accessToken")["act"]["sub"],
        own["user"]["id"]
    );
    assert_eq!(
        app.get_as("/api/auth/list-sessions", &bob.sign_in().await.session)
            .await
            .ok()
            .body
            .as_array()
            .unwrap()
            .len(),
        2,
        "sign-up and sign-in"
    );
    browser
        .post(
            "/api/auth/admin/impersonate-user",
            &json!({ "userId": id(&root).await }),
        )
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_IMPERSONATE_USERS");
    browser
        .get("/api/auth/admin/list-users")
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS");

    let back = browser
        .post("/api/auth/admin/stop-impersonating", &json!({}))
        .await
        .ok();
    assert_eq!(back.body["user"]["email"], "root@example.com");
    assert_eq!(
        back.body["session"]["expiresAt"], own["session"]["expiresAt"],
        "as long as before"
    );
    assert!(
        browser.cookie(ADMIN_COOKIE).is_none() && browser.cookie(DONT_REMEMBER_COOKIE).is_none()
    );
    assert!(line(&back, SESSION_COOKIE).contains("Max-Age"));
    app.after(minutes(2));
    browser.refresh().await.ok();
    browser.get("/api/auth/admin/list-users").await.ok();
    browser
        .post("/api/auth/admin/stop-impersonating", &json!({}))
        .await
        .refused(400, "NOT_IMPERSONATING");
    assert_eq!(
        (
            app.db_count_events("impersonation.started").await,
            app.db_count_events("impersonation.stopped").await
        ),
        (1, 1)
    );

    // For an hour at most.
    browser
        .post(
            "/api/auth/admin/impersonate-user",
            &json!({ "userId": id(&bob).await }),
        )
        .await
        .ok();
    app.after(minutes(61));
    assert_eq!(
        browser.get("/api/auth/get-session").await.ok().body,
        Value::Null
    );
}

#[tokio::test]
async fn a_cookie_that_was_set_aside_is_good_for_its_own_admin_alone() {
    let app = TestApp::start().await;
    let (root, other, bob) = (
        made_admin(&app, "root").await,
        made_admin(&app, "other").await,
        app.user("bob").await,
    );
    let (one, two) = (root.browser().await, other.browser().await);
    for browser in [&one, &two] {
        browser
            .post(
                "/api/auth/admin/impersonate-user",
                &json!({ "userId": id(&bob).await }),
            )
            .await
            .ok();
    }
    // Another admin's cookie restores no session; the impersonation ends all the same.
    two.set_cookie(ADMIN_COOKIE, &one.cookie(ADMIN_COOKIE).unwrap());
    let back = two
        .post("/api/auth/admin/stop-impersonating", &json!({}))
        .await
        .ok();
    assert_eq!(
        (
            back.body["session"].clone(),
            back.body["user"]["email"].clone()
        ),
        (Value::Null, json!("other@example.com"))
    );
    assert!(two.cookie(SESSION_COOKIE).is_none());
    // A native client keeps its own tokens itself.
    let tokens = root.sign_in().await;
    let acting = ask(
        &app,
        &tokens,
        "impersonate-user",
        json!({ "userId": id(&bob).await }),
    )
    .await
    .ok();
    assert!(acting.cookies().is_empty());
    app.get_as("/api/auth/list-sessions", &tokens.session)
        .await
        .ok();
    assert_eq!(
        app.refresh(&acting.str("refreshToken")).await.ok().body["user"]["email"],
        json!(bob.email)
    );
}

#[tokio::test]
async fn users_are_searched_filtered_sorted_and_paged() {
    let app = TestApp::start().await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    for (email, name) in [
        ("a_b@example.com", "Ann 100%"),
        ("axb@example.com", "Ben"),
        ("c@example.org", "ann"),
    ] {
        app.after(minutes(1));
        ask(
            &app,
            &admin,
            "create-user",
            json!({ "email": email, "name": name }),
        )
        .await
        .ok();
    }
    let list = async |query: &str| {
        let body = app
            .get_as(
                &format!("/api/auth/admin/list-users?{query}"),
                &admin.session,
            )
            .await
            .ok()
            .body;
        let emails: Vec<String> = body["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|u| u["email"].as_str().unwrap().to_owned())
            .collect();
        (emails, body["total"].as_i64().unwrap())
    };
    assert_eq!(
        list("").await,
        (
            vec![
                "root@example.com".into(),
                "a_b@example.com".into(),
                "axb@example.com".into(),
                "c@example.org".into()
            ],
            4
        )
    );
    assert_eq!(
        list("searchValue=a_b").await.0,
        ["a_b@example.com"],
        "no wildcard"
    );
    assert_eq!(
        list("searchValue=%25&searchField=name").await.0,
        ["a_b@example.com"],
        "nor this one"
    );
    assert_eq!(
        list("searchValue=ANN&searchField=name&searchOperator=starts_with")
            .await
            .0,
        ["a_b@example.com", "c@example.org"]
    );
    assert_eq!(
        list("searchValue=.org&searchOperator=ends_with").await.0,
        ["c@example.org"]
    );
    assert_eq!(
        list("filterField=role&filterValue=admin").await.0,
        ["root@example.com"]
    );
    assert_eq!(list("filterField=email&filterOperator=in&filterValue=axb@example.com&filterValue=c@example.org").await.1, 2);
    assert_eq!(list("filterField=email&filterOperator=not_in&filterValue=axb@example.com&filterValue=c@example.org").await.1, 2);
    assert_eq!(list("filterField=banned&filterValue=true").await.1, 0);
    assert_eq!(
        list("filterField=banned&filterValue=false&filterOperator=eq")
            .await
            .1,
        4
    );
    let at = manage_users::find(&app.app, Permitted::as_operator(), "axb@example.com")
        .await
        .unwrap()
        .created_at;
    assert_eq!(
        list(&format!(
            "filterField=createdAt&filterOperator=gte&filterValue={at}"
        ))
        .await
        .0,
        ["axb@example.com", "c@example.org"]
    );
    assert_eq!(
        list("sortBy=email&sortDirection=desc")
            .await
            .0
            .first()
            .unwrap(),
        "root@example.com"
    );
    assert_eq!(
        list("sortBy=email&limit=2&offset=1").await,
        (vec!["axb@example.com".into(), "c@example.org".into()], 4)
    );
    let page = app
        .get_as(
            "/api/auth/admin/list-users?limit=2&offset=1",
            &admin.session,
        )
        .await
        .ok()
        .body;
    assert_eq!(
        (page["limit"].clone(), page["offset"].clone()),
        (json!(2), json!(1))
    );
    for wrong in [
        "sortBy=password_hash",
        "sortDirection=up",
        "searchValue=x&searchField=role",
        "filterValue=x&filterField=id;--",
        "filterValue=x&filterField=banned",
    ] {
        app.get_as(
            &format!("/api/auth/admin/list-users?{wrong}"),
            &admin.session,
        )
        .await
        .refused(400, "VALIDATION_ERROR");
    }
    // Beyond Better Auth's silent hundred.
    assert_eq!(list("limit=100000").await.1, 4);
}

#[tokio::test]
async fn a_sign_in_while_one_is_banned_or_deleted_leaves_no_session() {
    let app = TestApp::start().await;
    for round in 0..20 {
        let bob = app.user(&format!("bob{round}")).await;
        let target = manage_users::find(&app.app, Permitted::as_operator(), &bob.email)
            .await
            .unwrap()
            .id;
        let requester = Requester::default();
        let shutting = async {
            if round % 2 == 0 {
                administer_users::ban(
                    &app.app,
                    Permitted::as_operator(),
                    target,
                    None,
                    None,
                    &requester,
                )
                .await
                .map(|_| ())
            } else {
                administer_users::remove(&app.app, Permitted::as_operator(), target, &requester)
                    .await
            }
        };
        let racing = futures_util::future::join_all((0..4).map(|_| bob.try_sign_in(&bob.password)));
        let (done, racing) = tokio::join!(shutting, racing);
        done.unwrap();
        for answer in racing.iter().filter(|a| a.status == 200) {
            assert_eq!(app.refresh(&answer.str("refreshToken")).await.status, 401);
        }
    }
    let live = "SELECT COUNT(*) FROM sessions s LEFT JOIN users u ON u.id = s.user_id WHERE s.revoked_at IS NULL AND (u.id IS NULL OR u.banned = 1)";
    assert_eq!(app.db_number(live).await, 0);
}

#[tokio::test]
async fn an_admin_who_is_banned_or_disabled_can_no_longer_impersonate() {
    let app = TestApp::start().await;
    let (root, bob) = (made_admin(&app, "root").await, app.user("bob").await);
    let requester = Requester::default();
    for round in 0..4 {
        let other = made_admin(&app, &format!("other{round}")).await;
        let target = manage_users::find(&app.app, Permitted::as_operator(), &other.email)
            .await
            .unwrap()
            .id;
        let acting = ask(
            &app,
            &other.sign_in().await,
            "impersonate-user",
            json!({ "userId": id(&bob).await }),
        )
        .await
        .ok();
        match round {
            0 => drop(
                administer_users::ban(
                    &app.app,
                    Permitted::as_operator(),
                    target,
                    None,
                    None,
                    &requester,
                )
                .await
                .unwrap(),
            ),
            1 => drop(
                administer_users::set_role(
                    &app.app,
                    Permitted::as_operator(),
                    target,
                    "user".into(),
                    &requester,
                )
                .await
                .unwrap(),
            ),
            2 => administer_users::remove(&app.app, Permitted::as_operator(), target, &requester)
                .await
                .unwrap(),
            _ => drop(
                manage_users::set_disabled(
                    &app.app,
                    Permitted::as_operator(),
                    target,
                    true,
                    &requester,
                )
                .await
                .unwrap(),
            ),
        }
        app.refresh(&acting.str("refreshToken"))
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
    }
    root.sign_in().await;
}

#[tokio::test]
async fn no_caller_gives_a_permission_that_they_do_not_hold() {
    let app = TestApp::with(&[
        ("roles.helper", "user:set-role,user:create,notes:read"),
        ("roles.boss", "user:impersonate,user:impersonate-admins"),
    ])
    .await;
    let (helper, bob) = (app.user("helper").await, app.user("bob").await);
    set_role(&app, &helper, "helper").await;
    let tokens = helper.sign_in().await;
    for target in [id(&bob).await, id(&helper).await] {
        ask(
            &app,
            &tokens,
            "set-role",
            json!({ "userId": target, "role": "boss" }),
        )
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE");
    }
    let new = json!({ "email": "new@example.com", "name": "", "role": ["user", "boss"] });
    ask(&app, &tokens, "create-user", new)
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE");
    ask(
        &app,
        &tokens,
        "set-role",
        json!({ "userId": id(&bob).await, "role": "helper" }),
    )
    .await
    .ok();
}

#[tokio::test]
async fn rights_are_the_row_s_at_each_call_and_malformed_roles_are_none() {
    let app = TestApp::start().await;
    let (root, other, bob) = (
        made_admin(&app, "root").await,
        made_admin(&app, "other").await,
        app.user("bob").await,
    );
    let (tokens, held, bob_id) = (root.sign_in().await, other.sign_in().await, id(&bob).await);
    app.get_as("/api/auth/admin/list-users", &held.access)
        .await
        .refused(401, "UNAUTHORIZED");
    app.get_as("/api/auth/admin/list-users", &held.session)
        .await
        .ok();
    ask(
        &app,
        &tokens,
        "set-role",
        json!({ "userId": id(&other).await, "role": "user" }),
    )
    .await
    .ok();
    app.get_as("/api/auth/admin/list-users", &held.session)
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS");
    // Whose id stands in the body makes no difference.
    let body =
        json!({ "permissions": { "user": ["list"] }, "userId": id(&root).await, "role": "admin" });
    assert_eq!(
        ask(&app, &held, "has-permission", body).await.ok().body["success"],
        false
    );
    for role in [
        json!(" admin"),
        json!("ADMIN"),
        json!("admin,"),
        json!(""),
        json!([]),
        json!(["admin", "king"]),
        json!("user;admin"),
    ] {
        ask(
            &app,
            &tokens,
            "set-role",
            json!({ "userId": bob_id, "role": role }),
        )
        .await
        .refused(400, "YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE");
    }
    ask(
        &app,
        &tokens,
        "set-role",
        json!({ "userId": bob_id, "role": 5 }),
    )
    .await
    .refused(400, "VALIDATION_ERROR");
    ask(
        &app,
        &tokens,
        "set-role",
        json!({ "userId": bob_id, "role": ["admin"] }),
    )
    .await
    .ok();
}

#[tokio::test]
async fn no_caller_takes_over_an_account_that_holds_more() {
    let app = TestApp::with(&[
        (
            "roles.support",
            "user:impersonate,user:set-password,user:update,user:set-email",
        ),
        ("roles.manager", "user:ban,user:delete"),
    ])
    .await;
    let (helper, manager, plain) = (
        app.user("helper").await,
        app.user("manager").await,
        app.user("plain").await,
    );
    for (user, role) in [(&helper, "support"), (&manager, "manager")] {
        let found = manage_users::find(&app.app, Permitted::as_operator(), &user.email)
            .await
            .unwrap();
        administer_users::set_role(
            &app.app,
            Permitted::as_operator(),
            found.id,
            role.into(),
            &Requester::default(),
        )
        .await
        .unwrap();
    }
    let tokens = helper.sign_in().await;
    let (manager, plain) = (id(&manager).await, id(&plain).await);
    let new = json!({ "userId": manager, "newPassword": "another good password" });
    ask(
        &app,
        &tokens,
        "impersonate-user",
        json!({ "userId": manager }),
    )
    .await
    .refused(403, "YOU_ARE_NOT_ALLOWED_TO_IMPERSONATE_USERS");
    ask(&app, &tokens, "set-user-password", new)
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD");
    let email = json!({ "userId": manager, "data": { "email": "mine@example.com" } });
    ask(&app, &tokens, "update-user", email)
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS");
    ask(
        &app,
        &tokens,
        "impersonate-user",
        json!({ "userId": plain }),
    )
    .await
    .ok();
}

#[tokio::test]
async fn the_audit_trail_names_who_acted() {
    let app = TestApp::start().await;
    let (root, bob) = (made_admin(&app, "root").await, app.user("bob").await);
    let (root_id, bob_id) = (id(&root).await, id(&bob).await);
    let tokens = root.sign_in().await;
    ask(
        &app,
        &tokens,
        "set-role",
        json!({ "userId": bob_id, "role": "user" }),
    )
    .await
    .ok();
    let acting = ask(
        &app,
        &tokens,
        "impersonate-user",
        json!({ "userId": bob_id }),
    )
    .await
    .ok();
    let (token, session) = (
        acting.claims("accessToken"),
        acting.body["session"]["id"].as_str().unwrap().to_owned(),
    );
    assert_eq!(token["act"]["sub"], root_id.as_str());
    let told = async |kind: &str, actor: &str, session: Option<&str>| {
        let events = app.db_events().await;
        let is_it = |e: &Event| {
            e.kind.as_str() == kind
                && e.requester.actor == actor
                && e.subject.is_some_and(|s| s.to_string() == bob_id)
        };
        events
            .iter()
            .filter(|e| {
                is_it(&e.event) && e.event.session.map(|s| s.to_string()).as_deref() == session
            })
            .count()
    };
    let root_acts = format!("user:{root_id}");
    assert_eq!(told("user.role_changed", &root_acts, None).await, 1);
    assert_eq!(
        told("impersonation.started", &root_acts, Some(&session)).await,
        1
    );
    // What is done in another one's name is the admin's doing.
    let (own, other) = (
        bob.sign_in().await.session,
        acting.header("set-auth-token").to_owned(),
    );
    for (session, actor) in [(&own, format!("user:{bob_id}")), (&other, root_acts)] {
        app.post_as("/api/auth/update-user", session, &json!({ "name": actor }))
            .await
            .ok();
        assert_eq!(told("user.updated", &actor, None).await, 1);
    }
}

#[tokio::test]
async fn a_time_that_no_date_can_show_is_refused() {
    let app = TestApp::start().await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    let user = id(&app.user("bob").await).await;
    for wrong in [
        json!(i64::MAX),
        json!(-1),
        json!(8_640_000_000_000_001_i64),
        json!("0000-01-01T00:00:00Z"),
        json!("+010000-01-01T00:00:00Z"),
    ] {
        let body = json!({ "userId": user, "data": { "banned": true, "banExpires": wrong } });
        ask(&app, &admin, "update-user", body)
            .await
            .refused(400, "VALIDATION_ERROR");
    }
    let latest = json!({ "userId": user, "data": { "banned": true, "banExpires": "9999-12-31T23:59:59.999Z" } });
    assert_eq!(
        ask(&app, &admin, "update-user", latest).await.ok().body["banExpires"],
        "9999-12-31T23:59:59.999Z"
    );
}
