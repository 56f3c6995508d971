//! The second step of a sign-in by an authenticator app or a recovery code: what opens a session, what
//! does not, and what each change of the factors ends.

use std::path::Path;

use countersign::flows::account::{administer_users, manage_users};
use countersign::flows::permit::Permitted;
use countersign::flows::session::manage_sessions;
use countersign::model::audit::event::Requester;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::admin::{ask, id, made_admin};
use super::impersonation::act;
use crate::support::{
    Answer, Browser, REFRESH_COOKIE, SESSION_COOKIE, TestApp, User, claims, minutes, on_postgres,
    seconds,
};

const VERIFY: &str = "/api/auth/two-factor/verify-totp";
const RECOVER: &str = "/api/auth/two-factor/verify-backup-code";
const CHALLENGE_COOKIE: &str = "better-auth.two_factor";
const REMEMBERED_COOKIE: &str = "better-auth.trust_device";
const WRONG: &str = "000000";

async fn sign_in(browser: &Browser, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    browser.post("/api/auth/sign-in/email", &body).await
}

/// Sets a password by the link of a mail.
async fn resets(user: &User, dir: &Path, password: &str) -> Answer {
    let (app, email) = (&user.app, json!({ "email": user.email }));
    app.post("/api/auth/request-password-reset", &email)
        .await
        .ok();
    let token = super::mail::only(app, dir).await.token();
    let new = json!({ "newPassword": password, "token": token });
    app.post("/api/auth/reset-password", &new).await.ok()
}

fn is_pending(answer: &Answer) -> bool {
    answer.body["twoFactorRedirect"] == true
}

#[tokio::test]
async fn a_password_alone_opens_no_session_of_a_user_with_a_second_step() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let plain = ana.sign_in().await;
    let before = claims(&plain.access);
    assert_eq!(before["acr"], "urn:countersign:acr:1fa");
    assert_eq!(before["amr"], json!(["pwd"]));
    let own = ana.enrols().await;
    let browser = Browser::new(&app);
    let pending = sign_in(&browser, &ana.email, &ana.password).await.ok();
    assert_eq!(
        pending.body,
        json!({ "twoFactorRedirect": true, "twoFactorMethods": ["totp"] })
    );
    assert!(browser.cookie(SESSION_COOKIE).is_none());
    assert!(browser.cookie(REFRESH_COOKIE).is_none());
    let session = browser.get("/api/auth/get-session").await.ok();
    assert_eq!(session.body, Value::Null);
    browser
        .refresh()
        .await
        .refused(401, "REFRESH_TOKEN_MISSING");
    let code = json!({ "code": own.code(&app, 0) });
    let done = browser.post(VERIFY, &code).await.ok();
    assert_eq!(done.body["user"]["twoFactorEnabled"], true);
    let access = done.claims("accessToken");
    assert_eq!(access["acr"], "urn:countersign:acr:2fa");
    assert_eq!(access["amr"], json!(["pwd", "otp"]));
    assert_eq!(access["auth_time"], app.app.now().seconds());
    assert!(browser.cookie(CHALLENGE_COOKIE).is_none());
    // The strength of the sign-in stays that of the session.
    app.after(minutes(5));
    let renewed = browser.refresh().await.ok();
    let renewed = renewed.claims("accessToken");
    assert_eq!(
        (&renewed["acr"], &renewed["amr"]),
        (&access["acr"], &access["amr"])
    );
    assert_eq!(renewed["auth_time"], access["auth_time"]);
}

