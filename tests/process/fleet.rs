//! Three replicas behind nginx on one Postgres: `examples/replicas` itself, and hands on each of
//! its processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::server::reserve_ports;

/// Cheap hashing, no limits: these tests are about replicas.
const CHEAP: [&str; 6] = [
    "server.ops_listen=off",
    "passwords.argon2_memory_kib=64",
    "passwords.argon2_iterations=1",
    "passwords.queue=10000",
    "rate_limits.enabled=false",
    "sessions.max_per_user=100000",
];

pub struct Fleet {
    dir: TempDir,
    pub port: u16,
    settings: Vec<String>,
}

/// A second Postgres that follows the first.
pub struct Standby {
    dir: String,
    primary: String,
    port: u16,
}

impl Standby {
    fn ctl(&self, arguments: &str) {
        Fleet::bash(&format!(
            "pg_as \"$(pg_bin)/pg_ctl\" -w -s -D '{0}/standby' -l '{0}/standby/server.log' {arguments}",
            self.dir
        ));
    }

    /// From now on commits stay on the primary.
    pub async fn cut_off(&self) {
        let mut sql = PgConnection::connect(&format!(
            "postgres://postgres@127.0.0.1:{}/postgres",
            self.port
        ))
        .await
        .unwrap();
        for statement in [
            "ALTER SYSTEM SET primary_conninfo = ''",
            "SELECT pg_reload_conf()",
        ] {
            sqlx::raw_sql(statement).execute(&mut sql).await.unwrap();
        }
        let receivers = "SELECT COUNT(*) FROM pg_stat_wal_receiver";
        while sqlx::query_scalar::<_, i64>(receivers)
            .fetch_one(&mut sql)
            .await
            .unwrap()
            > 0
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// The primary is lost; this one takes its place and its port.
    pub fn take_over(&self, fleet: &Fleet) {
        fleet.stop_postgres();
        self.ctl("-m fast stop");
        self.ctl(&format!(
            "-o '-p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=300' start",
            self.primary, self.dir
        ));
        self.ctl("promote");
        let pid = std::fs::read_to_string(format!("{}/standby/postmaster.pid", self.dir)).unwrap();
        std::fs::write(
            fleet.run().join("postgres.pid"),
            pid.lines().next().unwrap(),
        )
        .unwrap();
    }
}

async fn until(mut true_at_last: impl AsyncFnMut() -> bool) {
    let started = std::time::Instant::now();
    while !true_at_last().await {
        assert!(
            started.elapsed() < std::time::Duration::from_secs(30),
            "it does not come to pass"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

pub struct Pooler {
    child: std::process::Child,
    #[expect(dead_code, reason = "kept as long as it runs")]
    dir: TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Fleet {
    pub fn start(settings: &[&str]) -> Self {
        Self::start_as(Path::new(env!("CARGO_BIN_EXE_countersign")), settings)
    }

    /// The same with another binary.
    pub fn start_as(binary: &Path, settings: &[&str]) -> Self {
        let settings = CHEAP
            .iter()
            .chain(settings)
            .map(ToString::to_string)
            .collect();
        let fleet = Self {
            dir: tempfile::tempdir().unwrap(),
            port: reserve_ports(4),
            settings,
        };
        let started = fleet.command("start", &[]).env("BIN", binary).output();
        let started = started.unwrap();
        assert!(
            started.status.success(),
            "{}{}",
            String::from_utf8_lossy(&started.stderr),
            fleet.log(1)
        );
        fleet
    }

    fn script(&self, command: &str, arguments: &[&str]) -> Output {
        self.command(command, arguments).output().unwrap()
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut script = Command::new("examples/replicas/replicas.sh");
        script.arg(command).args(arguments);
        if command != "stop" {
            script.args(&self.settings);
        }
        script
            .env("BIN", env!("CARGO_BIN_EXE_countersign"))
            .env("DIR", self.run())
            .env("PORT", self.port.to_string());
        script
    }

    fn run(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.run().join(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// Through the balancer.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Past the balancer, replica 1 to 3.
    pub fn direct(&self, n: u16, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port + n)
    }

    pub fn log(&self, n: u16) -> String {
        self.read(&format!("replica-{n}.log"))
    }

    pub fn balancer_log(&self) -> String {
        self.read("error.log")
    }

    pub fn signal(&self, n: u16, signal: Signal) {
        kill(self.pid(n), signal).unwrap();
    }

    /// The same for a replica that may have ended by itself a moment ago.
    pub fn signal_if_there(&self, n: u16, signal: Signal) {
        match kill(self.pid(n), signal) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn pid(&self, n: u16) -> Pid {
        Pid::from_raw(self.read(&format!("replica-{n}.pid")).parse().unwrap())
    }

    /// Does what a supervisor does: a replica whose database went away while it started has ended, and
    /// is started again. It may end for no other reason.
    pub fn supervise(&self, n: u16) {
        if kill(self.pid(n), None).is_ok() {
            return;
        }
        let log = self.log(n);
        let last = log.lines().last().unwrap_or_default();
        println!("replica {n} has ended: {last}");
        let is_told = last.contains("the database") || last.contains("Postgres answered");
        assert!(last.starts_with("countersign: ") && is_told, "{last}");
        self.serve(n);
    }

    /// Waits until the process of a replica, which was told to end, has ended.
    pub fn until_ended(&self, n: u16) {
        Self::bash(&format!(
            "pg_wait {}",
            self.read(&format!("replica-{n}.pid"))
        ));
    }

    /// Starts a replica again whose clock is so many seconds off; waits until it listens.
    pub fn serve_at(&self, n: u16, seconds: i64) {
        use std::os::unix::fs::PermissionsExt;
        let wrapper = self.dir.path().join("countersign");
        let text = format!(
            "#!/bin/sh\nexport FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME={seconds:+} LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1)\nexec '{}' \"$@\"\n",
            env!("CARGO_BIN_EXE_countersign")
        );
        std::fs::write(&wrapper, text).unwrap();
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o700)).unwrap();
        let started = self
            .command("serve", &[&n.to_string()])
            .env("BIN", &wrapper)
            .output()
            .unwrap();
        assert!(
            started.status.success(),
            "{}",
            String::from_utf8_lossy(&started.stderr)
        );
        while std::net::TcpStream::connect(("127.0.0.1", self.port + n)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Starts a replica again; it need not be ready yet.
    pub fn serve(&self, n: u16) {
        self.serve_with(n, &[]);
    }

    /// The same with another binary.
    pub fn serve_as(&self, n: u16, binary: &Path, settings: &[&str]) {
        let started = self
            .command("serve", &[&n.to_string()])
            .args(settings)
            .env("BIN", binary)
            .output()
            .unwrap();
        assert!(
            started.status.success(),
            "{}",
            String::from_utf8_lossy(&started.stderr)
        );
    }

    /// The same with settings that win over the others.
    pub fn serve_with(&self, n: u16, settings: &[&str]) {
        self.serve_as(n, Path::new(env!("CARGO_BIN_EXE_countersign")), settings);
    }

    /// Until the replica says that it is ready.
    pub async fn until_ready(&self, n: u16) {
        let (http, started) = (reqwest::Client::new(), std::time::Instant::now());
        while !http
            .get(self.direct(n, "/health/ready"))
            .send()
            .await
            .is_ok_and(|a| a.status().is_success())
        {
            assert!(
                started.elapsed() < std::time::Duration::from_secs(60),
                "replica {n} is not ready:\n{}",
                self.log(n)
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn bash(text: &str) {
        let done = Command::new("bash")
            .args([
                "-euc",
                &format!("source examples/replicas/postgres.sh; {text}"),
            ])
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{text}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Postgres crashes and comes back.
    pub fn crash_postgres(&self) {
        Self::bash(&format!(
            "pg_restart '{}' immediate",
            self.read("postgres.dir")
        ));
        let pid =
            std::fs::read_to_string(format!("{}/data/postmaster.pid", self.read("postgres.dir")))
                .unwrap();
        std::fs::write(self.run().join("postgres.pid"), pid.lines().next().unwrap()).unwrap();
    }

    /// PgBouncer in transaction mode in front of Postgres, and its URL; it is ended by the value.
    pub fn pooler(&self) -> (Pooler, String) {
        use std::os::unix::fs::PermissionsExt;
        let (dir, port) = (tempfile::tempdir().unwrap(), reserve_ports(4));
        // It gives up root, as Postgres does.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let url = self.read("postgres.url");
        let server = url.rsplit(':').next().unwrap().split('/').next().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(path("users.txt"), "\"postgres\" \"\"\n").unwrap();
        let root = if nix::unistd::geteuid().is_root() {
            "user = postgres\n"
        } else {
            ""
        };
        let text = format!(
            "[databases]\npostgres = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 6\n{root}",
            path("users.txt")
        );
        std::fs::write(path("pgbouncer.ini"), text).unwrap();
        for name in ["users.txt", "pgbouncer.ini"] {
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        let log = std::fs::File::create(path("log")).unwrap();
        let child = Command::new("pgbouncer")
            .arg(path("pgbouncer.ini"))
            .stderr(log)
            .spawn()
            .unwrap();
        let pooler = Pooler { child, dir };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        (
            pooler,
            format!("postgres://postgres@127.0.0.1:{port}/postgres"),
        )
    }

    /// Straight to Postgres.
    pub fn database_url(&self) -> String {
        self.read("postgres.url")
    }

    /// A signal for every process of Postgres: stopped, it neither answers nor refuses.
    pub fn signal_postgres(&self, signal: Signal) {
        let main = self.read("postgres.pid");
        // The parent first, so that no child is started meanwhile.
        let _gone = kill(Pid::from_raw(main.parse().unwrap()), signal);
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children"))
            .unwrap_or_default();
        for pid in children.split_whitespace() {
            // A child may just have ended.
            let _gone = kill(Pid::from_raw(pid.parse().unwrap()), signal);
        }
    }

    /// Postgres speaks TLS from now on, with a certificate for `localhost` of an authority of its
    /// own; the authority's file.
    pub async fn certify_postgres(&self) -> PathBuf {
        let data = format!("{}/data", self.read("postgres.dir"));
        Self::bash(&format!(
            "umask 077; cd /; as() {{ pg_as openssl \"$@\" 2>/dev/null; }}
             as req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout {data}/ca.key -out {data}/ca.crt
             as req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {data}/server.key -out {data}/server.csr
             pg_as bash -c 'echo subjectAltName=DNS:localhost > {data}/names'
             as x509 -req -in {data}/server.csr -CA {data}/ca.crt -CAkey {data}/ca.key -CAcreateserial -days 2 -extfile {data}/names -out {data}/server.crt"
        ));
        for sql in ["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"] {
            sqlx::raw_sql(sql)
                .execute(&mut self.sql().await)
                .await
                .unwrap();
        }
        until(async || {
            sqlx::query_scalar::<_, String>("SHOW ssl")
                .fetch_one(&mut self.sql().await)
                .await
                .unwrap()
                == "on"
        })
        .await;
        let authority = self.dir.path().join("authority.pem");
        std::fs::copy(format!("{data}/ca.crt"), &authority).unwrap();
        authority
    }

    /// The certificate of an authority that has nothing to do with it.
    pub fn stranger(&self) -> PathBuf {
        let path = self.dir.path().join("stranger.pem");
        Self::bash(&format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=stranger -keyout /dev/null -out '{}' 2>/dev/null",
            path.display()
        ));
        path
    }

    /// Postgres is gone.
    pub fn stop_postgres(&self) {
        Self::bash(&format!(
            "pg_as \"$(pg_bin)/pg_ctl\" -w -s -D '{}/data' -m immediate stop",
            self.read("postgres.dir")
        ));
    }

    /// A streaming, asynchronous standby that has everything so far.
    pub async fn standby(&self) -> Standby {
        let (dir, url, port) = (
            self.read("postgres.dir"),
            self.read("postgres.url"),
            reserve_ports(4),
        );
        let primary = url
            .rsplit(':')
            .next()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        Self::bash(&format!(
            "pg_as \"$(pg_bin)/pg_basebackup\" -h 127.0.0.1 -p {primary} -U postgres -D '{dir}/standby' -R -X stream -c fast"
        ));
        let standby = Standby { dir, primary, port };
        standby.ctl(&format!(
            "-o '-p {port} -k {} -c listen_addresses=127.0.0.1 -c max_connections=300' start",
            standby.dir
        ));
        let behind = "SELECT COUNT(*) FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()";
        until(async || self.number(behind).await == 1).await;
        standby
    }

    pub async fn sql(&self) -> PgConnection {
        PgConnection::connect(&self.read("postgres.url"))
            .await
            .unwrap()
    }

    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.sql().await)
            .await
            .unwrap()
    }

    /// The command line on the same database and keys.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_of(Path::new(env!("CARGO_BIN_EXE_countersign")), arguments)
    }

    /// The same with another binary.
    pub fn cli_of(&self, binary: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary);
        command
            .current_dir(self.run())
            .env_clear()
            .env("USER", "tester");
        command
            .arg("--set")
            .arg(format!("database.url={}", self.read("postgres.url")))
            .args(["--set", "keys.dir=keys"]);
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command.args(arguments).output().unwrap()
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--output", "json"]].concat());
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command that lists something and returns what it listed.
    pub fn items(&self, arguments: &[&str]) -> Value {
        self.json(arguments)["items"].take()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if !self.read("postgres.pid").is_empty() {
            self.signal_postgres(Signal::SIGCONT);
        }
        for n in 1..=3 {
            if let Ok(pid) = self.read(&format!("replica-{n}.pid")).parse() {
                let _gone = kill(Pid::from_raw(pid), Signal::SIGCONT);
            }
        }
        drop(self.script("stop", &[]));
    }
}
