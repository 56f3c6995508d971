//! Who is told of events: signed, once they are committed, again until they are taken.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use countersign::config::{Config, Sources};
use countersign::crypto::webhook::sign;
use countersign::flows::audit::deliver_webhooks::deliver_due;
use serde_json::{Value, json};

use crate::support::{TestApp, minutes, seconds};

pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr";

/// One message as it came.
#[derive(Debug, Clone)]
struct Message {
    id: String,
    body: Value,
    is_ours: bool,
    signatures: usize,
}

/// A security team's door: answers what it is told to, then 204.
#[derive(Clone, Default)]
pub(super) struct Receiver {
    answers: Arc<Mutex<Vec<StatusCode>>>,
    heard: Arc<Mutex<Vec<Message>>>,
}

impl Receiver {
    pub(super) async fn open(answers: &[StatusCode]) -> (Self, String) {
        let receiver = Self {
            answers: Arc::new(Mutex::new(answers.to_vec())),
            heard: Arc::default(),
        };
        let hears = receiver.clone();
        let take =
            move |headers: HeaderMap, body: String| async move { hears.take(&headers, &body) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        tokio::spawn(async move {
            axum::serve(listener, Router::new().route("/events", post(take))).await
        });
        (receiver, url)
    }

    fn take(&self, headers: &HeaderMap, body: &str) -> (StatusCode, HeaderMap) {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let (id, time) = (
            header("webhook-id"),
            header("webhook-timestamp").parse().unwrap(),
        );
        let expected = sign(SECRET, &id, time, body).unwrap();
        let signatures = header("webhook-signature");
        let is_ours = signatures.split(' ').any(|signature| signature == expected)
            && header("content-type") == "application/json";
        self.heard.lock().unwrap().push(Message {
            id,
            body: serde_json::from_str(body).unwrap(),
            is_ours,
            signatures: signatures.split(' ').count(),
        });
        let mut answers = self.answers.lock().unwrap();
        let status = if answers.is_empty() {
            StatusCode::NO_CONTENT
        } else {
            answers.remove(0)
        };
        // Redirects are not followed.
        (
            status,
            HeaderMap::from_iter([(axum::http::header::LOCATION, "/events".parse().unwrap())]),
        )
    }

    fn changed(&self) -> Vec<Message> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

async fn telling(url: &str, events: &str) -> TestApp {
    TestApp::with(&[
        ("webhooks.url", url),
        ("webhooks.secret", SECRET),
        ("webhooks.events", events),
        ("sessions.late_retry", "revoke"),
    ])
    .await
}

async fn steal(app: &TestApp, name: &str) -> Value {
    let ana = app.user(name).await;
    let tokens = ana.sign_in().await;
    app.rotate(&tokens.refresh).await;
    app.after(minutes(5));
    app.refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    json!({ "session": tokens.session_id, "refresh": tokens.refresh })
}

#[tokio::test]
async fn a_receiver_that_still_has_the_former_secret_verifies_every_message() {
    const NEW: &str = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";
    // The receiver of these tests verifies with SECRET.
    for (present, former) in [(NEW, SECRET), (SECRET, NEW)] {
        let (receiver, url) = Receiver::open(&[]).await;
        let app = TestApp::with(&[
            ("webhooks.url", &url),
            ("webhooks.secret", present),
            ("webhooks.previous_secret", former),
            ("webhooks.events", "user.created"),
        ])
        .await;
        app.user("ana").await;
        assert_eq!(deliver_due(&app.app, || false).await.unwrap(), 1);
        let heard = receiver.changed();
        assert!(heard[0].is_ours, "{heard:?}");
        assert_eq!(heard[0].signatures, 2);
    }
}

#[tokio::test]
async fn a_stolen_refresh_token_is_told_of_and_nothing_that_was_not_asked_for() {
    let (receiver, url) = Receiver::open(&[]).await;
    let app = telling(&url, "refresh_token.reused, keys.revoked").await;
    let stolen = steal(&app, "ana").await;
    assert_eq!(deliver_due(&app.app, || false).await.unwrap(), 1);
    let heard = receiver.changed();
    assert_eq!(heard.len(), 1, "{heard:?}");
    let Message {
        id,
        body,
        is_ours,
        signatures: 1,
    } = &heard[0]
    else {
        panic!("one secret, one signature: {heard:?}")
    };
    assert!(
        *is_ours,
        "signed with our key, over its id, its time and its text"
    );
    assert_eq!(
        (body["type"].as_str(), body["data"]["sessionId"].as_str()),
        (Some("refresh_token.reused"), stolen["session"].as_str())
    );
    assert_eq!(
        body["data"]["id"].as_str(),
        Some(id.as_str()),
        "known again by its id"
    );
    assert_eq!(
        app.db_text("SELECT id FROM audit_events WHERE kind = 'refresh_token.reused'")
            .await
            .as_deref(),
        Some(id.as_str())
    );
    assert!(
        !body
            .to_string()
            .contains(stolen["refresh"].as_str().unwrap())
    );
    assert_eq!(deliver_due(&app.app, || false).await.unwrap(), 0, "once");
    assert_eq!(app.db_number("SELECT COUNT(*) FROM webhooks").await, 0);
}

#[tokio::test]
async fn what_is_not_taken_is_offered_again_under_its_name_and_given_up_after_three_days() {
    let no = [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::GONE,
    ];
    let (receiver, url) = Receiver::open(&no).await;
    let app = telling(&url, "refresh_token.reused").await;
    steal(&app, "ana").await;
    for wait in [5, 10, 20] {
        assert_eq!(deliver_due(&app.app, || false).await.unwrap(), 0);
        app.after(seconds(wait - 1));
        assert_eq!(deliver_due(&app.app, || false).await.unwrap(), 0);
        app.after(seconds(1));
    }
    assert_eq!(deliver_due(&app.app, || false).await.unwrap(), 1);
    let heard = receiver.changed();
    assert!(
        heard.len() == 4
            && heard
                .iter()
                .all(|m| m.is_ours && m.id == heard[0].id && m.body == heard[0].body),
        "{heard:?}"
    );
    // The receiver is unavailable for days.
    let away = telling("http://127.0.0.1:1/events", "*").await;
    steal(&away, "bob").await;
    let waiting = away.db_number("SELECT COUNT(*) FROM webhooks").await;
    assert!(waiting > 2, "users, sessions and the theft");
    for _ in 0..3 {
        assert_eq!(deliver_due(&away.app, || false).await.unwrap(), 0);
        assert_eq!(
            away.db_number("SELECT COUNT(*) FROM webhooks").await,
            waiting
        );
        away.runs_for(minutes(24 * 60)).await;
    }
    assert_eq!(deliver_due(&away.app, || false).await.unwrap(), 0);
    assert_eq!(away.db_number("SELECT COUNT(*) FROM webhooks").await, 0);
}

#[tokio::test]
async fn replicas_share_the_queue_and_one_that_died_gives_back_what_it_held() {
    let (receiver, url) = Receiver::open(&[]).await;
    let app = telling(&url, "user.created").await;
    for n in 0..20 {
        app.user(&format!("user{n}")).await;
    }
    // Taken by one that was killed before it said anything.
    app.db_execute("UPDATE webhooks SET attempts = 1, due_at = due_at + 60000 WHERE id = (SELECT MIN(id) FROM webhooks)").await.unwrap();
    let others = [app.replica_with(&[]).await, app.replica_with(&[]).await];
    let sent = tokio::join!(
        deliver_due(&app.app, || false),
        deliver_due(&others[0].app, || false),
        deliver_due(&others[1].app, || false)
    );
    assert_eq!(sent.0.unwrap() + sent.1.unwrap() + sent.2.unwrap(), 19);
    app.after(minutes(1));
    assert_eq!(deliver_due(&app.app, || false).await.unwrap(), 1);
    let ids: std::collections::BTreeSet<String> =
        receiver.changed().into_iter().map(|m| m.id).collect();
    assert_eq!(ids.len(), 20, "each once");
}

#[test]
fn settings_say_who_hears_what_and_never_show_the_key() {
    let load = |flags: &[(&str, &str)]| {
        let flags = flags
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Config::load(&Sources {
            flags,
            ..Sources::default()
        })
    };
    let good = [
        ("webhooks.url", "https://hooks.example/x"),
        ("webhooks.secret", SECRET),
        ("webhooks.events", "keys.*"),
    ];
    let config = load(&good).unwrap();
    assert!(
        config.webhooks.is_some()
            && !format!("{:?}{:?}", config.effective, config.webhooks).contains("MfKQ")
    );
    for (key, value) in [
        ("webhooks.url", "http://hooks.example/x"),
        ("webhooks.url", "ftp://hooks.example"),
        ("webhooks.secret", ""),
        ("webhooks.secret", "whsec_c2hvcnQ="),
        ("webhooks.secret", "changeme"),
        ("webhooks.previous_secret", "changeme"),
        ("webhooks.previous_secret", SECRET),
        ("webhooks.events", ""),
        ("webhooks.events", "token.stolen"),
    ] {
        let problems = load(&[&good[..], &[(key, value)]].concat()).unwrap_err();
        assert!(
            problems.iter().any(|p| p.key == key),
            "{key}={value}: {problems:?}"
        );
    }
    assert!(load(&[]).unwrap().webhooks.is_none());
}