#[tokio::test]
async fn enrolling_ends_the_other_sessions_and_moves_the_own_one() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let (other, own) = (ana.sign_in().await, ana.sign_in().await);
    app.get_as("/api/auth/list-sessions", &other.session)
        .await
        .ok();
    let wrong = json!({ "password": "not the password" });
    app.post_as("/api/auth/two-factor/enable", &own.session, &wrong)
        .await
        .refused(400, "INVALID_PASSWORD");
    let password = json!({ "password": ana.password });
    let enrolment = app
        .post_as("/api/auth/two-factor/enable", &own.session, &password)
        .await
        .ok();
    assert_eq!(enrolment.body["backupCodes"].as_array().unwrap().len(), 10);
    // Until a first code confirms it, nothing is asked for.
    assert!(!is_pending(&ana.try_sign_in(&ana.password).await.ok()));
    let uri = app
        .post_as("/api/auth/two-factor/get-totp-uri", &own.session, &password)
        .await
        .ok();
    assert_eq!(uri.str("totpURI"), enrolment.str("totpURI"));
    let phone = crate::support::authenticator::Authenticator::scan(&enrolment);
    let code = json!({ "code": phone.code(&app, 0) });
    app.post_as(VERIFY, &own.session, &json!({ "code": WRONG }))
        .await
        .refused(401, "INVALID_CODE");
    let moved = app.post_as(VERIFY, &own.session, &code).await.ok();
    assert_eq!(moved.body["user"]["twoFactorEnabled"], true);
    for ended in [&other.session, &own.session] {
        app.get_as("/api/auth/list-sessions", ended)
            .await
            .refused(401, "UNAUTHORIZED");
    }
    let session = moved.str("token");
    app.get_as("/api/auth/list-sessions", &session).await.ok();
    assert!(is_pending(&ana.try_sign_in(&ana.password).await.ok()));
    // The code that confirmed it is used up.
    let challenge = ana.begins().await;
    ana.tries(&challenge, &phone.code(&app, 0))
        .await
        .refused(401, "INVALID_CODE");
    // A session that is stolen later reads no secret.
    app.post_as("/api/auth/two-factor/get-totp-uri", &session, &password)
        .await
        .refused(400, "TOTP_ALREADY_ENABLED");
    app.post_as("/api/auth/two-factor/enable", &session, &password)
        .await
        .refused(400, "TOTP_ALREADY_ENABLED");
    assert_eq!(app.db_count_events("factor.enrolled").await, 1);
}

#[tokio::test]
async fn a_code_is_good_once_also_for_two_pending_sign_ins() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let (one, two) = (ana.begins().await, ana.begins().await);
    let code = own.code(&app, 0);
    ana.tries(&one, &code).await.ok();
    ana.tries(&two, &code).await.refused(401, "INVALID_CODE");
    // A code of an earlier step is not good after one of a later step.
    app.after(seconds(60));
    let (earlier, later) = (own.code(&app, -1), own.code(&app, 0));
    ana.tries(&two, &later).await.ok();
    let three = ana.begins().await;
    ana.tries(&three, &earlier)
        .await
        .refused(401, "INVALID_CODE");
    // A double click: the second request does not count as a wrong code.
    let (first, second) = (three.clone(), three.clone());
    let again = own.code(&app, 1);
    let (won, lost) = tokio::join!(ana.tries(&first, &again), ana.tries(&second, &again));
    let statuses = [won.status.as_u16(), lost.status.as_u16()];
    assert!(
        statuses.contains(&200) && statuses.contains(&401),
        "{statuses:?}"
    );
    assert_eq!(app.db_number("SELECT failures FROM totp").await, 0);
    let three = ana.begins().await;
    // A finished sign-in is over.
    app.after(seconds(60));
    ana.tries(&two, &own.code(&app, 0))
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    ana.tries(&three, &own.code(&app, 0)).await.ok();
}

