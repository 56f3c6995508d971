//! New passwords that are required after a leak: the old ones open nothing, new ones do.

use countersign::flows;
use countersign::flows::account::manage_users;
use countersign::flows::account::require_password::{self, Passwords};
use countersign::flows::audit::operator_changes;
use countersign::flows::permit::Permitted;
use countersign::model::audit::event::{Entry, Requester};
use countersign::model::audit::story::{Named, Story};
use countersign::model::kernel::id::UserId;
use countersign::model::kernel::time::Timestamp;
use serde_json::json;

use super::admin::{ask, id, made_admin};
use super::mail::{posting, received, reset_link};
use crate::support::software_key::SoftwareKey;
use crate::support::{TestApp, User, seconds};

fn operator() -> Requester {
    Requester::named("cli:ana")
}

async fn require_of(user: &User) -> flows::Result<bool> {
    let name: UserId = id(user).await.parse().unwrap();
    require_password::require_of(&user.app.app, Permitted::as_operator(), name, &operator()).await
}

async fn require_of_all(app: &TestApp) {
    require_password::require_of_all(&app.app, Permitted::as_operator(), &operator())
        .await
        .unwrap();
}

async fn counted(app: &TestApp) -> (u64, u64) {
    let Passwords { all, required } = require_password::count(&app.app, Permitted::as_operator())
        .await
        .unwrap();
    (all, required)
}

