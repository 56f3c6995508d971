//! The texts of pages and mails by language: flat catalogues of key and text, as JSON. A text that a
//! language lacks is shown in English. A text may contain `{name}` as a placeholder for a value. A text with
//! a number has a key for each plural category of its language: `users.found.one`,
//! `users.found.other`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::numbers::{CATEGORIES, OTHER, category, grouped};
use super::user_agent;

/// The language in which every key has a text.
pub const ENGLISH: &str = "en";

/// The catalogues that are built into the program.
pub const BUILT_IN: [(&str, &str); 3] = [
    (ENGLISH, include_str!("../../../templates/words/en.json")),
    ("de", include_str!("../../../templates/words/de.json")),
    ("es", include_str!("../../../templates/words/es.json")),
];

type Texts = BTreeMap<String, String>;

/// The texts of one language.
#[derive(Debug)]
pub struct Messages {
    language: String,
    texts: Texts,
    english: Option<Arc<Self>>,
}

impl Messages {
    /// Returns the language tag (BCP 47) for the attribute `lang`.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Returns the text of a key in this language or in English; `None` for an unknown key.
    pub fn find(&self, key: &str) -> Option<&str> {
        let own = self.texts.get(key).map(String::as_str);
        own.or_else(|| self.english.as_ref().and_then(|english| english.find(key)))
    }

    /// Returns the text of a key. For an unknown key, returns the key itself.
    pub fn text<'a>(&'a self, key: &'a str) -> &'a str {
        self.find(key).unwrap_or(key)
    }

    /// Returns the text of a key with a value in place of its placeholder.
    pub fn with(&self, key: &str, name: &str, value: &str) -> String {
        self.text(key).replace(&format!("{{{name}}}"), value)
    }

    /// Returns the text of a key with the values in place of their placeholders. What looks like a
    /// placeholder inside a value stays as it is.
    pub fn filled(&self, key: &str, values: &[(&str, &str)]) -> String {
        let mut filled = String::new();
        let mut rest = self.text(key);
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let known = after.split_once('}').and_then(|(name, after)| {
                let (_, value) = values.iter().find(|(known, _)| *known == name)?;
                Some((value, after))
            });
            if let Some((value, after)) = known {
                filled.push_str(value);
                rest = after;
            } else {
                filled.push('{');
                rest = after;
            }
        }
        filled + rest
    }

    /// Returns the device of a user agent in words, such as "Firefox unter Linux"; `None` if nothing
    /// of it is recognised.
    pub fn device(&self, agent: &str) -> Option<String> {
        match user_agent::parts(agent) {
            (Some(browser), Some(system)) => Some(self.filled(
                "device.on",
                &[("browser", browser.as_str()), ("system", system.as_str())],
            )),
            (only, None) | (None, only) => only,
        }
    }

    /// Returns the text of a key for a number, in the plural category that the number takes in the
    /// language of the text; the placeholder `{count}` is still in it.
    pub fn plural<'a>(&'a self, key: &'a str, count: u64) -> &'a str {
        let own = [category(&self.language, count), OTHER]
            .into_iter()
            .find_map(|name| self.texts.get(&format!("{key}.{name}")));
        match (own, &self.english) {
            (Some(text), _) => text,
            (None, Some(english)) => english.plural(key, count),
            (None, None) => key,
        }
    }

    /// Returns the text of a key for a number, with the number in it.
    pub fn counted(&self, key: &str, count: u64) -> String {
        self.plural(key, count)
            .replace("{count}", &self.number(count))
    }

    /// Returns a number as the language writes it.
    pub fn number(&self, number: u64) -> String {
        grouped(&self.language, number)
    }
}

/// Returns whether English has the key, or the same text for another plural category.
fn is_known(english: &Texts, key: &str) -> bool {
    let of_number = key
        .rsplit_once('.')
        .filter(|(_, name)| CATEGORIES.contains(name))
        .is_some_and(|(stem, _)| english.contains_key(&format!("{stem}.{OTHER}")));
    of_number || english.contains_key(key)
}

/// Returns a language tag without its last part, such as `de` for `de-AT`.
fn shorter<'t>(tag: &&'t str) -> Option<&'t str> {
    tag.rsplit_once('-').map(|(rest, _)| rest)
}

