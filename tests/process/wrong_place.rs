//! Commands in the wrong directory: they refuse, name the database that they looked for, and leave
//! nothing behind. Commands in the right one say which database they changed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::server::{Place, sign_up, write_key};

/// Every command that needs a database, with the arguments that it requires.
const COMMANDS: [&[&str]; 49] = [
    &["keys", "list"],
    &["keys", "rotate"],
    &["keys", "rotate", "--dry-run"],
    &["keys", "revoke", "kid", "--reason", "leaked", "--yes"],
    &["keys", "close", "RS256", "--yes"],
    &["keys", "export", "--public"],
    &["keys", "import", "-"],
    &["keys", "processes"],
    &["keys", "rewrap", "--new-master-key-file", "new.key"],
    &["keys", "abandon", "--lost-master-key", "--yes"],
    &["keys", "verify", "token"],
    &["users", "create", "ana@example.com"],
    &["users", "invite", "ana@example.com", "--redirect-to", "/x"],
    &["users", "list"],
    &["users", "show", "ana@example.com"],
    &["users", "update", "ana@example.com", "--name", "Ana"],
    &["users", "set-password", "ana@example.com"],
    &["users", "require-new-password", "--all", "--yes"],
    &["users", "set-role", "ana@example.com", "admin"],
    &["users", "set-metadata", "ana@example.com", "{}"],
    &["users", "ban", "ana@example.com", "--yes"],
    &["users", "unban", "ana@example.com"],
    &["users", "disable", "ana@example.com", "--yes"],
    &["users", "enable", "ana@example.com"],
    &["users", "factors", "ana@example.com"],
    &["users", "reset-factors", "ana@example.com", "--yes"],
    &["users", "links", "ana@example.com"],
    &["users", "unlink", "ana@example.com", "x", "--yes"],
    &["users", "delete", "ana@example.com", "--yes"],
    &["users", "import", "-", "--format", "jsonl"],
    &["users", "imports"],
    &["users", "rollback", "x", "--yes"],
    &["sessions", "list", "--user", "ana@example.com"],
    &["sessions", "revoke", "--all", "--yes"],
    &["audit", "list"],
    &["audit", "tail"],
    &["audit", "export"],
    &["audit", "verify"],
    &["audit", "reapply", "export.jsonl", "--yes"],
    &["limits", "list"],
    &["limits", "clear", "--all", "--yes"],
    &["limits", "block", "198.51.100.0/24", "--for", "2h"],
    &["limits", "unblock", "198.51.100.0/24"],
    &["mail", "list"],
    &["mail", "flush"],
    &["clock", "show"],
    &["clock", "confirm", "--yes"],
    &["database", "backup", "x.db"],
    &["doctor"],
];

/// Commands that create a database, or that need none.
const OTHERS: [&str; 12] = [
    "audiences",
    "serve",
    "dev",
    "migrate",
    "database copy",
    "database check",
    "config check",
    "config show",
    "webhooks rotate-secret",
    "upstream list",
    "upstream check",
    "completions",
];

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn left_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The names of all commands, as `--help` prints them.
fn names(place: &Place, before: &[&str]) -> BTreeSet<String> {
    let help = place.run(&[before, &["--help"]].concat(), "");
    let text = String::from_utf8(help.stdout).unwrap();
    let Some((_, listed)) = text.split_once("\nCommands:\n") else {
        return BTreeSet::from([before.join(" ")]);
    };
    listed
        .lines()
        .take_while(|line| !line.is_empty())
        // The further lines of a description are indented more.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .flat_map(|name| names(place, &[before, &[name]].concat()))
        .collect()
}

#[test]
fn the_table_of_commands_is_complete() {
    let named = |command: &[&str]| {
        let words = if command[0] == "doctor" { 1 } else { 2 };
        command[..words].join(" ")
    };
    let here: BTreeSet<String> = COMMANDS
        .iter()
        .map(|command| named(command))
        .chain(OTHERS.map(str::to_owned))
        .collect();
    assert_eq!(names(&Place::new(&[]), &[]), here);
}

