//! A process that holds the new master key but has not yet followed the change of another process
//! still opens sessions, in every way in which one is opened.

use std::os::unix::fs::PermissionsExt;

use countersign::flows::key::rewrap::{Options, rewrap};
use countersign::flows::permit::Permitted;
use serde_json::{Value, json};

use super::admin::{id, made_admin};
use super::impersonation::act;
use crate::support::{Browser, TestApp};

/// The ways in which a session is opened or replaced.
const WAYS: [&str; 6] = [
    "sign in",
    "sign up",
    "change the password",
    "impersonate",
    "stop impersonating",
    "refresh",
];

#[tokio::test]
async fn a_process_that_has_not_followed_a_new_master_key_opens_sessions_in_every_way() {
    for way in WAYS {
        let app = TestApp::start().await;
        let (root, alice) = (made_admin(&app, "root").await, app.user("alice").await);
        let (admin, own) = (root.sign_in().await, alice.sign_in().await);
        let acting = act(&app, &admin, &alice).await;
        let browser = Browser::new(&app);
        let sign_in = json!({ "email": root.email, "password": root.password });
        browser.post("/api/auth/sign-in/email", &sign_in).await.ok();
        let target = json!({ "userId": id(&alice).await });
        let begin = "/api/auth/admin/impersonate-user";
        browser.post(begin, &target).await.ok();

        let new = app.path("new.key");
        std::fs::write(&new, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        let old = app.path("keys/master.key").display().to_string();
        let environment = [
            ("COUNTERSIGN_MASTER_KEY_FILE", new.display().to_string()),
            ("COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE", old),
        ];
        let behind = app.replica(&environment).await.unwrap();
        rewrap(
            &app.app,
            Permitted::as_operator(),
            &new,
            Options::default(),
            &Default::default(),
        )
        .await
        .unwrap();

        let post = async |path: &str, body: Value| behind.post(path, &body).await;
        let answer = match way {
            "sign in" => {
                let body = json!({ "email": alice.email, "password": alice.password });
                post("/api/auth/sign-in/email", body).await
            }
            "sign up" => {
                let body = json!({ "name": "New", "email": "new@example.com", "password": "correct horse battery" });
                post("/api/auth/sign-up/email", body).await
            }
            "change the password" => {
                let body = json!({
                    "currentPassword": alice.password, "newPassword": "another good long one",
                    "revokeOtherSessions": true,
                });
                behind
                    .post_as("/api/auth/change-password", &own.session, &body)
                    .await
            }
            "impersonate" => behind.post_as(begin, &admin.session, &target).await,
            "stop impersonating" => {
                let path = "/api/auth/admin/stop-impersonating";
                browser.at(&behind).post(path, &json!({})).await
            }
            "refresh" => behind.refresh(&acting.refresh).await,
            other => panic!("{other} is not a way"),
        };
        assert_eq!(answer.status, 200, "{way}: {:?}", answer.body);
    }
}