#[tokio::test]
async fn an_old_password_opens_nothing_until_the_owner_of_the_mailbox_has_set_a_new_one() {
    let (app, dir) = posting(&[]).await;
    let (ana, ben) = (app.user("ana").await, app.user("ben").await);
    let (held, untouched) = (ana.sign_in().await, ben.sign_in().await);
    assert!(require_of(&ana).await.unwrap());
    assert!(!require_of(&ana).await.unwrap(), "it was required already");
    assert_eq!(counted(&app).await, (2, 1));
    assert_eq!(app.db_count_events("password.required").await, 1);

    // Sessions have ended; only who knows the password is told why it is refused.
    app.refresh(&held.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    ana.try_sign_in(&ana.password)
        .await
        .refused(403, "NEW_PASSWORD_REQUIRED");
    ana.try_sign_in("a wrong long password")
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    app.refresh(&untouched.refresh).await.ok();
    ben.sign_in().await;

    received(&app, dir.path()).await;
    let link = reset_link(&app, dir.path(), &ana.email).await;
    let reset = json!({ "token": link.token(), "newPassword": "another good password" });
    app.post("/api/auth/reset-password", &reset).await.ok();
    ana.try_sign_in("another good password").await.ok();
    assert_eq!(counted(&app).await, (2, 0));
}

#[tokio::test]
async fn one_command_requires_a_new_password_of_every_user_and_of_none_who_comes_later() {
    let app = TestApp::start().await;
    let root = made_admin(&app, "root").await;
    let (ana, ben) = (app.user("ana").await, app.user("ben").await);
    let held = ana.sign_in().await;
    assert!(require_of(&ben).await.unwrap());
    require_of_all(&app).await;
    assert_eq!(counted(&app).await, (3, 3));
    app.refresh(&held.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    for user in [&root, &ana, &ben] {
        user.try_sign_in(&user.password)
            .await
            .refused(403, "NEW_PASSWORD_REQUIRED");
    }

    // By a command, by an admin, and by a sign-up.
    let user = manage_users::find(&app.app, Permitted::as_operator(), &root.email)
        .await
        .unwrap();
    let new = "another good password";
    flows::account::change_password::set_password(
        &app.app,
        Permitted::as_operator(),
        &user,
        new,
        &operator(),
    )
    .await
    .unwrap();
    let admin = root.try_sign_in(new).await.ok();
    let by = crate::support::Tokens {
        session: admin.str("token"),
        access: admin.str("accessToken"),
        refresh: admin.str("refreshToken"),
        session_id: String::new(),
    };
    let body = json!({ "userId": user_id(&app, &ana).await, "newPassword": new });
    ask(&app, &by, "set-user-password", body).await.ok();
    ana.try_sign_in(new).await.ok();
    app.user("cleo").await.sign_in().await;
    assert_eq!(counted(&app).await, (4, 1), "only ben's is left");

    // A second leak.
    require_of_all(&app).await;
    assert_eq!(counted(&app).await, (4, 4));
    ana.try_sign_in(new)
        .await
        .refused(403, "NEW_PASSWORD_REQUIRED");
}

/// Returns the id of a user who cannot sign in.
async fn user_id(app: &TestApp, user: &User) -> UserId {
    manage_users::find(&app.app, Permitted::as_operator(), &user.email)
        .await
        .unwrap()
        .id
}

#[tokio::test]
async fn a_user_without_a_password_needs_no_new_one() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let name = user_id(&app, &ana).await;
    app.db_execute("DELETE FROM accounts").await.unwrap();
    let refused =
        require_password::require_of(&app.app, Permitted::as_operator(), name, &operator()).await;
    assert!(
        matches!(refused, Err(flows::Error::CredentialAccountNotFound)),
        "{refused:?}"
    );
    let is_required = require_password::is_required(&app.app, Permitted::as_operator(), name).await;
    assert_eq!(is_required.unwrap(), None);
    let ben = app.user("ben").await;
    assert!(require_of(&ben).await.unwrap(), "one with a password does");
}

/// The audit trail holds the message of a refusal, so a message that changes must not lose its words.
#[test]
fn every_refusal_of_a_right_password_has_words_in_the_timeline() {
    for error in [
        flows::Error::InvalidEmailOrPassword,
        flows::Error::EmailNotVerified,
        flows::Error::UserDisabled,
        flows::Error::BannedUser,
        flows::Error::NewPasswordRequired,
    ] {
        let event = Entry {
            id: String::new(),
            writer: String::new(),
            sequence: 1,
            at: Timestamp(0),
            kind: "session.refused".into(),
            actor: "user".into(),
            subject: None,
            session: None,
            ip_address: String::new(),
            user_agent: String::new(),
            request_id: String::new(),
            detail: json!({ "reason": error.to_string() }).to_string(),
            link: String::new(),
        };
        let reason = Story::of(&event).value("reason");
        assert!(matches!(reason, Named::Words(_)), "{error}: {reason:?}");
    }
}

#[tokio::test]
async fn a_server_logs_once_what_the_command_line_changed_beside_it() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.user("ana").await, app.user("ben").await);
    assert!(require_of(&ben).await.unwrap());
    let kinds = async || -> Vec<String> {
        let changes = operator_changes::new_changes(&app.app).await.unwrap();
        changes.into_iter().map(|change| change.kind).collect()
    };
    assert!(
        kinds().await.is_empty(),
        "what was changed before its start"
    );
    assert!(require_of(&ana).await.unwrap());
    let expected = ["session.revoked", "password.required"];
    let seen = kinds().await;
    assert!(
        seen.contains(&expected[1].to_owned())
            && seen.iter().all(|k| expected.contains(&k.as_str())),
        "{seen:?}"
    );
    assert!(kinds().await.is_empty(), "logged once");
    // More than are read at once, as after `audit reapply`.
    let now = app.app.now().0;
    let event = |n: usize| {
        format!(
            "INSERT INTO audit_events (id, writer, sequence, at, kind, actor, ip_address, user_agent, request_id, detail, link)
             VALUES ('many-{n:04}', 'many', {n}, {now}, 'user.updated', 'cli:ana', '', '', '', '{{}}', '');"
        )
    };
    let events: String = (0..1_100).map(event).collect();
    app.db_script(&events).await;
    assert_eq!(kinds().await.len(), 1_100);
    assert!(kinds().await.is_empty(), "logged once");
    // What users do is not logged.
    app.after(seconds(10));
    app.user("cleo").await.sign_in().await;
    assert!(kinds().await.is_empty());
}

#[tokio::test]
async fn an_old_password_is_no_step_after_a_passkey_either() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::unverified("stick");
    ana.adds_passkey(&mut key).await;
    ana.enrols().await;
    let step = async |key: &mut SoftwareKey| {
        let challenge = app.signs_in(key).await.ok().str("challenge");
        let body = json!({ "challenge": challenge, "password": ana.password });
        app.post("/api/auth/two-factor/verify-password", &body)
            .await
    };
    step(&mut key).await.ok();
    assert!(require_of(&ana).await.unwrap());
    step(&mut key).await.refused(403, "NEW_PASSWORD_REQUIRED");
}
