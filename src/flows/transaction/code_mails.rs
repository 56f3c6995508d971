//! Queues mails with codes, beside the links of `outbox`. As there, a request without a sign-in is
//! one row whether or not the email address is known: it is looked up when the mail is sent.

use std::time::Duration;

use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::login::email_code::{CodePurpose, EmailCode};
use crate::model::mail::{Mail, Template};
use crate::store::{self, Conn};

use super::Tx;
use super::mail_words::words_for;
use super::outbox::Outbox;
use super::recorder::detail;
use crate::flows::{Error, Result};

impl Tx<'_> {
    /// Queues a request for a code at an email address that is only looked up after the answer
    /// ([`Outbox::request_code`]).
    pub(in crate::flows) async fn queue_code_request(
        &mut self,
        code: &EmailCode,
        places: &Places,
    ) -> Result<()> {
        self.outbox.request_code(self.conn, code, places).await?;
        self.mails_queued = true;
        Ok(())
    }

    /// Queues a code for a user who is known ([`Outbox::code`]).
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] if the email address has had too many of them.
    pub(in crate::flows) async fn queue_code(
        &mut self,
        code: &EmailCode,
        user: &User,
        to: Option<&Email>,
    ) -> Result<()> {
        if !self.outbox.code(self.conn, code, user, to).await? {
            return Err(Error::TooManyRequests(self.outbox.code_delay()));
        }
        self.mails_queued = true;
        Ok(())
    }

    /// Looks up the user with the email address of a queued request for a code
    /// ([`Outbox::resolve_code`]).
    pub(in crate::flows) async fn resolve_code(&mut self, mail: &Mail) -> Result<Option<Mail>> {
        Ok(self.outbox.resolve_code(self.conn, mail).await?)
    }
}

/// Where the link beside a code leads, and whether a new email address gets an account.
#[derive(Debug, Clone, Default)]
pub(in crate::flows) struct Places {
    /// Where it leads after the sign-in.
    pub(in crate::flows) done: Option<String>,
    /// Where it leads a new user.
    pub(in crate::flows) new_user: Option<String>,
    /// Where it leads if it is no longer good.
    pub(in crate::flows) failed: Option<String>,
    /// Whether the settings let a user with this email address sign up.
    pub(in crate::flows) may_sign_up: bool,
}

/// Returns whether a code for this purpose may be sent to an email address with this account.
fn may_get(purpose: CodePurpose, user: Option<&User>, may_sign_up: bool) -> bool {
    match user {
        Some(user) => user.disabled_at.is_none(),
        None => purpose == CodePurpose::SignIn && may_sign_up,
    }
}

impl Outbox {
    /// Returns after how long an email address over the limit may get another code.
    pub(super) fn code_delay(&self) -> Duration {
        self.limit.refusal_delay_of_codes()
    }

    /// Queues a request for a code. Earlier ones of the same browser end, and those of others stay.
    pub(super) async fn request_code(
        &self,
        conn: &mut Conn,
        code: &EmailCode,
        places: &Places,
    ) -> store::Result<()> {
        store::login::codes::end_of_asker(conn, code).await?;
        store::login::codes::insert(conn, code).await?;
        let words = detail([
            ("code", code.id.to_string().into()),
            ("email", code.email.as_str().into()),
            ("callback", places.done.as_deref().into()),
            ("newUserCallback", places.new_user.as_deref().into()),
            ("errorCallback", places.failed.as_deref().into()),
            ("maySignUp", places.may_sign_up.into()),
            ("language", self.reader.wished().into()),
        ]);
        let template = Template::Code(code.purpose);
        self.put(conn, template, Some(&code.email), None, words)
            .await
    }

    /// Queues a code for a user; earlier ones of the same purpose end. Without `to`, rows are
    /// written but nothing is sent, so that a taken email address looks like a free one. Returns
    /// `false` if the limit of the email address is reached; then nothing has changed.
    pub(super) async fn code(
        &self,
        conn: &mut Conn,
        code: &EmailCode,
        user: &User,
        to: Option<&Email>,
    ) -> store::Result<bool> {
        if !self.limit.admits_code(conn, code).await? {
            return Ok(false);
        }
        store::login::codes::end_of_user(conn, code).await?;
        store::login::codes::insert(conn, code).await?;
        let mut words = words_for(user, &code.email, Some(&code.email));
        let language = self.reader.of_link(conn, user.id).await?;
        words.extend(detail([("language", language.into())]));
        let template = Template::Code(code.purpose);
        self.put(conn, template, to, Some(code.id), words).await?;
        Ok(true)
    }

    /// Looks up the user with the email address of a request; returns `None` if no mail is sent.
    pub(super) async fn resolve_code(
        &self,
        conn: &mut Conn,
        mail: &Mail,
    ) -> store::Result<Option<Mail>> {
        let text = |name| mail.detail.get(name).and_then(|value| value.as_str());
        let (Some(email), Some(id)) = (&mail.recipient, text("code")) else {
            return Ok(None);
        };
        let Ok(id) = id.parse() else {
            return Ok(None);
        };
        let Some((code, true)) = store::login::codes::find(conn, id).await? else {
            return Ok(None);
        };
        let user = store::account::users::by_email(conn, email).await?;
        let user = user.map(|found| found.user);
        let may_sign_up = mail.detail.get("maySignUp").is_some_and(|is| is == true);
        // Counted for every address, and kept for every address: neither the count nor the row tells
        // which one has an account. A code that is in no mail cannot be guessed.
        let is_within = self.limit.admits_code(conn, &code).await?;
        if !is_within || !may_get(code.purpose, user.as_ref(), may_sign_up) {
            store::login::codes::void(conn, id).await?;
            return Ok(None);
        }
        if code.purpose == CodePurpose::SignIn && self.limit.is_guessed(conn, email).await? {
            store::login::codes::add_link(conn, id).await?;
        }
        let mut words = mail.detail.clone();
        if let Some(user) = &user {
            words.extend(words_for(user, email, None));
            if let Some(language) = store::account::languages::of(conn, user.id).await? {
                words.extend(detail([("language", language.into())]));
            }
        }
        store::mails::resolve(conn, mail.id, id, &words).await?;
        Ok(Some(Mail {
            token: Some(id),
            detail: words,
            ..mail.clone()
        }))
    }
}
