//! A user with more sessions than one request may touch: ending all of them, listing them, and how
//! many there may be.

use std::sync::atomic::{AtomicUsize, Ordering};

use countersign::flows::ops::prune::prune;
use countersign::flows::permit::Permitted;
use countersign::flows::session::manage_sessions;
use countersign::flows::session::manage_sessions::Which;
use countersign::flows::session::mark_endings;
use countersign::model::audit::event::Requester;
use serde_json::{Value, json};

use crate::support::{TestApp, Tokens, User, minutes, on_postgres};

use super::admin::{ask, id, made_admin};

/// Rows that a request may mark before it answers.
const AT_ONCE: i64 = 100;

/// Copies the user's newest session so many times, with one statement.
pub(super) async fn multiply(app: &TestApp, user: &User, count: u32) {
    let id = id(user).await;
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO sessions (id, user_id, token_hash, generation, refresh_hash, rotated_at, idle_expires_at, expires_at, delivery, remember, auth_time,
                               ip_address, user_agent, created_at, updated_at, epoch)
         SELECT '01900000-0000-7000-8000-' || CAST(100000000000 + {start} + i AS TEXT), s.user_id, 'hash ' || s.id || CAST(i AS TEXT), 1, s.refresh_hash,
                s.rotated_at, s.idle_expires_at, s.expires_at, s.delivery, s.remember, s.auth_time, s.ip_address, s.user_agent, s.created_at, s.updated_at, s.epoch
           FROM n, (SELECT * FROM sessions WHERE user_id = '{id}' ORDER BY id DESC LIMIT 1) s",
        start = app.db_number("SELECT COUNT(*) FROM sessions").await * 1_000,
    );
    app.db_execute(&sql).await.unwrap();
}

async fn marked(app: &TestApp, user: &str) -> i64 {
    app.db_number(&format!(
        "SELECT COUNT(*) FROM sessions WHERE user_id = '{user}' AND revoked_at IS NOT NULL"
    ))
    .await
}

async fn over(app: &TestApp, tokens: &Tokens, why: &str) {
    assert_eq!(
        app.get_as("/api/auth/session", &tokens.session)
            .await
            .status,
        401,
        "{why}: the session token"
    );
    assert_eq!(
        app.get_as("/api/auth/session", &tokens.access).await.status,
        401,
        "{why}: the access token"
    );
    let refused = app.refresh(&tokens.refresh).await;
    assert_eq!(
        refused.body["code"], "REFRESH_TOKEN_REVOKED",
        "{why}: {}",
        refused.body
    );
    assert_eq!(
        app.db_count_events("refresh_token.reused").await,
        0,
        "{why}: no alarm of reuse"
    );
}

