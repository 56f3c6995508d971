//! What the settings let a page offer, for the templates.

use super::durations::duration;
use super::page::Page;
use crate::model::kernel::numbers::CATEGORIES;

impl Page {
    /// Returns the least length of a password, in code points.
    pub(super) fn least(&self) -> usize {
        self.app.config.passwords.length.min
    }

    pub(super) fn mails(&self) -> bool {
        self.app.config.mail.sends()
    }

    /// Returns whether users can sign in with a link or a code in a mail.
    pub(super) fn mails_sign_in(&self) -> bool {
        self.app.config.sign_in.by_mail && self.mails()
    }

    /// Returns whether the pages can send another link in place of an invalid one.
    pub(super) fn sends_links(&self) -> bool {
        self.app.config.pages.enabled && self.mails()
    }

    /// Returns how long the reader has to wait, in words; `wait` is in seconds.
    pub(super) fn wait(&self, wait: u64) -> String {
        const LONGEST_IN_SECONDS: u64 = 90;
        if wait > LONGEST_IN_SECONDS {
            self.words.counted("form.wait_minutes", wait.div_ceil(60))
        } else {
            self.words.counted("form.wait_seconds", wait)
        }
    }

    /// Returns the texts of a key for numbers, as a JSON object with a member for each plural
    /// category, for a script that counts.
    pub(super) fn plurals(&self, key: &str) -> String {
        let texts = CATEGORIES.into_iter().filter_map(|category| {
            let text = self.words.find(&format!("{key}.{category}"))?;
            Some((category.to_owned(), text.into()))
        });
        serde_json::Value::Object(texts.collect()).to_string()
    }

    /// Returns the name under which an authenticator app shows the accounts of this service.
    pub(super) fn issuer(&self) -> &str {
        &self.app.config.two_factor.issuer
    }

    /// Returns for how long a browser can be remembered after the second step, in words; empty if
    /// the settings do not allow it.
    pub(super) fn remembered_for(&self) -> String {
        let time = self.app.config.two_factor.remember_device;
        time.map_or_else(String::new, |time| duration(self, time))
    }

    pub(super) fn signs_up(&self) -> bool {
        self.app.config.sign_up.enabled
    }

    /// Returns whether a user with this email address may sign up.
    pub(super) fn admits(&self, email: &str) -> bool {
        let domains = &self.app.config.sign_up.domains;
        self.signs_up() && email.parse().is_ok_and(|email| domains.admit(&email))
    }

    /// Returns whether a new password has to be typed twice even if it can be shown.
    pub(super) fn repeats_password(&self) -> bool {
        self.app.config.pages.repeat_password
    }
}
