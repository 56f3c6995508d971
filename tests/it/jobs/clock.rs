//! A clock that is wrong destroys nothing.

use axum::http::Method;
use countersign::clock::Clock;
use countersign::flows::audit::deliver_webhooks;
use countersign::flows::confirm_clock::{confirm, confirm_by_operator, look};
use countersign::flows::key::change_keys::{KeyChange, change};
use countersign::flows::mail::deliver_mail;
use countersign::flows::ops::heartbeat;
use countersign::flows::ops::prune::prune;
use countersign::flows::permit::Permitted;
use countersign::jobs::rotate_due_keys;
use countersign::model::kernel::trusted_clock::Doubt;
use countersign::model::key::algorithm::Algorithm;
use countersign::model::mail::Mail;
use countersign::store;

use crate::support::{TestApp, minutes, on_postgres, seconds};

const DAY_MS: i64 = 86_400_000;

/// Everything that a job may delete, change or give up.
async fn belongings(app: &TestApp) -> Vec<(String, i64)> {
    let tables = [
        "sessions",
        "users",
        "accounts",
        "mail_tokens",
        "mails",
        "webhooks",
        "rate_limits",
        "audit_events",
    ];
    let mut found = Vec::new();
    for table in tables {
        found.push((
            table.to_owned(),
            app.db_number(&format!("SELECT COUNT(*) FROM {table}"))
                .await,
        ));
    }
    for state in ["active", "standby", "retired", "removed", "revoked"] {
        found.push((
            state.to_owned(),
            app.db_number(&format!(
                "SELECT COUNT(*) FROM signing_keys WHERE state = '{state}'"
            ))
            .await,
        ));
    }
    found
}

/// One of each: sessions, an account that is not proven, links, mails and events that wait, limits,
/// a retired key, audit events.
async fn lived_in() -> TestApp {
    let settings = [
        ("sign_up.require_email_verification", "true"),
        ("sign_up.unproven_ttl", "7d"),
        ("audit.retention", "30d"),
        ("mail.transport", "smtp"),
        ("mail.smtp_url", "smtp://127.0.0.1:1"),
        ("mail.from", "Ops <ops@example.com>"),
        ("webhooks.url", "http://127.0.0.1:1/events"),
        (
            "webhooks.secret",
            "whsec_MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A=",
        ),
        ("webhooks.events", "*"),
        ("rate_limits.sign_in", "5/15m"),
    ];
    let app = TestApp::with(&settings).await;
    app.user("ana").await;
    app.db_execute("UPDATE users SET email_verified = 1, version = 2")
        .await
        .unwrap();
    let ana = crate::support::User {
        app: app.clone(),
        name: "ana".into(),
        email: "ana@example.com".into(),
        password: "ana's good password".into(),
    };
    ana.sign_in().await;
    ana.try_sign_in("a wrong password").await;
    app.user("bob").await;
    app.after(minutes(70));
    change(
        &app.app,
        Permitted::as_operator(),
        KeyChange::new(
            countersign::model::key::plan::KeyOperation::Rotate { force: true },
            Default::default(),
        ),
    )
    .await
    .unwrap();
    // Nothing listens there: links are made and mails wait.
    deliver_mail::deliver_due(&app.app, || false).await.unwrap();
    app
}

