//! Keys of several algorithms over time: a slot that opens while the service is used, rotations and
//! revocations of one of them, keys from elsewhere, and the end of a slot.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use countersign::crypto::keypair::Keypair;
use countersign::flows::Error;
use countersign::flows::key::change_keys::{Enters, KeyChange, Stated, change};
use countersign::flows::key::{load_keys, public_keys};
use countersign::flows::permit::Permitted;
use countersign::jobs::rotate_due_keys;
use countersign::model::key::algorithm::{Algorithm, RsaSize};
use countersign::model::key::key::State;
use countersign::model::key::plan::KeyOperation;
use countersign::random::SeededRandom;
use ed25519_dalek::pkcs8::PrivateKeyInfoRef;
use serde_json::{Value, json};

use crate::support::{TestApp, minutes, seconds};
use countersign::flows::confirm_clock;
use countersign::flows::key::rewrap::{Options, rewrap};
use countersign::model::kernel::time::Timestamp;

const RSA: [(&str, &str); 1] = [("audiences.billing.algorithm", "RS256")];
const FOUR: [(&str, &str); 3] = [
    ("audiences.billing.algorithm", "RS256"),
    ("audiences.mobile.algorithm", "ES256"),
    ("audiences.new-name.algorithm", "Ed25519"),
];
/// Λ by default: 10 s + 5 min + 1 h + 5 s.
const LAMBDA: Duration = Duration::from_secs(10 + 300 + 3_600 + 5);

fn order(operation: KeyOperation) -> KeyChange {
    KeyChange::new(operation, Default::default())
}

async fn apply(app: &TestApp, change_of: KeyChange) -> countersign::flows::Result<()> {
    change(&app.app, Permitted::as_operator(), change_of)
        .await
        .map(|_| ())
}

fn states(app: &TestApp, algorithm: Algorithm) -> Vec<State> {
    let ring = app.app.ring().unwrap();
    let mut states: Vec<State> = ring
        .slots
        .of(algorithm)
        .map(|slot| slot.keys.iter().map(|key| key.state).collect())
        .unwrap_or_default();
    states.sort();
    states
}

fn active(app: &TestApp) -> BTreeMap<Algorithm, String> {
    app.app.ring().unwrap().slots.active_kids()
}

/// The public JWK of a key that was made elsewhere.
fn foreign(kid: &str, seed: u64) -> Value {
    let random = SeededRandom::new(seed);
    let pair = Keypair::generate(Algorithm::EdDsa, RsaSize::Bits2048, &random).unwrap();
    json!(pair.public().jwk(kid).as_ref())
}

/// The files of other programs: RSA in PKCS#8 and PKCS#1, P-256 in SEC1.
fn files() -> [(String, Algorithm); 3] {
    let pem = |label: &str, der: &[u8]| {
        der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap()
    };
    let rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let pkcs8 = rsa.as_der().unwrap();
    let info = PrivateKeyInfoRef::try_from(pkcs8.as_ref()).unwrap();
    let another = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa3072).unwrap();
    let another = another.as_der().unwrap();
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let sec1: EcPrivateKeyRfc5915Der<'_> = p256.private_key().as_der().unwrap();
    [
        (pem("PRIVATE KEY", another.as_ref()), Algorithm::Rs256),
        (
            pem("RSA PRIVATE KEY", info.private_key.as_bytes()),
            Algorithm::Rs256,
        ),
        (pem("EC PRIVATE KEY", sec1.as_ref()), Algorithm::Es256),
    ]
}

