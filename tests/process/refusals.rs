//! What the command line refuses, in which words, and that a closed pipe is not an error.

use std::process::Stdio;

use crate::server::{Place, sign_up};

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_refusal_names_the_rule_the_limit_and_what_to_do() {
    let place = Place::new(&["mail.transport=off", "passwords.blocklist=true"]);
    std::fs::write(
        place.path("countersign.toml"),
        "[roles]\neditor = [\"notes:write\"]\n\"Night shift\" = [\"user:list\"]\n",
    )
    .unwrap();
    let server = place.serve();
    sign_up(&reqwest::Client::new(), &server, "ana").await;
    let ana = "ana@example.com";
    let made = place.run(
        &["users", "create", "root@example.com", "--role", "admin"],
        "a good long password\n",
    );
    assert!(made.status.success(), "{}", stderr(&made));
    let long = "x".repeat(2_049);
    let roles = "roles here: user, admin, Night shift, editor";
    let lengths = "8 characters at least and 128 at most";
    let moments = "2026-11-01T00:00:00Z, 2026-11-01 (UTC), today, yesterday or 3d";
    let period = "longer than zero and at most a hundred years, such as 15m, 12h or 7d";
    for (command, typed, status, expected) in [
        (
            &["users", "create", "b@example.com"][..],
            "short\n",
            1,
            lengths,
        ),
        (&["users", "set-password", ana], "short\n", 1, lengths),
        (
            &["users", "set-password", ana],
            &*format!("{long}\n"),
            1,
            lengths,
        ),
        (
            &["users", "create", "b@example.com"],
            "password123\n",
            1,
            "four random words",
        ),
        (
            &["users", "create", ana],
            "a good long password\n",
            1,
            "see `countersign users show",
        ),
        (
            &["users", "create", "no-address"],
            "",
            2,
            "such as ana@example.com, in at most 254",
        ),
        (
            &["users", "update", ana, "--email", "ana"],
            "",
            2,
            "such as ana@example.com",
        ),
        (
            &["limits", "clear", "--email", "ana"],
            "",
            2,
            "such as ana@example.com",
        ),
        (
            &["users", "create", "b@example.com", "--name", &long],
            "",
            2,
            "longer than 256",
        ),
        (
            &["users", "update", ana, "--name", &long],
            "",
            2,
            "longer than 256",
        ),
        (
            &["users", "invite", "b@example.com", "--name", &long],
            "",
            2,
            "longer than 256",
        ),
        (
            &["users", "update", ana, "--image", &long],
            "",
            2,
            "longer than 2048",
        ),
        (
            &["users", "ban", ana, "--reason", &long, "--yes"],
            "",
            2,
            "longer than 1024",
        ),
        (&["users", "set-role", ana, "king"], "", 1, roles),
        (&["users", "set-role", ana, ""], "", 1, roles),
        (
            &["users", "create", "b@example.com", "--role", "king"],
            "a good long password\n",
            1,
            roles,
        ),
        (
            &["users", "ban", ana, "--for", "0s", "--yes"],
            "",
            2,
            period,
        ),
        (
            &["users", "ban", ana, "--for", "101years", "--yes"],
            "",
            2,
            period,
        ),
        (
            &["users", "ban", ana, "--for", "soon", "--yes"],
            "",
            2,
            period,
        ),
        (
            &["limits", "block", "192.0.2.0/24", "--for", "0s"],
            "",
            2,
            "at most 30 days",
        ),
        (
            &["limits", "block", "192.0.2.0/24", "--for", "31d"],
            "",
            2,
            "at most 30 days",
        ),
        (
            &["limits", "block", "everywhere", "--for", "2h"],
            "",
            2,
            "such as 198.51.100.0/24",
        ),
        (&["audit", "list", "--since", "tomorrow"], "", 2, moments),
        (
            &["audit", "export", "--since", "2026-11-01T00:00:00"],
            "",
            2,
            moments,
        ),
        (
            &["users", "set-metadata", ana, "plan=pro"],
            "",
            2,
            "write a JSON object such as",
        ),
        (
            &["users", "show", "unknown@example.com"],
            "",
            1,
            "countersign users list --search",
        ),
        (
            &["users", "delete", "root@example.com", "--yes"],
            "",
            1,
            "countersign users set-role",
        ),
        (&["sessions", "revoke", "an…id"], "", 2, "--output wide"),
        (
            &["sessions", "revoke", "00000000-0000-7000-8000-000000000000"],
            "",
            1,
            "countersign sessions list --user",
        ),
    ] {
        let refused = place.run(command, typed);
        let said = stderr(&refused);
        // clap breaks long lines.
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(refused.status.code(), Some(status), "{command:?}: {said}");
        assert!(
            words.contains(expected),
            "{command:?}: {expected} is not in {said}"
        );
    }
    // What is refused above is accepted without the fault.
    let longest = "x".repeat(256);
    for accepted in [
        &["users", "update", ana, "--name", &longest][..],
        &["users", "set-role", ana, "user,Night shift,editor"],
        &["users", "ban", ana, "--for", "1ms", "--yes"],
        &["audit", "list", "--since", "2026-11-01T00:00:00Z"],
        &["audit", "list", "--since", "2026-11-01"],
        &["audit", "list", "--since", "yesterday"],
        &["audit", "export", "--since", "3d"],
    ] {
        let done = place.run(accepted, "");
        assert!(done.status.success(), "{accepted:?}: {}", stderr(&done));
    }
}

