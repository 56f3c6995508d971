//! Settings as text: file, then environment, then flags, the later wins. A `Reader` hands them out
//! one by one, typed, and notes what is wrong; what was asked for by no part of the program does
//! not exist and is refused, with the name that was probably meant.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};

use super::environment::{self, Variable};
use super::{Effective, Problem, mask, secret_file, text};

/// Where settings come from; `main` fills it from the process, tests by hand.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`, or `COUNTERSIGN_CONFIG`; else `countersign.toml`, if there is one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// `--set section.key=value`
    pub flags: Vec<(String, String)>,
}

struct Entry {
    text: Text,
    source: &'static str,
    asked: bool,
    /// Whether it stood in a file of its own.
    in_file: bool,
    /// The variable that it came from, if that has the form of one that a platform makes.
    platform: Option<String>,
}

enum Text {
    One(String),
    Many(Vec<String>),
}

/// Hands out typed settings and remembers every problem.
pub(super) struct Reader {
    entries: BTreeMap<String, Entry>,
    known: Vec<String>,
    unused_variables: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    pub(super) effective: Vec<Effective>,
}

const DEFAULT_FILE: &str = "countersign.toml";
/// Settings that may stand in a file of their own, which `<setting>_file` names.
const IN_FILES: [&str; 6] = [
    "database.url",
    "database.direct_url",
    "mail.smtp_url",
    "traces.otlp_url",
    "webhooks.secret",
    "webhooks.url",
];

impl Reader {
    pub(super) fn gather(sources: &Sources) -> Self {
        let mut reader = Self {
            entries: BTreeMap::new(),
            known: Vec::new(),
            unused_variables: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            effective: Vec::new(),
        };
        reader.take_file(sources.file.as_ref());
        for (name, value) in &sources.environment {
            if name == "DATABASE_URL" && !value.is_empty() {
                reader.put(
                    "database.url".into(),
                    Text::One(value.clone()),
                    "environment",
                );
            }
        }
        for (name, value) in &sources.environment {
            match environment::classify(name) {
                Variable::Setting { key, platform } => {
                    reader.put(key.clone(), Text::One(value.clone()), "environment");
                    if let Some(entry) = reader.entries.get_mut(&key).filter(|_| platform) {
                        entry.platform = Some(name.clone());
                    }
                }
                Variable::Unknown => reader.unused_variables.push(name.clone()),
                Variable::Other => {}
            }
        }
        for (key, value) in &sources.flags {
            reader.put(key.clone(), Text::One(value.clone()), "flag");
        }
        reader
    }

    fn take_file(&mut self, file: Option<&PathBuf>) {
        let path = file.cloned().unwrap_or_else(|| DEFAULT_FILE.into());
        if !path.exists() {
            if file.is_some() {
                self.problem(&path.display().to_string(), "there is no such file".into());
            }
            return;
        }
        let read: Result<Dict, _> = Figment::from(Toml::file_exact(&path)).extract();
        match read {
            Ok(dict) => self.flatten("", dict),
            Err(errors) => errors
                .into_iter()
                .for_each(|e| self.problem(&path.display().to_string(), e.to_string())),
        }
    }

