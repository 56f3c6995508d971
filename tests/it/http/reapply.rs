//! What a database lost by going back is done again from an export, on both databases; and the ends
//! of the chains that the log is told.

use std::time::Duration;

use countersign::flows::account::administer_users as administer;
use countersign::flows::account::manage_users;
use countersign::flows::audit::audit_ends::{PAUSE, due};
use countersign::flows::audit::read_audit;
use countersign::flows::audit::read_audit::{Filter, Known, compare, verify};
use countersign::flows::limit::operate_limits;
use countersign::flows::limit::operate_limits::{block, unblock};
use countersign::flows::permit::Permitted;
use countersign::flows::reapply::reapply_audit::{Exported, Line, Outcome, reapply};
use countersign::model::audit::chain::Fault;
use countersign::model::audit::event::Requester;
use countersign::model::kernel::id::UserId;
use countersign::model::kernel::period::Period;
use serde_json::{Value, json};

use crate::support::{TestApp, minutes};

fn period(of_minutes: u64) -> Period {
    Period::new(minutes(of_minutes)).unwrap()
}

fn operator() -> Requester {
    Requester {
        actor: "cli:ops".into(),
        ..Requester::default()
    }
}

/// The trail as `audit export` writes it.
pub(super) async fn export(app: &TestApp) -> Vec<String> {
    let entries = read_audit::list(
        &app.app,
        Permitted::as_operator(),
        Filter {
            after: Some((
                countersign::model::kernel::time::Timestamp(0),
                String::new(),
            )),
            ..Filter::default()
        },
        10_000,
    )
    .await
    .unwrap();
    let line = |e: &read_audit::Entry| {
        json!({ "id": e.id, "at": e.at, "kind": e.kind, "actor": e.actor, "subject": e.subject, "session": e.session, "ipAddress": e.ip_address,
            "userAgent": e.user_agent, "requestId": e.request_id, "detail": serde_json::from_str::<Value>(&e.detail).unwrap(), "writer": e.writer,
            "sequence": e.sequence, "link": e.link })
        .to_string()
    };
    entries.iter().map(line).collect()
}

pub(super) fn parsed(lines: &[String]) -> Vec<Exported> {
    lines
        .iter()
        .map(|line| Exported::parse(line).unwrap())
        .collect()
}

async fn id_of(app: &TestApp, name: &str) -> UserId {
    manage_users::find(
        &app.app,
        Permitted::as_operator(),
        &format!("{name}@example.com"),
    )
    .await
    .unwrap()
    .id
}

/// The database forgets the events of these kinds; users and networks are as they were at first.
async fn goes_back(app: &TestApp, kinds: &str) {
    app.db_execute(&format!("DELETE FROM audit_events WHERE kind IN ({kinds})"))
        .await
        .unwrap();
    app.db_execute("UPDATE users SET banned = 0, ban_reason = NULL, ban_expires_at = NULL, role = 'user', version = version + 1").await.unwrap();
    app.db_execute("DELETE FROM network_blocks").await.unwrap();
}

async fn run(app: &TestApp, lines: &[String]) -> Vec<Line> {
    let done = reapply(
        &app.app,
        Permitted::as_operator(),
        parsed(lines),
        false,
        &operator(),
    )
    .await
    .unwrap();
    assert_eq!(done.faults, []);
    done.lines
}

const DECISIONS: &str = "'user.banned', 'user.unbanned', 'user.role_changed', 'network.blocked', 'network.unblocked', 'account.reclaimed'";

