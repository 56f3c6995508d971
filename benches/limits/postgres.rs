//! Postgres: our rotate step and the whole refresh beside `pgbench` running the very same UPDATE
//! with as many clients on the same table.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign::model::kernel::id::SessionId;
use countersign::model::session::session::Delivery;
use countersign::model::session::ticket::TicketHash;
use countersign::store::session::refresh::{Entry, ROTATE, Rotation, rotate};
use countersign::store::{self, Db, Options, WriteOptions};
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::{STRICT, Server};
use super::{ROUND, ROUNDS, Row, median, ratio};

const CLIENTS: usize = 32;
const SMALL: u64 = 10_000;
/// Rows are taken in another order than they lie in.
const STRIDE: u64 = 7_919;
const NOW: i64 = 1_000;
const FAR: i64 = 99_999_999_999_999;
const HASH: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The rows of one round: each is rotated once before any is rotated again, and no round touches
/// another's.
#[derive(Clone, Copy)]
struct Region {
    first: u64,
    /// Rows of each client.
    share: u64,
}

impl Region {
    /// Ours are in the lower half of the table, pgbench's in the upper.
    fn of(rows: u64, round: usize, upper: bool) -> Self {
        let size = rows / 2 / ROUNDS as u64;
        Self {
            first: if upper { rows / 2 } else { 0 } + round as u64 * size,
            share: size / CLIENTS as u64,
        }
    }
}

async fn fill(connection: &mut PgConnection, rows: u64) {
    let sql = format!(
        "TRUNCATE sessions;
         INSERT INTO users (id, email, email_verified, name, role, banned, metadata, version, created_at, updated_at)
         VALUES ('00000000-0000-4000-8000-000000000000', 'bench@example.com', 0, 'a', 'user', 0, '{{}}', 1, 0, 0) ON CONFLICT DO NOTHING;
         INSERT INTO sessions (id, user_id, token_hash, generation, refresh_hash, rotated_at, idle_expires_at, expires_at, delivery, remember, auth_time, ip_address, user_agent, created_at, updated_at, retry)
         SELECT '00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'), '00000000-0000-4000-8000-000000000000', md5(n::text) || lpad(to_hex(n), 10, '0') || 'A', 1, '{HASH}', 0,
                {FAR}, {FAR}, 'body', 1, 0, '192.0.2.1', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 0, 0, 'ticket'
           FROM generate_series(0, {}) n;",
        rows - 1
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut *connection)
        .await
        .unwrap();
    // The table as it is between checkpoints, large or small: what was written since the last one
    // is not logged as a whole page again.
    for sql in [
        "VACUUM (FREEZE, ANALYZE) sessions",
        "SELECT pg_stat_reset()",
    ] {
        sqlx::raw_sql(sql).execute(&mut *connection).await.unwrap();
    }
}

/// The statement with pgbench's variables for our parameters; a client's n-th transaction rotates a
/// row that no other client does.
fn script(region: Region) -> String {
    let id = "('00000000-0000-7000-8000-' || lpad(to_hex(:row::bigint), 12, '0'))";
    let values = [
        ("$10", "1"),
        ("$11", "''"),
        ("$12", "''"),
        ("$13", &format!("'{HASH}'")),
        ("$1", &format!("'{HASH}'")),
        ("$2", &NOW.to_string()),
        ("$3", &FAR.to_string()),
        ("$4", id),
        ("$5", ":generation::bigint"),
        ("$6", &format!("'{HASH}'")),
        ("$7", "'body'"),
        ("$8", &FAR.to_string()),
        ("$9", &FAR.to_string()),
    ];
    let sql = values.iter().fold(
        ROTATE.split_whitespace().collect::<Vec<_>>().join(" "),
        |sql, (parameter, value)| sql.replace(parameter, value),
    );
    let Region { first, share } = region;
    format!(
        "\\set row {first} + :client_id + {CLIENTS} * ((:n * {STRIDE}) % {share})\n\\set generation 1 + :n / {share}\n\\set n :n + 1\n{sql};\n"
    )
}