/// The catalogues of all languages.
#[derive(Debug, Clone)]
pub struct Locales {
    languages: Arc<[Arc<Messages>]>,
    fallback: Arc<Messages>,
}

impl Locales {
    /// Builds the catalogues from the built-in ones and those of the operator, whose texts take
    /// precedence. Fails if a catalogue is invalid.
    pub fn build(more: &[(String, String)]) -> Result<Self, String> {
        let mut all: BTreeMap<String, Texts> = BTreeMap::new();
        for (language, json) in BUILT_IN
            .iter()
            .map(|(l, j)| (*l, *j))
            .chain(more.iter().map(|(l, j)| (l.as_str(), j.as_str())))
        {
            let texts: Texts =
                serde_json::from_str(json).map_err(|e| format!("{language}.json: {e}"))?;
            all.entry(language.to_owned()).or_default().extend(texts);
        }
        let english = Arc::new(Messages {
            language: ENGLISH.to_owned(),
            texts: all.remove(ENGLISH).unwrap_or_default(),
            english: None,
        });
        if let Some((language, key)) = all.iter().find_map(|(l, texts)| {
            texts
                .keys()
                .find(|k| !is_known(&english.texts, k))
                .map(|k| (l, k))
        }) {
            return Err(format!("{language}.json: the key {key:?} is unknown"));
        }
        let other = |(language, texts)| {
            Arc::new(Messages {
                language,
                texts,
                english: Some(Arc::clone(&english)),
            })
        };
        let languages: Arc<[Arc<Messages>]> = std::iter::once(Arc::clone(&english))
            .chain(all.into_iter().map(other))
            .collect();
        Ok(Self {
            fallback: english,
            languages,
        })
    }

    /// Sets the language for visitors who read none of the languages; English is the default. Fails
    /// if there is no catalogue for it.
    pub fn fall_back_on(self, language: &str) -> Result<Self, String> {
        let found = self
            .languages
            .iter()
            .find(|m| m.language == language)
            .map(Arc::clone);
        found
            .map(|fallback| Self { fallback, ..self })
            .ok_or_else(|| format!("there is no catalogue {language}.json"))
    }

    /// Returns the languages, English first.
    pub fn names(&self) -> Vec<&str> {
        self.languages.iter().map(|m| m.language.as_str()).collect()
    }

    /// Returns the language that a reader prefers among those that there are, by the value of
    /// `Accept-Language` (RFC 9110 section 12.5.4); `None` if the reader names none of them.
    pub fn preferred(&self, accept_language: &str) -> Option<&str> {
        let names = self.names();
        // RFC 4647 section 3.4: `de` also matches `de-AT`.
        let known = |tag: &String| {
            std::iter::successors(Some(tag.as_str()), shorter)
                .find_map(|tag| names.iter().find(|name| tag.eq_ignore_ascii_case(name)))
                .copied()
        };
        let tags = accept_language::parse(accept_language);
        tags.iter().find_map(known)
    }

    /// Returns the catalogue of the language, or of the fallback language.
    pub fn of(&self, language: Option<&str>) -> Arc<Messages> {
        let found =
            language.and_then(|language| self.languages.iter().find(|m| m.language == language));
        Arc::clone(found.unwrap_or(&self.fallback))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_everything_and_names_the_same_values() {
        let placeholders = |text: &str| {
            let mut names: Vec<String> = text
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split_once('}'))
                .map(|(name, _)| name.to_owned())
                .collect();
            names.sort();
            names
        };
        let locales = Locales::build(&[]).unwrap();
        let english = &locales.languages[0];
        for messages in &locales.languages[1..] {
            for (key, text) in &english.texts {
                let own = messages
                    .texts
                    .get(key)
                    .unwrap_or_else(|| panic!("{} lacks {key}", messages.language));
                assert_eq!(
                    placeholders(own),
                    placeholders(text),
                    "{} {key}",
                    messages.language
                );
            }
        }
    }

    #[test]
    fn what_a_text_puts_in_quotes_is_another_text_word_for_word() {
        let locales = Locales::build(&[]).unwrap();
        for messages in locales.languages.iter() {
            let mut found = 0;
            for (key, text) in &messages.texts {
                let quoted = text
                    .split_once(['“', '„', '«', '"'])
                    .and_then(|(_, rest)| rest.split_once(['”', '“', '»', '"']));
                if let Some((quoted, _)) = quoted {
                    let named = messages.texts.values().any(|other| other == quoted);
                    assert!(named, "{} {key}: {quoted}", messages.language);
                    found += 1;
                }
            }
            assert!(found > 0, "{} names a link of a page", messages.language);
        }
    }

