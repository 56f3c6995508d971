//! Signing keys over time.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use countersign::clock::Clock;
use countersign::flows::Error;
use countersign::flows::confirm_clock;
use countersign::flows::key::change_keys::{Enters, KeyChange, Stated, change};
use countersign::flows::key::load_keys;
use countersign::flows::key::rewrap::{Options, rewrap};
use countersign::flows::permit::Permitted;
use countersign::jobs::rotate_due_keys;
use countersign::model::kernel::time::Timestamp;
use countersign::model::kernel::trusted_clock::{Evidence, confirm};
use countersign::model::key::algorithm::Algorithm;
use countersign::model::key::key::State;
use countersign::model::key::plan::{KeyOperation, plan};
use countersign::store;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use crate::support::{TestApp, minutes, seconds};

/// What an offline verifier does with a JWKS it fetched at some time.
fn verifies(jwks: &str, token: &str, now: i64) -> bool {
    let set: JwkSet = serde_json::from_str(jwks).unwrap();
    let kid = decode_header(token).unwrap().kid.unwrap();
    let Some(jwk) = set.find(&kid) else {
        return false;
    };
    let mut validation = Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_audience(&["http://localhost:4000"]);
    let claims = decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation);
    claims.is_ok_and(|c| c.claims["exp"].as_i64().unwrap() > now)
}

async fn jwks(app: &TestApp) -> String {
    app.get("/api/auth/jwks").await.ok().text
}

fn order(wish: KeyOperation) -> KeyChange {
    KeyChange::new(wish, Default::default())
}

#[tokio::test]
async fn k1_through_a_year_no_verifier_meets_a_key_it_could_not_have() {
    let app = TestApp::with(&[
        ("sessions.idle_ttl", "366d"),
        ("sessions.absolute_ttl", "366d"),
    ])
    .await;
    let ana = app.user("ana").await;
    let mut token = ana.sign_in().await;
    let stale = minutes(7 * 24 * 60 - 60);
    let mut fetched: BTreeMap<i64, String> =
        BTreeMap::from([(app.clock.now_ms(), jwks(&app).await)]);
    let mut issued: Vec<(i64, String)> = Vec::new();
    let (mut rotations, mut verified) = (0, 0);
    for minute in 1..=365 * 24 * 60 {
        app.after(minutes(1));
        let (now, ring) = (app.clock.now_ms(), app.app.ring().unwrap());
        let states = |state| {
            ring.default_slot()
                .unwrap()
                .keys
                .iter()
                .filter(|k| k.state == state)
                .count()
        };
        assert!(
            states(State::Active) == 1 && states(State::Standby) == 1,
            "minute {minute}"
        );
        assert!(
            ring.default_slot()
                .unwrap()
                .keys
                .iter()
                .filter(|k| k.state.is_published())
                .count()
                <= 5
        );
        let due = KeyOperation::Scheduled(
            confirm(Timestamp(now), Evidence::default(), Duration::ZERO).unwrap(),
        );
        if minute % 720 == 0 {
            confirm_clock::confirm(&app.app).await.unwrap();
        }
        if !plan(
            Timestamp(now),
            ring.default_slot().unwrap(),
            &app.app.config.keys.policies.of_default(),
            &due,
        )
        .unwrap()
        .is_empty()
        {
            let before = ring.default_key().unwrap().kid.as_str().to_owned();
            rotate_due_keys(&app.app).await.unwrap();
            fetched.insert(now, jwks(&app).await);
            rotations += u32::from(app.active_kid() != before);
        }
        // A token every six hours, and every minute from a quarter of an hour before each change of
        // the ring until two minutes after it.
        let ring = app.app.ring().unwrap();
        let soon = ring
            .default_slot()
            .unwrap()
            .next_rotation(&app.app.config.keys.policies.of_default())
            .is_some_and(|at| at.0 - now <= 900_000);
        let near = soon
            || fetched
                .last_key_value()
                .is_some_and(|(at, _)| now - at <= 120_000);
        let after_change = fetched
            .last_key_value()
            .is_some_and(|(at, _)| now - at <= 1_200_000);
        if minute % 360 == 0 || near {
            let answer = app.refresh(&token.refresh).await.ok();
            if let Some(next) = answer.body["refreshToken"].as_str() {
                next.clone_into(&mut token.refresh);
            }
            issued.push((now, answer.str("accessToken")));
        }
        let expires = |token: &str| {
            crate::support::actors::claims(token)["exp"]
                .as_i64()
                .unwrap()
        };
        issued.retain(|(_, token)| expires(token) * 1000 > now);
        let oldest = now - i64::try_from(stale.as_millis()).unwrap();
        if !issued.is_empty() && (near || after_change || minute % 60 == 0) {
            // Whatever was the current JWKS at any time since `oldest`.
            let since = fetched
                .range(..=oldest)
                .next_back()
                .map_or(i64::MIN, |(at, _)| *at);
            for jwks in fetched.range(since..).map(|(_, jwks)| jwks) {
                for (_, token) in &issued {
                    assert!(verifies(jwks, token, now / 1000), "minute {minute}");
                    verified += 1;
                }
            }
        }
    }
    println!(
        "{rotations} rotations, {verified} verifications against JWKS up to 7 days less one hour old, 0 failures"
    );
    assert_eq!(rotations, 52);
    assert!(verified > 500);
}