/// Transactions a second.
fn pgbench(url: &str, file: &std::path::Path, time: Duration) -> f64 {
    let bin = Command::new("bash")
        .args(["-c", "source examples/replicas/postgres.sh; pg_bin"])
        .output()
        .unwrap();
    let output = Command::new(format!(
        "{}/pgbench",
        String::from_utf8(bin.stdout).unwrap()
    ))
    .args([
        "-n",
        "-M",
        "prepared",
        "-j",
        "2",
        "-c",
        &CLIENTS.to_string(),
        "-T",
        &time.as_secs().to_string(),
        "-D",
        "n=0",
        "-f",
    ])
    .arg(file)
    .arg(url)
    .output()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines()
        .find_map(|l| l.strip_prefix("tps = "))
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// Our own step, from as many tasks.
async fn ours(db: &Db, region: Region, time: Duration) -> f64 {
    let started = Instant::now();
    let clients: Vec<_> = (0..CLIENTS as u64)
        .map(|client| tokio::spawn(rotate_until(db.clone(), region, client, started + time)))
        .collect();
    let mut sum = 0;
    for client in clients {
        sum += client.await.unwrap();
    }
    f64::from(sum) / started.elapsed().as_secs_f64()
}

async fn rotate_until(db: Db, region: Region, client: u64, end: Instant) -> u32 {
    let mut done = 0_u32;
    while Instant::now() < end {
        let n = u64::from(done);
        let row = region.first + client + CLIENTS as u64 * ((n * STRIDE) % region.share);
        let step = Rotation {
            session: SessionId(uuid::Uuid::from_u64_pair(
                0x7000,
                0x8000_0000_0000_0000 | row,
            )),
            generation: u32::try_from(1 + n / region.share).unwrap(),
            hash: [0; 32],
            successor: [0; 32],
            delivery: Delivery::Body,
            idle: Duration::from_secs(86_400),
            cooldown: Duration::ZERO,
            master_version: 1,
            // The most that the statement writes.
            ticket: Some(TicketHash([0; 32])),
        };
        let rotated: Result<_, store::Error> = db
            .write_with(WriteOptions::STATEMENT, move |conn| {
                Box::pin(async move {
                    rotate(
                        conn,
                        &step,
                        Entry {
                            tag: "",
                            sealed: "",
                        },
                    )
                    .await
                })
            })
            .await;
        assert!(rotated.unwrap().is_some());
        done += 1;
    }
    done
}

/// Counts the Sync messages that pass: one ends each round trip of the extended protocol, as a
/// Query ends one of the simple.
async fn counting_proxy(to: u16, trips: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, trips) = (
                TcpStream::connect(("127.0.0.1", to)).await.unwrap(),
                trips.clone(),
            );
            // Messages are passed on one by one: held back by Nagle's algorithm, refreshes would be so
            // few that the background work counts beside them.
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(
                async move { drop(tokio::io::copy(&mut from_server, &mut to_client).await) },
            );
            tokio::spawn(async move {
                let (mut typed, mut body) = (false, Vec::new());
                loop {
                    // The first message has no type.
                    let kind = if typed {
                        from_client.read_u8().await.unwrap_or(0)
                    } else {
                        0
                    };
                    let Ok(length) = from_client.read_u32().await else {
                        return;
                    };
                    body.resize(length as usize - 4, 0);
                    from_client.read_exact(&mut body).await.unwrap();
                    trips.fetch_add(u64::from(matches!(kind, b'S' | b'Q')), Ordering::Relaxed);
                    let mut message = if typed { vec![kind] } else { vec![] };
                    message.extend_from_slice(&length.to_be_bytes());
                    message.extend_from_slice(&body);
                    to_server.write_all(&message).await.unwrap();
                    typed = length != 8 || typed;
                }
            });
        }
    });
    port
}