const PRIVATE: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[tokio::test]
async fn an_algorithm_that_is_added_while_served_signs_when_every_verifier_has_its_key() {
    let old = TestApp::start().await;
    let tokens = old.user("ana").await.sign_in().await;
    old.after(minutes(60));
    // A process with the audience starts beside one without.
    let new = old.replica_with(&RSA).await;
    assert_eq!(states(&new, Algorithm::Rs256), [State::Standby]);
    let ask = async |app: &TestApp| {
        let body = json!({ "refreshToken": tokens.refresh, "audience": "billing" });
        app.post("/api/auth/refresh", &body).await
    };
    let rows = new.db_dump().await;
    let refused = ask(&new).await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!(
        (LAMBDA.as_secs()..LAMBDA.as_secs() + 120).contains(&wait),
        "{wait}"
    );
    refused.refused(503, "AUDIENCE_NOT_READY");
    assert_eq!(new.db_dump().await, rows, "nothing was used up");
    ask(&old).await.refused(400, "INVALID_TARGET");
    // Its key is published from the first moment on, by both processes.
    load_keys::confirm(&old.app).await.unwrap();
    let sets = [
        old.get("/api/auth/jwks").await.ok(),
        new.get("/api/auth/jwks").await.ok(),
    ];
    assert_eq!(sets[0].text, sets[1].text);
    assert_eq!(sets[0].body["keys"].as_array().unwrap().len(), 3);
    // For the next hour both do what is due, and neither opens it twice or closes it.
    let mut opened = None;
    for minute in 1..=70 {
        new.after(minutes(1));
        for app in [&old, &new] {
            rotate_due_keys(&app.app).await.unwrap();
            load_keys::confirm(&app.app).await.unwrap();
        }
        if opened.is_none() && states(&new, Algorithm::Rs256).contains(&State::Active) {
            opened = Some(minute);
        }
    }
    let due = LAMBDA.as_secs().div_ceil(60);
    assert_eq!(opened, Some(due));
    for app in [&old, &new] {
        assert_eq!(
            states(app, Algorithm::Rs256),
            [State::Active, State::Standby]
        );
        assert_eq!(
            states(app, Algorithm::EdDsa),
            [State::Active, State::Standby]
        );
    }
    let token = ask(&new).await.ok().str("accessToken");
    let kid = jsonwebtoken::decode_header(&token).unwrap().kid;
    assert_eq!(kid.as_ref(), active(&new).get(&Algorithm::Rs256));
}

#[tokio::test]
async fn a_new_algorithm_of_the_default_audience_holds_the_process_back_until_it_signs() {
    let old = TestApp::start().await;
    let tokens = old.user("ana").await.sign_in().await;
    let new = old.replica_with(&[("tokens.algorithm", "ES256")]).await;
    let ready = new.get("/health/ready").await;
    assert_eq!(ready.status, 503, "a rolling deploy waits");
    new.refresh(&tokens.refresh)
        .await
        .refused(503, "AUDIENCE_NOT_READY");
    old.refresh(&tokens.refresh).await.ok();
    // Nothing is begun that would end without a token: no account, no session, no new password.
    let rows = async || {
        let users = new.db_number("SELECT COUNT(*) FROM users").await;
        let sessions =
            new.db_texts("SELECT id || COALESCE(revoked_at, 0) FROM sessions ORDER BY id");
        let hash = new.db_texts("SELECT password_hash FROM accounts ORDER BY id");
        (users, sessions.await, hash.await)
    };
    let before = rows().await;
    let sign_in = json!({ "email": "ana@example.com", "password": "ana's good password", "tokenDelivery": "body" });
    let mut sign_up = sign_in.clone();
    (sign_up["email"], sign_up["name"]) = (json!("bob@example.com"), json!("Bob"));
    let change = json!({ "currentPassword": "ana's good password", "newPassword": "ana's better password", "revokeOtherSessions": true });
    for (path, body) in [("sign-in/email", &sign_in), ("sign-up/email", &sign_up)] {
        new.post(&format!("/api/auth/{path}"), body)
            .await
            .refused(503, "AUDIENCE_NOT_READY");
    }
    new.post_as("/api/auth/change-password", &tokens.session, &change)
        .await
        .refused(503, "AUDIENCE_NOT_READY");
    assert_eq!(rows().await, before);
    let force = order(KeyOperation::Rotate { force: true }).of(Some(Algorithm::Es256));
    apply(&new, force).await.unwrap();
    new.get("/health/ready").await.ok();
    let token = new.refresh(&tokens.refresh).await.ok().str("accessToken");
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.alg, jsonwebtoken::Algorithm::ES256);
    new.get_as("/api/auth/session", &token).await.ok();
}

