//! Mails and their links: who gets which, what a link may do, when it is over, and what a stranger
//! learns.

use std::path::Path;

use countersign::flows::mail::deliver_mail::deliver_due;
use countersign::flows::permit::Permitted;
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::support::{Browser, SESSION_COOKIE, TestApp, User, minutes};

const FIREFOX_140: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const FIREFOX_141: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0";

/// Mails go into a folder of the test.
pub(super) async fn posting(extra: &[(&str, &str)]) -> (TestApp, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    let settings = [
        &[("mail.transport", "file"), ("mail.dir", path.as_str())][..],
        extra,
    ]
    .concat();
    (TestApp::with(&settings).await, dir)
}

/// One mail as a reader sees it.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) text: String,
}

impl Received {
    /// The path and query of the link in it.
    pub(super) fn link(&self) -> String {
        let at = |origin| {
            self.text.lines().find_map(|line| {
                line.strip_prefix(origin)
                    .filter(|path| path.starts_with('/'))
            })
        };
        let link = at("http://localhost:4000").or_else(|| at("https://auth.example.com"));
        link.unwrap_or_else(|| panic!("no link: {}", self.text))
            .to_owned()
    }

    pub(super) fn token(&self) -> String {
        let link = self.link();
        let query = link.split_once('?').map_or("", |(_, q)| q);
        let from_query = url::form_urlencoded::parse(query.as_bytes())
            .find(|(k, _)| k == "token")
            .map(|(_, v)| v.into_owned());
        from_query.unwrap_or_else(|| {
            link.split_once("/reset-password/")
                .unwrap()
                .1
                .split('?')
                .next()
                .unwrap()
                .to_owned()
        })
    }
}

/// Everything that has arrived since the last look.
pub(super) async fn received(app: &TestApp, dir: &Path) -> Vec<Received> {
    deliver_due(&app.app, || false).await.unwrap();
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.sort();
    let mut all = Vec::new();
    for path in names {
        let raw = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let header = |name: &str| {
            raw.lines()
                .find_map(|l| l.strip_prefix(&format!("{name}: ")))
                .unwrap_or_default()
                .to_owned()
        };
        let plain = raw
            .split("text/plain")
            .nth(1)
            .unwrap()
            .split_once("\r\n\r\n")
            .unwrap()
            .1
            .replace("=\r\n", "")
            .split("\r\n--")
            .next()
            .unwrap()
            .replace("=3D", "=");
        all.push(Received {
            to: header("To"),
            subject: header("Subject"),
            text: plain.replace("\r\n", "\n"),
        });
    }
    all
}

/// The newest of the mails with such words in the subject.
pub(super) fn about<'m>(mails: &'m [Received], subject: &str) -> &'m Received {
    let found = mails.iter().rev().find(|m| m.subject.contains(subject));
    found.unwrap_or_else(|| panic!("no mail about {subject:?}: {mails:?}"))
}

pub(super) async fn only(app: &TestApp, dir: &Path) -> Received {
    let mut all = received(app, dir).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[tokio::test]
async fn a_mailbox_is_proven_by_the_form_of_its_link_as_often_as_it_is_sent() {
    let (app, dir) = posting(&[("sign_up.require_email_verification", "true")]).await;
    let form = json!({ "name": "Ana", "email": "ana@example.com", "password": "a good long password", "callbackURL": "/welcome" });
    let signed_up = app.post("/api/auth/sign-up/email", &form).await.ok();
    assert!(
        signed_up.body["token"].is_null()
            && !signed_up
                .cookies()
                .iter()
                .any(|line| line.contains("session"))
    );
    app.post("/api/auth/sign-in/email", &form)
        .await
        .refused(403, "EMAIL_NOT_VERIFIED");
    app.post(
        "/api/auth/sign-in/email",
        &json!({ "email": "ana@example.com", "password": "a wrong password" }),
    )
    .await
    .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    let mail = only(&app, dir.path()).await;
    assert!(
        mail.to.contains("ana@example.com")
            && mail.subject.starts_with("Confirm your email address")
    );
    app.get(&mail.link()).await.ok();
    app.post("/api/auth/sign-in/email", &form)
        .await
        .refused(403, "EMAIL_NOT_VERIFIED");
    for _ in 0..2 {
        let proof = format!(
            "token={}&callbackURL=%2Fwelcome&password=a+good+long+password",
            mail.token()
        );
        let answer = app.form("/api/auth/verify-email", &proof).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, "/welcome")
        );
    }
    assert_eq!(app.db_count_events("email.verified").await, 1);
    app.post("/api/auth/sign-in/email", &form).await.ok();
    app.after(minutes(60 * 24));
    let late = app.get(&mail.link()).await;
    assert_eq!(late.header("location"), "/welcome?error=TOKEN_EXPIRED");
    app.get(&format!("/api/auth/verify-email?token={}", mail.token()))
        .await
        .refused(401, "TOKEN_EXPIRED");
    app.get("/api/auth/verify-email?token=nonsense")
        .await
        .refused(401, "INVALID_TOKEN");
    app.get(&format!(
        "/api/auth/verify-email?token={}&callbackURL=https://evil.example",
        mail.token()
    ))
    .await
    .refused(403, "INVALID_CALLBACK_URL");
}

