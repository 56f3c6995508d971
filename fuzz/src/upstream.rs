//! Accounts of another service: questions whether one is to be connected, and rows of connected ones.

use countersign::crypto::upstream_state::{Linker, UnconfirmedLink, Urls};
use countersign::flows::session::form_token;
use countersign::model::federation::pending_link::PendingLink;
use std::time::Duration;
use url::form_urlencoded::byte_serialize;

use crate::service::{Service, get, post_form};

/// Returns a sealed question whether an account of another service is to be connected to the user.
pub fn question(service: &Service) -> String {
    let user = service.user();
    let email = service.new_email();
    let question = UnconfirmedLink {
        link: PendingLink {
            provider: "github".parse().expect("an id of a provider"),
            issuer: "https://github.com".into(),
            subject: email.clone(),
            session: None,
            email: Some(email.clone()),
            scopes: "user:email".into(),
        },
        linker: Linker {
            user: user.id.parse().expect("an id"),
            session: user.session.parse().expect("an id"),
        },
        urls: Urls::default(),
        // Each question is answered once.
        id: email,
        expires_at: service.app.now() + Duration::from_secs(60),
    };
    let sealed = question.seal(&service.masters().current().key);
    sealed.unwrap_or_else(|| "none".into())
}

/// Connects an account to the user, and returns the id of its row.
pub fn row(service: &Service) -> String {
    let user = service.user();
    let session = user.session.parse().expect("an id");
    let token = form_token::of(&service.app, session).expect("the keys are loaded");
    let token: String = byte_serialize(token.as_bytes()).collect();
    let body = format!("csrf={token}&link={}", question(service));
    service.ask(post_form(
        "/auth/account/connect",
        &user.cookies,
        body.into_bytes(),
    ));
    let listed = service.ask(get("/api/auth/list-accounts", &user.cookies));
    let listed = listed.json();
    let mut rows = listed.as_array().into_iter().flatten();
    let row = rows.find(|row| row["providerId"] == "github");
    row.and_then(|row| row["id"].as_str())
        .unwrap_or("none")
        .to_owned()
}
