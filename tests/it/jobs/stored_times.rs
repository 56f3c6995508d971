//! Every comparison of a stored time with the present, a day after that time and a day before it.
//! Those of sessions' ends, bans, mails that wait, links and keys are in `clock`; these are the
//! others.

use std::pin::Pin;

use countersign::clock::Clock;
use countersign::flows::audit::deliver_webhooks;
use countersign::flows::key::change_keys::{KeyChange, change};
use countersign::flows::limit::known_device::Device;
use countersign::flows::mail::deliver_mail;
use countersign::flows::ops::prune::prune;
use countersign::flows::permit::Permitted;
use countersign::model::key::plan::KeyOperation;
use countersign::store;
use serde_json::json;

use crate::support::{CACHE_COOKIE, DEVICE_COOKIE, TestApp, Tokens, User, minutes};

const DAY_MS: i64 = 86_400_000;

/// An account that is signed in and whose refresh token was rotated once.
struct Case {
    app: TestApp,
    ana: User,
    tokens: Tokens,
    current: String,
}

/// What is so when a stored time lies a day in the past, and when it lies a day in the future.
struct Row {
    what: &'static str,
    settings: &'static [(&'static str, &'static str)],
    /// `$` stands for the time, in milliseconds.
    put: &'static str,
    look: for<'c> fn(&'c Case) -> Pin<Box<dyn Future<Output = String> + 'c>>,
    ago: &'static str,
    ahead: &'static str,
}

async fn refreshed(app: &TestApp, token: &str) -> String {
    let answer = app.refresh(token).await;
    match answer.body["code"].as_str() {
        Some(code) => code.to_owned(),
        None if answer.body["refreshToken"].is_string() => "a new token".into(),
        None => "the same token".into(),
    }
}

/// Whether nothing is counted after everything that is due was deleted.
async fn pruned(app: &TestApp, count: &str) -> String {
    prune(&app.app).await.unwrap();
    if app.db_number(count).await == 0 {
        "deleted".into()
    } else {
        "kept".into()
    }
}

/// Whether a request is answered, or the code with which it is refused.
async fn asked(case: &Case, path: &str, body: serde_json::Value) -> String {
    let answer = case.app.post_as(path, &case.tokens.session, &body).await;
    if answer.status.is_success() {
        "answered".into()
    } else {
        answer.str("code")
    }
}

const WEBHOOK: &[(&str, &str)] = &[
    ("webhooks.url", "http://127.0.0.1:1/events"),
    (
        "webhooks.secret",
        "whsec_MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A=",
    ),
    ("webhooks.events", "*"),
];
const LIMITS: &[(&str, &str)] = &[
    ("rate_limits.enabled", "true"),
    ("rate_limits.sign_in", "5/15m"),
];

