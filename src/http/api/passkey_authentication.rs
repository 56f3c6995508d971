//! `/passkey/generate-authenticate-options` and `/verify-authentication`: using a passkey, to begin a sign-in, in
//! one that waits for it, or in a session.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::passkey_fields::{Sent, asked, chosen, in_sign_in, secrets, shown};
use crate::app::App;
use crate::flows::account::passkeys as account;
use crate::flows::account::two_factor_session;
use crate::flows::authenticated;
use crate::flows::login::passkey_answer::Answer;
use crate::flows::login::passkey_ceremony as ceremony;
use crate::flows::login::passkey_sign_in;
use crate::flows::login::second_step::Code;
use crate::flows::login::sign_in::SignedIn;
use crate::flows::session::read_session::Accepts;
use crate::http::delivery::passkeys as delivery;
use crate::http::delivery::second_step;
use crate::http::delivery::session_delivery::{Replaced, deliver_anew, session_options};
use crate::http::edge::body::Fields;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_DEVICE_TOKEN;
use crate::http::edge::query::Query;
use crate::model::audit::event::Requester;

/// Begins the use of a passkey: as a second step, as a new proof in a session, or by any user.
pub(in crate::http) async fn begin(
    State(app): State<Arc<App>>,
    credentials: Credentials,
    mut query: Query,
) -> Result<Response, Error> {
    let fields = asked(&mut query);
    let asked = chosen(query.finish(fields)?);
    let begun = if let Some(challenge) = &asked.challenge {
        ceremony::for_pending(&app, &[challenge]).await?
    } else {
        let who = credentials
            .authenticate(&app, Accepts::SessionTokenOnly)
            .await?;
        // An admin who acts as a user proves no passkey of that user.
        let own = match &who {
            Some(Ok(who)) => who.own_account().ok(),
            None | Some(Err(_)) => None,
        };
        if let Some(own) = own {
            account::begin_step_up(&app, own).await?
        } else {
            ceremony::for_browser(&app, &secrets(None, &credentials)).await?
        }
    };
    let options = delivery::request(&app, &begun);
    Ok(delivery::begun(&app, &begun, options, asked.delivery))
}

/// Uses a passkey: as the step of a pending sign-in, as a new proof in a session, or to begin a sign-in. The
/// state says which of them it is.
pub(in crate::http) async fn prove(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let sent = Sent::read(&mut body);
    let remembered = body.text_or_nothing("trustedDeviceToken", MAX_DEVICE_TOKEN);
    let session = session_options(&mut body);
    let (sent, remembered, (options, _)) = body.finish((sent, remembered, session))?;
    let states = sent.states(&credentials);
    let answer = Answer {
        response: &sent.response,
        states: &states,
    };
    let is_bound = ceremony::is_bound(&app, &states)?;
    if is_bound && sent.challenge.is_none() {
        let who = credentials
            .authenticate(&app, Accepts::SessionTokenOnly)
            .await?;
        if let Some(Ok(who)) = who {
            return in_session(&app, answer, who, &credentials, requester).await;
        }
    }
    let secrets = secrets(sent.challenge.as_ref(), &credentials);
    let begins_anew = is_bound
        && sent.challenge.is_none()
        && passkey_sign_in::begins_anew(&app, answer, &secrets).await?;
    if (is_bound || sent.challenge.is_some()) && !begins_anew {
        let code = Code::Passkey(answer);
        return in_sign_in(&app, code, &secrets, &sent, &credentials, &requester).await;
    }
    let replaced = Replaced::of(&credentials)
        .with_device(sent.device.as_deref())
        .with_remembered(remembered.as_deref());
    let signed_in =
        passkey_sign_in::sign_in(&app, answer, options, replaced.borrow(), &requester).await?;
    let (mut headers, answer) = match &signed_in {
        SignedIn::Session(user, grant) => {
            let mut answer = shown(user, grant);
            let mut headers = HeaderMap::new();
            replaced.deliver(&app, grant, &mut answer, &mut headers);
            if begins_anew {
                second_step::forget_challenge(&app, &mut headers);
            }
            (headers, answer)
        }
        SignedIn::Pending(pending) => (
            second_step::pending(&app, &replaced, pending),
            second_step::answer(pending),
        ),
    };
    delivery::forget(&app, &credentials.ceremonies, &mut headers);
    Ok((headers, Json(answer)).into_response())
}

async fn in_session(
    app: &App,
    answer: Answer<'_>,
    who: authenticated::Authenticated,
    credentials: &Credentials,
    requester: Requester,
) -> Result<Response, Error> {
    let acting = Acting::of(who, requester);
    let own = acting.who.own_account()?;
    let code = Code::Passkey(answer);
    let (user, grant) = two_factor_session::step_up(app, own, code, &acting.requester).await?;
    let mut answer = shown(&user, &grant);
    let mut headers = HeaderMap::new();
    deliver_anew(app, &grant, &mut answer, &mut headers);
    delivery::forget(app, &credentials.ceremonies, &mut headers);
    Ok((headers, Json(answer)).into_response())
}
