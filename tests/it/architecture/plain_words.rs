//! The language of code, documents, mails and pages (`docs/style.md`), as far as a machine can hold
//! it: words that do not say who acts, the bare word "address" in texts for users, and rustdoc that
//! says too little.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// Words that leave open who acts or what is meant.
const VAGUE: &str = "nobody|somebody|whoever|anybody|of[ _]late|worth[ _]nothing";

/// Phrases that comments and messages in `src` used in place of the field's own terms.
const RIDDLES: &str = "none of ours|is none of|worthless|what is over|no way back|in vain|for ever|calls? \\w+ a thief|shuts? out|is nothing that|not to be had|stands? twice|of before";

/// What is searched for [`VAGUE`] words. `migrations/` is not: applied migrations must not change.
const SEARCHED: [&str; 11] = [
    "src",
    "tests",
    "fuzz/fuzz_targets",
    "benches",
    "clients",
    "examples",
    "docs",
    "templates",
    "README.md",
    "CHANGELOG.md",
    "openapi.yaml",
];

/// Files that may hold the words, because they name them as forbidden.
const EXEMPT: [&str; 3] = [
    "docs/style.md",
    "tests/commits.sh",
    "tests/it/architecture/plain_words.rs",
];

const TEXTS: [&str; 16] = [
    "rs", "py", "mjs", "js", "ts", "tsx", "jsx", "sh", "md", "yaml", "yml", "toml", "html", "txt",
    "json", "service",
];

/// Folders that hold what is installed or built.
const BUILT: [&str; 6] = [
    "node_modules",
    "target",
    "dist",
    "__pycache__",
    "corpus",
    "seeds",
];

fn texts(roots: &[&str]) -> Vec<(String, String)> {
    fn walk(path: &Path, found: &mut Vec<(String, String)>) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !BUILT.contains(&&*name) && !name.starts_with('.') {
                for entry in std::fs::read_dir(path).unwrap() {
                    walk(&entry.unwrap().path(), found);
                }
            }
        } else if path
            .extension()
            .is_some_and(|e| TEXTS.contains(&&*e.to_string_lossy()))
            && name != "package-lock.json"
        {
            let text = std::fs::read_to_string(path).unwrap();
            found.push((path.display().to_string(), text));
        }
    }
    let mut found = Vec::new();
    for root in roots {
        walk(Path::new(root), &mut found);
    }
    found
}

/// Finds the words, also as parts of names such as `lets_nobody_in`.
fn pattern(words: &str) -> Regex {
    Regex::new(&format!("(?i)(^|[^a-z])({words})([^a-z]|$)")).unwrap()
}

/// Returns `file:line: text` for each line that the pattern matches.
fn lines_with(pattern: &Regex, file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if pattern.is_match(line) {
            found.push(format!("{file}:{}: {}", number + 1, line.trim()));
        }
    }
    found
}