const ROWS: &[Row] = &[
    Row {
        what: "when the token was rotated: the cool-down of the current one; a time from the future starts none",
        settings: &[],
        put: "UPDATE sessions SET rotated_at = $",
        look: |it| Box::pin(async move { refreshed(&it.app, &it.current).await }),
        ago: "a new token",
        ahead: "a new token",
    },
    Row {
        what: "when the token was rotated: the grace of the one before",
        settings: &[("sessions.late_retry", "revoke")],
        put: "UPDATE sessions SET rotated_at = $",
        look: |it| Box::pin(async move { refreshed(&it.app, &it.tokens.refresh).await }),
        ago: "REFRESH_TOKEN_REUSED",
        ahead: "a new token",
    },
    Row {
        what: "when a session was last extended",
        settings: &[],
        put: "UPDATE sessions SET updated_at = $",
        look: |it| {
            Box::pin(async move {
                it.app
                    .get_as("/api/auth/session", &it.tokens.session)
                    .await
                    .ok();
                let now = it.app.clock.now_ms();
                let extended = format!(
                    "SELECT COUNT(*) FROM sessions WHERE id = '{}' AND updated_at = {now}",
                    it.tokens.session_id
                );
                if it.app.db_number(&extended).await == 1 {
                    "extended".into()
                } else {
                    "left".into()
                }
            })
        },
        ago: "extended",
        ahead: "left",
    },
    Row {
        what: "when the password was proven, for a change of address",
        settings: &[("mail.transport", "log")],
        put: "UPDATE sessions SET auth_time = $",
        look: |it| {
            Box::pin(async move {
                asked(
                    it,
                    "/api/auth/change-email",
                    json!({ "newEmail": "new@example.com" }),
                )
                .await
            })
        },
        ago: "SESSION_NOT_FRESH",
        ahead: "answered",
    },
    Row {
        what: "when the password was proven, for deleting the account where no mail is sent",
        settings: &[("mail.transport", "off")],
        put: "UPDATE sessions SET auth_time = $",
        look: |it| Box::pin(async move { asked(it, "/api/auth/delete-user", json!({})).await }),
        ago: "SESSION_EXPIRED",
        ahead: "answered",
    },
    Row {
        what: "when the password was proven, for administering others",
        settings: &[("policies.admin.fresh_for", "23h")],
        put: "UPDATE sessions SET proofs = 'password:$'; UPDATE users SET role = 'admin', version = version + 1",
        look: |it| {
            Box::pin(async move {
                asked(it, "/api/auth/admin/create-user", json!({ "email": "eve@example.com", "password": "eve's good password", "name": "eve" })).await
            })
        },
        ago: "SESSION_NOT_FRESH",
        ahead: "answered",
    },
    Row {
        what: "when the next try may come after wrong passwords; further ahead than that ever takes it stops nothing",
        settings: LIMITS,
        put: "UPDATE rate_limits SET level = 6, free_at = $, expires_at = $",
        look: |it| {
            Box::pin(async move {
                it.ana
                    .try_sign_in(&it.ana.password)
                    .await
                    .status
                    .as_u16()
                    .to_string()
            })
        },
        ago: "200",
        ahead: "200",
    },
    Row {
        what: "when a limit is forgotten",
        settings: LIMITS,
        put: "UPDATE rate_limits SET expires_at = $",
        look: |it| {
            Box::pin(async move { pruned(&it.app, "SELECT COUNT(*) FROM rate_limits").await })
        },
        ago: "deleted",
        ahead: "kept",
    },
    Row {
        what: "when a block of a network ends; never later than it was made for",
        settings: &[],
        put: "INSERT INTO network_blocks (network, reason, created_at, ends_at) VALUES ('192.0.2.0/24', '', $ - 3600000, $)",
        look: |it| {
            Box::pin(async move {
                let now = it.app.app.now();
                let blocks = it
                    .app
                    .app
                    .db
                    .read(move |conn| Box::pin(store::limit::blocks::list(conn, now)))
                    .await
                    .unwrap();
                blocks
                    .first()
                    .map_or_else(|| "over".into(), |block| format!("{:?}", block.left(now)))
            })
        },
        ago: "over",
        ahead: "3600s",
    },
    Row {
        what: "when the next key was published",
        settings: &[],
        put: "UPDATE signing_keys SET published_at = $",
        look: |it| {
            Box::pin(async move {
                let changed = change(
                    &it.app.app,
                    Permitted::as_operator(),
                    KeyChange::new(KeyOperation::Rotate { force: false }, Default::default()),
                )
                .await;
                if changed.is_ok() {
                    "rotated".into()
                } else {
                    "too early".into()
                }
            })
        },
        ago: "rotated",
        ahead: "too early",
    },
    Row {
        what: "the heartbeat of another replica; one from the future was never heard",
        settings: &[],
        put: "INSERT INTO heartbeats (writer, beat_at, stopped) VALUES ('other', $, 0)",
        look: |it| {
            Box::pin(async move {
                let newest = it
                    .app
                    .app
                    .db
                    .read(|conn| Box::pin(store::ops::standstills::newest(conn)))
                    .await
                    .unwrap();
                if newest.is_some() {
                    "heard".into()
                } else {
                    "never heard".into()
                }
            })
        },
        ago: "heard",
        ahead: "never heard",
    },
    Row {
        what: "the end of a standstill of another replica; one that ends in the future does not count",
        settings: &[],
        put: "INSERT INTO standstills (writer, began_at, ended_at) VALUES ('other', $ - 172800000, $)",
        look: |it| {
            Box::pin(async move {
                let keep = minutes(2);
                let found = it
                    .app
                    .app
                    .db
                    .read(move |conn| {
                        Box::pin(store::ops::standstills::of_others(conn, "own", keep))
                    })
                    .await
                    .unwrap();
                if found.is_empty() {
                    "does not count".into()
                } else {
                    "counts".into()
                }
            })
        },
        ago: "does not count",
        ahead: "does not count",
    },
    Row {
        what: "when an event of the audit trail has been kept for long enough",
        settings: &[("audit.retention", "30d")],
        put: "UPDATE audit_events SET at = $ - 2592000000",
        look: |it| {
            Box::pin(async move { pruned(&it.app, "SELECT COUNT(*) FROM audit_events").await })
        },
        ago: "deleted",
        ahead: "kept",
    },
    Row {
        what: "when a session that is over is forgotten",
        settings: &[],
        put: "UPDATE sessions SET expires_at = $ - 604800000",
        look: |it| Box::pin(async move { pruned(&it.app, "SELECT COUNT(*) FROM sessions").await }),
        ago: "deleted",
        ahead: "kept",
    },
    Row {
        what: "when a session that was not used is forgotten",
        settings: &[],
        put: "UPDATE sessions SET idle_expires_at = $ - 604800000",
        look: |it| Box::pin(async move { pruned(&it.app, "SELECT COUNT(*) FROM sessions").await }),
        ago: "deleted",
        ahead: "kept",
    },
    Row {
        what: "when a link is forgotten",
        settings: &[("mail.transport", "log")],
        put: "UPDATE mail_tokens SET expires_at = $ - 604800000",
        look: |it| {
            Box::pin(async move { pruned(&it.app, "SELECT COUNT(*) FROM mail_tokens").await })
        },
        ago: "deleted",
        ahead: "kept",
    },
    Row {
        what: "when an event that the webhook never took is given up",
        settings: WEBHOOK,
        put: "UPDATE webhooks SET created_at = $ - 259200000",
        look: |it| Box::pin(async move { pruned(&it.app, "SELECT COUNT(*) FROM webhooks").await }),
        ago: "deleted",
        ahead: "kept",
    },
    Row {
        what: "when an event is offered to the webhook again; further ahead than any pause it is due",
        settings: WEBHOOK,
        put: "UPDATE webhooks SET due_at = $, attempts = 1",
        look: |it| {
            Box::pin(async move {
                deliver_webhooks::deliver_due(&it.app.app, || false)
                    .await
                    .unwrap();
                if it
                    .app
                    .db_number("SELECT COUNT(*) FROM webhooks WHERE attempts > 1")
                    .await
                    > 0
                {
                    "offered".into()
                } else {
                    "waits".into()
                }
            })
        },
        ago: "offered",
        ahead: "offered",
    },
];

