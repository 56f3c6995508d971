//! `/auth/step-up`: proves again that it is the user, as strongly and as recently as a backend or a page
//! demands (RFC 9470). Each proof replaces the session; once the demand is met, the browser goes on to
//! where it wanted to go.

mod way;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::step_up::{self, Lack, Standing};
use crate::flows::account::two_factor_session;
use crate::flows::login::factor_code::Code;
use crate::flows::permit::to;
use crate::flows::session::open_session::SessionTokens;
use crate::http::delivery::session_delivery::deliver_anew;
use crate::http::delivery::views;
use crate::http::edge::demand;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_PASSWORD, MAX_WORD};
use crate::http::edge::query::Query;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::passkey::{self, Button};
use crate::http::pages::paths::with_next;
use crate::http::pages::visitor::{OwnForm, SignedIn, see_other};
use crate::model::account::user::User;
use crate::model::login::gate::Steps;
use crate::model::login::policy::Demand;

use way::Way;

const PAGE: &str = "/auth/step-up";

/// What is demanded, and where the browser goes after it.
struct Wanted {
    demand: Demand,
    next: String,
}

impl Wanted {
    /// Returns the path of this page with the demand, the form for `way` and the redirect target.
    fn page(&self, way: Option<Way>, done: Option<&str>) -> String {
        let mut pairs = vec![demand::to_query(self.demand)];
        pairs.extend(way.map(|way| format!("with={}", way.name())));
        pairs.extend(done.map(|done| format!("done={done}")));
        pairs.retain(|pair| !pair.is_empty());
        let path = if pairs.is_empty() {
            PAGE.to_owned()
        } else {
            format!("{PAGE}?{}", pairs.join("&"))
        };
        with_next(&path, &self.next)
    }
}

#[derive(Template)]
#[template(path = "pages/step_up.html")]
struct StepUp<'p> {
    p: &'p Page,
    email: &'p str,
    next: &'p str,
    acr_values: &'static str,
    max_age: String,
    /// The form that the page shows; `None` if no form leads further.
    way: Option<Way>,
    f: &'p Form,
    /// The form that sends a code.
    sends: &'p Form,
    is_sent: bool,
    /// The pages for the other ways, each with the key of its text.
    others: Vec<(String, &'static str)>,
    /// The page of a sign-in by email that would be a proof; empty if there is none.
    by_mail: String,
    /// The button for a passkey, where one leads further.
    passkey: Option<Button>,
    /// Whether a new factor would be one.
    enrols: bool,
}

/// A form of the page, as it is shown.
struct Shown {
    way: Option<Way>,
    form: Form,
    sends: Form,
    is_sent: bool,
}

impl Shown {
    fn of(way: Option<Way>, is_sent: bool) -> Self {
        Self {
            way,
            form: way.map_or_else(|| Form::new("step-up"), Way::form),
            sends: Form::new(if is_sent { "again" } else { "send" }),
            is_sent,
        }
    }

    fn answer(
        &self,
        visitor: &SignedIn,
        wanted: &Wanted,
        lack: Lack,
        refused: Option<Error>,
    ) -> Response {
        let page = &visitor.page;
        let mount = &page.app.config.server.mount;
        let way = Way::of(self.way, lack.steps);
        // Another form than the one that was sent is shown empty.
        let empty = way.map_or_else(|| Form::new("step-up"), Way::form);
        let form = if way == self.way { &self.form } else { &empty };
        let others = Way::ALL
            .into_iter()
            .filter(|other| Some(*other) != way && lack.steps.intersects(other.step()));
        let passkeys = lack
            .steps
            .intersects(Steps::PASSKEY | Steps::VERIFIED_PASSKEY);
        let back = mount.outside(&wanted.page(None, None)).into_owned();
        let shown = StepUp {
            p: page,
            email: visitor.who.user.email.as_str(),
            next: &wanted.next,
            acr_values: wanted.demand.level.map_or("", |level| level.acr()),
            max_age: wanted
                .demand
                .max_age
                .map_or_else(String::new, |age| age.as_secs().to_string()),
            way,
            f: form,
            sends: &self.sends,
            is_sent: self.is_sent,
            others: others
                .map(|other| (wanted.page(Some(other), None), other.link()))
                .collect(),
            by_mail: if lack.by_mail {
                with_next("/auth/sign-in/email?again=1", &back)
            } else {
                String::new()
            },
            passkey: passkeys.then(|| {
                let key = if way.is_none() {
                    "passkey.use"
                } else {
                    "passkey.instead"
                };
                let here = wanted.page(None, None);
                Button::new(&page.app, passkey::Way::Prove, key, &here).main(way.is_none())
            }),
            enrols: !lack.enrol.is_empty(),
        };
        match refused {
            None => Page::answer(&shown, StatusCode::OK, &wanted.next),
            Some(error) => Page::refuse(&shown, error, &wanted.next),
        }
    }
}

