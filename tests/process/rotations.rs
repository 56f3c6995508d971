//! Rotations of the signing keys by the real binary on a clock that the test sets: by the cron line,
//! after a time in which the process was down, and after an emergency. Each time a later run of the
//! same job is seen too, by the retired key that it removes, and that run has rotated nothing.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::Value;

use crate::clocks::{Clock, now_ms, number, until};
use crate::server::{Place, Server};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// At each full hour. A new key may sign after 15 s, and a retired one leaves the JWKS minutes later.
const SETTINGS: [&str; 4] = [
    "keys.rotation=0 0 * * * *",
    "keys.verifier_cache=0s",
    "keys.jwks_max_age=0s",
    "tokens.access_ttl=2m",
];

/// A full hour to come, so that the clock of the test is never before that of the files.
fn first_hour() -> i64 {
    (now_ms() / HOUR + 2) * HOUR
}

/// Keys ever made: two at the start and one with each rotation.
async fn rotations(place: &Place) -> i64 {
    number(place, "SELECT COUNT(*) FROM signing_keys").await - 2
}

async fn removed(place: &Place) -> i64 {
    number(
        place,
        "SELECT COUNT(*) FROM signing_keys WHERE state = 'removed'",
    )
    .await
}

/// When the active key began to sign.
async fn activated_at(place: &Place) -> i64 {
    number(
        place,
        "SELECT activated_at FROM signing_keys WHERE state = 'active'",
    )
    .await
}

/// The keys that verifiers see, the active one first.
async fn kids(http: &Client, server: &Server) -> Vec<String> {
    let answer = http.get(server.url("/api/auth/jwks")).send().await.unwrap();
    let set: Value = answer.json().await.unwrap();
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    set["keys"].as_array().unwrap().iter().map(kid).collect()
}

fn stop(mut server: Server) {
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
}

/// Starts the process anew at this time. Its job runs at once: it removes the key that was retired
/// last, and is seen by that.
async fn run_of_the_job_at(place: &Place, clock: &Clock, server: Server, time: i64) -> Server {
    let before = removed(place).await;
    stop(server);
    clock.set_to(time);
    let server = clock.serve(place);
    until("the job ran at its start", &server, async || {
        removed(place).await > before
    })
    .await;
    server
}

#[tokio::test]
async fn keys_rotate_once_at_each_time_of_the_cron_line_and_never_between() {
    let place = Place::new(&SETTINGS);
    let (http, start) = (Client::new(), first_hour());
    let clock = Clock::new(&place, "+0");
    clock.set_to(start + 30 * MINUTE);
    let server = clock.serve(&place);
    // The job also runs by its own interval of a minute. What happens before that is the cron line's.
    let interval = Instant::now() + Duration::from_secs(50);
    let mut seen = vec![kids(&http, &server).await];
    for n in 1..=3 {
        let hour = start + n * HOUR;
        assert_eq!(rotations(&place).await, n - 1, "before hour {n}");
        clock.set_to(hour - 1_500);
        until("the hour's rotation", &server, async || {
            assert!(
                Instant::now() < interval,
                "the cron line woke nothing; log:\n{}",
                server.log()
            );
            rotations(&place).await == n
        })
        .await;
        let at = activated_at(&place).await;
        assert!(
            (hour..hour + HOUR).contains(&at),
            "hour {n}: {at}, not {hour}"
        );
        until("the JWKS shows it", &server, async || {
            kids(&http, &server).await != seen[seen.len() - 1]
        })
        .await;
        seen.push(kids(&http, &server).await);
    }
    for pair in seen.windows(2) {
        assert_eq!(pair[1][0], pair[0][1], "the standby of before signs");
    }
    // A later run of the job in the same hour.
    let server = run_of_the_job_at(&place, &clock, server, start + 3 * HOUR + 50 * MINUTE).await;
    assert_eq!(rotations(&place).await, 3);
    let third = &seen[3];
    assert_eq!(
        kids(&http, &server).await[..2],
        third[..2],
        "the same keys sign and wait"
    );
    println!("3 hours, {} rotations", rotations(&place).await);

    // The process is down at three more hours: one rotation catches up.
    stop(server);
    clock.set_to(start + 6 * HOUR + 10 * MINUTE);
    let server = clock.serve(&place);
    until("the rotation is caught up", &server, async || {
        rotations(&place).await == 4
    })
    .await;
    let server = run_of_the_job_at(&place, &clock, server, start + 6 * HOUR + 50 * MINUTE).await;
    assert_eq!(
        rotations(&place).await,
        4,
        "three missed hours are one rotation"
    );
    stop(server);
    let events = place.run(
        &[
            "audit",
            "list",
            "--kind",
            "keys.rotated",
            "--output",
            "json",
        ],
        "",
    );
    let events = String::from_utf8(events.stdout).unwrap();
    // The first one tells of the keys that the first start made.
    assert_eq!(events.matches("\"keys.rotated\"").count(), 5, "{events}");
}

#[tokio::test]
async fn after_an_emergency_there_is_exactly_one_further_rotation() {
    let place = Place::new(&SETTINGS);
    let (http, start) = (Client::new(), first_hour());
    let clock = Clock::new(&place, "+0");
    clock.set_to(start + 5 * MINUTE);
    let server = clock.serve(&place);
    let before = kids(&http, &server).await;
    clock.set_to(start + 10 * MINUTE);
    let mut revoke = place.command();
    let revoked = revoke
        .args(["keys", "revoke", &before[0], "--reason", "leaked", "--yes"])
        .envs(clock.environment())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&revoked.stderr).into_owned();
    assert!(revoked.status.success(), "{told}");
    // The standby signs at once, and the leaked key is gone.
    until("the JWKS shows it", &server, async || {
        !kids(&http, &server).await.contains(&before[0])
    })
    .await;
    let after = kids(&http, &server).await;
    assert_eq!((&after[0], rotations(&place).await), (&before[1], 1));
    let due = number(&place, "SELECT rotate_after FROM key_ring").await;
    let since_the_revocation = due - activated_at(&place).await;
    assert_eq!(
        since_the_revocation, 15_000,
        "as verifiers need to see the new standby"
    );

    // Down until after it: the second rotation comes with the start.
    stop(server);
    clock.set_to(due + 1_000);
    let server = clock.serve(&place);
    until("the second rotation", &server, async || {
        rotations(&place).await == 2
    })
    .await;
    assert!(activated_at(&place).await >= due);
    assert_eq!(
        number(
            &place,
            "SELECT COUNT(*) FROM key_ring WHERE rotate_after IS NULL"
        )
        .await,
        1
    );
    until("the JWKS shows it", &server, async || {
        kids(&http, &server).await[0] == after[1]
    })
    .await;
    // Later runs of the job in the same hour rotate no more.
    let server = run_of_the_job_at(&place, &clock, server, start + 40 * MINUTE).await;
    assert_eq!(rotations(&place).await, 2, "exactly one further rotation");
    // And then the cron line goes on.
    stop(server);
    clock.set_to(start + HOUR + MINUTE);
    let server = clock.serve(&place);
    until("the hour's rotation", &server, async || {
        rotations(&place).await == 3
    })
    .await;
    let server = run_of_the_job_at(&place, &clock, server, start + HOUR + 40 * MINUTE).await;
    assert_eq!(rotations(&place).await, 3);
    assert!(!kids(&http, &server).await.contains(&before[0]));
}
