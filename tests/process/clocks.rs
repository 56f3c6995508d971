//! The wall clock is wrong or is set while the program runs (libfaketime). The monotonic clock is
//! left alone, as on a real machine.

use std::time::{Duration, Instant};

use reqwest::Client;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::calls::{refresh_at, sign_in, signed_up, token, until_closed};
use crate::fleet::Fleet;
use crate::server::{Place, Server, sign_up};

/// How a process is started whose clock a file sets, while it runs: `+0`, `-3600`, `+100d`.
pub struct Clock {
    file: std::path::PathBuf,
    library: String,
}

impl Clock {
    pub fn new(place: &Place, offset: &str) -> Self {
        let library = std::fs::read_dir("/usr/lib")
            .unwrap()
            .map(|e| e.unwrap().path().join("faketime/libfaketime.so.1"))
            .find(|p| p.exists());
        let clock = Self {
            file: place.path("clock"),
            library: library.expect("Debian's faketime").display().to_string(),
        };
        clock.set(offset);
        clock
    }

    pub fn set(&self, offset: &str) {
        // In one step: a reader sees the old or the new line.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{offset}\n")).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }

    /// Sets the clock to this time, in Unix milliseconds; it runs on from there.
    pub fn set_to(&self, time: i64) {
        let offset = time - now_ms();
        let sign = if offset < 0 { '-' } else { '+' };
        let (seconds, rest) = (offset.unsigned_abs() / 1000, offset.unsigned_abs() % 1000);
        self.set(&format!("{sign}{seconds}.{rest:03}"));
    }

    pub fn environment(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", &self.library),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }

    pub fn serve(&self, place: &Place) -> Server {
        place.serve_at(place.port, &self.environment())
    }
}

/// The time of this machine, in Unix milliseconds.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_millis()).unwrap()
}

pub async fn number(place: &Place, sql: &'static str) -> i64 {
    let options = SqliteConnectOptions::new().filename(place.path("data/countersign.db"));
    sqlx::query_scalar(sql)
        .fetch_one(&mut options.connect().await.unwrap())
        .await
        .unwrap()
}

/// Until a condition holds; a process that never gets there fails the test.
pub async fn until(what: &str, server: &Server, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "never: {what}; log:\n{}",
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_machine_that_boots_100_or_400_days_ahead_deletes_no_session_key_or_event() {
    let place = Place::new(&["audit.retention=30d"]);
    let clock = Clock::new(&place, "+0");
    let http = Client::new();
    let mut server = clock.serve(&place);
    for n in 0..20 {
        sign_up(&http, &server, &format!("user{n}")).await;
    }
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.wait();
    let look = async || {
        (
            number(&place, "SELECT COUNT(*) FROM sessions").await,
            number(&place, "SELECT COUNT(*) FROM signing_keys").await,
            number(
                &place,
                "SELECT COUNT(*) FROM audit_events WHERE kind = 'user.created'",
            )
            .await,
        )
    };
    let before = look().await;
    assert_eq!((before.0, before.1), (20, 2));
    for days in ["+100d", "+400d"] {
        clock.set(days);
        let mut server = clock.serve(&place);
        // The jobs run at once: they have spoken, or deleted.
        until("the jobs ran", &server, async || {
            server.log().contains("the clock is not confirmed") || look().await != before
        })
        .await;
        assert_eq!(look().await, before, "{days}");
        server.signal(nix::sys::signal::Signal::SIGTERM);
        server.wait();
        assert_eq!(look().await, before, "{days}, after its end");
        let mut doctor = place.command();
        let doctor = doctor
            .args(["doctor", "--output", "json"])
            .envs(clock.environment())
            .output()
            .unwrap();
        let says = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(
            doctor.status.code() == Some(1) && says.contains("ahead of the last confirmed time"),
            "{says}"
        );
        std::fs::write(place.path("log.jsonl"), "").unwrap();
    }
    // The operator says that it is right after all.
    let mut confirm = place.command();
    assert!(
        confirm
            .args(["clock", "confirm", "--yes"])
            .envs(clock.environment())
            .status()
            .unwrap()
            .success()
    );
    let server = clock.serve(&place);
    until("what is over goes", &server, async || {
        number(&place, "SELECT COUNT(*) FROM sessions").await == 0
    })
    .await;
}

#[tokio::test]
async fn a_clock_set_back_an_hour_under_a_running_server_stops_no_job() {
    let place = Place::new(&[]);
    let clock = Clock::new(&place, "+0");
    let server = clock.serve(&place);
    let http = Client::new();
    let kids = async || -> Vec<String> {
        let set: serde_json::Value = http
            .get(server.url("/api/auth/jwks"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        set["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|k| k["kid"].as_str().unwrap().to_owned())
            .collect()
    };
    let before = kids().await;
    clock.set("-3600");
    let mut revoke = place.command();
    let revoked = revoke
        .args(["keys", "revoke", &before[0], "--reason", "test", "--yes"])
        .envs(clock.environment())
        .output()
        .unwrap();
    assert!(
        revoked.status.success(),
        "{}",
        String::from_utf8_lossy(&revoked.stderr)
    );
    let started = Instant::now();
    while kids().await.contains(&before[0]) {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the revoked key is still in the JWKS after 10 s"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "the revoked key left the JWKS {:?} after the revocation",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn a_replica_100_or_400_days_ahead_of_the_others_and_of_postgres_changes_and_deletes_nothing_and_says_why()
 {
    const SESSIONS: usize = 200;
    let fleet = Fleet::start(&["audit.retention=30d"]);
    let http = Client::new();
    let held = signed_up(&fleet, &http).await;
    for _ in 1..SESSIONS {
        sign_in(&fleet, &http).await;
    }
    fleet.signal(3, nix::sys::signal::Signal::SIGTERM);
    until_closed(&fleet, 3);
    // What there is now, to be compared row by row.
    let tables = [
        "sessions",
        "users",
        "accounts",
        "signing_keys",
        "key_ring",
        "audit_events",
    ];
    for table in tables {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "CREATE TABLE before_{table} AS SELECT * FROM {table}"
        )))
        .execute(&mut fleet.sql().await)
        .await
        .unwrap();
    }
    let lost = async || {
        let mut lost = Vec::new();
        for table in tables {
            let sql = format!(
                "SELECT COUNT(*) FROM (SELECT * FROM before_{table} EXCEPT SELECT * FROM {table}) gone"
            );
            let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .fetch_one(&mut fleet.sql().await)
                .await
                .unwrap();
            if rows > 0 {
                lost.push((table, rows));
            }
        }
        lost
    };
    assert_eq!(
        fleet.number("SELECT COUNT(*) FROM before_sessions").await,
        i64::try_from(SESSIONS).unwrap()
    );
    for days in [100, 400] {
        let told = || fleet.log(3).matches("the clock is not confirmed").count();
        let before = told();
        fleet.serve_at(3, days * 86_400);
        let started = Instant::now();
        // Its jobs run at once: they have spoken, or deleted.
        while told() == before && lost().await.is_empty() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "its jobs never ran:\n{}",
                fleet.log(3)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let answer = http
            .get(fleet.direct(3, "/health/ready"))
            .send()
            .await
            .unwrap();
        let (status, body): (_, serde_json::Value) =
            (answer.status().as_u16(), answer.json().await.unwrap());
        let reason = body["reasons"][0].as_str().unwrap_or_default();
        assert!(
            status == 503
                && body["checks"]["clock"] == false
                && reason.contains("ahead of the database's"),
            "{body}"
        );
        // A client that finds its way there all the same loses nothing by it.
        let (status, refused) = refresh_at(&fleet, &http, 3, &held).await;
        assert_eq!(status, 503, "{refused}");
        // It ends after the runs that it has begun.
        fleet.signal(3, nix::sys::signal::Signal::SIGTERM);
        until_closed(&fleet, 3);
        tokio::task::block_in_place(|| fleet.until_ended(3));
        assert_eq!(
            lost().await,
            [],
            "rows of before that are gone or changed, {days} days ahead"
        );
        let ahead = "SELECT (SELECT COUNT(*) FROM heartbeats WHERE beat_at > extract(epoch FROM now()) * 1000 + 60000)
            + (SELECT COUNT(*) FROM standstills WHERE ended_at > extract(epoch FROM now()) * 1000 + 60000)
            + (SELECT COUNT(*) FROM clock WHERE confirmed_at > extract(epoch FROM now()) * 1000 + 60000)";
        assert_eq!(
            fleet.number(ahead).await,
            0,
            "no time of that clock is kept"
        );
        for n in [1, 2] {
            assert_eq!(
                http.get(fleet.direct(n, "/health/ready"))
                    .send()
                    .await
                    .unwrap()
                    .status()
                    .as_u16(),
                200,
                "replica {n} goes on"
            );
        }
        println!("{days} days ahead: {SESSIONS} sessions, 0 rows lost; {reason}");
    }
    let (status, body) = refresh_at(&fleet, &http, 1, &held).await;
    assert_eq!(status, 200, "{body}");
    assert_ne!(token(&body), held);
}