/// All rows about Postgres; the server is ours and empty. The small and the large table stand in
/// databases of their own and are measured by turns, as everything is: the machine's own speed
/// moves in minutes.
pub async fn measure(url: &str, large: u64) -> Vec<Row> {
    let database = format!("database.url={url}");
    let settings = [&STRICT[..], &[database.as_str()]].concat();
    let server = Server::start(&settings);
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut small_table = Table::fill(url, SMALL, server.path("small.sql")).await;
    sqlx::raw_sql("CREATE DATABASE large")
        .execute(&mut connection)
        .await
        .unwrap();
    let large_url = format!("{}/large", url.rsplit_once('/').unwrap().0);
    let mut large_table = Table::fill(&large_url, large, server.path("large.sql")).await;
    let mut tokens = server.sessions(CLIENTS).await;
    let (mut http, mut spent) = (Vec::new(), Spent::default());
    for round in 0..ROUNDS {
        small_table.turn(round).await;
        large_table.turn(round).await;
        let (before, moved) = (Spent::now(&server), generations(&mut connection).await);
        http.push(server.refresh_storm(&mut tokens, ROUND).await);
        let moved = generations(&mut connection).await - moved;
        spent.add(&before, &Spent::now(&server), moved);
    }
    let (small_ours, small_bench) = small_table.finish().await;
    let (large_ours, large_bench) = large_table.finish().await;
    let bearer = server.path("session.lua");
    let access = server.session_token().await;
    std::fs::write(
        &bearer,
        format!("wrk.headers['authorization'] = 'Bearer {access}'\n"),
    )
    .unwrap();
    let reads = (0..ROUNDS)
        .map(|_| {
            super::server::wrk_script(
                &server.url("/api/auth/session"),
                &bearer,
                CLIENTS,
                ROUND,
                0.0,
            )
        })
        .collect();
    let (before, moved) = (
        wal_bytes(&mut connection).await,
        generations(&mut connection).await,
    );
    server.refresh_storm(&mut tokens, ROUND).await;
    let (written, moved) = (
        wal_bytes(&mut connection).await - before,
        generations(&mut connection).await - moved,
    );
    #[expect(clippy::cast_precision_loss, reason = "bytes a refresh")]
    let wal = written as f64 / moved as f64;
    let per_refresh = round_trips(url, &server, &mut tokens[..4], &mut connection).await;
    let hot = hot_share(&mut connection).await;

    drop(server);
    let plain = |what: String, ours: String, ratio: Option<f64>, bound, met| Row {
        what,
        ours,
        limit: "–".into(),
        ratio,
        bound,
        met,
    };
    vec![
        ratio(
            format!("Postgres: the store's rotate step beside pgbench with the same UPDATE, {CLIENTS} clients, {SMALL} sessions"),
            &small_ours,
            &small_bench,
            "/s",
            0.8,
            "≥ 0.8",
        ),
        ratio(format!("Postgres: the same, {large} sessions"), &large_ours, &large_bench, "/s", 0.8, "≥ 0.8"),
        ratio(format!("Postgres: the rotate step at {large} sessions beside {SMALL}"), &large_ours, &small_ours, "/s", 0.8, "≥ 0.8"),
        ratio(format!("Postgres: the whole refresh over HTTP beside pgbench, {CLIENTS} clients"), &http, &small_bench, "/s", 0.4, "≥ 0.4"),
        plain("Postgres: where its time goes, of both cores: Postgres, countersign, the clients, idle".into(), spent.shares(&http), None, "–", true),
        plain("Postgres: GET /session by Bearer session token, 32 connections".into(), format!("{:.0} req/s", median(reads)), None, "–", true),
        plain(
            "Postgres: round trips a refresh, counted on the wire".into(),
            format!("{per_refresh:.3}"),
            None,
            "≤ 1.01 (the key poll included)",
            per_refresh <= 1.01,
        ),
        plain("Postgres: WAL a refresh".into(), format!("{wal:.0} bytes"), None, "–", true),
        plain("Postgres: share of heap-only updates".into(), format!("{:.2} %", hot * 100.0), None, "≥ 99 %", hot >= 0.99),
    ]
}

/// Fills a small table and lets us and pgbench rotate its rows once.
pub async fn try_out(url: &str, script: std::path::PathBuf) {
    let mut table = Table::fill(url, SMALL, script).await;
    table.turn(0).await;
    table.finish().await;
}

/// A filled table, and what it was measured at.
struct Table {
    url: String,
    db: Db,
    connection: PgConnection,
    rows: u64,
    script: std::path::PathBuf,
    ours: Vec<f64>,
    bench: Vec<f64>,
}

impl Table {
    async fn fill(url: &str, rows: u64, script: std::path::PathBuf) -> Self {
        let db = Db::open(
            &url.parse().unwrap(),
            &Options {
                max_connections: u32::try_from(CLIENTS).unwrap(),
                ..Options::default()
            },
        )
        .await
        .unwrap();
        let mut connection = PgConnection::connect(url).await.unwrap();
        // No process has served from the second database: it has no master key yet, and without one
        // nothing moves.
        let owned = "INSERT INTO master_keys (version, key_id, created_at) VALUES (1, 'benchmark', 0) ON CONFLICT DO NOTHING;
                     UPDATE key_ring SET master_version = 1 WHERE master_version IS NULL";
        sqlx::raw_sql(owned).execute(&mut connection).await.unwrap();
        fill(&mut connection, rows).await;
        Self {
            url: url.to_owned(),
            db,
            connection,
            rows,
            script,
            ours: Vec::new(),
            bench: Vec::new(),
        }
    }

    /// Ours, then pgbench.
    async fn turn(&mut self, round: usize) {
        self.ours
            .push(ours(&self.db, Region::of(self.rows, round, false), ROUND).await);
        std::fs::write(&self.script, script(Region::of(self.rows, round, true))).unwrap();
        self.bench.push(pgbench(&self.url, &self.script, ROUND));
    }