/// One change of the user's row ends every session; the rows behind it are marked later.
#[tokio::test]
async fn a_request_that_ends_all_sessions_of_a_user_marks_a_bounded_number_of_rows() {
    let app = TestApp::with(&[
        ("rate_limits.enabled", "false"),
        ("sessions.max_per_user", "10000"),
    ])
    .await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    let mut events = 0;
    for way in [
        "revoke-sessions",
        "change-password",
        "ban-user",
        "revoke-user-sessions",
        "set-user-password",
        "disable",
        "sign out others",
    ] {
        let user = app.user(&format!("user-{}", way.replace(' ', "-"))).await;
        let user_id = id(&user).await;
        let (held, other) = (user.sign_in().await, user.sign_in().await);
        multiply(&app, &user, 3_000).await;
        let target = json!({ "userId": user_id, "newPassword": "another good long password" });
        match way {
            "revoke-sessions" => drop(
                app.post_as("/api/auth/revoke-sessions", &held.session, &json!({}))
                    .await
                    .ok(),
            ),
            "sign out others" => drop(
                app.post_as("/api/auth/revoke-other-sessions", &held.session, &json!({}))
                    .await
                    .ok(),
            ),
            "change-password" => {
                let body = json!({ "currentPassword": user.password, "newPassword": "another good long password", "revokeOtherSessions": false });
                app.post_as("/api/auth/change-password", &held.session, &body)
                    .await
                    .ok();
            }
            "disable" => {
                let id = user_id.parse().unwrap();
                countersign::flows::account::manage_users::set_disabled(
                    &app.app,
                    Permitted::as_operator(),
                    id,
                    true,
                    &countersign::model::audit::event::Requester::default(),
                )
                .await
                .unwrap();
            }
            admins => drop(ask(&app, &admin, admins, target).await.ok()),
        }
        let rows = marked(&app, &user_id).await;
        assert!(
            rows <= AT_ONCE,
            "{way}: {rows} rows were marked before the answer"
        );
        over(&app, &other, way).await;
        if ["change-password", "sign out others"].contains(&way) {
            app.get_as("/api/auth/session", &held.session).await.ok();
            app.rotate(&held.refresh).await;
            let listed = app
                .get_as("/api/auth/list-sessions", &held.session)
                .await
                .ok();
            assert_eq!(
                listed.body.as_array().unwrap().len(),
                1,
                "{way}: {}",
                listed.body
            );
        } else {
            over(&app, &held, way).await;
            let listed = ask(
                &app,
                &admin,
                "list-user-sessions",
                json!({ "userId": user_id }),
            )
            .await
            .ok();
            assert_eq!(listed.body["sessions"], json!([]), "{way}");
        }
        events += 1;
        assert_eq!(
            app.db_count_events("session.revoked").await,
            events,
            "{way}: one event for the whole"
        );
    }
}

