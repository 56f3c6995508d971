//! The sentences of a mail in one language, from the catalogues that pages use, too: the keys
//! `mail.NAME.subject`, `.words`, `.button`, `.after` and `.page`.

use crate::model::kernel::locale::Messages;
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
        let mut words = vec![said("words")];
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
            subject: said("subject"),
            hello,
            words,
            button: said("button"),
            link_help: messages.text("mail.link_help").to_owned(),
            link_lifetime: messages.filled("mail.link_lifetime", &[("time", &w.lifetime)]),
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
            let has_link = matches!(template, Template::Link(_));
            assert_eq!(has_link, !said.button.is_empty(), "{name}: {said:?}");
        }
    }
}
