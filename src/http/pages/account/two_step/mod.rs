//! `/auth/account/security`: whether one's own sign-in has a second step, the form that begins to
//! set it up, and, once it is on, the forms that change it. A change needs a code that was entered
//! a short time ago; until then the page offers only the form for a code.

mod enrolment;
pub(in crate::http::pages) mod forms;
mod qr;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::flows::account::two_factor;
use crate::flows::account::two_factor::State;
use crate::flows::permit::to;
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_WORD;
use crate::http::edge::query::Query;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::visitor::SignedIn;

#[derive(Template)]
#[template(path = "pages/security.html")]
struct Security<'p> {
    p: &'p Page,
    email: &'p str,
    state: State,
    /// How many recovery codes are left, in words.
    left: String,
    set_up: &'p Form,
    step_up: &'p Form,
    by_recovery: bool,
    renew: &'p Form,
    turn_off: &'p Form,
    /// A form that was sent and that the page does not show to this user now: its message alone.
    elsewhere: Option<&'p Form>,
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
    let fresh = ["set-up", "step-up", "renew", "turn-off"].map(Form::new);
    // A recovery code takes the place of a code of the app.
    let by_recovery = sent.id() == "recovery";
    let form = |at: usize| {
        if sent.id() == fresh[at].id() || (by_recovery && at == 1) {
            &sent
        } else {
            &fresh[at]
        }
    };
    let visible: &[&str] = match (state.is_on, state.is_fresh) {
        (false, _) => &["set-up"],
        (true, false) => &["step-up", "recovery"],
        (true, true) => &["renew", "turn-off"],
    };
    let left = u64::try_from(state.codes_left).unwrap_or(0);
    let shown = Security {
        p: page,
        email: who.user.email.as_str(),
        state,
        left: page.words.counted("security.codes_left", left),
        set_up: form(0),
        step_up: form(1),
        by_recovery,
        renew: form(2),
        turn_off: form(3),
        elsewhere: Some(&sent).filter(|sent| !visible.contains(&sent.id())),
    };
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
    let by_recovery = query.no_longer_than("with", MAX_WORD) == Some("recovery");
    let form = Form::new(if by_recovery { "recovery" } else { "step-up" });
    security(&visitor, form, None).await
}
