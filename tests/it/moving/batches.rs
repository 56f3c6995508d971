//! Imports on both databases: what is written, what a second run does, how an interrupted one goes on,
//! and what taking one back leaves.

use countersign::flows::Error;
use countersign::flows::import::{list, rollback};
use countersign::flows::permit::Permitted;
use countersign::import::Format;
use countersign::model::import::batch::{Batch, Counts, State};
use countersign::model::import::policy::OnDuplicate;
use serde_json::{Value, json};

use super::{File, operator};
use crate::support::{TestApp, User, minutes};

const EVERYTHING: &str = "SELECT id || email || email_verified || name || role || banned || metadata || version || created_at || updated_at FROM users \
                          UNION ALL SELECT user_id || provider_id || account_id || COALESCE(issuer, '') FROM accounts \
                          UNION ALL SELECT source || foreign_id || user_id FROM foreign_ids ORDER BY 1";

fn row(id: &str, email: &str) -> Value {
    json!({ "id": id, "email": email, "name": "N", "emailVerified": true })
}

fn lines(rows: &[Value]) -> String {
    let lines: Vec<String> = rows.iter().map(|row| format!("{row}\n")).collect();
    lines.concat()
}

/// Many users with ids of their own.
fn many(count: u32) -> String {
    let rows: Vec<Value> = (0..count)
        .map(|n| row(&format!("old|{n}"), &format!("user{n}@example.com")))
        .collect();
    lines(&rows)
}

async fn stored_hash(ana: &User) -> String {
    let sql = format!(
        "SELECT a.password_hash FROM accounts a JOIN users u ON u.id = a.user_id WHERE u.email = '{}'",
        ana.email
    );
    ana.app.db_text(&sql).await.unwrap()
}

async fn found(app: &TestApp, batch: &Batch) -> Batch {
    let permitted = Permitted::as_operator();
    let id = batch.id.to_string();
    list::find(&app.app, permitted, &id).await.unwrap()
}

async fn taken_back(app: &TestApp, batch: &Batch) -> rollback::TakenBack {
    let permitted = Permitted::as_operator();
    let planned = rollback::foresee(&app.app, permitted, batch).await.unwrap();
    let done = rollback::take_back(&app.app, permitted, batch, &operator(), |_| ())
        .await
        .unwrap();
    assert_eq!(done, planned);
    done
}

#[tokio::test]
async fn an_imported_user_has_the_id_and_the_password_of_before() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut user = row("auth0|1", "ben@example.com");
    user["passwordHash"] = json!(stored_hash(&ana).await);
    user["createdAt"] = json!(1_672_913_472_000_i64);
    user["metadata"] = json!({ "plan": "pro" });
    let file = File::of(&lines(&[user])).with(|r| r.policy.trust_verified = true);
    let batch = file.import(&app).await;
    assert_eq!(
        (batch.state, batch.cursor, batch.counts.created),
        (State::Done, 1, 1)
    );
    let ben = User {
        email: "ben@example.com".into(),
        ..ana.clone()
    };
    let answer = ben.try_sign_in(&ana.password).await.ok();
    assert_eq!(answer.body["user"]["id"], "auth0|1");
    assert_eq!(answer.body["user"]["emailVerified"], true);
    ben.try_sign_in("another password")
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    let row = "SELECT created_at || ' ' || metadata || ' ' || version || ' ' || COALESCE(unproven_until, 0) FROM users WHERE id = 'auth0|1'";
    assert_eq!(
        app.db_text(row).await.unwrap(),
        "1672913472000 {\"plan\":\"pro\"} 1 0"
    );
    for (kind, count) in [
        ("import.started", 1),
        ("import.finished", 1),
        ("user.created", 2),
    ] {
        assert_eq!(app.db_count_events(kind).await, count, "{kind}");
    }
    let told = app
        .db_text(
            "SELECT detail FROM audit_events WHERE kind = 'user.created' AND subject = 'auth0|1'",
        )
        .await;
    let told: Value = serde_json::from_str(&told.unwrap()).unwrap();
    assert_eq!(told["batch"], batch.id.to_string());
}