/// Every two hours by the schedule, which is shorter than what the verifiers of one slot need.
#[tokio::test]
async fn k1_in_four_slots_no_key_signs_before_the_verifiers_of_its_slot_have_it() {
    let app = TestApp::with(
        &[
            &FOUR[..],
            &[
                ("audiences.billing.verifier_cache", "3h"),
                ("keys.rotation", "0 0 */2 * * *"),
            ],
        ]
        .concat(),
    )
    .await;
    let policies = &app.app.config.keys.policies;
    let mut first = active(&app);
    assert_eq!(
        first.len(),
        4,
        "in an empty database all sign from the start"
    );
    // The sets of all keys that were served, by the time from which on they were.
    let mut served: Vec<(Timestamp, String)> = vec![(app.app.now(), published(&app).await)];
    let (mut turns, mut checked) = (BTreeMap::<Algorithm, u32>::new(), 0);
    for _ in 0..5 * 24 * 6 {
        app.after(minutes(10));
        confirm_clock::confirm(&app.app).await.unwrap();
        rotate_due_keys(&app.app).await.unwrap();
        let (now, set) = (app.app.now(), published(&app).await);
        if served.last().is_none_or(|(_, last)| *last != set) {
            served.push((now, set));
        }
        let signing = active(&app);
        let ring = app.app.ring().unwrap();
        for algorithm in Algorithm::ALL {
            let slot = states(&app, algorithm);
            let count = |state| slot.iter().filter(|s| **s == state).count();
            assert_eq!((count(State::Active), count(State::Standby)), (1, 1));
            let kid = &signing[&algorithm];
            *turns.entry(algorithm).or_default() += u32::from(*kid != first[&algorithm]);
            // Whatever a verifier of this slot may still hold has the key that signs now.
            let needed = policies
                .of(algorithm)
                .publish_before_use(ring.slots.of(algorithm).unwrap());
            let oldest = now - needed;
            let held = served.iter().rev().find(|(from, _)| *from <= oldest);
            if let Some((_, held)) = held {
                assert!(held.contains(kid), "{algorithm} at {now}");
                checked += 1;
            }
        }
        first = signing;
    }
    assert!(checked > 2_700, "{checked}");
    // Every two hours where an hour is enough, and as soon as it is ripe where that takes longer: every
    // 3 h 10 min.
    assert_eq!(turns[&Algorithm::EdDsa], 5 * 12);
    assert_eq!(turns[&Algorithm::Rs256], 5 * 24 * 60 / 190);
}

async fn published(app: &TestApp) -> String {
    app.get("/api/auth/jwks/all").await.ok().text
}

#[tokio::test]
async fn of_ten_who_rotate_four_slots_at_once_each_slot_turns_once() {
    let app = TestApp::with(&FOUR).await;
    app.after(minutes(70));
    let seen = active(&app);
    let tries = (0..10).map(|_| {
        let rotation = order(KeyOperation::Rotate { force: false });
        apply(&app, rotation.if_active(seen.clone()))
    });
    let outcomes = futures_util::future::join_all(tries).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    let others = outcomes.iter().filter(|o| o.is_err());
    assert!(
        others
            .into_iter()
            .all(|o| matches!(o, Err(Error::AlreadyRotated)))
    );
    load_keys::reload(&app.app).await.unwrap();
    for algorithm in Algorithm::ALL {
        assert_eq!(
            states(&app, algorithm),
            [State::Active, State::Standby, State::Retired],
            "{algorithm}"
        );
    }
    // Too young, all of them: the first one that refuses is named, and none turns.
    let refused = apply(&app, order(KeyOperation::Rotate { force: false })).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .starts_with("EdDSA: the standby key")
    );
}

#[tokio::test]
async fn an_emergency_in_one_slot_leaves_the_others_alone() {
    let app = TestApp::with(&FOUR).await;
    app.after(minutes(70));
    for algorithm in Algorithm::ALL {
        let before = active(&app);
        let revoke = order(KeyOperation::Revoke(before[&algorithm].clone())).with_reason("leaked");
        apply(&app, revoke).await.unwrap();
        let after = active(&app);
        for other in Algorithm::ALL {
            assert_eq!(after[&other] != before[&other], other == algorithm);
        }
        let ring = app.app.ring().unwrap();
        let again = ring.slots.of(algorithm).unwrap().rotate_after;
        assert!(again.is_some(), "a second rotation of {algorithm} follows");
    }
    // The second rotation comes for each, and is done with.
    app.after(LAMBDA + seconds(60));
    rotate_due_keys(&app.app).await.unwrap();
    let ring = app.app.ring().unwrap();
    for algorithm in Algorithm::ALL {
        assert_eq!(ring.slots.of(algorithm).unwrap().rotate_after, None);
        assert_eq!(
            states(&app, algorithm)[..2],
            [State::Active, State::Standby]
        );
    }
}