#[tokio::test]
async fn a_code_is_good_one_step_around_its_own_and_never_by_a_clock_that_is_set_back() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    app.after(seconds(300));
    for (steps, is_good) in [(-2, false), (2, false), (-1, true), (0, true), (1, true)] {
        let challenge = ana.begins().await;
        let answer = ana.tries(&challenge, &own.code(&app, steps)).await;
        if is_good {
            answer.ok();
        } else {
            answer.refused(401, "INVALID_CODE");
        }
    }
    // The clock goes back by a minute: the codes of the next minutes were accepted before.
    app.set_clock(-60_000);
    for steps in -1..=1 {
        let challenge = ana.begins().await;
        ana.tries(&challenge, &own.code(&app, steps))
            .await
            .refused(401, "INVALID_CODE");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_present_one_code_at_three_replicas_one_gets_a_session() {
    let app = TestApp::with(&[("rate_limits.enabled", "false")]).await;
    let replicas = [
        app.clone(),
        app.replica(&[]).await.unwrap(),
        app.replica_with(&[]).await,
    ];
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    for (kind, path) in [("totp", VERIFY), ("recovery", RECOVER)] {
        let code = if kind == "totp" {
            own.code(&app, 0)
        } else {
            own.codes[0].clone()
        };
        let mut challenges = Vec::new();
        for _ in 0..250 {
            challenges.push(ana.begins().await);
        }
        let four_each = challenges.iter().cycle().take(1_000);
        let attempts = four_each.enumerate().map(|(n, challenge)| {
            let (at, body) = (
                &replicas[n % 3],
                json!({ "challenge": challenge, "code": code }),
            );
            async move {
                let answer = at.post(path, &body).await;
                // Under this load a process may refuse one before it looks at it.
                assert!(answer.status != 500, "{}", answer.text);
                answer.status.as_u16()
            }
        });
        let statuses = join_all(attempts).await;
        let opened = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(opened, 1, "{kind}: {statuses:?}");
        let refused = statuses
            .iter()
            .filter(|status| [401, 503].contains(*status))
            .count();
        let mut others = statuses;
        others.retain(|status| ![200, 401, 503].contains(status));
        assert_eq!(refused, 999, "{kind}: {others:?}");
    }
    // One pending sign-in opens one session, with however many good codes at once.
    app.after(seconds(90));
    let challenge = ana.begins().await;
    let codes = [
        own.code(&app, 0),
        own.codes[1].clone(),
        own.codes[2].clone(),
    ];
    let paths = [VERIFY, RECOVER, RECOVER];
    let attempts = codes
        .iter()
        .zip(paths)
        .zip(&replicas)
        .map(|((code, path), at)| {
            let body = json!({ "challenge": challenge, "code": code });
            async move { at.post(path, &body).await.status.as_u16() }
        });
    let statuses = join_all(attempts).await;
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
    // What did not open a session was not used up.
    let left = app.db_number("SELECT COUNT(*) FROM recovery_codes").await;
    assert!((8..=9).contains(&left), "{left}");
}

#[tokio::test]
async fn five_tries_end_a_pending_sign_in() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let challenge = ana.begins().await;
    for _ in 0..4 {
        ana.tries(&challenge, WRONG)
            .await
            .refused(401, "INVALID_CODE");
    }
    ana.tries_recovery(&challenge, "AAAA-BBBB-CCCC-DDDD")
        .await
        .refused(401, "INVALID_BACKUP_CODE");
    ana.tries(&challenge, &own.code(&app, 0))
        .await
        .refused(400, "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE");
    // In a browser the cookie goes with it.
    let browser = Browser::new(&app);
    sign_in(&browser, &ana.email, &ana.password).await.ok();
    let wrong = json!({ "code": WRONG });
    for _ in 0..5 {
        browser
            .post(VERIFY, &wrong)
            .await
            .refused(401, "INVALID_CODE");
    }
    let code = json!({ "code": own.code(&app, 0) });
    browser
        .post(VERIFY, &code)
        .await
        .refused(400, "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE");
    assert!(browser.cookie(CHALLENGE_COOKIE).is_none());
    browser
        .post(VERIFY, &code)
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    // A new sign-in with the same code is one.
    let challenge = ana.begins().await;
    ana.tries(&challenge, &own.code(&app, 0)).await.ok();
}

#[tokio::test]
async fn a_recovery_code_is_good_once() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let written = own.codes[0].to_lowercase().replace('-', " ");
    let challenge = ana.begins().await;
    let done = ana.tries_recovery(&challenge, &written).await.ok();
    assert_eq!(
        done.claims("accessToken")["amr"],
        json!(["pwd", "recovery"])
    );
    let challenge = ana.begins().await;
    ana.tries_recovery(&challenge, &own.codes[0])
        .await
        .refused(401, "INVALID_BACKUP_CODE");
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM recovery_codes").await,
        9
    );
    // New ones replace the old ones.
    let session = ana.tries_recovery(&challenge, &own.codes[1]).await.ok();
    let password = json!({ "password": ana.password });
    let renewed = app
        .post_as(
            "/api/auth/two-factor/generate-backup-codes",
            &session.str("token"),
            &password,
        )
        .await
        .ok();
    let challenge = ana.begins().await;
    ana.tries_recovery(&challenge, &own.codes[2])
        .await
        .refused(401, "INVALID_BACKUP_CODE");
    let new = renewed.body["backupCodes"][0].as_str().unwrap();
    ana.tries_recovery(&challenge, new).await.ok();
}

