//! Starting the binary in a folder of its own, and speaking to it over a real socket.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// Cheap hashing: these tests are about processes.
const CHEAP: [&str; 6] = [
    "server.ops_listen=off",
    "passwords.argon2_memory_kib=64",
    "passwords.argon2_iterations=1",
    "passwords.queue=10000",
    "rate_limits.enabled=false",
    "sessions.max_per_user=100000",
];

/// Reserves so many ports in a row until this process ends, and returns the first. A socket is bound
/// to each and does not listen. At first it shares the address with no other, so that two tests
/// that look for ports at once never get the same; from then on it shares it with servers, which
/// all ask for that (`SO_REUSEADDR`). A server that was killed therefore finds its port again.
pub fn reserve_ports(count: u16) -> u16 {
    static HELD: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let reserve = |port: u16| {
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind(([127, 0, 0, 1], port).into()).ok()?;
        socket.set_reuseaddr(true).ok()?;
        Some(socket)
    };
    // Below the ports that the kernel gives to clients. Where the search begins differs from one
    // process to the next.
    let start = u16::try_from(std::process::id() * 97 % 20_000).unwrap();
    let mut held = HELD.lock().unwrap();
    (0..20_000 / count)
        .map(|n| 10_000 + (start / count * count + n * count) % (20_000 / count * count))
        .find_map(|base| {
            let all: Option<Vec<_>> = (0..count).map(|n| reserve(base + n)).collect();
            held.extend(all?);
            Some(base)
        })
        .unwrap()
}

/// A folder with a database and a master key; what an operator has.
pub struct Place {
    pub dir: TempDir,
    pub port: u16,
    pub settings: Vec<String>,
}

impl Place {
    pub fn new(settings: &[&str]) -> Self {
        let port = reserve_ports(1);
        let settings = CHEAP
            .iter()
            .chain(settings)
            .map(ToString::to_string)
            .collect();
        Self {
            dir: tempfile::tempdir().unwrap(),
            port,
            settings,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self) -> Command {
        self.command_at(self.port)
    }

    fn command_at(&self, port: u16) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("USER", "tester")
            .env("PATH", "/usr/bin:/bin");
        command
            .arg("--set")
            .arg(format!("server.listen=127.0.0.1:{port}"));
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut command = self.command();
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input may be gone already.
        drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must succeed and returns what it printed as JSON.
    pub fn json(&self, arguments: &[&str], stdin: &str) -> Value {
        let output = self.run(&[arguments, &["--output", "json"]].concat(), stdin);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command that lists something and returns what it listed.
    pub fn items(&self, arguments: &[&str], stdin: &str) -> Value {
        self.json(arguments, stdin)["items"].take()
    }

    pub fn serve(&self) -> Server {
        self.serve_at(self.port, &[])
    }

    pub fn serve_at(&self, port: u16, environment: &[(&str, &str)]) -> Server {
        let log = self.path("log.jsonl");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut command = self.command_at(port);
        command
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        let server = Server {
            child: command.spawn().unwrap(),
            port,
            log,
        };
        server.wait_until_ready();
        server
    }
}

/// A running process; ended with the value.
pub struct Server {
    child: Child,
    pub port: u16,
    log: PathBuf,
}

impl Server {
    fn wait_until_ready(&self) {
        let started = Instant::now();
        while !self.answers() {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "no answer; log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn answers(&self) -> bool {
        use std::io::Read;
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let mut answer = String::new();
        let asked = stream
            .write_all(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .is_ok();
        asked && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Waits for the end and returns the exit status.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                started.elapsed() < Duration::from_secs(40),
                "it does not end"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Posts JSON; `None` if no answer came.
pub async fn post(client: &reqwest::Client, url: &str, body: &Value) -> Option<(u16, Value)> {
    let answer = client
        .post(url)
        .json(body)
        .timeout(Duration::from_secs(5))
        .send()
        .await
        .ok()?;
    let status = answer.status().as_u16();
    let text = answer.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

/// Posts as a patient client does: a 503 asks it to try again, and a loaded machine may give one, or a
/// 502 or 504 of the balancer in front of it. For the set-up of a test, which is not about load; a
/// minute is the limit.
pub async fn post_until_served(client: &reqwest::Client, url: &str, body: &Value) -> (u16, Value) {
    let started = Instant::now();
    loop {
        let answer = post(client, url, body).await;
        match answer {
            Some((status, body)) if !matches!(status, 502..=504) => return (status, body),
            refused => assert!(
                started.elapsed() < Duration::from_secs(60),
                "{url}: {refused:?}"
            ),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

pub fn form(name: &str) -> Value {
    json!({ "name": name, "email": format!("{name}@example.com"), "password": "a good long password", "tokenDelivery": "body" })
}

pub async fn sign_up(client: &reqwest::Client, server: &Server, name: &str) -> Value {
    let (status, body) =
        post_until_served(client, &server.url("/api/auth/sign-up/email"), &form(name)).await;
    assert_eq!(status, 200, "{body}");
    body
}

pub async fn sign_in(client: &reqwest::Client, server: &Server, name: &str) -> Value {
    let (status, body) =
        post_until_served(client, &server.url("/api/auth/sign-in/email"), &form(name)).await;
    assert_eq!(status, 200, "{body}");
    body
}

pub async fn refresh(
    client: &reqwest::Client,
    server: &Server,
    token: &str,
) -> Option<(u16, Value)> {
    post(
        client,
        &server.url("/api/auth/refresh"),
        &json!({ "refreshToken": token }),
    )
    .await
}

pub fn write_key(path: &Path, key: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, key).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