#[tokio::test]
async fn a_slot_is_closed_by_an_operator_and_its_keys_leave_after_their_last_tokens() {
    let with = TestApp::with(&RSA).await;
    let tokens = with.user("ana").await.sign_in().await;
    let body = json!({ "refreshToken": tokens.refresh, "audience": "billing" });
    with.post("/api/auth/refresh", &body).await.ok();
    let close = || order(KeyOperation::Close).of(Some(Algorithm::Rs256));
    let refused = apply(&with, close()).await.unwrap_err();
    assert!(refused.to_string().contains("still use RS256"), "{refused}");
    // The settings without the audience, and then the command.
    let without = with
        .replica_with(&[("audiences.billing.algorithm", "EdDSA")])
        .await;
    apply(&without, close()).await.unwrap();
    assert_eq!(
        states(&without, Algorithm::Rs256),
        [State::Retired, State::Removed]
    );
    assert_eq!(without.db_count_events("keys.closed").await, 1);
    let published = async || {
        let set = without.get("/api/auth/jwks").await.ok();
        set.text.matches("RS256").count()
    };
    assert_eq!(
        published().await,
        1,
        "the retired key verifies its last tokens"
    );
    // 15 minutes of lifetime, 300 s of leeway, 15 s.
    without.after(seconds(900 + 300 + 14));
    rotate_due_keys(&without.app).await.unwrap();
    assert_eq!(published().await, 1);
    without.after(seconds(1));
    rotate_due_keys(&without.app).await.unwrap();
    assert_eq!(published().await, 0);
    // Nothing opens it again by itself, and a second closing has nothing to close.
    assert_eq!(
        states(&without, Algorithm::Rs256),
        [State::Removed, State::Removed]
    );
    assert!(apply(&without, close()).await.is_err());
}

#[tokio::test]
async fn an_imported_key_keeps_its_kid_and_is_never_here_twice() {
    let app = TestApp::with(&FOUR).await;
    let named = |kid: &str, algorithm| Stated {
        algorithm,
        kid: Some(kid.into()),
    };
    let import = |stated: &Stated| {
        KeyChange::import(PRIVATE, stated, Enters::Standby, None, Default::default()).unwrap()
    };
    apply(&app, import(&named("auth0-2024", None)))
        .await
        .unwrap();
    // The same key under another kid, or for another algorithm, is the same key.
    for stated in [
        named("auth0-2025", None),
        named("auth0-2024", None),
        named("other", Some(Algorithm::Ed25519)),
        Stated::default(),
    ] {
        let refused = apply(&app, import(&stated)).await;
        assert!(matches!(refused, Err(Error::KeyUnusable(_))), "{stated:?}");
    }
    let force = || order(KeyOperation::Rotate { force: true }).of(Some(Algorithm::EdDsa));
    apply(&app, force()).await.unwrap();
    assert_eq!(active(&app)[&Algorithm::EdDsa], "auth0-2024");
    let ana = app.user("ana").await.sign_in().await;
    let header = jsonwebtoken::decode_header(&ana.access).unwrap();
    assert_eq!(header.kid.as_deref(), Some("auth0-2024"));
    app.get_as("/api/auth/session", &ana.access).await.ok();
    // A restart opens the sealed key in its row.
    let again = app.replica(&[]).await.unwrap();
    assert_eq!(active(&again)[&Algorithm::EdDsa], "auth0-2024");
    // A kid never returns, not even with another key: the tombstone has it.
    apply(
        &app,
        order(KeyOperation::Revoke("auth0-2024".into())).with_reason("x"),
    )
    .await
    .unwrap();
    let other = foreign("theirs", 9).to_string();
    let set = public_keys::read(&other, Some("auth0-2024"), None).unwrap();
    let refused = apply(
        &app,
        KeyChange::publish(set.keys, minutes(5), Default::default()),
    )
    .await;
    assert!(matches!(refused, Err(Error::KeyUnusable(_))));
}

