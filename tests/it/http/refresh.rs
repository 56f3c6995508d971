//! The scenarios of the refresh design, by number.

use countersign::flows::permit::Permitted;
use countersign::model::kernel::time::Timestamp;
use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;

use crate::support::{Answer, Browser, REFRESH_COOKIE, SESSION_COOKIE, TestApp, minutes, seconds};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s01_64_refreshes_at_once_make_one_successor() {
    let app = TestApp::start().await;
    let first = app.user("alice").await.sign_in().await;
    let answers = join_all((0..64).map(|_| app.refresh(&first.refresh))).await;
    let successors: std::collections::BTreeSet<String> = answers
        .into_iter()
        .map(|a| a.ok().str("refreshToken"))
        .collect();
    assert_eq!(successors.len(), 1);
    assert_eq!(app.db_session(&first.session_id).await.generation, 2);
}

/// Tabs of one browser that do not coordinate: each refreshes when its own access token is about to
/// end, answers arrive late and in any order. Returns the first refusal.
async fn eight_tabs(grace: u64, cooldown: u64, cycles: u32, seed: u64) -> Result<(), Answer> {
    let app = TestApp::with_windows(seconds(grace), seconds(cooldown)).await;
    let browser = app.user("alice").await.browser().await;
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    for _ in 0..cycles {
        app.after(minutes(13));
        // Each tab sends within 20 s of its sisters; an answer arrives up to 5 s later, after
        // others may have asked.
        let mut tabs: Vec<(u32, u32)> = (0..8)
            .map(|_| (random.next_u32() % 20_000, random.next_u32() % 5_000))
            .collect();
        tabs.sort_unstable();
        let mut under_way: Vec<(u32, Answer)> = Vec::new();
        let mut now = 0;
        for (sent, late) in tabs {
            under_way.sort_by_key(|(arrives, _)| *arrives);
            while under_way
                .first()
                .is_some_and(|(arrives, _)| *arrives <= sent)
            {
                browser.store(&under_way.remove(0).1);
            }
            app.after(MS * (sent - now));
            now = sent;
            let answer = browser
                .ask(Method::POST, "/api/auth/refresh", Some(&json!({})))
                .await;
            if answer.status != 200 {
                return Err(answer);
            }
            under_way.push((sent + late, answer));
        }
        under_way.sort_by_key(|(arrives, _)| *arrives);
        for (_, answer) in &under_way {
            browser.store(answer);
        }
    }
    Ok(())
}

#[tokio::test]
async fn s02_eight_tabs_without_coordination_are_never_signed_out() {
    for seed in 0..4 {
        assert!(eight_tabs(30, 50, 50, seed).await.is_ok(), "seed {seed}");
    }
}

#[tokio::test]
async fn s02_without_a_cooldown_the_same_tabs_end_in_reuse() {
    // No twin here: with a cool-down the same tabs are accepted, which the test before this one shows.
    let mut reuse = 0;
    for seed in 0..4 {
        if let Err(answer) = eight_tabs(30, 0, 50, seed).await {
            answer.refused(401, "REFRESH_TOKEN_REUSED");
            reuse += 1;
        }
    }
    assert!(
        reuse > 0,
        "this is what the cool-down is for; if it does not show, the test above guards nothing"
    );
}

#[tokio::test]
async fn s02_a_kept_answer_that_comes_late_leaves_the_newer_cookie_in_the_jar() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    browser.refresh().await.ok();
    app.after(seconds(49));
    let kept = browser
        .ask(Method::POST, "/api/auth/refresh", Some(&json!({})))
        .await
        .ok();
    app.after(seconds(2));
    browser.refresh().await.ok();
    let newer = browser.cookie(REFRESH_COOKIE);
    browser.store(&kept);
    assert_eq!(browser.cookie(REFRESH_COOKIE), newer);
    assert!(kept.cookies().is_empty(), "{:?}", kept.cookies());
    app.after(minutes(10));
    browser.refresh().await.ok();
}

#[tokio::test]
async fn s03_a_lost_answer_is_repeated_with_the_same_successor_also_by_another_replica() {
    let app = TestApp::start().await;
    let first = app.user("alice").await.sign_in().await;
    let lost = app.rotate(&first.refresh).await;
    app.after(seconds(3));
    let replica = app.replica(&[]).await.unwrap();
    assert_eq!(replica.rotate(&first.refresh).await, lost);
    assert_eq!(app.rotate(&first.refresh).await, lost);
    app.after(minutes(10));
    replica.refresh(&lost).await.ok();
}

