//! Old sessions go, in time and not before.

use countersign::flows::ops::prune::prune;

use crate::support::{TestApp, minutes};

#[tokio::test]
async fn a_session_is_deleted_seven_days_after_its_absolute_end() {
    let app = TestApp::with(&[("sessions.idle_ttl", "90d")]).await;
    let ana = app.user("ana").await;
    let mut tokens = ana.sign_in().await;
    tokens.refresh = app.rotate(&tokens.refresh).await;
    let day = minutes(60 * 24);
    app.runs_for(day * 97).await;
    assert_eq!(prune(&app.app).await.unwrap(), 0);
    app.refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_EXPIRED");
    app.after(minutes(1));
    assert_eq!(prune(&app.app).await.unwrap(), 2);
    app.refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    assert_eq!(app.db_number("SELECT COUNT(*) FROM users").await, 1);
}

#[tokio::test]
async fn everything_that_is_over_is_deleted_however_many_pieces_that_takes() {
    let app = TestApp::start().await;
    app.db_execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO rate_limits (key, level, free_at, expires_at)
         SELECT 'k' || CAST(i AS TEXT), 1, 0, i FROM n",
    )
    .await
    .unwrap();
    prune(&app.app).await.unwrap();
    let left = app.db_number("SELECT COUNT(*) FROM rate_limits").await;
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_are_deleted_in_batches_by_two_at_once_while_others_refresh() {
    let app = TestApp::with(&[
        ("sessions.refresh_grace", "0s"),
        ("sessions.refresh_cooldown", "0s"),
        ("rate_limits.enabled", "false"),
    ])
    .await;
    let ana = app.user("ana").await;
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3500)
         INSERT INTO sessions (id, user_id, token_hash, generation, refresh_hash, rotated_at, idle_expires_at, expires_at, delivery, remember, auth_time,
                               ip_address, user_agent, created_at, updated_at)
         SELECT '01900000-0000-7000-8000-' || CAST(100000000000 + i AS TEXT), s.user_id, 'hash ' || CAST(i AS TEXT), 1, s.refresh_hash, 0, 0, i, s.delivery,
                s.remember, 0, s.ip_address, s.user_agent, 0, 0
           FROM n, sessions s";
    app.db_execute(many).await.unwrap();
    let mut held = ana.sign_in().await.refresh;
    let pruning = async { tokio::join!(prune(&app.app), prune(&app.app)) };
    let refreshing = async {
        for _ in 0..50 {
            held = app.rotate(&held).await;
        }
    };
    let ((one, other), ()) = tokio::join!(pruning, refreshing);
    assert_eq!(one.unwrap() + other.unwrap(), 3_500);
    assert_eq!(app.live_sessions().await, 2);
    app.rotate(&held).await;
}