#[tokio::test]
async fn the_public_key_of_another_issuer_is_published_until_its_last_tokens_have_expired() {
    let app = TestApp::start().await;
    let set = json!({ "keys": [foreign("theirs", 3)] }).to_string();
    let keys = public_keys::read(&set, None, None).unwrap().keys;
    let longest = minutes(12 * 60);
    apply(&app, KeyChange::publish(keys, longest, Default::default()))
        .await
        .unwrap();
    let is_published = async || app.get("/api/auth/jwks").await.ok().text.contains("theirs");
    assert!(is_published().await);
    assert_eq!(
        app.db_text("SELECT private_jwe FROM signing_keys WHERE kid = 'theirs'")
            .await,
        Some(String::new())
    );
    assert_ne!(active(&app)[&Algorithm::EdDsa], "theirs");
    // The set may be imported again, with a key more: what is here stays longer, what is not comes.
    let again = json!({ "keys": [foreign("theirs", 3), foreign("theirs-2", 4)] });
    let keys = public_keys::read(&again.to_string(), None, None)
        .unwrap()
        .keys;
    let longest = longest + minutes(60);
    apply(&app, KeyChange::publish(keys, longest, Default::default()))
        .await
        .unwrap();
    assert!(
        app.get("/api/auth/jwks")
            .await
            .ok()
            .text
            .contains("theirs-2")
    );
    // A change of the master key has nothing of it to seal, and a restart goes on with it.
    let file = app.path("new.key");
    std::fs::write(&file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (operator, none) = (Permitted::as_operator(), Default::default());
    let done = rewrap(
        &app.app,
        operator,
        &file,
        Options {
            dry_run: true,
            ..Options::default()
        },
        &none,
    );
    assert_eq!(
        done.await.unwrap().keys,
        2,
        "the active and the standby key"
    );
    let again = app.replica(&[]).await.unwrap();
    assert!(
        again
            .get("/api/auth/jwks")
            .await
            .ok()
            .text
            .contains("theirs")
    );
    app.after(longest + seconds(60 + 15 - 1));
    rotate_due_keys(&app.app).await.unwrap();
    assert!(is_published().await);
    app.after(seconds(1));
    rotate_due_keys(&app.app).await.unwrap();
    assert!(!is_published().await);
}

#[tokio::test]
async fn a_sealed_key_opens_in_no_other_row_and_under_no_other_name() {
    let app = TestApp::with(&FOUR).await;
    let stated = Stated {
        algorithm: None,
        kid: Some("theirs".into()),
    };
    let import =
        KeyChange::import(PRIVATE, &stated, Enters::Standby, None, Default::default()).unwrap();
    apply(&app, import).await.unwrap();
    app.db_execute("CREATE TABLE backup AS SELECT * FROM signing_keys")
        .await
        .unwrap();
    for change in [
        // Another row's private half, of the same algorithm and of another one.
        "private_jwe = (SELECT b.private_jwe FROM backup b WHERE b.algorithm = 'EdDSA' AND b.state = 'active') WHERE kid = 'theirs'",
        "private_jwe = (SELECT b.private_jwe FROM backup b WHERE b.kid = 'theirs') WHERE algorithm = 'EdDSA' AND state = 'active'",
        "private_jwe = (SELECT b.private_jwe FROM backup b WHERE b.algorithm = 'ES256' AND b.state = 'active') WHERE algorithm = 'RS256' AND state = 'active'",
        // The row says another name, kid or thumbprint than the sealed key.
        "algorithm = 'EdDSA' WHERE algorithm = 'Ed25519' AND state = 'active'",
        "kid = 'ours' WHERE kid = 'theirs'",
        "thumbprint = 'another' WHERE kid = 'theirs'",
        "thumbprint = NULL WHERE kid = 'theirs'",
    ] {
        if change.starts_with("algorithm") {
            // One active key for each algorithm: the other one makes room.
            app.db_execute("UPDATE signing_keys SET state = 'retired', retired_at = 0 WHERE algorithm = 'EdDSA' AND state = 'active'").await.unwrap();
        }
        app.db_execute(&format!("UPDATE signing_keys SET {change}"))
            .await
            .unwrap();
        let replica = app.replica(&[]).await;
        let refused = replica.err().map(|error| error.to_string());
        assert!(
            refused
                .as_ref()
                .is_some_and(|text| text.contains("damaged or changed")),
            "{change}: {refused:?}"
        );
        app.db_execute("DELETE FROM signing_keys").await.unwrap();
        app.db_execute("INSERT INTO signing_keys SELECT * FROM backup")
            .await
            .unwrap();
    }
    app.replica(&[]).await.unwrap();
}

#[tokio::test]
async fn a_key_of_an_algorithm_that_only_a_later_release_knows_is_left_alone() {
    let app = TestApp::start().await;
    let tokens = app.user("ana").await.sign_in().await;
    app.db_execute("INSERT INTO signing_keys (kid, algorithm, state, public_jwk, private_jwe, published_at, max_ttl) VALUES ('later', 'ML-DSA-65', 'active', '{}', 'x', 0, 0)")
        .await
        .unwrap();
    let again = app.replica(&[]).await.unwrap();
    again.refresh(&tokens.refresh).await.ok();
    again.get("/health/ready").await.ok();
    app.after(minutes(70));
    apply(&again, order(KeyOperation::Rotate { force: false }))
        .await
        .unwrap();
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM signing_keys WHERE kid = 'later' AND state = 'active'")
            .await,
        1
    );
}