    fn flatten(&mut self, prefix: &str, dict: Dict) {
        for (name, value) in dict {
            let key = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                Value::Dict(_, inner) => self.flatten(&key, inner),
                Value::Array(_, items) => {
                    let items = items.iter().filter_map(plain).collect();
                    self.put(key, Text::Many(items), "file");
                }
                other => match plain(&other) {
                    Some(text) => self.put(key, Text::One(text), "file"),
                    None => self.problem(
                        &key,
                        "write a text, a number, true or false, or a list".into(),
                    ),
                },
            }
        }
    }

    fn put(&mut self, key: String, text: Text, source: &'static str) {
        let setting = IN_FILES
            .iter()
            .find(|name| key.strip_suffix("_file") == Some(name));
        let (key, text, in_file) = match (setting, text) {
            (Some(setting), Text::One(path)) => match secret_file::read(path.as_ref()) {
                Ok(text) => ((*setting).to_owned(), Text::One(text.to_string()), true),
                Err(error) => return self.problem(&key, error.to_string()),
            },
            (_, text) => (key, text, false),
        };
        if self
            .entries
            .get(&key)
            .is_some_and(|entry| entry.source == source && entry.in_file != in_file)
        {
            self.problem(
                &key,
                format!("{key} and {key}_file are both set; set one of them"),
            );
        }
        self.entries.insert(
            key,
            Entry {
                text,
                source,
                asked: false,
                in_file,
                platform: None,
            },
        );
    }

    pub(super) fn problem(&mut self, key: &str, message: String) {
        self.problems.push(Problem {
            key: key.to_owned(),
            message,
        });
    }

    fn ask(&mut self, key: &str) -> Option<(&Text, &'static str)> {
        self.known.push(key.to_owned());
        let entry = self.entries.get_mut(key)?;
        entry.asked = true;
        Some((&entry.text, entry.source))
    }

    /// A setting of one value; `parse` says what is wrong with it.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, source) = match self.ask(key) {
            None => (default.to_owned(), "default"),
            Some((Text::One(text), source)) => (text.clone(), source),
            Some((Text::Many(_), _)) => {
                self.problem(
                    key,
                    text::with_example(key, default, "takes one value, not a list".into()),
                );
                return None;
            }
        };
        self.show(key, &text, source);
        let outcome = text::check(&text).and_then(|()| parse(&text));
        outcome
            .map_err(|message| self.problem(key, text::with_example(key, default, message)))
            .ok()
    }

    /// The text of a setting of one value.
    pub(super) fn text_of(&self, key: &str) -> Option<String> {
        match self.entries.get(key).map(|entry| &entry.text) {
            Some(Text::One(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// Whether the operator has said anything about it.
    pub(super) fn was_set(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// A text that only [`text::check`] holds to anything: what it means is checked by the caller.
    pub(super) fn text(&mut self, key: &str, default: &str) -> String {
        self.parsed(key, default, |t| Ok(t.to_owned()))
            .unwrap_or_default()
    }

    /// A file or a folder. Where the default is one, it must be named.
    pub(super) fn path(&mut self, key: &str, default: &str) -> Option<PathBuf> {
        let parse = |t: &str| {
            if t.is_empty() && !default.is_empty() {
                Err("name a path".to_owned())
            } else {
                Ok(t.to_owned())
            }
        };
        self.parsed(key, default, parse)
            .filter(|path| !path.is_empty())
            .map(Into::into)
    }

    /// A value that reads itself from text.
    pub(super) fn value<T: FromStr>(&mut self, key: &str, default: &str, what: &str) -> Option<T> {
        self.parsed(key, default, |t| {
            t.parse().map_err(|_| format!("{t:?} is not {what}"))
        })
    }

    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        self.value(key, if default { "true" } else { "false" }, "true or false")
            .unwrap_or(default)
    }

    pub(super) fn number(
        &mut self,
        key: &str,
        default: u32,
        range: std::ops::RangeInclusive<u32>,
    ) -> u32 {
        let (low, high) = (*range.start(), *range.end());
        let parse = |t: &str| {
            t.parse()
                .ok()
                .filter(|n| range.contains(n))
                .ok_or_else(|| format!("{t:?} is not a whole number from {low} to {high}"))
        };
        self.parsed(key, &default.to_string(), parse)
            .unwrap_or(default)
    }

    /// A duration such as `15m`, `7d` or `90s`, within bounds.
    pub(super) fn duration(
        &mut self,
        key: &str,
        default: &str,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Duration {
        let parse = |t: &str| {
            let parsed = humantime::parse_duration(t)
                .map_err(|_| format!("{t:?} is not a duration such as 15m, 7d or 90s"))?;
            let written = |d: Duration| humantime::format_duration(d).to_string();
            if range.contains(&parsed) {
                Ok(parsed)
            } else {
                Err(format!(
                    "{t} is outside {} to {}",
                    written(*range.start()),
                    written(*range.end())
                ))
            }
        };
        // A default keeps one mistake from looking like two.
        self.parsed(key, default, parse)
            .or_else(|| humantime::parse_duration(default).ok())
            .unwrap_or(*range.start())
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, options: &[(&str, T)]) -> T {
        let parse = |t: &str| {
            let names: Vec<&str> = options.iter().map(|(name, _)| *name).collect();
            options
                .iter()
                .find(|(name, _)| *name == t)
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("{t:?} is none of {}", names.join(", ")))
        };
        self.parsed(key, options[0].0, parse)
            .unwrap_or(options[0].1)
    }

    /// A list; in the environment and in flags it is comma-separated.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let (items, source) = match self.ask(key) {
            None => (Vec::new(), "default"),
            Some((Text::Many(items), source)) => (items.clone(), source),
            Some((Text::One(text), source)) => {
                let (text, is_whole) = (text.clone(), text::characters(text));
                if let Err(message) = is_whole.and_then(|()| text::ends(&text)) {
                    self.problem(key, text::with_example(key, "", message));
                    return Vec::new();
                }
                (
                    text.split(',')
                        .map(|t| t.trim().to_owned())
                        .filter(|t| !t.is_empty())
                        .collect(),
                    source,
                )
            }
        };
        self.show(key, &items.join(","), source);
        let check = |item: &String| {
            text::check(item).and_then(|()| parse(item).map_err(|m| format!("{item:?}: {m}")))
        };
        let parsed: Vec<_> = items.iter().map(check).collect();
        parsed
            .into_iter()
            .filter_map(|item| {
                item.map_err(|m| self.problem(key, text::with_example(key, "", m)))
                    .ok()
            })
            .collect()
    }

    /// The names that the operator chose under a section such as `roles`; `check` says what is
    /// wrong with one.
    pub(super) fn names_under(
        &mut self,
        section: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Vec<String> {
        let prefix = format!("{section}.");
        let names: Vec<String> = self
            .entries
            .keys()
            .filter_map(|k| k.strip_prefix(&prefix))
            .map(ToOwned::to_owned)
            .collect();
        let mut good = Vec::new();
        for name in names {
            match text::check(&name).and_then(|()| check(&name)) {
                Ok(()) => good.push(name),
                Err(message) => {
                    let key = format!("{prefix}{name}");
                    // Refused for its form, not for being unknown.
                    if let Some(entry) = self.entries.get_mut(&key) {
                        entry.asked = true;
                    }
                    self.problem(&key, text::with_example(&key, "", message));
                }
            }
        }
        good
    }

    /// What `config show` prints of it.
    fn show(&mut self, key: &str, value: &str, source: &'static str) {
        self.effective.push(Effective {
            key: key.to_owned(),
            value: mask::setting(key, value),
            source,
        });
    }

    /// Refuses every setting that does not exist, and says which variables are not used.
    pub(super) fn refuse_unknown(&mut self) {
        let unknown: Vec<(String, Option<String>)> = self
            .entries
            .iter()
            .filter(|(_, e)| !e.asked)
            .map(|(key, e)| (key.clone(), e.platform.clone()))
            .collect();
        for (key, platform) in unknown {
            if let Some(variable) = platform {
                self.unused_variables.push(variable);
                continue;
            }
            let nearest = environment::nearest(&key, &self.known, |name| name);
            let message = nearest.map_or_else(
                || "there is no such setting".into(),
                |near| format!("there is no such setting; did you mean {near}?"),
            );
            self.problem(&key, message);
        }
        self.warnings
            .extend(environment::warnings(&self.unused_variables, &self.known));
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, c) => Some(c.to_string()),
        Value::Bool(_, b) => Some(b.to_string()),
        Value::Num(_, n) => n
            .to_u128()
            .map(|n| n.to_string())
            .or_else(|| n.to_i128().map(|n| n.to_string()))
            .or_else(|| n.to_f64().map(|n| n.to_string())),
        Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
    }
}
