//! Another master key, played on real processes that share one database: on SQLite, and with
//! `TEST_DATABASE_URL` on Postgres.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::task::JoinHandle;

use crate::server::{Place, Server, refresh, reserve_ports, sign_in, sign_up, write_key};

pub const NEW: &str = "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY";
pub const BESIDE: &str = "COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE";

/// A folder for two processes, and the schema to drop at the end.
pub struct Two {
    pub place: Place,
    schema: Option<(String, String)>,
}

impl Two {
    async fn new() -> Self {
        // Every refresh rotates.
        Self::with(&["sessions.refresh_grace=0s", "sessions.refresh_cooldown=0s"]).await
    }

    pub async fn with(settings: &[&str]) -> Self {
        let mut place = Place::new(settings);
        place.port = reserve_ports(2);
        let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
            return Self {
                place,
                schema: None,
            };
        };
        let schema = format!("process_{}_{}", std::process::id(), place.port);
        PgConnection::connect(&server)
            .await
            .unwrap()
            .execute_raw(&format!("CREATE SCHEMA {schema}"))
            .await;
        place.settings.push(format!(
            "database.url={server}?options[search_path]={schema}"
        ));
        Self {
            place,
            schema: Some((server, schema)),
        }
    }

    pub fn serve(&self, n: u16, environment: &[(&str, &str)]) -> Server {
        self.place.serve_at(self.place.port + n, environment)
    }

    pub async fn end(self) {
        if let Some((server, schema)) = self.schema {
            PgConnection::connect(&server)
                .await
                .unwrap()
                .execute_raw(&format!("DROP SCHEMA {schema} CASCADE"))
                .await;
        }
    }

    pub fn rewrap(&self, more: &[&str]) -> Output {
        self.place.run(
            &[
                &["keys", "rewrap", "--new-master-key-file", "new.key"],
                more,
            ]
            .concat(),
            "",
        )
    }

    pub fn processes(&self) -> Vec<Value> {
        self.place
            .items(&["keys", "processes"], "")
            .as_array()
            .unwrap()
            .clone()
    }
}

trait ExecuteRaw {
    async fn execute_raw(&mut self, sql: &str);
}

impl ExecuteRaw for PgConnection {
    async fn execute_raw(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(self)
            .await
            .unwrap();
    }
}