#[test]
fn every_text_says_who_acts() {
    let pattern = pattern(VAGUE);
    let mut found = Vec::new();
    let texts = texts(&SEARCHED);
    assert!(texts.len() > 500, "{} files", texts.len());
    for (file, text) in &texts {
        if !EXEMPT.contains(&file.as_str()) {
            found.extend(lines_with(&pattern, file, text));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_exempt_files_exist_and_need_their_exemption() {
    let pattern = pattern(VAGUE);
    for file in EXEMPT {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(pattern.is_match(&text), "{file} needs no exemption");
    }
}

#[test]
fn comments_and_messages_use_the_terms_of_the_field() {
    let pattern = pattern(RIDDLES);
    let text_in_quotes = Regex::new(r#""[^"]*""#).unwrap();
    let mut found = Vec::new();
    for (file, text) in texts(&["src"]) {
        let said: Vec<String> = text
            .lines()
            .map(|line| {
                if line.trim_start().starts_with("//") {
                    return line.to_owned();
                }
                let texts = text_in_quotes.find_iter(line).map(|found| found.as_str());
                texts.collect::<Vec<_>>().join(" ")
            })
            .collect();
        found.extend(lines_with(&pattern, &file, &said.join("\n")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// "Address" alone may be an email address, an IP address or a URL: a user must not have to guess.
/// Variables of templates and keys of the catalogues are not shown to users.
#[test]
fn mails_and_pages_name_the_kind_of_an_address() {
    let languages = [
        ("en", r"(?i)\baddress", r"(?i)\b(email|IP) address(es)?\b"),
        ("de", r"(?i)adresse", r"\b(E-Mail|IP)-Adressen?\b"),
        (
            "es",
            r"(?i)\bdirecci[óo]n",
            r"(?i)\bdirecci(ón|ones) (de correo electrónico|IP)\b",
        ),
    ];
    let shown = Regex::new(r"\{\{.*?\}\}|\{%.*?%\}").unwrap();
    let mut strings = 0;
    for (language, bare, named) in languages {
        let (bare, named) = (Regex::new(bare).unwrap(), Regex::new(named).unwrap());
        let mut check = |place: &str, text: &str| {
            strings += 1;
            let rest = named.replace_all(text, "");
            assert!(!bare.is_match(&rest), "{place}: a bare address in {text:?}");
        };
        let catalogue = format!("templates/words/{language}.json");
        let json = std::fs::read_to_string(&catalogue).unwrap();
        let words: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&json).unwrap();
        for (key, text) in &words {
            check(&format!("{catalogue}: {key}"), text);
        }
        if language == "en" {
            for (file, text) in texts(&["templates"]) {
                if !file.starts_with("templates/words/") {
                    for line in shown.replace_all(&text, "").lines() {
                        check(&file, line);
                    }
                }
            }
        }
    }
    assert!(strings > 600, "{strings}");
}

#[test]
fn a_mail_is_written_in_whole_sentences_about_a_link() {
    let json = std::fs::read_to_string("templates/words/en.json").unwrap();
    let words: std::collections::BTreeMap<String, String> = serde_json::from_str(&json).unwrap();
    let mails: Vec<_> = words
        .iter()
        .filter(|(key, _)| key.starts_with("mail."))
        .collect();
    assert!(mails.len() >= 50, "{}", mails.len());
    for (key, text) in mails {
        for vague in ["good for", "hopefully", "do nothing", "perhaps you"] {
            assert!(!text.contains(vague), "{key} says {vague:?}");
        }
        let part = key.rsplit('.').next().unwrap_or_default();
        let is_sentence = ["words", "after"].contains(&part);
        assert!(!is_sentence || text.ends_with('.'), "{key}: {text:?}");
    }
    let template = std::fs::read_to_string("templates/mail/mail.txt").unwrap();
    let (link, lifetime) = (
        template.find("{{ w.link }}"),
        template.find("{{ t.link_lifetime }}"),
    );
    assert!(
        link.is_some() && link < lifetime,
        "a link without the time that it works for"
    );
    assert!(words["mail.link_lifetime"].contains("{time}"));
}

/// A documented item: its file and line, its rustdoc, and the line that declares it.
struct Documented {
    place: String,
    doc: Vec<String>,
    item: String,
}

/// Returns every item of `src` that has rustdoc, without unit tests, which stand last in a file.
fn documented() -> Vec<Documented> {
    let mut found = Vec::new();
    for (file, text) in texts(&["src"]) {
        let lines: Vec<&str> = super::production(&text).lines().map(str::trim).collect();
        let mut at = 0;
        while at < lines.len() {
            let begin = at;
            while at < lines.len() && lines[at].starts_with("///") {
                at += 1;
            }
            if at == begin {
                at += 1;
                continue;
            }
            let doc = &lines[begin..at];
            let mut open = 0;
            while at < lines.len() && (open > 0 || lines[at].starts_with("#[")) {
                open += lines[at].matches('[').count();
                open -= lines[at].matches(']').count().min(open);
                at += 1;
            }
            found.push(Documented {
                place: format!("{file}:{}", begin + 1),
                doc: doc.iter().map(|l| l[3..].trim().to_owned()).collect(),
                item: lines.get(at).unwrap_or(&"").to_string(),
            });
        }
    }
    found
}

static FUNCTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(pub(\([^)]*\))? )?((const|async|unsafe) )*fn ").unwrap());

/// A doc of three words repeats the name of its item. Free of the rule: variants, whose name is the
/// situation; docs that only name a setting, a claim or a variable (`` `[mail]` ``); and the help of
/// the command line, in which `clap` prints the name of the argument beside it.
#[test]
fn a_function_a_field_or_a_constant_is_described_in_four_words_or_more() {
    let field = Regex::new(r"^(pub(\([^)]*\))? )?[a-z_]+: ").unwrap();
    let constant = Regex::new(r"^(pub(\([^)]*\))? )?(const|static|type) ").unwrap();
    let name = Regex::new(r"^`[^`]+`\.?$").unwrap();
    let mut seen = 0;
    let mut short = Vec::new();
    for Documented { place, doc, item } in documented() {
        let is_help = place.starts_with("src/cli/") && field.is_match(&item);
        let counts = FUNCTION.is_match(&item) || field.is_match(&item) || constant.is_match(&item);
        if !counts || is_help || doc.len() > 1 || name.is_match(&doc[0]) {
            continue;
        }
        seen += 1;
        if doc[0].split_whitespace().count() < 4 {
            short.push(format!("{place}: {:?} for {item}", doc[0]));
        }
    }
    assert!(seen > 1_000, "{seen} docs were found");
    assert!(short.is_empty(), "{}", short.join("\n"));
}

/// `Returns`, `Checks`, `Revokes`: the verb says whether a function asks, decides or acts.
#[test]
fn the_first_word_about_a_function_is_a_verb() {
    let verb = Regex::new(r"^[A-Z][a-z]*(s|es)\b").unwrap();
    let (mut seen, mut others) = (0, Vec::new());
    for Documented { place, doc, item } in documented() {
        if !FUNCTION.is_match(&item) {
            continue;
        }
        seen += 1;
        if !verb.is_match(&doc[0]) {
            others.push(format!("{place}: {:?} for {item}", doc[0]));
        }
    }
    assert!(seen > 800, "{seen} functions were found");
    assert!(others.is_empty(), "{}", others.join("\n"));
}

/// The lists find what they are made for.
#[test]
fn the_patterns_find_the_words_and_nothing_else() {
    let vague = pattern(VAGUE);
    for bad in [
        "// Nobody waits",
        "fn lets_nobody_in()",
        "who did it of late",
        "WORTH NOTHING",
        "(whoever)",
    ] {
        assert!(vague.is_match(bad), "{bad}");
    }
    for good in ["no body", "of later", "everybody", "anybodyx", "Somebodys"] {
        assert!(!vague.is_match(good), "{good}");
    }
    assert!(Path::new("templates/words/en.json").exists());
}
