//! `/auth/sign-in/with`: begins a sign-in at another issuer, from a button of the sign-in page or of
//! the page of a sign-up.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::app::App;
use crate::flows::federation::Urls;
use crate::flows::federation::begin::{self, Wanted};
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_WORD;
use crate::http::pages::page::Page;
use crate::http::pages::upstream::{after_failure, lead_to};

pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let next = body.redirect_to(&app)?;
    let signs_up = body.has("sign_up");
    let provider = body.text("provider", MAX_WORD);
    let provider = body.finish(provider)?;
    let wanted = Wanted {
        provider: provider.clone(),
        urls: Urls {
            done: Some(next.clone()).filter(|next| !next.is_empty()),
            new_user: None,
            failed: Some(after_failure(&next)),
        },
        request_sign_up: signs_up,
        ..Wanted::default()
    };
    let begun = begin::sign_in(&app, wanted, &requester).await?;
    Ok(lead_to(&page, &provider, &begun))
}
