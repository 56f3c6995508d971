//! A browser comes back from another issuer. What it brings is held against the sealed state that it
//! has kept, in a fixed order; every failure leads it back with a word, and repeats nothing that came
//! with the request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::App;
use crate::config::upstream::Provider;
use crate::crypto::upstream_state::{UpstreamState, Urls};
use crate::flows::key::inspect_keys;
use crate::flows::limit::known_device;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::sign_in::SignedIn;
use crate::flows::session::open_session::Options;
use crate::flows::session::presented::Presented;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::federation::identity::Identity;
use crate::model::federation::refused::Refused;
use crate::model::kernel::id::UserId;
use crate::model::session::session::Delivery;
use crate::model::session::ticket::Retry;
use crate::store;
use crate::upstream::{Failure, Grant};

use super::begin::{provider, redirect_uri};
use super::links::{self, Linked};
use super::refused::{Failed, of_error, of_failure};
use super::sign_in::{Arrival, Outcome, sign_in};

/// How long all requests to the issuer may take together.
const TIME: Duration = Duration::from_secs(20);

/// What the browser brings.
#[derive(Clone, Copy)]
pub struct Returned<'r> {
    /// The id of the provider in the path.
    pub provider: &'r str,
    /// The sealed states in its cookies.
    pub sealed: &'r [String],
    /// `state`
    pub state: Option<&'r str>,
    /// `code`
    pub code: Option<&'r str>,
    /// `iss`, the issuer that answers (RFC 9207).
    pub iss: Option<&'r str>,
    /// `error`
    pub error: Option<&'r str>,
    /// Apple: the field `user` of the first sign-in.
    pub first_user: Option<&'r str>,
}

/// What came of it.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub enum Done {
    /// A session, or a second step.
    SignedIn {
        /// How far the sign-in has come.
        signed_in: SignedIn,
        /// Whether the account was made by it.
        is_new: bool,
        /// Where the browser is led.
        urls: Urls,
    },
    /// The account was made, and a link was mailed that verifies its mailbox.
    Unverified {
        /// A token by which the browser is known when it opens that link.
        device: Option<String>,
        /// Where the browser is led.
        urls: Urls,
    },
    /// The identity is linked to the account of the signed-in user.
    Linked(Urls),
    /// The user is asked on a page whether it is to be linked; the sealed question.
    Ask(String),
}

/// Handles the answer of an issuer. `own` is the user of the session of this browser, if it has one.
///
/// # Errors
/// [`Failed`], in every case: the browser is led back.
pub async fn finish(
    app: &App,
    returned: Returned<'_>,
    presented: Presented<'_>,
    own: Option<UserId>,
    requester: &Requester,
) -> std::result::Result<Done, Failed> {
    let state = open(app, returned)?;
    let urls = state.urls.clone();
    let back = Back {
        app,
        state: &state,
        returned,
        requester,
    };
    let done = match back.identity().await {
        Ok((provider, identity)) => {
            let done = back.accept(&provider, &identity, presented, own);
            Box::pin(done).await.map_err(|error| of_error(&error))
        }
        Err(why) => {
            let metrics = &app.metrics.upstream;
            metrics.sign_in(state.provider.as_str(), result_of(why));
            Err(why)
        }
    };
    done.map_err(|why| Failed { why, urls })
}

/// Returns where the sign-in of this browser leads, without using anything up; nowhere if its state does
/// not open.
pub fn urls(app: &App, returned: Returned<'_>) -> Urls {
    open(app, returned).map_or_else(|failed| failed.urls, |state| state.urls)
}

/// Returns the label of a sign-in without an identity.
fn result_of(why: Refused) -> &'static str {
    match why {
        Refused::AccessDenied | Refused::StateMismatch | Refused::NotAllowed => "refused",
        Refused::TooManyRequests => "limited",
        Refused::ServerError => "error",
        _ => "upstream_failed",
    }
}

/// Finds the state that the browser has kept: of the same name, for the provider of the path.
fn open(app: &App, returned: Returned<'_>) -> std::result::Result<UpstreamState, Failed> {
    let sent = returned
        .state
        .filter(|sent| !sent.is_empty())
        .ok_or(Failed::without_state(Refused::StateNotFound))?;
    let ring =
        inspect_keys::loaded(app).map_err(|error| Failed::without_state(of_error(&error)))?;
    let masters = || ring.masters.iter().map(|master| &*master.key);
    returned
        .sealed
        .iter()
        .filter_map(|sealed| UpstreamState::open(sealed, masters(), app.now()))
        .find(|state| state.state == sent && state.provider.as_str() == returned.provider)
        .ok_or(Failed::without_state(Refused::StateMismatch))
}