#[tokio::test]
async fn a_clock_that_jumped_deletes_rotates_and_gives_up_nothing_and_an_operator_may_confirm_it() {
    let app = lived_in().await;
    assert!(confirm(&app.app).await.unwrap().is_some());
    let before = belongings(&app).await;
    assert!(
        before
            .iter()
            .all(|(what, count)| *count > 0 || matches!(what.as_str(), "removed" | "revoked")),
        "{before:?}"
    );
    for days in [-400, -100, -2, 2, 100, 400] {
        app.set_clock(days * DAY_MS);
        for process in [&app, &app.replica(&[]).await.unwrap()] {
            prune(&process.app).await.unwrap();
            rotate_due_keys(&process.app).await.unwrap();
            deliver_mail::deliver_due(&process.app, || false)
                .await
                .unwrap();
            deliver_webhooks::deliver_due(&process.app, || false)
                .await
                .unwrap();
        }
        assert_eq!(belongings(&app).await, before, "{days} days off");
        assert_eq!(
            look(&app.app).await.unwrap().outcome.err(),
            Some(Doubt::LastRun(days * DAY_MS))
        );
        let started = app.replica(&[]).await.unwrap();
        confirm(&started.app).await.unwrap();
        let ready = started.get("/health/ready").await.ok();
        assert!(
            ready.body["warnings"][0]
                .as_str()
                .unwrap()
                .contains("countersign clock confirm"),
            "serving goes on: {}",
            ready.body
        );
        let ready = app.get("/health/ready").await;
        assert_eq!(
            (ready.status.as_u16(), &ready.body["checks"]["clock"]),
            (503, &serde_json::json!(false)),
            "it saw how the clock was set"
        );
        app.set_clock(-days * DAY_MS);
        assert!(
            confirm(&app.app).await.unwrap().is_some(),
            "the clock is right again"
        );
    }
    // An operator says that so much time has passed indeed.
    app.set_clock(400 * DAY_MS);
    let requester = countersign::model::audit::event::Requester {
        actor: "cli:tester".into(),
        ..Default::default()
    };
    confirm_by_operator(&app.app, Permitted::as_operator(), &requester)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(app.db_count_events("clock.confirmed").await, 1);
    assert_eq!(prune(&app.app).await.unwrap(), 1);
    rotate_due_keys(&app.app).await.unwrap();
    app.after(minutes(70));
    deliver_mail::deliver_due(&app.app, || false).await.unwrap();
    let after = belongings(&app).await;
    let count = |what: &str| after.iter().find(|(name, _)| name == what).unwrap().1;
    assert_eq!(
        (
            count("sessions"),
            count("users"),
            count("mail_tokens"),
            count("mails")
        ),
        (0, 1, 0, 0),
        "{after:?}"
    );
    assert_eq!(
        (count("rate_limits"), count("removed")),
        (0, 1),
        "{after:?}"
    );
    assert_eq!(
        app.db_number(&format!(
            "SELECT COUNT(*) FROM webhooks WHERE created_at < {}",
            app.clock.now_ms() - DAY_MS
        ))
        .await,
        0
    );
}

