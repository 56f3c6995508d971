//! The language of the person who reads a mail: the user's own; of a link that a user asks for, or else
//! the one of that request. The language of a notice is never that of the request that it reports, which
//! may be a thief's.

use std::sync::Arc;

use crate::app::App;
use crate::flows::transaction::recorder::Recorder;
use crate::model::kernel::id::UserId;
use crate::model::kernel::locale::Locales;
use crate::store::account::languages;
use crate::store::{self, Conn};

/// Who asks, and which languages there are. Nothing is read of the request before a mail needs it.
#[derive(Clone)]
pub(in crate::flows) struct Reader {
    recorder: Arc<Recorder>,
    locales: Locales,
}

/// The actor of a request before its user is known.
const UNKNOWN_USER: &str = "user";

impl Reader {
    pub(super) fn of(app: &App, recorder: &Arc<Recorder>) -> Self {
        Self {
            recorder: Arc::clone(recorder),
            locales: app.config.pages.locales.clone(),
        }
    }

    fn actor(&self) -> &str {
        &self.recorder.requester.actor
    }

    fn language(&self) -> Option<&str> {
        let wished = &self.recorder.requester.accept_language;
        self.locales.preferred(wished)
    }

    /// Returns the language of a request of which no user is known; `None` for the default.
    pub(super) fn wished(&self) -> Option<&str> {
        self.language().filter(|_| self.actor() == UNKNOWN_USER)
    }

    /// Returns the language for a link to a user; `None` for the default.
    pub(super) async fn of_link(
        &self,
        conn: &mut Conn,
        user: UserId,
    ) -> store::Result<Option<String>> {
        let known = languages::of(conn, user).await?;
        let is_reader = self.actor() == UNKNOWN_USER || self.actor() == format!("user:{user}");
        let asked = self.language().filter(|_| is_reader);
        Ok(known.or_else(|| asked.map(ToOwned::to_owned)))
    }

    /// Keeps the language of the request as the one of its user.
    pub(super) async fn learn(&self, conn: &mut Conn, user: UserId) -> store::Result<()> {
        match self.language() {
            Some(language) => languages::learn(conn, user, language).await,
            None => Ok(()),
        }
    }
}
