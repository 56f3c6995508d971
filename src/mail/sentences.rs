//! The sentences of a mail in one language, from the catalogues that pages use, too: the keys
//! `mail.NAME.subject`, `.words`, `.button`, `.after` and `.page`. A mail that may have a link
//! beside its code has `.code_subject` and `.code_words` for a code alone.

use crate::model::kernel::locale::Messages;
use crate::model::login::email_code::CodePurpose;
use crate::model::mail::Template;

use super::values::TemplateContext;

/// The sentences that templates can use as `t`.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Sentences {
    pub subject: String,
    pub hello: String,
    pub words: Vec<String>,
    pub button: String,
    pub link_help: String,
    pub link_lifetime: String,
    pub code_lifetime: String,
    pub code_secret: String,
    pub after: String,
    pub page: String,
}

impl Sentences {
    /// Returns the sentences of a mail with its values.
    pub(super) fn of(template: Template, w: &TemplateContext, messages: &Messages) -> Self {
        let values = [
            ("app", w.app_name.as_str()),
            ("name", &w.name),
            ("email", &w.email),
            ("new_email", &w.new_email),
            ("code", &w.code),
            ("time", &w.time),
            ("device", &w.device),
            ("network", &w.network),
            ("left", &w.left),
        ];
        let name = template.as_str();
        let said = |part: &str| {
            let key = format!("mail.{name}.{part}");
            // Not every mail has every part.
            match messages.find(&key) {
                Some(_) => messages.filled(&key, &values),
                None => String::new(),
            }
        };
        let lifetime = |key| messages.filled(key, &[("time", &w.lifetime)]);
        // An application can ask for a mail without the link.
        let is_code_alone = template == Template::Code(CodePurpose::SignIn) && w.link.is_empty();
        let (subject, words) = if is_code_alone {
            ("code_subject", "code_words")
        } else {
            ("subject", "words")
        };
        let mut words = vec![said(words)];
        if template == Template::RefreshTokenReused && !w.other_time.is_empty() {
            let other = [
                ("device", w.other_device.as_str()),
                ("network", &w.other_network),
                ("time", &w.other_time),
            ];
            words.push(said("this_use"));
            words.push(messages.filled("mail.refresh_token_reused.other_use", &other));
            words.push(said("copy"));
        }
        let hello = if w.name.is_empty() {
            String::new()
        } else {
            messages.filled("mail.hello", &values)
        };
        Self {
            subject: said(subject),
            hello,
            words,
            button: said("button"),
            link_help: messages.text("mail.link_help").to_owned(),
            link_lifetime: lifetime(if w.code.is_empty() {
                "mail.link_lifetime"
            } else {
                "mail.link_and_code_lifetime"
            }),
            // With a link, the sentence about both stands below the link.
            code_lifetime: if w.link.is_empty() {
                lifetime("mail.code_lifetime")
            } else {
                String::new()
            },
            code_secret: messages.filled("mail.code_secret", &values),
            after: said("after"),
            page: said("page"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::locale::Locales;

    #[test]
    fn every_mail_has_its_sentences() {
        let locales = Locales::build(&[]).unwrap();
        let english = locales.of(Some("en"));
        let values = TemplateContext::default();
        for template in Template::all() {
            let said = Sentences::of(template, &values, &english);
            let name = template.as_str();
            for part in [&said.subject, &said.words[0], &said.after] {
                assert!(!part.is_empty(), "{name}: {said:?}");
            }
            let has_link = matches!(
                template,
                Template::Link(_) | Template::Code(CodePurpose::SignIn)
            );
            assert_eq!(has_link, !said.button.is_empty(), "{name}: {said:?}");
        }
    }

    #[test]
    fn a_code_alone_stands_in_the_subject_and_a_link_is_named_beside_it() {
        let locales = Locales::build(&[]).unwrap();
        let said = |language: &str, purpose, link: &str| {
            let values = TemplateContext {
                code: "123456".into(),
                lifetime: "TIME".into(),
                link: link.into(),
                ..TemplateContext::default()
            };
            let messages = locales.of(Some(language));
            Sentences::of(Template::Code(purpose), &values, &messages)
        };
        for language in locales.names() {
            for purpose in CodePurpose::ALL {
                let alone = said(language, purpose, "");
                assert!(alone.subject.starts_with("123456 "), "{alone:?}");
                assert!(alone.code_lifetime.contains("TIME"), "{alone:?}");
                assert!(!alone.code_secret.is_empty(), "{alone:?}");
            }
            let both = said(language, CodePurpose::SignIn, "https://example.com");
            assert!(!both.subject.contains("123456"), "{both:?}");
            assert!(both.link_lifetime.contains("TIME"), "{both:?}");
            assert_eq!(both.code_lifetime, "");
            assert_ne!(both.words, said(language, CodePurpose::SignIn, "").words);
        }
        let both = said("en", CodePurpose::SignIn, "https://example.com");
        assert_eq!(
            both.link_lifetime,
            "The link and the code work for TIME. You need only one of them, and it works once."
        );
    }
}