/// The number of sessions of a user is limited: the least recently used ones end.
#[tokio::test]
async fn a_user_has_at_most_so_many_sessions_and_the_least_recently_used_ones_end() {
    let app = TestApp::with(&[
        ("rate_limits.enabled", "false"),
        ("sessions.max_per_user", "3"),
    ])
    .await;
    let ana = app.user("ana").await;
    let oldest = ana.sign_in().await;
    app.after(minutes(1));
    let unused = ana.sign_in().await;
    app.after(minutes(1));
    let third = ana.sign_in().await;
    app.after(minutes(1));
    // The oldest one is in use.
    let renewed = app.rotate(&oldest.refresh).await;
    app.after(minutes(1));
    ana.sign_in().await;
    app.refresh(&unused.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    app.get_as("/api/auth/session", &third.session).await.ok();
    app.rotate(&renewed).await;
    let listed = app
        .get_as("/api/auth/list-sessions", &third.session)
        .await
        .ok();
    assert_eq!(
        listed.body.as_array().map(Vec::len),
        Some(3),
        "{}",
        listed.body
    );
}

#[tokio::test]
async fn a_list_of_sessions_is_bounded_and_read_page_by_page() {
    let app = TestApp::with(&[
        ("rate_limits.enabled", "false"),
        ("sessions.max_per_user", "10000"),
    ])
    .await;
    let ana = app.user("ana").await;
    ana.sign_in().await;
    multiply(&app, &ana, 250).await;
    let tokens = ana.sign_in().await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    let ids = |page: &Value| -> Vec<String> {
        page.as_array()
            .unwrap()
            .iter()
            .map(|s| s["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let (mut seen, mut pages) = (Vec::new(), Vec::new());
    let mut path = "/api/auth/list-sessions".to_owned();
    // Three pages and the empty one.
    for _ in 0..5 {
        let page = ids(&app.get_as(&path, &tokens.session).await.ok().body);
        pages.push(page.len());
        let Some(last) = page.last() else { break };
        path = format!("/api/auth/list-sessions?before={last}");
        seen.extend(page);
    }
    // The user's first session comes from the sign-up.
    assert_eq!(pages, [100, 100, 53, 0]);
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 253, "every session once");
    let of_admin = ask(
        &app,
        &admin,
        "list-user-sessions",
        json!({ "userId": id(&ana).await }),
    )
    .await
    .ok();
    assert_eq!(ids(&of_admin.body["sessions"]), seen[..100]);
    let next = json!({ "userId": id(&ana).await, "limit": 7, "before": seen[99] });
    assert_eq!(
        ids(&ask(&app, &admin, "list-user-sessions", next)
            .await
            .ok()
            .body["sessions"]),
        seen[100..107]
    );
    assert_eq!(
        ids(&app
            .get_as("/api/auth/list-sessions?limit=2", &tokens.session)
            .await
            .ok()
            .body),
        seen[..2]
    );
}

/// The right password again and again from one place: the limit has a name, and another user of the
/// same network is not touched.
#[tokio::test]
async fn successful_sign_ins_are_limited_for_each_account_and_network() {
    let app = TestApp::with(&[("rate_limits.sign_in_success", "5/10m")]).await;
    let (ana, bea) = (app.user("ana").await, app.user("bea").await);
    for _ in 0..5 {
        ana.try_sign_in(&ana.password).await.ok();
    }
    let refused = ana
        .try_sign_in(&ana.password)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    assert!(
        refused.header("ratelimit").contains("sign-in-success"),
        "{}",
        refused.header("ratelimit")
    );
    bea.sign_in().await;
    app.after(minutes(2));
    ana.sign_in().await;
}

/// The job that marks rows can be stopped anywhere, and any replica goes on; the sessions are over
/// all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_rows_of_ended_sessions_are_marked_in_pieces_by_whichever_process_lives() {
    let app = TestApp::with(&[
        ("rate_limits.enabled", "false"),
        ("sessions.max_per_user", "10000"),
    ])
    .await;
    let ana = app.user("ana").await;
    let tokens = ana.sign_in().await;
    multiply(&app, &ana, 1_000).await;
    let user = id(&ana).await.parse().unwrap();
    let ended = manage_sessions::revoke_of_user(
        &app.app,
        Permitted::as_operator(),
        user,
        &Requester::default(),
    )
    .await
    .unwrap();
    assert!(!ended.complete);
    over(&app, &tokens, "before any piece").await;
    // A process that dies after two pieces.
    let pieces = AtomicUsize::new(0);
    let done = mark_endings::run(&app.app, || pieces.fetch_add(1, Ordering::Relaxed) == 2)
        .await
        .unwrap();
    assert_eq!(done, 40, "two small pieces");
    over(&app, &tokens, "in between").await;
    // A sign-in meanwhile is not touched.
    let fresh = ana.sign_in().await;
    let replica = app.replica(&[]).await.unwrap();
    let never = || false;
    let (one, other) = tokio::join!(
        mark_endings::run(&app.app, never),
        mark_endings::run(&replica.app, never)
    );
    assert_eq!(one.unwrap() + other.unwrap(), 862);
    assert_eq!(app.live_sessions().await, 1);
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM session_endings").await,
        0
    );
    assert_eq!(
        app.db_texts(
            "SELECT DISTINCT revoked_reason FROM sessions WHERE revoked_reason IS NOT NULL"
        )
        .await,
        ["revoked"]
    );
    app.rotate(&fresh.refresh).await;
    over(&app, &tokens, "after the last piece").await;
}

/// On Postgres the index entries of marked rows stay until a vacuum: a piece that began at the
/// first row would read those of all pieces before it.
#[tokio::test]
async fn each_piece_begins_behind_the_last_row_and_the_last_one_looks_for_what_was_passed_over() {
    const FIRST: &str = "(SELECT MIN(id) FROM sessions)";
    let app = TestApp::with(&[
        ("rate_limits.enabled", "false"),
        ("sessions.max_per_user", "10000"),
    ])
    .await;
    let ana = app.user("ana").await;
    ana.sign_in().await;
    multiply(&app, &ana, 400).await;
    let user_id = id(&ana).await;
    manage_sessions::revoke_of_user(
        &app.app,
        Permitted::as_operator(),
        user_id.parse().unwrap(),
        &Requester::default(),
    )
    .await
    .unwrap();
    let pieces = async |count| {
        let done = AtomicUsize::new(0);
        mark_endings::run(&app.app, || done.fetch_add(1, Ordering::Relaxed) == count)
            .await
            .unwrap()
    };
    assert_eq!(pieces(2).await, 40);
    // As a row would be that a request held while its piece was marked.
    app.db_execute(&format!(
        "UPDATE sessions SET revoked_at = NULL, revoked_reason = NULL WHERE id = {FIRST}"
    ))
    .await
    .unwrap();
    let first_is_marked =
        format!("SELECT COUNT(*) FROM sessions WHERE id = {FIRST} AND revoked_at IS NOT NULL");
    assert_eq!(pieces(1).await, 20);
    assert_eq!(app.db_number(&first_is_marked).await, 0);
    assert_eq!(pieces(usize::MAX).await, 243);
    assert_eq!(app.db_number(&first_is_marked).await, 1);
    assert_eq!(app.live_sessions().await, 0);
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM session_endings").await,
        0
    );
}

