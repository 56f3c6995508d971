//! Whether a user could still sign in after a way to sign in was removed.

use crate::app::App;
use crate::config::upstream::Kind;
use crate::flows::Result;
use crate::flows::transaction::Tx;
use crate::model::account::user::User;
use crate::model::login::gate::Factors;
use crate::store;
use crate::store::federation::links::Link;

/// The ways to sign in that the settings offer beside passwords and passkeys.
#[derive(Debug, Clone)]
pub(in crate::flows) struct Ways {
    /// Whether users can sign in by mail.
    by_mail: bool,
    /// The providers, each with its issuer.
    providers: Vec<(String, Option<String>)>,
}

impl Ways {
    /// Reads them from the settings.
    pub(in crate::flows) fn of(app: &App) -> Self {
        let config = &app.config;
        let named = config.upstream.iter().map(|provider| {
            // At Microsoft the issuer names the tenant of the user.
            let is_one = provider.kind != Kind::Microsoft;
            let issuer = is_one.then(|| provider.issuer.clone());
            (provider.id.to_string(), issuer)
        });
        Self {
            by_mail: config.sign_in.by_mail && config.mail.sends(),
            providers: named.collect(),
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
    // What another issuer under the same name vouched for opens nothing any more.
    let opens = |link: &Link| {
        ways.providers.iter().any(|(id, issuer)| {
            let is_same = issuer.as_ref().is_none_or(|issuer| *issuer == link.issuer);
            id == link.provider.as_str() && is_same
        })
    };
    Ok(links.iter().any(opens))
}
