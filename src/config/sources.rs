//! The texts of settings as the operator wrote them: file, then environment, then flags; a later
//! source overrides an earlier one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};

use super::Problem;
use super::environment::{self, Variable};
use super::secret_file;

const DEFAULT_FILE: &str = "countersign.toml";

/// Settings that can be read from a file of their own, which `<setting>_file` names.
const IN_FILES: [&str; 8] = [
    "database.url",
    "database.direct_url",
    "mail.smtp_url",
    "passwords.pepper",
    "traces.otlp_url",
    "webhooks.previous_secret",
    "webhooks.secret",
    "webhooks.url",
];

/// Returns whether a setting can be read from a file of its own.
fn may_be_in_file(key: &str) -> bool {
    IN_FILES.contains(&key) || key.starts_with("upstream.") && key.ends_with(".client_secret")
}

/// The sources of settings; `cli` fills them from the process, tests by hand.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`, or `COUNTERSIGN_CONFIG`; otherwise `countersign.toml`, if it exists.
    pub file: Option<PathBuf>,
    /// The variables of the environment.
    pub environment: Vec<(String, String)>,
    /// The flags `--set section.key=value`.
    pub flags: Vec<(String, String)>,
}

pub(super) struct Entry {
    pub(super) text: Text,
    pub(super) source: &'static str,
    pub(super) asked: bool,
    /// Whether it was read from a file of its own.
    pub(super) in_file: bool,
    /// The folder of the settings file, if it stands there.
    pub(super) folder: Option<PathBuf>,
    /// The variable that it came from, if its name is of a form that a platform sets.
    pub(super) platform: Option<String>,
}

pub(super) enum Text {
    One(String),
    Many(Vec<String>),
}

/// The texts of all sources, and what was wrong with them already.
pub(super) struct Gathered {
    folder: PathBuf,
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) unused_variables: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

impl Gathered {
    pub(super) fn of(sources: &Sources) -> Self {
        let mut gathered = Self {
            folder: PathBuf::new(),
            entries: BTreeMap::new(),
            unused_variables: Vec::new(),
            problems: Vec::new(),
        };
        gathered.take_file(sources.file.as_ref());
        for (name, value) in &sources.environment {
            if name == "DATABASE_URL" && !value.is_empty() {
                gathered.put(
                    "database.url".into(),
                    Text::One(value.clone()),
                    "environment",
                );
            }
        }
        for (name, value) in &sources.environment {
            match environment::classify(name) {
                Variable::Setting { key, platform } => {
                    gathered.put(key.clone(), Text::One(value.clone()), "environment");
                    if let Some(entry) = gathered.entries.get_mut(&key).filter(|_| platform) {
                        entry.platform = Some(name.clone());
                    }
                }
                Variable::Unknown => gathered.unused_variables.push(name.clone()),
                Variable::Other => {}
            }
        }
        for (key, value) in &sources.flags {
            gathered.put(key.clone(), Text::One(value.clone()), "flag");
        }
        gathered
    }

    fn problem(&mut self, key: &str, message: String) {
        self.problems.push(Problem {
            key: key.to_owned(),
            message,
        });
    }

    fn take_file(&mut self, file: Option<&PathBuf>) {
        let path = file.cloned().unwrap_or_else(|| DEFAULT_FILE.into());
        if !path.exists() {
            if file.is_some() {
                self.problem(&path.display().to_string(), "there is no such file".into());
            }
            return;
        }
        self.folder = path.parent().map(Path::to_owned).unwrap_or_default();
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
                Value::Array(_, items) if key == "audiences" => self.flatten_named(&key, items),
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

    /// Takes a list of tables, each under its own `name`.
    fn flatten_named(&mut self, prefix: &str, items: Vec<Value>) {
        for (at, item) in items.into_iter().enumerate() {
            let Some(Value::String(_, name)) = item.find_ref("name") else {
                let which = format!("{prefix}[{at}]");
                self.problem(
                    &which,
                    "write [[audiences]] with a name, such as name = \"billing\"".into(),
                );
                continue;
            };
            let name = name.clone();
            let key = format!("{prefix}.{name}");
            let of_it = format!("{key}.");
            if name.contains('.') {
                self.problem(&key, "the name of an audience has no dot".into());
            } else if self.entries.keys().any(|known| known.starts_with(&of_it)) {
                self.problem(&key, format!("two audiences have the name {name:?}"));
            } else if let Value::Dict(_, mut inner) = item {
                inner.remove("name");
                // An audience that says nothing but its name exists, too.
                self.put(format!("{key}.audience"), Text::One(name.clone()), "file");
                self.flatten(&key, inner);
            }
        }
    }

    fn put(&mut self, key: String, text: Text, source: &'static str) {
        let setting = key.strip_suffix("_file").filter(|key| may_be_in_file(key));
        let setting = setting.map(str::to_owned);
        // A path in the settings file is relative to that file.
        let folder = (source == "file").then(|| self.folder.clone());
        let (key, text, in_file) = match (setting, text) {
            (Some(setting), Text::One(path)) => {
                match secret_file::read(&folder.clone().unwrap_or_default().join(path)) {
                    Ok(text) => (setting, Text::One(text.to_string()), true),
                    Err(error) => return self.problem(&key, error.to_string()),
                }
            }
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
                folder,
                platform: None,
            },
        );
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