#[tokio::test]
async fn every_other_stored_time_means_what_it_should_a_day_after_it_and_a_day_before() {
    let mut wrong = Vec::new();
    for row in ROWS {
        for (offset, expected) in [(-DAY_MS, row.ago), (DAY_MS, row.ahead)] {
            let app = TestApp::with(row.settings).await;
            let ana = app.user("ana").await;
            let tokens = ana.sign_in().await;
            let current = app.rotate(&tokens.refresh).await;
            ana.try_sign_in("a wrong password")
                .await
                .refused(401, "INVALID_EMAIL_OR_PASSWORD");
            if row.what.contains("link") {
                app.post(
                    "/api/auth/request-password-reset",
                    &json!({ "email": ana.email }),
                )
                .await
                .ok();
                deliver_mail::deliver_due(&app.app, || false).await.unwrap();
            }
            let time = (app.clock.now_ms() + offset).to_string();
            for statement in row.put.replace('$', &time).split("; ") {
                app.db_execute(statement).await.unwrap();
                let table = statement
                    .split(' ')
                    .nth(if statement.starts_with("UPDATE") {
                        1
                    } else {
                        2
                    })
                    .unwrap();
                assert!(
                    app.db_number(&format!("SELECT COUNT(*) FROM {table}"))
                        .await
                        > 0,
                    "{}: nothing is stored",
                    row.what
                );
            }
            let found = (row.look)(&Case {
                app,
                ana,
                tokens,
                current,
            })
            .await;
            if found != expected {
                wrong.push(format!(
                    "{}, {offset} ms from now: {found}, not {expected}",
                    row.what
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_cookie_cache_counts_neither_a_day_later_nor_a_day_before() {
    let app = TestApp::with(&[("sessions.cookie_cache", "5m")]).await;
    let browser = app.user("ana").await.browser().await;
    assert!(browser.cookie(CACHE_COOKIE).is_some());
    app.db_execute("DELETE FROM sessions").await.unwrap();
    let ask = async || {
        browser
            .stolen()
            .get("/api/auth/get-session")
            .await
            .ok()
            .body
    };
    assert!(ask().await["user"].is_object(), "answered from the cookie");
    for offset in [DAY_MS, -DAY_MS] {
        app.set_clock(offset);
        assert!(ask().await.is_null(), "{offset} ms off");
        app.set_clock(-offset);
    }
}

#[tokio::test]
async fn a_known_device_is_known_a_day_later_and_where_the_clock_that_signed_it_was_a_day_ahead() {
    let app = TestApp::start().await;
    let encoded = app
        .user("ana")
        .await
        .browser()
        .await
        .cookie(DEVICE_COOKIE)
        .unwrap();
    let device = cookie::Cookie::parse_encoded(format!("v={encoded}"))
        .unwrap()
        .value()
        .to_owned();
    for (offset, known) in [
        (0, true),
        (DAY_MS, true),
        (-DAY_MS, true),
        (364 * DAY_MS, true),
        (366 * DAY_MS, false),
    ] {
        app.set_clock(offset);
        assert_eq!(
            Device::open(&app.app, &device).is_some(),
            known,
            "{offset} ms off"
        );
        app.set_clock(-offset);
    }
}
