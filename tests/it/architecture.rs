//! The table of who may import whom, and the other promises of the layout, held against the
//! sources.

mod plain_words;

use std::collections::BTreeSet;
use std::path::Path;

use crate::imports::Imports;

const ALLOWED: [(&str, &[&str]); 19] = [
    ("clock", &[]),
    ("random", &[]),
    ("encoding", &[]),
    ("model", &["encoding"]),
    ("crypto", &["encoding", "model", "random"]),
    ("connection", &[]),
    ("store", &["clock", "connection", "encoding", "model"]),
    ("config", &["encoding", "model"]),
    ("mail", &["connection", "model"]),
    ("metrics", &["model"]),
    ("outbound_http", &["connection"]),
    (
        "upstream",
        &["clock", "config", "crypto", "model", "outbound_http"],
    ),
    ("import", &["model"]),
    ("traces", &["config"]),
    (
        "app",
        &[
            "clock",
            "config",
            "crypto",
            "mail",
            "metrics",
            "model",
            "outbound_http",
            "random",
            "store",
            "upstream",
        ],
    ),
    (
        "flows",
        &[
            "app",
            "clock",
            "config",
            "crypto",
            "import",
            "mail",
            "metrics",
            "model",
            "outbound_http",
            "random",
            "store",
            "upstream",
        ],
    ),
    ("jobs", &["app", "flows", "model", "random"]),
    ("http", &["app", "encoding", "flows", "model", "traces"]),
    (
        "cli",
        &[
            "app", "clock", "config", "flows", "http", "import", "jobs", "model", "random",
            "store", "traces", "upstream",
        ],
    ),
];

fn sources() -> Vec<(String, String)> {
    files_in("src")
}

/// The Rust files of a folder, by their paths in it.
fn files_in(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &str, dir: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(folder, &path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((
                    path.strip_prefix(folder).unwrap().display().to_string(),
                    text,
                ));
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, Path::new(folder), &mut found);
    found
}

/// Without the unit tests, which stand last.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

#[test]
fn imports_run_one_way() {
    let import = regex::Regex::new(r"\bcrate::(\w+)").unwrap();
    for (file, text) in sources() {
        let room = file.split(['/', '.']).next().unwrap();
        let Some((_, allowed)) = ALLOWED.iter().find(|(r, _)| *r == room) else {
            continue;
        };
        for found in import.captures_iter(production(&text)) {
            let other = &found[1];
            assert!(
                other == room
                    || allowed.contains(&other)
                    || other == "store" && file == "store/mod.rs",
                "{file} imports {other}"
            );
        }
    }
}

