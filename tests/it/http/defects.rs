//! What the contract saw go wrong elsewhere (its section 17) and must not go wrong here: a test
//! each, by its number; `docs/better-auth.md` lists them.

use countersign::flows::permit::Permitted;
use serde_json::{Value, json};

use crate::support::{
    Browser, CACHE_COOKIE, DONT_REMEMBER_COOKIE, SESSION_COOKIE, TestApp, User, minutes, seconds,
};

const DAY: u64 = 60 * 24;

#[tokio::test]
async fn d01_an_expired_session_hands_out_no_token() {
    let app = TestApp::with(&[("sessions.idle_ttl", "1h")]).await;
    let browser = app.user("ana").await.browser().await;
    app.after(minutes(61));
    for _ in 0..2 {
        let answer = browser.get("/api/auth/get-session").await.ok();
        assert!(answer.body.is_null() && answer.header("set-auth-jwt").is_empty());
    }
}

#[tokio::test]
async fn d02_a_cookie_cache_mints_nothing_for_who_is_out() {
    let app = TestApp::with(&[("sessions.cookie_cache", "5m")]).await;
    let (root, ana, bob) = (
        app.user("root").await,
        app.user("ana").await,
        app.user("bob").await,
    );
    let (revoked, banned) = (ana.browser().await, bob.browser().await);
    let admin = as_admin(&app, &root).await;
    for (user, call) in [(&ana, "revoke-user-sessions"), (&bob, "ban-user")] {
        admin
            .post(
                &format!("/api/auth/admin/{call}"),
                &json!({ "userId": id(&app, user).await }),
            )
            .await
            .ok();
    }
    for browser in [revoked, banned] {
        assert!(browser.cookie(CACHE_COOKIE).is_some());
        browser
            .get("/api/auth/token")
            .await
            .refused(401, "UNAUTHORIZED");
        assert!(
            browser
                .get("/api/auth/get-session")
                .await
                .header("set-auth-jwt")
                .is_empty()
        );
    }
}

