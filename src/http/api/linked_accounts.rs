//! The ways to sign in of one's own account: `/list-accounts`, `/unlink-account`, and the tokens that other
//! issuers gave, where the settings keep them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::flows::account::update_user;
use crate::flows::federation::{kept_tokens, links};
use crate::flows::permit::to;
use crate::http::delivery::session_delivery::renewed;
use crate::http::edge::body::Fields;
use crate::http::edge::credentials::{Acting, Authenticated};
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_ID, MAX_LOOKED_UP_ID};
use crate::http::edge::query::Query;
use crate::model::kernel::time::Timestamp;

pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
) -> Result<Response, Error> {
    let accounts = update_user::accounts(&app, who.user.id).await?;
    let view = |a: &update_user::Account| {
        let scopes: Vec<&str> = a.scopes.split_ascii_whitespace().collect();
        json!({
            "id": a.id, "accountId": a.account_id, "providerId": a.provider_id, "userId": who.user.id,
            "createdAt": a.created_at, "updatedAt": a.updated_at, "scopes": scopes,
        })
    };
    let views: Vec<Value> = accounts.iter().map(view).collect();
    Ok((renewed(&app, &who), Json(views)).into_response())
}

pub(in crate::http) async fn unlink(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account::<to::ResetFactors>()?;
    let account = body.text("accountId", MAX_LOOKED_UP_ID);
    let account = body.finish(account)?;
    links::unlink(&app, own, &account, &requester).await?;
    Ok(Json(json!({ "status": true })).into_response())
}

pub(in crate::http) async fn access_token(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account::<to::ResetFactors>()?;
    let account = body.text("accountId", MAX_ID);
    let account = body.finish(account)?;
    let kept = kept_tokens::access(&app, own, &account).await?;
    let scopes: Vec<&str> = kept.scopes().collect();
    Ok(Json(Valid {
        access_token: &kept.tokens.access_token,
        access_token_expires_at: kept.tokens.expires_at,
        scopes,
        id_token: kept.tokens.id_token.as_deref().map(String::as_str),
    })
    .into_response())
}

pub(in crate::http) async fn refresh_token(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account::<to::ResetFactors>()?;
    let account = body.text("accountId", MAX_ID);
    let account = body.finish(account)?;
    let kept = kept_tokens::refresh(&app, own, &account).await?;
    // Better Auth writes commas here, and a list at the access token.
    let scope = kept.scopes().collect::<Vec<_>>().join(",");
    let tokens = &kept.tokens;
    Ok(Json(Renewed {
        access_token: &tokens.access_token,
        access_token_expires_at: tokens.expires_at,
        refresh_token: kept.refresh_token().map(|token| token.as_str()),
        refresh_token_expires_at: tokens.refresh_expires_at,
        scope,
        id_token: tokens.id_token.as_deref().map(String::as_str),
        provider_id: kept.link.provider.as_str(),
        account_id: kept.link.id.to_string(),
    })
    .into_response())
}

pub(in crate::http) async fn account_info(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut query: Query,
) -> Result<Response, Error> {
    let own = who.own_account::<to::ResetFactors>()?;
    let account = query.required("accountId", MAX_ID);
    let account = query.finish(account)?;
    let (link, profile) = kept_tokens::profile(&app, own, &account).await?;
    Ok(Json(Info {
        user: Person {
            name: profile.name,
            email: profile.email,
            image: profile.image,
            email_verified: profile.email_verified,
        },
        data: profile.data,
        account: Identity {
            id: link.id.to_string(),
            provider_id: link.provider.as_str(),
            account_id: &link.subject,
        },
    })
    .into_response())
}

/// The answer of `/get-access-token`. Members without a value are left out, as everywhere here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Valid<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token_expires_at: Option<Timestamp>,
    scopes: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
}

/// The answer of `/refresh-token`. `accountId` is the id of the row, as at the request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Renewed<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token_expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token_expires_at: Option<Timestamp>,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
    provider_id: &'a str,
    account_id: String,
}

/// The answer of `/account-info`.
#[derive(Serialize)]
struct Info<'a> {
    user: Person,
    data: Map<String, Value>,
    account: Identity<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    email_verified: bool,
}

/// The account of `/account-info`. Here `accountId` is the id of the user at the provider.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    id: String,
    provider_id: &'a str,
    account_id: &'a str,
}