/// A browser that came back with a state of its own.
struct Back<'a> {
    app: &'a App,
    state: &'a UpstreamState,
    returned: Returned<'a>,
    requester: &'a Requester,
}

impl Back<'_> {
    /// Asks the issuer whom the code stands for.
    async fn identity(&self) -> std::result::Result<(Arc<Provider>, Identity), Refused> {
        let (app, state, returned) = (self.app, self.state, self.returned);
        let limit = RateLimitCheck::upstream(app, self.requester);
        limit.consume(app).await.map_err(|error| of_error(&error))?;
        // The settings may have changed while the browser was away.
        let provider = provider(app, state.provider.as_str())
            .map_err(|_| Refused::UpstreamUnavailable)?
            .clone();
        let until = Instant::now() + TIME;
        let checked = app.upstream.check_issuer(&provider, returned.iss);
        in_time(&provider, until, checked).await?;
        if let Some(error) = returned.error {
            return Err(Refused::of_issuer(error));
        }
        let code = returned
            .code
            .filter(|code| !code.is_empty())
            .ok_or(Refused::NoCode)?;
        // The state is used up before the code is sent, so that a code is sent once.
        if !self.spend().await.map_err(|error| of_error(&error))? {
            return Err(Refused::StateMismatch);
        }
        let grant = Grant {
            code,
            code_verifier: &state.code_verifier,
            redirect_uri: &redirect_uri(app, &provider),
            nonce: &state.nonce,
            first_user: returned.first_user,
        };
        let redeemed = app.upstream.redeem(&provider, &grant, app.now());
        let identity = in_time(&provider, until, redeemed).await?;
        Ok((provider, identity))
    }

    async fn spend(&self) -> Result<bool> {
        let (hash, expires_at) = (self.state.hash(), self.state.expires_at);
        let work = tx!(tx => {
            Ok(store::login::used_assertions::spend(tx.conn, &hash, expires_at).await?)
        });
        self.app
            .transaction(&Requester::named("service"), work)
            .await
    }

    /// Links the identity, or signs in with it.
    async fn accept(
        &self,
        provider: &Provider,
        identity: &Identity,
        presented: Presented<'_>,
        own: Option<UserId>,
    ) -> Result<Done> {
        let (app, urls) = (self.app, &self.state.urls);
        if let Some(linker) = self.state.linker {
            if own.is_some_and(|own| own != linker.user) {
                return Err(Error::UpstreamRefused(Refused::UnableToLinkAccount));
            }
            let requester = Requester {
                actor: format!("user:{}", linker.user),
                ..self.requester.clone()
            };
            let linked = links::link(app, linker, identity, urls, &requester).await?;
            return Ok(match linked {
                Linked::Done => Done::Linked(urls.clone()),
                Linked::Ask(sealed) => Done::Ask(sealed),
            });
        }
        let arrival = Arrival {
            options: IN_A_BROWSER,
            presented,
            request_sign_up: self.state.request_sign_up,
            urls,
        };
        let outcome = sign_in(app, provider, identity, arrival, self.requester).await?;
        Ok(match outcome {
            Outcome::SignedIn(done) => Done::SignedIn {
                signed_in: done.signed_in,
                is_new: done.is_new,
                urls: urls.clone(),
            },
            Outcome::Unverified(made) => Done::Unverified {
                device: known(app, &made.user),
                urls: urls.clone(),
            },
        })
    }
}

/// Waits for the issuer, until the time of the callback is over.
async fn in_time<T>(
    provider: &Provider,
    until: Instant,
    asked: impl Future<Output = std::result::Result<T, Failure>>,
) -> std::result::Result<T, Refused> {
    match tokio::time::timeout_at(until, asked).await {
        Ok(answer) => answer.map_err(|failure| of_failure(provider, &failure)),
        Err(_) => Err(Refused::UpstreamUnavailable),
    }
}

/// Makes a token by which the browser that made an account is known when it verifies the mailbox.
fn known(app: &App, user: &User) -> Option<String> {
    known_device::token(app, user, None)
}

const IN_A_BROWSER: Options = Options {
    delivery: Delivery::Cookie,
    remember: true,
    retry: Retry::Window,
};
