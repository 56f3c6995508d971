//! Sessions with retry tickets on the wire: who asks for them, what a refresh sends and gets, and what
//! another party with the same token gets. The scenarios by number are in `refresh`, with tickets, too.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::db::SessionRow;
use crate::support::{
    Answer, Browser, REFRESH_COOKIE, TestApp, Tokens, User, minutes, seconds, ticket_of,
};
use countersign::model::session::ticket::Retry;

const MINE: &str = "AAECAwQFBgcICQoLDA0ODw";
const OTHER: &str = "EBESExQVFhcYGRobHB0eHw";

async fn refresh(app: &TestApp, token: &str, attempt: &str) -> Answer {
    let body = json!({ "refreshToken": token, "attempt": attempt });
    app.post("/api/auth/refresh", &body).await
}

async fn rotated(app: &TestApp, token: &str, attempt: &str) -> String {
    let answer = refresh(app, token, attempt).await.ok();
    assert_eq!(answer.body["rotated"], true, "{}", answer.text);
    answer.str("refreshToken")
}

async fn ticketed() -> (TestApp, User, Tokens) {
    let app = TestApp::start().await.with_clients(Retry::Ticket);
    let alice = app.user("alice").await;
    let tokens = alice.sign_in().await;
    (app, alice, tokens)
}

#[tokio::test]
async fn a_late_retry_gets_the_same_successor_at_any_age() {
    let (app, _, first) = ticketed().await;
    let second = rotated(&app, &first.refresh, MINE).await;
    for wait in [seconds(1), seconds(31), minutes(10), minutes(13 * 24 * 60)] {
        app.runs_for(wait).await;
        assert_eq!(
            rotated(&app, &first.refresh, MINE).await,
            second,
            "{wait:?}"
        );
    }
    app.after(minutes(10));
    rotated(&app, &second, OTHER).await;
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
}

#[tokio::test]
async fn the_parent_with_another_ticket_ends_the_session_at_once() {
    for wait in [0, 1, 29_999, 30_001] {
        let (app, _, first) = ticketed().await;
        let second = refresh(&app, &first.refresh, MINE).await.ok();
        let second = second.str("refreshToken");
        app.after(std::time::Duration::from_millis(wait));
        refresh(&app, &first.refresh, OTHER)
            .await
            .refused(401, "REFRESH_TOKEN_REUSED");
        refresh(&app, &second, MINE)
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
        assert_eq!(app.db_count_events("refresh_token.reused").await, 1);
    }
}

#[tokio::test]
async fn a_thief_who_follows_in_step_is_found_at_the_first_step() {
    let (app, alice, _) = ticketed().await;
    // Without tickets the thief follows for ever.
    let windowed = TestApp::start().await;
    let bob = windowed.user("bob").await;
    for (owner, is_found) in [(alice.browser().await, true), (bob.browser().await, false)] {
        let thief = owner.stolen();
        owner.refresh().await.ok();
        let body = json!({ "attempt": OTHER });
        let step = thief
            .ask(Method::POST, "/api/auth/refresh", Some(&body))
            .await;
        if is_found {
            step.refused(401, "REFRESH_TOKEN_REUSED");
            owner.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
        } else {
            step.ok();
            owner.refresh().await.ok();
        }
    }
    assert_eq!(app.db_count_events("refresh_token.reused").await, 1);
    assert_eq!(windowed.db_count_events("refresh_token.reused").await, 0);
}

#[tokio::test]
async fn a_refresh_without_a_ticket_consumes_nothing() {
    let (app, alice, first) = ticketed().await;
    let before = app.db_session(&first.session_id).await;
    app.post(
        "/api/auth/refresh",
        &json!({ "refreshToken": first.refresh }),
    )
    .await
    .refused(400, "REFRESH_ATTEMPT_MISSING");
    for odd in [
        json!("short"),
        json!("AAECAwQFBgcICQoLDA0ODx"),
        json!("AAECAwQFBgcICQoLDA0ODw=="),
        json!(7),
        json!(""),
        json!("A".repeat(10_000)),
    ] {
        let answer = app
            .post(
                "/api/auth/refresh",
                &json!({ "refreshToken": first.refresh, "attempt": odd }),
            )
            .await;
        assert_eq!(answer.status, 400, "{odd}: {}", answer.text);
    }
    for attempt in ["", "&attempt=short", "&attempt=AAECAwQFBgcICQoLDA0ODx"] {
        let form = format!(
            "grant_type=refresh_token&refresh_token={}{attempt}",
            first.refresh
        );
        let answer = app.form("/api/auth/oauth2/token", &form).await;
        assert_eq!(answer.status, 400, "{attempt}: {}", answer.text);
        assert_eq!(answer.body["error"], "invalid_request", "{}", answer.text);
    }
    assert_eq!(app.db_session(&first.session_id).await, before);
    let browser = alice.browser().await;
    let kept = browser.cookie(REFRESH_COOKIE);
    let without = browser.post("/api/auth/refresh", &json!({})).await;
    assert!(without.cookies().is_empty(), "{:?}", without.cookies());
    without.refused(400, "REFRESH_ATTEMPT_MISSING");
    assert_eq!(browser.cookie(REFRESH_COOKIE), kept);
    // And then all of them go on.
    rotated(&app, &first.refresh, MINE).await;
    browser.refresh().await.ok();
}

