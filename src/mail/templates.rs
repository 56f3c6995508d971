//! The templates of mails, checked at compile time, in `templates/mail`. An operator's own
//! templates of the same names are read at start from `mail.templates_dir` and are all rendered
//! once before anything is served. The first line of a text is the subject.

use std::path::{Path, PathBuf};

use askama::Template as _;
use minijinja::{Environment, UndefinedBehavior, context};

use crate::model::mail::{Purpose, Template};

/// The values that templates can use.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[expect(missing_docs, reason = "docs/mail.md describes each")]
pub struct TemplateContext {
    pub app_name: String,
    pub name: String,
    pub email: String,
    pub new_email: String,
    pub link: String,
    pub lifetime: String,
    pub time: String,
    pub device: String,
    pub network: String,
    pub other_device: String,
    pub other_network: String,
    pub other_time: String,
}

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

/// A template of the operator cannot be read or rendered.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct BadTemplate {
    name: String,
    reason: String,
}

macro_rules! templates {
    ($($template:pat => $text:ident $text_path:tt, $html:ident $html_path:tt;)*) => {
        $(
            #[derive(askama::Template)]
            #[template(path = $text_path)]
            struct $text<'w> {
                w: &'w TemplateContext,
            }
            #[derive(askama::Template)]
            #[template(path = $html_path)]
            struct $html<'w> {
                w: &'w TemplateContext,
            }
        )*

        fn built_in(template: Template, w: &TemplateContext) -> Result<(String, String), askama::Error> {
            match template {
                $($template => Ok(($text { w }.render()?, $html { w }.render()?)),)*
            }
        }

        /// Name and source of every built-in file, for templates of the operator that extend them.
        const SOURCES: &[(&str, &str)] = &[
            ("mail/layout.html", include_str!("../../templates/mail/layout.html")),
            $(
                ($text_path, include_str!(concat!("../../templates/", $text_path))),
                ($html_path, include_str!(concat!("../../templates/", $html_path))),
            )*
        ];
    };
}

templates! {
    Template::Link(Purpose::VerifyEmail) => VerifyEmailText "mail/verify_email.txt", VerifyEmailHtml "mail/verify_email.html";
    Template::Link(Purpose::ResetPassword) => ResetPasswordText "mail/reset_password.txt", ResetPasswordHtml "mail/reset_password.html";
    Template::Link(Purpose::ApproveChange) => ApproveChangeText "mail/approve_change.txt", ApproveChangeHtml "mail/approve_change.html";
    Template::Link(Purpose::VerifyChange) => VerifyChangeText "mail/verify_change.txt", VerifyChangeHtml "mail/verify_change.html";
    Template::Link(Purpose::DeleteUser) => DeleteUserText "mail/delete_user.txt", DeleteUserHtml "mail/delete_user.html";
    Template::Link(Purpose::Invitation) => InvitationText "mail/invitation.txt", InvitationHtml "mail/invitation.html";
    Template::SignedUpAgain => SignedUpAgainText "mail/signed_up_again.txt", SignedUpAgainHtml "mail/signed_up_again.html";
    Template::PasswordChanged => PasswordChangedText "mail/password_changed.txt", PasswordChangedHtml "mail/password_changed.html";
    Template::EmailChanged => EmailChangedText "mail/email_changed.txt", EmailChangedHtml "mail/email_changed.html";
    Template::RefreshTokenReused => RefreshTokenReusedText "mail/refresh_token_reused.txt", RefreshTokenReusedHtml "mail/refresh_token_reused.html";
    Template::NewSignIn => NewSignInText "mail/new_sign_in.txt", NewSignInHtml "mail/new_sign_in.html";
}

/// The templates of all mails; those of the operator, if there are any.
pub struct Templates(Option<Environment<'static>>);

impl Templates {
    /// Loads the built-in templates, or the operator's if `dir` is given, and renders each once.
    /// Fails if one does not render.
    pub fn load(dir: Option<&Path>) -> Result<Self, BadTemplate> {
        let templates = Self(dir.map(|dir| environment(dir.to_owned())));
        let sample = TemplateContext {
            app_name: "x".into(),
            name: "x".into(),
            link: "https://example.com".into(),
            ..TemplateContext::default()
        };
        for template in Template::all() {
            templates.render(template, &sample)?;
        }
        Ok(templates)
    }

    /// Renders a mail; fails if a template of the operator does not render.
    pub fn render(
        &self,
        template: Template,
        words: &TemplateContext,
    ) -> Result<Rendered, BadTemplate> {
        let name = template.as_str();
        let bad = |reason: String| BadTemplate {
            name: name.to_owned(),
            reason,
        };
        let (text, html) = match &self.0 {
            None => built_in(template, words).map_err(|e| bad(e.to_string()))?,
            Some(environment) => {
                let render = |extension: &str| {
                    let found = environment.get_template(&format!("mail/{name}.{extension}"));
                    found
                        .and_then(|t| t.render(context! { w => words }))
                        .map_err(|e| bad(format!("{e:#}")))
                };
                (render("txt")?, render("html")?)
            }
        };
        let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
        Ok(Rendered {
            subject: subject.trim().to_owned(),
            text: text.trim_start().to_owned(),
            html,
        })
    }
}

fn environment(dir: PathBuf) -> Environment<'static> {
    let mut environment = Environment::new();
    // An undefined variable is an error, because a misspelt name would produce a mail without its
    // link.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_loader(move |name| {
        let own = std::fs::read_to_string(dir.join(name.trim_start_matches("mail/")));
        match own {
            Ok(source) => Ok(Some(source)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(SOURCES
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, source)| (*source).to_owned())),
            Err(error) => Err(minijinja::Error::new(
                minijinja::ErrorKind::TemplateNotFound,
                error.to_string(),
            )),
        }
    });
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_say_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (built_in, read) = (
            Templates::load(None).unwrap(),
            Templates::load(Some(dir.path())).unwrap(),
        );
        let words = TemplateContext {
            app_name: "Notes & Co".into(),
            name: "<b>Ana</b>".into(),
            email: "ana@example.com".into(),
            link: "https://example.com/?a=1&b=2".into(),
            ..TemplateContext::default()
        };
        for template in Template::all() {
            let (one, other) = (
                built_in.render(template, &words).unwrap(),
                read.render(template, &words).unwrap(),
            );
            assert_eq!(one.text, other.text);
            assert!(
                one.html.contains("&lt;b&gt;") || one.html.contains("&#60;b&#62;"),
                "escaped: {}",
                one.html
            );
            assert!(!one.html.contains("<b>Ana") && !other.html.contains("<b>Ana"));
            assert!(!one.subject.is_empty() && !one.subject.contains('\n'));
        }
    }

    #[test]
    fn an_operators_own_words_count_and_bad_ones_are_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("verify_email.txt"),
            "Hallo von {{ w.app_name }}\n\n{{ w.link }}\n",
        )
        .unwrap();
        let templates = Templates::load(Some(dir.path())).unwrap();
        let words = TemplateContext {
            app_name: "Notizen".into(),
            link: "https://example.com".into(),
            ..TemplateContext::default()
        };
        let rendered = templates
            .render(Template::Link(Purpose::VerifyEmail), &words)
            .unwrap();
        assert_eq!(
            (rendered.subject.as_str(), rendered.text.as_str()),
            ("Hallo von Notizen", "https://example.com")
        );
        std::fs::write(dir.path().join("new_sign_in.html"), "{% if %}").unwrap();
        assert!(
            Templates::load(Some(dir.path()))
                .err()
                .unwrap()
                .to_string()
                .contains("new_sign_in")
        );
    }
}