#[tokio::test]
async fn k2_of_ten_who_rotate_at_once_one_does() {
    let app = TestApp::start().await;
    app.after(minutes(70));
    let seen = app.app.ring().unwrap().slots.active_kids();
    let tries = (0..10).map(|_| {
        change(
            &app.app,
            Permitted::as_operator(),
            order(KeyOperation::Rotate { force: false }).if_active(seen.clone()),
        )
    });
    let outcomes = futures_util::future::join_all(tries).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    assert_eq!(
        outcomes
            .iter()
            .filter(|o| matches!(o, Err(Error::AlreadyRotated | Error::KeyRefused(_))))
            .count(),
        9
    );
    assert_eq!(app.db_number("SELECT COUNT(*) FROM signing_keys").await, 3);
}

#[tokio::test]
async fn k3_revoking_the_active_key_goes_on_with_the_standby_that_everybody_has() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let tokens = ana.sign_in().await;
    app.after(minutes(70));
    let old_jwks = jwks(&app).await;
    let kid = decode_header(&tokens.access).unwrap().kid.unwrap();
    change(
        &app.app,
        Permitted::as_operator(),
        order(KeyOperation::Revoke(kid.clone())).with_reason("leaked"),
    )
    .await
    .unwrap();
    let fresh = app.refresh(&tokens.refresh).await.ok().str("accessToken");
    assert!(
        verifies(&old_jwks, &fresh, app.clock.now_ms() / 1000),
        "without a fetch"
    );
    assert!(!jwks(&app).await.contains(&kid));
    app.get_as("/api/auth/session", &tokens.access)
        .await
        .refused(401, "UNAUTHORIZED");
    // Verifiers that fetch only on an unknown kid meet one after Λ.
    let before = app.active_kid();
    app.after(minutes(65));
    rotate_due_keys(&app.app).await.unwrap();
    assert_eq!(app.active_kid(), before, "not before Λ");
    app.after(minutes(2));
    rotate_due_keys(&app.app).await.unwrap();
    assert_ne!(app.active_kid(), before);
    assert!(matches!(
        change(
            &app.app,
            Permitted::as_operator(),
            order(KeyOperation::Revoke(kid))
        )
        .await,
        Err(Error::KeyRefused(_))
    ));
    assert_eq!(
        app.db_text("SELECT reason FROM signing_keys WHERE state = 'revoked'")
            .await
            .as_deref(),
        Some("leaked")
    );
    assert_eq!(
        app.db_text("SELECT private_jwe FROM signing_keys WHERE state = 'revoked'")
            .await,
        None
    );
}

#[tokio::test]
async fn k3_a_key_revoked_from_the_shell_signs_nothing_more_beside_it() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let shell = app.replica(&[]).await.unwrap();
    let kid = app.active_kid();
    change(
        &shell.app,
        Permitted::as_operator(),
        order(KeyOperation::Revoke(kid.clone())).with_reason("leaked"),
    )
    .await
    .unwrap();
    // Not yet polled: the first sign-in already signs with the standby.
    let tokens = ana.sign_in().await;
    assert_ne!(decode_header(&tokens.access).unwrap().kid.unwrap(), kid);
}

