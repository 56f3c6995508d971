//! Passkeys in many requests at once: one use at several replicas, a count of signatures, the last way to
//! sign in, and the greatest number of passkeys.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::software_key::SoftwareKey;
use crate::support::{Answer, TestApp};

const REGISTERED: &str = "/api/auth/passkey/verify-registration";
const AUTHENTICATED: &str = "/api/auth/passkey/verify-authentication";
const DELETE: &str = "/api/auth/passkey/delete-passkey";
const LIST: &str = "/api/auth/passkey/list-user-passkeys";

fn with_code<'a>(answers: &'a [Answer], code: &str) -> Vec<&'a Answer> {
    let found = answers.iter().filter(|a| a.body["code"] == code);
    found.collect()
}

fn good(answers: &[Answer]) -> usize {
    answers.iter().filter(|a| a.status == 200).count()
}

async fn ids(app: &TestApp, session: &str) -> Vec<Value> {
    let list = app.get_as(LIST, session).await.ok();
    let rows = list.body.as_array().unwrap().clone();
    rows.into_iter().map(|row| row["id"].clone()).collect()
}

#[tokio::test]
async fn one_use_of_a_passkey_at_three_replicas_opens_one_session_and_is_no_copy() {
    let app = TestApp::with(&[("rate_limits.enabled", "false")]).await;
    let replicas = [
        app.clone(),
        app.replica(&[]).await.unwrap(),
        app.replica_with(&[]).await,
    ];
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::usual("phone");
    ana.adds_passkey(&mut key).await;
    let options = app.request().await;
    let body = json!({
        "response": key.get(&options), "state": options["state"], "tokenDelivery": "body",
    });
    let before = app.live_sessions().await;
    let attempts = (0..60).map(|n| replicas[n % 3].post(AUTHENTICATED, &body));
    let answers = join_all(attempts).await;
    assert_eq!(good(&answers), 1);
    let spent = with_code(&answers, "CHALLENGE_NOT_FOUND").len();
    let busy = answers.iter().filter(|a| a.status == 503).count();
    assert_eq!(spent + busy, 59);
    assert_eq!(app.live_sessions().await, before + 1);
    assert_eq!(app.db_count_events("passkey.cloned").await, 0);
}

#[tokio::test]
async fn of_two_deletions_at_once_one_leaves_the_last_way_in() {
    let app = TestApp::with(&[("sign_in.by_mail", "false")]).await;
    let ana = app.user("ana").await;
    for _ in 0..5 {
        let (mut one, mut two) = (SoftwareKey::usual("one"), SoftwareKey::usual("two"));
        let session = ana.adds_passkey(&mut one).await;
        let session = app.adds(&session, &mut two).await.ok().str("token");
        let without = "UPDATE accounts SET password_hash = NULL";
        let kept = app.db_texts("SELECT password_hash FROM accounts").await;
        app.db_execute(without).await.unwrap();
        let rows = ids(&app, &session).await;
        assert_eq!(rows.len(), 2);
        let bodies: Vec<Value> = rows.iter().map(|id| json!({ "id": id })).collect();
        let answers = join_all(bodies.iter().map(|b| app.post_as(DELETE, &session, b))).await;
        assert_eq!(good(&answers), 1, "{}", answers[0].text);
        assert_eq!(with_code(&answers, "LAST_WAY_IN").len(), 1);
        assert_eq!(ids(&app, &session).await.len(), 1);
        let again = format!("UPDATE accounts SET password_hash = '{}'", kept[0]);
        app.db_script(&again).await;
        app.db_execute("DELETE FROM passkeys").await.unwrap();
    }
}

#[tokio::test]
async fn of_two_registrations_at_once_at_the_limit_one_is_kept() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut session = ana.sign_in().await.session;
    for n in 0..19 {
        let mut key = SoftwareKey::usual(&format!("key {n}"));
        session = app.adds(&session, &mut key).await.ok().str("token");
    }
    // Two sessions, because a new passkey replaces the session that has made it.
    let sessions = [session, ana.sign_in().await.session];
    let mut bodies = Vec::new();
    for (n, session) in sessions.iter().enumerate() {
        let options = app.creation(session).await;
        let mut key = SoftwareKey::usual(&format!("last {n}"));
        bodies.push(json!({ "response": key.create(&options), "state": options["state"] }));
    }
    let attempts = sessions.iter().zip(&bodies);
    let answers = join_all(attempts.map(|(s, b)| app.post_as(REGISTERED, s, b))).await;
    assert_eq!(good(&answers), 1, "{} {}", answers[0].text, answers[1].text);
    assert_eq!(with_code(&answers, "PASSKEY_LIMIT_REACHED").len(), 1);
    assert_eq!(app.db_number("SELECT COUNT(*) FROM passkeys").await, 20);
}