/// Shows the page, or goes on if the demand is met.
async fn page(
    visitor: &SignedIn,
    wanted: &Wanted,
    shown: &Shown,
    refused: Option<Error>,
) -> Result<Response, Error> {
    let app = &visitor.page.app;
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    match step_up::standing(app, own, wanted.demand).await? {
        Standing::Suffices(_) => {
            let next = &wanted.next;
            let home = &app.config.pages.home;
            Ok(see_other(if next.is_empty() { home } else { next }))
        }
        Standing::Lacks(lack) => Ok(shown.answer(visitor, wanted, lack, refused)),
    }
}

/// Shows the form that the query asks for, or the first one that leads further.
pub(in crate::http::pages) async fn show(
    visitor: SignedIn,
    mut query: Query,
) -> Result<Response, Error> {
    let next = query.redirect_to(&visitor.page.app)?;
    let demand = demand::in_query(&mut query);
    let demand = query.finish(demand)?;
    let name = query.no_longer_than("with", MAX_WORD);
    let way = Way::ALL.into_iter().find(|way| Some(way.name()) == name);
    let done = query.no_longer_than("done", MAX_CODE);
    let is_sent = way == Some(Way::Mailed) && matches!(done, Some("sent" | "sent_again"));
    let wanted = Wanted { demand, next };
    let shown = Shown::of(way, is_sent);
    page(&visitor, &wanted, &shown, None).await
}

/// Delivers the session that replaces the own one, and shows what is still lacking, or goes on.
fn go_on(app: &App, user: &User, tokens: &SessionTokens, wanted: &Wanted) -> Response {
    let mut headers = HeaderMap::new();
    let mut told = serde_json::json!({ "user": views::user(user) });
    deliver_anew(app, tokens, &mut told, &mut headers);
    (headers, see_other(&wanted.page(None, None))).into_response()
}

/// Sends a code by email, and redirects to the form for it.
pub(in crate::http::pages) async fn mail(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    let is_again = fields.has("again");
    let next = fields.redirect_to(&app)?;
    let demand = demand::in_form(&mut fields);
    let demand = fields.finish(demand)?;
    let wanted = Wanted { demand, next };
    let mut shown = Shown::of(Some(Way::Mailed), is_again);
    if is_stale {
        shown.sends.say(&visitor.page, "error.INVALID_FORM_TOKEN");
        return page(&visitor, &wanted, &shown, Some(Error::InvalidFormToken)).await;
    }
    match two_factor_session::send_code(&app, own, &visitor.requester).await {
        Ok(()) => {
            let done = if is_again { "sent_again" } else { "sent" };
            Ok(see_other(&wanted.page(Some(Way::Mailed), Some(done))))
        }
        Err(error) => {
            let error = shown.sends.refused(&visitor.page, error.into())?;
            page(&visitor, &wanted, &shown, Some(error)).await
        }
    }
}

/// Takes the password or a code, or shows the form again with the reason.
pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    let mut read = |name| fields.optional_text(name, MAX_PASSWORD);
    let (current, mailed, recovery) = (read("current"), read("mailed"), read("recovery"));
    let code = read("code").or_default();
    let next = fields.redirect_to(&app)?;
    let demand = demand::in_form(&mut fields);
    let (current, mailed, recovery, code, demand) =
        fields.finish((current, mailed, recovery, code, demand))?;
    let wanted = Wanted { demand, next };
    let (way, text) = match (current, mailed, recovery) {
        (Some(current), ..) => (Way::Password, current),
        (_, Some(mailed), _) => (Way::Mailed, mailed),
        (.., Some(recovery)) => (Way::Recovery, recovery),
        _ => (Way::App, code),
    };
    let (page_of, mut shown) = (&visitor.page, Shown::of(Some(way), way.is_mailed()));
    if is_stale {
        shown.form.say(page_of, "error.INVALID_FORM_TOKEN");
        return page(&visitor, &wanted, &shown, Some(Error::InvalidFormToken)).await;
    }
    let checked = match way {
        Way::Password => shown.form.required(page_of, "current", text),
        Way::App => shown.form.six_digits(page_of, "code", &text),
        Way::Mailed => shown.form.six_digits(page_of, "mailed", &text),
        Way::Recovery => shown.form.required(page_of, "recovery", text),
    };
    let text = match shown.form.finish(checked) {
        Ok(text) => text,
        Err(error) => return page(&visitor, &wanted, &shown, Some(error)).await,
    };
    let requester = &visitor.requester;
    let proven = match way {
        Way::Password => step_up::by_password(&app, own, &text, requester).await,
        Way::App => two_factor_session::step_up(&app, own, Code::Totp(&text), requester).await,
        Way::Mailed => two_factor_session::step_up(&app, own, Code::Mailed(&text), requester).await,
        Way::Recovery => {
            two_factor_session::step_up(&app, own, Code::Recovery(&text), requester).await
        }
    };
    match proven {
        Ok((user, tokens)) => Ok(go_on(&app, &user, &tokens, &wanted)),
        Err(error) => {
            // The code is no longer good: the page offers to send another one.
            shown.is_sent &= !matches!(error, Refused::OtpHasExpired | Refused::TooManyAttempts);
            let error = shown.form.refused(page_of, error.into())?;
            page(&visitor, &wanted, &shown, Some(error)).await
        }
    }
}
