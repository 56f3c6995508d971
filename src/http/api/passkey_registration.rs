//! `/passkey/generate-register-options` and `/verify-registration`: making a passkey, in a session or in a
//! sign-in that waits for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::passkey_fields::{Sent, asked, chosen, in_sign_in, secrets};
use crate::app::App;
use crate::flows::account::passkeys as account;
use crate::flows::login::new_passkey::Registration;
use crate::flows::login::passkey_answer::Answer;
use crate::flows::login::passkey_ceremony as ceremony;
use crate::flows::login::second_step::Code;
use crate::flows::session::open_session::SessionTokens;
use crate::flows::session::read_session::Accepts;
use crate::http::delivery::passkeys as delivery;
use crate::http::delivery::session_delivery::deliver_anew;
use crate::http::delivery::views;
use crate::http::edge::body::Fields;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::{Acting, Credentials, required};
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_PASSKEY_NAME;
use crate::http::edge::query::Query;
use crate::model::account::user::User;
use crate::model::session::session::Delivery;

/// Begins to make a passkey: in a session, or in a pending sign-in that asks for an enrolment, which a native
/// client names in the query.
pub(in crate::http) async fn begin(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    mut query: Query,
) -> Result<Response, Error> {
    let fields = asked(&mut query);
    let name = query.text("name", MAX_PASSKEY_NAME);
    let attachment = query.parsed(
        "authenticatorAttachment",
        "expected platform or cross-platform",
        |word| {
            ["platform", "cross-platform"]
                .contains(&word)
                .then(|| word.to_owned())
        },
    );
    let conditional = query.flag("conditional");
    let (fields, _, attachment) = query.finish((fields, name, attachment))?;
    let asked = chosen(fields);
    let secrets = secrets(asked.challenge.as_ref(), &credentials);
    let who = if asked.challenge.is_none() {
        credentials
            .authenticate(&app, Accepts::SessionTokenOnly)
            .await?
    } else {
        None
    };
    let begun = match who {
        None | Some(Err(_)) if !secrets.is_empty() => {
            ceremony::creation_for_pending(&app, &secrets, &requester).await?
        }
        who => {
            let acting = Acting::of(required(&app, who)?, requester);
            let own = acting.who.own_account()?;
            account::begin(&app, own, conditional, &acting.requester).await?
        }
    };
    let options = delivery::creation(&app, &begun, attachment.as_deref());
    Ok(delivery::begun(&app, &begun, options, asked.delivery))
}

/// Adds a passkey: in a session, or as the step of a pending sign-in.
pub(in crate::http) async fn add(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let sent = Sent::read(&mut body);
    let name = body.text_or_nothing("name", MAX_PASSKEY_NAME);
    let (sent, name) = body.finish((sent, name))?;
    let states = sent.states(&credentials);
    let registration = Registration {
        answer: Answer {
            response: &sent.response,
            states: &states,
        },
        name: name.as_deref().filter(|name| !name.is_empty()),
    };
    let secrets = secrets(sent.challenge.as_ref(), &credentials);
    let who = if sent.challenge.is_none() {
        credentials
            .authenticate(&app, Accepts::SessionTokenOnly)
            .await?
    } else {
        None
    };
    if matches!(who, None | Some(Err(_))) && !secrets.is_empty() {
        let code = Code::NewPasskey(registration);
        return in_sign_in(&app, code, &secrets, &sent, &credentials, &requester).await;
    }
    let acting = Acting::of(required(&app, who)?, requester);
    let own = acting.who.own_account()?;
    let added = account::add(&app, own, registration, &acting.requester).await?;
    let mut answer = delivery::view(&added.passkey);
    let mut headers = HeaderMap::new();
    delivery::forget(&app, &credentials.ceremonies, &mut headers);
    if let Some((user, grant)) = &added.session {
        succeed(&app, user, grant, &mut answer, &mut headers);
    }
    Ok((headers, Json(answer)).into_response())
}

/// Delivers the session that replaces the own one. In a browser the answer stays that of Better Auth; a
/// native client finds the tokens beside it.
fn succeed(
    app: &App,
    user: &User,
    grant: &SessionTokens,
    answer: &mut Value,
    headers: &mut HeaderMap,
) {
    let mut told = json!({ "token": grant.session_token.expose(), "user": views::user(user) });
    deliver_anew(app, grant, &mut told, headers);
    let (Some(members), Value::Object(told)) = (answer.as_object_mut(), told) else {
        return;
    };
    if grant.session.delivery == Delivery::Body {
        members.extend(told.into_iter().filter(|(name, _)| name != "user"));
    }
}