#[tokio::test]
async fn a_clock_that_jumps_between_the_check_and_the_statement_deletes_nothing() {
    let app = TestApp::start().await;
    app.user("ana").await;
    let now = confirm(&app.app).await.unwrap().unwrap();
    // What the database has confirmed lies more than a day behind what this process checked.
    app.db_execute(&format!(
        "UPDATE clock SET confirmed_at = confirmed_at - {}",
        DAY_MS + 1
    ))
    .await
    .unwrap();
    app.db_execute("UPDATE sessions SET expires_at = 1")
        .await
        .unwrap();
    let pruned = app
        .app
        .db
        .write(move |conn| {
            Box::pin(store::session::old_sessions::prune(
                conn,
                now,
                seconds(1),
                10,
            ))
        })
        .await
        .unwrap();
    assert_eq!((pruned, app.live_sessions().await), (0, 1));
    app.db_execute(&format!(
        "UPDATE clock SET confirmed_at = confirmed_at + {DAY_MS}"
    ))
    .await
    .unwrap();
    assert_eq!(
        app.app
            .db
            .write(move |conn| Box::pin(store::session::old_sessions::prune(
                conn,
                now,
                seconds(1),
                10
            )))
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn beside_postgres_the_database_s_own_time_decides() {
    if !on_postgres() {
        return;
    }
    let app = TestApp::with_real_time(&[]).await;
    app.user("ana").await;
    app.db_execute("UPDATE sessions SET expires_at = 1")
        .await
        .unwrap();
    app.db_execute("UPDATE clock SET confirmed_at = NULL")
        .await
        .unwrap();
    for off in [-6 * 60_000, 6 * 60_000, 100 * DAY_MS] {
        let wrong = app.replica_with_clock(off).await;
        assert_eq!(prune(&wrong.app).await.unwrap(), 0, "{off} ms off");
        rotate_due_keys(&wrong.app).await.unwrap();
        assert!(matches!(
            look(&wrong.app).await.unwrap().outcome,
            Err(Doubt::Database(_))
        ));
        assert!(
            confirm_by_operator(&wrong.app, Permitted::as_operator(), &Default::default())
                .await
                .unwrap()
                .is_err(),
            "it cannot be confirmed"
        );
    }
    // Nor does it date a heartbeat, or note the time until its own date as a standstill: that would
    // excuse late retries at every replica.
    heartbeat::beat(&app.app).await.unwrap();
    for off in [-6 * 60_000, 6 * 60_000, 100 * DAY_MS] {
        heartbeat::beat(&app.replica_with_clock(off).await.app)
            .await
            .unwrap();
    }
    assert_eq!(app.db_number("SELECT COUNT(*) FROM heartbeats").await, 1);
    assert_eq!(app.db_number("SELECT COUNT(*) FROM standstills").await, 0);
    assert_eq!(app.db_number("SELECT COUNT(*) FROM signing_keys").await, 2);
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM clock WHERE confirmed_at IS NOT NULL")
            .await,
        0,
        "a wrong clock leaves no trace"
    );
    // One whose check passed by its own clock, which was wrong: the statement asks again.
    let blind = app.replica_with_clock(100 * DAY_MS).await;
    let evidence = countersign::model::kernel::trusted_clock::Evidence {
        database: Some(blind.app.now()),
        last_confirmed: None,
    };
    let now =
        countersign::model::kernel::trusted_clock::confirm(blind.app.now(), evidence, minutes(5))
            .unwrap();
    assert_eq!(
        blind
            .app
            .db
            .write(move |conn| Box::pin(store::session::old_sessions::prune(
                conn,
                now,
                seconds(1),
                10
            )))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        prune(&app.app).await.unwrap(),
        1,
        "the right clock deletes what is due"
    );
}

#[tokio::test]
async fn the_age_of_the_keys_and_caches_ignores_a_clock_that_is_set_back() {
    let app = TestApp::with(&[("rate_limits.token", "2/1m")]).await;
    let ana = app.user("ana").await.browser().await;
    app.set_clock(-3_600_000);
    assert_eq!(app.app.ring_age(), seconds(0));
    app.after(seconds(61));
    assert_eq!(app.app.ring_age(), seconds(61), "a minute is a minute");
    assert_eq!(app.get("/health/ready").await.body["checks"]["keys"], false);
    countersign::flows::key::load_keys::confirm(&app.app)
        .await
        .unwrap();
    assert_eq!(app.app.ring_age(), seconds(0));
    // What a process counts by itself comes back in its own time.
    for _ in 0..2 {
        ana.get("/api/auth/token").await.ok();
    }
    ana.get("/api/auth/token")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    app.set_clock(-3_600_000);
    app.after(seconds(31));
    ana.get("/api/auth/token").await.ok();
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_has_postponed_is_sent_once_it_is_right() {
    let app = lived_in().await;
    let attempts = async |table: &str| {
        app.db_number(&format!("SELECT MIN(attempts) FROM {table}"))
            .await
    };
    app.set_clock(30 * DAY_MS);
    deliver_mail::deliver_due(&app.app, || false).await.unwrap();
    deliver_webhooks::deliver_due(&app.app, || false)
        .await
        .unwrap();
    assert!(app.db_number("SELECT MIN(due_at) FROM mails").await > app.clock.now_ms());
    app.set_clock(-30 * DAY_MS);
    deliver_mail::deliver_due(&app.app, || false).await.unwrap();
    for _ in 0..app.db_number("SELECT COUNT(*) FROM webhooks").await {
        deliver_webhooks::deliver_due(&app.app, || false)
            .await
            .unwrap();
    }
    assert_eq!(
        (attempts("mails").await, attempts("webhooks").await),
        (3, 2),
        "once before, once ahead, once after"
    );
}

/// A stored time, how it is put a day into the past or the future, and what then is so.
struct Stored {
    what: &'static str,
    /// `$` stands for the time.
    put: &'static str,
    /// Whether it counts as passed.
    passed: fn(TestApp) -> std::pin::Pin<Box<dyn Future<Output = bool>>>,
}

async fn can_sign_in(app: &TestApp) -> bool {
    let form = serde_json::json!({ "email": "ana@example.com", "password": "ana's good password", "tokenDelivery": "body" });
    app.post("/api/auth/sign-in/email", &form)
        .await
        .status
        .is_success()
}

async fn ring_of(app: &TestApp) -> countersign::model::key::key::Ring {
    app.app
        .db
        .read(|conn| Box::pin(store::key::signing_keys::load(conn)))
        .await
        .unwrap()
        .slots()
        .of(Algorithm::EdDsa)
        .cloned()
        .unwrap()
}

#[tokio::test]
async fn every_stored_time_is_over_a_day_later_and_not_a_day_before() {
    let sessions_live = |app: TestApp| -> std::pin::Pin<Box<dyn Future<Output = bool>>> {
        Box::pin(async move {
            let user: countersign::model::kernel::id::UserId = app
                .db_text("SELECT id FROM users")
                .await
                .unwrap()
                .parse()
                .unwrap();
            let now = app.app.now();
            let listed = app
                .app
                .db
                .read(move |conn| {
                    Box::pin(async move {
                        store::session::list_sessions::list_live(
                            conn,
                            user,
                            &countersign::flows::session::manage_sessions::FIRST,
                            now,
                        )
                        .await
                    })
                })
                .await
                .unwrap()
                .len();
            let counted = app
                .app
                .db
                .read(move |conn| Box::pin(store::session::list_sessions::census(conn, now)))
                .await
                .unwrap();
            assert_eq!(
                i64::try_from(listed).unwrap(),
                counted.live,
                "two statements say the same"
            );
            listed == 0
        })
    };
    let all = [
        Stored {
            what: "the absolute end of a session",
            put: "UPDATE sessions SET expires_at = $",
            passed: sessions_live,
        },
        Stored {
            what: "the idle end of a session",
            put: "UPDATE sessions SET idle_expires_at = $",
            passed: sessions_live,
        },
        Stored {
            what: "the end of a ban",
            put: "UPDATE users SET banned = 1, version = version + 1, ban_expires_at = $",
            passed: |app| Box::pin(async move { can_sign_in(&app).await }),
        },
        Stored {
            what: "when a mail is due",
            put: "UPDATE mails SET due_at = $, created_at = $",
            passed: |app| {
                Box::pin(async move {
                    let now = app.app.now();
                    !app.app
                        .db
                        .write(move |conn| {
                            Box::pin(store::queue::take_due::<Mail>(
                                conn,
                                9,
                                now,
                                None,
                                store::queue::Hold {
                                    hold: seconds(0),
                                    latest: minutes(60 * 24 * 2),
                                },
                            ))
                        })
                        .await
                        .unwrap()
                        .is_empty()
                })
            },
        },
        Stored {
            what: "when a link expires",
            put: "UPDATE mail_tokens SET expires_at = $",
            passed: |app| {
                Box::pin(async move {
                    let id = app
                        .db_text("SELECT id FROM mail_tokens")
                        .await
                        .unwrap()
                        .parse()
                        .unwrap();
                    let (token, _) = app
                        .app
                        .db
                        .read(move |conn| Box::pin(store::mails::find_token(conn, id)))
                        .await
                        .unwrap()
                        .unwrap();
                    token.expires_at <= app.app.now()
                })
            },
        },
        Stored {
            what: "when an account that is not proven goes",
            put: "UPDATE users SET email_verified = 0, version = 1, unproven_until = $; DELETE FROM sessions",
            passed: |app| {
                Box::pin(async move {
                    let now = app.app.now();
                    !app.app
                        .db
                        .read(move |conn| {
                            Box::pin(store::account::user_changes::unproven(conn, now, 9))
                        })
                        .await
                        .unwrap()
                        .is_empty()
                })
            },
        },
        Stored {
            what: "the second rotation of an emergency",
            put: "UPDATE key_ring SET rotate_after = $; UPDATE signing_keys SET published_at = 0",
            passed: |app| {
                Box::pin(async move {
                    ring_of(&app)
                        .await
                        .next_rotation(&app.app.config.keys.policies.of_default())
                        .unwrap()
                        <= app.app.now()
                })
            },
        },
        Stored {
            what: "when a retired key was retired",
            put: "UPDATE signing_keys SET state = 'retired', retired_at = $ WHERE state = 'standby'",
            passed: |app| {
                Box::pin(async move {
                    ring_of(&app)
                        .await
                        .keys
                        .iter()
                        .any(|key| key.leaves_at().is_some_and(|at| at <= app.app.now()))
                })
            },
        },
    ];
    for Stored { what, put, passed } in all {
        for (offset, expected) in [(-DAY_MS, true), (DAY_MS, false)] {
            let app = TestApp::with(&[("mail.transport", "log")]).await;
            app.user("ana").await;
            app.post(
                "/api/auth/request-password-reset",
                &serde_json::json!({ "email": "ana@example.com" }),
            )
            .await
            .ok();
            if what.contains("link") {
                deliver_mail::deliver_due(&app.app, || false).await.unwrap();
            }
            let time = (app.clock.now_ms() + offset).to_string();
            for statement in put.replace('$', &time).split("; ") {
                app.db_execute(statement).await.unwrap();
            }
            assert_eq!(
                passed(app.clone()).await,
                expected,
                "{what}, {offset} ms from now"
            );
        }
    }
}

/// What a browser shows to these, with cookies or without.
async fn ask_all(browser: &crate::support::Browser) -> Vec<(String, u16, Vec<String>)> {
    let mut answers = Vec::new();
    for (method, path) in [
        (Method::POST, "/api/auth/refresh"),
        (Method::GET, "/api/auth/get-session"),
        (Method::GET, "/api/auth/session"),
        (Method::GET, "/api/auth/list-sessions"),
        (Method::GET, "/api/auth/token"),
        (Method::GET, "/auth/account"),
    ] {
        let answer = browser.ask(method, path, None).await;
        answers.push((path.to_owned(), answer.status.as_u16(), answer.cookies()));
    }
    answers
}

#[tokio::test]
async fn a_clock_that_is_ahead_clears_no_browser_s_cookies() {
    let app = TestApp::with(&[("pages.enabled", "true")]).await;
    let ana = app.user("ana").await.browser().await;
    confirm(&app.app).await.unwrap();
    app.set_clock(100 * DAY_MS);
    // A process that starts knows no more than that the last run is long ago: it serves.
    let started = app.replica(&[]).await.unwrap();
    confirm(&started.app).await.unwrap();
    let answers = ask_all(&ana.at(&started)).await;
    assert!(
        answers.iter().all(|(_, _, cookies)| cookies.is_empty()),
        "{answers:?}"
    );
    // One that was confirmed knows that the clock was set, before any job looks: nothing is over by
    // it, and nothing is issued.
    for looked in [false, true] {
        let answers = ask_all(&ana).await;
        assert!(
            answers
                .iter()
                .all(|(_, status, cookies)| *status == 503 && cookies.is_empty()),
            "{answers:?}"
        );
        let form =
            serde_json::json!({ "email": "ana@example.com", "password": "ana's good password" });
        app.post("/api/auth/sign-in/email", &form)
            .await
            .refused(503, "SERVICE_UNAVAILABLE");
        let ready = app.get("/health/ready").await;
        assert!(
            ready.status == 503
                && ready.body["reasons"][0]
                    .as_str()
                    .unwrap()
                    .contains("countersign clock confirm"),
            "{}",
            ready.body
        );
        assert!(looked || confirm(&app.app).await.unwrap().is_none());
    }
    app.set_clock(-100 * DAY_MS);
    confirm(&app.app).await.unwrap();
    app.get("/health/ready").await.ok();
    ana.refresh().await.ok();
    // What has ended otherwise is cleared on any clock, and by a clock that is confirmed everything
    // that is over.
    let bob = app.user("bob").await.browser().await;
    let again = bob.stolen();
    bob.post("/api/auth/sign-out", &serde_json::json!({}))
        .await
        .ok();
    app.set_clock(100 * DAY_MS);
    let answer = again
        .at(&started)
        .ask(Method::GET, "/api/auth/get-session", None)
        .await;
    assert!(
        !answer.cookies().is_empty(),
        "a session that was signed out is over"
    );
    confirm_by_operator(&app.app, Permitted::as_operator(), &Default::default())
        .await
        .unwrap()
        .unwrap();
    for (path, status, cookies) in ask_all(&ana).await {
        assert!(status != 503 && !cookies.is_empty(), "{path}: {status}");
    }
}

#[tokio::test]
async fn a_replica_ahead_of_postgres_refuses_to_call_a_session_over() {
    if !on_postgres() {
        return;
    }
    let app = TestApp::with_real_time(&[]).await;
    let ana = app.user("ana").await.browser().await;
    let ahead = app.replica_with_clock(100 * DAY_MS).await;
    confirm(&ahead.app).await.unwrap();
    let answers = ask_all(&ana.at(&ahead)).await;
    assert!(
        answers
            .iter()
            .all(|(_, status, cookies)| *status == 503 && cookies.is_empty()),
        "{answers:?}"
    );
    let form = serde_json::json!({ "email": "ana@example.com", "password": "ana's good password" });
    ahead
        .post("/api/auth/sign-in/email", &form)
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(app.live_sessions().await, 2, "nothing was written");
    ana.refresh().await.ok();
}

#[tokio::test]
async fn replicas_whose_clocks_are_hours_apart_take_no_mail_or_event_from_each_other() {
    if !on_postgres() {
        return;
    }
    let settings = [
        ("mail.transport", "smtp"),
        ("mail.smtp_url", "smtp://127.0.0.1:1"),
        ("mail.from", "Ops <ops@example.com>"),
        ("webhooks.url", "http://127.0.0.1:1/events"),
        (
            "webhooks.secret",
            "whsec_MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A=",
        ),
        ("webhooks.events", "user.created"),
    ];
    let app = TestApp::with_real_time(&settings).await;
    app.user("ana").await;
    app.post(
        "/api/auth/request-password-reset",
        &serde_json::json!({ "email": "ana@example.com" }),
    )
    .await
    .ok();
    let (behind, ahead) = (
        app.replica_with_clock(-2 * 3_600_000).await,
        app.replica_with_clock(2 * 3_600_000).await,
    );
    // Nothing listens there: each attempt postpones what it took.
    for _ in 0..4 {
        for process in [&app, &behind, &ahead] {
            deliver_mail::deliver_due(&process.app, || false)
                .await
                .unwrap();
            deliver_webhooks::deliver_due(&process.app, || false)
                .await
                .unwrap();
        }
    }
    let attempts = async |table: &str| {
        app.db_number(&format!("SELECT MAX(attempts) FROM {table}"))
            .await
    };
    assert_eq!(
        (attempts("mails").await, attempts("webhooks").await),
        (1, 1),
        "each was tried once, by the replica whose clock is right"
    );
}

/// A mail server that refuses every recipient for good.
async fn refusing_server() -> std::net::SocketAddr {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                stream.write_all(b"220 refusing.example\r\n").await.ok();
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                    let answer: &[u8] = if line.starts_with("RCPT") {
                        b"550 5.1.1 no such mailbox\r\n"
                    } else {
                        b"250 ok\r\n"
                    };
                    stream.write_all(answer).await.ok();
                    line.clear();
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_mail_that_its_server_refuses_is_given_up_after_hours_and_by_a_confirmed_clock_alone() {
    let url = format!("smtp://{}", refusing_server().await);
    let app = TestApp::with(&[
        ("mail.transport", "smtp"),
        ("mail.smtp_url", &url),
        ("mail.from", "Ops <ops@example.com>"),
    ])
    .await;
    app.user("ana").await;
    app.post(
        "/api/auth/request-password-reset",
        &serde_json::json!({ "email": "ana@example.com" }),
    )
    .await
    .ok();
    let again = async |app: &TestApp| {
        app.db_execute("UPDATE mails SET due_at = 0").await.unwrap();
        deliver_mail::deliver_due(&app.app, || false).await.unwrap();
        app.db_number("SELECT COUNT(*) FROM mails").await
    };
    for attempt in 1..=20 {
        assert_eq!(
            again(&app).await,
            1,
            "attempt {attempt}, in the first second"
        );
    }
    app.set_clock(3 * DAY_MS);
    assert_eq!(
        again(&app).await,
        1,
        "a clock that was set makes no mail old"
    );
    app.set_clock(-3 * DAY_MS);
    app.after(minutes(119));
    assert_eq!(again(&app).await, 1);
    app.after(minutes(1));
    assert_eq!(again(&app).await, 0, "refused for two hours");
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_began_is_over_once_it_is_right() {
    let app = TestApp::with(&[("mail.transport", "log")]).await;
    let honest = app.user("ana").await.browser().await;
    confirm(&app.app).await.unwrap();
    for days in [2, 100] {
        app.set_clock(days * DAY_MS);
        // It has just started and knows nothing of the jump. Each has random numbers of its own.
        let ahead = if days == 2 {
            app.replica(&[]).await.unwrap()
        } else {
            app.replica_with(&[]).await
        };
        let bob = crate::support::User {
            app: ahead.clone(),
            name: "bob".into(),
            email: "ana@example.com".into(),
            password: "ana's good password".into(),
        };
        let (browser, native) = (bob.browser().await, bob.sign_in().await);
        browser.get("/api/auth/get-session").await.ok();
        ahead
            .post(
                "/api/auth/request-password-reset",
                &serde_json::json!({ "email": "ana@example.com" }),
            )
            .await
            .ok();
        deliver_mail::deliver_due(&ahead.app, || false)
            .await
            .unwrap();
        let link = app.db_text("SELECT id FROM mail_tokens WHERE ended_at IS NULL AND purpose LIKE 'reset%' ORDER BY id DESC").await.unwrap().parse().unwrap();
        let (token, _) = app
            .app
            .db
            .read(move |conn| Box::pin(store::mails::find_token(conn, link)))
            .await
            .unwrap()
            .unwrap();
        let text = countersign::crypto::mail_token::make(
            token.id,
            token.purpose,
            &app.app.ring().unwrap().masters,
        )
        .to_string();
        assert!(
            ahead
                .get(&format!("/api/auth/reset-password/{text}?callbackURL=/"))
                .await
                .header("location")
                .contains("token="),
            "it is good now"
        );
        app.set_clock(-days * DAY_MS);
        confirm(&app.app).await.unwrap();
        ahead
            .refresh(&native.refresh)
            .await
            .refused(401, "REFRESH_TOKEN_EXPIRED");
        browser
            .stolen()
            .at(&app)
            .get("/api/auth/session")
            .await
            .refused(401, "UNAUTHORIZED");
        browser
            .stolen()
            .at(&app)
            .refresh()
            .await
            .refused(401, "REFRESH_TOKEN_EXPIRED");
        assert_eq!(
            browser
                .at(&app)
                .get("/api/auth/get-session")
                .await
                .ok()
                .body,
            serde_json::Value::Null
        );
        let id: countersign::model::kernel::id::UserId = app
            .db_text("SELECT id FROM users")
            .await
            .unwrap()
            .parse()
            .unwrap();
        let now = app.app.now();
        let listed = app.app.db.read(move |conn| {
            Box::pin(async move {
                store::session::list_sessions::list_live(
                    conn,
                    id,
                    &countersign::flows::session::manage_sessions::FIRST,
                    now,
                )
                .await
            })
        });
        assert_eq!(listed.await.unwrap().len(), 2, "those of before");
        let form = serde_json::json!({ "token": text, "newPassword": "another good password" });
        app.post("/api/auth/reset-password", &form)
            .await
            .refused(400, "INVALID_TOKEN");
    }
    honest.refresh().await.ok();
    // They do not come to life when their time comes.
    prune(&app.app).await.unwrap();
    let later = app.clock.now_ms() + DAY_MS;
    assert_eq!(
        app.db_number(&format!(
            "SELECT COUNT(*) FROM sessions WHERE created_at > {later} AND expires_at > {later}"
        ))
        .await,
        0
    );
    assert_eq!(
        app.db_number(&format!(
            "SELECT COUNT(*) FROM mail_tokens WHERE created_at > {later} AND ended_at IS NULL"
        ))
        .await,
        0
    );
    // A clock that is behind says of an honest session that it begins in the future, and ends
    // nothing.
    let fresh = crate::support::User {
        app: app.clone(),
        name: "ana".into(),
        email: "ana@example.com".into(),
        password: "ana's good password".into(),
    };
    let (seconds_ahead, browser) = (fresh.browser().await, fresh.browser().await);
    app.set_clock(-2 * DAY_MS);
    let behind = app.replica(&[]).await.unwrap();
    confirm(&behind.app).await.unwrap();
    assert_ne!(
        browser
            .at(&behind)
            .get("/api/auth/get-session")
            .await
            .ok()
            .body,
        serde_json::Value::Null
    );
    app.set_clock(2 * DAY_MS - 23 * 3_600_000);
    confirm(&app.app).await.unwrap();
    seconds_ahead.refresh().await.ok();
}