    async fn finish(mut self) -> (Vec<f64>, Vec<f64>) {
        self.db.close().await;
        let moved: (i64, i64) =
            sqlx::query_as("SELECT COUNT(*) FILTER (WHERE id < $1), COUNT(*) FILTER (WHERE id >= $1 AND id < $2) FROM sessions WHERE generation > 1")
                .bind(id(self.rows / 2))
                .bind(id(self.rows))
                .fetch_one(&mut self.connection)
                .await
                .unwrap();
        assert!(
            moved.0 > 0 && moved.1 > 0,
            "we and pgbench both changed rows: {moved:?}"
        );
        (self.ours, self.bench)
    }
}

fn id(row: u64) -> String {
    format!("00000000-0000-7000-8000-{row:012x}")
}

/// Round trips a refresh between a server and Postgres, the key poll included.
async fn round_trips(
    url: &str,
    server: &Server,
    tokens: &mut [String],
    connection: &mut PgConnection,
) -> f64 {
    let trips = Arc::<AtomicU64>::default();
    let port: u16 = url
        .rsplit(':')
        .next()
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let proxied = counting_proxy(port, trips.clone()).await;
    let through = format!(
        "database.url={}",
        url.replace(&format!(":{port}/"), &format!(":{proxied}/"))
    );
    let direct = format!("database.direct_url={url}");
    let masters = format!("keys.dir={}", server.path("keys").display());
    let watched = Server::start(
        &[
            &STRICT[..],
            &[through.as_str(), direct.as_str(), masters.as_str()],
        ]
        .concat(),
    );
    // Until every connection has its statements prepared.
    watched.refresh_storm(tokens, ROUND).await;
    let (counted, moved) = (trips.load(Ordering::Relaxed), generations(connection).await);
    watched.refresh_storm(tokens, ROUND).await;
    let (trips, moved) = (
        trips.load(Ordering::Relaxed) - counted,
        generations(connection).await - moved,
    );
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let per_refresh = trips as f64 / moved as f64;
    per_refresh
}

/// Processor time, in the kernel's ticks of 10 ms.
#[derive(Default)]
struct Spent {
    postgres: u64,
    countersign: u64,
    clients: u64,
    refreshes: i64,
}

impl Spent {
    fn now(server: &Server) -> Self {
        let mut spent = Self::default();
        for entry in std::fs::read_dir("/proc").unwrap() {
            // A process may have ended since.
            let Ok(stat) = std::fs::read_to_string(entry.unwrap().path().join("stat")) else {
                continue;
            };
            let Some((head, tail)) = stat.rsplit_once(')') else {
                continue;
            };
            let (pid, name) = head.split_once(" (").unwrap();
            // Behind the name the fields count from 3; 14 and 15 are the time of the process and of
            // the kernel for it.
            let ticks: u64 = tail
                .split_whitespace()
                .skip(11)
                .take(2)
                .map(|t| t.parse::<u64>().unwrap())
                .sum();
            let pid: u32 = pid.parse().unwrap();
            match name {
                "postgres" => spent.postgres += ticks,
                _ if pid == server.pid() => spent.countersign += ticks,
                _ if pid == std::process::id() => spent.clients += ticks,
                _ => {}
            }
        }
        spent
    }

    fn add(&mut self, before: &Self, after: &Self, refreshes: i64) {
        self.postgres += after.postgres.saturating_sub(before.postgres);
        self.countersign += after.countersign - before.countersign;
        self.clients += after.clients - before.clients;
        self.refreshes += refreshes;
    }

    /// Of all processors' time while the storms ran, and microseconds a refresh.
    #[expect(clippy::cast_precision_loss, reason = "shares")]
    fn shares(&self, rates: &[f64]) -> String {
        let cores = std::thread::available_parallelism().unwrap().get() as f64;
        let whole = self.refreshes as f64 / median(rates.to_vec()) * cores * 100.0;
        let show = |ticks: u64| {
            format!(
                "{:.0} % ({:.0} µs)",
                ticks as f64 / whole * 100.0,
                ticks as f64 * 1e4 / self.refreshes as f64
            )
        };
        let idle = 1.0 - (self.postgres + self.countersign + self.clients) as f64 / whole;
        format!(
            "{}, {}, {}, {:.0} %",
            show(self.postgres),
            show(self.countersign),
            show(self.clients),
            idle * 100.0
        )
    }
}

/// Rises by one with every refresh.
async fn generations(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT CAST(SUM(generation) AS BIGINT) FROM sessions")
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Bytes of WAL so far.
async fn wal_bytes(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT CAST(pg_current_wal_insert_lsn() - '0/0' AS BIGINT)")
        .fetch_one(connection)
        .await
        .unwrap()
}

async fn hot_share(connection: &mut PgConnection) -> f64 {
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let (updates, hot): (i64, i64) = sqlx::query_as(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'",
    )
    .fetch_one(connection)
    .await
    .unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = hot as f64 / updates as f64;
    share
}
