//! `/email-otp/…` and `/sign-in/email-otp`: codes that are sent to a mailbox, and what they prove.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::mail_sign_in::{self, Arrival, NewProfile};
use crate::flows::account::mailbox::Proof;
use crate::flows::account::{change_email_by_code, reset_password, verify_email};
use crate::flows::limit::known_device;
use crate::flows::login::email_code::{self, Callbacks, Wanted};
use crate::flows::login::typed_code::{self, Typed};
use crate::flows::permit::to;
use crate::model::account::email::Email;
use crate::model::audit::event::Requester;
use crate::model::login::email_code::CodePurpose;

use super::mail_proofs::choose_password;
use crate::http::delivery::asker::Asker;
use crate::http::delivery::device::{know_again, know_anew};
use crate::http::delivery::email_code::{Asking, Held, give};
use crate::http::delivery::session_delivery::{Replaced, session_options};
use crate::http::delivery::signed_in;
use crate::http::delivery::views;
use crate::http::edge::body::{Fields, Submitted};
use crate::http::edge::client::Client;
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_DEVICE_TOKEN, MAX_EMAIL, MAX_PASSWORD, MAX_WORD};
use crate::http::edge::unchecked::Unchecked;

/// Reads `type`. A code for a change of the email address is not sent by email address alone.
fn purpose(body: &mut Fields) -> Unchecked<CodePurpose> {
    let word = body.text("type", MAX_WORD);
    let expected = "expected sign-in, email-verification or forget-password";
    body.check("type", word, expected, |word| match word.as_str() {
        "sign-in" => Some(CodePurpose::SignIn),
        "email-verification" => Some(CodePurpose::VerifyEmail),
        "forget-password" => Some(CodePurpose::ResetPassword),
        _ => None,
    })
}

/// The email address and the code of a body, and the binding of a native client.
struct Sent {
    email: String,
    code: String,
    binding: Option<String>,
    device: Option<String>,
}

impl Sent {
    fn read(body: &mut Fields) -> Unchecked<Self> {
        let email = body.text("email", MAX_EMAIL);
        let code = body.text("otp", MAX_WORD);
        let binding = body.text_or_nothing("binding", MAX_WORD);
        let device = body.text_or_nothing("deviceToken", MAX_DEVICE_TOKEN);
        email
            .zip(code)
            .zip(binding)
            .zip(device)
            .map(|(((email, code), binding), device)| Self {
                email,
                code,
                binding,
                device,
            })
    }

    fn email(&self) -> Result<Email, Error> {
        Ok(self.email.parse().map_err(|_| Refused::InvalidEmail)?)
    }

    fn held<'s>(&'s self, credentials: &'s Credentials) -> Held<'s> {
        Held::of(credentials, self.binding.as_deref(), self.device.as_deref())
    }
}