#[tokio::test]
async fn k3_compromised_replaces_every_key() {
    let app = TestApp::start().await;
    let before = jwks(&app).await;
    change(
        &app.app,
        Permitted::as_operator(),
        order(KeyOperation::ReplaceAll),
    )
    .await
    .unwrap();
    let after: Value = serde_json::from_str(&jwks(&app).await).unwrap();
    assert_eq!(after["keys"].as_array().unwrap().len(), 2);
    assert!(
        after["keys"]
            .as_array()
            .unwrap()
            .iter()
            .all(|k| !before.contains(k["kid"].as_str().unwrap()))
    );
    let tombstones = "SELECT COUNT(*) FROM signing_keys WHERE state = 'revoked'";
    assert_eq!(app.db_number(tombstones).await, 2);
    let with_private_part = format!("{tombstones} AND private_jwe IS NOT NULL");
    assert_eq!(app.db_number(&with_private_part).await, 0);
}

#[tokio::test]
async fn k5_a_rotation_that_stops_between_any_two_steps_leaves_nothing_behind() {
    let app = TestApp::start().await;
    app.after(minutes(70));
    let look = async || {
        app.app
            .db
            .read(|conn| Box::pin(store::key::signing_keys::load(conn)))
            .await
            .unwrap()
    };
    let before = look().await;
    let (active, standby) = (before.keys[0].key.clone(), before.keys[1].key.clone());
    assert_eq!(
        (active.state, standby.state),
        (State::Active, State::Standby)
    );
    for stop_after in 0..4 {
        let (a, s, seen) = (active.kid.clone(), standby.kid.clone(), before.id);
        let failed: store::Result<()> = app
            .app
            .db
            .write(move |conn| {
                Box::pin(async move {
                    store::key::signing_keys::advance(conn, seen, 1).await?;
                    if stop_after > 0 {
                        store::key::signing_keys::retire(conn, &a, Timestamp(0)).await?;
                    }
                    if stop_after > 1 {
                        store::key::signing_keys::activate(conn, &s, seconds(900), Timestamp(0))
                            .await?;
                    }
                    if stop_after > 2 {
                        store::key::signing_keys::set_rotate_after(
                            conn,
                            Algorithm::EdDsa,
                            Some(Timestamp(0)),
                        )
                        .await?;
                    }
                    Err(store::Error::Conflict)
                })
            })
            .await;
        assert!(failed.is_err());
        let after = look().await;
        assert_eq!(
            (
                after.id,
                &after.keys[0].key,
                &after.keys[1].key,
                after.bounds[&Algorithm::EdDsa].rotate_after
            ),
            (before.id, &active, &standby, None)
        );
    }
    change(
        &app.app,
        Permitted::as_operator(),
        order(KeyOperation::Rotate { force: false }),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn k6_a_bad_master_key_is_a_clear_error_and_nothing_is_overwritten() {
    let app = TestApp::start().await;
    let path = app.path("keys/master.key");
    let good = std::fs::read_to_string(&path).unwrap();
    let start = async || {
        app.replica(&[])
            .await
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let mode =
        |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();

    std::fs::write(&path, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY\n").unwrap();
    assert!(
        start().await.contains("which is not loaded"),
        "wrong: {}",
        start().await
    );
    std::fs::write(&path, &good[..20]).unwrap();
    assert!(
        start().await.contains("43 characters"),
        "truncated: {}",
        start().await
    );
    std::fs::write(&path, &good).unwrap();
    mode(0o644);
    assert!(
        start().await.contains("chmod 600"),
        "readable by others: {}",
        start().await
    );
    mode(0o600);
    std::fs::remove_file(&path).unwrap();
    assert!(
        start()
            .await
            .contains("The database holds keys sealed under the master key"),
        "missing: {}",
        start().await
    );
    assert!(!path.exists(), "no new key was made");
    std::fs::create_dir(&path).unwrap();
    assert!(!start().await.is_empty(), "a folder");
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, &good).unwrap();
    mode(0o600);
    assert_eq!(start().await, "");
}

#[tokio::test]
async fn k6_a_damaged_or_pasted_private_key_is_a_clear_error() {
    let app = TestApp::start().await;
    let flip = "UPDATE signing_keys SET private_jwe = substr(private_jwe, 1, 120) || CASE substr(private_jwe, 121, 1) WHEN 'A' THEN 'B' ELSE 'A' END || substr(private_jwe, 122)";
    let paste = "UPDATE signing_keys SET private_jwe = (SELECT private_jwe FROM signing_keys ORDER BY kid LIMIT 1)";
    let public = "UPDATE signing_keys SET public_jwk = (SELECT public_jwk FROM signing_keys ORDER BY kid LIMIT 1)";
    app.db_execute("CREATE TABLE backup AS SELECT * FROM signing_keys")
        .await
        .unwrap();
    for damage in [flip, paste, public] {
        app.db_execute(damage).await.unwrap();
        let error = app.replica(&[]).await.err().unwrap().to_string();
        assert!(error.contains("damaged or changed"), "{error}");
        let restore = "UPDATE signing_keys SET private_jwe = (SELECT b.private_jwe FROM backup b WHERE b.kid = signing_keys.kid), public_jwk = (SELECT b.public_jwk FROM backup b WHERE b.kid = signing_keys.kid)";
        app.db_execute(restore).await.unwrap();
    }
    assert!(app.replica(&[]).await.is_ok());
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM signing_keys").await,
        2,
        "no new key was made over the old ones"
    );
}

/// Another process has sealed the keys anew, and this one has not followed yet.
#[tokio::test]
async fn a_replica_that_is_behind_another_master_key_loads_it_before_a_session_begins() {
    use base64::Engine;
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let file = app.path("new.key");
    std::fs::write(&file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let beside = [(
        "COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE",
        file.display().to_string(),
    )];
    let [for_sign_in, for_sign_up] = [
        app.replica(&beside).await.unwrap(),
        app.replica(&beside).await.unwrap(),
    ];
    rewrap(
        &app.app,
        Permitted::as_operator(),
        &file,
        Options::default(),
        &Default::default(),
    )
    .await
    .unwrap();
    let credentials = serde_json::json!({ "email": ana.email, "password": ana.password, "name": "Ana", "tokenDelivery": "body" });
    let mut newcomer = credentials.clone();
    newcomer["email"] = "bob@example.com".into();
    let answers = [
        for_sign_in
            .post("/api/auth/sign-in/email", &credentials)
            .await
            .ok(),
        for_sign_up
            .post("/api/auth/sign-up/email", &newcomer)
            .await
            .ok(),
    ];
    for answer in answers {
        let token = answer.str("refreshToken");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(&token[4..])
            .unwrap();
        assert_eq!(bytes[0], 2, "made with the new key");
        for_sign_in.refresh(&token).await.ok();
    }
}

#[tokio::test]
async fn k7_a_dry_run_and_a_failed_rewrap_change_nothing() {
    let app = TestApp::start().await;
    let file = app.path("new.key");
    std::fs::write(&file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let sealed = async || {
        app.db_texts("SELECT private_jwe FROM signing_keys ORDER BY kid")
            .await
    };
    let before = sealed().await;
    let dry = rewrap(
        &app.app,
        Permitted::as_operator(),
        &file,
        Options {
            dry_run: true,
            ..Options::default()
        },
        &Default::default(),
    )
    .await
    .unwrap();
    assert_eq!((dry.keys, dry.version), (2, 2));
    assert_eq!(sealed().await, before);
    rewrap(
        &app.app,
        Permitted::as_operator(),
        &file,
        Options::default(),
        &Default::default(),
    )
    .await
    .unwrap();
    assert_ne!(sealed().await, before);
    let again = rewrap(
        &app.app,
        Permitted::as_operator(),
        &file,
        Options::default(),
        &Default::default(),
    )
    .await;
    assert!(again.is_err(), "the running process has only the old key");
    assert!(
        app.replica(&[]).await.is_err(),
        "the old key opens nothing any more"
    );
    let with_new = app
        .replica(&[("COUNTERSIGN_MASTER_KEY_FILE", file.display().to_string())])
        .await
        .unwrap();
    with_new.user("ana").await.sign_in().await;
    assert!(
        with_new.path("keys/master.key").exists(),
        "rewrap never writes the key file"
    );
}

/// Everything that a rewrap writes.
async fn rows_of_keys(app: &TestApp) -> Vec<String> {
    let mut rows = app.db_texts("SELECT kid || ' ' || state || ' ' || COALESCE(private_jwe, '-') FROM signing_keys ORDER BY kid").await;
    rows.extend(
        app.db_texts("SELECT key_id FROM master_keys ORDER BY version")
            .await,
    );
    rows.push(
        app.db_number("SELECT version FROM key_ring")
            .await
            .to_string(),
    );
    rows.push(
        app.db_number("SELECT COALESCE(master_version, 0) FROM key_ring")
            .await
            .to_string(),
    );
    rows.push(
        app.db_number("SELECT COUNT(*) FROM audit_events")
            .await
            .to_string(),
    );
    rows
}

#[tokio::test]
async fn a_rewrap_that_is_refused_after_its_first_key_leaves_every_row_as_it_was() {
    let app = TestApp::start().await;
    let file = app.path("new.key");
    std::fs::write(&file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let kids = app
        .db_texts("SELECT kid FROM signing_keys ORDER BY published_at, kid")
        .await;
    assert_eq!(kids.len(), 2);
    // Each of the keys in turn: one of them is sealed anew before the other one is refused.
    for damaged in &kids {
        app.db_execute("CREATE TABLE backup AS SELECT * FROM signing_keys")
            .await
            .unwrap();
        app.db_execute(&format!(
            "UPDATE signing_keys SET private_jwe = 'x' || private_jwe WHERE kid = '{damaged}'"
        ))
        .await
        .unwrap();
        let rows = rows_of_keys(&app).await;
        let refused = rewrap(
            &app.app,
            Permitted::as_operator(),
            &file,
            Options::default(),
            &Default::default(),
        )
        .await;
        assert!(refused.is_err(), "{damaged} cannot be opened");
        assert_eq!(rows_of_keys(&app).await, rows);
        app.db_execute("UPDATE signing_keys SET private_jwe = (SELECT b.private_jwe FROM backup b WHERE b.kid = signing_keys.kid)").await.unwrap();
        app.db_execute("DROP TABLE backup").await.unwrap();
    }
    rewrap(
        &app.app,
        Permitted::as_operator(),
        &file,
        Options::default(),
        &Default::default(),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_replica_with_the_old_master_key_cannot_seal() {
    let app = TestApp::start().await;
    let stale = app.replica(&[]).await.unwrap();
    let rotation = || order(KeyOperation::Rotate { force: true });
    change(&stale.app, Permitted::as_operator(), rotation())
        .await
        .unwrap();
    let keys = "SELECT COUNT(*) FROM signing_keys";
    let before = stale.db_number(keys).await;
    let file = app.path("new.key");
    std::fs::write(&file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    rewrap(
        &app.app,
        Permitted::as_operator(),
        &file,
        Options::default(),
        &Default::default(),
    )
    .await
    .unwrap();
    assert!(
        change(&stale.app, Permitted::as_operator(), rotation())
            .await
            .is_err()
    );
    assert_eq!(stale.db_number(keys).await, before);
}

#[tokio::test]
async fn a_replica_that_is_behind_reloads_before_it_signs() {
    let app = TestApp::start().await;
    let other = app.replica(&[]).await.unwrap();
    let tokens = app.user("ana").await.sign_in().await;
    change(
        &app.app,
        Permitted::as_operator(),
        order(KeyOperation::Rotate { force: true }),
    )
    .await
    .unwrap();
    let signed_by = decode_header(other.refresh(&tokens.refresh).await.ok().str("accessToken"))
        .unwrap()
        .kid;
    assert_eq!(signed_by, Some(app.active_kid()));
}

#[tokio::test]
async fn lowering_the_ttl_does_not_remove_a_key_early() {
    let app = TestApp::with(&[("tokens.access_ttl", "60m")]).await;
    let short = app.replica_with(&[("tokens.access_ttl", "5m")]).await;
    app.after(minutes(70));
    let active = app.active_kid();
    change(
        &short.app,
        Permitted::as_operator(),
        order(KeyOperation::Rotate { force: false }),
    )
    .await
    .unwrap();
    app.after(minutes(60));
    rotate_due_keys(&short.app).await.unwrap();
    assert!(jwks(&short).await.contains(&active));
    app.after(minutes(2));
    rotate_due_keys(&short.app).await.unwrap();
    assert!(!jwks(&short).await.contains(&active));
}

#[tokio::test]
async fn a_longer_verifier_cache_once_seen_is_remembered() {
    let app = TestApp::with(&[("keys.verifier_cache", "3h")]).await;
    let forgetful = app.replica_with(&[("keys.verifier_cache", "0s")]).await;
    app.after(minutes(70));
    assert!(matches!(
        change(
            &forgetful.app,
            Permitted::as_operator(),
            order(KeyOperation::Rotate { force: false })
        )
        .await,
        Err(Error::KeyRefused(_))
    ));
}

#[tokio::test]
async fn an_imported_key_signs_next_and_its_kid_never_returns() {
    let app = TestApp::start().await;
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let import = || {
        let enters = Enters::Standby;
        KeyChange::import(jwk, &Stated::default(), enters, None, Default::default()).unwrap()
    };
    change(&app.app, Permitted::as_operator(), import())
        .await
        .unwrap();
    let kid = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    assert!(jwks(&app).await.contains(kid));
    assert!(matches!(
        change(&app.app, Permitted::as_operator(), import()).await,
        Err(Error::KeyUnusable(_))
    ));
    app.after(Duration::from_secs(4_000));
    change(
        &app.app,
        Permitted::as_operator(),
        order(KeyOperation::Rotate { force: false }),
    )
    .await
    .unwrap();
    let tokens = app.user("ana").await.sign_in().await;
    assert_eq!(
        decode_header(&tokens.access).unwrap().kid.as_deref(),
        Some(kid)
    );
    change(
        &app.app,
        Permitted::as_operator(),
        order(KeyOperation::Revoke(kid.into())).with_reason("test"),
    )
    .await
    .unwrap();
    assert!(matches!(
        change(&app.app, Permitted::as_operator(), import()).await,
        Err(Error::KeyUnusable(_))
    ));
    load_keys::confirm(&app.app).await.unwrap();
}

#[tokio::test]
async fn a_lost_master_key_is_given_up_and_everybody_signs_in_again() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let (tokens, browser) = (ana.sign_in().await, ana.browser().await);
    let kids = app
        .db_texts("SELECT kid FROM signing_keys ORDER BY kid")
        .await;
    let before = rows_of_keys(&app).await;
    let early = app.abandon_master_key().await.unwrap_err().to_string();
    assert!(early.contains("is loaded, so it is not lost"), "{early}");
    assert_eq!(
        (rows_of_keys(&app).await, app.live_sessions().await),
        (before, 3)
    );

    let file = app.path("keys/master.key");
    let lost = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(
        app.replica(&[]).await.is_err(),
        "no process makes a key over a database that has one"
    );
    let done = app.abandon_master_key().await.unwrap();
    assert_eq!((done.keys, done.version, done.sessions), (2, 2, 3));
    let later = app.replica(&[]).await.unwrap();

    // Refused honestly, and called no theft.
    later
        .refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    for token in [&tokens.session, &tokens.access] {
        assert_eq!(later.get_as("/api/auth/session", token).await.status, 401);
    }
    let answer = browser
        .at(&later)
        .post("/api/auth/refresh", &serde_json::json!({}))
        .await;
    assert_eq!(answer.status, 401, "{}", answer.text);
    assert_eq!(
        (
            app.db_count_events("refresh_token.reused").await,
            app.db_count_events("keys.abandoned").await,
            app.live_sessions().await
        ),
        (0, 1, 0)
    );
    // New keys alone are published; those of before are tombstones.
    let jwks = later.get("/api/auth/jwks").await.ok();
    assert_eq!(jwks.body["keys"].as_array().unwrap().len(), 2);
    assert!(kids.iter().all(|kid| !jwks.text.contains(kid.as_str())));
    assert_eq!(
        app.db_number(
            "SELECT COUNT(*) FROM signing_keys WHERE state = 'revoked' AND private_jwe IS NULL"
        )
        .await,
        2
    );
    // Accounts are as they were.
    let again = later.post("/api/auth/sign-in/email", &serde_json::json!({ "email": ana.email, "password": ana.password, "tokenDelivery": "body" })).await.ok();
    later
        .get_as("/api/auth/session", &again.str("token"))
        .await
        .ok();
    later.rotate(&again.str("refreshToken")).await;

    // Once is enough, and a key that is found later is good for nothing.
    assert!(
        app.abandon_master_key()
            .await
            .unwrap_err()
            .to_string()
            .contains("is loaded, so it is not lost")
    );
    let found = app.path("found.key");
    std::fs::write(&found, lost).unwrap();
    std::fs::set_permissions(&found, std::fs::Permissions::from_mode(0o600)).unwrap();
    let with_found = app
        .replica(&[(
            "COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE",
            found.display().to_string(),
        )])
        .await
        .unwrap();
    with_found
        .refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    assert!(
        app.replica(&[("COUNTERSIGN_MASTER_KEY_FILE", found.display().to_string())])
            .await
            .is_err()
    );
}