#[tokio::test]
async fn lost_decisions_are_done_again_once_and_later_ones_stand() {
    let app = TestApp::start().await;
    for name in ["ana", "bob", "carl", "dora"] {
        app.user(name).await;
    }
    let (ana, bob, carl, dora) = (
        id_of(&app, "ana").await,
        id_of(&app, "bob").await,
        id_of(&app, "carl").await,
        id_of(&app, "dora").await,
    );
    let nets: Vec<_> = ["198.51.100.0/24", "203.0.113.0/24"]
        .map(|net| countersign::model::limit::block::network(net).unwrap())
        .into();
    app.after(minutes(1));
    administer::set_role(
        &app.app,
        Permitted::as_operator(),
        ana,
        "admin".into(),
        &operator(),
    )
    .await
    .unwrap();
    app.after(minutes(1));
    administer::ban(
        &app.app,
        Permitted::as_operator(),
        bob,
        None,
        None,
        &operator(),
    )
    .await
    .unwrap();
    administer::ban(
        &app.app,
        Permitted::as_operator(),
        carl,
        None,
        Some(period(600)),
        &operator(),
    )
    .await
    .unwrap();
    app.after(minutes(1));
    administer::unban(&app.app, Permitted::as_operator(), carl, &operator())
        .await
        .unwrap();
    administer::ban(
        &app.app,
        Permitted::as_operator(),
        dora,
        None,
        Some(period(600)),
        &operator(),
    )
    .await
    .unwrap();
    for net in &nets {
        block(
            &app.app,
            Permitted::as_operator(),
            *net,
            minutes(120),
            "flood",
            &operator(),
        )
        .await
        .unwrap();
    }
    let lines = export(&app).await;
    goes_back(&app, DECISIONS).await;
    // After it: ana's role is decided anew, bob is banned for a shorter time, dora as she was, one
    // block is lifted.
    app.after(minutes(1));
    administer::set_role(
        &app.app,
        Permitted::as_operator(),
        ana,
        "user".into(),
        &operator(),
    )
    .await
    .unwrap();
    administer::ban(
        &app.app,
        Permitted::as_operator(),
        bob,
        None,
        Some(period(60)),
        &operator(),
    )
    .await
    .unwrap();
    administer::ban(
        &app.app,
        Permitted::as_operator(),
        dora,
        None,
        None,
        &operator(),
    )
    .await
    .unwrap();
    block(
        &app.app,
        Permitted::as_operator(),
        nets[1],
        minutes(1),
        "",
        &operator(),
    )
    .await
    .unwrap();
    assert!(
        unblock(&app.app, Permitted::as_operator(), nets[1], &operator())
            .await
            .unwrap()
    );
    let dry = reapply(
        &app.app,
        Permitted::as_operator(),
        parsed(&lines),
        true,
        &operator(),
    )
    .await
    .unwrap();
    let done = run(&app, &lines).await;
    assert_eq!(dry.lines, done, "what it would do is what it does");
    let of = |kind: &str| {
        done.iter()
            .filter(|line| line.kind == kind)
            .map(|line| line.outcome.clone())
            .collect::<Vec<_>>()
    };
    assert!(
        matches!(of("user.role_changed")[..], [Outcome::DecidedAnew(_)]),
        "{done:?}"
    );
    let bans = of("user.banned");
    assert!(matches!(&bans[..], [Outcome::Done(_), ..]), "{done:?}");
    assert_eq!(
        bans.iter()
            .filter(|o| matches!(o, Outcome::Already))
            .count(),
        2,
        "carl's was lifted later, dora's stands longer: {done:?}"
    );
    assert!(
        matches!(
            of("network.blocked")[..],
            [Outcome::Done(_), Outcome::DecidedAnew(_)]
                | [Outcome::DecidedAnew(_), Outcome::Done(_)]
        ),
        "{done:?}"
    );
    let banned = async |id| {
        let user = administer::get(&app.app, Permitted::as_operator(), id)
            .await
            .unwrap();
        (user.banned, user.ban_expires_at)
    };
    assert_eq!(
        [banned(bob).await, banned(carl).await, banned(dora).await],
        [(true, None), (false, None), (true, None)]
    );
    let blocks = operate_limits::blocks(&app.app, Permitted::as_operator())
        .await
        .unwrap();
    assert_eq!(
        blocks.iter().map(|b| b.network).collect::<Vec<_>>(),
        [nets[0]]
    );
    // An operator decides otherwise, also about what the first run found done: a second run does
    // nothing more.
    for user in [bob, dora] {
        administer::unban(&app.app, Permitted::as_operator(), user, &operator())
            .await
            .unwrap();
    }
    let events = app.db_number("SELECT COUNT(*) FROM audit_events").await;
    assert_eq!(run(&app, &lines).await, []);
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM audit_events").await,
        events
    );
}