#[tokio::test]
async fn what_is_changed_between_the_two_steps_ends_the_pending_sign_in() {
    let app = TestApp::with(&[("rate_limits.enabled", "false")]).await;
    let root = made_admin(&app, "root").await.sign_in().await;
    for (n, change) in [
        "password",
        "ban",
        "disable",
        "sessions",
        "other-sessions",
        "email",
        "reset",
        "nothing",
    ]
    .into_iter()
    .enumerate()
    {
        let mut ana = app.user(&format!("ana{n}")).await;
        let own = ana.enrols().await;
        let session = ana.begins().await;
        let session = ana
            .tries(&session, &own.code(&app, 0))
            .await
            .ok()
            .str("token");
        app.after(seconds(30));
        let user = id(&ana).await;
        let challenge = ana.begins().await;
        match change {
            "password" => {
                let new = json!({ "currentPassword": ana.password, "newPassword": "another good password" });
                app.post_as("/api/auth/change-password", &session, &new)
                    .await
                    .ok();
                ana.password = "another good password".into();
            }
            "ban" => {
                ask(&app, &root, "ban-user", json!({ "userId": user }))
                    .await
                    .ok();
                ask(&app, &root, "unban-user", json!({ "userId": user }))
                    .await
                    .ok();
            }
            "disable" => {
                for disabled in [true, false] {
                    manage_users::set_disabled(
                        &app.app,
                        Permitted::as_operator(),
                        user.parse().unwrap(),
                        disabled,
                        &Requester::default(),
                    )
                    .await
                    .unwrap();
                }
            }
            "sessions" => {
                app.post_as("/api/auth/revoke-sessions", &session, &json!({}))
                    .await
                    .ok();
            }
            "other-sessions" => {
                app.post_as("/api/auth/revoke-other-sessions", &session, &json!({}))
                    .await
                    .ok();
            }
            "email" => {
                let email: countersign::model::account::email::Email =
                    "new@example.com".parse().unwrap();
                let changes = administer_users::Changes {
                    email: Some(email),
                    ..administer_users::Changes::default()
                };
                administer_users::update(
                    &app.app,
                    Permitted::as_operator(),
                    user.parse().unwrap(),
                    changes,
                    &Requester::default(),
                )
                .await
                .unwrap();
                ana.email = "new@example.com".into();
            }
            "reset" => {
                ask(&app, &root, "reset-factors", json!({ "userId": user }))
                    .await
                    .ok();
                let plain = ana.try_sign_in(&ana.password).await.ok();
                assert!(!is_pending(&plain), "a password is enough again");
            }
            _ => {}
        }
        let answer = ana.tries(&challenge, &own.code(&app, 0)).await;
        if change == "nothing" {
            answer.ok();
            continue;
        }
        answer.refused(401, "INVALID_TWO_FACTOR_COOKIE");
        if change != "reset" {
            let challenge = ana.begins().await;
            ana.tries(&challenge, &own.code(&app, 0)).await.ok();
        }
    }
}

#[tokio::test]
async fn an_end_of_all_sessions_ends_every_pending_sign_in() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let challenge = ana.begins().await;
    manage_sessions::revoke(
        &app.app,
        Permitted::as_operator(),
        manage_sessions::Which::Everybody,
        &Requester::default(),
    )
    .await
    .unwrap();
    ana.tries(&challenge, &own.code(&app, 0))
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    let challenge = ana.begins().await;
    ana.tries(&challenge, &own.code(&app, 0)).await.ok();
}

#[tokio::test]
async fn a_pending_sign_in_belongs_to_its_user_and_lasts_ten_minutes() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let (own, other) = (ana.enrols().await, bob.enrols().await);
    let (of_ana, of_bob) = (ana.begins().await, bob.begins().await);
    // Each code counts for its own user, whatever pending sign-in it is sent with.
    ana.tries(&of_bob, &own.code(&app, 0))
        .await
        .refused(401, "INVALID_CODE");
    bob.tries_recovery(&of_ana, &other.codes[0])
        .await
        .refused(401, "INVALID_BACKUP_CODE");
    for odd in ["", "x", &"A".repeat(43), &format!("{of_ana}A")] {
        ana.tries(odd, &own.code(&app, 0))
            .await
            .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    }
    app.after(minutes(10));
    ana.tries(&of_ana, &own.code(&app, 0))
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    let of_ana = ana.begins().await;
    app.after(seconds(599));
    ana.tries(&of_ana, &own.code(&app, 0)).await.ok();
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM login_challenges").await,
        2
    );
    app.after(minutes(60));
    countersign::flows::ops::prune::prune(&app.app)
        .await
        .unwrap();
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM login_challenges").await,
        0
    );
}