pub fn stop(mut server: Server) {
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn status(http: &Client, server: &Server, path: &str) -> u16 {
    http.get(server.url(path))
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

/// Waits until it is true; a test does not go on before.
pub async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !check().await {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client that refreshes at one process without a pause; every refresh must succeed.
struct Refreshing {
    stop: Arc<AtomicBool>,
    /// The version of the master key that made the newest token.
    version: Arc<AtomicU8>,
    running: JoinHandle<(u32, String)>,
}

impl Refreshing {
    fn at(server: &Server, token: String) -> Self {
        let (stop, version) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU8::new(0)));
        let (stopped, newest, url, mut held) = (
            Arc::clone(&stop),
            Arc::clone(&version),
            server.url("/api/auth/refresh"),
            token,
        );
        let running = tokio::spawn(async move {
            let (http, mut count) = (Client::new(), 0);
            while !stopped.load(Ordering::Relaxed) {
                let answer = http
                    .post(&url)
                    .json(&json!({ "refreshToken": held }))
                    .send()
                    .await
                    .unwrap();
                let (status, body) = (
                    answer.status().as_u16(),
                    answer.json::<Value>().await.unwrap(),
                );
                assert_eq!(status, 200, "refresh {count}: {body}");
                body["refreshToken"].as_str().unwrap().clone_into(&mut held);
                let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
                    .decode(held.strip_prefix("csr_").unwrap())
                    .unwrap();
                newest.store(bytes[0], Ordering::Relaxed);
                count += 1;
            }
            (count, held)
        });
        Self {
            stop,
            version,
            running,
        }
    }

    async fn end(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let (count, held) = self.running.await.unwrap();
        assert!(count > 0);
        held
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skipped_step_of_another_master_key_is_refused_and_in_the_right_order_no_refresh_fails() {
    let two = Two::new().await;
    let http = Client::new();
    let (mut one, mut other) = (two.serve(0, &[]), two.serve(1, &[]));
    let ana = sign_up(&http, &one, "ana").await;
    let bob = sign_up(&http, &other, "bob").await;
    write_key(&two.place.path("new.key"), NEW);
    let before = two.place.items(&["keys", "list", "--all"], "");
    let old = two.processes()[0]["masterKeys"][0]
        .as_str()
        .unwrap()
        .to_owned();

    // The step that is easily skipped: the second process was not given the new key.
    stop(one);
    one = two.serve(0, &[(BESIDE, "new.key")]);
    for more in [&[][..], &["--dry-run"], &["--compromised", "--yes"]] {
        let refused = two.rewrap(more);
        let text = said(&refused);
        assert_eq!(refused.status.code(), Some(1), "{more:?}: {text}");
        for expected in [
            &format!("pid {},", other.pid()),
            BESIDE,
            "--although-processes-lack-it",
            &old,
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
        assert!(
            !text.contains(&format!("pid {},", one.pid())),
            "it holds the new key: {text}"
        );
    }
    assert_eq!(
        two.place.items(&["keys", "list", "--all"], ""),
        before,
        "nothing was changed"
    );
    for server in [&one, &other] {
        assert_eq!(status(&http, server, "/health/ready").await, 200);
    }
    let held: Vec<_> = two
        .processes()
        .iter()
        .map(|p| {
            (
                p["pid"].as_u64().unwrap(),
                p["masterKeys"].as_array().unwrap().len(),
            )
        })
        .collect();
    assert_eq!(
        held,
        [(u64::from(other.pid()), 1), (u64::from(one.pid()), 2)],
        "the one that started first is listed first"
    );
    let table = String::from_utf8(two.place.run(&["keys", "list"], "").stdout).unwrap();
    assert!(
        table.contains("held by") && table.contains(&format!("/{}", other.pid())),
        "{table}"
    );

    // The right order, while both are used without a pause.
    stop(other);
    other = two.serve(1, &[(BESIDE, "new.key")]);
    let token = |body: &Value| body["refreshToken"].as_str().unwrap().to_owned();
    let busy = [
        Refreshing::at(&one, token(&ana)),
        Refreshing::at(&other, token(&bob)),
    ];
    let done = two.rewrap(&[]);
    assert!(done.status.success(), "{}", said(&done));
    until("both make tokens with the new key", async || {
        busy.iter()
            .all(|client| client.version.load(Ordering::Relaxed) == 2)
    })
    .await;
    let mut held = vec![];
    for client in busy {
        held.push(client.end().await);
    }

    // The new key becomes the master key, the old one the previous key.
    std::fs::rename(two.place.path("keys/master.key"), two.place.path("old.key")).unwrap();
    std::fs::rename(two.place.path("new.key"), two.place.path("keys/master.key")).unwrap();
    stop(one);
    let one = two.serve(0, &[(BESIDE, "old.key")]);
    assert_eq!(refresh(&http, &one, &held[0]).await.unwrap().0, 200);
    stop(other);
    let other = two.serve(1, &[(BESIDE, "old.key")]);
    assert_eq!(refresh(&http, &other, &held[1]).await.unwrap().0, 200);
    assert!(
        two.processes()
            .iter()
            .all(|process| process["holdsCurrentKey"] == true)
    );
    stop(one);
    stop(other);
    assert_eq!(
        two.processes(),
        [] as [Value; 0],
        "a process that stops in good order is gone from the list"
    );

    // One that is started later with the old key alone does not start.
    let late = two
        .place
        .command()
        .arg("serve")
        .env("COUNTERSIGN_MASTER_KEY_FILE", "old.key")
        .output()
        .unwrap();
    assert!(
        late.status.code() == Some(78) && said(&late).contains("which is not loaded"),
        "{}",
        said(&late)
    );
    two.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_goes_on_all_the_same_finds_it_in_the_audit_trail_and_in_doctor() {
    let two = Two::new().await;
    let http = Client::new();
    let (one, other) = (two.serve(0, &[]), two.serve(1, &[]));
    write_key(&two.place.path("new.key"), NEW);
    stop(one);
    let one = two.serve(0, &[(BESIDE, "new.key")]);
    assert_eq!(two.rewrap(&[]).status.code(), Some(1));
    let forced = two.rewrap(&["--although-processes-lack-it"]);
    assert!(forced.status.success(), "{}", said(&forced));
    std::fs::rename(two.place.path("keys/master.key"), two.place.path("old.key")).unwrap();
    std::fs::rename(two.place.path("new.key"), two.place.path("keys/master.key")).unwrap();
    until("the process without the key is not ready", async || {
        status(&http, &other, "/health/ready").await == 503
    })
    .await;
    assert_eq!(status(&http, &one, "/health/ready").await, 200);

    // It cannot sign, but it still tells what it holds.
    let lacking = |process: &&Value| process["holdsCurrentKey"] == false;
    assert_eq!(
        two.processes().iter().find(lacking).unwrap()["pid"],
        other.pid()
    );
    let found = two.place.json(&["doctor"], "");
    let warning = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["subject"] == "processes")
        .unwrap();
    assert_eq!(warning["verdict"], "warning");
    assert!(
        warning["finding"]
            .as_str()
            .unwrap()
            .contains(&format!("pid {},", other.pid())),
        "{warning}"
    );
    assert_eq!(found["processes"].as_array().unwrap().len(), 2);
    let trail = String::from_utf8(
        two.place
            .run(
                &[
                    "audit",
                    "list",
                    "--kind",
                    "keys.rewrapped",
                    "--output",
                    "json",
                ],
                "",
            )
            .stdout,
    )
    .unwrap();
    assert!(
        trail.contains("lacked_by")
            && trail.contains(&format!("/{}", other.pid()))
            && !trail.contains(&format!("/{}\"", one.pid())),
        "{trail}"
    );

    // One that is killed says nothing: on this machine it is seen to have ended.
    other.signal(Signal::SIGKILL);
    drop(other);
    assert!(
        two.processes()
            .iter()
            .all(|process| process["holdsCurrentKey"] == true)
    );
    assert_eq!(two.processes().len(), 1);
    drop(one);
    two.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_master_key_is_given_up_at_the_shell_and_everybody_signs_in_again() {
    let two = Two::new().await;
    let (place, http) = (&two.place, Client::new());
    let server = two.serve(0, &[]);
    let ana = sign_up(&http, &server, "ana").await;
    let kids: Vec<String> = place
        .items(&["keys", "list"], "")
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect();
    let abandon = |more: &[&str]| {
        place.run(
            &[&["keys", "abandon", "--lost-master-key"], more].concat(),
            "",
        )
    };

    // Not while it is there, and not by accident.
    let early = abandon(&["--yes"]);
    assert!(
        early.status.code() == Some(1) && said(&early).contains("is loaded, so it is not lost"),
        "{}",
        said(&early)
    );
    assert_eq!(
        refresh(&http, &server, ana["refreshToken"].as_str().unwrap())
            .await
            .unwrap()
            .0,
        200
    );
    stop(server);
    std::fs::remove_file(place.path("keys/master.key")).unwrap();
    let refused = place.run(&["serve"], "");
    assert!(
        refused.status.code() == Some(78) && said(&refused).contains("No new key was made"),
        "{}",
        said(&refused)
    );
    assert_eq!(
        place.run(&["keys", "abandon", "--yes"], "").status.code(),
        Some(2),
        "--lost-master-key is required"
    );
    let unsure = abandon(&[]);
    assert!(
        unsure.status.code() == Some(2)
            && said(&unsure).contains("end every session?")
            && said(&unsure).contains("--yes"),
        "{}",
        said(&unsure)
    );
    assert!(!place.path("keys/master.key").exists(), "nothing was done");

    let done = abandon(&["--yes", "--output", "json"]);
    assert!(
        done.status.success() && said(&done).contains("Back up the new master key"),
        "{}",
        said(&done)
    );
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (
            told["version"].as_u64(),
            told["keys"].as_u64(),
            told["sessions"].as_u64()
        ),
        (Some(2), Some(2), Some(1)),
        "{told}"
    );
    assert!(
        told["lost"].is_string()
            && told["masterKey"].is_string()
            && told["lost"] != told["masterKey"],
        "{told}"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(place.path("keys/master.key"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);

    // The service starts with the new key. What was signed or sealed before is refused, and no
    // theft is reported.
    let server = two.serve(0, &[]);
    let (status_of_refresh, body) = refresh(&http, &server, ana["refreshToken"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(
        (status_of_refresh, body["code"].as_str()),
        (401, Some("REFRESH_TOKEN_INVALID")),
        "{body}"
    );
    for name in ["token", "accessToken"] {
        let answer = http
            .get(server.url("/api/auth/session"))
            .bearer_auth(ana[name].as_str().unwrap())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{name}");
    }
    let jwks = http
        .get(server.url("/api/auth/jwks"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(kids.iter().all(|kid| !jwks.contains(kid)), "{jwks}");
    let again = sign_in(&http, &server, "ana").await;
    assert_eq!(
        refresh(&http, &server, again["refreshToken"].as_str().unwrap())
            .await
            .unwrap()
            .0,
        200
    );
    let trail =
        String::from_utf8(place.run(&["audit", "list", "--output", "json"], "").stdout).unwrap();
    assert!(
        trail.contains("keys.abandoned") && !trail.contains("refresh_token.reused"),
        "{trail}"
    );
    let twice = abandon(&["--yes"]);
    assert!(
        twice.status.code() == Some(1) && said(&twice).contains("is loaded, so it is not lost"),
        "{}",
        said(&twice)
    );
    stop(server);
    two.end().await;
}

#[test]
fn a_rewrap_that_is_repeated_says_that_nothing_is_left_to_do() {
    let place = Place::new(&[]);
    drop(place.serve());
    write_key(&place.path("new.key"), NEW);
    write_key(&place.path("other.key"), &NEW.replace("MTIz", "NTIz"));
    let rewrap = |file: &str, more: &[&str]| {
        // The process was killed, and counts as running for a minute.
        let although = "--although-processes-lack-it";
        let usual = ["keys", "rewrap", "--new-master-key-file", file, although];
        place.run(&[&usual[..], more].concat(), "")
    };
    assert!(rewrap("new.key", &[]).status.success());
    let compromised: &[&str] = &["--compromised", "--yes"];
    for (file, more, said) in [
        (
            "new.key",
            &[][..],
            "nothing is left to do: the keys are already sealed",
        ),
        // The first rewrap has ended no session.
        ("new.key", compromised, "countersign sessions revoke --all"),
        ("other.key", &[], "which is not loaded"),
    ] {
        let refused = rewrap(file, more);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && text.contains(said), "{text}");
    }
}
