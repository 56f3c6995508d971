//! The templates of mails: one text and one page for all, in `templates/mail`, around the sentences of
//! the reader's language. An operator's own templates, for one mail each, are read from
//! `mail.templates_dir` and rendered once before anything is served. The first line of a text is the
//! subject.

use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use crate::model::kernel::locale::{Locales, Messages};
use crate::model::mail::Template;

use super::sentences::Sentences;
use super::values::TemplateContext;

/// The subject and both bodies of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject, one line.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The body as HTML.
    pub html: String,
}

/// A template cannot be read or rendered.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct BadTemplate {
    name: String,
    reason: String,
}

const LAYOUT: &str = include_str!("../../templates/mail/layout.html");
const HTML: &str = include_str!("../../templates/mail/mail.html");
const TEXT: &str = include_str!("../../templates/mail/mail.txt");

/// The templates of all mails; those of the operator, if there are any.
pub struct Templates {
    environment: Environment<'static>,
    /// Whether the operator has a folder, in which each mail and language may have a file of its own.
    has_own: bool,
}

impl Templates {
    /// Loads the templates. Those of an operator, in `dir`, are rendered once in every language; fails
    /// if one does not render. The built-in ones are tested, and compiled at the first mail.
    pub fn load(dir: Option<&Path>, locales: &Locales) -> Result<Self, BadTemplate> {
        let templates = Self {
            environment: environment(dir.map(ToOwned::to_owned)),
            has_own: dir.is_some(),
        };
        if dir.is_none() {
            return Ok(templates);
        }
        let sample = TemplateContext {
            app_name: "x".into(),
            name: "x".into(),
            link: "https://example.com".into(),
            code: "123456".into(),
            page: "https://example.com".into(),
            other_time: "x".into(),
            ..TemplateContext::default()
        };
        for language in locales.names() {
            let messages = locales.of(Some(language));
            for template in Template::all() {
                templates.render(template, &sample, &messages)?;
            }
        }
        Ok(templates)
    }

    /// Renders a mail in the language of `messages`; fails if a template of the operator does not
    /// render.
    pub fn render(
        &self,
        template: Template,
        values: &TemplateContext,
        messages: &Messages,
    ) -> Result<Rendered, BadTemplate> {
        let language = messages.language();
        let values = TemplateContext {
            language: language.to_owned(),
            ..values.clone()
        };
        let sentences = Sentences::of(template, &values, messages);
        let render = |extension: &str| {
            // Every name is compiled and kept: without files of the operator there are three.
            let name = if self.has_own {
                format!("{language}/{}.{extension}", template.as_str())
            } else {
                format!("mail.{extension}")
            };
            let found = self.environment.get_template(&name);
            found
                .and_then(|t| t.render(context! { w => values, t => sentences }))
                .map_err(|e| BadTemplate {
                    name: template.as_str().to_owned(),
                    reason: format!("{e:#}"),
                })
        };
        let (text, html) = (render("txt")?, render("html")?);
        let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
        Ok(Rendered {
            subject: subject.trim().to_owned(),
            text: text.trim().to_owned(),
            html,
        })
    }
}

/// Makes an environment that reads a template from the folder of the language, then from the folder
/// itself; otherwise it is built in.
fn environment(dir: Option<PathBuf>) -> Environment<'static> {
    let mut environment = Environment::new();
    // An undefined variable is an error, because a misspelt name would produce a mail without its
    // link.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, state, value| match state.auto_escape() {
        // minijinja writes each slash of a link as `&#x2f;`, which a reader of the source cannot read.
        AutoEscape::Html if !value.is_safe() && !value.is_undefined() => {
            let text = value.to_string();
            let escaped = askama::filters::escape(&text, askama::filters::Html);
            let Ok(escaped) = escaped;
            Ok(write!(out, "{escaped}")?)
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    // A layout is one for all languages unless the template that extends it has its own.
    environment.set_path_join_callback(|name, parent| {
        let language = parent.split_once('/').map_or("", |(language, _)| language);
        let file = name.strip_prefix("mail/").unwrap_or(name);
        format!("{language}/{file}").into()
    });
    environment.set_loader(move |name| {
        let file = name.split_once('/').map_or(name, |(_, file)| file);
        for path in dir.iter().flat_map(|dir| [dir.join(name), dir.join(file)]) {
            match std::fs::read_to_string(&path) {
                Ok(source) => return Ok(Some(source)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(minijinja::Error::new(
                        minijinja::ErrorKind::TemplateNotFound,
                        error.to_string(),
                    ));
                }
            }
        }
        Ok(built_in(file).map(ToOwned::to_owned))
    });
    environment
}