#[tokio::test]
async fn the_token_endpoint_takes_tickets_too() {
    let (app, _, first) = ticketed().await;
    let form = |token: &str, attempt: &str| {
        format!("grant_type=refresh_token&refresh_token={token}&attempt={attempt}")
    };
    let path = "/api/auth/oauth2/token";
    let second = app.form(path, &form(&first.refresh, MINE)).await.ok();
    assert_eq!(second.body["rotated"], true);
    app.after(minutes(20));
    let again = app.form(path, &form(&first.refresh, MINE)).await.ok();
    assert_eq!(again.body["refresh_token"], second.body["refresh_token"]);
    let kept = app
        .form(path, &form(&again.str("refresh_token"), OTHER))
        .await
        .ok();
    assert_eq!(kept.body["rotated"], false);
    let refused = app.form(path, &form(&first.refresh, OTHER)).await;
    assert_eq!(refused.body["error"], "invalid_grant", "{}", refused.text);
    assert_eq!(app.db_count_events("refresh_token.reused").await, 1);
}

#[tokio::test]
async fn a_kept_token_is_no_successor_and_a_healed_one_has_the_window() {
    let (app, _, first) = ticketed().await;
    let second = rotated(&app, &first.refresh, MINE).await;
    let kept = refresh(&app, &second, OTHER).await.ok();
    assert_eq!(kept.body["rotated"], false);
    assert!(kept.body.get("refreshToken").is_none());
    app.after(minutes(10));
    let before = app.db_session(&first.session_id).await;
    let third = rotated(&app, &second, OTHER).await;
    app.db_roll_back(&first.session_id, &before).await;
    let healed = refresh(&app, &third, MINE).await.ok();
    assert_eq!(healed.body["rotated"], false);
    // The healed row knows no ticket: within the grace the parent repeats, whatever it brings.
    for attempt in [MINE, OTHER] {
        assert_eq!(rotated(&app, &second, attempt).await, third);
    }
    app.after(seconds(31));
    refresh(&app, &second, OTHER)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
}

#[tokio::test]
async fn vouching_with_the_parent_is_no_way_round() {
    let (app, alice, _) = ticketed().await;
    let owner = alice.browser().await;
    owner.refresh().await.ok();
    app.after(minutes(10));
    let thief = owner.stolen();
    owner.get("/api/auth/token").await.ok().claims("token");
    owner.refresh().await.ok();
    // The current token vouches without a ticket.
    owner.get("/api/auth/token").await.ok().claims("token");
    let waits = thief.get("/api/auth/token").await;
    assert!(waits.cookies().is_empty() && waits.body.get("token").is_none());
    waits.refused(503, "REFRESH_UNDER_WAY");
    app.after(seconds(50));
    thief
        .get("/api/auth/token")
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    owner.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
}

#[tokio::test]
async fn a_session_gets_what_its_client_asks_for_and_the_settings_permit() {
    async fn asked(app: &TestApp, user: &User, wish: Value) -> Answer {
        let mut form =
            json!({ "email": user.email, "password": user.password, "tokenDelivery": "body" });
        if !wish.is_null() {
            form["refreshRetry"] = wish;
        }
        app.post("/api/auth/sign-in/email", &form).await
    }
    for (setting, ticket) in [("ticket", "ticket"), ("window", "window")] {
        let app = TestApp::with(&[("sessions.retry", setting)]).await;
        let alice = app.user("alice").await;
        for (wish, gets) in [
            (Value::Null, "window"),
            (json!("window"), "window"),
            (json!("ticket"), ticket),
        ] {
            let answer = asked(&app, &alice, wish.clone()).await.ok();
            assert_eq!(answer.body["refreshRetry"], gets, "{setting}, {wish}");
            // A client may send a ticket in any case.
            refresh(&app, &answer.str("refreshToken"), MINE).await.ok();
        }
        asked(&app, &alice, json!("both"))
            .await
            .refused(400, "VALIDATION_ERROR");
        let form = json!({ "name": "Bob", "email": "bob@example.com", "password": "a good long password", "refreshRetry": "ticket" });
        let signed_up = Browser::new(&app)
            .post("/api/auth/sign-up/email", &form)
            .await
            .ok();
        assert_eq!(signed_up.body["refreshRetry"], ticket);
    }
}