#[tokio::test]
async fn a_remembered_browser_skips_the_second_step_until_something_changes() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let browser = Browser::new(&app);
    sign_in(&browser, &ana.email, &ana.password).await.ok();
    let code = json!({ "code": own.code(&app, 0), "trustDevice": true });
    browser.post(VERIFY, &code).await.ok();
    let token = browser.cookie(REMEMBERED_COOKIE).unwrap();
    browser.post("/api/auth/sign-out", &json!({})).await.ok();
    assert!(
        browser.cookie(REMEMBERED_COOKIE).is_some(),
        "kept at a sign-out"
    );
    let done = sign_in(&browser, &ana.email, &ana.password).await.ok();
    let access = done.claims("accessToken");
    // It proves nothing by itself, and a backend sees that.
    assert_eq!(access["acr"], "urn:countersign:acr:1fa");
    assert_eq!(access["amr"], json!(["pwd", "device"]));
    app.after(minutes(5));
    browser.refresh().await.ok();
    browser.get("/api/auth/list-sessions").await.ok();
    // Another user's sign-in with the same cookie, and a changed cookie, are asked.
    let bob = app.user("bob").await;
    bob.enrols().await;
    assert!(is_pending(
        &sign_in(&browser, &bob.email, &bob.password).await.ok()
    ));
    let thief = Browser::new(&app);
    thief.set_cookie(REMEMBERED_COOKIE, &format!("x{token}"));
    assert!(is_pending(
        &sign_in(&thief, &ana.email, &ana.password).await.ok()
    ));
    // Thirty days after the second step it is asked for again, whatever was done meanwhile.
    app.after(minutes(60 * 24 * 29));
    assert!(!is_pending(
        &sign_in(&browser, &ana.email, &ana.password).await.ok()
    ));
    app.after(minutes(60 * 24));
    assert!(is_pending(
        &sign_in(&browser, &ana.email, &ana.password).await.ok()
    ));
}

#[tokio::test]
async fn a_copied_token_of_a_remembered_browser_ends_with_the_password_and_everywhere() {
    let app = TestApp::start().await;
    let mut ana = app.user("ana").await;
    let own = ana.enrols().await;
    for change in ["password", "everywhere", "everybody"] {
        let browser = Browser::new(&app);
        sign_in(&browser, &ana.email, &ana.password).await.ok();
        let code = json!({ "code": own.code(&app, 0), "trustDevice": true });
        browser.post(VERIFY, &code).await.ok();
        app.after(seconds(30));
        let copy = Browser::new(&app);
        copy.set_cookie(
            REMEMBERED_COOKIE,
            &browser.cookie(REMEMBERED_COOKIE).unwrap(),
        );
        assert!(!is_pending(
            &sign_in(&copy, &ana.email, &ana.password).await.ok()
        ));
        if change == "password" {
            let new =
                json!({ "currentPassword": ana.password, "newPassword": "another good password" });
            browser.post("/api/auth/change-password", &new).await.ok();
            ana.password = "another good password".into();
        } else if change == "everybody" {
            manage_sessions::revoke(
                &app.app,
                Permitted::as_operator(),
                manage_sessions::Which::Everybody,
                &Requester::default(),
            )
            .await
            .unwrap();
        } else {
            browser
                .post("/api/auth/revoke-sessions", &json!({}))
                .await
                .ok();
        }
        for who in [&copy, &browser] {
            let answer = sign_in(who, &ana.email, &ana.password).await.ok();
            assert!(is_pending(&answer), "{change}");
        }
    }
}

#[tokio::test]
async fn a_native_client_keeps_what_a_browser_keeps_in_cookies() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let challenge = ana.begins().await;
    let body = json!({ "challenge": challenge, "code": own.code(&app, 0), "trustDevice": true });
    let done = app.post(VERIFY, &body).await.ok();
    assert!(done.cookies().is_empty(), "{:?}", done.cookies());
    let mut body = json!({ "email": ana.email, "password": ana.password, "tokenDelivery": "body" });
    assert!(is_pending(
        &app.post("/api/auth/sign-in/email", &body).await.ok()
    ));
    body["trustedDeviceToken"] = done.str("trustedDeviceToken").into();
    assert!(!is_pending(
        &app.post("/api/auth/sign-in/email", &body).await.ok()
    ));
    // Without remembered devices the settings ignore it.
    let strict = app
        .replica_with(&[("two_factor.remember_device", "0s")])
        .await;
    assert!(is_pending(
        &strict.post("/api/auth/sign-in/email", &body).await.ok()
    ));
}

