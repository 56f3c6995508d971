//! `examples/kubernetes.yaml` as a cluster lays it out: the mounted Secret, the variables of its
//! Service, the probes and the stop.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde::Deserialize;
use serde_json::Value;

use crate::server::reserve_ports;

const KEY: &str = "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY";

struct Manifest {
    deployment: Value,
    service: Value,
}

impl Manifest {
    fn read() -> Self {
        let text = include_str!("../../examples/kubernetes.yaml");
        let documents: Vec<Value> = serde_norway::Deserializer::from_str(text)
            .map(|document| Value::deserialize(document).unwrap())
            .collect();
        let find = |kind: &str| {
            documents
                .iter()
                .find(|d| d["kind"] == kind)
                .cloned()
                .unwrap()
        };
        Self {
            deployment: find("Deployment"),
            service: find("Service"),
        }
    }

    fn pod(&self) -> &Value {
        &self.deployment["spec"]["template"]["spec"]
    }

    fn container(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    /// What Kubernetes gives every pod of the namespace for this Service, unless
    /// `enableServiceLinks` is off.
    fn service_links(&self) -> Vec<(String, String)> {
        let name = self.service["metadata"]["name"]
            .as_str()
            .unwrap()
            .to_uppercase()
            .replace('-', "_");
        let (ip, port) = (
            "10.96.0.17",
            self.service["spec"]["ports"][0]["port"].as_u64().unwrap(),
        );
        let port_name = self.service["spec"]["ports"][0]["name"]
            .as_str()
            .unwrap()
            .to_uppercase();
        let url = format!("tcp://{ip}:{port}");
        [
            ("SERVICE_HOST".to_owned(), ip.to_owned()),
            ("SERVICE_PORT".to_owned(), port.to_string()),
            (format!("SERVICE_PORT_{port_name}"), port.to_string()),
            ("PORT".to_owned(), url.clone()),
            (format!("PORT_{port}_TCP"), url),
            (format!("PORT_{port}_TCP_PROTO"), "tcp".to_owned()),
            (format!("PORT_{port}_TCP_PORT"), port.to_string()),
            (format!("PORT_{port}_TCP_ADDR"), ip.to_owned()),
        ]
        .map(|(suffix, value)| (format!("{name}_{suffix}"), value))
        .into()
    }
}

/// A folder that stands for the container's file system.
struct Container {
    dir: tempfile::TempDir,
    manifest: Manifest,
    port: u16,
}

impl Container {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let container = Self {
            dir,
            manifest: Manifest::read(),
            port: reserve_ports(2),
        };
        container.mount_secret();
        std::fs::create_dir(container.path("work")).unwrap();
        if geteuid().is_root() {
            let user = container.id("runAsUser");
            chown(container.path("work"), Some(user), Some(user)).unwrap();
        }
        container
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn id(&self, member: &str) -> u32 {
        u32::try_from(
            self.manifest.pod()["securityContext"][member]
                .as_u64()
                .unwrap(),
        )
        .unwrap()
    }

    fn mount(&self) -> PathBuf {
        self.inside(
            self.manifest.container()["volumeMounts"][0]["mountPath"]
                .as_str()
                .unwrap(),
        )
    }

    /// An absolute path of the container.
    fn inside(&self, path: &str) -> PathBuf {
        self.path(path.trim_start_matches('/'))
    }