#[tokio::test]
async fn the_session_after_a_password_change_refreshes_as_the_one_before() {
    let (app, alice, _) = ticketed().await;
    let browser = alice.browser().await;
    let form = json!({ "currentPassword": alice.password, "newPassword": "another long password", "revokeOtherSessions": true });
    let changed = browser.post("/api/auth/change-password", &form).await.ok();
    assert_eq!(changed.body["refreshRetry"], "ticket", "{}", changed.text);
    let without = browser.post("/api/auth/refresh", &json!({})).await;
    without.refused(400, "REFRESH_ATTEMPT_MISSING");
    browser.refresh().await.ok();
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
}

/// During an upgrade a process of the version before rotates a session, which knows no tickets: its
/// client must not be taken for a thief.
#[tokio::test]
async fn a_rotation_by_a_version_without_tickets_leaves_the_window() {
    let (app, _, first) = ticketed().await;
    let second = rotated(&app, &first.refresh, MINE).await;
    app.after(minutes(10));
    let before = app.db_session(&first.session_id).await;
    let third = rotated(&app, &second, OTHER).await;
    // What that version writes: everything but the ticket.
    let after = SessionRow {
        ticket: before.ticket,
        ..app.db_session(&first.session_id).await
    };
    app.db_roll_back(&first.session_id, &after).await;
    assert_eq!(rotated(&app, &second, OTHER).await, third);
    assert_eq!(rotated(&app, &second, &ticket_of("x")).await, third);
}

/// Signs in from a page; returns how the session retries.
async fn from_page(app: &TestApp, user: &User, page: &str) -> String {
    let form = json!({ "email": user.email, "password": user.password, "refreshRetry": "ticket" });
    let browser = Browser::new(app).on(page);
    let answer = browser.post("/api/auth/sign-in/email", &form).await.ok();
    answer.str("refreshRetry")
}

#[tokio::test]
async fn pages_of_several_origins_share_no_storage_and_get_no_tickets() {
    const OWN: &str = "http://localhost:4000/";
    const APP: &str = "http://localhost:5173/";
    const ADMIN: &str = "http://localhost:5174/";
    for (origins, page, gets) in [
        ("", OWN, "ticket"),
        ("http://localhost:5173", APP, "ticket"),
        ("http://localhost:5173,myapp://", APP, "ticket"),
        // An application of the service's own origin beside the listed one.
        ("http://localhost:5173", OWN, "window"),
        ("http://localhost:5173,http://localhost:5174", APP, "window"),
        (
            "http://localhost:5173,http://localhost:5174",
            ADMIN,
            "window",
        ),
    ] {
        let app = TestApp::with(&[("server.trusted_origins", origins)]).await;
        let alice = app.user("alice").await;
        assert_eq!(
            from_page(&app, &alice, page).await,
            gets,
            "{origins}, {page}"
        );
        let form = json!({ "email": alice.email, "password": alice.password, "tokenDelivery": "body", "refreshRetry": "ticket" });
        let in_body = app.post("/api/auth/sign-in/email", &form).await.ok();
        assert_eq!(in_body.body["refreshRetry"], "ticket", "{origins}");
    }
}

/// A client that has lost the answer of its refresh signs out, replaces its session or revokes it: that
/// is no theft, however late.
#[tokio::test]
async fn ending_a_session_with_the_parent_is_no_theft() {
    for wait in [seconds(1), seconds(31), minutes(60)] {
        let (app, alice, native) = ticketed().await;
        rotated(&app, &native.refresh, MINE).await;
        let (leaving, replacing) = (alice.browser().await, alice.browser().await);
        let stale = [leaving.stolen(), replacing.stolen()];
        leaving.refresh().await.ok();
        replacing.refresh().await.ok();
        app.after(wait);
        app.form(
            "/api/auth/oauth2/revoke",
            &format!("token={}", native.refresh),
        )
        .await
        .ok();
        let [leaves, replaces] = &stale;
        leaves.post("/api/auth/sign-out", &json!({})).await.ok();
        let form = json!({ "email": alice.email, "password": alice.password });
        replaces.post("/api/auth/sign-in/email", &form).await.ok();
        assert_eq!(
            app.db_count_events("refresh_token.reused").await,
            0,
            "{wait:?}"
        );
        for ended in [&leaving, &replacing] {
            ended.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
        }
    }
}

/// The idle end has moved: without the cookie of the session the browser would be signed out at the old
/// one.
#[tokio::test]
async fn a_late_repeat_sets_the_session_cookie_again() {
    let (app, alice, _) = ticketed().await;
    let browser = alice.browser().await;
    let stale = browser.stolen();
    browser.refresh().await.ok();
    app.after(minutes(60));
    let repeated = stale.refresh().await.ok();
    assert_eq!(repeated.cookies().len(), 2, "{:?}", repeated.cookies());
}