/// Mails a code, and gives its binding to the client.
async fn send(
    app: &App,
    purpose: CodePurpose,
    email: Email,
    client: &Asking,
    credentials: &Credentials,
    requester: &Requester,
) -> Result<Response, Error> {
    let wanted = Wanted {
        email,
        purpose,
        has_link: false,
        name: None,
        callbacks: Callbacks::default(),
    };
    let held = client.held(credentials);
    let asked = email_code::request(app, wanted, held.borrow(), requester).await?;
    let (mut answer, mut headers) = (json!({ "success": true }), HeaderMap::new());
    give(app, &asked, client.delivery, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}

pub(in crate::http) async fn send_code(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let email = body.text("email", MAX_EMAIL);
    let purpose = purpose(&mut body);
    let client = Asking::read(&mut body);
    let (email, purpose, client) = body.finish((email, purpose, client))?;
    let email = email.parse().map_err(|_| Refused::InvalidEmail)?;
    send(&app, purpose, email, &client, &credentials, &requester).await
}

pub(in crate::http) async fn request_reset(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let email = body.text("email", MAX_EMAIL);
    let client = Asking::read(&mut body);
    let (email, client) = body.finish((email, client))?;
    let email = email.parse().map_err(|_| Refused::InvalidEmail)?;
    let purpose = CodePurpose::ResetPassword;
    send(&app, purpose, email, &client, &credentials, &requester).await
}

pub(in crate::http) async fn check(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let sent = Sent::read(&mut body);
    let purpose = purpose(&mut body);
    let (sent, purpose) = body.finish((sent, purpose))?;
    let (email, held) = (sent.email()?, sent.held(&credentials));
    let typed = Typed {
        email: &email,
        code: &sent.code,
        holder: held.borrow(),
    };
    typed_code::look(&app, purpose, typed, &requester)
        .await
        .map_err(at_code)?;
    Ok(Json(json!({ "success": true })).into_response())
}

/// Maps errors: after a right code, an email address without an account is 400, as in Better Auth. Its
/// reader may know that.
fn at_code(error: Refused) -> Error {
    match error {
        Refused::UserNotFound => Error::Link(StatusCode::BAD_REQUEST, error),
        other => other.into(),
    }
}

pub(in crate::http) async fn verify(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let sent = Sent::read(&mut body);
    let sent = body.finish(sent)?;
    let (email, held) = (sent.email()?, sent.held(&credentials));
    let typed = Typed {
        email: &email,
        code: &sent.code,
        holder: held.borrow(),
    };
    let asker = Asker::of(&app, &credentials)
        .await?
        .with_device(sent.device.as_deref());
    let evidence = asker.evidence(None);
    let Proof {
        user,
        choose,
        device,
    } = verify_email::verify_by_code(&app, typed, evidence, &requester)
        .await
        .map_err(at_code)?;
    if let Some(choose) = choose {
        return Ok(choose_password(&app, &choose, None, false));
    }
    let answer = json!({ "status": true, "token": null, "user": views::user(&user) });
    let mut response = Json(answer).into_response();
    know_anew(&app, &credentials, &user, device, response.headers_mut());
    Ok(response)
}

pub(in crate::http) async fn reset(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let sent = Sent::read(&mut body);
    let password = body.text("password", MAX_PASSWORD);
    let (sent, password) = body.finish((sent, password))?;
    let (email, held) = (sent.email()?, sent.held(&credentials));
    let typed = Typed {
        email: &email,
        code: &sent.code,
        holder: held.borrow(),
    };
    let user = reset_password::reset_by_code(&app, typed, &password, &requester)
        .await
        .map_err(at_code)?;
    let mut response = Json(json!({ "success": true })).into_response();
    if credentials.from_browser {
        let device = known_device::token(&app, &user, None);
        know_anew(&app, &credentials, &user, device, response.headers_mut());
    }
    Ok(response)
}

pub(in crate::http) async fn sign_in(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    body.refuse_privileged()?;
    let sent = Sent::read(&mut body);
    let name = body.checked_text("name");
    let image = body.checked_text("image");
    let session = session_options(&mut body);
    let remembered = body.text_or_nothing("trustedDeviceToken", MAX_DEVICE_TOKEN);
    let (sent, name, image, (options, _callback), remembered) =
        body.finish((sent, name, image, session, remembered))?;
    let (email, held) = (sent.email()?, sent.held(&credentials));
    let typed = Typed {
        email: &email,
        code: &sent.code,
        holder: held.borrow(),
    };
    let asker = Asker::of(&app, &credentials)
        .await?
        .with_device(sent.device.as_deref());
    let presented = Replaced::of(&credentials)
        .with_device(sent.device.as_deref())
        .with_remembered(remembered.as_deref());
    let arrival = Arrival {
        options,
        presented: presented.borrow(),
        evidence: asker.evidence(None),
    };
    let profile = NewProfile { name, image };
    let done = mail_sign_in::by_code(&app, typed, profile, arrival, &requester).await?;
    Ok(signed_in::answer(&app, &done.signed_in, &presented, |_| {}))
}

pub(in crate::http) async fn request_change(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_way_in::<to::SetEmail>(&app)?;
    let new = body.text("newEmail", MAX_EMAIL);
    let code = body.text_or_nothing("otp", MAX_WORD);
    let binding = body.text_or_nothing("binding", MAX_WORD);
    let (new, code, binding) = body.finish((new, code, binding))?;
    let new = new.parse().map_err(|_| Refused::InvalidEmail)?;
    let held = Held::of(&credentials, binding.as_deref(), None);
    let code = code.as_deref();
    change_email_by_code::request(&app, own, new, code, held.borrow(), &requester).await?;
    Ok(Json(json!({ "success": true })).into_response())
}

pub(in crate::http) async fn change(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account::<to::SetEmail>()?;
    let new = body.text("newEmail", MAX_EMAIL);
    let code = body.text("otp", MAX_WORD);
    let (new, code) = body.finish((new, code))?;
    let new = new.parse().map_err(|_| Refused::InvalidEmail)?;
    let user = change_email_by_code::confirm(&app, own, &new, &code, &requester).await?;
    let (mut answer, mut headers) = (json!({ "success": true }), HeaderMap::new());
    know_again(&app, &who.session, &user, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}