#[tokio::test]
async fn changing_the_factors_wants_a_young_proof_and_proving_it_again_replaces_the_session() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let browser = Browser::new(&app);
    sign_in(&browser, &ana.email, &ana.password).await.ok();
    browser
        .post(VERIFY, &json!({ "code": own.code(&app, 0) }))
        .await
        .ok();
    let password = json!({ "password": ana.password });
    app.after(minutes(11));
    let old = browser.stolen();
    let before = browser.get("/api/auth/get-session").await.ok();
    for path in ["generate-backup-codes", "disable"] {
        browser
            .post(&format!("/api/auth/two-factor/{path}"), &password)
            .await
            .refused(403, "SESSION_NOT_FRESH");
    }
    browser
        .post(VERIFY, &json!({ "code": WRONG }))
        .await
        .refused(401, "INVALID_CODE");
    let stepped = browser
        .post(VERIFY, &json!({ "code": own.code(&app, 0) }))
        .await
        .ok();
    let after = browser.get("/api/auth/get-session").await.ok();
    assert_ne!(before.body["session"]["id"], after.body["session"]["id"]);
    assert_eq!(
        before.body["session"]["expiresAt"],
        after.body["session"]["expiresAt"]
    );
    assert_eq!(
        stepped.claims("accessToken")["auth_time"],
        app.app.now().seconds()
    );
    // The copied cookies of the session before are not lifted with it.
    old.get("/api/auth/list-sessions")
        .await
        .refused(401, "UNAUTHORIZED");
    // A late refresh of the session before leaves the new cookies alone.
    let late = old.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    assert!(late.cookies().is_empty(), "{:?}", late.cookies());
    let codes = browser
        .post("/api/auth/two-factor/generate-backup-codes", &password)
        .await;
    codes.ok();
    assert_eq!(app.db_count_events("session.stepped_up").await, 1);
    let gone = browser
        .post("/api/auth/two-factor/disable", &password)
        .await
        .ok();
    assert_eq!(gone.body["status"], true);
    let session = browser.get("/api/auth/get-session").await.ok();
    assert_eq!(session.body["user"]["twoFactorEnabled"], false);
    browser.get("/api/auth/list-sessions").await.ok();
    assert!(!is_pending(&ana.try_sign_in(&ana.password).await.ok()));
    assert_eq!(app.db_number("SELECT COUNT(*) FROM totp").await, 0);
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM recovery_codes").await,
        0
    );
}

#[tokio::test]
async fn an_actor_touches_no_factor_of_the_user() {
    let app = TestApp::start().await;
    let root = made_admin(&app, "root").await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let admin = root.sign_in().await;
    let acting = act(&app, &admin, &ana).await;
    let token = claims(&acting.access);
    assert!(token["acr"].is_null() && token["amr"].is_null(), "{token}");
    let (password, code) = (
        json!({ "password": ana.password }),
        json!({ "code": own.code(&app, 0) }),
    );
    for (path, body) in [
        ("enable", &password),
        ("get-totp-uri", &password),
        ("generate-backup-codes", &password),
        ("disable", &password),
        ("verify-totp", &code),
        ("verify-backup-code", &json!({ "code": own.codes[0] })),
    ] {
        app.post_as(
            &format!("/api/auth/two-factor/{path}"),
            &acting.session,
            body,
        )
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS");
    }
    // The user's own session may do the same.
    let challenge = ana.begins().await;
    let own_session = ana
        .tries(&challenge, &own.code(&app, 0))
        .await
        .ok()
        .str("token");
    app.post_as("/api/auth/two-factor/disable", &own_session, &password)
        .await
        .ok();
}

#[tokio::test]
async fn an_admin_resets_the_factors_of_others_alone() {
    let app = TestApp::start().await;
    let (root, ana) = (made_admin(&app, "root").await, app.user("ana").await);
    let own = ana.enrols().await;
    let challenge = ana.begins().await;
    let session = ana
        .tries(&challenge, &own.code(&app, 0))
        .await
        .ok()
        .str("token");
    let (admin, user) = (root.sign_in().await, id(&ana).await);
    ask(
        &app,
        &admin,
        "reset-factors",
        json!({ "userId": id(&root).await }),
    )
    .await
    .refused(403, "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS");
    app.post_as(
        "/api/auth/admin/reset-factors",
        &session,
        &json!({ "userId": user }),
    )
    .await
    .refused(403, "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS");
    ask(&app, &admin, "reset-factors", json!({ "userId": user }))
        .await
        .ok();
    app.get_as("/api/auth/list-sessions", &session)
        .await
        .refused(401, "UNAUTHORIZED");
    assert!(!is_pending(&ana.try_sign_in(&ana.password).await.ok()));
    assert_eq!(app.db_count_events("factor.reset").await, 1);
    // Nothing is left to reset.
    ask(&app, &admin, "reset-factors", json!({ "userId": user }))
        .await
        .ok();
    assert_eq!(app.db_count_events("factor.reset").await, 1);
}