#[test]
fn the_documented_list_names_every_command() {
    let page = include_str!("../../docs/command-line.md");
    let listed: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("countersign "))
        .flat_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let verbs = words.get(1).copied().unwrap_or_default();
            match words[0] {
                noun @ ("keys" | "users" | "sessions" | "audit" | "limits" | "mail"
                | "webhooks" | "clock" | "database" | "config" | "upstream") => verbs
                    .split('|')
                    .map(|verb| format!("{noun} {verb}"))
                    .collect(),
                "[serve]" => vec!["serve".to_owned()],
                noun => vec![noun.to_owned()],
            }
        })
        .collect();
    assert_eq!(names(&Place::new(&[]), &[]), listed);
}

#[test]
fn a_command_in_an_empty_folder_names_the_path_and_creates_nothing() {
    for command in COMMANDS {
        let place = Place::new(&[]);
        let output = place.run(command, "");
        let looked_for = format!(
            "no database at {} (from the default of database.url): is this the right directory, or is --config missing?",
            place.path("data/countersign.db").display()
        );
        assert_eq!(output.status.code(), Some(78), "{command:?}");
        assert!(
            stderr(&output).contains(&looked_for) && output.stdout.is_empty(),
            "{command:?}: {}",
            stderr(&output)
        );
        assert_eq!(left_in(place.dir.path()), [""; 0], "{command:?}");
    }
}

/// A database that `migrate` made, or an empty file, is not one in which sessions can be ended.
#[test]
fn a_database_that_was_never_served_from_is_told_from_the_right_one() {
    let place = Place::new(&[]);
    assert!(place.run(&["migrate"], "").status.success());
    let before = left_in(place.dir.path());
    for command in [
        &["sessions", "revoke", "--all", "--yes"][..],
        &["audit", "verify"],
    ] {
        let output = place.run(command, "");
        let database = place.path("data/countersign.db");
        let said = format!("nothing was ever served from {}", database.display());
        assert_eq!(output.status.code(), Some(78), "{command:?}");
        assert!(stderr(&output).contains(&said), "{}", stderr(&output));
    }
    assert_eq!(left_in(place.dir.path()), before, "no key was made");
    let empty = Place::new(&[]);
    std::fs::create_dir(empty.path("data")).unwrap();
    std::fs::write(empty.path("data/countersign.db"), "").unwrap();
    let output = empty.run(&["keys", "list"], "");
    assert_eq!(output.status.code(), Some(78));
    assert!(
        stderr(&output).contains("no database at"),
        "{}",
        stderr(&output)
    );
    assert_eq!(
        std::fs::metadata(empty.path("data/countersign.db"))
            .unwrap()
            .len(),
        0,
        "an empty file stays empty"
    );
}

#[test]
fn relative_paths_in_a_settings_file_are_relative_to_that_file() {
    let place = Place::new(&[]);
    let settings = place.path("settings/countersign.toml");
    std::fs::create_dir(place.path("settings")).unwrap();
    std::fs::write(
        &settings,
        "[database]\nurl = \"sqlite://data/x.db\"\n[keys]\ndir = \"secret\"\n[pages]\nlogo = \"logo.svg\"\n[webhooks]\nurl_file = \"hook.url\"\nsecret_file = \"hook.secret\"\nevents = [\"*\"]\n",
    )
    .unwrap();
    std::fs::write(
        place.path("settings/logo.svg"),
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    )
    .unwrap();
    write_key(&place.path("settings/hook.url"), "https://example.com/hook");
    write_key(
        &place.path("settings/hook.secret"),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    );
    let elsewhere = place.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = place.command();
        command
            .current_dir(&elsewhere)
            .arg("--config")
            .arg(&settings)
            .args(arguments);
        command.output().unwrap()
    };
    let migrated = run(&["migrate"]);
    assert!(migrated.status.success(), "{}", stderr(&migrated));
    assert!(place.path("settings/data/x.db").exists());
    assert_eq!(left_in(&elsewhere), [""; 0]);
    let refused = stderr(&run(&["users", "list"]));
    assert!(
        refused.contains("(from database.url in the settings file)"),
        "{refused}"
    );
    // An earlier version read them relative to the working directory: a start must not create a
    // second, empty database.
    std::fs::create_dir(elsewhere.join("data")).unwrap();
    std::fs::rename(
        place.path("settings/data/x.db"),
        elsewhere.join("data/x.db"),
    )
    .unwrap();
    let refused = run(&["migrate"]);
    assert_eq!(refused.status.code(), Some(78));
    let said = format!(
        "{} does not exist, but {} does",
        place.path("settings/data/x.db").display(),
        elsewhere.join("data/x.db").display()
    );
    assert!(stderr(&refused).contains(&said), "{}", stderr(&refused));
    assert!(!place.path("settings/data/x.db").exists());
}

