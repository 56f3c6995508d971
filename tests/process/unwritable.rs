//! A database that answers and cannot be written: readiness, `doctor` and the metrics say so, and
//! the process recovers by itself.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use reqwest::Client;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Executor};

use crate::calls::{STRICT, signed_up};
use crate::fleet::Fleet;
use crate::server::{Place, Server, form, post, reserve_ports, sign_up};

async fn get(http: &Client, url: String) -> (u16, Value) {
    let answer = http.get(url).send().await.unwrap();
    (
        answer.status().as_u16(),
        answer.json().await.unwrap_or_default(),
    )
}

async fn until_ready(http: &Client, url: &str) -> Duration {
    let started = Instant::now();
    while get(http, url.to_owned()).await.0 != 200 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it does not recover by itself"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    started.elapsed()
}

/// No file of the process may grow beyond this: to SQLite it is a disk that is full. `None` lifts
/// it.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    prlimit(
        Some(pid),
        Resource::Fsize,
        Rlimit {
            current: bytes,
            maximum: None,
        },
    )
    .unwrap();
}

/// Begins a read that lasts until the connection is dropped: what is written meanwhile is added to the
/// log of the database, and never takes the place of what stands in it.
async fn reader(place: &Place) -> SqliteConnection {
    let path = place.path("data/countersign.db");
    let options = SqliteConnectOptions::new().filename(path);
    let [mut writer, mut reader] = [
        options.connect().await.unwrap(),
        options.connect().await.unwrap(),
    ];
    // The read begins behind this, so that the log has something that the reader needs.
    let nothing_new = "UPDATE key_ring SET id = id";
    writer.execute(nothing_new).await.unwrap();
    let begin = "BEGIN; SELECT COUNT(*) FROM users";
    reader.execute(begin).await.unwrap();
    reader
}