/// A domain and those that it may import.
type Domain = (&'static str, &'static [&'static str]);

/// Which domain may import which, inside one layer. A domain is a folder of the layer, or a file
/// beside the folders. Each may import only domains above it in the list, so there are no cycles.
const DOMAINS: [(&str, &[Domain]); 4] = [
    (
        "model",
        &[
            ("kernel", &[]),
            ("account", &["kernel"]),
            ("login", &["kernel", "account"]),
            ("federation", &["kernel", "account"]),
            ("import", &["kernel", "account", "federation"]),
            ("session", &["kernel", "login"]),
            ("key", &["kernel"]),
            ("mail", &["kernel", "account", "login"]),
            ("token", &["kernel", "account", "key"]),
            ("limit", &["kernel", "session"]),
            ("audit", &["kernel", "limit"]),
        ],
    ),
    (
        "store",
        &[
            ("error", &[]),
            ("engine", &["error"]),
            ("session", &["error", "engine"]),
            ("account", &["error", "engine", "session"]),
            ("login", &["error", "engine"]),
            ("federation", &["error", "engine"]),
            ("import", &["error", "engine"]),
            ("key", &["error", "engine"]),
            ("queue", &["error", "engine"]),
            ("mails", &["error", "engine", "queue", "login"]),
            ("audit", &["error", "engine", "queue"]),
            ("limit", &["error", "engine"]),
            ("ops", &["error", "engine", "key"]),
        ],
    ),
    (
        "flows",
        &[
            ("error", &[]),
            ("authenticated", &["error"]),
            ("authority", &["error", "authenticated"]),
            ("find_user", &["error"]),
            (
                "permit",
                &["error", "authenticated", "authority", "find_user"],
            ),
            ("transaction", &["error"]),
            ("confirm_clock", &["error", "permit", "transaction"]),
            ("queue", &["error", "transaction", "confirm_clock"]),
            ("limit", &["error", "find_user", "permit", "transaction"]),
            ("key", &["error", "permit", "transaction", "confirm_clock"]),
            (
                "audit",
                &["error", "permit", "transaction", "confirm_clock", "queue"],
            ),
            (
                "mail",
                &[
                    "error",
                    "permit",
                    "transaction",
                    "confirm_clock",
                    "queue",
                    "key",
                ],
            ),
            ("token", &["error", "confirm_clock", "key"]),
            (
                "session",
                &[
                    "error",
                    "authenticated",
                    "permit",
                    "transaction",
                    "confirm_clock",
                    "limit",
                    "key",
                    "token",
                ],
            ),
            (
                "login",
                &["error", "transaction", "limit", "key", "mail", "session"],
            ),
            (
                "account",
                &[
                    "error",
                    "authenticated",
                    "authority",
                    "find_user",
                    "permit",
                    "transaction",
                    "limit",
                    "key",
                    "mail",
                    "session",
                    "login",
                ],
            ),
            (
                "federation",
                &[
                    "error",
                    "permit",
                    "transaction",
                    "limit",
                    "key",
                    "session",
                    "login",
                    "account",
                ],
            ),
            ("import", &["error", "permit", "transaction"]),
            (
                "reapply",
                &[
                    "error",
                    "permit",
                    "transaction",
                    "limit",
                    "key",
                    "audit",
                    "session",
                    "account",
                ],
            ),
            (
                "ops",
                &[
                    "error",
                    "permit",
                    "transaction",
                    "confirm_clock",
                    "key",
                    "audit",
                    "mail",
                    "session",
                    "account",
                    "import",
                ],
            ),
        ],
    ),
    (
        "http",
        &[
            ("edge", &[]),
            ("delivery", &["edge"]),
            ("pages", &["edge", "delivery"]),
            ("api", &["edge", "delivery", "pages"]),
            ("oauth", &["edge"]),
            ("well_known", &["edge"]),
            ("layers", &["edge", "pages"]),
        ],
    ),
];

/// Without unit tests: the path below `src/` and the text of each file.
fn production_sources() -> Vec<(String, String)> {
    sources()
        .into_iter()
        .map(|(file, text)| (file, production(&text).to_owned()))
        .collect()
}

#[test]
fn domains_of_a_layer_import_one_way() {
    let imports = Imports::read(&production_sources());
    for (layer, domains) in DOMAINS {
        let mut used = BTreeSet::new();
        for (module, imported) in &imports.of {
            // The `mod.rs` of a layer declares its domains and names what they offer.
            let [room, domain, ..] = module.as_slice() else {
                continue;
            };
            if room != layer {
                continue;
            }
            let (_, allowed) = domains
                .iter()
                .find(|(name, _)| name == domain)
                .unwrap_or_else(|| panic!("{layer}/{domain} is not in the table of domains"));
            for other in imported.iter().filter_map(|other| other.get(1)) {
                assert!(
                    other == domain || allowed.contains(&other.as_str()),
                    "{} imports {layer}/{other}",
                    module.join("::")
                );
                used.insert((domain.clone(), other.clone()));
            }
        }
        for (n, (domain, allowed)) in domains.iter().enumerate() {
            for other in *allowed {
                assert!(
                    domains[..n].iter().any(|(above, _)| above == other),
                    "{layer}/{domain} may import {other}, which does not stand above it"
                );
                assert!(
                    used.contains(&((*domain).to_owned(), (*other).to_owned())),
                    "{layer}/{domain} may import {other} and does not"
                );
            }
        }
    }
}

/// Circles of imports that remain, each by one of its files and its number of files.
const CIRCLES: [(&str, usize); 4] = [
    // A body tells its connection how far it is, and the connection makes the bodies.
    ("http::edge::bodies", 2),
    // `on!` runs queries on what a connection lends, and a connection runs queries of its own.
    ("store::engine::conn", 2),
    // A lease gives its connection back to the pool that lent it.
    ("store::engine::lease", 2),
    // `Db` stands in front of the engines, and methods of `Db` stand in the files of their subject.
    ("store::engine::db", 4),
];

/// No two files of a layer import each other, directly or by way of others. An import of a name
/// that a `mod.rs` passes on is one of the file that holds it.
#[test]
fn files_of_a_layer_import_each_other_in_no_circle() {
    let imports = Imports::read(&production_sources());
    let mut found: BTreeSet<&(&str, usize)> = BTreeSet::new();
    for circle in imports.circles() {
        let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
        let known = CIRCLES
            .iter()
            .find(|(name, files)| names.len() == *files && names.iter().any(|n| n == name));
        assert!(known.is_some(), "a circle of imports: {}", names.join(", "));
        found.extend(known);
    }
    assert_eq!(found.len(), CIRCLES.len(), "a circle of the list is gone");
    let edges: usize = imports.of.values().map(BTreeSet::len).sum();
    assert!(edges >= 700, "{edges}: the imports are no longer found");
}

#[test]
fn sql_stands_in_store_hashing_in_crypto_and_printing_in_output() {
    let everything = regex::Regex::new(r"(SELECT|,)\s+(\w+\.)?\*").unwrap();
    for (file, text) in sources() {
        let text = production(&text);
        // A statement that is prepared must not change its columns when the schema grows beside it.
        assert!(
            !file.starts_with("store/") || !everything.is_match(text),
            "{file} selects every column"
        );
        if !file.starts_with("store/") {
            assert!(!text.contains("sqlx::"), "{file} has SQL");
        }
        // Hashing and base64 are written once (`encoding`), or belong to a secret (`crypto`).
        let encodes = ["base64::", "sha2::", "hmac::", "hkdf::"]
            .iter()
            .any(|library| text.contains(library));
        assert!(
            !encodes || file == "encoding.rs" || file.starts_with("crypto/"),
            "{file} hashes or encodes by itself"
        );
        let prints = ["println!", "eprintln!", "print!(", "eprint!("]
            .iter()
            .any(|p| text.contains(p));
        assert!(!prints || file == "cli/output.rs", "{file} prints");
        assert!(
            !text.contains(".unwrap()") && !text.contains("todo!") && !text.contains("dbg!"),
            "{file}"
        );
    }
}

#[test]
fn time_and_chance_have_one_source() {
    let sources_of_either = [
        "SystemTime::now",
        "Utc::now",
        "getrandom::",
        "thread_rng",
        "rand::rng",
        "Uuid::new_v4",
        "Uuid::now_v7",
        "OsRng",
    ];
    // A request id is no secret and no test looks at it.
    let may = ["clock.rs", "random.rs", "http/edge/outermost.rs"];
    for (file, text) in sources() {
        let found = sources_of_either
            .iter()
            .find(|s| production(&text).contains(*s));
        assert!(
            found.is_none() || may.contains(&file.as_str()),
            "{file} has {found:?}"
        );
    }
    assert!(include_str!("../../clippy.toml").contains("getrandom::fill"));
}

/// Work waits for the writer or for a connection: the time of its decision is the transaction's, not
/// the one at which its request arrived.
#[test]
fn no_transaction_carries_a_time_of_before_its_turn() {
    let begins = regex::Regex::new(r"\btx!\(").unwrap();
    let time = regex::Regex::new(r"\bnow\b").unwrap();
    // What they delete was over long ago, whatever the moment: their time is a confirmed one.
    let may = [
        "flows/ops/prune.rs",
        "flows/audit/read_audit.rs",
        "flows/transaction/mod.rs",
    ];
    let mut transactions = 0;
    for (file, text) in sources()
        .into_iter()
        .filter(|(file, _)| file.starts_with("flows/") && !may.contains(&file.as_str()))
    {
        let text = production(&text);
        assert!(
            !text.contains("recorder.now"),
            "{file}: a recorder has no time"
        );
        for found in begins.find_iter(text) {
            let work = inside_brackets(&text[found.end()..]);
            let is_own = work.contains("now = tx.now()") || work.contains(") = (tx.now()");
            let foreign = time
                .find_iter(work)
                .any(|at| !is_own && !work[..at.start()].ends_with("tx."));
            assert!(!foreign, "{file} takes a time of its own into: {work}");
            transactions += 1;
        }
    }
    assert!(
        transactions > 30,
        "{transactions}: the pattern finds the transactions no more"
    );
}

/// Up to the bracket that closes what was open before.
fn inside_brackets(text: &str) -> &str {
    let mut open = 1;
    let end = text.char_indices().find(|(_, c)| {
        open += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        open == 0
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

#[test]
fn files_are_small_and_say_what_they_own() {
    for (file, text) in sources() {
        let lines = production(&text).lines().count();
        assert!(lines <= 300, "{file} has {lines} lines");
        assert!(text.starts_with("//!"), "{file} does not say what it owns");
    }
}

/// A flow writes in a transaction that any `Err` rolls back. A refusal inside an `Ok` would commit
/// what was written before it.
#[test]
fn a_refusal_of_a_flow_is_an_err_and_a_flow_writes_in_transactions_alone() {
    let begins = regex::Regex::new(r"\.transaction(_with)?\(").unwrap();
    let writes = regex::Regex::new(r"(db|to|from)\s*\.(write\w*|probe_write\w*)\(").unwrap();
    let may_write = [
        ("flows/transaction/mod.rs", "it is the transaction"),
        (
            "flows/key/bootstrap.rs",
            "adopts the first key before there is an `App`",
        ),
        ("flows/ops/copy_database.rs", "writes into another database"),
        (
            "flows/ops/check_health.rs",
            "tries whether anything can be written",
        ),
        (
            "flows/ops/diagnose.rs",
            "tries whether anything can be written",
        ),
    ];
    let (mut transactions, mut written) = (0, Vec::new());
    for (file, text) in sources() {
        let text = production(&text);
        let is_flow = file.starts_with("flows/");
        if is_flow {
            transactions += begins.find_iter(text).count();
            for hidden in ["Ok(Err(", "store::Result<Result<"] {
                assert!(!text.contains(hidden), "{file} has {hidden}");
            }
            assert!(
                file == "flows/transaction/mod.rs" || !text.contains("Box::pin(async"),
                "{file} boxes a future by hand; `tx!` and `work!` do it"
            );
        }
        assert!(
            file == "flows/transaction/mod.rs" || !text.contains("mail_waits.notify"),
            "{file} wakes the mailer by hand; committing does it"
        );
        if !file.starts_with("store/") && writes.is_match(text) {
            written.push(file);
        }
    }
    written.sort();
    let mut may: Vec<_> = may_write.iter().map(|(file, _)| *file).collect();
    may.sort_unstable();
    assert_eq!(written, may, "writes past `App::transaction`");
    assert!(transactions > 50, "{transactions}");
}

/// A value of a header is made in one place, which never leaves one out: a value that cannot stand
/// there is impossible, or a 500 with a line in the log.
#[test]
fn a_text_becomes_a_header_in_one_place_and_is_never_left_out() {
    let made =
        regex::Regex::new(r"Header(Value|Name)::(from_str|from_bytes|try_from|from_maybe_shared|from_name)\b|parse::<Header(Value|Name)>|TryInto<Header")
            .unwrap();
    let left_out = regex::Regex::new(r"if let Ok\([^)]*\)\s*=\s*Header(Value|Name)|Header(Value|Name)::from_\w+\([^;]*?\)\s*\.(ok|unwrap_or\w*)\(").unwrap();
    // A tuple with a text in it would be turned into a header by the framework, which answers a
    // text of its own where that fails.
    let by_the_way = regex::Regex::new(
        r"\(header::[A-Z_]+, (path|place|url|target|text|to|&?\w+\.as_str\(\)|format!)",
    )
    .unwrap();
    let mut seen = 0;
    for (file, text) in sources() {
        let text = production(&text);
        seen += usize::from(text.contains("HeaderValue"));
        assert!(
            !left_out.is_match(text),
            "{file} leaves a header out: {:?}",
            left_out.find(text)
        );
        assert!(
            !by_the_way.is_match(text),
            "{file}: {:?}",
            by_the_way.find(text)
        );
        // An access token of another issuer that cannot stand in a header is an error there.
        if !["http/edge/header_text.rs", "upstream/requests.rs"].contains(&file.as_str()) {
            assert!(
                !made.is_match(text),
                "{file} makes a header by itself: {:?}",
                made.find(text)
            );
        }
    }
    assert!(seen >= 10, "{seen}");
}

/// A handler uses a field only after `finish` has opened every field of its request. The compiler
/// holds that an `Unchecked` is opened by `Problems::finish` alone; this holds that no handler gets
/// at what was sent in another way.
#[test]
fn no_handler_uses_a_field_before_the_whole_request_is_checked() {
    let around = regex::Regex::new(
        r"\.peek\(|Problems::new|Unchecked::good|\bserde_urlencoded\b|\bextract::(\{[^}]*)?(Query|Form|Json|RawQuery|RawForm|Bytes)\b|\baxum::Form\b|form_urlencoded::parse|uri\(\)\s*\.query\(",
    )
    .unwrap();
    // The token endpoint of OAuth has a format and errors of its own (RFC 6749 section 5.2); the
    // form of a page lists its problems by field.
    let may = [
        ("http/oauth.rs", "form_urlencoded::parse"),
        ("http/pages/form.rs", "Problems::new"),
    ];
    let mut handlers = 0;
    for (file, text) in sources()
        .into_iter()
        .filter(|(file, _)| file.starts_with("http/") && !file.starts_with("http/edge/"))
    {
        let text = production(&text);
        handlers += text.matches(".finish(").count();
        for found in around.find_iter(text) {
            assert!(
                may.contains(&(file.as_str(), found.as_str())),
                "{file} reads what was sent by {}",
                found.as_str()
            );
        }
    }
    assert!(handlers >= 40, "{handlers}: the pattern finds no handlers");
    let unchecked = std::fs::read_to_string("src/http/edge/unchecked.rs").unwrap();
    let production = production(&unchecked);
    assert!(
        production.contains("struct Unchecked<T>(Option<T>);")
            && production.contains("struct Key(());")
            && production.matches("Key(())").count() == 2,
        "a field or a key can be made or opened outside its file"
    );
}

/// Whether a caller may do something is decided by the proof that a flow takes
/// (`flows/permit.rs`). A check in a handler could be forgotten in the next handler.
#[test]
fn http_checks_no_permission_and_only_permit_makes_a_proof() {
    let checks = regex::Regex::new(
        r"\.may\w*\(|\bAction::|\bCaller\b|as_operator|\.allow\(|impersonated_by\.is_some\(\)|\.powers\.is_admin|\.fresh_for\(",
    )
    .unwrap();
    // The navigation says in which session an impersonator acts; nothing is decided by it.
    let may = [("http/pages/page.rs", "impersonated_by.is_some()")];
    let made =
        regex::Regex::new(r"\b(Permitted|PermittedOn|OwnAccount|OnBehalf) \{\s*\w+[,:]").unwrap();
    let caller = regex::Regex::new(r"\bCaller::(Operator|Session)\b").unwrap();
    let mut proofs = 0;
    for (file, text) in sources() {
        let text = production(&text);
        // The map of refusals names the action that was refused.
        if file.starts_with("http/") && !file.starts_with("http/edge/") {
            for found in checks.find_iter(text) {
                assert!(
                    may.contains(&(file.as_str(), found.as_str())),
                    "{file} checks by {}",
                    found.as_str()
                );
            }
            proofs += text.matches(".require::<to::").count()
                + text.matches(".own_account::<to::").count()
                + text.matches(".on_behalf::<to::").count();
        }
        if file != "flows/permit.rs" {
            assert!(!made.is_match(text), "{file} makes a proof");
            assert!(!caller.is_match(text), "{file} makes a caller");
        }
    }
    assert!(
        proofs >= 35,
        "{proofs}: the pattern finds the proofs no more"
    );
    let permit = std::fs::read_to_string("src/flows/permit.rs").unwrap();
    let public_field =
        regex::Regex::new(r"\n    pub(\([^)]*\))? (caller|who|target|action):").unwrap();
    assert!(
        !public_field.is_match(&permit),
        "a field of a proof is public"
    );
}

#[test]
fn one_cryptographic_back_end_is_in_the_graph() {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap();
    assert_eq!(
        lock.matches("name = \"aws-lc-rs\"\n").count(),
        1,
        "the library that signs is the one that jsonwebtoken verifies with"
    );
    let jsonwebtoken = lock
        .split("[[package]]")
        .find(|p| p.contains("name = \"jsonwebtoken\""))
        .unwrap();
    assert!(
        jsonwebtoken.contains("aws-lc-rs") && !jsonwebtoken.contains("\"rsa\""),
        "{jsonwebtoken}"
    );
}

/// A user's sessions end by one row (`store/session/epochs.rs`): a statement that would serve a session
/// without a look at it brings them back.
#[test]
fn a_statement_that_reads_a_session_asks_whether_it_is_in_force() {
    // These end, count, delete or copy rows, or tell why a session is over, and serve none.
    let free = [
        "store/session/ended.rs",
        "store/session/ending_notes.rs",
        "store/session/endings.rs",
        "store/session/epochs.rs",
        "store/session/marks.rs",
        "store/session/old_sessions.rs",
        "store/engine/copy.rs",
    ];
    let harmless = [
        "SELECT DISTINCT user_agent FROM (",
        "SELECT MAX(auth_time) FROM sessions",
        "SELECT user_id FROM sessions WHERE id = $1",
        "NOT EXISTS (SELECT 1 FROM sessions s",
        // Which identity opened a session of this transaction.
        "UPDATE sessions SET account_id =",
    ];
    let names = regex::Regex::new(r"(FROM|JOIN|UPDATE)\s+sessions\b").unwrap();
    let mut looked_at = 0;
    for (file, text) in sources()
        .into_iter()
        .filter(|(file, _)| file.starts_with("store/") && !free.contains(&file.as_str()))
    {
        let text = production(&text);
        for found in names.find_iter(text) {
            let start = text[..found.start()].rfind(';').unwrap_or(0);
            let statement = &text[start..found.end() + text[found.end()..].find(';').unwrap()];
            looked_at += 1;
            let asks = statement.contains("in_force!(") || statement.contains("live_of_user!(");
            assert!(
                asks || harmless.iter().any(|h| statement.contains(h)),
                "{file}: {statement}"
            );
        }
    }
    assert!(looked_at >= 10, "{looked_at}");
}

/// `tests/mutants.py` can put each fault in, and the test that should find it exists.
#[test]
fn each_mutant_stands_once_in_its_file_and_has_a_killer() {
    use figment::providers::Format;
    #[derive(serde::Deserialize)]
    struct Mutant {
        id: String,
        file: String,
        text: String,
        replacement: String,
        would: String,
        killer: String,
    }
    #[derive(serde::Deserialize)]
    struct Mutants {
        mutant: Vec<Mutant>,
    }
    let toml = figment::providers::Toml::file_exact("tests/mutants.toml");
    let Mutants { mutant } = figment::Figment::from(toml).extract().unwrap();
    let mut ids = BTreeSet::new();
    let code = format!("{}{}", rust_code("src"), rust_code("tests"));
    assert!(mutant.len() >= 40, "{}", mutant.len());
    for one in &mutant {
        assert!(ids.insert(&one.id), "{} is there twice", one.id);
        let text = std::fs::read_to_string(&one.file)
            .unwrap_or_else(|error| panic!("{}: {}: {error}", one.id, one.file));
        let count = text.matches(&one.text).count();
        assert_eq!(
            count, 1,
            "{}: how often {:?} stands in {}",
            one.id, one.text, one.file
        );
        assert_ne!(one.text, one.replacement, "{}", one.id);
        assert!(one.would.ends_with('.'), "{}: a sentence", one.id);
        let killer = one.killer.rsplit("::").next().unwrap();
        assert!(
            code.contains(&format!("fn {killer}(")),
            "{}: there is no test {killer}",
            one.id
        );
    }
}

/// The text of all Rust files below a folder.
pub fn rust_code(folder: &str) -> String {
    fn walk(dir: &Path, code: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, code);
            } else if path.extension().is_some_and(|e| e == "rs") {
                code.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut code = String::new();
    walk(Path::new(folder), &mut code);
    code
}

/// A list of all variants is written by hand; a variant that is left out would be read as unknown,
/// and be skipped by every test that goes through the list.
#[test]
fn a_list_of_all_variants_has_all_of_them() {
    let list =
        regex::Regex::new(r"impl (\w+) \{[^}]*?const (ALL|NOTICES): \[Self; (\d+)\]").unwrap();
    let comment = regex::Regex::new(r"(?m)^\s*(//|#\[).*$").unwrap();
    let mut lists = 0;
    for (file, text) in sources() {
        for found in list.captures_iter(&text) {
            let name = &found[1];
            let (_, rest) = text.split_once(&format!("enum {name} {{")).unwrap();
            let body = comment.replace_all(rest.split_once("\n}").unwrap().0, "");
            let variants = body.split(',').filter(|v| !v.trim().is_empty()).count();
            // Notices are the templates without `Link` and `Code`.
            let expected = variants - 2 * usize::from(&found[2] == "NOTICES");
            assert_eq!(
                found[3].parse(),
                Ok(expected),
                "{file}: {name}::{}",
                &found[2]
            );
            lists += 1;
        }
    }
    assert!(lists >= 7, "{lists} lists were found");
}

/// The paths of these routes and the text that stands with each.
fn routes(text: &str) -> Vec<(String, &str)> {
    let path = |route: &str| Some(route.split('"').nth(1)?.to_owned());
    text.split(".route(")
        .skip(1)
        .filter_map(|route| Some((path(route)?, route)))
        .collect()
}

#[test]
fn every_path_that_reads_a_body_or_a_query_is_fuzzed() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let api = read("src/http/mod.rs");
    let (api, _) = api.split_once("fn open(").unwrap();
    let pages = read("src/http/pages/mod.rs");
    let (pages, _) = pages.split_once("fn assets()").unwrap();
    let target = |name: &str| read(&format!("fuzz/fuzz_targets/{name}.rs"));
    let [json, forms, queries, redirects] =
        ["json_bodies", "forms", "queries", "redirects"].map(target);
    let api = routes(api)
        .into_iter()
        .map(|(path, route)| (format!("/api/auth{path}"), route));
    let (mut bodies, mut readers) = (0, 0);
    for (path, route) in api.chain(routes(pages)) {
        let path = path
            .replace("/callback/{id}", "/callback/github")
            .replace("/upstream/{id}", "/upstream/github")
            .replace("{id}", "$USER")
            .replace("{token}", "$RESET")
            .replace("{kid}", "$KID");
        let quoted = format!("\"{path}\"");
        if route.contains("post(") {
            let short = format!("\"{}\"", path.trim_start_matches("/api/auth/"));
            let is_fuzzed = json.contains(&short) || forms.contains(&quoted);
            assert!(is_fuzzed, "no fuzz target posts to {path}");
            bodies += 1;
        }
        // What nothing else answers reads nothing.
        if route.contains("get(") && path != "/auth/{*rest}" {
            let is_fuzzed = queries.contains(&quoted) || redirects.contains(&quoted);
            assert!(is_fuzzed, "no fuzz target gets {path}");
            readers += 1;
        }
    }
    assert!(
        bodies > 50 && readers > 25,
        "{bodies} and {readers} routes were found"
    );
}

/// A request that is refused may be refused for another reason than the test means. Where the same
/// request is accepted once, the reason is the difference. A test that has no such request says why,
/// in a comment that begins with `No twin`.
#[test]
fn a_test_in_which_a_request_is_refused_has_one_that_is_accepted() {
    let refused = regex::Regex::new(r"\.refused\(|is_client_error|status[^;]*\b4\d\d\b").unwrap();
    let accepted = regex::Regex::new(
        r"\.ok\(\)|\b200\b|\b30[23]\b|StatusCode::OK|\.rotate\(|leads_to\(|assert_ne!|No twin",
    )
    .unwrap();
    let mut checked = 0;
    for (path, text) in files_in("tests/it") {
        let tests = text
            .split("\n#[")
            .filter(|part| part.starts_with("test]") || part.starts_with("tokio::test"));
        for test in tests {
            let body = test.split("\n}\n").next().unwrap();
            let name = body.split("fn ").nth(1).unwrap().split('(').next().unwrap();
            if refused.is_match(body) {
                assert!(accepted.is_match(body), "{path}: {name} accepts no request");
                checked += 1;
            }
        }
    }
    assert!(checked > 150, "{checked} tests were found");
}