#[tokio::test]
async fn what_was_done_again_counts_at_the_time_of_the_lost_event() {
    let app = TestApp::start().await;
    app.user("ana").await;
    let ana = id_of(&app, "ana").await;
    app.after(minutes(1));
    administer::ban(
        &app.app,
        Permitted::as_operator(),
        ana,
        None,
        None,
        &operator(),
    )
    .await
    .unwrap();
    let first = export(&app).await;
    app.after(minutes(1));
    administer::unban(&app.app, Permitted::as_operator(), ana, &operator())
        .await
        .unwrap();
    let second = export(&app).await;
    goes_back(&app, DECISIONS).await;
    app.after(minutes(1));
    assert!(
        run(&app, &first)
            .await
            .iter()
            .any(|line| matches!(line.outcome, Outcome::Done(_)))
    );
    assert!(
        administer::get(&app.app, Permitted::as_operator(), ana)
            .await
            .unwrap()
            .banned
    );
    // A newer export turns up: the ban that was done again is no decision after it.
    let done = run(&app, &second).await;
    assert!(
        !administer::get(&app.app, Permitted::as_operator(), ana)
            .await
            .unwrap()
            .banned,
        "{done:?}"
    );
}

#[tokio::test]
async fn the_password_from_before_the_mailbox_was_proven_is_removed_again() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    ana.try_sign_in(&ana.password).await.ok();
    let id = id_of(&app, "ana").await;
    // As the event of the trail says that it was before the database went back.
    let event = countersign::model::audit::event::Event {
        id: countersign::model::kernel::id::EventId::at(app.app.now(), [7; 10]),
        at: app.app.now(),
        kind: countersign::model::audit::event::Kind::AccountReclaimed,
        requester: operator(),
        subject: Some(id),
        session: None,
        detail: json!({ "profile": "forgotten" })
            .as_object()
            .cloned()
            .unwrap(),
    };
    let entry = event.entry("01900000-0000-7000-8000-000000000001", 1);
    let line = json!({ "id": entry.id, "at": entry.at, "kind": entry.kind, "actor": entry.actor, "subject": entry.subject, "session": null, "ipAddress": "",
        "userAgent": "", "requestId": "", "detail": { "profile": "forgotten" }, "writer": entry.writer, "sequence": 1, "link": base64url(&entry.expected_link(&[0; 32])) });
    app.after(minutes(1));
    let done = run(&app, &[line.to_string()]).await;
    assert!(
        matches!(
            &done[..],
            [Line {
                outcome: Outcome::Partly(_),
                ..
            }]
        ),
        "{done:?}"
    );
    assert_eq!(app.live_sessions().await, 0);
    assert_eq!(
        administer::get(&app.app, Permitted::as_operator(), id)
            .await
            .unwrap()
            .name,
        "",
        "the name may be a stranger's words"
    );
    app.post(
        "/api/auth/sign-in/email",
        &json!({ "email": ana.email, "password": ana.password }),
    )
    .await
    .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    assert_eq!(run(&app, &[line.to_string()]).await, []);
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn an_export_that_does_not_fit_its_chains_or_the_database_does_nothing() {
    let app = TestApp::start().await;
    app.user("ana").await;
    let ana = id_of(&app, "ana").await;
    administer::ban(
        &app.app,
        Permitted::as_operator(),
        ana,
        None,
        None,
        &operator(),
    )
    .await
    .unwrap();
    let lines = export(&app).await;
    goes_back(&app, DECISIONS).await;
    let changed = |n: usize, change: &dyn Fn(&mut Value)| {
        let mut all = lines.clone();
        let mut line: Value = serde_json::from_str(&all[n]).unwrap();
        change(&mut line);
        all[n] = line.to_string();
        all
    };
    let ban = lines
        .iter()
        .position(|line| line.contains("user.banned"))
        .unwrap();
    for (what, text) in [
        (
            "detail",
            changed(ban, &|line| line["detail"]["endsAt"] = 1.into()),
        ),
        (
            "time",
            changed(ban, &|line| line["at"] = "2020-01-01T00:00:00.000Z".into()),
        ),
        (
            "actor",
            changed(ban, &|line| line["actor"] = "cli:other".into()),
        ),
        (
            "place",
            changed(ban, &|line| line["sequence"] = (-1).into()),
        ),
        ("link", changed(ban, &|line| line["link"] = "x".into())),
        (
            "an event that the database has otherwise",
            changed(0, &|line| line["link"] = base64url(&[1; 32]).into()),
        ),
    ] {
        let done = reapply(
            &app.app,
            Permitted::as_operator(),
            parsed(&text),
            false,
            &operator(),
        )
        .await
        .unwrap();
        assert!(
            !done.faults.is_empty() && done.lines.is_empty(),
            "{what}: {done:?}"
        );
        assert!(
            !administer::get(&app.app, Permitted::as_operator(), ana)
                .await
                .unwrap()
                .banned,
            "{what}"
        );
    }
    // A part of the trail: the database knows the link of the event before.
    let part: Vec<String> = lines[ban..].to_vec();
    let done = run(&app, &part).await;
    assert!(
        done.iter()
            .any(|line| line.kind == "user.banned" && matches!(line.outcome, Outcome::Done(_))),
        "{done:?}"
    );
}

