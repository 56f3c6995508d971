//! The documents for contributors name files and folders; each must exist, so that moving a file
//! without them fails.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

const DOCUMENTS: [&str; 10] = [
    "CONTRIBUTING.md",
    "README.md",
    "clients/web/README.md",
    "docs/README.md",
    "docs/architecture.md",
    "docs/clients.md",
    "docs/command-line.md",
    "docs/glossary.md",
    "docs/replicas.md",
    "docs/style.md",
];

static SPAN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`([^`\s]+)`").unwrap());
static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)#:]+)(?:#[^)]*)?\)").unwrap());
static PATH: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\w.*{},-]+(/[\w.*{},-]*)+$").unwrap());

/// Returns the paths that a document names: code spans whose first part is a folder of the
/// repository or of `src/`, and links without a scheme.
fn named_paths(document: &str, text: &str) -> Vec<String> {
    let folder = Path::new(document).parent().unwrap();
    let links = LINK
        .captures_iter(text)
        .map(|found| folder.join(&found[1]).display().to_string());
    SPAN.captures_iter(text)
        .map(|found| found[1].to_owned())
        .filter(|name| is_a_path(name))
        .flat_map(|name| alternatives(&name))
        .chain(links)
        .collect()
}

fn is_a_path(name: &str) -> bool {
    let Some((first, _)) = name.split_once('/') else {
        return false;
    };
    PATH.is_match(name) && (Path::new(first).is_dir() || Path::new("src").join(first).is_dir())
}

/// Returns `a/x` and `a/y` for `a/{x,y}`.
fn alternatives(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else {
        return vec![name.to_owned()];
    };
    let (inside, after) = rest.split_once('}').expect("a brace is closed");
    inside
        .split(',')
        .flat_map(|each| alternatives(&format!("{before}{each}{after}")))
        .collect()
}

/// Returns whether the path exists in the repository or below `src/`. A star stands for any name,
/// so that the folder before it must exist.
fn exists(path: &str) -> bool {
    let known = path.split_once('*').map_or(path, |(folder, _)| folder);
    Path::new(known).exists() || Path::new("src").join(known).exists()
}

#[test]
fn every_path_that_the_documents_name_exists() {
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(document).unwrap();
        let paths = named_paths(document, &text);
        let missing: Vec<_> = paths.iter().filter(|path| !exists(path)).collect();
        assert!(missing.is_empty(), "{document} names {missing:?}");
        assert!(!paths.is_empty(), "{document}: no path was found");
    }
}

/// The recipes say which test fails for what has been forgotten.
#[test]
fn every_test_that_the_guide_names_exists() {
    let code = crate::architecture::rust_code("tests") + &crate::architecture::rust_code("src");
    let guide = std::fs::read_to_string("CONTRIBUTING.md").unwrap();
    // A name of at least four words is a test's.
    let test = Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let mut names = 0;
    for found in test.captures_iter(&guide) {
        let name = &found[1];
        assert!(
            code.contains(&format!("fn {name}(")),
            "there is no test {name}"
        );
        names += 1;
    }
    assert!(names >= 10, "{names} tests are named");
}

/// Returns the lines of the blocks in this language, whatever their mark, with their numbers.
fn block_lines<'a>(language: &str, text: &'a str) -> Vec<(usize, &'a str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(name) => {
                inside = !inside && name.split_whitespace().next() == Some(language);
            }
            None if inside => found.push((number + 1, line)),
            None => {}
        }
    }
    found
}

/// An interactive zsh takes `#` and what follows it for arguments.
#[test]
fn the_shell_blocks_of_the_readmes_can_be_pasted_into_zsh() {
    let comment = Regex::new(r"(^|\s)#").unwrap();
    assert!(comment.is_match("cargo run --release      # serves"));
    let guides = std::fs::read_dir("docs/guides").unwrap();
    let guides = guides.map(|entry| entry.unwrap().path().display().to_string());
    let readmes = [
        "README.md",
        "clients/web/README.md",
        "docs/replicas.md",
        "examples/spa-fastapi/README.md",
    ];
    for document in readmes.map(ToOwned::to_owned).into_iter().chain(guides) {
        let text = std::fs::read_to_string(&document).unwrap();
        let lines = block_lines("sh", &text);
        assert!(
            !lines.is_empty() || document.starts_with("docs/guides/"),
            "{document}: no block was found"
        );
        for (number, line) in lines {
            assert!(!comment.is_match(line), "{document}:{number}: {line}");
        }
    }
}

#[test]
fn the_readme_names_the_oldest_rust_that_works() {
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap();
    let version = Regex::new(r#"(?m)^rust-version = "([0-9.]+)"$"#).unwrap();
    let oldest = &version.captures(&manifest).unwrap()[1];
    let readme = std::fs::read_to_string("README.md").unwrap();
    let named = Regex::new(r"Rust ([0-9.]+) or newer").unwrap();
    let named: Vec<_> = named.captures_iter(&readme).collect();
    assert_eq!(named.len(), 1);
    assert_eq!(&named[0][1], oldest);
}

#[test]
fn a_path_that_does_not_exist_is_found() {
    let text = "`src/no_such_file.rs`, `tests/{all,no_such}.sh`, [gone](docs/gone.md#part), \
                `GET /tests/none`, `http/*`, [there](README.md), <https://example.com/src/x>";
    let mut missing = named_paths("README.md", text);
    assert_eq!(missing.len(), 6, "{missing:?}");
    missing.retain(|path| !exists(path));
    assert_eq!(
        missing,
        ["src/no_such_file.rs", "tests/no_such.sh", "docs/gone.md"]
    );
}
