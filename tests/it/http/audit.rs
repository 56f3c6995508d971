//! The audit trail: what it records, who may read it, and that nothing can be removed from it
//! unseen.

use countersign::flows::audit::read_audit::{Fault, verify};
use countersign::flows::permit::Permitted;
use serde_json::{Value, json};

use crate::support::{TestApp, minutes};

/// Events of a network, also those from an IPv4 address inside IPv6, and none of the schedule's.
#[tokio::test]
async fn the_events_of_an_ip_address_and_of_a_network_are_found() {
    use countersign::flows::audit::read_audit::Filter;
    use countersign::flows::audit::search_audit::from_network;
    use countersign::model::limit::block::network;
    let app = lived_in(&[]).await;
    for (kind, address) in [
        ("session.created", "198.51.100.7"),
        ("user.created", "::ffff:198.51.100.99"),
    ] {
        app.db_execute(&format!(
            "UPDATE audit_events SET ip_address = '{address}' WHERE kind = '{kind}'"
        ))
        .await
        .unwrap();
    }
    let find = async |text: &str, kind: Option<&str>, limit: usize| {
        let filter = Filter {
            kind: kind.map(ToOwned::to_owned),
            ..Filter::default()
        };
        let network = network(text).unwrap();
        from_network(&app.app, Permitted::as_operator(), filter, network, limit)
            .await
            .unwrap()
    };
    let whole = find("198.51.100.0/24", None, 100).await;
    let created = app.db_count_events("session.created").await;
    let users = app.db_count_events("user.created").await;
    assert!(created >= 5 && users >= 1, "{created} {users}");
    assert_eq!(
        i64::try_from(whole.len()).unwrap(),
        created + users,
        "{whole:?}"
    );
    assert!(
        whole.is_sorted_by(|one, next| one.at >= next.at),
        "newest first"
    );
    let one = find("198.51.100.7", None, 100).await;
    assert_eq!(i64::try_from(one.len()).unwrap(), created);
    assert_eq!(find("198.51.100.7", None, 2).await, one[..2]);
    assert_eq!(
        find("198.51.100.0/24", Some("user."), 100).await.len(),
        usize::try_from(users).unwrap()
    );
    assert!(find("203.0.113.0/24", None, 100).await.is_empty());
}

/// An app in which things have happened.
async fn lived_in(settings: &[(&str, &str)]) -> TestApp {
    let app = TestApp::with(settings).await;
    let ana = app.user("ana").await;
    for _ in 0..5 {
        let session = ana.sign_in().await.session;
        app.post_as("/api/auth/sign-out", &session, &json!({}))
            .await
            .ok();
    }
    assert_eq!(
        verify(&app.app, Permitted::as_operator())
            .await
            .unwrap()
            .faults,
        []
    );
    app
}

/// A writer with enough events, and where its chain ends.
const LONGEST: &str =
    "(SELECT writer FROM audit_events GROUP BY writer ORDER BY COUNT(*) DESC, writer LIMIT 1)";

#[tokio::test]
async fn a_deleted_an_edited_and_a_moved_event_show() {
    let app = lived_in(&[]).await;
    let last = app
        .db_number(&format!(
            "SELECT MAX(sequence) FROM audit_events WHERE writer = {LONGEST}"
        ))
        .await;
    assert!(last >= 3, "{last}");
    let faults = async || {
        verify(&app.app, Permitted::as_operator())
            .await
            .unwrap()
            .faults
    };
    // Edited: that one and no other.
    let edit = |what: &str| {
        format!("UPDATE audit_events SET {what} WHERE sequence = 2 AND writer = {LONGEST}")
    };
    for (there, back) in [
        (
            "kind = kind || 'x'",
            "kind = substr(kind, 1, length(kind) - 1)",
        ),
        ("at = at + 1", "at = at - 1"),
        (
            "actor = actor || 'x'",
            "actor = substr(actor, 1, length(actor) - 1)",
        ),
    ] {
        app.db_execute(&edit(there)).await.unwrap();
        let found = faults().await;
        assert!(
            matches!(&found[..], [Fault::Altered { sequence: 2, .. }]),
            "{there}: {found:?}"
        );
        app.db_execute(&edit(back)).await.unwrap();
        assert_eq!(faults().await, []);
    }
    // Moved: both that changed places.
    for (from, to) in [(1, -1), (2, 1), (-1, 2)] {
        app.db_execute(&format!(
            "UPDATE audit_events SET sequence = {to} WHERE sequence = {from} AND writer = {LONGEST}"
        ))
        .await
        .unwrap();
    }
    let found = faults().await;
    let altered: Vec<i64> = found
        .iter()
        .filter_map(|f| {
            if let Fault::Altered { sequence, .. } = f {
                Some(*sequence)
            } else {
                None
            }
        })
        .collect();
    assert!(altered.starts_with(&[1, 2]), "{found:?}");
    for (from, to) in [(1, -1), (2, 1), (-1, 2)] {
        app.db_execute(&format!(
            "UPDATE audit_events SET sequence = {to} WHERE sequence = {from} AND writer = {LONGEST}"
        ))
        .await
        .unwrap();
    }
    assert_eq!(faults().await, []);
    // Deleted, at the end and in the middle.
    app.db_execute(&format!(
        "DELETE FROM audit_events WHERE sequence = {last} AND writer = {LONGEST}"
    ))
    .await
    .unwrap();
    let found = faults().await;
    assert!(
        matches!(&found[..], [Fault::Missing { from, to, .. }] if (*from, *to) == (last, last)),
        "{found:?}"
    );
    app.db_execute(&format!(
        "DELETE FROM audit_events WHERE sequence = 1 AND writer = {LONGEST}"
    ))
    .await
    .unwrap();
    let found = faults().await;
    assert!(
        found
            .iter()
            .any(|f| matches!(f, Fault::Missing { from: 1, to: 1, .. })),
        "{found:?}"
    );
}

