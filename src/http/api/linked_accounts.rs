//! The ways to sign in of one's own account: `/list-accounts`, `/unlink-account`, and the calls of the Better
//! Auth client about tokens of other issuers, which this service does not keep.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::update_user;
use crate::flows::federation::links;
use crate::flows::permit::to;
use crate::http::delivery::session_delivery::renewed;
use crate::http::edge::body::Fields;
use crate::http::edge::credentials::{Acting, Authenticated};
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_ID, MAX_LOOKED_UP_ID};
use crate::http::edge::query::Query;

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

/// Refuses: the tokens of other issuers are not kept.
pub(in crate::http) async fn access_token(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut body: Fields,
) -> Result<Response, Error> {
    let account = body.text("accountId", MAX_ID);
    let account = body.finish(account)?;
    require_link(&app, &who, &account).await?;
    Err(Refused::AccessTokenNotFound.into())
}

/// Refuses: the tokens of other issuers are not kept.
pub(in crate::http) async fn refresh_token(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut body: Fields,
) -> Result<Response, Error> {
    let account = body.text("accountId", MAX_ID);
    let account = body.finish(account)?;
    require_link(&app, &who, &account).await?;
    Err(Refused::RefreshTokenNotFound.into())
}

/// Refuses: without the issuer's token there is no profile to ask for.
pub(in crate::http) async fn account_info(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut query: Query,
) -> Result<Response, Error> {
    let account = query.required("accountId", MAX_ID);
    let account = query.finish(account)?;
    require_link(&app, &who, &account).await?;
    Err(Refused::AccessTokenNotFound.into())
}

/// Refuses an account that is not one of the user at another issuer.
///
/// # Errors
/// [`Refused::AccountNotFound`]; [`Refused::ProviderNotSupported`] for a password.
async fn require_link(
    app: &App,
    who: &crate::flows::authenticated::Authenticated,
    account: &str,
) -> Result<(), Error> {
    let accounts = update_user::accounts(app, who.user.id).await?;
    match accounts.iter().find(|known| known.id == account) {
        None => Err(Refused::AccountNotFound.into()),
        Some(known) if known.provider_id == "credential" => {
            Err(Refused::ProviderNotSupported.into())
        }
        Some(_) => Ok(()),
    }
}
