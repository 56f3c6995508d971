//! The release binary in a folder of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::client::{Client, member};

/// Every refresh rotates, and nothing but it is measured.
pub const STRICT: [&str; 7] = [
    "sessions.refresh_grace=0s",
    "sessions.refresh_cooldown=0s",
    "rate_limits.enabled=false",
    "sessions.max_per_user=100000",
    "passwords.argon2_memory_kib=64",
    "passwords.argon2_iterations=1",
    "log.level=warn",
];

pub struct Server {
    child: Child,
    pub port: u16,
    dir: Option<tempfile::TempDir>,
    settings: Vec<String>,
}

pub fn binary() -> PathBuf {
    PathBuf::from("target/release/countersign")
        .canonicalize()
        .unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// This benchmark's own executable as a bare axum route.
pub fn bare(body: &Path) -> Server {
    let port = free_port();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--bare", &port.to_string()])
        .arg(body)
        .spawn()
        .unwrap();
    let server = Server {
        child,
        port,
        dir: None,
        settings: vec![],
    };
    server.wait("/");
    server
}

/// Hashes a second of raw argon2id in a process of its own, with the huge pages that `serve` asks
/// for or without.
pub fn raw_argon2(threads: usize, huge_pages: bool) -> f64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--argon2", &threads.to_string()]).env(
        "GLIBC_TUNABLES",
        if huge_pages {
            "glibc.malloc.hugetlb=1"
        } else {
            ""
        },
    );
    String::from_utf8(command.output().unwrap().stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

/// Requests a second, of which none may be refused.
pub fn wrk(url: &str, time: Duration) -> f64 {
    run_wrk(
        &["-t2", "-c32", &format!("-d{}s", time.as_secs()), url],
        0.0,
    )
}

/// The same with a bearer token, from eight connections.
pub fn wrk_as(url: &str, bearer: &str, time: Duration) -> f64 {
    let bearer = format!("Authorization: Bearer {bearer}");
    let time = format!("-d{}s", time.as_secs());
    run_wrk(&["-t1", "-c8", &time, "-H", &bearer, url], 0.0)
}

/// Requests a second of a script on one thread. `refusable` is the share of requests that may be
/// refused.
pub fn wrk_script(
    url: &str,
    script: &Path,
    connections: usize,
    time: Duration,
    refusable: f64,
) -> f64 {
    run_wrk(
        &[
            "-t1",
            &format!("-c{connections}"),
            &format!("-d{}s", time.as_secs()),
            "-s",
            &script.display().to_string(),
            url,
        ],
        refusable,
    )
}

/// Returns the successful requests a second.
fn run_wrk(arguments: &[&str], refusable: f64) -> f64 {
    let output = Command::new("wrk").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let number = |name: &str| -> Option<f64> {
        let value = text.lines().find_map(|line| line.trim().strip_prefix(name));
        value?.trim().parse().ok()
    };
    let all = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let all: f64 = all.unwrap_or_else(|| panic!("{text}"));
    let refused = number("Non-2xx or 3xx responses:").unwrap_or(0.0);
    assert!(refused <= all * refusable, "{text}");
    let rate = number("Requests/sec:").unwrap_or_else(|| panic!("{text}"));
    rate * (1.0 - refused / all)
}

impl Server {
    pub fn start(settings: &[&str]) -> Self {
        // On the disk of the checkout: a temporary folder may be memory, where a commit costs
        // nothing.
        std::fs::create_dir_all("benches/.work").unwrap();
        let dir = tempfile::tempdir_in("benches/.work").unwrap();
        let port = free_port();
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let child = spawn(dir.path(), port, &settings);
        let server = Self {
            child,
            port,
            dir: Some(dir),
            settings,
        };
        server.wait("/api/auth/jwks");
        server
    }

    /// Ends the process and starts it again; how long until the JWKS was there.
    pub fn restart(&mut self) -> Duration {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let started = Instant::now();
        self.child = spawn(self.dir.as_ref().unwrap().path(), self.port, &self.settings);
        self.wait("/api/auth/jwks");
        started.elapsed()
    }

    fn wait(&self, path: &str) {
        let started = Instant::now();
        while !self
            .try_get(path)
            .is_some_and(|a| a.starts_with("HTTP/1.1 200"))
        {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    fn try_get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
            )
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The body of a GET.
    pub fn get(&self, path: &str) -> String {
        self.try_get(path)
            .unwrap()
            .split_once("\r\n\r\n")
            .unwrap()
            .1
            .to_owned()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.as_ref().unwrap().path().join(name)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib: f64 = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kib * 1024.0 / 1e6
    }

    /// The refresh tokens of so many sessions.
    pub async fn sessions(&self, count: usize) -> Vec<String> {
        let form = r#"{"name":"a","email":"a@example.com","password":"a good long password","tokenDelivery":"body"}"#;
        let mut client = Client::connect(self.port).await;
        client.post("/api/auth/sign-up/email", form).await;
        let mut tokens = Vec::new();
        for _ in 0..count {
            tokens.push(member(
                &client.post("/api/auth/sign-in/email", form).await,
                "refreshToken",
            ));
        }
        tokens
    }

    /// A session token.
    pub async fn session_token(&self) -> String {
        let form =
            r#"{"email":"a@example.com","password":"a good long password","tokenDelivery":"body"}"#;
        member(
            &Client::connect(self.port)
                .await
                .post("/api/auth/sign-in/email", form)
                .await,
            "token",
        )
    }

    /// One client a token, each refreshing as fast as it is answered; refreshes a second.
    pub async fn refresh_storm(&self, tokens: &mut [String], time: Duration) -> f64 {
        let started = Instant::now();
        let clients: Vec<_> = tokens
            .iter()
            .map(|token| {
                let (port, mut token) = (self.port, token.clone());
                tokio::spawn(async move {
                    let mut client = Client::connect(port).await;
                    let mut done = 0_u32;
                    while started.elapsed() < time {
                        let answer = client
                            .post(
                                "/api/auth/refresh",
                                &format!(r#"{{"refreshToken":"{token}"}}"#),
                            )
                            .await;
                        token = member(&answer, "refreshToken");
                        done += 1;
                    }
                    (done, token)
                })
            })
            .collect();
        let mut sum = 0;
        for (slot, client) in tokens.iter_mut().zip(clients) {
            let (done, token) = client.await.unwrap();
            sum += done;
            *slot = token;
        }
        f64::from(sum) / started.elapsed().as_secs_f64()
    }
}

fn spawn(dir: &Path, port: u16, settings: &[String]) -> Child {
    let mut command = Command::new(binary());
    command
        .current_dir(dir)
        .arg("--set")
        .arg(format!("server.listen=127.0.0.1:{port}"))
        .args(["--set", "server.ops_listen=off"]);
    for setting in settings {
        command.arg("--set").arg(setting);
    }
    let log = std::fs::File::create(dir.join("log")).unwrap();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