#[tokio::test]
async fn s05_the_grace_ends_to_the_millisecond_and_then_it_is_theft() {
    let app = TestApp::with(&[("sessions.late_retry", "revoke")]).await;
    let alice = app.user("alice").await;
    let first = alice.sign_in().await;
    let second = app.rotate(&first.refresh).await;
    app.after(Duration::from_millis(29_999));
    assert_eq!(app.rotate(&first.refresh).await, second);
    app.after(MS * 2);
    let other = alice.sign_in().await;
    app.refresh(&first.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    app.refresh(&second)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    let listed = app
        .get_as("/api/auth/list-sessions", &other.session)
        .await
        .ok();
    assert!(!listed.text.contains(&first.session_id));
    app.get_as("/api/auth/session", &first.session)
        .await
        .refused(401, "UNAUTHORIZED");
    app.get_as("/api/auth/session", &first.access)
        .await
        .refused(401, "UNAUTHORIZED");
    app.refresh(&first.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    assert_eq!(app.db_count_events("refresh_token.reused").await, 1);
}

#[tokio::test]
async fn s06_two_generations_old_or_a_wrong_secret_is_reuse_at_once() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let first = alice.sign_in().await;
    let second = app.rotate(&first.refresh).await;
    app.after(seconds(50));
    app.rotate(&second).await;
    app.refresh(&first.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");

    // A good tag over the current generation with another secret: only a superseded successor looks
    // like that.
    let lenient = TestApp::with(&[("sessions.late_retry", "supersede")]).await;
    let first = lenient.user("bob").await.sign_in().await;
    let unused = lenient.rotate(&first.refresh).await;
    lenient.after(seconds(31));
    let late = lenient.rotate(&first.refresh).await;
    assert_ne!(late, unused);
    assert_eq!(
        lenient.rotate(&first.refresh).await,
        late,
        "the same late retry inside its grace"
    );
    lenient
        .refresh(&unused)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
}

#[tokio::test]
async fn s06b_a_second_late_retry_is_reuse_and_the_first_can_go_on() {
    let app = TestApp::with(&[("sessions.late_retry", "supersede")]).await;
    let alice = app.user("alice").await;
    let (one, two) = (alice.sign_in().await, alice.sign_in().await);
    for tokens in [&one, &two] {
        app.rotate(&tokens.refresh).await;
    }
    app.after(seconds(31));
    let late = app.rotate(&one.refresh).await;
    app.rotate(&two.refresh).await;
    app.after(seconds(31));
    app.refresh(&two.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    app.after(seconds(20));
    app.refresh(&late).await.ok();
}

#[tokio::test]
async fn s07_the_current_token_within_the_cooldown_is_kept_and_nothing_moves() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let first = alice.sign_in().await;
    let second = app.rotate(&first.refresh).await;
    let before = app.db_session(&first.session_id).await;
    for _ in 0..5 {
        app.after(seconds(8));
        let kept = app.refresh(&second).await.ok();
        assert!(
            kept.body.get("refreshToken").is_none() && kept.body.get("refreshExpiresIn").is_none()
        );
        assert!(kept.cookies().is_empty());
        kept.claims("accessToken");
    }
    assert_eq!(app.db_session(&first.session_id).await, before);
    app.after(seconds(10));
    app.rotate(&second).await;
}

#[tokio::test]
async fn s08_a_flipped_bit_anywhere_is_refused_and_the_session_untouched() {
    use base64::Engine;
    let b64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let app = TestApp::start().await;
    let first = app.user("alice").await.sign_in().await;
    let before = app.db_session(&first.session_id).await;
    let bytes = b64.decode(&first.refresh[4..]).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        app.refresh(&format!("csr_{}", b64.encode(&flipped)))
            .await
            .refused(401, "REFRESH_TOKEN_INVALID");
    }
    let shapes = [
        first.refresh.to_uppercase(),
        format!("{} ", first.refresh),
        format!("{}A", first.refresh),
        first.refresh[..138].into(),
        first.session.clone(),
        first.access.clone(),
    ];
    for shape in shapes {
        app.refresh(&shape)
            .await
            .refused(401, "REFRESH_TOKEN_INVALID");
    }
    assert_eq!(app.db_session(&first.session_id).await, before);
    app.refresh(&first.refresh).await.ok();
    // No query: without a database the same garbage is refused and not "unavailable".
    app.app.db.close().await;
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    app.refresh(&format!("csr_{}", b64.encode(&flipped)))
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    app.refresh(&first.refresh)
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s09_no_refresh_succeeds_after_a_sign_out_was_answered_400_rounds() {
    let app = TestApp::with(&[("rate_limits.enabled", "false")]).await;
    let alice = app.user("alice").await;
    for _ in 0..400 {
        let tokens = alice.sign_in().await;
        let storm: Vec<_> = (0..4)
            .map(|_| {
                let (app, token) = (app.clone(), tokens.refresh.clone());
                tokio::spawn(async move { app.refresh(&token).await })
            })
            .collect();
        app.post_as("/api/auth/sign-out", &tokens.session, &json!({}))
            .await
            .ok();
        app.refresh(&tokens.refresh)
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
        for answer in storm {
            let answer = answer.await.unwrap();
            if answer.status == 200 {
                app.refresh(&answer.str("refreshToken"))
                    .await
                    .refused(401, "REFRESH_TOKEN_REVOKED");
            }
        }
    }
}

#[tokio::test]
async fn s10_a_password_change_ends_the_other_sessions_inside_the_grace_too() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let (here, there) = (alice.sign_in().await, alice.sign_in().await);
    let there_next = app.rotate(&there.refresh).await;
    let body = json!({ "currentPassword": alice.password, "newPassword": "another good password" });
    app.post_as("/api/auth/change-password", &here.session, &body)
        .await
        .ok();
    for token in [&there.refresh, &there_next] {
        app.refresh(token)
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
    }
    app.refresh(&here.refresh).await.ok();
    alice
        .try_sign_in(&alice.password)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
}

#[tokio::test]
async fn s10_disabling_a_user_ends_every_session_and_refuses_sign_ins() {
    use countersign::flows::account::manage_users;
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let mut tokens = alice.sign_in().await;
    tokens.refresh = app.rotate(&tokens.refresh).await;
    app.get_as("/api/auth/session", &tokens.access).await.ok();
    let user = manage_users::find(&app.app, Permitted::as_operator(), &alice.email)
        .await
        .unwrap();
    assert!(
        manage_users::set_disabled(
            &app.app,
            Permitted::as_operator(),
            user.id,
            true,
            &Default::default()
        )
        .await
        .unwrap()
    );
    app.refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    app.get_as("/api/auth/session", &tokens.access)
        .await
        .refused(401, "UNAUTHORIZED");
    alice
        .try_sign_in(&alice.password)
        .await
        .refused(403, "USER_DISABLED");
    alice
        .try_sign_in("wrong password")
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    assert!(
        manage_users::set_disabled(
            &app.app,
            Permitted::as_operator(),
            user.id,
            false,
            &Default::default()
        )
        .await
        .unwrap()
    );
    alice.sign_in().await;
}

#[tokio::test]
async fn s11_idle_end_absolute_end_and_an_absolute_end_inside_the_next_idle_period() {
    let days = |n: u64| seconds(n * 86_400);
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let idle = alice.sign_in().await;
    app.after(days(14).checked_sub(MS).unwrap());
    let next = app.rotate(&idle.refresh).await;
    app.after(days(14));
    app.refresh(&next)
        .await
        .refused(401, "REFRESH_TOKEN_EXPIRED");

    let mut token = alice.sign_in().await.refresh;
    for day in 0..90 {
        let answer = app.refresh(&token).await.ok();
        token = answer.str("refreshToken");
        let left = answer.body["refreshExpiresIn"].as_u64().unwrap();
        assert_eq!(
            left,
            86_400 * (90 - day).min(14),
            "day {day}: the nearer end"
        );
        app.after(days(1));
    }
    app.refresh(&token)
        .await
        .refused(401, "REFRESH_TOKEN_EXPIRED");
}

#[tokio::test]
async fn s12_two_replicas_with_clocks_2_s_apart_never_refuse_one_client() {
    let app = TestApp::start().await;
    let late = app.replica_with_clock(-2_000).await;
    let tokens = app.user("alice").await.sign_in().await;
    late.get_as("/api/auth/session", &tokens.access).await.ok();
    let mut token = tokens.refresh;
    for round in 0..60 {
        for one in [&app, &late] {
            one.after(seconds(7 + round % 50));
        }
        for one in [&app, &late, &app] {
            if let Some(next) = one.refresh(&token).await.ok().body["refreshToken"].as_str() {
                token = next.to_owned();
            }
        }
    }
}

#[tokio::test]
async fn s14_rolled_back_by_one_commit_the_newest_token_heals_and_its_parent_repeats() {
    let app = TestApp::start().await;
    let first = app.user("alice").await.sign_in().await;
    let second = app.rotate(&first.refresh).await;
    app.after(minutes(10));
    let before = app.db_session(&first.session_id).await;
    let third = app.rotate(&second).await;
    app.db_roll_back(&first.session_id, &before).await;
    let healed = app.refresh(&third).await.ok();
    assert!(
        healed.body.get("refreshToken").is_none(),
        "answered like a kept token"
    );
    assert_eq!(app.db_session(&first.session_id).await.generation, 3);
    assert_eq!(app.db_count_events("refresh_token.healed").await, 1);
    assert_eq!(
        app.rotate(&second).await,
        third,
        "a sister's request with the parent"
    );
    app.after(minutes(10));
    app.rotate(&third).await;
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
}

#[tokio::test]
async fn s14_rolled_back_by_one_commit_the_token_before_it_still_rotates() {
    let app = TestApp::start().await;
    let first = app.user("alice").await.sign_in().await;
    let second = app.rotate(&first.refresh).await;
    app.after(minutes(10));
    let before = app.db_session(&first.session_id).await;
    let third = app.rotate(&second).await;
    app.db_roll_back(&first.session_id, &before).await;
    assert_eq!(
        app.rotate(&second).await,
        third,
        "the same successor, although the database forgot it"
    );
}

#[tokio::test]
async fn s14_s21_rolled_back_by_two_commits_is_lost_not_stolen_and_never_revived() {
    let app = TestApp::start().await;
    let first = app.user("alice").await.sign_in().await;
    let before = app.db_session(&first.session_id).await;
    let second = app.rotate(&first.refresh).await;
    app.after(minutes(10));
    let third = app.rotate(&second).await;
    app.db_roll_back(&first.session_id, &before).await;
    app.refresh(&third)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
    assert_eq!(app.db_count_events("refresh_token.lost").await, 1);
    assert_eq!(
        app.db_session(&first.session_id)
            .await
            .revoked_reason
            .as_deref(),
        Some("lost")
    );
    // The owner met `Ahead`; a spent token that is current again by the rollback is refused.
    app.refresh(&first.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
}

#[tokio::test]
async fn s15_a_new_master_key_inside_a_grace_repeats_and_old_tokens_rotate_onto_it() {
    use countersign::flows::key::rewrap::{Options, rewrap};
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let (first, untouched) = (alice.sign_in().await, alice.sign_in().await);
    let second = app.rotate(&first.refresh).await;
    let old = std::fs::read_to_string(app.path("keys/master.key")).unwrap();
    let new_file = app.path("new.key");
    std::fs::write(&new_file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(
        &new_file,
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    rewrap(
        &app.app,
        Permitted::as_operator(),
        &new_file,
        Options::default(),
        &Default::default(),
    )
    .await
    .unwrap();

    // A process that has only the old key decides nothing about a token it could read: no rotation
    // whose answer is lost.
    let before = app.db_session(&untouched.session_id).await;
    app.refresh(&untouched.refresh)
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
    app.refresh(&first.refresh)
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
    alice
        .try_sign_in(&alice.password)
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(app.db_session(&untouched.session_id).await, before);

    let environment = [
        (
            "COUNTERSIGN_MASTER_KEY_FILE",
            new_file.display().to_string(),
        ),
        ("COUNTERSIGN_PREVIOUS_MASTER_KEY", old),
    ];
    let replica = app.replica(&environment).await.unwrap();
    let repeated = replica.rotate(&first.refresh).await;
    assert!(
        repeated.starts_with("csr_Ag") && second.starts_with("csr_AQ"),
        "tagged by the new key"
    );
    // Both encodings of the one successor are good, whichever tab has which.
    app.after(minutes(10));
    let third = replica.rotate(&second).await;
    assert!(third.starts_with("csr_Ag"));
    assert_eq!(replica.rotate(&repeated).await, third);
    replica.rotate(&untouched.refresh).await;
    replica
        .get_as("/api/auth/session", &untouched.session)
        .await
        .ok();

    // A replica that does not have the new key says so and raises no alarm of reuse.
    let behind = app.app.clone();
    assert!(
        countersign::flows::key::load_keys::confirm(&behind)
            .await
            .is_err()
    );
    app.refresh(&third)
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(
        app.get("/health/ready").await.body["checks"]["keys"],
        json!(false)
    );
    app.get("/api/auth/jwks").await.ok();
    replica.rotate_after(minutes(10), &third).await;
}

#[tokio::test]
async fn s15_a_compromised_master_key_ends_every_refresh_token_and_cookie() {
    use countersign::flows::key::rewrap::{Options, rewrap};
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let (mut tokens, browser) = (alice.sign_in().await, alice.browser().await);
    tokens.refresh = app.rotate(&tokens.refresh).await;
    browser.refresh().await.ok();
    let old = std::fs::read_to_string(app.path("keys/master.key")).unwrap();
    let new_file = app.path("new.key");
    std::fs::write(&new_file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(
        &new_file,
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    rewrap(
        &app.app,
        Permitted::as_operator(),
        &new_file,
        Options {
            compromised: true,
            ..Options::default()
        },
        &Default::default(),
    )
    .await
    .unwrap();
    let environment = [
        (
            "COUNTERSIGN_MASTER_KEY_FILE",
            new_file.display().to_string(),
        ),
        ("COUNTERSIGN_PREVIOUS_MASTER_KEY", old),
    ];
    let replica = app.replica(&environment).await.unwrap();
    replica
        .refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    browser
        .at(&replica)
        .refresh()
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
}

impl TestApp {
    async fn rotate_after(&self, time: Duration, token: &str) -> String {
        self.after(time);
        self.rotate(token).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s17_10_000_repeats_meet_the_bucket_and_no_other_user_does() {
    let app = TestApp::with(&[("sessions.late_retry", "revoke")]).await;
    let alice = app.user("alice").await;
    let (noisy, quiet) = (alice.sign_in().await, alice.sign_in().await);
    let next = app.rotate(&noisy.refresh).await;
    let (mut served, mut limited) = (0, 0);
    for _ in 0..100 {
        // In the middle of the flood another user is served, reading and writing.
        let nothing = json!({ "token": "x" });
        let (flood, session, written) = tokio::join!(
            join_all((0..100).map(|_| app.refresh(&noisy.refresh))),
            app.get_as("/api/auth/session", &quiet.session),
            app.post_as("/api/auth/revoke-session", &quiet.session, &nothing),
        );
        session.ok();
        written.ok();
        for answer in flood {
            match answer.status.as_u16() {
                200 => served += 1,
                429 => {
                    limited += 1;
                    let wait: u64 = answer.header("retry-after").parse().unwrap();
                    assert!((1..=3).contains(&wait), "{wait}");
                    assert_eq!(answer.header("x-retry-after"), answer.header("retry-after"));
                    answer.refused(429, "TOO_MANY_REQUESTS");
                }
                other => panic!("{other}: {}", answer.text),
            }
        }
    }
    assert_eq!((served, limited), (100, 9_900));
    app.refresh(&quiet.refresh).await.ok();
    app.refresh(&next).await.ok();
    app.after(seconds(3));
    app.refresh(&noisy.refresh).await.ok();
    // Refusals do not hide theft: a spent token is still reuse.
    app.after(seconds(31));
    app.refresh(&noisy.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s18_a_sign_in_that_verifies_the_old_password_meanwhile_leaves_no_live_session() {
    use countersign::flows::account::{change_password, manage_users};
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let user = manage_users::find(&app.app, Permitted::as_operator(), &alice.email)
        .await
        .unwrap();
    let mut passwords = (alice.password.clone(), "another good password".to_owned());
    for round in 0..60 {
        let (old, new) = passwords.clone();
        let sign_ins: Vec<_> = (0..6)
            .map(|_| {
                let (alice, old) = (alice.clone(), old.clone());
                tokio::spawn(async move { alice.try_sign_in(&old).await })
            })
            .collect();
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        change_password::set_password(
            &app.app,
            Permitted::as_operator(),
            &user,
            &new,
            &Default::default(),
        )
        .await
        .unwrap();
        for answer in sign_ins {
            let answer = answer.await.unwrap();
            match answer.status.as_u16() {
                200 => drop(
                    app.refresh(&answer.str("refreshToken"))
                        .await
                        .refused(401, "REFRESH_TOKEN_REVOKED"),
                ),
                _ => drop(answer.refused(401, "INVALID_EMAIL_OR_PASSWORD")),
            }
        }
        assert_eq!(app.live_sessions().await, 0, "round {round}");
        passwords = (new, old);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s18_a_sign_in_against_a_disabling_leaves_no_live_session() {
    use countersign::flows::account::manage_users;
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let user = manage_users::find(&app.app, Permitted::as_operator(), &alice.email)
        .await
        .unwrap();
    for round in 0..60 {
        let sign_ins: Vec<_> = (0..6)
            .map(|_| {
                let alice = alice.clone();
                tokio::spawn(
                    async move { alice.try_sign_in(&alice.password).await.status.as_u16() },
                )
            })
            .collect();
        manage_users::set_disabled(
            &app.app,
            Permitted::as_operator(),
            user.id,
            true,
            &Default::default(),
        )
        .await
        .unwrap();
        for status in sign_ins {
            // Before the account was disabled, while it was, or with a session that ended meanwhile.
            assert!(matches!(status.await.unwrap(), 200 | 401 | 403));
        }
        assert_eq!(app.live_sessions().await, 0, "round {round}");
        manage_users::set_disabled(
            &app.app,
            Permitted::as_operator(),
            user.id,
            false,
            &Default::default(),
        )
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn s19_nothing_readable_tells_when_a_session_refreshed() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    app.after(minutes(5));
    let look = async || {
        let mut seen = Vec::new();
        for path in [
            "/api/auth/session",
            "/api/auth/get-session",
            "/api/auth/list-sessions",
        ] {
            seen.push(browser.get(path).await.ok().text);
        }
        seen
    };
    let before = look().await;
    browser.refresh().await.ok();
    assert_eq!(look().await, before);
    app.after(minutes(1));
    browser.refresh().await.ok();
    assert_eq!(look().await, before);
    for word in ["generation", "rotated", "idle"] {
        assert!(!before.concat().contains(word), "{word}");
    }
}

#[tokio::test]
async fn s20_a_stolen_jar_that_only_calls_token_gets_nothing_once_the_session_refreshed() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    browser.get("/api/auth/token").await.ok().claims("token");
    browser.refresh().await.ok();
    browser.get("/api/auth/token").await.ok().claims("token");
    let thief = browser.stolen();
    thief.forget(REFRESH_COOKIE);
    thief
        .get("/api/auth/token")
        .await
        .refused(401, "REFRESH_TOKEN_MISSING");
    // With the whole jar it lasts until the owner moves on.
    let thief = browser.stolen();
    app.after(minutes(10));
    browser.refresh().await.ok();
    app.after(seconds(31));
    thief
        .get("/api/auth/token")
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    browser
        .refresh()
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
}

#[tokio::test]
async fn a_token_works_only_on_the_channel_it_was_made_for() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let (native, browser) = (alice.sign_in().await, alice.browser().await);
    let in_cookie = browser.cookie(REFRESH_COOKIE).unwrap();
    app.refresh(&in_cookie)
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    browser.refresh().await.ok();
    let other = crate::support::Browser::new(&app);
    other.set_cookie(REFRESH_COOKIE, &native.refresh);
    other.refresh().await.refused(401, "REFRESH_TOKEN_INVALID");
    app.refresh(&native.refresh).await.ok();
    // Sent both ways at once: nothing is consumed.
    let both = browser
        .ask(
            Method::POST,
            "/api/auth/refresh",
            Some(&json!({ "refreshToken": native.refresh })),
        )
        .await;
    both.refused(400, "BAD_REQUEST");
}

#[tokio::test]
async fn of_several_refresh_cookies_the_current_one_counts() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    let spent = browser.cookie(REFRESH_COOKIE).unwrap();
    browser.refresh().await.ok();
    app.after(minutes(10));
    let current = browser.cookie(REFRESH_COOKIE).unwrap();
    let line =
        format!("{REFRESH_COOKIE}=garbage; {REFRESH_COOKIE}={spent}; {REFRESH_COOKIE}={current}");
    let request = axum::http::Request::post("/api/auth/refresh")
        .header("cookie", line)
        .body(axum::body::Body::empty())
        .unwrap();
    app.send(request).await.ok();
}

#[tokio::test]
async fn a_refusal_clears_only_the_refresh_cookie_when_another_session_lives() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let (dead, living) = (alice.browser().await, alice.browser().await);
    let stale = dead.cookie(REFRESH_COOKIE).unwrap();
    dead.post("/api/auth/sign-out", &json!({})).await.ok();
    living.set_cookie(REFRESH_COOKIE, &stale);
    let refused = living.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    assert_eq!(refused.cookies().len(), 1, "{:?}", refused.cookies());
    living.get("/api/auth/session").await.ok();
}

#[tokio::test]
async fn revoking_by_a_spent_token_is_reuse_so_a_thief_cannot_clean_up_quietly() {
    let app = TestApp::with(&[("sessions.late_retry", "revoke")]).await;
    let alice = app.user("alice").await;
    let tokens = alice.sign_in().await;
    let next = app.rotate(&tokens.refresh).await;
    app.after(seconds(31));
    app.form(
        "/api/auth/oauth2/revoke",
        &format!("token={}", tokens.refresh),
    )
    .await
    .ok();
    assert_eq!(app.db_count_events("refresh_token.reused").await, 1);
    app.refresh(&next)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    // And so is a sign-in that replaces a session.
    let browser = alice.browser().await;
    let thief = browser.stolen();
    browser.refresh().await.ok();
    app.after(seconds(31));
    thief
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": alice.email, "password": alice.password }),
        )
        .await
        .ok();
    assert_eq!(app.db_count_events("refresh_token.reused").await, 2);
    browser
        .refresh()
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
}

#[tokio::test]
async fn repeats_from_elsewhere_after_three_rotations_in_a_row_raise_the_alarm() {
    let app = TestApp::with(&[("server.trusted_proxies", "192.0.2.0/24")]).await;
    let mut token = app.user("alice").await.sign_in().await.refresh;
    let from = async |ip: &str, token: &str| {
        let body = json!({ "refreshToken": token }).to_string();
        let request = axum::http::Request::post("/api/auth/refresh")
            .header("content-type", "application/json")
            .header("x-forwarded-for", ip);
        app.send(request.body(axum::body::Body::from(body)).unwrap())
            .await
            .ok()
    };
    for round in 0..3 {
        assert_eq!(
            app.db_count_events("refresh_token.shadowed").await,
            0,
            "round {round}"
        );
        let next = from("198.51.100.1", &token).await.str("refreshToken");
        app.after(seconds(2));
        from("203.0.113.1", &token).await;
        app.after(minutes(10));
        token = next;
    }
    assert_eq!(app.db_count_events("refresh_token.shadowed").await, 1);
}

#[tokio::test]
async fn a_clock_that_was_set_back_revives_no_spent_token() {
    let app = TestApp::start().await;
    let first = app.user("alice").await.sign_in().await;
    let second = app.rotate(&first.refresh).await;
    app.after(minutes(10));
    app.rotate(&second).await;
    let restarted = app.replica_with_clock(-3_600_000).await;
    restarted
        .refresh(&first.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    app.refresh(&second)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
}

#[tokio::test]
async fn a_cookie_family_never_comes_out_in_a_body_even_if_asked() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    let answer = browser
        .post(
            "/api/auth/refresh",
            &json!({ "tokenDelivery": "body", "mode": "body" }),
        )
        .await
        .ok();
    assert!(!answer.text.contains("csr_") && answer.body.get("refreshToken").is_none());
    assert!(browser.cookie(REFRESH_COOKIE).is_some());
}

#[tokio::test]
async fn two_cookies_of_one_family_at_sign_out_are_no_theft() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    let spent = browser.cookie(REFRESH_COOKIE).unwrap();
    browser.refresh().await.ok();
    app.after(minutes(10));
    let current = browser.cookie(REFRESH_COOKIE).unwrap();
    let line = format!("{REFRESH_COOKIE}={spent}; {REFRESH_COOKIE}={current}");
    let request = axum::http::Request::post("/api/auth/sign-out")
        .header("cookie", line)
        .body(axum::body::Body::empty())
        .unwrap();
    app.send(request).await.ok();
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
    assert_eq!(app.db_count_events("session.signed_out").await, 1);
}

#[tokio::test]
async fn a_rotation_signs_the_session_cookie_anew_and_only_its_own() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let (browser, other) = (alice.browser().await, alice.browser().await);
    let answer = browser.refresh().await.ok();
    assert_eq!(answer.cookies().len(), 2, "{:?}", answer.cookies());
    app.after(minutes(10));
    browser.set_cookie(SESSION_COOKIE, &other.cookie(SESSION_COOKIE).unwrap());
    other.post("/api/auth/sign-out", &json!({})).await.ok();
    let answer = browser.refresh().await.ok();
    assert!(
        answer
            .cookies()
            .iter()
            .all(|c| c.starts_with(&format!("{REFRESH_COOKIE}="))),
        "{:?}",
        answer.cookies()
    );
}

#[tokio::test]
async fn another_application_s_odd_cookies_sign_no_user_out() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    let mut line = b"city=Z\xfcrich; broken; =x; ".to_vec();
    line.extend(
        format!(
            "{REFRESH_COOKIE}={}",
            browser.cookie(REFRESH_COOKIE).unwrap()
        )
        .bytes(),
    );
    let value = axum::http::HeaderValue::from_bytes(&line).unwrap();
    let request = axum::http::Request::post("/api/auth/refresh")
        .header("cookie", value)
        .body(axum::body::Body::empty())
        .unwrap();
    app.send(request).await.ok();
}

#[tokio::test]
async fn an_app_that_was_suspended_in_a_refresh_is_not_signed_out_and_its_owner_is_told_of_no_theft()
 {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    // The answer of the first refresh was lost; the app comes back with the token that it has.
    let (native, browser) = (alice.sign_in().await, alice.browser().await);
    let unheard = app.rotate(&native.refresh).await;
    let stale = browser.stolen();
    browser.refresh().await.ok();
    app.after(minutes(60));
    let late = app.rotate(&native.refresh).await;
    assert_ne!(late, unheard);
    app.after(minutes(10));
    app.refresh(&late).await.ok();
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
    // A browser's tabs share one jar: there it is a copy.
    stale.refresh().await.refused(401, "REFRESH_TOKEN_REUSED");
    assert_eq!(app.db_count_events("refresh_token.reused").await, 1);
}

#[tokio::test]
async fn null_in_a_field_of_our_own_is_nothing() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let browser = alice.browser().await;
    browser
        .post("/api/auth/refresh", &json!({ "refreshToken": null }))
        .await
        .ok();
    app.after(seconds(50));
    browser.post("/api/auth/refresh", &json!(null)).await.ok();
    app.post("/api/auth/refresh", &json!({ "refreshToken": null }))
        .await
        .refused(401, "REFRESH_TOKEN_MISSING");
    let form = json!({ "email": alice.email, "password": alice.password, "tokenDelivery": null, "deviceToken": null });
    let answer = Browser::new(&app)
        .post("/api/auth/sign-in/email", &form)
        .await
        .ok();
    assert!(
        answer
            .cookies()
            .iter()
            .any(|c| c.starts_with(REFRESH_COOKIE))
            && answer.body["refreshToken"].is_null()
    );
    app.post("/api/auth/refresh", &json!({ "refreshToken": 1 }))
        .await
        .refused(400, "VALIDATION_ERROR");
    let admin = super::admin::made_admin(&app, "root").await.sign_in().await;
    let invitation =
        json!({ "email": "bea@example.com", "name": null, "role": null, "redirectTo": "/welcome" });
    app.post_as("/api/auth/admin/invite-user", &admin.session, &invitation)
        .await
        .ok();
}

#[tokio::test]
async fn the_token_endpoint_says_how_long_the_token_and_the_session_last() {
    let app = TestApp::start().await;
    let tokens = app.user("alice").await.sign_in().await;
    let form = |token: &str| format!("grant_type=refresh_token&refresh_token={token}");
    let lifetime = app.app.config.sessions.lifetime;
    app.after(minutes(10));
    let rotated = app
        .form("/api/auth/oauth2/token", &form(&tokens.refresh))
        .await
        .ok();
    assert_eq!(
        rotated.body["refresh_token_timeout"],
        lifetime.idle.as_secs()
    );
    assert_eq!(
        rotated.body["authorization_expires_in"],
        lifetime.absolute.as_secs() - 600
    );
    app.after(seconds(10));
    // A token that is kept comes without its timeout, which would tell when it was last used.
    let kept = app
        .form(
            "/api/auth/oauth2/token",
            &form(&rotated.str("refresh_token")),
        )
        .await
        .ok();
    assert!(kept.body["refresh_token"].is_null() && kept.body["refresh_token_timeout"].is_null());
    assert_eq!(
        kept.body["authorization_expires_in"],
        lifetime.absolute.as_secs() - 610
    );
    let metadata = app
        .get("/.well-known/oauth-authorization-server")
        .await
        .ok();
    assert_eq!(
        metadata.body["refresh_token_expiration_types_supported"],
        json!(["authorization", "token_timeout"])
    );
}

/// A page that asks whether its visitor is signed in says `optional`: browsers print every 401 in
/// their console.
#[tokio::test]
async fn a_visit_without_a_refresh_token_is_answered_with_null_if_that_is_asked_for() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let optional = json!({ "optional": true });
    let browser = alice.browser().await;
    let renewed = browser.post("/api/auth/refresh", &optional).await.ok();
    assert!(renewed.body["accessToken"].is_string());

    let visitor = Browser::new(&app);
    let answer = visitor.post("/api/auth/refresh", &optional).await.ok();
    assert!(answer.body.is_null() && answer.cookies().is_empty());
    for body in [json!({}), json!({ "optional": false })] {
        visitor
            .post("/api/auth/refresh", &body)
            .await
            .refused(401, "REFRESH_TOKEN_MISSING");
    }
    visitor
        .post("/api/auth/refresh", &json!({ "optional": "true" }))
        .await
        .refused(400, "VALIDATION_ERROR");

    // A token that came is judged as always.
    let thief = browser.stolen();
    browser.post("/api/auth/sign-out", &json!({})).await.ok();
    thief
        .post("/api/auth/refresh", &optional)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    visitor
        .post(
            "/api/auth/refresh",
            &json!({ "optional": true, "refreshToken": "csr_none" }),
        )
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
}

#[tokio::test]
async fn every_answer_tells_the_absolute_end_of_the_session() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let browser = Browser::new(&app);
    let form = json!({ "email": alice.email, "password": alice.password });
    let signed_in = browser.post("/api/auth/sign-in/email", &form).await.ok();
    let session = &signed_in.body["session"];
    let end = session["expiresAt"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        app.after(minutes(10));
        let renewed = browser.refresh().await.ok();
        assert_eq!(&renewed.body["session"], session);
        for path in ["/api/auth/session", "/api/auth/get-session"] {
            let answer = browser.get(path).await.ok();
            assert_eq!(answer.body["session"]["id"], session["id"], "{path}");
            assert_eq!(answer.body["session"]["expiresAt"], end, "{path}");
        }
        let list = browser.get("/api/auth/list-sessions").await.ok();
        let own = list.body.as_array().unwrap();
        let own = own.iter().find(|listed| listed["id"] == session["id"]);
        assert_eq!(own.unwrap()["expiresAt"], end);
    }
    let id = session["id"].as_str().unwrap();
    let absolute: i64 = sqlx::query_scalar("SELECT expires_at FROM sessions WHERE id = $1")
        .bind(id)
        .fetch_one(&mut app.db().await)
        .await
        .unwrap();
    assert_eq!(session["expiresAt"], json!(Timestamp(absolute)));
    assert!(app.db_session(id).await.idle_expires_at < absolute);
}