#[tokio::test]
async fn nothing_gets_weaker_by_an_import() {
    let app = TestApp::start().await;
    let mut banned = row("1", "banned@example.com");
    banned["banned"] = json!(true);
    banned["banReason"] = json!("spam");
    banned["role"] = json!("admin");
    let mut disabled = row("2", "disabled@example.com");
    disabled["disabled"] = json!(true);
    let mut two = row("3", "two@example.com");
    two["twoFactorEnabled"] = json!(true);
    let unreadable = json!({ "email": "x" });
    let file = File::of(&lines(&[banned, disabled, two, unreadable]));
    let expected = [
        (1, "create role_not_mapped: admin".to_owned()),
        (2, "create".to_owned()),
        (3, "refuse second_factor".to_owned()),
        (4, "refuse invalid_email".to_owned()),
    ];
    assert_eq!(file.verdicts(&app).await, expected);
    assert_eq!(
        app.db_count_events("user.created").await,
        0,
        "a survey writes nothing"
    );
    let batch = file.import(&app).await;
    let expected = Counts {
        created: 2,
        refused: 2,
        ..Counts::default()
    };
    assert_eq!(batch.counts, expected);
    let users = "SELECT id || ' ' || role || ' ' || banned || ' ' || COALESCE(ban_reason, '-') || ' ' || CASE WHEN disabled_at IS NULL THEN 0 ELSE 1 END || ' ' || email_verified FROM users ORDER BY id";
    assert_eq!(
        app.db_texts(users).await,
        ["1 user 1 spam 0 0", "2 user 0 - 1 0"]
    );
    let mut rows = Vec::new();
    list::rows(&app.app, Permitted::as_operator(), &batch, |row| {
        rows.push((row.number, row.verdict, row.reason));
    })
    .await
    .unwrap();
    assert_eq!(rows[2], (3, "refuse".into(), "second_factor".into()));
    let without = File::of(&lines(&[{
        let mut two = row("3", "two@example.com");
        two["twoFactorEnabled"] = json!(true);
        two
    }]))
    .with(|r| r.policy.without_second_factor = true);
    without.import(&app).await;
    let told = "SELECT detail FROM audit_events WHERE kind = 'user.created' AND subject = '3'";
    let told = app.db_text(told).await.unwrap();
    assert!(told.contains("second_factor_dropped"), "{told}");
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let app = TestApp::start().await;
    let file = File::of(&many(30));
    file.import(&app).await;
    let before = app.db_texts(EVERYTHING).await;
    let (counts, _) = file.survey(&app).await;
    assert_eq!((counts.unchanged, counts.changes_users()), (30, false));
    let again = file.import(&app).await;
    assert_eq!((again.counts.unchanged, again.counts.created), (30, 0));
    assert_eq!(app.db_texts(EVERYTHING).await, before);
    // A user who has moved here is found by the id.
    app.db_execute("UPDATE users SET email = 'new@example.com' WHERE id = 'old|3'")
        .await
        .unwrap();
    assert_eq!(
        file.verdicts(&app).await[3],
        (4, "unchanged email_differs".into())
    );
}

#[tokio::test]
async fn an_interrupted_import_goes_on_behind_its_last_page() {
    let app = TestApp::start().await;
    let file = File::of(&many(1_200));
    let batch = file.begin(&app).await.unwrap();
    // A statement of the second page fails.
    let faults = app.app.db.faults().clone();
    let reached = faults.arm(1_500);
    let stopped = file.run(&app, batch.clone());
    let (stopped, ()) = tokio::join!(stopped, async {
        drop(reached.await);
    });
    faults.disarm();
    assert!(stopped.is_err());
    let at = found(&app, &batch).await;
    assert_eq!((at.state, at.cursor), (State::Running, 500));
    assert_eq!(at.counts.created, 500);
    let users = app.db_texts("SELECT id FROM users").await.len();
    assert_eq!(users, 500, "whole pages");

    let other = File::of(&many(1_201));
    assert!(matches!(
        other.resume(&app, &batch).await,
        Err(Error::ImportRefused(_))
    ));
    let otherwise = File::of(&many(1_200)).with(|r| r.policy.trust_verified = true);
    assert!(matches!(
        otherwise.resume(&app, &batch).await,
        Err(Error::ImportRefused(_))
    ));
    let going_on = file.resume(&app, &batch).await.unwrap();
    let done = file.run(&app, going_on.clone()).await.unwrap();
    assert_eq!(
        (done.state, done.cursor, done.counts.created),
        (State::Done, 1_200, 1_200)
    );
    // The same page is not written twice.
    assert!(matches!(
        file.run(&app, going_on).await,
        Err(Error::ImportRefused(_))
    ));
    assert!(matches!(
        file.resume(&app, &batch).await,
        Err(Error::ImportRefused(_))
    ));
    assert_eq!(app.db_texts("SELECT id FROM users").await.len(), 1_200);
}