/// SQLite's writer carries a full log over by itself, and every write waits for the disk meanwhile:
/// work on many rows must not fill it.
#[tokio::test]
async fn work_on_many_rows_keeps_the_write_ahead_log_of_sqlite_small() {
    const ROWS: u32 = 3_000;
    if on_postgres() {
        return;
    }
    let app = TestApp::with(&[
        ("rate_limits.enabled", "false"),
        ("sessions.max_per_user", "10000"),
    ])
    .await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    for (name, way) in [
        ("ana", "mark"),
        ("bea", "delete"),
        ("eve", "prune"),
        ("joe", "prune idle"),
    ] {
        let user = app.user(name).await;
        let user_id = id(&user).await;
        multiply(&app, &user, ROWS).await;
        match way {
            "mark" => drop(
                ask(
                    &app,
                    &admin,
                    "revoke-user-sessions",
                    json!({ "userId": user_id }),
                )
                .await
                .ok(),
            ),
            "delete" => drop(
                ask(&app, &admin, "remove-user", json!({ "userId": user_id }))
                    .await
                    .ok(),
            ),
            "prune" => app
                .db_execute(&format!(
                    "UPDATE sessions SET expires_at = 1 WHERE user_id = '{user_id}'"
                ))
                .await
                .unwrap(),
            _ => app
                .db_execute(&format!(
                    "UPDATE sessions SET idle_expires_at = 1 WHERE user_id = '{user_id}'"
                ))
                .await
                .unwrap(),
        }
        app.db_execute("PRAGMA wal_checkpoint(TRUNCATE)")
            .await
            .unwrap();
        let done = if way.starts_with("prune") {
            prune(&app.app).await.unwrap()
        } else {
            mark_endings::run(&app.app, || false).await.unwrap() as u64
        };
        assert!(done >= u64::from(ROWS) - 100, "{way}: {done} rows");
        // The file keeps the size of the largest log that it has held.
        let bytes = std::fs::metadata(app.path("test.db-wal")).unwrap().len();
        let pages = bytes / 4_120;
        assert!(
            pages <= 400,
            "{way}: a log of {pages} pages for {done} rows"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_is_signed_out_by_one_row_also_by_two_who_do_it_at_once() {
    let app = TestApp::with(&[
        ("rate_limits.enabled", "false"),
        ("sessions.max_per_user", "10000"),
    ])
    .await;
    let (ana, bea) = (app.user("ana").await, app.user("bea").await);
    let (of_ana, of_bea) = (ana.sign_in().await, bea.sign_in().await);
    multiply(&app, &ana, 1_000).await;
    let requester = Requester::default();
    let (one, other) = tokio::join!(
        manage_sessions::revoke(
            &app.app,
            Permitted::as_operator(),
            Which::Everybody,
            &requester
        ),
        manage_sessions::revoke(
            &app.app,
            Permitted::as_operator(),
            Which::Everybody,
            &requester
        )
    );
    assert!(!one.unwrap().complete && !other.unwrap().complete);
    for tokens in [&of_ana, &of_bea] {
        over(&app, tokens, "everybody").await;
    }
    let fresh = bea.sign_in().await;
    mark_endings::run(&app.app, || false).await.unwrap();
    assert_eq!(app.live_sessions().await, 1);
    app.rotate(&fresh.refresh).await;
    // An ending of another kind after it counts from the same epoch.
    bea.sign_in().await;
    app.post_as("/api/auth/revoke-sessions", &fresh.session, &json!({}))
        .await
        .ok();
    over(&app, &fresh, "one's own after everybody's").await;
    assert_eq!(app.live_sessions().await, 0);
    assert!(
        manage_sessions::revoke(
            &app.app,
            Permitted::as_operator(),
            Which::Everybody,
            &requester
        )
        .await
        .unwrap()
        .marked
        .is_empty()
    );
}

/// No way leads back into a session that an epoch has ended, though its row is not marked yet.
#[tokio::test]
async fn a_session_that_an_epoch_has_ended_is_never_used_again() {
    let app = TestApp::with(&[
        ("rate_limits.enabled", "false"),
        ("sessions.max_per_user", "10000"),
    ])
    .await;
    let root = made_admin(&app, "root").await;
    let ana = app.user("ana").await;
    let admin = root.sign_in().await;
    let acting = ask(
        &app,
        &admin,
        "impersonate-user",
        json!({ "userId": id(&ana).await }),
    )
    .await
    .ok();
    let (acting_access, acting_refresh) = (acting.str("accessToken"), acting.str("refreshToken"));
    app.get_as("/api/auth/session", &acting_access).await.ok();
    // The rows of the admin stay as they are: only the epochs rise.
    app.db_execute(&format!("UPDATE users SET session_epoch = session_epoch + 1, acting_epoch = acting_epoch + 1 WHERE id = '{}'", id(&root).await))
        .await
        .unwrap();
    over(&app, &admin, "the admin's own").await;
    assert_eq!(
        app.get_as("/api/auth/session", &acting_access).await.status,
        401,
        "the one in which the admin acts"
    );
    app.refresh(&acting_refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    ask(
        &app,
        &admin,
        "impersonate-user",
        json!({ "userId": id(&ana).await }),
    )
    .await
    .refused(401, "UNAUTHORIZED");
    // Signing out by the refresh token of an ended session ends nothing and records nothing.
    let before = app.db_count_events("session.signed_out").await;
    app.form(
        "/api/auth/oauth2/revoke",
        &format!("token={}", admin.refresh),
    )
    .await
    .ok();
    assert_eq!(app.db_count_events("session.signed_out").await, before);
    // Another sign-out everywhere spares no session that is over already.
    let fresh = root.sign_in().await;
    app.post_as(
        "/api/auth/revoke-other-sessions",
        &fresh.session,
        &json!({}),
    )
    .await
    .ok();
    over(&app, &admin, "after the next one").await;
    app.rotate(&fresh.refresh).await;
}

/// A backup brings back links that were used since: what ends all sessions ends all links.
#[tokio::test]
async fn everybody_s_end_ends_every_link_in_a_mail() {
    let app = TestApp::with(&[("rate_limits.enabled", "false")]).await;
    let ana = app.user("ana").await;
    app.post(
        "/api/auth/request-password-reset",
        &json!({ "email": ana.email }),
    )
    .await
    .ok();
    countersign::flows::mail::deliver_mail::deliver_due(&app.app, || false)
        .await
        .unwrap();
    app.after(minutes(1));
    let count = "SELECT COUNT(*) FROM mail_tokens t WHERE t.ended_at IS NULL AND t.epoch = (SELECT epoch FROM key_ring)";
    assert_eq!(app.db_number(count).await, 1);
    let link = app.db_text("SELECT id FROM mail_tokens").await.unwrap();
    manage_sessions::revoke(
        &app.app,
        Permitted::as_operator(),
        Which::Everybody,
        &Requester::default(),
    )
    .await
    .unwrap();
    assert_eq!(app.db_number(count).await, 0);
    let id: countersign::model::kernel::id::EventId = link.parse().unwrap();
    let (found, used) = app
        .app
        .db
        .write(move |conn| {
            Box::pin(async move {
                let found = countersign::store::mails::find_token(conn, id)
                    .await?
                    .unwrap()
                    .1;
                Ok((
                    found,
                    countersign::store::mails::end_token(
                        conn,
                        id,
                        countersign::model::kernel::time::Timestamp(0),
                    )
                    .await?,
                ))
            })
        })
        .await
        .unwrap();
    assert!(!found && !used, "the link is over and cannot be used");
}

#[tokio::test]
async fn a_session_is_deleted_seven_days_after_its_end_without_use() {
    let app = TestApp::with(&[("rate_limits.enabled", "false")]).await;
    let ana = app.user("ana").await;
    let unused = ana.sign_in().await;
    let mut held = ana.sign_in().await.refresh;
    let day = minutes(60 * 24);
    for _ in 0..7 {
        app.runs_for(day * 3).await;
        held = app.rotate(&held).await;
    }
    // Fourteen days without use and seven more.
    assert_eq!(prune(&app.app).await.unwrap(), 0);
    app.refresh(&unused.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_EXPIRED");
    app.after(minutes(1));
    assert_eq!(
        prune(&app.app).await.unwrap(),
        2,
        "the one of the sign-up too"
    );
    app.refresh(&unused.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    app.rotate(&held).await;
}

/// Deleting a user writes a bounded number of rows too: nothing of the person is left at once, the
/// address is free, and the sessions go piece by piece.
#[tokio::test]
async fn a_deleted_user_with_many_sessions_is_gone_at_once_and_the_rows_go_later() {
    let app = TestApp::with(&[
        ("rate_limits.enabled", "false"),
        ("sessions.max_per_user", "10000"),
    ])
    .await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    let ana = app.user("ana").await;
    let tokens = ana.sign_in().await;
    multiply(&app, &ana, 2_000).await;
    let target = json!({ "userId": id(&ana).await });
    ask(&app, &admin, "remove-user", target.clone()).await.ok();
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM sessions").await,
        2_004,
        "no row is deleted before the answer"
    );
    over(&app, &tokens, "deleted").await;
    ask(&app, &admin, "remove-user", target.clone())
        .await
        .refused(404, "USER_NOT_FOUND");
    ask(&app, &admin, "ban-user", target)
        .await
        .refused(404, "USER_NOT_FOUND");
    ana.try_sign_in(&ana.password)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    let listed = app
        .get_as("/api/auth/admin/list-users", &admin.session)
        .await
        .ok();
    assert_eq!(listed.body["total"], 1, "{}", listed.body);
    let left = app.db_dump().await;
    assert!(
        !left.iter().any(|text| text.contains("ana@example.com")),
        "the address is nowhere"
    );
    // The address is free for another user, whom the job leaves alone.
    let second = app.user("ana").await;
    mark_endings::run(&app.app, || false).await.unwrap();
    assert_eq!(app.db_number("SELECT COUNT(*) FROM users").await, 2);
    assert_eq!(app.db_number("SELECT COUNT(*) FROM sessions").await, 3);
    second.sign_in().await;
}

/// After a theft: what began since then ends, and what the owner had before goes on.
#[tokio::test]
async fn sessions_that_began_since_a_time_end_and_older_ones_stay() {
    let app = TestApp::with(&[("sessions.max_per_user", "1000")]).await;
    let (ana, ben) = (app.user("ana").await, app.user("ben").await);
    let (before, other) = (ana.sign_in().await, ben.sign_in().await);
    app.after(minutes(10));
    let since = app.app.now();
    app.after(minutes(1));
    let (stolen, later) = (ana.sign_in().await, ben.sign_in().await);
    // More than are ended in one transaction.
    multiply(&app, &ana, 150).await;
    let user = id(&ana).await.parse().unwrap();
    let permitted = Permitted::as_operator;
    let count = manage_sessions::count_since(&app.app, permitted(), user, since)
        .await
        .unwrap();
    assert_eq!(count, 100, "counted up to a page");
    let operator = Requester::default();
    let ended = manage_sessions::revoke_since(&app.app, permitted(), user, since, &operator);
    assert_eq!(ended.await.unwrap(), 151);
    over(&app, &stolen, "it began since").await;
    for tokens in [&before, &other, &later] {
        app.get_as("/api/auth/session", &tokens.session).await.ok();
    }
    let count = manage_sessions::count_since(&app.app, permitted(), user, since);
    assert_eq!(count.await.unwrap(), 0);
}