#[tokio::test]
async fn a_command_that_changes_something_names_the_database() {
    let place = Place::new(&[]);
    let server = place.serve();
    sign_up(&reqwest::Client::new(), &server, "ana").await;
    let database = format!("Database: {}", place.path("data/countersign.db").display());
    for (command, typed) in [
        (
            &["users", "create", "ben@example.com"][..],
            "a good long password\n",
        ),
        (
            &["users", "invite", "eva@example.com", "--redirect-to", "/x"],
            "",
        ),
        (&["users", "update", "ben@example.com", "--name", "Ben"], ""),
        (
            &["users", "set-password", "ben@example.com"],
            "another good long password\n",
        ),
        (&["users", "set-metadata", "ben@example.com", "{}"], ""),
        (&["users", "ban", "ben@example.com", "--yes"], ""),
        (&["users", "unban", "ben@example.com"], ""),
        (&["users", "disable", "ana@example.com", "--yes"], ""),
        (&["users", "enable", "ana@example.com"], ""),
        (&["users", "delete", "ana@example.com", "--yes"], ""),
        (&["users", "set-role", "ben@example.com", "admin"], ""),
        (&["sessions", "revoke", "--all", "--yes"], ""),
        (&["limits", "block", "198.51.100.0/24", "--for", "2h"], ""),
        (&["limits", "unblock", "198.51.100.0/24"], ""),
        (&["limits", "clear", "--all", "--yes"], ""),
        (&["clock", "confirm", "--yes"], ""),
        (&["keys", "rotate", "--force"], ""),
    ] {
        let output = place.run(command, typed);
        assert!(
            output.status.success() && stderr(&output).contains(&database),
            "{command:?}: {}",
            stderr(&output)
        );
    }
    // What only shows something is silent about it.
    assert!(!stderr(&place.run(&["users", "list"], "")).contains("Database:"));
    // Before a question that cannot be answered here, the refusal names what is asked.
    let asked = place.run(&["sessions", "revoke", "--all"], "");
    assert_eq!(asked.status.code(), Some(2));
}

/// The line in `examples/countersign.service` that runs the command line under systemd.
#[test]
fn the_units_line_runs_the_command_line_as_the_services_user() {
    let unit = std::fs::read_to_string("examples/countersign.service").unwrap();
    assert!(unit.contains("\nUser=countersign\n"));
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("#   runuser "))
        .expect("the line");
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::copy(env!("CARGO_BIN_EXE_countersign"), at("countersign")).unwrap();
    std::fs::create_dir(at("etc")).unwrap();
    std::fs::create_dir(at("state")).unwrap();
    std::fs::write(
        at("etc/countersign.toml"),
        "[server]\nops_listen = \"off\"\n",
    )
    .unwrap();
    let is_root = nix::unistd::Uid::effective().is_root();
    if is_root {
        let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap();
        let (uid, gid) = (daemon.uid.as_raw(), daemon.gid.as_raw());
        std::os::unix::fs::chown(at("state"), Some(uid), Some(gid)).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
    }
    // Only root may become another user.
    let user = if is_root { "runuser -u daemon --" } else { "" };
    let line = line
        .replace("-u countersign --", "")
        .replace("/usr/local/bin", &dir.path().display().to_string())
        .replace("/var/lib/countersign", &at("state").display().to_string())
        .replace("/etc/countersign", &at("etc").display().to_string());
    let run = |line: &str| {
        let command = format!("{user} {line}");
        Command::new("bash")
            .args(["-c", &command])
            .output()
            .unwrap()
    };
    let migrated = run(&line.replace(" doctor", " migrate"));
    assert!(migrated.status.success(), "{}", stderr(&migrated));
    assert!(at("state/data/countersign.db").exists());
    let told = run(&line.replace(" doctor", " doctor --output wide"));
    assert!(
        stderr(&told).contains("nothing was ever served")
            || String::from_utf8_lossy(&told.stdout).contains("nothing was ever served"),
        "{} {}",
        stderr(&told),
        String::from_utf8_lossy(&told.stdout)
    );
}