#[tokio::test]
async fn a_link_joins_two_verified_accounts_and_can_be_taken_back() {
    let app = TestApp::with(&[
        ("upstream.google.client_id", "id"),
        ("upstream.google.client_secret", "secret"),
    ])
    .await;
    let ana = app.user("ana").await;
    let mut user = row("old|1", &ana.email);
    user["accounts"] = json!([{ "provider": "google", "accountId": "10" }]);
    user["banned"] = json!(false);
    let text = lines(&[user]);
    let linking = |trust: bool| {
        File::of(&text).with(|r| {
            r.policy.on_duplicate = OnDuplicate::Link;
            r.policy.trust_verified = trust;
            *r = r.clone().with_issuers(&app.app);
        })
    };
    let line = |text: &str| vec![(1, text.to_owned())];
    assert_eq!(
        File::of(&text).verdicts(&app).await,
        line("refuse email_taken")
    );
    assert_eq!(
        linking(true).verdicts(&app).await,
        line("refuse not_verified_here")
    );
    app.db_execute("UPDATE users SET email_verified = 1")
        .await
        .unwrap();
    assert_eq!(
        linking(false).verdicts(&app).await,
        line("refuse not_verified_there")
    );
    let before = app.db_texts(EVERYTHING).await;
    let batch = linking(true).import(&app).await;
    assert_eq!((batch.counts.linked, batch.counts.created), (1, 0));
    let linked = app
        .db_texts("SELECT account_id || issuer FROM accounts WHERE provider_id = 'google'")
        .await;
    assert_eq!(linked, ["10https://accounts.google.com"]);
    // The password here stays.
    ana.sign_in().await;
    let another = File::of(&lines(&[{
        let mut row = row("old|2", "ben@example.com");
        row["accounts"] = json!([{ "provider": "google", "accountId": "10" }]);
        row
    }]))
    .with(|r| *r = r.clone().with_issuers(&app.app));
    assert_eq!(
        another.verdicts(&app).await,
        line("refuse account_taken: google")
    );
    let done = taken_back(&app, &batch).await;
    assert_eq!((done.unlinked, done.deleted, done.kept.len()), (1, 0, 0));
    assert_eq!(app.db_texts(EVERYTHING).await, before);
}

#[tokio::test]
async fn taking_an_import_back_leaves_the_users_who_have_been_here() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let before = app.db_texts(EVERYTHING).await;
    let mut seen = row("old|seen", "seen@example.com");
    seen["passwordHash"] = json!(stored_hash(&ana).await);
    let text = format!("{}{}", many(250), lines(&[seen]));
    let file = File::of(&text);
    let first = file.import(&app).await;
    taken_back(&app, &first).await;
    assert_eq!(
        app.db_texts(EVERYTHING).await,
        before,
        "as before the import"
    );
    assert_eq!(app.db_count_events("import.rolled_back").await, 1);
    assert_eq!(found(&app, &first).await.state, State::RolledBack);
    let again = rollback::find(&app.app, Permitted::as_operator(), &first.id.to_string()).await;
    assert!(matches!(again, Err(Error::ImportRefused(_))));

    app.after(minutes(1));
    let second = file.import(&app).await;
    let visitor = User {
        email: "seen@example.com".into(),
        ..ana.clone()
    };
    visitor.sign_in().await;
    app.db_execute("DELETE FROM sessions WHERE user_id = 'old|seen'")
        .await
        .unwrap();
    app.db_execute("UPDATE users SET version = 2 WHERE id = 'old|7'")
        .await
        .unwrap();
    let done = taken_back(&app, &second).await;
    assert_eq!(done.deleted, 249);
    let mut kept: Vec<String> = done.kept.iter().map(ToString::to_string).collect();
    kept.sort();
    assert_eq!(kept, ["old|7", "old|seen"]);
}