#[tokio::test]
async fn no_answer_reveals_whether_an_email_address_is_known() {
    let (app, dir) = posting(&[("sign_up.require_email_verification", "true")]).await;
    let form =
        |email: &str| json!({ "name": "x", "email": email, "password": "a good long password" });
    let first = app
        .post("/api/auth/sign-up/email", &form("ana@example.com"))
        .await
        .ok();
    only(&app, dir.path()).await;
    let again = app
        .post("/api/auth/sign-up/email", &form("ana@example.com"))
        .await
        .ok();
    let shape = |v: &Value| {
        v["user"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(k, _)| !["id", "createdAt", "updatedAt"].contains(&k.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(shape(&first.body), shape(&again.body));
    // Both browsers are known devices from now on: one of Ana's account, the other of a user who
    // does not exist.
    let lines = |answer: &crate::support::Answer| -> Vec<String> {
        let value = regex::Regex::new("=.*?; ").unwrap();
        answer
            .cookies()
            .iter()
            .map(|line| value.replace(line, "=…; ").into_owned())
            .collect()
    };
    assert_eq!(lines(&first), lines(&again));
    assert_eq!(lines(&first).len(), 1);
    // The mailbox is still to be proven: what comes is the link once more.
    let told = only(&app, dir.path()).await;
    assert!(
        told.to.contains("ana@example.com")
            && told.subject.starts_with("Confirm your email address"),
        "{told:?}"
    );
    app.db_execute("UPDATE users SET email_verified = 1, version = version + 1")
        .await
        .unwrap();
    app.post("/api/auth/sign-up/email", &form("ana@example.com"))
        .await
        .ok();
    let told = only(&app, dir.path()).await;
    assert!(
        told.subject.starts_with("You already have an account"),
        "{told:?}"
    );
    app.db_execute("UPDATE users SET email_verified = 0, version = version + 1")
        .await
        .unwrap();
    for path in ["request-password-reset", "send-verification-email"] {
        let ask = async |email: &str| {
            app.post(&format!("/api/auth/{path}"), &json!({ "email": email }))
                .await
        };
        let (known, unknown) = (
            ask("ana@example.com").await.ok(),
            ask("unknown@example.com").await.ok(),
        );
        assert_eq!(known.body, unknown.body);
        let rows = "SELECT COUNT(*) FROM mails";
        assert_eq!(app.db_number(rows).await, 2, "both wrote a row");
        assert_eq!(received(&app, dir.path()).await.len(), 1);
        assert_eq!(app.db_number(rows).await, 0);
    }
}

pub(super) async fn reset_link(app: &TestApp, dir: &Path, email: &str) -> Received {
    app.post(
        "/api/auth/request-password-reset",
        &json!({ "email": email, "redirectTo": "/reset" }),
    )
    .await
    .ok();
    only(app, dir).await
}

#[tokio::test]
async fn a_password_is_reset_once_a_link_and_everybody_is_signed_out() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    let held = ana.sign_in().await;
    let (old, mail) = (
        reset_link(&app, dir.path(), &ana.email).await,
        reset_link(&app, dir.path(), &ana.email).await,
    );
    let opened = app.get(&mail.link()).await;
    assert_eq!(
        (opened.status.as_u16(), opened.header("location")),
        (
            302,
            format!("http://localhost:4000/reset?token={}", mail.token()).as_str()
        )
    );
    assert_eq!(
        app.get(&old.link()).await.header("location"),
        "http://localhost:4000/reset?error=INVALID_TOKEN",
        "a newer one was sent"
    );
    let reset = async |token: &str, new: &str| {
        app.post(
            "/api/auth/reset-password",
            &json!({ "token": token, "newPassword": new }),
        )
        .await
    };
    reset(&old.token(), "another good password")
        .await
        .refused(400, "INVALID_TOKEN");
    reset(&mail.token(), "short")
        .await
        .refused(400, "PASSWORD_TOO_SHORT");
    reset(&mail.token(), "another good password").await.ok();
    reset(&mail.token(), "a third good password")
        .await
        .refused(400, "INVALID_TOKEN");
    app.refresh(&held.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    ana.try_sign_in("another good password").await.ok();
    let notice = only(&app, dir.path()).await;
    assert!(
        notice.subject.starts_with("Your password was changed"),
        "{notice:?}"
    );
    // Too late, and another purpose.
    let mail = reset_link(&app, dir.path(), &ana.email).await;
    app.get(&format!("/api/auth/verify-email?token={}", mail.token()))
        .await
        .refused(401, "INVALID_TOKEN");
    app.after(minutes(61));
    reset(&mail.token(), "a third good password")
        .await
        .refused(400, "INVALID_TOKEN");
    app.post(
        "/api/auth/request-password-reset",
        &json!({ "email": ana.email, "redirectTo": "https://evil.example" }),
    )
    .await
    .refused(403, "INVALID_REDIRECT_URL");
    // A change of password ends what was sent before.
    let mail = reset_link(&app, dir.path(), &ana.email).await;
    let session = ana
        .try_sign_in("another good password")
        .await
        .ok()
        .str("token");
    app.post_as("/api/auth/change-password", &session, &json!({ "currentPassword": "another good password", "newPassword": "a third good password" }))
        .await
        .ok();
    reset(&mail.token(), "a fourth good password")
        .await
        .refused(400, "INVALID_TOKEN");
}

pub(super) async fn verified(app: &TestApp, dir: &Path, name: &str) -> User {
    let user = app.user(name).await;
    app.post(
        "/api/auth/send-verification-email",
        &json!({ "email": user.email }),
    )
    .await
    .ok();
    let mail = only(app, dir).await;
    app.post(
        "/api/auth/verify-email",
        &json!({ "token": mail.token(), "password": user.password }),
    )
    .await
    .ok();
    user
}

async fn agree(app: &TestApp, mail: &Received) -> crate::support::Answer {
    agree_with(app, mail, "").await
}

/// Sends the form, with more fields after the token.
async fn agree_with(app: &TestApp, mail: &Received, more: &str) -> crate::support::Answer {
    // What opening the link shows changes nothing; the form does.
    let page = app.get(&mail.link()).await;
    assert!(
        page.status == 200
            && page.text.contains("<form method=\"post\"")
            && page
                .header("content-security-policy")
                .contains("default-src 'none'"),
        "{}",
        page.text
    );
    // As a browser posts it: with the origin that the page's policy lets it tell.
    assert_eq!(page.header("referrer-policy"), "same-origin");
    let request = axum::http::Request::post("/api/auth/verify-email")
        .header("content-type", "application/x-www-form-urlencoded");
    let request = request
        .header("origin", "http://localhost:4000")
        .header("sec-fetch-site", "same-origin");
    app.send(
        request
            .body(axum::body::Body::from(format!(
                "token={}{more}",
                mail.token()
            )))
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn another_address_is_agreed_to_at_the_old_one_and_proven_at_the_new() {
    let (app, dir) = posting(&[]).await;
    let (ana, eve) = (
        verified(&app, dir.path(), "ana").await,
        app.user("eve").await,
    );
    let (session, elsewhere) = (ana.sign_in().await.session, ana.sign_in().await);
    let ask = async |new: &str| {
        app.post_as(
            "/api/auth/change-email",
            &session,
            &json!({ "newEmail": new }),
        )
        .await
    };
    ask(&ana.email).await.refused(400, "EMAIL_IS_THE_SAME");
    ask("not an address").await.refused(400, "VALIDATION_ERROR");
    assert_eq!(ask(&eve.email).await.ok().body, json!({ "status": true }));
    // It belongs to another user: the old mailbox is asked all the same, and then no mail is sent.
    let approve = only(&app, dir.path()).await;
    agree(&app, &approve).await.ok();
    assert!(received(&app, dir.path()).await.is_empty());
    ask("new@example.com").await.ok();
    let approve = only(&app, dir.path()).await;
    assert!(approve.to.contains(&ana.email) && approve.text.contains("new@example.com"));
    agree(&app, &approve).await.ok();
    app.form(
        "/api/auth/verify-email",
        &format!("token={}", approve.token()),
    )
    .await
    .refused(401, "INVALID_TOKEN");
    app.get(&format!("/api/auth/verify-email?token={}", approve.token()))
        .await
        .refused(401, "INVALID_TOKEN");
    let confirm = only(&app, dir.path()).await;
    assert!(confirm.to.contains("new@example.com"));
    app.get_as("/api/auth/session", &session).await.ok();
    let changed = agree_with(&app, &confirm, "&password=ana%27s+good+password")
        .await
        .ok();
    assert_eq!(
        (
            changed.body["user"]["email"].clone(),
            changed.body["user"]["emailVerified"].clone()
        ),
        (json!("new@example.com"), json!(true))
    );
    assert!(
        changed.cookies().is_empty(),
        "it signs no user in (contract section 17, 11)"
    );
    let notice = only(&app, dir.path()).await;
    assert!(
        notice.to.contains(&ana.email)
            && notice.subject.starts_with("Your email address was changed")
    );
    ana.try_sign_in(&ana.password)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    app.get_as("/api/auth/list-sessions", &session).await.ok();
    app.refresh(&elsewhere.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    assert_eq!(app.db_count_events("email.changed").await, 1);
    // With somewhere to go on to, the browser goes there with GET.
    ask("third@example.com").await.ok();
    let approve = only(&app, dir.path()).await;
    let on = app
        .form(
            "/api/auth/verify-email",
            &format!("token={}&callbackURL=%2Fdone", approve.token()),
        )
        .await;
    assert_eq!((on.status.as_u16(), on.header("location")), (303, "/done"));
}

#[tokio::test]
async fn an_account_is_deleted_with_its_password_or_by_a_link_where_one_is_signed_in() {
    let (app, dir) = posting(&[]).await;
    let (ana, eve) = (app.user("ana").await, app.user("eve").await);
    let (browser, other) = (ana.browser().await, eve.browser().await);
    browser
        .post(
            "/api/auth/delete-user",
            &json!({ "password": "a wrong password" }),
        )
        .await
        .refused(400, "INVALID_PASSWORD");
    assert_eq!(
        browser
            .post("/api/auth/delete-user", &json!({ "callbackURL": "/bye" }))
            .await
            .ok()
            .body["message"],
        "Verification email sent"
    );
    let mail = only(&app, dir.path()).await;
    other.get(&mail.link()).await.refused(404, "INVALID_TOKEN");
    Browser::new(&app)
        .get(&mail.link())
        .await
        .refused(404, "FAILED_TO_GET_USER_INFO");
    let page = browser.get(&mail.link()).await;
    assert!(page.text.contains("This cannot be undone") && page.text.contains("/bye"));
    let gone = browser
        .post("/api/auth/delete-user", &json!({ "token": mail.token() }))
        .await
        .ok();
    assert_eq!(
        gone.body,
        json!({ "success": true, "message": "User deleted" })
    );
    assert!(browser.cookie(SESSION_COOKIE).is_none());
    ana.try_sign_in(&ana.password)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    other
        .post(
            "/api/auth/delete-user",
            &json!({ "password": eve.password }),
        )
        .await
        .ok();
    assert_eq!(app.db_number("SELECT COUNT(*) FROM users").await, 0);
    assert_eq!(app.db_count_events("user.deleted").await, 2);
}

#[tokio::test]
async fn a_stolen_refresh_token_and_a_new_device_are_told_to_the_owner() {
    let (app, dir) = posting(&[
        ("mail.notify_new_sign_in", "true"),
        ("sessions.refresh_grace", "0s"),
        ("sessions.refresh_cooldown", "0s"),
    ])
    .await;
    let ana = verified(&app, dir.path(), "ana").await;
    ana.sign_in().await;
    assert!(
        received(&app, dir.path()).await.is_empty(),
        "the same user agent as at sign-up"
    );
    let form = json!({ "email": ana.email, "password": ana.password });
    for (agent, mails) in [(FIREFOX_140, 1), (FIREFOX_141, 0)] {
        let request = axum::http::Request::post("/api/auth/sign-in/email")
            .header("content-type", "application/json")
            .header("user-agent", agent);
        app.send(request.body(form.to_string().into()).unwrap())
            .await
            .ok();
        let told = received(&app, dir.path()).await;
        assert_eq!(
            told.len(),
            mails,
            "an update of the browser is no new device: {told:?}"
        );
        assert!(
            told.iter()
                .all(|m| m.text.contains("Firefox on Linux") && m.to.contains(&ana.email))
        );
    }
    let tokens = ana.sign_in().await;
    app.rotate(&tokens.refresh).await;
    app.refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    let notice = only(&app, dir.path()).await;
    assert!(notice.to.contains(&ana.email) && notice.subject.starts_with("You were signed out"));
}

/// Whether the sender of mails was woken since this was asked before.
fn woken(app: &TestApp) -> bool {
    app.app.mail_waits.notified().now_or_never().is_some()
}

#[tokio::test]
async fn a_mail_that_is_queued_wakes_the_sender_and_nothing_else_does() {
    let (app, dir) = posting(&[
        ("sessions.refresh_grace", "0s"),
        ("sessions.refresh_cooldown", "0s"),
    ])
    .await;
    let ana = verified(&app, dir.path(), "ana").await;
    assert!(woken(&app), "the link of the sign-up");
    let tokens = ana.sign_in().await;
    app.rotate(&tokens.refresh).await;
    assert!(!woken(&app), "no mail was queued");
    // The end of a stolen session and its notice are a step inside of the transaction.
    app.refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    assert!(woken(&app), "the notice of a theft");
    assert!(!woken(&app), "once for one transaction");
}

#[tokio::test]
async fn nothing_secret_is_in_the_queue_and_what_is_over_is_not_sent() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    app.post(
        "/api/auth/request-password-reset",
        &json!({ "email": ana.email }),
    )
    .await
    .ok();
    let dump = app.db_dump().await.join("\n");
    let mail = only(&app, dir.path()).await;
    assert!(
        !dump.contains(&mail.token()),
        "the token is made when it is sent"
    );
    let session = ana.sign_in().await.session;
    app.post_as("/api/auth/delete-user", &session, &json!({}))
        .await
        .ok();
    app.after(minutes(60 * 24));
    // Its time begins when it is sent, however long the server was away.
    let late = only(&app, dir.path()).await;
    app.after(minutes(60 * 24 - 1));
    let browser = Browser::new(&app);
    browser
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password }),
        )
        .await
        .ok();
    assert_eq!(browser.get(&late.link()).await.status, 200);
    // One that a newer one replaced before it was sent is not sent at all.
    for _ in 0..2 {
        browser.post("/api/auth/delete-user", &json!({})).await.ok();
    }
    only(&app, dir.path()).await;
    assert_eq!(app.db_number("SELECT COUNT(*) FROM mails").await, 0);
}

#[tokio::test]
async fn an_impersonator_cannot_take_the_account_over() {
    use countersign::flows::account::administer_users;
    use countersign::flows::account::manage_users;
    use countersign::model::audit::event::Requester;
    let (app, dir) = posting(&[]).await;
    let (root, bob) = (app.user("root").await, app.user("bob").await);
    let id = async |user: &User| {
        manage_users::find(&app.app, Permitted::as_operator(), &user.email)
            .await
            .unwrap()
            .id
    };
    administer_users::set_role(
        &app.app,
        Permitted::as_operator(),
        id(&root).await,
        "admin".into(),
        &Requester::default(),
    )
    .await
    .unwrap();
    let browser = root.browser().await;
    browser
        .post(
            "/api/auth/admin/impersonate-user",
            &json!({ "userId": id(&bob).await }),
        )
        .await
        .ok();
    browser
        .post(
            "/api/auth/change-email",
            &json!({ "newEmail": "mine@example.com" }),
        )
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS");
    browser
        .post("/api/auth/delete-user", &json!({}))
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_DELETE_USERS");
    assert!(received(&app, dir.path()).await.is_empty());
}

#[tokio::test]
async fn an_admins_change_of_an_address_ends_what_was_sent_to_it() {
    use countersign::flows::account::administer_users;
    use countersign::flows::account::administer_users::Changes;
    use countersign::flows::account::manage_users;
    use countersign::model::audit::event::Requester;
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    let bea = app.user("bea").await;
    let mail = reset_link(&app, dir.path(), &bea.email).await;
    let reset = json!({ "token": mail.token(), "newPassword": "another good password" });
    let mail = reset_link(&app, dir.path(), &ana.email).await;
    app.post("/api/auth/reset-password", &reset).await.ok();
    let id = manage_users::find(&app.app, Permitted::as_operator(), &ana.email)
        .await
        .unwrap()
        .id;
    for address in ["other@example.com", "ana@example.com"] {
        let changes = Changes {
            email: Some(address.parse().unwrap()),
            ..Changes::default()
        };
        administer_users::update(
            &app.app,
            Permitted::as_operator(),
            id,
            changes,
            &Requester::default(),
        )
        .await
        .unwrap();
    }
    let reset = json!({ "token": mail.token(), "newPassword": "another good password" });
    app.post("/api/auth/reset-password", &reset)
        .await
        .refused(400, "INVALID_TOKEN");
}

async fn made_admin(app: &TestApp) -> Browser {
    use countersign::flows::account::{administer_users, manage_users};
    use countersign::model::audit::event::Requester;
    let root = app.user("root").await;
    let id = manage_users::find(&app.app, Permitted::as_operator(), &root.email)
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
    root.browser().await
}

#[tokio::test]
async fn where_signing_up_is_closed_an_invitation_lets_in() {
    use countersign::flows::account::manage_users;
    use countersign::flows::account::manage_users::New;
    use countersign::model::audit::event::Requester;
    let (app, dir) = posting(&[
        ("sign_up.enabled", "false"),
        ("sign_up.require_email_verification", "true"),
    ])
    .await;
    let form =
        json!({ "name": "x", "email": "ana@example.com", "password": "a good long password" });
    app.post("/api/auth/sign-up/email", &form)
        .await
        .refused(400, "EMAIL_PASSWORD_SIGN_UP_DISABLED");
    let root = New {
        email: "root@example.com".parse().unwrap(),
        name: "Root".parse().unwrap(),
        image: None,
        password: Some("a good long password".into()),
        role: "admin".into(),
        email_verified: true,
        metadata: serde_json::Map::new(),
    };
    manage_users::create(
        &app.app,
        Permitted::as_operator(),
        root,
        &Requester::default(),
    )
    .await
    .unwrap();
    let admin = Browser::new(&app);
    admin
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": "root@example.com", "password": "a good long password" }),
        )
        .await
        .ok();
    let invite = async |body: Value| admin.post("/api/auth/admin/invite-user", &body).await;
    invite(json!({ "email": "ana@example.com", "redirectTo": "https://evil.example/" }))
        .await
        .refused(403, "INVALID_REDIRECT_URL");
    invite(json!({ "email": "not an address", "redirectTo": "/welcome" }))
        .await
        .refused(400, "INVALID_EMAIL");
    invite(json!({ "email": "ana@example.com", "redirectTo": 7 }))
        .await
        .refused(400, "VALIDATION_ERROR");
    invite(json!({ "email": "ana@example.com", "redirectTo": "/welcome", "role": "emperor" }))
        .await
        .refused(400, "YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE");
    let made =
        invite(json!({ "email": "ana@example.com", "name": "Ana", "redirectTo": "/welcome" }))
            .await
            .ok();
    assert_eq!(
        (
            made.body["user"]["emailVerified"].clone(),
            made.body["user"]["role"].clone()
        ),
        (json!(false), json!("user"))
    );
    let first = only(&app, dir.path()).await;
    // Once more: the first link is invalid.
    assert_eq!(
        invite(json!({ "email": "ana@example.com", "redirectTo": "/welcome" }))
            .await
            .ok()
            .body["user"]["id"],
        made.body["user"]["id"]
    );
    let mail = only(&app, dir.path()).await;
    assert!(mail.to.contains("ana@example.com") && mail.subject.starts_with("You are invited"));
    let reset = |token: &str| json!({ "token": token, "newPassword": "a good long password" });
    app.post("/api/auth/reset-password", &reset(&first.token()))
        .await
        .refused(400, "INVALID_TOKEN");
    assert!(
        app.get(&mail.link())
            .await
            .header("location")
            .starts_with("http://localhost:4000/welcome?token=")
    );
    app.post("/api/auth/sign-in/email", &form)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    app.post("/api/auth/reset-password", &reset(&mail.token()))
        .await
        .ok();
    let signed_in = app.post("/api/auth/sign-in/email", &form).await.ok();
    assert_eq!(
        signed_in.body["user"]["emailVerified"], true,
        "only the mailbox had the link"
    );
    app.post("/api/auth/reset-password", &reset(&mail.token()))
        .await
        .refused(400, "INVALID_TOKEN");
    invite(json!({ "email": "ana@example.com", "redirectTo": "/welcome" }))
        .await
        .refused(400, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL");
    let own = signed_in.str("token");
    app.post_as(
        "/api/auth/admin/invite-user",
        &own,
        &json!({ "email": "eve@example.com", "redirectTo": "/welcome" }),
    )
    .await
    .refused(403, "YOU_ARE_NOT_ALLOWED_TO_CREATE_USERS");
    assert_eq!(app.db_count_events("user.invited").await, 2);
    // Without a page of the application the link leads to the page of the service, which says whose
    // password it asks for.
    invite(json!({ "email": "eve@example.com", "redirectTo": "" }))
        .await
        .ok();
    let mail = only(&app, dir.path()).await;
    let guest = Browser::new(&app);
    let led = guest.get(&mail.link()).await;
    let page = guest.get(led.header("location")).await.ok();
    assert!(page.text.contains("Choose a password") && page.text.contains("eve@example.com"));
    let form = [
        ("token", mail.token()),
        ("password", "a good long password".to_owned()),
    ];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    let chosen = guest.form("/auth/reset-password", &form).await;
    assert_eq!(
        (chosen.status.as_u16(), chosen.header("location")),
        (303, "/auth/sign-in?done=invited")
    );
    let page = guest.get("/auth/sign-in?done=invited").await.ok();
    assert!(page.text.contains("Your account is ready."));
    assert!(page.text.contains(r#"value="eve@example.com""#));
}

#[tokio::test]
async fn mail_domains_hold_wherever_a_user_chooses_an_email_address() {
    let (app, dir) = posting(&[
        ("sign_up.allowed_domains", "example.com, *.example.org"),
        ("sign_up.blocked_domains", "spam.example.org"),
    ])
    .await;
    let sign_up = async |email: &str| {
        app.post(
            "/api/auth/sign-up/email",
            &json!({ "name": "x", "email": email, "password": "a good long password" }),
        )
        .await
    };
    for refused in [
        "a@evil.example",
        "a@example.org",
        "a@SPAM.example.org",
        "a@badexample.com",
    ] {
        sign_up(refused)
            .await
            .refused(403, "EMAIL_DOMAIN_NOT_ALLOWED");
    }
    sign_up("A@Example.Com").await.ok();
    let session = sign_up("b@mail.example.org").await.ok().str("token");
    app.post_as(
        "/api/auth/change-email",
        &session,
        &json!({ "newEmail": "b@evil.example" }),
    )
    .await
    .refused(403, "EMAIL_DOMAIN_NOT_ALLOWED");
    assert!(received(&app, dir.path()).await.is_empty());
}

#[tokio::test]
async fn who_only_reserved_somebodys_address_is_out_when_its_owner_comes() {
    let (app, dir) = posting(&[]).await;
    let thief = app.user("victim").await;
    let held = thief.sign_in().await;
    // The owner hears that there is an account already, and comes in by the mailbox.
    let mail = reset_link(&app, dir.path(), &thief.email).await;
    app.post(
        "/api/auth/reset-password",
        &json!({ "token": mail.token(), "newPassword": "the owner's own password" }),
    )
    .await
    .ok();
    thief
        .try_sign_in(&thief.password)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    app.refresh(&held.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    app.get_as("/api/auth/session", &held.session)
        .await
        .refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_session_alone_changes_an_unproven_address_only_while_it_is_fresh() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    let session = ana.sign_in().await.session;
    app.after(minutes(60 * 24));
    let ask = async || {
        app.post_as(
            "/api/auth/change-email",
            &session,
            &json!({ "newEmail": "mine@example.com" }),
        )
        .await
    };
    ask().await.refused(403, "SESSION_NOT_FRESH");
    assert!(received(&app, dir.path()).await.is_empty());
    let again = ana.sign_in().await.session;
    app.post_as(
        "/api/auth/change-email",
        &again,
        &json!({ "newEmail": "mine@example.com" }),
    )
    .await
    .ok();
    // Another wish takes the place of the first, also at its last step.
    let first = only(&app, dir.path()).await;
    app.post_as(
        "/api/auth/change-email",
        &again,
        &json!({ "newEmail": "other@example.com" }),
    )
    .await
    .ok();
    let second = only(&app, dir.path()).await;
    app.get(&format!("/api/auth/verify-email?token={}", first.token()))
        .await
        .refused(401, "INVALID_TOKEN");
    agree_with(&app, &second, "&password=ana%27s+good+password")
        .await
        .ok();
}

#[tokio::test]
async fn the_words_of_a_stranger_reach_no_mailbox() {
    let (app, dir) = posting(&[]).await;
    let ana = verified(&app, dir.path(), "ana").await;
    let session = ana.sign_in().await.session;
    app.post_as(
        "/api/auth/update-user",
        &session,
        &json!({ "name": "\n\nYour account is locked:\r\nhttps://evil.example/" }),
    )
    .await
    .ok();
    app.post_as(
        "/api/auth/change-email",
        &session,
        &json!({ "newEmail": "victim@example.com" }),
    )
    .await
    .ok();
    let approve = only(&app, dir.path()).await;
    assert!(
        approve
            .text
            .contains("Hello Your account is locked: https://evil.example/,"),
        "on one line, to require_not_impersonated: {}",
        approve.text
    );
    agree(&app, &approve).await.ok();
    let confirm = only(&app, dir.path()).await;
    assert!(
        confirm.to.contains("victim@example.com") && !confirm.text.contains("evil.example"),
        "{}",
        confirm.text
    );
}

#[tokio::test]
async fn without_a_way_for_mails_everything_says_so() {
    let app = TestApp::with(&[("mail.transport", "off")]).await;
    let ana = app.user("ana").await;
    let session = ana.sign_in().await.session;
    app.post(
        "/api/auth/request-password-reset",
        &json!({ "email": ana.email }),
    )
    .await
    .refused(400, "RESET_PASSWORD_DISABLED");
    app.post(
        "/api/auth/send-verification-email",
        &json!({ "email": ana.email }),
    )
    .await
    .refused(400, "VERIFICATION_EMAIL_NOT_ENABLED");
    app.post_as(
        "/api/auth/change-email",
        &session,
        &json!({ "newEmail": "x@example.com" }),
    )
    .await
    .refused(400, "CHANGE_EMAIL_DISABLED");
    // No page offers to send a link that no mail would carry.
    for (path, code) in [
        ("/auth/forgot-password", "RESET_PASSWORD_DISABLED"),
        ("/auth/verify-email", "VERIFICATION_EMAIL_NOT_ENABLED"),
        (
            "/auth/verify-email?error=INVALID_TOKEN",
            "VERIFICATION_EMAIL_NOT_ENABLED",
        ),
    ] {
        let page = app.get(path).await;
        assert!(
            page.status == 400 && page.text.contains(code) && !page.text.contains("<form"),
            "{path}: {}",
            page.text
        );
    }
    assert_eq!(
        app.get("/auth/verify-email?done=verified").await.status,
        200
    );
    app.after(minutes(60 * 24));
    app.post_as("/api/auth/delete-user", &session, &json!({}))
        .await
        .refused(400, "SESSION_EXPIRED");
    let fresh = ana.sign_in().await.session;
    assert_eq!(
        app.post_as("/api/auth/delete-user", &fresh, &json!({}))
            .await
            .ok()
            .body["message"],
        "User deleted"
    );
}

#[tokio::test]
async fn an_admins_change_of_an_address_is_told_at_the_old_one_and_ends_the_sessions() {
    let (app, dir) = posting(&[]).await;
    let admin = made_admin(&app).await;
    let bob = verified(&app, dir.path(), "bob").await;
    let held = bob.sign_in().await;
    let id = app
        .get_as("/api/auth/session", &held.session)
        .await
        .ok()
        .body["user"]["id"]
        .clone();
    admin
        .post(
            "/api/auth/admin/update-user",
            &json!({ "userId": id, "data": { "email": "robert@example.com" } }),
        )
        .await
        .ok();
    let notice = only(&app, dir.path()).await;
    assert!(
        notice.to.contains(&bob.email)
            && notice.subject.starts_with("Your email address was changed")
    );
    app.refresh(&held.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
}

#[tokio::test]
async fn twenty_who_use_one_link_at_once_set_one_password() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    let mail = reset_link(&app, dir.path(), &ana.email).await;
    let token = mail.token();
    let attempts = (0..20).map(|n| {
        let (app, token) = (app.clone(), token.clone());
        async move {
            app.post(
                "/api/auth/reset-password",
                &json!({ "token": token, "newPassword": format!("good password {n:02}") }),
            )
            .await
            .status
            .as_u16()
        }
    });
    let statuses = futures_util::future::join_all(attempts).await;
    assert_eq!(
        statuses.iter().filter(|s| **s == 200).count(),
        1,
        "{statuses:?}"
    );
    let winner = statuses.iter().position(|s| *s == 200).unwrap();
    for n in 0..20 {
        let answer = ana.try_sign_in(&format!("good password {n:02}")).await;
        assert_eq!(answer.status == 200, n == winner);
    }
}

#[tokio::test]
async fn a_link_leads_where_the_settings_say_whatever_the_request_says() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    let mut request = axum::http::Request::post("/api/auth/request-password-reset")
        .header("content-type", "application/json");
    for name in [
        "host",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-prefix",
        "x-original-url",
        "forwarded",
    ] {
        request = request.header(
            name,
            if name == "forwarded" {
                "host=evil.example;proto=https"
            } else {
                "evil.example"
            },
        );
    }
    app.send(
        request
            .body(
                json!({ "email": ana.email, "redirectTo": "/reset" })
                    .to_string()
                    .into(),
            )
            .unwrap(),
    )
    .await
    .ok();
    let mail = only(&app, dir.path()).await;
    assert!(
        mail.text
            .contains("\nhttp://localhost:4000/api/auth/reset-password/")
            && !mail.text.contains("evil"),
        "{}",
        mail.text
    );
}

#[tokio::test]
async fn links_lead_to_no_strangers_in_any_spelling() {
    let (app, _dir) = posting(&[("server.trusted_origins", "https://app.example.com")]).await;
    for target in ["/welcome", "https://app.example.com/x"] {
        for path in [
            "verify-email?token=x&callbackURL=",
            "reset-password/x?callbackURL=",
        ] {
            let answer = app.get(&format!("/api/auth/{path}{target}")).await;
            assert_eq!(answer.status, 302, "{path}{target}");
            assert!(answer.header("location").contains(target), "{path}{target}");
        }
        let body = json!({ "email": "a@example.com", "redirectTo": target });
        app.post("/api/auth/request-password-reset", &body)
            .await
            .ok();
    }
    for target in [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/x/..//evil.example",
        "/.//evil.example",
        "https://app.example.com@evil.example",
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "javascript:alert(1)",
        "data:text/html,x",
        "/\tevil",
        "/%2f/evil.example",
        "/%5cevil.example",
        "http://app.example.com",
        "https:evil.example",
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        for path in [
            "verify-email?token=x&callbackURL=",
            "reset-password/x?callbackURL=",
        ] {
            let answer = app.get(&format!("/api/auth/{path}{encoded}")).await;
            let status = if target.contains(char::is_control) {
                400
            } else {
                403
            };
            assert_eq!(
                (answer.status.as_u16(), answer.header("location")),
                (status, ""),
                "{path} {target:?}"
            );
        }
        let body = json!({ "email": "a@example.com", "redirectTo": target });
        app.post("/api/auth/request-password-reset", &body)
            .await
            .refused(403, "INVALID_REDIRECT_URL");
    }
}

#[tokio::test]
async fn links_of_one_kind_are_no_good_for_another() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    let browser = ana.browser().await;
    app.post(
        "/api/auth/send-verification-email",
        &json!({ "email": ana.email }),
    )
    .await
    .ok();
    let verify = only(&app, dir.path()).await.token();
    let reset = reset_link(&app, dir.path(), &ana.email).await.token();
    browser.post("/api/auth/delete-user", &json!({})).await.ok();
    let delete = only(&app, dir.path()).await.token();
    browser
        .post(
            "/api/auth/change-email",
            &json!({ "newEmail": "new@example.com" }),
        )
        .await
        .ok();
    let change = only(&app, dir.path()).await.token();
    for token in [&verify, &delete, &change] {
        app.post(
            "/api/auth/reset-password",
            &json!({ "token": token, "newPassword": "another good password" }),
        )
        .await
        .refused(400, "INVALID_TOKEN");
    }
    for token in [&reset, &delete] {
        app.get(&format!("/api/auth/verify-email?token={token}"))
            .await
            .refused(401, "INVALID_TOKEN");
    }
    let visitor = Browser::new(&app);
    assert_eq!(
        visitor
            .get("/api/auth/error?error=INVALID_TOKEN")
            .await
            .text
            .matches("<code>INVALID_TOKEN</code>")
            .count(),
        1
    );
    assert!(
        visitor
            .get("/api/auth/error?error=%3Cscript%3E")
            .await
            .text
            .contains("<code>UNKNOWN</code>")
    );
    for token in [&verify, &reset, &change] {
        browser
            .post("/api/auth/delete-user", &json!({ "token": token }))
            .await
            .refused(404, "INVALID_TOKEN");
        app.form("/api/auth/verify-email", &format!("token={reset}"))
            .await
            .refused(401, "INVALID_TOKEN");
    }
    ana.try_sign_in(&ana.password).await.ok();
}

#[tokio::test]
async fn a_banned_user_gets_a_password_and_not_in() {
    let (app, dir) = posting(&[]).await;
    let admin = made_admin(&app).await;
    let bob = app.user("bob").await;
    let id = app
        .get_as("/api/auth/session", &bob.sign_in().await.session)
        .await
        .ok()
        .body["user"]["id"]
        .clone();
    admin
        .post("/api/auth/admin/ban-user", &json!({ "userId": id }))
        .await
        .ok();
    let mail = reset_link(&app, dir.path(), &bob.email).await;
    let reset = app
        .post(
            "/api/auth/reset-password",
            &json!({ "token": mail.token(), "newPassword": "another good password" }),
        )
        .await
        .ok();
    assert!(reset.cookies().is_empty(), "it signs no user in");
    bob.try_sign_in("another good password")
        .await
        .refused(403, "BANNED_USER");
}

#[tokio::test]
async fn words_are_never_read_as_a_template() {
    let (app, dir) = posting(&[]).await;
    let ana = verified(&app, dir.path(), "ana").await;
    let session = ana.sign_in().await.session;
    app.post_as(
        "/api/auth/update-user",
        &session,
        &json!({ "name": "{{1234*1234}} ${1234*1234} <%=1234*1234%>" }),
    )
    .await
    .ok();
    let mail = reset_link(&app, dir.path(), &ana.email).await;
    assert!(
        mail.text
            .contains("Hello {{1234*1234}} ${1234*1234} <%=1234*1234%>,")
            && !mail.text.contains("1522756"),
        "{}",
        mail.text
    );
}

#[tokio::test]
async fn twenty_who_sign_up_at_once_make_one_user_and_learn_nothing() {
    let (app, dir) = posting(&[("sign_up.require_email_verification", "true")]).await;
    let form =
        json!({ "name": "x", "email": "ana@example.com", "password": "a good long password" });
    let answers =
        futures_util::future::join_all((0..20).map(|_| app.post("/api/auth/sign-up/email", &form)))
            .await;
    assert!(
        answers
            .iter()
            .all(|a| a.status == 200 && a.body["token"].is_null()),
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    assert_eq!(app.db_number("SELECT COUNT(*) FROM users").await, 1);
    let mails = received(&app, dir.path()).await;
    assert!(
        !mails.is_empty() && mails.iter().all(|m| m.subject.starts_with("Confirm")),
        "{mails:?}"
    );
}