#[tokio::test]
async fn d03_other_sessions_end_however_many_there_are() {
    let app = TestApp::with(&[("sessions.max_per_user", "1000")]).await;
    let ana = app.user("ana").await;
    let mut others = Vec::new();
    for _ in 0..150 {
        others.push(ana.sign_in().await);
    }
    let own = ana.sign_in().await;
    let list = app
        .get_as("/api/auth/list-sessions", &own.session)
        .await
        .ok();
    assert_eq!(list.body.as_array().unwrap().len(), 100);
    let rest = app
        .get_as(
            &format!(
                "/api/auth/list-sessions?before={}",
                list.body[99]["id"].as_str().unwrap()
            ),
            &own.session,
        )
        .await
        .ok();
    assert_eq!(
        rest.body.as_array().unwrap().len(),
        52,
        "with the one of the sign-up"
    );
    app.post_as("/api/auth/revoke-other-sessions", &own.session, &json!({}))
        .await
        .ok();
    assert_eq!(
        app.get_as("/api/auth/list-sessions", &own.session)
            .await
            .ok()
            .body
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for other in others.iter().step_by(25) {
        app.get_as("/api/auth/session", &other.session)
            .await
            .refused(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn d04_first_looks_at_the_keys_make_none() {
    let app = TestApp::start().await;
    let looks = futures_util::future::join_all((0..8).map(|_| app.get("/api/auth/jwks"))).await;
    assert!(looks.iter().all(|look| look.text == looks[0].text));
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM signing_keys").await,
        2,
        "the active one and its successor"
    );
}

#[tokio::test]
async fn d06_a_made_up_user_is_as_a_real_one() {
    let app = TestApp::with(&[("sign_up.require_email_verification", "true")]).await;
    let form =
        json!({ "name": "Ana", "email": "ana@example.com", "password": "a good long password" });
    let members = |answer: Value| {
        answer["user"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| (k.clone(), v.is_null()))
            .collect::<Vec<_>>()
    };
    let real = app.post("/api/auth/sign-up/email", &form).await.ok();
    let made_up = app.post("/api/auth/sign-up/email", &form).await.ok();
    assert_eq!(
        (
            &made_up.body["user"]["role"],
            &made_up.body["user"]["emailVerified"]
        ),
        (&json!("user"), &json!(false))
    );
    assert_eq!(members(real.body), members(made_up.body));
}

#[tokio::test]
async fn d07_every_cookie_of_an_answer_arrives() {
    let app = TestApp::with(&[("sessions.cookie_cache", "5m")]).await;
    let browser = app.user("ana").await.browser().await;
    app.after(minutes(DAY + 1));
    let answer = browser.get("/api/auth/get-session").await.ok();
    for name in [SESSION_COOKIE, CACHE_COOKIE].map(|name| format!("{name}=")) {
        assert!(
            answer.cookies().iter().any(|c| c.starts_with(&name)),
            "{:?}",
            answer.cookies()
        );
    }
    assert!(
        answer
            .cookies()
            .iter()
            .all(|c| !c.starts_with(&format!("{SESSION_COOKIE}=;")))
    );
}

#[tokio::test]
async fn d08_the_admin_is_remembered_again() {
    let app = TestApp::start().await;
    let (root, bob) = (app.user("root").await, app.user("bob").await);
    let admin = as_admin(&app, &root).await;
    admin
        .post(
            "/api/auth/admin/impersonate-user",
            &json!({ "userId": id(&app, &bob).await }),
        )
        .await
        .ok();
    assert!(admin.cookie(DONT_REMEMBER_COOKIE).is_some());
    let stopped = admin
        .post("/api/auth/admin/stop-impersonating", &json!({}))
        .await
        .ok();
    assert!(admin.cookie(DONT_REMEMBER_COOKIE).is_none());
    let set = stopped
        .cookies()
        .into_iter()
        .rfind(|c| c.starts_with(&format!("{SESSION_COOKIE}=")))
        .unwrap();
    assert!(
        set.contains("Max-Age="),
        "it outlives the browser again: {set}"
    );
    app.after(minutes(DAY + 1));
    let slid = admin.get("/api/auth/get-session").await.ok();
    assert!(
        slid.cookies()
            .iter()
            .any(|c| c.starts_with(&format!("{SESSION_COOKIE}="))),
        "and slides"
    );
}

#[tokio::test]
async fn d09_rules_of_passwords_and_types_hold_for_admins_and_everywhere() {
    let app = TestApp::start().await;
    let root = app.user("root").await;
    let admin = as_admin(&app, &root).await;
    let mut new =
        json!({ "email": "new@example.com", "name": "x", "password": "a good long password" });
    admin.post("/api/auth/admin/create-user", &new).await.ok();
    new["email"] = json!("other@example.com");
    new["password"] = json!("1");
    admin
        .post("/api/auth/admin/create-user", &new)
        .await
        .refused(400, "PASSWORD_TOO_SHORT");
    let id = id(&app, &root).await;
    for (path, good, bad) in [
        ("update-user", json!({ "name": "1" }), json!({ "name": 1 })),
        (
            "update-user",
            json!({ "image": "https://example.com/5" }),
            json!({ "image": 5 }),
        ),
        (
            "change-email",
            json!({ "newEmail": "a@example.com" }),
            json!({ "newEmail": ["a@example.com"] }),
        ),
        (
            "admin/update-user",
            json!({ "userId": id, "data": { "name": "1" } }),
            json!({ "userId": id, "data": { "name": 1 } }),
        ),
    ] {
        let path = format!("/api/auth/{path}");
        admin.post(&path, &good).await.ok();
        admin
            .post(&path, &bad)
            .await
            .refused(400, "VALIDATION_ERROR");
    }
    admin
        .post("/api/auth/update-session", &json!({ "theme": 5 }))
        .await
        .refused(400, "NO_FIELDS_TO_UPDATE");
}

#[test]
fn d10_a_lifetime_is_a_time_and_never_a_date() {
    use countersign::config::{Config, Sources};
    let load = |text: &str| {
        Config::load(&Sources {
            flags: vec![("tokens.access_ttl".to_owned(), text.to_owned())],
            ..Sources::default()
        })
    };
    assert!(load("600s").is_ok());
    for text in ["600", "1795244107"] {
        let problems = load(text).unwrap_err();
        assert!(
            problems.iter().any(|p| p.key == "tokens.access_ttl"),
            "{text} says no unit"
        );
    }
}

async fn id(app: &TestApp, user: &User) -> Value {
    json!(
        countersign::flows::account::manage_users::find(
            &app.app,
            Permitted::as_operator(),
            &user.email
        )
        .await
        .unwrap()
        .id
    )
}

async fn as_admin(app: &TestApp, user: &User) -> Browser {
    use countersign::flows::account::administer_users;
    use countersign::flows::account::manage_users;
    use countersign::model::audit::event::Requester;
    let id = manage_users::find(&app.app, Permitted::as_operator(), &user.email)
        .await
        .unwrap()
        .id;
    administer_users::set_role(
        &app.app,
        Permitted::as_operator(),
        id,
        "admin".into(),
        &Requester::default(),
    )
    .await
    .unwrap();
    user.browser().await
}

/// Mass assignment: what only admins and operators write is refused or ignored at every path that a
/// user writes to.
#[tokio::test]
async fn no_user_gives_themselves_what_only_an_admin_gives() {
    let app = TestApp::with(&[("tokens.claims.department", "user.metadata.department")]).await;
    let ana = app.user("ana").await;
    let session = ana.sign_in().await.session;
    let row = async || {
        countersign::flows::account::manage_users::find(
            &app.app,
            Permitted::as_operator(),
            &ana.email,
        )
        .await
        .unwrap()
    };
    let before = row().await;
    let gifts = json!({
        "role": "admin", "roles": ["admin"], "permissions": ["user:list"], "emailVerified": true, "email_verified": true, "banned": true,
        "banReason": "x", "banExpires": null, "metadata": { "department": "board" }, "id": "00000000-0000-4000-8000-000000000000", "userId": "x",
        "createdAt": "2020-01-01T00:00:00.000Z", "disabledAt": null, "version": 99, "impersonatedBy": "x", "expiresAt": "2099-01-01T00:00:00.000Z"
    });
    let paths = [
        ("update-user", json!({})),
        ("update-session", json!({})),
        ("verify-password", json!({ "password": ana.password })),
        ("revoke-session", json!({ "token": "unknown" })),
        (
            "sign-in/email",
            json!({ "email": ana.email, "password": ana.password, "tokenDelivery": "body" }),
        ),
        (
            "admin/has-permission",
            json!({ "permissions": { "user": ["list"] } }),
        ),
    ];
    for (name, value) in gifts.as_object().unwrap() {
        for (path, body) in &paths {
            let mut body = body.clone();
            body[name] = value.clone();
            let answer = app
                .post_as(&format!("/api/auth/{path}"), &session, &body)
                .await;
            // A path that writes what is the user's own refuses the member; the others ignore it.
            let refuses = matches!(*path, "update-user" | "update-session")
                || (*path, name.as_str()) == ("admin/has-permission", "permissions");
            let expected = if refuses { 400 } else { 200 };
            assert_eq!(
                answer.status.as_u16(),
                expected,
                "{path} with {name}: {}",
                answer.text
            );
            assert!(
                answer.body["success"] != json!(true) || path == &"revoke-session",
                "{path} with {name} grants nothing"
            );
        }
        let mut form = json!({ "name": "Eve", "email": format!("eve-{}@example.com", name.to_lowercase()), "password": "a good long password" });
        form[name] = value.clone();
        let answer = app.post("/api/auth/sign-up/email", &form).await;
        if answer.status.is_success() {
            let user = &answer.body["user"];
            assert_eq!(
                (&user["role"], &user["emailVerified"], &user["banned"]),
                (&json!("user"), &json!(false), &json!(false)),
                "{name}"
            );
            assert_ne!(user["id"], json!("00000000-0000-4000-8000-000000000000"));
        } else {
            answer.refused(400, "FIELD_NOT_ALLOWED");
        }
    }
    app.after(seconds(1));
    assert_eq!(row().await, before, "the row is as it was");
    let claims = crate::support::claims(&ana.sign_in().await.access);
    assert!(claims.get("department").is_none() && claims["role"] == "user");
}

/// A token's role is the row's as it is when the token is made, whatever changed it and wherever.
#[tokio::test]
async fn a_token_carries_the_role_of_the_row() {
    let app = TestApp::with(&[("roles.editor", "notes:write")]).await;
    let (root, bob) = (app.user("root").await, app.user("bob").await);
    let admin = as_admin(&app, &root).await;
    let (browser, bob_id) = (bob.browser().await, id(&app, &bob).await);
    for role in ["editor", "user", "editor,user", "user"] {
        admin
            .post(
                "/api/auth/admin/set-role",
                &json!({ "userId": bob_id, "role": role }),
            )
            .await
            .ok();
        let minted = browser.get("/api/auth/token").await.ok();
        let refreshed = browser.refresh().await.ok();
        for claims in [minted.claims("token"), refreshed.claims("accessToken")] {
            assert_eq!(claims["role"], role);
            let granted = claims["permissions"]
                .as_array()
                .unwrap()
                .contains(&json!("notes:write"));
            assert_eq!(granted, role.contains("editor"));
        }
        app.after(minutes(2));
    }
}