#[tokio::test]
async fn a_full_disk_shows_in_readiness_and_metrics_and_the_process_recovers_by_itself() {
    let ops = reserve_ports(1);
    let place = Place::new(&[&format!("server.ops_listen=127.0.0.1:{ops}")]);
    let server = place.serve();
    let http = Client::new();
    sign_up(&http, &server, "ana").await;
    let ready = server.url("/health/ready");
    let (status, body) = get(&http, ready.clone()).await;
    assert_eq!(
        (status, body["checks"]["writable"].as_bool()),
        (200, Some(true)),
        "{body}"
    );
    let metrics = async || {
        http.get(format!("http://127.0.0.1:{ops}/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    assert!(
        metrics()
            .await
            .contains("countersign_database_writable 1\n")
    );

    // As small as the log of the database is now.
    let _reader = reader(&place).await;
    let wal = std::fs::metadata(place.path("data/countersign.db-wal"))
        .unwrap()
        .len();
    limit_files(&server, Some(wal));
    let (status, body) = post(&http, &server.url("/api/auth/sign-up/email"), &form("bob"))
        .await
        .unwrap();
    assert_eq!(
        (status, body["code"].as_str()),
        (503, Some("SERVICE_UNAVAILABLE")),
        "{body}"
    );
    let (status, body) = get(&http, ready.clone()).await;
    println!("full: {status} {body}");
    assert_eq!(
        (
            status,
            body["checks"]["writable"].as_bool(),
            body["checks"]["database"].as_bool()
        ),
        (503, Some(false), Some(true)),
        "{body}"
    );
    assert!(
        body["reasons"].to_string().contains("cannot be written"),
        "{body}"
    );
    assert_eq!(
        get(&http, server.url("/health")).await.0,
        200,
        "liveness asks nothing else"
    );
    assert_eq!(get(&http, server.url("/api/auth/jwks")).await.0, 200);
    let text = metrics().await;
    assert!(
        text.contains("countersign_database_writable 0\n")
            && text.contains("countersign_database_up 0\n"),
        "{text}"
    );
    // It stays so while nothing changes, however often it is asked.
    for _ in 0..5 {
        assert_eq!(get(&http, ready.clone()).await.0, 503);
    }

    limit_files(&server, None);
    println!("ready again after {:?}", until_ready(&http, &ready).await);
    sign_up(&http, &server, "bob").await;
    assert!(
        metrics()
            .await
            .contains("countersign_database_writable 1\n")
    );
}

#[tokio::test]
async fn an_idle_process_notices_a_full_disk_without_a_request_that_writes() {
    let place = Place::new(&[]);
    let server = place.serve();
    let http = Client::new();
    let _reader = reader(&place).await;
    let wal = std::fs::metadata(place.path("data/countersign.db-wal"))
        .unwrap()
        .len();
    limit_files(&server, Some(wal));
    let started = Instant::now();
    while get(&http, server.url("/health/ready")).await.0 != 503 {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "no client noticed"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    limit_files(&server, None);
    until_ready(&http, &server.url("/health/ready")).await;
}

/// Readiness answers 503 within seconds, with a reason that does not name the cause.
async fn until_not_ready(http: &Client, url: &str) -> Duration {
    let started = Instant::now();
    while get(http, url.to_owned()).await.0 == 200 {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "nothing was noticed"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    started.elapsed()
}

/// Another process that holds the write lock is not a full disk, but nothing can be written all the
/// same.
#[tokio::test]
async fn a_lock_that_is_held_and_a_write_that_is_refused_show_in_readiness_too() {
    let place = Place::new(&["database.acquire_timeout=1s"]);
    let server = place.serve();
    let http = Client::new();
    let ready = server.url("/health/ready");
    let options = SqliteConnectOptions::new()
        .filename(place.path("data/countersign.db"))
        .busy_timeout(Duration::from_secs(20));
    let mut other = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    println!(
        "a lock: not ready after {:?}",
        until_not_ready(&http, &ready).await
    );
    assert_eq!(get(&http, server.url("/health")).await.0, 200);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    println!("ready again after {:?}", until_ready(&http, &ready).await);
    for table in ["write_probes", "sessions"] {
        for event in ["INSERT", "UPDATE"] {
            let trigger = format!(
                "CREATE TRIGGER no_{event}_{table} BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
            );
            sqlx::query(sqlx::AssertSqlSafe(trigger))
                .execute(&mut other)
                .await
                .unwrap();
        }
    }
    println!(
        "refused: not ready after {:?}",
        until_not_ready(&http, &ready).await
    );
    for table in ["write_probes", "sessions"] {
        for event in ["INSERT", "UPDATE"] {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "DROP TRIGGER no_{event}_{table}"
            )))
            .execute(&mut other)
            .await
            .unwrap();
        }
    }
    until_ready(&http, &ready).await;
    sign_up(&http, &server, "ana").await;
}

#[test]
fn doctor_tries_a_write_and_tells_the_room_and_the_queues() {
    let place = Place::new(&[]);
    drop(place.serve());
    let finding = |found: &Value, subject: &str| {
        found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|f| f["subject"] == subject)
            .cloned()
            .unwrap()
    };
    let found = place.json(&["doctor"], "");
    for (subject, says) in [
        ("writing", "a test row was written"),
        ("disk", " MiB free in "),
        ("write-ahead log", " MiB beside a database of "),
        ("mail queue", "0 waiting"),
        ("webhook queue", "0 waiting"),
    ] {
        let finding = finding(&found, subject);
        assert!(
            finding["verdict"] == "good" && finding["finding"].as_str().unwrap().contains(says),
            "{finding}"
        );
    }
    // The same with a disk that takes nothing: a program that may write no file at all.
    let doctor = place.command();
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "ulimit -f 0; exec \"$0\" \"$@\""])
        .arg(doctor.get_program())
        .args(doctor.get_args())
        .args(["doctor", "--output", "json"]);
    let full = limited.current_dir(place.dir.path()).output().unwrap();
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    let found: Value = serde_json::from_slice(&full.stdout).unwrap();
    let bad: Vec<&Value> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["verdict"] == "bad")
        .collect();
    println!("full: {bad:?}");
    assert!(!bad.is_empty(), "{found}");
}