fn built_in(file: &str) -> Option<&'static str> {
    if file == "layout.html" {
        return Some(LAYOUT);
    }
    let (name, extension) = file.rsplit_once('.')?;
    let is_mail = name == "mail" || Template::parse(name).is_some();
    match extension {
        "html" if is_mail => Some(HTML),
        "txt" if is_mail => Some(TEXT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mail::Purpose;

    fn locales() -> Locales {
        Locales::build(&[]).unwrap()
    }

    #[test]
    fn every_mail_is_whole_in_every_language_and_escapes_what_users_wrote() {
        let locales = locales();
        let templates = Templates::load(None, &locales).unwrap();
        let values = TemplateContext {
            app_name: "Notes & Co".into(),
            name: "<b>Ana</b> {email}".into(),
            email: "ana@example.com".into(),
            new_email: "new@example.com".into(),
            link: "https://example.com/?a=1&b=2".into(),
            lifetime: "LIFETIME".into(),
            page: "https://example.com/page".into(),
            time: "TIME".into(),
            device: "DEVICE".into(),
            network: "NETWORK".into(),
            other_device: "OTHER DEVICE".into(),
            other_network: "OTHER NETWORK".into(),
            other_time: "OTHER TIME".into(),
            left: "LEFT".into(),
            ..TemplateContext::default()
        };
        for template in Template::all() {
            let mut subjects = Vec::new();
            for language in locales.names() {
                let mail = templates
                    .render(template, &values, &locales.of(Some(language)))
                    .unwrap();
                let place = format!("{language} {}", template.as_str());
                assert!(mail.html.contains("&#60;b&#62;"), "{place}: {}", mail.html);
                assert!(!mail.html.contains("<b>Ana"), "{place}: {}", mail.html);
                assert!(
                    mail.html.contains(&format!("lang=\"{language}\"")),
                    "{place}"
                );
                assert!(mail.text.contains("<b>Ana</b> {email}"), "{place}");
                assert!(mail.text.contains(&values.link), "{place}: {}", mail.text);
                assert!(mail.text.contains("LIFETIME"), "{place}: {}", mail.text);
                let rest = mail.text.replace(&values.name, "");
                assert!(!rest.contains(['{', '}']), "{place}: {rest}");
                assert!(
                    !rest.contains(&format!("mail.{}", template.as_str())),
                    "{place}"
                );
                assert!(!rest.contains("\n\n\n"), "{place}: {rest}");
                assert!(!mail.subject.contains('\n') && mail.subject.ends_with("Notes & Co"));
                subjects.push(mail.subject);
            }
            subjects.dedup();
            assert_eq!(subjects.len(), locales.names().len(), "{subjects:?}");
        }
    }

    /// A reader who is asked to do something gets the page where it is done.
    #[test]
    fn a_mail_that_asks_for_an_action_has_a_page_for_it() {
        let locales = locales();
        let templates = Templates::load(None, &locales).unwrap();
        let page = "https://example.com/page";
        let values = TemplateContext {
            page: page.into(),
            ..TemplateContext::default()
        };
        let without: Vec<&str> = Template::all()
            .filter(|template| {
                let mail = templates
                    .render(*template, &values, &locales.of(None))
                    .unwrap();
                let said = format!(": {page}");
                let (text, html) = (mail.text.ends_with(&said), mail.html.contains(page));
                assert_eq!(text, html, "{}", template.as_str());
                !text
            })
            .map(Template::as_str)
            .collect();
        // The first hold a link or a code of their own; the last one asks to write to a person.
        let expected = [
            "verify_email",
            "reset_password",
            "verify_change",
            "invitation",
            "sign_in",
            "verify_code",
            "reset_code",
            "change_code",
            "email_changed",
        ];
        assert_eq!(without, expected);
    }

    #[test]
    fn an_operators_own_words_count_and_bad_ones_are_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("verify_email.txt"),
            "Hallo von {{ w.app_name }}\n\n{{ w.link }}\n",
        )
        .unwrap();
        let locales = locales();
        let english = locales.of(None);
        let templates = Templates::load(Some(dir.path()), &locales).unwrap();
        let words = TemplateContext {
            app_name: "Notizen".into(),
            link: "https://example.com".into(),
            ..TemplateContext::default()
        };
        let rendered = templates
            .render(Template::Link(Purpose::VerifyEmail), &words, &english)
            .unwrap();
        assert_eq!(
            (rendered.subject.as_str(), rendered.text.as_str()),
            ("Hallo von Notizen", "https://example.com")
        );
        std::fs::write(dir.path().join("new_sign_in.html"), "{% if %}").unwrap();
        assert!(
            Templates::load(Some(dir.path()), &locales)
                .err()
                .unwrap()
                .to_string()
                .contains("new_sign_in")
        );
    }
    #[test]
    fn an_operators_words_may_be_for_one_language_and_around_the_built_in_layout() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("de")).unwrap();
        for (file, source) in [
            ("new_sign_in.txt", "Ahoy\n\n{{ t.after }}"),
            ("de/new_sign_in.txt", "Moin\n\n{{ t.after }}"),
            (
                "new_sign_in.html",
                "{% extends \"mail/layout.html\" %}{% block words %}OWN{% endblock %}",
            ),
            ("de/layout.html", "GERMAN {% block words %}{% endblock %}"),
        ] {
            std::fs::write(dir.path().join(file), source).unwrap();
        }
        let locales = locales();
        let templates = Templates::load(Some(dir.path()), &locales).unwrap();
        let values = TemplateContext::default();
        let mail = |language, template| {
            let messages = locales.of(Some(language));
            templates.render(template, &values, &messages).unwrap()
        };
        let subject = |language| mail(language, Template::NewSignIn).subject;
        assert_eq!(
            (subject("en"), subject("de")),
            ("Ahoy".into(), "Moin".into())
        );
        let html = |language| mail(language, Template::NewSignIn).html;
        assert!(html("en").contains("OWN") && html("en").contains("<!doctype html>"));
        assert_eq!(html("de"), "GERMAN OWN");
        let other = mail("de", Template::PasswordChanged);
        assert!(
            other.html.starts_with("GERMAN <p>Das Passwort"),
            "{}",
            other.html
        );
    }
}
