//! Reads settings one by one, typed, and records problems. A setting that no part of the program
//! reads does not exist and is refused, with the name that was probably meant. `sources` collects
//! the texts.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::effective::{Became, Effective};
use super::sources::{Entry, Gathered, Sources, Text};
use super::{Problem, environment, mask, text};

/// Settings of earlier releases, each with what took its place.
const MOVED: [(&str, &str); 1] = [(
    "sessions.admin_fresh_for",
    "write policies.admin.fresh_for, or policies.ROLE.fresh_for for another role",
)];

/// Reads typed settings and collects every problem.
pub(super) struct Reader {
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) known: Vec<String>,
    pub(super) unused_variables: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// Defaults of the profile, in place of those of the program.
    presets: &'static [(&'static str, &'static str)],
    pub(super) effective: Vec<Effective>,
}

impl Reader {
    pub(super) fn gather(sources: &Sources) -> Self {
        let Gathered {
            entries,
            unused_variables,
            problems,
            ..
        } = Gathered::of(sources);
        Self {
            entries,
            known: Vec::new(),
            unused_variables,
            problems,
            warnings: Vec::new(),
            presets: &[],
            effective: Vec::new(),
        }
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

    /// Puts these defaults in the place of those of the program.
    pub(super) fn preset(&mut self, presets: &'static [(&'static str, &'static str)]) {
        self.presets = presets;
    }

    fn default_of(&self, key: &str, default: &str) -> (String, &'static str) {
        match self.presets.iter().find(|(name, _)| *name == key) {
            Some((_, preset)) => ((*preset).to_owned(), "profile"),
            None => (default.to_owned(), "default"),
        }
    }

    /// Reads a setting with one value; `parse` returns what is wrong with it.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, source) = match self.ask(key) {
            None => self.default_of(key, default),
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

    /// Returns the text of a setting with one value.
    pub(super) fn text_of(&self, key: &str) -> Option<String> {
        match self.entries.get(key).map(|entry| &entry.text) {
            Some(Text::One(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// Returns whether the operator has set it.
    pub(super) fn was_set(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Reads a text that is only checked by [`text::check`]; the caller checks its meaning.
    pub(super) fn text(&mut self, key: &str, default: &str) -> String {
        self.parsed(key, default, |t| Ok(t.to_owned()))
            .unwrap_or_default()
    }

    /// Reads a value of a type that can be parsed from text.
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

    /// Reads a duration such as `15m`, `7d` or `90s`, within bounds.
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
        // With the default, one mistake is reported once.
        self.parsed(key, default, parse)
            .or_else(|| humantime::parse_duration(default).ok())
            .unwrap_or(*range.start())
    }

    /// Reads one of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, options: &[(&str, T)]) -> T {
        let parse = |t: &str| {
            let names: Vec<&str> = options.iter().map(|(name, _)| *name).collect();
            options
                .iter()
                .find(|(name, _)| *name == t)
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("{t:?} is not one of {}", names.join(", ")))
        };
        self.parsed(key, options[0].0, parse)
            .unwrap_or(options[0].1)
    }

    /// Reads a list; in the environment and in flags it may be comma-separated.
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
                // The quoted items of a file are those of a JSON array.
                let in_brackets = serde_json::from_str::<Vec<String>>(text.trim()).ok();
                let with_commas = || {
                    let items = text.split(',').map(|t| t.trim().to_owned());
                    items.filter(|t| !t.is_empty()).collect()
                };
                (in_brackets.unwrap_or_else(with_commas), source)
            }
        };
        self.show_list(key, &items, source);
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

    /// Records what `config show` prints for a setting.
    fn show(&mut self, key: &str, value: &str, source: &'static str) {
        self.show_masked(key, mask::setting(key, value), source);
    }

    /// Shows a list; each item is masked by itself, because a list of URLs is no URL.
    fn show_list(&mut self, key: &str, items: &[String], source: &'static str) {
        let masked = items.iter().map(|item| mask::setting(key, item));
        self.show_masked(key, masked.collect::<Vec<_>>().join(","), source);
    }

    fn show_masked(&mut self, key: &str, value: String, source: &'static str) {
        self.effective.push(Effective {
            key: key.to_owned(),
            value,
            source,
            became: None,
        });
    }

    /// Records what the value of a setting that was read became, and why.
    pub(super) fn became(&mut self, key: &str, value: &str, reason: &str) {
        let setting = self.effective.iter_mut().rfind(|one| one.key == key);
        if let Some(setting) = setting {
            setting.became = Some(Became {
                value: value.to_owned(),
                reason: reason.to_owned(),
            });
        }
    }

    /// As [`Self::became`], if the setting's value is `written`.
    pub(super) fn became_if(&mut self, key: &str, written: &str, value: &str, reason: &str) {
        let is_so = |one: &Effective| one.key == key && one.value == written;
        if self.effective.iter().rev().any(is_so) {
            self.became(key, value, reason);
        }
    }

    /// Refuses every setting that does not exist, and warns about variables that are not used.
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
            let moved = MOVED.iter().find(|(old, _)| *old == key);
            let nearest = environment::nearest(&key, &self.known, |name| name);
            let message = match (moved, nearest) {
                (Some((_, what)), _) => format!("this setting was replaced: {what}"),
                (None, Some(near)) => format!("there is no such setting; did you mean {near}?"),
                (None, None) => "there is no such setting".into(),
            };
            self.problem(&key, message);
        }
        self.warnings
            .extend(environment::warnings(&self.unused_variables, &self.known));
    }
}