#[tokio::test]
async fn keys_of_other_programs_sign_here_under_the_kid_that_they_had() {
    for (at, (pem, algorithm)) in files().into_iter().enumerate() {
        let app = TestApp::with(&FOUR).await;
        let kid = format!("old-{at}");
        let stated = Stated {
            algorithm: None,
            kid: Some(kid.clone()),
        };
        let import = KeyChange::import(&pem, &stated, Enters::Standby, None, Default::default());
        apply(&app, import.unwrap()).await.unwrap();
        let force = order(KeyOperation::Rotate { force: true }).of(Some(algorithm));
        apply(&app, force).await.unwrap();
        let audience = match algorithm {
            Algorithm::Rs256 => "billing",
            _ => "mobile",
        };
        let tokens = app.user("ana").await.sign_in().await;
        let body = json!({ "refreshToken": tokens.refresh, "audience": audience });
        let token = app
            .post("/api/auth/refresh", &body)
            .await
            .ok()
            .str("accessToken");
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!(header.kid, Some(kid));
        let set = app
            .get(&format!("/api/auth/jwks/{audience}"))
            .await
            .ok()
            .text;
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&set).unwrap();
        let jwk = set.find(&header.kid.unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(header.alg);
        validation.validate_exp = false;
        validation.set_audience(&[audience]);
        let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
        jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
    }
}

#[tokio::test]
async fn a_key_that_signed_elsewhere_stays_until_the_tokens_from_there_have_expired() {
    let app = TestApp::start().await;
    let longest = minutes(24 * 60);
    let stated = Stated::default();
    let import = KeyChange::import(
        PRIVATE,
        &stated,
        Enters::Standby,
        Some(longest),
        Default::default(),
    );
    apply(&app, import.unwrap()).await.unwrap();
    let rotate = || order(KeyOperation::Rotate { force: true });
    apply(&app, rotate()).await.unwrap();
    let imported = active(&app)[&Algorithm::EdDsa].clone();
    apply(&app, rotate()).await.unwrap();
    let is_published = async || published(&app).await.contains(&imported);
    for (wait, is_there) in [(longest + seconds(60 + 14), true), (seconds(1), false)] {
        app.after(wait);
        confirm_clock::confirm(&app.app).await.unwrap();
        app.db_execute("UPDATE clock SET confirmed_at = NULL")
            .await
            .unwrap();
        rotate_due_keys(&app.app).await.unwrap();
        assert_eq!(is_published().await, is_there);
    }
}
