//! `/step-up`: whether the session meets the demand of a backend (RFC 9470), with an access token that
//! says so, or what has to be proven besides; `/step-up/password` proves the password again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::step_up;
use crate::flows::account::step_up::{Lack, Standing};
use crate::flows::permit::to;
use crate::flows::token::issue_token;
use crate::http::api::sessions::mint;
use crate::http::delivery::second_step;
use crate::http::delivery::session_delivery::{deliver_anew, renewed};
use crate::http::delivery::views;
use crate::http::edge::body::{Fields, Optional};
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::demand;
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_PASSWORD;
use crate::http::edge::target;
use crate::model::login::policy::Demand;

/// Compares the session with `acrValues` and `maxAge`. Without a demand every session suffices, and the
/// answer says how strong it is.
pub(in crate::http) async fn step_up(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    credentials: Credentials,
    Optional(mut body): Optional,
) -> Result<Response, Error> {
    let own = who.own_account::<to::ResetFactors>()?;
    let demand = demand::in_body(&mut body);
    let wanted = target::in_body(&mut body);
    let (demand, wanted) = body.finish((demand, wanted))?;
    let target = issue_token::target(&app, &wanted)?;
    let level = match step_up::standing(&app, own, demand).await? {
        Standing::Suffices(level) => level,
        Standing::Lacks(lack) => return Err(lacks(demand, lack)),
    };
    let mut answer = json!({
        "status": true,
        "acr": level.acr(),
        "amr": who.session.proofs.amr(),
        "authTime": who.session.auth_time.seconds(),
    });
    match mint(&app, &credentials, &who, &target, &requester).await {
        Ok(issued) => {
            answer["accessToken"] = issued.token.into();
            answer["tokenType"] = "Bearer".into();
            answer["expiresIn"] = issued.expires_in.into();
        }
        // Its next refresh brings one: a client that holds its refresh token itself sends none here.
        Err(Refused::RefreshTokenMissing) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((renewed(&app, &who), Json(answer)).into_response())
}

fn lacks(demand: Demand, lack: Lack) -> Error {
    let mut methods = second_step::all_methods(lack.steps);
    if lack.by_mail {
        methods.push("email");
    }
    let mut members = json!({ "methods": methods });
    let enrol = second_step::enrollable(lack.enrol);
    if !enrol.is_empty() {
        members["enrol"] = json!(enrol);
    }
    Error::StepUp(demand, members)
}

/// Proves the password again, for which a new session replaces the own one.
pub(in crate::http) async fn password(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account::<to::ResetFactors>()?;
    let password = body.text("password", MAX_PASSWORD);
    let password = body.finish(password)?;
    let (user, grant) = step_up::by_password(&app, own, &password, &requester).await?;
    let mut answer = json!({ "token": grant.session_token.expose(), "user": views::user(&user) });
    let mut headers = HeaderMap::new();
    deliver_anew(&app, &grant, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}
