//! The identity of this process for other processes of the service: host, pid, version and, on the
//! same machine, whether it still runs.

use crate::model::kernel::time::Timestamp;

/// The version of this program, as `--version` prints it.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// A running process of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The host name of its machine or container.
    pub host: String,
    /// Its process id in that machine or container.
    pub pid: u32,
    /// Distinguishes this process from every other one with the same pid, past or future: see
    /// [`has_ended`]. `None` if `/proc` does not tell.
    pub mark: Option<String>,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
}

impl Process {
    /// Describes the calling process.
    pub fn this(started_at: Timestamp) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .map(|name| name.trim().to_owned());
        let pid = std::process::id();
        let mark = mark_of(pid);
        Self {
            host: host
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "unknown".into()),
            pid,
            mark,
            started_at,
        }
    }
}

/// Returns whether the process with this mark is known to have ended. That can only be known of
/// processes whose pids this process can see: those of the same boot of the same machine, in the
/// same pid namespace. Returns `false` for all others, and in doubt.
pub fn has_ended(mark_of_it: &str) -> bool {
    let Some(space) = space() else { return false };
    let Some(pid) = mark_of_it
        .strip_prefix(&format!("{space}/"))
        .and_then(|rest| rest.split('/').next())
        .and_then(|pid| pid.parse().ok())
    else {
        return false;
    };
    match find(pid) {
        Found::Ended => true,
        Found::Hidden => false,
        Found::Since(start) => mark(&space, pid, start) != mark_of_it,
    }
}

fn mark_of(pid: u32) -> Option<String> {
    if let Found::Since(start) = find(pid) {
        Some(mark(&space()?, pid, start))
    } else {
        None
    }
}

fn mark(space: &str, pid: u32, start: u64) -> String {
    format!("{space}/{pid}/{start}")
}

/// Identifies the space in which pids are unique: the boot of a machine and a pid namespace, which
/// is that of a container or of the machine.
fn space() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.display()))
}

/// What `/proc` shows of a pid.
enum Found {
    /// The process does not exist, or only its exit status is left.
    Ended,
    /// The process exists, but `/proc` does not show it to this user.
    Hidden,
    /// The process started this many ticks after the boot.
    Since(u64),
}

fn find(pid: u32) -> Found {
    let Some(number) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return Found::Ended;
    };
    if rustix::process::test_kill_process(number) == Err(rustix::io::Errno::SRCH) {
        return Found::Ended;
    }
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return Found::Hidden;
    };
    // The name of the program, in parentheses, may contain any character. After the last closing
    // parenthesis follow fields 3, the state, and onwards (proc(5)).
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    if matches!(fields.first(), Some(&("Z" | "X"))) {
        return Found::Ended;
    }
    fields
        .get(19)
        .and_then(|ticks| ticks.parse().ok())
        .map_or(Found::Hidden, Found::Since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_this_machine_has_ended_once_it_is_gone_and_others_are_left_alone() {
        let this = Process::this(Timestamp(0)).mark.unwrap();
        assert!(!has_ended(&this), "this process runs");
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let of_child = mark_of(child.id()).unwrap();
        assert!(!has_ended(&of_child));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(&of_child), "it was killed");
        let reused = mark(&space().unwrap(), std::process::id(), 1);
        assert!(has_ended(&reused), "another process has the pid now");
        for elsewhere in [
            "",
            "another-boot/pid:[1]/1/1",
            &format!("{}/none", space().unwrap()),
        ] {
            assert!(
                !has_ended(elsewhere),
                "{elsewhere}: nothing is known about it"
            );
        }
    }
}
