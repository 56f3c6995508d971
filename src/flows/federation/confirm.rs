//! The page that asks whether an identity is to be linked: the browser may be signed in at the issuer as
//! another person.

use crate::app::App;
use crate::crypto::upstream_state::{UnconfirmedLink, Urls};
use crate::flows::account::two_factor::Own;
use crate::flows::federation::links;
use crate::flows::key::inspect_keys;
use crate::flows::session::upstream_link::{self, NewLink};
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::federation::refused::Refused;
use crate::store;

/// What the user is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The id of the provider.
    pub provider: String,
    /// The name of the provider.
    pub name: String,
    /// The email address of the identity, if the issuer names one.
    pub email: Option<String>,
}

/// Opens a question that was put to this user, in this session.
fn open(app: &App, own: Own<'_>, sealed: &str) -> Result<UnconfirmedLink> {
    let ring = inspect_keys::loaded(app)?;
    let masters = ring.masters.iter().map(|master| &*master.key);
    UnconfirmedLink::open(sealed, masters, app.now())
        .filter(|asked| {
            let linker = asked.linker;
            linker.user == own.user.id && linker.session == own.session.id
        })
        .ok_or(Error::UpstreamRefused(Refused::UnableToLinkAccount))
}

/// Returns what the page asks. Changes nothing.
///
/// # Errors
/// [`Error::UpstreamRefused`] if the question was not put to this user in this session, or too long
/// ago.
pub fn look(app: &App, own: Own<'_>, sealed: &str) -> Result<Asked> {
    let link = open(app, own, sealed)?.link;
    let provider = app.config.upstream.find(link.provider.as_str());
    let provider = provider.ok_or(Error::ProviderNotFound)?;
    Ok(Asked {
        provider: provider.id.to_string(),
        name: provider.name.clone(),
        email: link.email,
    })
}

/// Links the identity. Each question is answered once.
///
/// # Errors
/// As [`look`]; [`Error::SessionNotFresh`]; [`Error::SocialAccountAlreadyLinked`].
pub async fn confirm(app: &App, own: Own<'_>, sealed: &str, requester: &Requester) -> Result<Urls> {
    links::require_fresh(app, own)?;
    let asked = open(app, own, sealed)?;
    let urls = asked.urls.clone();
    let new = NewLink::later(app, asked.link.clone());
    let work = tx!(tx => {
        let user = links::lock(tx, asked.linker).await?;
        let (hash, until) = (asked.hash(), asked.expires_at);
        if !store::login::used_assertions::spend(tx.conn, &hash, until).await? {
            return Err(Error::UpstreamRefused(Refused::UnableToLinkAccount));
        }
        upstream_link::keep(tx, &user, &new).await.map(|_| ())
    });
    app.transaction(requester, work).await?;
    Ok(urls)
}