/// A copy writes the key ring last: a database with users and without one is a half of a copy.
#[tokio::test]
async fn a_copy_that_was_not_completed_is_refused_and_says_to_run_it_again() {
    let place = Place::new(&[]);
    let server = place.serve();
    sign_up(&reqwest::Client::new(), &server, "ana").await;
    drop(server);
    let copy = |to: &str| {
        let from = "sqlite://data/countersign.db";
        place.run(&["database", "copy", "--from", from, "--to", to], "")
    };
    assert!(copy("sqlite://half.db").status.success());
    let list = |file: &str| {
        let url = format!("database.url=sqlite://{file}");
        place.run(&["--set", &url, "keys", "list"], "")
    };
    assert!(list("half.db").status.success());
    let mut database = SqliteConnectOptions::new()
        .filename(place.path("half.db"))
        .connect()
        .await
        .unwrap();
    for change in [
        "UPDATE key_ring SET version = 0, master_version = NULL",
        "DELETE FROM master_keys",
    ] {
        sqlx::raw_sql(change).execute(&mut database).await.unwrap();
        let url = "database.url=sqlite://half.db";
        for output in [list("half.db"), place.run(&["--set", url, "serve"], "")] {
            assert_eq!(output.status.code(), Some(78), "{change}");
            let said =
                "was begun and not completed: run the same `countersign database copy` again";
            assert!(stderr(&output).contains(said), "{}", stderr(&output));
        }
    }
    drop(database);
    assert!(copy("sqlite://half.db").status.success(), "it begins again");
    assert!(list("half.db").status.success());
}

/// Commands that open the database of the settings, and the two that would create it.
#[tokio::test]
async fn a_file_of_another_program_is_refused_and_stays_as_it_is() {
    let folder = |make: &str| {
        let place = Place::new(&[]);
        std::fs::create_dir(place.path("data")).unwrap();
        if make.is_empty() {
            std::fs::write(place.path("data/countersign.db"), "a letter, no database").unwrap();
        }
        place
    };
    let created: [&[&str]; 4] = [
        &["serve"],
        &["migrate"],
        &["migrate", "--dry-run"],
        &["keys", "list"],
    ];
    for (make, said) in [
        (
            "CREATE TABLE notes (text TEXT)",
            "is a database of another program (it has the table notes): is database.url right?",
        ),
        (
            "PRAGMA journal_mode = WAL; CREATE TABLE notes (text TEXT)",
            "is a database of another program (it has the table notes): is database.url right?",
        ),
        // Many programs keep their migrations as this one does.
        (
            "CREATE TABLE _sqlx_migrations (version BIGINT); CREATE TABLE notes (text TEXT)",
            "is a database of another program (it has the table notes): is database.url right?",
        ),
        ("", "is not a SQLite database: is database.url right?"),
    ] {
        let place = folder(make);
        let file = place.path("data/countersign.db");
        if !make.is_empty() {
            let options = SqliteConnectOptions::new().filename(&file);
            let mut database = options.create_if_missing(true).connect().await.unwrap();
            sqlx::raw_sql(make).execute(&mut database).await.unwrap();
            sqlx::Connection::close(database).await.unwrap();
        }
        let before = (
            std::fs::read(&file).unwrap(),
            left_in(place.dir.path()),
            left_in(&place.path("data")),
        );
        let all = COMMANDS.iter().filter(|command| command[0] != "doctor");
        for command in all.chain(&created) {
            let output = place.run(command, "");
            assert_eq!(output.status.code(), Some(78), "{command:?}");
            let text = stderr(&output);
            assert!(text.contains(said), "{command:?}: {text}");
        }
        let found = place.run(&["doctor", "--output", "json"], "");
        assert_eq!(found.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&found.stdout).contains(said));
        let after = (
            std::fs::read(&file).unwrap(),
            left_in(place.dir.path()),
            left_in(&place.path("data")),
        );
        assert!(before == after, "{:?} {:?}", after.1, after.2);
    }
}

#[test]
fn a_start_whose_key_cannot_be_read_creates_no_database() {
    let place = Place::new(&[]);
    std::fs::write(place.path("keys"), "a file, no folder").unwrap();
    let output = place.run(&["serve"], "");
    assert_eq!(output.status.code(), Some(78));
    let text = stderr(&output);
    assert!(text.contains("cannot read the master key keys/master.key"));
    assert!(!text.contains("must belong"), "the owner is right: {text}");
    assert_eq!(left_in(place.dir.path()), ["keys"]);
}
