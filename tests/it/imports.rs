//! What each file of `src/` imports from which other file, read from the sources: `use` trees and
//! paths in the code, with names that a `mod.rs` passes on (`pub use`) followed to their file.

use std::collections::{BTreeMap, BTreeSet};

/// A module as the parts of its path, without `crate`.
pub type Module = Vec<String>;

/// The modules of the sources and their imports.
pub struct Imports {
    /// Which modules each one imports, inside its own layer, without the modules below itself: the
    /// `mod.rs` of a folder declares what stands in the folder.
    pub of: BTreeMap<Module, BTreeSet<Module>>,
}

impl Imports {
    /// Reads the sources: the path below `src/` and the text without tests of each file.
    pub fn read(sources: &[(String, String)]) -> Self {
        let modules: BTreeMap<Module, String> = sources
            .iter()
            .map(|(file, text)| (module_of(file), without_comments(text)))
            .collect();
        let uses: BTreeMap<&Module, Vec<Vec<String>>> = modules
            .iter()
            .map(|(module, text)| (module, paths(text)))
            .collect();
        let mut passed_on = BTreeMap::new();
        for (module, used) in &uses {
            for path in used {
                if let (Some(found), Some(name)) = (absolute(module, path, &modules), path.last()) {
                    passed_on.insert(((*module).clone(), name.clone()), found);
                }
            }
        }
        let mut of = BTreeMap::new();
        for (module, used) in uses {
            let found: BTreeSet<Module> = used
                .iter()
                .filter_map(|path| absolute(module, path, &modules))
                .filter_map(|path| home_of(&path, &modules, &passed_on, 0))
                .filter(|other| other.first() == module.first() && !other.starts_with(module))
                .collect();
            of.insert(module.clone(), found);
        }
        Self { of }
    }

    /// The circles: groups of modules each of which imports, by way of others, every one of them.
    pub fn circles(&self) -> Vec<BTreeSet<Module>> {
        let reach: BTreeMap<&Module, BTreeSet<&Module>> = self
            .of
            .keys()
            .map(|module| (module, self.reached_from(module)))
            .collect();
        let mut circles = BTreeSet::new();
        for (module, reached) in &reach {
            if reached.contains(*module) {
                let circle: BTreeSet<Module> = reached
                    .iter()
                    .filter(|other| reach.get(**other).is_some_and(|r| r.contains(*module)))
                    .map(|other| (*other).clone())
                    .collect();
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reached_from<'a>(&'a self, module: &Module) -> BTreeSet<&'a Module> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&Module> = self.of.get(module).into_iter().flatten().collect();
        while let Some(one) = next.pop() {
            if reached.insert(one) {
                next.extend(self.of.get(one).into_iter().flatten());
            }
        }
        reached
    }
}

fn module_of(file: &str) -> Module {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(ToOwned::to_owned).collect()
}

fn without_comments(text: &str) -> String {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    code.join("\n")
}

/// Every path that the text names: those of its `use` trees, and those in its code that begin with
/// `crate`, `super` or `self`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let statement = regex::Regex::new(r"(?m)^\s*(?:pub(?:\([a-z: ]+\))? )?use ([^;]+);").unwrap();
    let inline = regex::Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").unwrap();
    let token = regex::Regex::new(r"\w+|\*|\{|\}|,").unwrap();
    let mut found = Vec::new();
    for tree in statement.captures_iter(text) {
        let mut tokens = token.find_iter(&tree[1]).map(|t| t.as_str()).peekable();
        expand(&mut tokens, &[], &mut found);
    }
    let code = statement.replace_all(text, "");
    for path in inline.find_iter(&code) {
        found.push(path.as_str().split("::").map(ToOwned::to_owned).collect());
    }
    found
}

/// Reads one branch of a `use` tree, and everything behind its opening brace.
fn expand<'t>(
    tokens: &mut std::iter::Peekable<impl Iterator<Item = &'t str>>,
    above: &[String],
    found: &mut Vec<Vec<String>>,
) {
    let mut path = above.to_vec();
    while let Some(token) = tokens.next() {
        match token {
            "{" => {
                while tokens.peek().is_some_and(|token| *token != "}") {
                    expand(tokens, &path, found);
                }
                tokens.next();
                if tokens.peek() == Some(&",") {
                    tokens.next();
                }
                return;
            }
            "," => break,
            "as" => drop(tokens.next()),
            "self" if !path.is_empty() => {}
            part => path.push(part.to_owned()),
        }
        if tokens.peek() == Some(&"}") {
            break;
        }
    }
    found.push(path);
}

/// The path from the root of the crate; `None` for one that leads out of it.
fn absolute(
    module: &Module,
    path: &[String],
    modules: &BTreeMap<Module, String>,
) -> Option<Module> {
    let mut base = module.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop()?;
                rest = &rest[1..];
            }
        }
        first => {
            let below = [module.as_slice(), &[first.to_owned()]].concat();
            modules.contains_key(&below).then_some(())?;
        }
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The module that a path leads into, by way of what a `mod.rs` passes on.
fn home_of(
    path: &[String],
    modules: &BTreeMap<Module, String>,
    passed_on: &BTreeMap<(Module, String), Module>,
    depth: u32,
) -> Option<Module> {
    let length = (1..=path.len())
        .rev()
        .find(|n| modules.contains_key(&path[..*n]))?;
    let module = path[..length].to_vec();
    let Some(name) = path.get(length).filter(|_| depth < 6) else {
        return Some(module);
    };
    match passed_on.get(&(module.clone(), name.clone())) {
        Some(onward) if onward != path => {
            let further = [onward.as_slice(), &path[length + 1..]].concat();
            home_of(&further, modules, passed_on, depth + 1)
        }
        _ => Some(module),
    }
}

#[test]
fn a_circle_of_imports_is_found_through_trees_and_names_that_are_passed_on() {
    let source = |file: &str, text: &str| (file.to_owned(), text.to_owned());
    let sources = [
        source("a/mod.rs", "pub mod x;\nmod y;\npub use self::y::Deep;"),
        source("a/x.rs", "use crate::a::{Deep, z::{self, Other}};"),
        source("a/y.rs", "use super::z;\nuse std::fmt;"),
        source("a/z.rs", "fn f() -> super::x::T {}"),
        source("b.rs", "use crate::a::x;"),
    ];
    let imports = Imports::read(&sources);
    let module = |path: &str| module_of(path);
    let expected = [module("a/y"), module("a/z")];
    assert_eq!(imports.of[&module("a/x")], BTreeSet::from(expected));
    assert!(imports.of[&module("b")].is_empty(), "another layer");
    let circle = ["a/x", "a/y", "a/z"].map(module);
    assert_eq!(imports.circles(), [BTreeSet::from(circle)]);
}