/// A session of a release without factors, or one that a policy has overtaken.
#[tokio::test]
async fn a_session_below_the_policy_ends_at_its_next_request() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    for way in ["request", "refresh"] {
        let tokens = ana.sign_in().await;
        app.get_as("/api/auth/list-sessions", &tokens.session)
            .await
            .ok();
        app.db_execute("UPDATE sessions SET proofs = NULL")
            .await
            .unwrap();
        app.get_as("/api/auth/list-sessions", &tokens.session)
            .await
            .ok();
        app.db_execute("UPDATE users SET two_factor = 1, version = version + 1")
            .await
            .unwrap();
        if way == "request" {
            app.get_as("/api/auth/list-sessions", &tokens.session)
                .await
                .refused(401, "UNAUTHORIZED");
        }
        app.refresh(&tokens.refresh)
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
        let reason = app.db_session(&tokens.session_id).await.revoked_reason;
        assert_eq!(reason.as_deref(), Some("policy"), "{way}");
        app.db_execute("UPDATE users SET two_factor = 0, version = version + 1")
            .await
            .unwrap();
    }
}

/// Guessers who have the password, from ever new networks, with every pause that the limits ask for.
#[tokio::test]
async fn a_hundred_thousand_wrong_codes_keep_the_owner_out_of_no_known_device() {
    let app = TestApp::with(&[
        ("rate_limits.second_factor", "5/15m"),
        ("rate_limits.second_factor_account", "20/1h"),
        ("server.trusted_proxies", "127.0.0.1/32"),
    ])
    .await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let challenge = ana.begins().await;
    let device = ana
        .tries(&challenge, &own.code(&app, 0))
        .await
        .ok()
        .str("deviceToken");
    let (mut tried, mut compared) = (0_u32, 0_u32);
    let mut guess = ana.begins().await;
    let all = if on_postgres() { 20_000 } else { 100_000 };
    while tried < all {
        tried += 1;
        let answer = ana.tries(&guess, WRONG).await;
        match answer.status.as_u16() {
            401 if answer.body["code"] == "INVALID_CODE" => compared += 1,
            429 => {
                if tried % (all / 100) == 0 {
                    app.after(minutes(15));
                }
                continue;
            }
            _ => {}
        }
        if answer.body["code"] != "INVALID_CODE" {
            guess = ana.begins().await;
        }
    }
    assert!(compared < 1_000, "{compared} of {tried} were compared");
    assert_eq!(app.db_count_events("login.guessed").await, 1);
    // An unknown device gets no further with a right code, and the known one signs in.
    app.after(minutes(60));
    let failures = app.db_number("SELECT failures FROM totp").await;
    assert!(failures >= 100, "{failures}");
    let challenge = ana.begins().await;
    ana.tries(&challenge, &own.code(&app, 0))
        .await
        .refused(401, "INVALID_CODE");
    let challenge = ana.begins().await;
    let body = json!({ "challenge": challenge, "code": own.code(&app, 0), "deviceToken": device });
    app.post(VERIFY, &body).await.ok();
    // After that right code any device is asked again.
    app.after(seconds(60));
    let challenge = ana.begins().await;
    ana.tries(&challenge, &own.code(&app, 0)).await.ok();
    println!("{tried} tried, {compared} compared");
}

/// A thief of a session who has the password, too: a right password does not clear the count of
/// wrong codes, and a hundred wrong ones close the way.
#[tokio::test]
async fn codes_in_a_session_are_paced_whatever_is_proven_between_them() {
    let app = TestApp::with(&[
        ("rate_limits.second_factor", "5/15m"),
        ("rate_limits.second_factor_account", "20/1h"),
    ])
    .await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let challenge = ana.begins().await;
    let done = ana.tries(&challenge, &own.code(&app, 0)).await.ok();
    let (session, device) = (done.str("token"), done.str("deviceToken"));
    let (wrong, password) = (
        json!({ "code": WRONG }),
        json!({ "password": ana.password }),
    );
    let mut compared = 0;
    for _ in 0..20 {
        let answer = app.post_as(VERIFY, &session, &wrong).await;
        compared += usize::from(answer.status == 401);
        app.post_as("/api/auth/verify-password", &session, &password)
            .await
            .ok();
    }
    assert_eq!(compared, 5, "the sixth has to wait");
    // However long the thief waits, after a hundred of them no code counts in a session.
    while compared < 100 {
        app.after(minutes(16));
        let answer = app.post_as(VERIFY, &session, &wrong).await;
        compared += usize::from(answer.status == 401);
    }
    app.after(minutes(16));
    let right = json!({ "code": own.code(&app, 0) });
    app.post_as(VERIFY, &session, &right)
        .await
        .refused(401, "INVALID_CODE");
    // The user got no mail about a password, and signs in as before on any device.
    assert_eq!(app.db_count_events("login.guessed").await, 0);
    app.after(minutes(16));
    let challenge = ana.begins().await;
    let body = json!({ "challenge": challenge, "code": own.code(&app, 0), "deviceToken": device });
    app.post(VERIFY, &body).await.ok();
    app.after(minutes(16));
    let right = json!({ "code": own.code(&app, 0) });
    app.post_as(VERIFY, &session, &right).await.ok();
}

