//! The words of pages by language: flat catalogues of key and text, as JSON. What a language lacks
//! is said in English; a text may hold `{name}` where a value goes.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The language that every key has a text in.
pub const ENGLISH: &str = "en";

/// The catalogues that come with the program.
pub const BUILT_IN: [(&str, &str); 3] = [
    (
        ENGLISH,
        include_str!("../../../templates/pages/words/en.json"),
    ),
    ("de", include_str!("../../../templates/pages/words/de.json")),
    ("es", include_str!("../../../templates/pages/words/es.json")),
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
    /// BCP 47, for `lang`.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// The text of a key, if any language has one.
    pub fn find(&self, key: &str) -> Option<&str> {
        let own = self.texts.get(key).map(String::as_str);
        own.or_else(|| self.english.as_ref().and_then(|english| english.find(key)))
    }

    /// The text of a key; a key that nobody knows is its own text.
    pub fn text<'a>(&'a self, key: &'a str) -> &'a str {
        self.find(key).unwrap_or(key)
    }

    /// The text with a value in it.
    pub fn with(&self, key: &str, name: &str, value: &str) -> String {
        self.text(key).replace(&format!("{{{name}}}"), value)
    }
}

/// All languages.
#[derive(Debug, Clone)]
pub struct Locales {
    languages: Vec<Arc<Messages>>,
    fallback: Arc<Messages>,
}

impl Locales {
    /// The built-in ones, and those of the operator, whose texts win.
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
                .find(|k| !english.texts.contains_key(*k))
                .map(|k| (l, k))
        }) {
            return Err(format!("{language}.json: there is no text {key:?}"));
        }
        let other = |(language, texts)| {
            Arc::new(Messages {
                language,
                texts,
                english: Some(Arc::clone(&english)),
            })
        };
        let languages: Vec<Arc<Messages>> = std::iter::once(Arc::clone(&english))
            .chain(all.into_iter().map(other))
            .collect();
        Ok(Self {
            fallback: english,
            languages,
        })
    }

    /// With another language than English for visitors who read none of them.
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

    /// The languages, English first.
    pub fn names(&self) -> Vec<&str> {
        self.languages.iter().map(|m| m.language.as_str()).collect()
    }

    /// One of the languages, or the fallback.
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
}
