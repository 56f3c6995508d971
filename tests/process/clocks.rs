//! The wall clock is wrong or is set while the program runs (libfaketime). The monotonic clock is left alone, as on a real machine.

use std::time::{Duration, Instant};

use reqwest::Client;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::server::{Place, Server, sign_up};

/// How a process is started whose clock a file sets, while it runs: `+0`, `-3600`, `+100d`.
struct Clock {
    file: std::path::PathBuf,
    library: String,
}

impl Clock {
    fn new(place: &Place, offset: &str) -> Self {
        let library = std::fs::read_dir("/usr/lib").unwrap().map(|e| e.unwrap().path().join("faketime/libfaketime.so.1")).find(|p| p.exists());
        let clock = Self { file: place.path("clock"), library: library.expect("Debian's faketime").display().to_string() };
        clock.set(offset);
        clock
    }

    fn set(&self, offset: &str) {
        // In one step: a reader sees the old or the new line.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{offset}\n")).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }

    fn environment(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", &self.library),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }

    fn serve(&self, place: &Place) -> Server {
        place.serve_at(place.port, &self.environment())
    }
}

async fn number(place: &Place, sql: &'static str) -> i64 {
    let options = SqliteConnectOptions::new().filename(place.path("data/countersign.db"));
    sqlx::query_scalar(sql).fetch_one(&mut options.connect().await.unwrap()).await.unwrap()
}

/// Until a condition holds; a process that never gets there fails the test.
async fn until(what: &str, server: &Server, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}; log:\n{}", server.log());
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
            number(&place, "SELECT COUNT(*) FROM audit_events WHERE kind = 'user.created'").await,
        )
    };
    let before = look().await;
    assert_eq!((before.0, before.1), (20, 2));
    for days in ["+100d", "+400d"] {
        clock.set(days);
        let mut server = clock.serve(&place);
        // The jobs run at once: they have spoken, or deleted.
        until("the jobs ran", &server, async || server.log().contains("the clock is not confirmed") || look().await != before).await;
        assert_eq!(look().await, before, "{days}");
        server.signal(nix::sys::signal::Signal::SIGTERM);
        server.wait();
        assert_eq!(look().await, before, "{days}, after its end");
        let mut doctor = place.command();
        let doctor = doctor.arg("doctor").envs(clock.environment()).output().unwrap();
        let says = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(doctor.status.code() == Some(1) && says.contains("ahead of the last confirmed time"), "{says}");
        std::fs::write(place.path("log.jsonl"), "").unwrap();
    }
    // The operator says that it is right after all.
    let mut confirm = place.command();
    assert!(confirm.args(["clock", "confirm", "--yes"]).envs(clock.environment()).status().unwrap().success());
    let server = clock.serve(&place);
    until("what is over goes", &server, async || number(&place, "SELECT COUNT(*) FROM sessions").await == 0).await;
}

#[tokio::test]
async fn a_clock_set_back_an_hour_under_a_running_server_stops_no_job() {
    let place = Place::new(&[]);
    let clock = Clock::new(&place, "+0");
    let server = clock.serve(&place);
    let http = Client::new();
    let kids = async || -> Vec<String> {
        let set: serde_json::Value = http.get(server.url("/api/auth/jwks")).send().await.unwrap().json().await.unwrap();
        set["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect()
    };
    let before = kids().await;
    clock.set("-3600");
    let mut revoke = place.command();
    let revoked = revoke.args(["keys", "revoke", &before[0], "--reason", "test", "--yes"]).envs(clock.environment()).output().unwrap();
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    let started = Instant::now();
    while kids().await.contains(&before[0]) {
        assert!(started.elapsed() < Duration::from_secs(10), "the revoked key is still in the JWKS after 10 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("the revoked key left the JWKS {:?} after the revocation", started.elapsed());
}