#[tokio::test]
async fn a_mailbox_takes_no_factor_that_was_enrolled_after_its_proof() {
    let (app, dir) = super::mail::posting(&[]).await;
    for (name, is_proven) in [("ana", true), ("bob", false)] {
        let user = app.user(name).await;
        if is_proven {
            app.db_execute("UPDATE users SET email_verified = 1, version = version + 1")
                .await
                .unwrap();
        }
        let own = user.enrols().await;
        super::mail::received(&app, dir.path()).await;
        // Whatever the row says later.
        app.db_execute("UPDATE users SET email_verified = 0, version = version + 1")
            .await
            .unwrap();
        resets(&user, dir.path(), "another good password").await;
        super::mail::received(&app, dir.path()).await;
        let answer = user.try_sign_in("another good password").await.ok();
        assert_eq!(is_pending(&answer), is_proven, "{name}");
        let ended = app.db_count_events("factor.reset").await;
        assert_eq!(ended, i64::from(!is_proven), "{name}");
        if is_proven {
            user.tries(&answer.str("challenge"), &own.code(&app, 0))
                .await
                .ok();
        }
    }
}

#[tokio::test]
async fn only_the_session_that_made_a_secret_confirms_it_and_within_an_hour() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let (maker, thief) = (ana.sign_in().await.session, ana.sign_in().await.session);
    let password = json!({ "password": ana.password });
    let enable = "/api/auth/two-factor/enable";
    let enrolment = app.post_as(enable, &maker, &password).await.ok();
    let phone = crate::support::authenticator::Authenticator::scan(&enrolment);
    let code = json!({ "code": phone.code(&app, 0) });
    app.post_as(VERIFY, &thief, &code)
        .await
        .refused(400, "TOTP_NOT_ENABLED");
    app.post_as("/api/auth/two-factor/get-totp-uri", &thief, &password)
        .await
        .refused(400, "TOTP_NOT_ENABLED");
    app.after(minutes(60));
    let code = json!({ "code": phone.code(&app, 0) });
    app.post_as(VERIFY, &maker, &code)
        .await
        .refused(400, "TOTP_NOT_ENABLED");
    let enrolment = app.post_as(enable, &maker, &password).await.ok();
    let phone = crate::support::authenticator::Authenticator::scan(&enrolment);
    app.after(seconds(3_599));
    let code = json!({ "code": phone.code(&app, 0) });
    app.post_as(VERIFY, &maker, &code).await.ok();
}

#[tokio::test]
async fn a_device_that_a_mail_made_known_is_no_known_one_at_the_second_step() {
    let (app, dir) = super::mail::posting(&[]).await;
    let ana = super::mail::verified(&app, dir.path(), "ana").await;
    let own = ana.enrols().await;
    super::mail::received(&app, dir.path()).await;
    app.db_execute("UPDATE totp SET failures = 100")
        .await
        .unwrap();
    let reset = resets(&ana, dir.path(), &ana.password).await;
    let challenge = ana.begins().await;
    let body = json!({ "challenge": challenge, "code": own.code(&app, 0), "deviceToken": reset.str("deviceToken") });
    app.post(VERIFY, &body).await.refused(401, "INVALID_CODE");
    app.db_execute("UPDATE totp SET failures = 99")
        .await
        .unwrap();
    app.post(VERIFY, &body).await.ok();
}

#[tokio::test]
async fn another_email_address_wants_a_young_proof_of_the_factor() {
    let (app, dir) = super::mail::posting(&[]).await;
    let ana = super::mail::verified(&app, dir.path(), "ana").await;
    let own = ana.enrols().await;
    let challenge = ana.begins().await;
    let session = ana
        .tries(&challenge, &own.code(&app, 0))
        .await
        .ok()
        .str("token");
    let new = json!({ "newEmail": "new@example.com" });
    app.after(minutes(11));
    app.post_as("/api/auth/change-email", &session, &new)
        .await
        .refused(403, "SESSION_NOT_FRESH");
    let code = json!({ "code": own.code(&app, 0) });
    let session = app.post_as(VERIFY, &session, &code).await.ok().str("token");
    app.post_as("/api/auth/change-email", &session, &new)
        .await
        .ok();
}