/// Every command that prints, with its exit status if all is well.
const PRINTING: [&[&str]; 24] = [
    &["--help"],
    &["completions", "bash"],
    &["users", "list"],
    &["users", "list", "--output", "json"],
    &["users", "show", "ana@example.com"],
    &[
        "users",
        "set-role",
        "ana@example.com",
        "user",
        "--output",
        "json",
    ],
    &[
        "users",
        "ban",
        "ana@example.com",
        "--dry-run",
        "--output",
        "json",
    ],
    &["sessions", "list", "--user", "ana@example.com"],
    &[
        "sessions",
        "revoke",
        "--all",
        "--dry-run",
        "--output",
        "json",
    ],
    &["audit", "list"],
    &["audit", "export"],
    &["audit", "verify", "--output", "json"],
    &["limits", "list"],
    &["limits", "clear", "--all", "--yes", "--output", "json"],
    &["keys", "list"],
    &["keys", "list", "--output", "json"],
    &["keys", "processes"],
    &["keys", "export", "--public"],
    &["keys", "rotate", "--force", "--dry-run"],
    &["config", "show"],
    &["config", "check"],
    &["clock", "show"],
    &["migrate", "--output", "json"],
    &["doctor", "--output", "json"],
];

/// A pipe that nothing reads, like the one that `| head` leaves behind.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[tokio::test]
async fn a_pipe_that_nothing_reads_ends_a_command_quietly() {
    let place = Place::new(&[]);
    let server = place.serve();
    sign_up(&reqwest::Client::new(), &server, "ana").await;
    for arguments in PRINTING {
        let mut command = place.command();
        let output = command.args(arguments).stdout(closed()).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(
            !said.contains("panicked") && !said.contains("rror:"),
            "{arguments:?}: {said}"
        );
        // `2>&1 | head`
        let mut command = place.command();
        command.args(arguments).stdout(closed()).stderr(closed());
        assert_eq!(command.status().unwrap().code(), Some(0), "{arguments:?}");
    }
    // What never ends by itself ends with its reader, at the next event.
    let mut tail = place.command();
    tail.args(["audit", "tail"]).stdout(closed());
    let mut tail = tail.spawn().unwrap();
    let started = std::time::Instant::now();
    loop {
        let done = place.run(&["users", "set-role", "ana@example.com", "user"], "");
        assert!(done.status.success());
        if let Some(status) = tail.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0));
            break;
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(60));
    }
    // A refusal has its own status even if its text cannot be written.
    let mut refused = place.command();
    refused
        .args(["users", "show", "ben@example.com"])
        .stderr(closed());
    assert_eq!(refused.status().unwrap().code(), Some(1));
}
