//! What the database layer promises by itself: atomic pieces, group commit, the audit chain,
//! nothing secret at rest.

mod deleted;
mod session_grid;

use std::collections::HashMap;

use countersign::flows::permit::Permitted;
use countersign::model::audit::event::{Event, Kind, Requester};
use countersign::model::kernel::id::{EventId, UserId};
use countersign::model::kernel::time::Timestamp;
use countersign::model::login::gate::{self, Cleared, Decision, Evidence, Factors, Standing};
use countersign::model::login::level::Level;
use countersign::model::login::policy::{Demand, Policy, Rules};
use countersign::model::login::proof::{Proof, Proofs};
use countersign::store::{self, Conn, Error};
use serde_json::Map;

use crate::support::{REFRESH_COOKIE, SESSION_COOKIE, TestApp, minutes, on_postgres};

fn bump(conn: &mut Conn, fail: bool) -> store::Work<'_, i64> {
    Box::pin(async move {
        let version = store::key::signing_keys::id(conn).await?;
        // On Postgres the pieces run side by side, and of those that saw one version one advances
        // it.
        let advanced = store::key::signing_keys::advance(conn, version, 1).await?;
        if fail || !advanced {
            Err(Error::Conflict)
        } else {
            Ok(version.version)
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pieces_of_one_batch_stand_or_fall_alone() {
    let app = TestApp::start().await;
    let before = app.app.ring().unwrap().id.version;
    let pieces = (0..200).map(|n| app.app.db.write(move |conn| bump(conn, n % 2 == 0)));
    let outcomes = futures_util::future::join_all(pieces).await;
    let kept = outcomes.iter().filter(|o| o.is_ok()).count();
    assert!(kept == 100 || on_postgres() && kept > 0, "{kept}");
    assert_eq!(
        app.db_number("SELECT version FROM key_ring").await,
        before + i64::try_from(kept).unwrap()
    );
}

#[tokio::test]
async fn a_panic_in_a_piece_is_that_piece_s_error() {
    let app = TestApp::start().await;
    let panics = app
        .app
        .db
        .write(|_: &mut Conn| -> store::Work<'_, ()> { Box::pin(async { panic!("in a piece") }) });
    let (panicked, good) = tokio::join!(panics, app.app.db.write(|conn| bump(conn, false)));
    assert!(matches!(panicked, Err(Error::Unavailable(_))));
    assert!(good.is_ok());
    app.app.db.write(|conn| bump(conn, false)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_inside_a_step_leaves_nothing_open() {
    let app = TestApp::start().await;
    let before = app.app.ring().unwrap().id.version;
    let panics = || {
        app.app.db.write_with(
            store::WriteOptions::STATEMENT,
            |conn: &mut Conn| -> store::Work<'_, ()> {
                Box::pin(async move {
                    conn.atomic(|conn| {
                        Box::pin(async move {
                            let version = store::key::signing_keys::id(conn).await?;
                            store::key::signing_keys::advance(conn, version, 1).await?;
                            panic!("inside a step")
                        })
                    })
                    .await
                })
            },
        )
    };
    assert!(panics().await.is_err(), "alone");
    app.app.db.write(|conn| bump(conn, false)).await.unwrap();
    assert_eq!(
        app.db_number("SELECT version FROM key_ring").await,
        before + 1,
        "another connection sees it: it was committed"
    );
    let (bad, good) = tokio::join!(
        panics(),
        futures_util::future::join_all((0..20).map(|_| app.app.db.write(|conn| bump(conn, false))))
    );
    assert!(bad.is_err());
    let kept = i64::try_from(good.iter().filter(|g| g.is_ok()).count()).unwrap();
    assert_eq!(
        app.db_number("SELECT version FROM key_ring").await,
        before + 1 + kept,
        "what was answered stands, the rest does not"
    );
    app.app.db.write(|conn| bump(conn, false)).await.unwrap();
}

/// The clearance of a user with this `login_epoch`, by the gate itself.
pub(super) fn cleared(user: UserId, epoch: i64, proof: Proof) -> Cleared {
    let at = Timestamp(1);
    let account = gate::Account {
        user,
        epoch,
        standing: Standing::Good,
        two_step: false,
        mailbox_verified: true,
        factors: Factors::PASSWORD,
    };
    let evidence = Evidence {
        user,
        epoch,
        proofs: Proofs::of(Proof::Password, at),
    };
    let policy = Policy {
        least: Level::One,
        rules: Rules::empty(),
    };
    let decision = gate::decide(&evidence, &account, policy, Demand::default(), at);
    let decision = if proof == Proof::Vouched {
        gate::vouch(&decision, &account, at)
    } else {
        decision
    };
    match decision {
        Decision::Open(cleared) => cleared,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_begins_only_while_what_was_proven_is_unchanged() {
    use countersign::flows::account::{change_password, manage_users};
    use countersign::flows::session::open_session::{Options, PendingSession};
    use countersign::model::session::session::Delivery;
    use countersign::model::session::ticket::Retry;
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let user = manage_users::find(&app.app, Permitted::as_operator(), &ana.email)
        .await
        .unwrap();
    let stored = async || app.db_number("SELECT login_epoch FROM users").await;
    let begin = async |epoch: i64| {
        let options = Options {
            delivery: Delivery::Body,
            remember: true,
            retry: Retry::Window,
        };
        let opening =
            PendingSession::prepare(&app.app, &user, options, &Requester::default()).unwrap();
        let user = user.id;
        app.app
            .transaction(&Requester::default(), move |tx| {
                Box::pin(async move {
                    let cleared = cleared(user, epoch, Proof::Password);
                    opening.insert(tx, &cleared, None).await
                })
            })
            .await
            .unwrap()
            .is_some()
    };
    let verified = stored().await;
    assert!(begin(verified).await);
    change_password::set_password(
        &app.app,
        Permitted::as_operator(),
        &user,
        "another good password",
        &Requester::default(),
    )
    .await
    .unwrap();
    assert!(!begin(verified).await, "read, changed, then inserted");
    assert!(begin(stored().await).await);
    manage_users::set_disabled(
        &app.app,
        Permitted::as_operator(),
        user.id,
        true,
        &Requester::default(),
    )
    .await
    .unwrap();
    assert!(
        !begin(stored().await).await,
        "read, shut out, then inserted"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sign_ins_that_race_an_upgrade_of_the_hash_all_succeed() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let stronger = app
        .replica_with(&[("passwords.argon2_iterations", "3")])
        .await;
    let body = serde_json::json!({ "email": ana.email, "password": ana.password, "tokenDelivery": "body" });
    for answer in futures_util::future::join_all(
        (0..8).map(|_| stronger.post("/api/auth/sign-in/email", &body)),
    )
    .await
    {
        answer.ok();
    }
}

#[tokio::test]
async fn a_write_whose_caller_hung_up_is_whole_or_not_there() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    for n in 0..50 {
        let sign_in = ana.try_sign_in(&ana.password);
        drop(tokio::time::timeout(std::time::Duration::from_micros(n * 100), sign_in).await);
    }
    ana.sign_in().await;
    let orphans = "SELECT COUNT(*) FROM sessions s WHERE NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.session_id = s.id AND e.kind = 'session.created')";
    assert_eq!(app.db_number(orphans).await, 0);
}

mod sqlite {
    use super::*;

    #[tokio::test]
    async fn the_readers_cannot_write() {
        let app = TestApp::start().await;
        assert!(app.app.db.read(|conn| bump(conn, false)).await.is_err());
    }
}

#[tokio::test]
async fn the_audit_chain_links_every_event_of_a_writer() {
    let app = TestApp::start().await;
    let tokens = app.user("ana").await.sign_in().await;
    app.post_as(
        "/api/auth/sign-out",
        &tokens.session,
        &serde_json::json!({}),
    )
    .await
    .ok();
    let kinds = app
        .db_texts("SELECT kind FROM audit_events ORDER BY kind")
        .await;
    assert_eq!(
        kinds,
        [
            "keys.rotated",
            "session.created",
            "session.created",
            "session.signed_out",
            "user.created"
        ]
    );
    assert_eq!(app.db_number("SELECT CAST(SUM(n) AS BIGINT) FROM (SELECT MAX(sequence) - COUNT(*) AS n FROM audit_events GROUP BY writer) gaps").await, 0);
    assert_eq!(
        countersign::flows::audit::read_audit::verify(&app.app, Permitted::as_operator())
            .await
            .unwrap()
            .faults,
        []
    );
    // Recomputed from what stands in the table, link by link.
    let mut ends = HashMap::new();
    for row in app.db_events().await {
        let (sequence, previous) = ends.get(&row.writer).copied().unwrap_or((0, [0; 32]));
        let link = row
            .event
            .entry(&row.writer, sequence + 1)
            .expected_link(&previous);
        assert_eq!(row.link, link, "event {}", sequence + 1);
        ends.insert(row.writer, (sequence + 1, link));
    }
    assert!(!ends.is_empty());
    let event = Event {
        id: EventId::at(Timestamp(0), [0; 10]),
        at: Timestamp(0),
        kind: Kind::SignedIn,
        requester: Requester::default(),
        subject: None,
        session: None,
        detail: Map::new(),
    };
    let link = event.entry("w", 1).expected_link(&[0; 32]);
    let edits = [
        Event {
            at: Timestamp(1),
            ..event.clone()
        },
        Event {
            kind: Kind::SignedOut,
            ..event.clone()
        },
        Event {
            requester: Requester {
                actor: "x".into(),
                ..Requester::default()
            },
            ..event.clone()
        },
    ];
    assert!(
        edits
            .iter()
            .all(|e| e.entry("w", 1).expected_link(&[0; 32]) != link)
            && event.entry("w", 2).expected_link(&[0; 32]) != link
            && event.entry("w", 1).expected_link(&[1; 32]) != link
    );
}

#[tokio::test]
async fn no_event_means_no_action() {
    let app = TestApp::start().await;
    let tokens = app.user("ana").await.sign_in().await;
    app.db_execute("ALTER TABLE audit_events RENAME TO hidden")
        .await
        .unwrap();
    app.post_as(
        "/api/auth/sign-out",
        &tokens.session,
        &serde_json::json!({}),
    )
    .await
    .refused(500, "INTERNAL_SERVER_ERROR");
    app.db_execute("ALTER TABLE hidden RENAME TO audit_events")
        .await
        .unwrap();
    app.get_as("/api/auth/session", &tokens.session).await.ok();
}

#[tokio::test]
async fn a_stolen_database_contains_nothing_to_sign_in_with() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let (tokens, browser) = (ana.sign_in().await, ana.browser().await);
    app.rotate(&tokens.refresh).await;
    let dump = app.db_dump().await;
    let cookies = [
        browser.cookie(SESSION_COOKIE).unwrap(),
        browser.cookie(REFRESH_COOKIE).unwrap(),
    ];
    let private = app.app.ring().unwrap().jwks.body.clone();
    assert!(!private.is_empty());
    for secret in [
        &tokens.session,
        &tokens.refresh,
        &tokens.access,
        &cookies[0],
        &cookies[1],
        &ana.password,
    ] {
        assert!(
            !dump.iter().any(|cell| cell.contains(secret.as_str())),
            "a secret stands in the database"
        );
    }
    assert!(
        !dump.iter().any(|cell| cell.contains("\"d\"")),
        "a private key stands in the database"
    );
    // Whatever stands in a text column, tried as every kind of token, opens nothing.
    app.after(minutes(1));
    let mut tried = 0;
    for cell in dump.iter().filter(|c| {
        !c.is_empty()
            && c.bytes()
                .all(|b| b.is_ascii_graphic() && b != b';' && b != b'"' && b != b',')
    }) {
        for shape in [cell.clone(), format!("css_{cell}"), format!("csr_{cell}")] {
            assert_eq!(
                app.get_as("/api/auth/session", &shape).await.status,
                401,
                "{shape}"
            );
            assert_eq!(app.refresh(&shape).await.status, 401, "{shape}");
            tried += 2;
        }
    }
    assert!(tried > 100, "{tried}");
}

#[tokio::test]
async fn doctor_finds_all_well_and_tables_that_are_not_tidied_up() {
    use countersign::flows::ops::diagnose::{Verdict, diagnose};
    let app = TestApp::start().await;
    app.user("ana").await;
    let look = || {
        Box::pin(diagnose(
            app.app.config.clone(),
            app.clock.clone(),
            app.app.random.clone(),
        ))
    };
    let found = look().await;
    assert!(found.is_well(), "{:?}", found.findings);
    let subjects: Vec<_> = found.findings.iter().map(|f| f.subject).collect();
    assert!(
        ["schema", "database", "keys"]
            .iter()
            .all(|s| subjects.contains(s)),
        "{subjects:?}"
    );
    let sessions = found.tables.iter().find(|t| t.name == "sessions").unwrap();
    assert!(sessions.bytes > 0 && sessions.index_bytes > 0);
    if on_postgres() {
        assert!(
            subjects.contains(&"clock") && subjects.contains(&"autovacuum"),
            "{subjects:?}"
        );
        // As people write it.
        for off in [
            "ALTER TABLE sessions SET (autovacuum_enabled = off)",
            "ALTER TABLE sessions SET (autovacuum_enabled = 0)",
        ] {
            app.db_execute(off).await.unwrap();
            let found = look().await;
            assert!(
                found
                    .findings
                    .iter()
                    .any(|f| f.verdict != Verdict::Good && f.says.contains("sessions")),
                "{off}: {:?}",
                found.findings
            );
        }
    }
}

/// Keeps SQLite's writer, or every connection of Postgres, busy until the permits come.
async fn occupy(
    app: &TestApp,
    gate: &std::sync::Arc<tokio::sync::Semaphore>,
) -> Vec<tokio::task::JoinHandle<store::Result<()>>> {
    let (busy, count) = (
        std::sync::Arc::new(tokio::sync::Semaphore::new(0)),
        if on_postgres() {
            app.app.db.connections().1
        } else {
            1
        },
    );
    let occupy_one = || {
        let (db, gate, busy) = (app.app.db.clone(), gate.clone(), busy.clone());
        tokio::spawn(async move {
            db.write(move |_: &mut Conn| -> store::Work<'_, ()> {
                Box::pin(async move {
                    busy.add_permits(1);
                    drop(gate.acquire().await);
                    Ok(())
                })
            })
            .await
        })
    };
    let held = (0..count).map(|_| occupy_one()).collect();
    drop(
        busy.acquire_many(u32::try_from(count).unwrap())
            .await
            .unwrap(),
    );
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_waited_too_long_or_lost_its_caller_is_not_begun() {
    use futures_util::poll;
    let app = TestApp::start().await;
    let version = async || app.db_number("SELECT version FROM key_ring").await;
    let before = version().await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = occupy(&app, &gate).await;
    let (mut late, mut gone) = (
        Box::pin(app.app.db.write(|conn| bump(conn, false))),
        Box::pin(app.app.db.write(|conn| bump(conn, false))),
    );
    assert!(poll!(&mut late).is_pending() && poll!(&mut gone).is_pending());
    app.after(std::time::Duration::from_millis(5_001));
    drop(gone);
    gate.close();
    for piece in held {
        drop(piece.await.unwrap());
    }
    assert!(matches!(late.await, Err(Error::Unavailable(_))));
    assert_eq!(version().await, before, "nothing was written");
    // In time, but its caller has gone.
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = occupy(&app, &gate).await;
    let (mut prompt, mut gone) = (
        Box::pin(app.app.db.write(|conn| bump(conn, false))),
        Box::pin(app.app.db.write(|conn| bump(conn, false))),
    );
    assert!(poll!(&mut gone).is_pending() && poll!(&mut prompt).is_pending());
    drop(gone);
    gate.close();
    for piece in held {
        drop(piece.await.unwrap());
    }
    prompt.await.unwrap();
    assert_eq!(
        version().await,
        before + 1,
        "only the one whose caller waits"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_work_is_the_one_at_which_it_is_begun() {
    use futures_util::poll;
    let app = TestApp::start().await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = occupy(&app, &gate).await;
    let asked_at = app.app.now();
    let mut work = Box::pin(app.app.db.write(|conn: &mut Conn| -> store::Work<'_, _> {
        Box::pin(async move { Ok(conn.now()) })
    }));
    assert!(poll!(&mut work).is_pending());
    app.after(std::time::Duration::from_secs(4));
    gate.close();
    for piece in held {
        drop(piece.await.unwrap());
    }
    assert_eq!(
        work.await.unwrap(),
        asked_at + std::time::Duration::from_secs(4)
    );
}

#[tokio::test]
async fn what_postgres_says_of_values_is_told_to_no_log() {
    use countersign::flows::account::manage_users;
    use countersign::flows::account::manage_users::New;
    use countersign::model::audit::event::Requester;
    if !crate::support::on_postgres() {
        return;
    }
    let app = crate::support::TestApp::start().await;
    app.user("ana").await;
    for sql in [
        "CREATE FUNCTION repeat_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not %', NEW.email; END $$",
        "CREATE TRIGGER repeat_it BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION repeat_it()",
    ] {
        app.db_execute(sql).await.unwrap();
    }
    let new = New {
        email: "canary@example.com".parse().unwrap(),
        name: countersign::model::account::profile::DisplayName::default(),
        image: None,
        password: None,
        role: "user".into(),
        email_verified: false,
        metadata: serde_json::Map::new(),
    };
    let error = manage_users::create(
        &app.app,
        Permitted::as_operator(),
        new,
        &Requester::default(),
    )
    .await
    .unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(told.contains("P0001") && !told.contains("canary"), "{told}");
}
