//! The language of the person who reads a mail: the user's own; of a link that a user asks for, or else
//! the one of that request. The language of a notice is never that of the request that it reports, which
//! may be a thief's.

use crate::app::App;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::UserId;
use crate::store::account::languages;
use crate::store::{self, Conn};

/// Who asks, and in which of the languages that there are.
#[derive(Debug, Clone)]
pub(in crate::flows) struct Reader {
    actor: String,
    language: Option<String>,
}

/// The actor of a request before its user is known.
const UNKNOWN_USER: &str = "user";

impl Reader {
    pub(super) fn of(app: &App, requester: &Requester) -> Self {
        let wished = &requester.accept_language;
        let language = match wished.as_str() {
            "" => None,
            wished => app.config.pages.locales.preferred(wished),
        };
        Self {
            actor: requester.actor.clone(),
            language: language.map(ToOwned::to_owned),
        }
    }

    /// Returns the language of a request of which no user is known; `None` for the default.
    pub(super) fn wished(&self) -> Option<&str> {
        let is_reader = self.actor == UNKNOWN_USER;
        self.language.as_deref().filter(|_| is_reader)
    }

    /// Returns the language for a link to a user; `None` for the default.
    pub(super) async fn of_link(
        &self,
        conn: &mut Conn,
        user: UserId,
    ) -> store::Result<Option<String>> {
        let known = languages::of(conn, user).await?;
        let is_reader = self.actor == UNKNOWN_USER || self.actor == format!("user:{user}");
        Ok(known.or_else(|| self.language.clone().filter(|_| is_reader)))
    }

    /// Keeps the language of the request as the one of its user.
    pub(super) async fn learn(&self, conn: &mut Conn, user: UserId) -> store::Result<()> {
        match &self.language {
            Some(language) => languages::learn(conn, user, language).await,
            None => Ok(()),
        }
    }
}