    #[test]
    fn an_operator_adds_a_language_and_changes_words() {
        let more = [
            (
                "fr".to_owned(),
                r#"{"sign_in.title":"Connexion"}"#.to_owned(),
            ),
            ("en".to_owned(), r#"{"sign_in.title":"Log in"}"#.to_owned()),
        ];
        let locales = Locales::build(&more).unwrap().fall_back_on("fr").unwrap();
        assert_eq!(locales.of(Some("en")).text("sign_in.title"), "Log in");
        assert_eq!(locales.of(None).text("sign_in.title"), "Connexion");
        assert_eq!(
            locales.of(None).text("sign_up.title"),
            locales.of(Some("en")).text("sign_up.title")
        );
        assert_eq!(locales.of(Some("tlh")).language(), "fr");
        let unknown = [("fr".to_owned(), r#"{"sign_in.titel":"x"}"#.to_owned())];
        assert!(
            Locales::build(&unknown)
                .unwrap_err()
                .contains("sign_in.titel")
        );
        assert!(Locales::build(&[]).unwrap().fall_back_on("fr").is_err());
    }

    #[test]
    fn a_text_with_a_number_follows_the_plural_rules_of_its_language() {
        let more = [
            (
                "en".to_owned(),
                r#"{"x.users.one":"{count} user","x.users.other":"{count} users"}"#.to_owned(),
            ),
            (
                "pl".to_owned(),
                r#"{"x.users.one":"{count} użytkownik","x.users.few":"{count} użytkownicy","x.users.other":"{count} użytkowników"}"#.to_owned(),
            ),
        ];
        let locales = Locales::build(&more).unwrap();
        let said = |language: &str, count| locales.of(Some(language)).counted("x.users", count);
        assert_eq!(said("en", 1), "1 user");
        assert_eq!(said("en", 3_412), "3,412 users");
        assert_eq!(said("pl", 3), "3 użytkownicy");
        assert_eq!(said("pl", 5), "5 użytkowników");
        assert_eq!(said("de", 1), "1 user", "a language without the text");
        let unknown = [("pl".to_owned(), r#"{"x.users.few":"x"}"#.to_owned())];
        assert!(Locales::build(&unknown).is_err());
    }

    #[test]
    fn a_placeholder_gets_its_value_and_languages_are_named_english_first() {
        let more = [(
            "en".to_owned(),
            r#"{"x.greeting":"Hello, {name}: {other}"}"#.to_owned(),
        )];
        let locales = Locales::build(&more).unwrap();
        let english = locales.of(Some("en"));
        let greeting = english.with("x.greeting", "name", "Ana");
        assert_eq!(greeting, "Hello, Ana: {other}");
        let injected = english.filled("x.greeting", &[("name", "{other}"), ("other", "Ana")]);
        assert_eq!(injected, "Hello, {other}: Ana");
        let unknown = english.filled("x.greeting", &[("name", "Ana")]);
        assert_eq!(unknown, "Hello, Ana: {other}");
        assert_eq!(locales.names(), ["en", "de", "es"]);
    }

    #[test]
    fn the_reader_gets_the_first_language_that_there_is() {
        let locales = Locales::build(&[]).unwrap();
        for (wished, language) in [
            ("de-AT,de;q=0.9,en;q=0.8", Some("de")),
            ("fr-FR, es;q=0.5, en;q=0.1", Some("es")),
            ("ES-mx", Some("es")),
            ("fr", None),
            ("*", None),
            ("", None),
            ("\u{fffd};q=;;,,", None),
        ] {
            assert_eq!(locales.preferred(wished), language, "{wished:?}");
        }
    }

    #[test]
    fn a_device_is_named_in_the_language_of_its_reader() {
        let locales = Locales::build(&[]).unwrap();
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        let named = |language, agent| locales.of(Some(language)).device(agent);
        assert_eq!(named("en", firefox).as_deref(), Some("Firefox on Linux"));
        assert_eq!(named("de", firefox).as_deref(), Some("Firefox unter Linux"));
        assert_eq!(named("de", "x"), None);
    }
}
