//! `/auth/account/security`: whether one's own sign-in has a second step, the forms that begin to
//! set it up, and, once it is on, the forms that change it; and the passkeys. A change needs a code
//! or a passkey of a short time ago; until then the page offers only what proves it.

pub(in crate::http::pages) mod by_mail;
mod connection_list;
pub(in crate::http::pages) mod connections;
pub(in crate::http::pages) mod forms;
mod passkey_list;
pub(in crate::http::pages) mod passkeys;
mod way;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::flows::account::passkeys as own_passkeys;
use crate::flows::account::two_factor;
use crate::flows::account::two_factor::State;
use crate::flows::federation::links;
use crate::flows::permit::to;
use crate::http::edge::demand;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_WORD};
use crate::http::edge::query::Query;
use crate::http::edge::redirects::query_of;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::visitor::SignedIn;
use crate::model::login::gate::Factors;
use crate::model::login::policy::Demand;
use crate::model::login::proof::Proof;

use connection_list::Connections;
use passkey_list::{Needs, Passkeys};
use way::By;

#[derive(Template)]
#[template(path = "pages/security.html")]
struct Security<'p> {
    p: &'p Page,
    email: &'p str,
    state: State,
    /// Whether a code by email can be the second step of this session, which began with the password.
    can_mail: bool,
    /// Whether a code was sent, and the page has the form for it.
    is_sent: bool,
    /// How the second step is proven again.
    by: By,
    /// The pages for the other ways, each with the key of its text.
    others: Vec<(&'static str, &'static str)>,
    /// The page on which the user signs in again.
    sign_in: String,
    /// The page on which the user proves again who is there.
    prove_page: String,
    /// How many recovery codes are left, in words.
    left: String,
    set_up: &'p Form,
    by_mail: &'p Form,
    step_up: &'p Form,
    mailed: &'p Form,
    sends: &'p Form,
    recovery: &'p Form,
    renew: &'p Form,
    turn_off: &'p Form,
    passkeys: Passkeys<'p>,
    connections: Connections<'p>,
    /// A form that was sent and that the page does not show to this user now: its message alone.
    elsewhere: Option<&'p Form>,
}

impl Security<'_> {
    fn has_password(&self) -> bool {
        self.state.factors.contains(Factors::PASSWORD)
    }

    /// Returns whether an authenticator app is confirmed.
    fn has_app(&self) -> bool {
        self.state.factors.contains(Factors::TOTP)
    }

    /// Lists the forms that the page shows.
    fn visible(&self) -> &'static [&'static str] {
        match (self.state.is_on, self.state.is_fresh) {
            (false, _) if self.is_sent => &["set-up", "mailed"],
            (false, _) if self.can_mail => &["set-up", "by-mail"],
            (false, _) => &["set-up"],
            (true, false) => self.by.forms(self.is_sent),
            (true, true) if self.has_app() => &["renew", "turn-off"],
            (true, true) => &["set-up", "turn-off"],
        }
    }
}

/// Shows the page with one of its forms as it was sent, and why it was refused.
async fn security(
    visitor: &SignedIn,
    sent: Form,
    refused: Option<Error>,
) -> Result<Response, Error> {
    let SignedIn { page, who, .. } = visitor;
    let own = who.own_account::<to::ResetFactors>()?;
    let state = two_factor::state(&page.app, &own).await?;
    let has_password = state.factors.contains(Factors::PASSWORD);
    // Beside a sign-in by email it would prove the same mailbox twice.
    let can_mail = state.can_mail && has_password && who.session.proofs.contains(Proof::Password);
    let by = By::of(&sent, &state, can_mail);
    let fresh = [
        "set-up", "by-mail", "step-up", "mailed", "send", "recovery", "renew", "turn-off",
    ]
    .map(Form::new);
    let form = |id: &str| match fresh.iter().find(|form| form.id() == id) {
        // The form that sends a code again stands in the place of the one that sends the first.
        Some(fresh) if sent.id() != id && !(sent.id() == "again" && id == "send") => fresh,
        _ => &sent,
    };
    let left = u64::try_from(state.codes_left).unwrap_or(0);
    let stored = own_passkeys::list(&page.app, who).await?;
    let back = page
        .app
        .config
        .server
        .mount
        .outside("/auth/account/security");
    let fresh_for = Demand {
        level: None,
        max_age: Some(page.app.config.sessions.fresh_for),
    };
    let prove_page = format!(
        "/auth/step-up?{}{}",
        demand::to_query(fresh_for),
        query_of(&back).replacen('?', "&", 1)
    );
    let sign_in = format!(
        "/auth/sign-in?again=1{}",
        query_of(&back).replacen('?', "&", 1)
    );
    let needs = match (own_passkeys::is_fresh(&page.app, own), state.is_fresh) {
        (true, _) => Needs::Nothing,
        (false, true) => Needs::Proof,
        (false, false) => Needs::Step,
    };
    let passkeys = Passkeys::of(page, &stored, &sent, &prove_page, needs);
    let linked = links::of_user(&page.app, who.user.id).await?;
    let connections = Connections::of(page, &linked, &sent, needs);
    let mut shown = Security {
        p: page,
        email: who.user.email.as_str(),
        can_mail,
        is_sent: can_mail && matches!(sent.id(), "mailed" | "again"),
        by,
        others: by.others(&state, can_mail),
        sign_in,
        prove_page,
        left: page.words.counted("security.codes_left", left),
        state,
        set_up: form("set-up"),
        by_mail: form("by-mail"),
        step_up: form("step-up"),
        mailed: form("mailed"),
        sends: form("send"),
        recovery: form("recovery"),
        renew: form("renew"),
        turn_off: form("turn-off"),
        passkeys,
        connections,
        elsewhere: None,
    };
    let is_shown = shown.visible().contains(&sent.id())
        || shown.passkeys.shows_sent()
        || shown.connections.shows_sent();
    shown.elsewhere = (!is_shown).then_some(&sent);
    Ok(match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    })
}

/// Shows the page to its user; an admin who acts as the user does not see it.
pub(in crate::http::pages) async fn show(
    visitor: SignedIn,
    query: Query,
) -> Result<Response, Error> {
    let done = query.no_longer_than("done", MAX_CODE);
    let id = match query.no_longer_than("with", MAX_WORD) {
        Some("recovery") => "recovery",
        Some("email") if matches!(done, Some("sent" | "sent_again")) => "mailed",
        Some("email") => "send",
        _ => "step-up",
    };
    let form = match query.no_longer_than("error", MAX_CODE) {
        Some(code) => not_connected(&visitor.page, code),
        None => Form::new(id),
    };
    security(&visitor, form, None).await
}

/// Makes the message of an account that was not connected, for the error that the answer of the provider
/// was refused with.
fn not_connected(page: &Page, code: &str) -> Form {
    let mut form = Form::new("connect");
    match Page::word_of(code) {
        Some(word) => form.say_text(page.refused_text(word)),
        None => form.say(page, "connections.failed"),
    }
    form
}