    /// As the kubelet does it: files in a folder with a date, `..data` leads there, each name leads
    /// through `..data`; root owns them, and with an `fsGroup` the group may read them.
    fn mount_secret(&self) {
        let (mount, dated) = (self.mount(), "..2026_11_28_10_00_00.123456789");
        std::fs::create_dir_all(mount.join(dated)).unwrap();
        symlink(dated, mount.join("..data")).unwrap();
        let database = format!("sqlite://{}", self.path("work/countersign.db").display());
        assert_eq!(
            self.manifest.pod()["volumes"][0]["secret"]["defaultMode"],
            0o400,
            "a decimal number, which every reader of YAML takes alike"
        );
        for (name, text) in [("master.key", KEY), ("database.url", &database)] {
            let file = mount.join(dated).join(name);
            std::fs::write(&file, text).unwrap();
            // Without root the group's right cannot be shown: then it is a file of our own.
            let is_root = geteuid().is_root();
            std::fs::set_permissions(
                &file,
                std::fs::Permissions::from_mode(if is_root { 0o440 } else { 0o400 }),
            )
            .unwrap();
            if is_root {
                chown(&file, Some(0), Some(self.id("fsGroup"))).unwrap();
            }
            symlink(format!("..data/{name}"), mount.join(name)).unwrap();
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // Where everybody can reach it, as in an image.
        let program = self.path("countersign");
        if !program.exists() {
            std::fs::copy(env!("CARGO_BIN_EXE_countersign"), &program).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(program);
        command
            .current_dir(self.path("work"))
            .env_clear()
            .envs(self.manifest.service_links());
        for variable in self.manifest.container()["env"].as_array().unwrap() {
            let (name, value) = (
                variable["name"].as_str().unwrap(),
                variable["value"].as_str().unwrap(),
            );
            let value = match name {
                "COUNTERSIGN_SERVER__LISTEN" => format!("127.0.0.1:{}", self.port),
                "COUNTERSIGN_SERVER__OPS_LISTEN" => format!("127.0.0.1:{}", self.port + 1),
                _ if value.starts_with('/') => self.inside(value).display().to_string(),
                _ => value.to_owned(),
            };
            command.env(name, value);
        }
        if geteuid().is_root() {
            command.uid(self.id("runAsUser")).gid(self.id("fsGroup"));
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn serve(&self) -> (Child, PathBuf) {
        let log = self.path("log");
        let arguments: Vec<&str> = self.manifest.container()["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a.as_str().unwrap())
            .collect();
        let file = std::fs::File::create(&log).unwrap();
        (
            self.command(&arguments)
                .stdout(Stdio::null())
                .stderr(file)
                .spawn()
                .unwrap(),
            log,
        )
    }

    /// The status that a probe sees.
    fn probe(&self, which: &str) -> Option<u16> {
        use std::io::{Read, Write};
        let get = &self.manifest.container()[which]["httpGet"];
        assert_eq!(get["port"], "http");
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(
            stream,
            "GET {} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n",
            get["path"].as_str().unwrap()
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn the_kubernetes_example_starts_answers_its_probes_and_stops_in_time() {
    let container = Container::new();
    let (mut child, log) = container.serve();
    let started = Instant::now();
    while container.probe("readinessProbe") != Some(200) {
        let ended = child.try_wait().unwrap();
        assert!(
            ended.is_none() && started.elapsed() < Duration::from_secs(60),
            "{ended:?}: {}",
            read(&log)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        (
            container.probe("livenessProbe"),
            container.probe("startupProbe")
        ),
        (Some(200), Some(200))
    );
    assert!(
        !container.path("work/keys").exists(),
        "the named master key is used, and none is made"
    );
    // All of the platform's variables are one line, which names them.
    let warned: Vec<String> = read(&log)
        .lines()
        .filter(|line| line.contains("COUNTERSIGN_PORT_4000_TCP_ADDR"))
        .map(ToOwned::to_owned)
        .collect();
    assert!(
        warned.len() == 1
            && warned[0].contains("COUNTERSIGN_SERVICE_HOST")
            && warned[0].contains("WARN"),
        "{warned:?}"
    );
    // Every command takes the same environment.
    let check = container.command(&["config", "check"]).output().unwrap();
    assert!(
        check.status.success()
            && String::from_utf8_lossy(&check.stderr).contains("COUNTERSIGN_PORT"),
        "{check:?}"
    );
    assert!(
        container
            .command(&["users", "list"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let told = Instant::now();
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert!(child.wait().unwrap().success());
    let grace = container.manifest.pod()["terminationGracePeriodSeconds"]
        .as_u64()
        .unwrap();
    let before = container.manifest.container()["lifecycle"]["preStop"]["sleep"]["seconds"]
        .as_u64()
        .unwrap();
    assert!(told.elapsed() < Duration::from_secs(grace - before));
    assert!(grace - before >= 30 + 10, "as long as a stop may take");
}

#[test]
fn a_mounted_secret_that_others_can_read_is_refused_and_so_is_a_link_at_our_own_key() {
    let container = Container::new();
    let key = std::fs::canonicalize(container.mount().join("master.key")).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o444)).unwrap();
    let refused = container.command(&["serve"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(78)
            && said.contains("0444")
            && said.contains("defaultMode")
            && !said.contains(KEY),
        "{said}"
    );
    // Our own key file may be no link, whatever it leads to.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o440)).unwrap();
    std::fs::create_dir(container.path("work/keys")).unwrap();
    symlink(
        container.mount().join("master.key"),
        container.path("work/keys/master.key"),
    )
    .unwrap();
    let refused = container
        .command(&["serve"])
        .env_remove("COUNTERSIGN_MASTER_KEY_FILE")
        .output()
        .unwrap();
    assert!(
        refused.status.code() == Some(78)
            && String::from_utf8_lossy(&refused.stderr).contains("not a regular file of this user"),
        "{refused:?}"
    );
}

#[test]
fn a_misspelt_variable_is_a_warning_with_the_name_that_was_meant_and_a_misspelt_setting_an_error() {
    let container = Container::new();
    let check = |name: &str, value: &str| {
        container
            .command(&["config", "check"])
            .env(name, value)
            .output()
            .unwrap()
    };
    for (name, meant) in [
        ("COUNTERSIGN_SERVER_LISTEN", "COUNTERSIGN_SERVER__LISTEN"),
        ("COUNTERSIGN_MASTER_KEYFILE", "COUNTERSIGN_MASTER_KEY_FILE"),
    ] {
        let said = check(name, "x");
        assert!(
            said.status.success()
                && String::from_utf8_lossy(&said.stderr)
                    .contains(&format!("did you mean {meant}?")),
            "{said:?}"
        );
    }
    // The form of a platform's variable with a section in it is no setting either; an operator's
    // own is.
    assert!(
        check("COUNTERSIGN_SERVER__AUTH_PORT", "tcp://10.96.0.18:80")
            .status
            .success()
    );
    let typo = check("COUNTERSIGN_SERVER__LISTNE", "127.0.0.1:1");
    assert!(
        typo.status.code() == Some(78)
            && String::from_utf8_lossy(&typo.stderr).contains("did you mean server.listen?"),
        "{typo:?}"
    );
}