#[tokio::test]
async fn an_old_import_keeps_its_users_and_loses_its_rows() {
    let app = TestApp::start().await;
    let batch = File::of(&many(3)).import(&app).await;
    app.runs_for(minutes(30 * 24 * 60 + 1)).await;
    let id = batch.id.to_string();
    let refused = rollback::find(&app.app, Permitted::as_operator(), &id).await;
    assert!(matches!(refused, Err(Error::ImportRefused(_))));
    countersign::flows::ops::prune::prune(&app.app)
        .await
        .unwrap();
    assert!(
        app.db_texts("SELECT reason FROM import_rows")
            .await
            .is_empty()
    );
    assert_eq!(app.db_texts("SELECT id FROM users").await.len(), 3);
    assert_eq!(found(&app, &batch).await.counts.created, 3);
}

#[tokio::test]
async fn a_deleted_user_leaves_no_foreign_id_behind() {
    let app = TestApp::start().await;
    File::of(&many(2)).import(&app).await;
    let id = "old|1".parse().unwrap();
    countersign::flows::account::administer_users::remove(
        &app.app,
        Permitted::as_operator(),
        id,
        &operator(),
    )
    .await
    .unwrap();
    assert_eq!(
        app.db_texts("SELECT foreign_id FROM foreign_ids").await,
        ["old|0"]
    );
    let users = app
        .db_texts("SELECT user_id FROM import_rows WHERE user_id IS NOT NULL")
        .await;
    assert_eq!(users, ["old|0"]);
}

#[tokio::test]
async fn users_sign_in_with_the_passwords_of_the_source() {
    const PASSWORD: &str = "correct horse battery";
    let app = TestApp::start().await;
    let user = |n: u32, password: &str| json!({ "model": "auth.user", "pk": n, "fields": { "email": format!("user{n}@example.com"), "password": password } });
    // The first two are too cheap to be stored as they are.
    let rows = json!([
        user(
            1,
            "pbkdf2_sha256$1000$s4ltsalt$nbzzDE4b8vulwvHIqLHruiTX1NoZDRiLc2EqS2Don+s="
        ),
        user(2, "md5$s4ltsalt$dd5d64e262d02245e8bc68295a325a81"),
        user(
            3,
            "pbkdf2_sha256$3000000$s4ltsalt$nbzzDE4b8vulwvHIqLHruiTX1NoZDRiLc2EqS2Don+s="
        ),
        user(4, "lanman$$x"),
    ]);
    let file = File::of(&rows.to_string()).with(|r| r.read.format = Format::Django);
    let (_, judged) = file.survey(&app).await;
    let told: Vec<String> = judged.iter().map(|row| row.verdict.reason()).collect();
    assert_eq!(told[..3], ["", "", "hash_too_costly"]);
    assert!(told[3].starts_with("unsupported_hash"), "{}", told[3]);
    assert!(judged[1].is_wrapped);
    let batch = file.import(&app).await;
    assert_eq!((batch.counts.created, batch.counts.refused), (3, 1));
    let plain = app
        .db_texts("SELECT password_hash FROM accounts ORDER BY user_id")
        .await;
    assert!(
        plain.len() == 2 && !plain[1].contains("dd5d64"),
        "{plain:?}"
    );
    let foreign = async || {
        let permitted = Permitted::as_operator();
        list::on_foreign_hashes(&app.app, permitted, &batch)
            .await
            .unwrap()
    };
    assert_eq!(foreign().await, 2);
    for n in 1..=2 {
        let email = format!("user{n}@example.com");
        let body = |password: &str| json!({ "email": email, "password": password });
        app.post("/api/auth/sign-in/email", &body("another password"))
            .await
            .refused(401, "INVALID_EMAIL_OR_PASSWORD");
        app.post("/api/auth/sign-in/email", &body(PASSWORD))
            .await
            .ok();
    }
    assert_eq!(foreign().await, 0, "the hashes are ours now");
}