#[tokio::test]
async fn the_log_is_told_the_end_of_every_chain_a_new_one_at_once_and_one_that_grows_after_a_pause()
{
    let app = TestApp::start().await;
    let other = app.replica(&[]).await.unwrap();
    app.user("ana").await;
    let ana = id_of(&app, "ana").await;
    let own = |told: &[Known], process: &TestApp| {
        told.iter()
            .any(|known| known.writer.starts_with(&process.app.writer))
    };
    due(&app.app, PAUSE).await.unwrap();
    assert_eq!(due(&app.app, PAUSE).await.unwrap(), []);
    administer::set_role(
        &other.app,
        Permitted::as_operator(),
        ana,
        "user".into(),
        &operator(),
    )
    .await
    .unwrap();
    let told = due(&app.app, Duration::ZERO).await.unwrap();
    assert!(
        own(&told, &other) && told.iter().all(|known| known.at.is_some()),
        "the chain of another process: {told:?}"
    );
    administer::set_role(
        &other.app,
        Permitted::as_operator(),
        ana,
        "user".into(),
        &operator(),
    )
    .await
    .unwrap();
    assert_eq!(
        due(&app.app, PAUSE).await.unwrap(),
        [],
        "not before the pause is over"
    );
    app.after(PAUSE);
    assert!(own(&due(&app.app, PAUSE).await.unwrap(), &other));
    let still = compare(&app.app, Permitted::as_operator(), &told)
        .await
        .unwrap();
    assert_eq!(
        (still.there, still.faults.len()),
        (told.len() as u64, 0),
        "the chains have grown, and what was told is at its place"
    );
}

#[tokio::test]
async fn what_is_marked_as_deleted_for_its_age_is_excused_by_its_time_alone_and_counted_apart() {
    let app = TestApp::with(&[("audit.retention", "30d")]).await;
    app.user("ana").await;
    let old = due(&app.app, PAUSE).await.unwrap();
    app.runs_for(minutes(60 * 24 * 31)).await;
    let ana = id_of(&app, "ana").await;
    administer::set_role(
        &app.app,
        Permitted::as_operator(),
        ana,
        "user".into(),
        &operator(),
    )
    .await
    .unwrap();
    let young = due(&app.app, PAUSE).await.unwrap();
    let there = compare(
        &app.app,
        Permitted::as_operator(),
        &[&old[..], &young].concat(),
    )
    .await
    .unwrap();
    assert_eq!(
        (there.there, there.excused, there.faults.len()),
        ((old.len() + young.len()) as u64, 0, 0)
    );
    app.db_execute("DELETE FROM audit_events").await.unwrap();
    app.db_execute("UPDATE audit_chains SET pruned_sequence = sequence, pruned_link = link")
        .await
        .unwrap();
    let report = verify(&app.app, Permitted::as_operator()).await.unwrap();
    assert!(report.marked > 0 && report.events == 0, "{report:?}");
    let found = compare(
        &app.app,
        Permitted::as_operator(),
        &[&old[..], &young].concat(),
    )
    .await
    .unwrap();
    assert_eq!(
        (found.there, found.excused),
        (0, old.len() as u64),
        "{found:?}"
    );
    assert!(
        found.faults.len() == young.len()
            && found
                .faults
                .iter()
                .all(|fault| matches!(fault, Fault::NotThere { .. })),
        "{found:?}"
    );
    let untold: Vec<Known> = old
        .iter()
        .map(|known| Known {
            at: None,
            ..known.clone()
        })
        .collect();
    assert_eq!(
        compare(&app.app, Permitted::as_operator(), &untold)
            .await
            .unwrap()
            .excused,
        0,
        "without a time nothing explains it"
    );
    let line = |time: &str| {
        format!(
            r#"{{"writer":"w","sequence":3,"link":"l","{time}":"2026-11-28T10:00:00.123456Z"}}"#
        )
    };
    assert_eq!(
        Known::parse(&line("timestamp")).unwrap().at,
        Known::parse(&line("at")).unwrap().at
    );
    assert!(
        Known::parse(&line("timestamp")).unwrap().at.is_some()
            && Known::parse(&line("when")).unwrap().at.is_none()
    );
}
