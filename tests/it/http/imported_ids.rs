//! Users whose ids were made elsewhere: an id is a text of up to 64 characters, on every path.

use countersign::flows::account::manage_users;
use countersign::flows::limit::known_device::Device;
use countersign::flows::permit::Permitted;
use countersign::flows::session::session_tokens;
use countersign::model::kernel::id::UserId;
use serde_json::json;

use super::admin::{ask, made_admin};
use crate::support::{TestApp, User, claims, minutes};

/// One of another product, one with every special character, and a longest one.
const IDS: [&str; 3] = [
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "a.b:c:1:2_D-|",
    "x|123456789-123456789-123456789-123456789-123456789-123456789-12",
];

/// Inserts a user with this id, who has the password of `like`.
async fn imported(like: &User, id: &str) -> User {
    let email = "imported@example.com";
    let source = &like.email;
    like.app
        .db_script(&format!(
            "INSERT INTO users (id, email, email_verified, name, role, banned, metadata, version, created_at, updated_at)
             SELECT '{id}', '{email}', 1, name, role, 0, '{{}}', 1, created_at, updated_at FROM users WHERE email = '{source}';
             INSERT INTO accounts (id, user_id, provider_id, account_id, password_hash, created_at, updated_at)
             SELECT '00000000-0000-7000-8000-0000000000ff', '{id}', 'credential', '{id}', a.password_hash, a.created_at, a.updated_at
             FROM accounts a JOIN users u ON u.id = a.user_id WHERE u.email = '{source}'"
        ))
        .await;
    User {
        email: email.into(),
        ..like.clone()
    }
}

#[tokio::test]
async fn a_user_with_an_id_of_elsewhere_uses_and_is_served_everything() {
    for id in IDS {
        let app = TestApp::start().await;
        let ana = app.user("ana").await;
        let user = imported(&ana, id).await;
        let answer = user.try_sign_in(&user.password).await.ok();
        assert_eq!(answer.body["user"]["id"], id);
        let device = answer.str("deviceToken");
        let opened = Device::open(&app.app, &device).unwrap();
        assert_eq!(opened.user(), id.parse::<UserId>().unwrap());

        let tokens = user.sign_in().await;
        assert_eq!(claims(&tokens.access)["sub"], id);
        let report = session_tokens::explain(&app.app, &tokens.access)
            .await
            .unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        let session = app.get_as("/api/auth/session", &tokens.access).await.ok();
        assert_eq!(session.body["session"]["userId"], id);
        app.after(minutes(30));
        let refreshed = app.refresh(&tokens.refresh).await.ok();
        assert_eq!(refreshed.claims("accessToken")["sub"], id);
        let list = app
            .get_as("/api/auth/list-sessions", &tokens.session)
            .await
            .ok();
        assert_eq!(list.body.as_array().unwrap().len(), 2);
        app.post_as(
            "/api/auth/revoke-other-sessions",
            &tokens.session,
            &json!({}),
        )
        .await
        .ok();

        let browser = user.browser().await;
        assert_eq!(
            browser.get("/api/auth/get-session").await.ok().body["user"]["id"],
            id
        );
        browser.refresh().await.ok();

        let admin = made_admin(&app, "root").await.sign_in().await;
        let query = id.replace('|', "%7C");
        let found = app
            .get_as(
                &format!("/api/auth/admin/get-user?id={query}"),
                &admin.session,
            )
            .await
            .ok();
        assert_eq!(found.body["id"], id);
        let of = |more: serde_json::Value| {
            let mut body = json!({ "userId": id });
            body.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            body
        };
        let sessions = ask(&app, &admin, "list-user-sessions", of(json!({})))
            .await
            .ok();
        assert_eq!(sessions.body["sessions"].as_array().unwrap().len(), 2);
        ask(&app, &admin, "set-role", of(json!({ "role": "user" })))
            .await
            .ok();
        ask(&app, &admin, "impersonate-user", of(json!({})))
            .await
            .ok();
        ask(&app, &admin, "ban-user", of(json!({}))).await.ok();
        user.try_sign_in(&user.password)
            .await
            .refused(403, "BANNED_USER");
        ask(&app, &admin, "unban-user", of(json!({}))).await.ok();
        ask(&app, &admin, "revoke-user-sessions", of(json!({})))
            .await
            .ok();

        // As the command line names a user.
        let named = manage_users::find(&app.app, Permitted::as_operator(), id)
            .await
            .unwrap();
        assert_eq!(named.id.to_string(), id);
        let events = app
            .get_as(
                &format!("/api/auth/admin/audit?userId={query}&limit=200"),
                &admin.session,
            )
            .await
            .ok();
        assert!(events.body["events"].as_array().unwrap().len() > 5);
        ask(&app, &admin, "remove-user", of(json!({}))).await.ok();
        app.get_as(
            &format!("/api/auth/admin/get-user?id={query}"),
            &admin.session,
        )
        .await
        .refused(404, "USER_NOT_FOUND");
    }
}