#[tokio::test]
async fn what_is_older_than_the_settings_keep_goes_and_the_rest_still_proves_itself() {
    let app = lived_in(&[("audit.retention", "30d")]).await;
    let before = app.db_number("SELECT COUNT(*) FROM audit_events").await;
    app.runs_for(minutes(60 * 24 * 31)).await;
    app.user("bob").await.sign_in().await;
    countersign::flows::ops::prune::prune(&app.app)
        .await
        .unwrap();
    let after = app.db_number("SELECT COUNT(*) FROM audit_events").await;
    assert!(after < before && after >= 3, "{before} {after}");
    assert_eq!(
        verify(&app.app, Permitted::as_operator())
            .await
            .unwrap()
            .faults,
        []
    );
    // The chain goes on where it was.
    app.user("carl").await;
    assert_eq!(
        verify(&app.app, Permitted::as_operator())
            .await
            .unwrap()
            .faults,
        []
    );
    app.db_execute(&format!(
        "DELETE FROM audit_events WHERE writer = {LONGEST} AND sequence = (SELECT MIN(sequence) FROM audit_events WHERE writer = {LONGEST})"
    ))
    .await
    .unwrap();
    assert_eq!(
        verify(&app.app, Permitted::as_operator())
            .await
            .unwrap()
            .faults
            .len(),
        1
    );
}

#[tokio::test]
async fn only_admins_read_it_page_by_page() {
    use countersign::flows::account::{administer_users, manage_users};
    use countersign::model::audit::event::Requester;
    let app = TestApp::start().await;
    let (root, ana) = (app.user("root").await, app.user("ana").await);
    let found = manage_users::find(&app.app, Permitted::as_operator(), &root.email)
        .await
        .unwrap();
    administer_users::set_role(
        &app.app,
        Permitted::as_operator(),
        found.id,
        "admin".into(),
        &Requester::default(),
    )
    .await
    .unwrap();
    let (admin, user) = (root.sign_in().await.session, ana.sign_in().await.session);
    app.get("/api/auth/admin/audit")
        .await
        .refused(401, "UNAUTHORIZED");
    app.get_as("/api/auth/admin/audit", &user)
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_READ_THE_AUDIT_TRAIL");
    app.post(
        "/api/auth/sign-in/email",
        &json!({ "email": ana.email, "password": "a wrong password" }),
    )
    .await
    .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    app.post(
        "/api/auth/sign-in/email",
        &json!({ "email": "unknown@example.com", "password": "a wrong password" }),
    )
    .await
    .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    let ana_id = app.get_as("/api/auth/session", &user).await.ok().body["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let read = async |query: &str| {
        app.get_as(&format!("/api/auth/admin/audit?{query}"), &admin)
            .await
            .ok()
            .body
    };
    let kinds = |page: &Value| {
        page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let about_ana = read(&format!("userId={ana_id}")).await;
    let mut found = kinds(&about_ana);
    found.sort();
    assert_eq!(
        found,
        [
            "session.created",
            "session.created",
            "session.refused",
            "user.created"
        ]
    );
    // An unknown user is refused in the same way, and nothing says who it might have been.
    let refused = read("kind=session.refused").await;
    let whom: Vec<&Value> = refused["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["userId"])
        .collect();
    assert!(
        whom.contains(&&json!(ana_id))
            && whom.contains(&&Value::Null)
            && !refused.to_string().contains("a wrong password"),
        "{refused}"
    );
    // Page by page nothing is lost and nothing comes twice.
    let all = read("limit=1000").await;
    assert!(all["next"].is_null());
    let (mut ids, mut place) = (Vec::new(), String::new());
    loop {
        let page = read(&format!("limit=3{place}")).await;
        ids.extend(
            page["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["id"].clone()),
        );
        match page["next"].as_str() {
            Some(next) => place = format!("&before={next}"),
            None => break,
        }
    }
    let whole: Vec<Value> = all["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["id"].clone())
        .collect();
    assert_eq!(ids, whole);
    app.get_as("/api/auth/admin/audit?before=nonsense", &admin)
        .await
        .refused(400, "VALIDATION_ERROR");
    app.get_as("/api/auth/admin/audit?since=tomorrow", &admin)
        .await
        .refused(400, "VALIDATION_ERROR");
    for since in ["since=yesterday", "since=3d", "since=2026-11-01"] {
        assert_eq!(kinds(&read(since).await).len(), whole.len(), "{since}");
    }
    assert_eq!(
        kinds(&read("since=2099-01-01T00:00:00.000Z").await),
        Vec::<String>::new()
    );
}