#[test]
fn doctor_and_serve_refuse_a_file_that_may_only_be_read() {
    if !geteuid().is_root() {
        println!("needs root, who gives rights away: not shown here");
        return;
    }
    let place = Place::new(&[]);
    let mut server = place.serve();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    // Its log is carried over, so that it could be read by itself.
    assert!(!place.path("data/countersign.db-wal").exists());
    let rights = |name: &str, mode: u32| {
        std::fs::set_permissions(place.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, mode) in [
        ("", 0o755),
        ("data", 0o755),
        ("data/countersign.db", 0o444),
        ("keys", 0o755),
    ] {
        rights(name, mode);
    }
    let stranger = |arguments: &[&str]| {
        let program = place.path("program");
        if !program.exists() {
            std::fs::copy(env!("CARGO_BIN_EXE_countersign"), &program).unwrap();
            rights("program", 0o755);
        }
        let mut command = std::process::Command::new(program);
        command
            .current_dir(place.dir.path())
            .args(place.command().get_args())
            .args(arguments)
            .uid(10_001)
            .gid(10_001);
        command
            .env(
                "COUNTERSIGN_MASTER_KEY",
                std::fs::read_to_string(place.path("keys/master.key"))
                    .unwrap()
                    .trim(),
            )
            .output()
            .unwrap()
    };
    let found = stranger(&["doctor", "--output", "json"]);
    assert!(
        found.status.code() == Some(1)
            && String::from_utf8_lossy(&found.stdout).contains("\"bad\""),
        "{found:?}"
    );
    let refused = stranger(&["serve"]);
    assert!(!refused.status.success(), "{refused:?}");
}

#[test]
fn a_file_of_another_user_is_named_with_its_owner_and_what_to_do() {
    if !geteuid().is_root() {
        println!("needs root, who gives files away: not shown here");
        return;
    }
    let place = Place::new(&[]);
    let mut server = place.serve();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait().success());
    let program = place.path("program");
    std::fs::copy(env!("CARGO_BIN_EXE_countersign"), &program).unwrap();
    let names = [
        "",
        "data",
        "data/countersign.db",
        "data/countersign.lock",
        "keys",
        "keys/master.key",
    ];
    let rights = |name: &str, owner: u32, mode: u32| {
        let path = place.path(name);
        std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let restore = || {
        for name in names {
            let is_file = place.path(name).is_file();
            rights(name, 10_001, if is_file { 0o600 } else { 0o700 });
        }
        rights("program", 10_001, 0o755);
    };
    let run_with = |command: &[&str]| {
        std::process::Command::new(&program)
            .current_dir(place.dir.path())
            .args(place.command().get_args())
            .args(command)
            .uid(10_001)
            .gid(10_001)
            .output()
            .unwrap()
    };
    let run = || run_with(&["mail", "flush"]);
    restore();
    assert!(run().status.success(), "the owner may do it");
    let foreign = "belongs to uid 0 (mode 0600), and this process runs as uid 10001";
    for (name, owner, mode, said) in [
        ("data/countersign.db", 0, 0o600, foreign),
        ("data/countersign.lock", 0, 0o600, foreign),
        (
            "data/countersign.db",
            10_001,
            0o400,
            "chmod u+rwX data/countersign.db*",
        ),
        ("data", 0, 0o755, "belongs to uid 0 (mode 0755)"),
        (
            "keys/master.key",
            0,
            0o600,
            "must belong to the user that runs countersign",
        ),
        (
            "keys/master.key",
            10_002,
            0o600,
            "must belong to the user that runs countersign",
        ),
    ] {
        restore();
        rights(name, owner, mode);
        let refused = run();
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(78), "{name}: {text}");
        assert!(text.contains(name) && text.contains(said), "{name}: {text}");
        // `doctor` says the same, and of a database that may only be read it leaves no file behind
        // that would keep the next start away.
        let found = run_with(&["doctor", "--output", "json"]);
        let text = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(
            found.status.code() == Some(1) && text.contains(said),
            "{text}"
        );
        for left in ["data/countersign.db-wal", "data/countersign.db-shm"] {
            let is_left = place.path(left).exists();
            assert!(!name.starts_with("data") || !is_left, "{name}: {left}");
        }
    }
    // The other way round: an operator who forgets to change to the user of the service.
    restore();
    let root = place.run(&["mail", "flush"], "");
    let text = String::from_utf8_lossy(&root.stderr).into_owned();
    assert_eq!(root.status.code(), Some(78), "{text}");
    assert!(
        text.contains("belongs to uid 10001, and this process runs as uid 0"),
        "{text}"
    );
}

