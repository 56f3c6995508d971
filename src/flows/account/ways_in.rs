//! Whether a user could still sign in after a way to sign in was removed.

use crate::app::App;
use crate::flows::Result;
use crate::flows::transaction::Tx;
use crate::model::account::user::User;
use crate::model::login::gate::Factors;
use crate::store;

/// The ways to sign in that the settings offer beside passwords and passkeys.
#[derive(Debug, Clone)]
pub(in crate::flows) struct Ways {
    /// Whether users can sign in by mail.
    by_mail: bool,
    /// The ids of the providers.
    providers: Vec<String>,
}

impl Ways {
    /// Reads them from the settings.
    pub(in crate::flows) fn of(app: &App) -> Self {
        let config = &app.config;
        let ids = config
            .upstream
            .iter()
            .map(|provider| provider.id.to_string());
        Self {
            by_mail: config.sign_in.by_mail && config.mail.sends(),
            providers: ids.collect(),
        }
    }
}

/// Returns whether the user has a way to sign in, as the database says now.
pub(in crate::flows) async fn are_left(tx: &mut Tx<'_>, user: &User, ways: &Ways) -> Result<bool> {
    let factors = store::login::factors::of_user(tx.conn, user.id).await?;
    if factors.intersects(Factors::PASSWORD | Factors::PASSKEY)
        || ways.by_mail && user.email_verified
    {
        return Ok(true);
    }
    let links = store::federation::links::of_user(tx.conn, user.id).await?;
    Ok(links
        .iter()
        .any(|link| ways.providers.iter().any(|id| id == link.provider.as_str())))
}