#[tokio::test]
async fn doctor_refuses_every_schema_that_serve_refuses() {
    let place = Place::new(&[]);
    drop(place.serve());
    let mut database = SqliteConnectOptions::new()
        .filename(place.path("data/countersign.db"))
        .connect()
        .await
        .unwrap();
    let changes = [
        (
            "UPDATE _sqlx_migrations SET success = 0 WHERE version = 3",
            "UPDATE _sqlx_migrations SET success = 1",
        ),
        (
            "UPDATE _sqlx_migrations SET checksum = x'00' || substr(checksum, 2) WHERE version = 2",
            "",
        ),
    ];
    for (change, undo) in changes {
        sqlx::raw_sql(change).execute(&mut database).await.unwrap();
        let (doctor, serve) = (place.run(&["doctor"], ""), place.run(&["serve"], ""));
        assert!(!serve.status.success(), "{serve:?}");
        assert!(
            doctor.status.code() == Some(1)
                && !String::from_utf8_lossy(&doctor.stdout).contains("current"),
            "{change}: {doctor:?}"
        );
        let without = place.run(&["--set", "database.migrate=false", "serve"], "");
        assert!(!without.status.success(), "{without:?}");
        sqlx::raw_sql(undo).execute(&mut database).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn a_postgres_that_becomes_read_only_shows_in_readiness_and_recovers_by_itself() {
    let fleet = Fleet::start(&STRICT);
    let http = Client::new();
    signed_up(&fleet, &http).await;
    for (make, lift) in [
        (
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "ALTER SYSTEM RESET default_transaction_read_only",
        ),
        // Sessions that are open go on writing; those that are opened afterwards do not.
        (
            "ALTER ROLE CURRENT_USER SET default_transaction_read_only = on",
            "ALTER ROLE CURRENT_USER RESET default_transaction_read_only",
        ),
    ] {
        let run = async |sql: &'static str| {
            let mut admin = fleet.sql().await;
            sqlx::raw_sql("SET default_transaction_read_only = off")
                .execute(&mut admin)
                .await
                .unwrap();
            for statement in [
                sql,
                "SELECT pg_reload_conf()",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'countersign'",
            ] {
                // Once lifted, nothing but the service itself is to open its connections anew.
                if !(sql == lift && statement.contains("terminate")) {
                    sqlx::raw_sql(statement).execute(&mut admin).await.unwrap();
                }
            }
        };
        run(make).await;
        for n in 1..=3 {
            let started = Instant::now();
            let (status, body) = loop {
                let (status, body) = get(&http, fleet.direct(n, "/health/ready")).await;
                if status == 503
                    && body["checks"]["writable"] == false
                    && body["checks"]["database"] == true
                {
                    break (status, body);
                }
                assert!(
                    started.elapsed() < Duration::from_secs(10),
                    "{status} {body}"
                );
            };
            assert!(
                status == 503 && body["reasons"].to_string().contains("cannot be written"),
                "{body}"
            );
            assert_eq!(get(&http, fleet.direct(n, "/health")).await.0, 200);
            let (status, body) = post(
                &http,
                &fleet.direct(n, "/api/auth/sign-in/email"),
                &form("ana"),
            )
            .await
            .unwrap();
            assert_eq!(status, 503, "{body}");
        }
        let doctor = fleet.cli(&["doctor", "--output", "json"]);
        assert!(
            doctor.status.code() == Some(1)
                && String::from_utf8_lossy(&doctor.stdout).contains("read-only"),
            "{doctor:?}"
        );
        run(lift).await;
        for n in 1..=3 {
            println!(
                "replica {n} ready again after {:?}",
                until_ready(&http, &fleet.direct(n, "/health/ready")).await
            );
            assert_eq!(
                post(
                    &http,
                    &fleet.direct(n, "/api/auth/sign-in/email"),
                    &form("ana")
                )
                .await
                .unwrap()
                .0,
                200
            );
        }
    }
}
