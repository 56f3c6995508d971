//! How a sign-in that waits for its second step reaches the client, and what a finished one changes:
//! in a browser by cookies, in a native client by members of the body.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::session_delivery::Replaced;
use crate::app::App;
use crate::flows::login::second_step::{Completed, Remembered};
use crate::flows::login::sign_in::PendingSignIn;
use crate::http::edge::cookies;
use crate::http::edge::cookies::{Clear, Name};
use crate::model::login::gate::Steps;
use crate::model::session::session::Delivery;

/// Returns the methods as the Better Auth client knows them; a recovery code stands for any of them.
fn methods(steps: Steps) -> Vec<&'static str> {
    let mailed = Steps::MAILED_CODE | Steps::MAILBOX;
    let passkeys = Steps::PASSKEY | Steps::VERIFIED_PASSKEY;
    [
        (Steps::TOTP, "totp"),
        (mailed, "otp"),
        (passkeys, "passkey"),
        (Steps::PASSWORD, "password"),
    ]
    .into_iter()
    .filter(|(step, _)| steps.intersects(*step))
    .map(|(_, name)| name)
    .collect()
}

/// Returns every method by which a session can be stepped up; the mailbox, which only another sign-in
/// proves, is not among them.
pub(in crate::http) fn all_methods(steps: Steps) -> Vec<&'static str> {
    let passkeys = Steps::PASSKEY | Steps::VERIFIED_PASSKEY;
    [
        (Steps::PASSWORD, "password"),
        (passkeys, "passkey"),
        (Steps::TOTP, "totp"),
        (Steps::MAILED_CODE, "otp"),
        (Steps::RECOVERY_CODE, "backup_code"),
    ]
    .into_iter()
    .filter(|(step, _)| steps.intersects(*step))
    .map(|(_, name)| name)
    .collect()
}

/// Returns the factors that can be enrolled.
pub(in crate::http) fn enrollable(steps: Steps) -> Vec<&'static str> {
    [
        (Steps::ENROL_TOTP, "totp"),
        (Steps::ENROL_PASSKEY, "passkey"),
    ]
    .into_iter()
    .filter(|(step, _)| steps.contains(*step))
    .map(|(_, name)| name)
    .collect()
}

/// Returns what a sign-in waits for: a code, or the enrolment of a first factor.
pub(in crate::http) fn asked(steps: Steps) -> Value {
    let mut answer = json!({ "twoFactorRedirect": true, "twoFactorMethods": methods(steps) });
    let enrol = enrollable(steps);
    if !enrol.is_empty() {
        answer["enrol"] = json!(enrol);
    }
    answer
}

/// Sets the cookie of the pending sign-in, and clears those of the session that the browser had.
pub(in crate::http) fn pending(
    app: &App,
    replaced: &Replaced<'_>,
    pending: &PendingSignIn,
) -> HeaderMap {
    let mut headers = replaced.cleared(app, Clear::Tokens);
    if pending.delivery == Delivery::Cookie {
        let until = Some(pending.expires_at);
        cookies::set(
            app,
            &mut headers,
            Name::Challenge,
            &pending.challenge,
            until,
        );
    }
    headers
}

/// Makes the answer of a pending sign-in; a native client gets its secret in the body.
pub(in crate::http) fn answer(pending: &PendingSignIn) -> Value {
    let mut answer = asked(pending.steps);
    if pending.delivery == Delivery::Body {
        answer["challenge"] = pending.challenge.as_str().into();
    }
    answer
}

/// Clears the cookie of the pending sign-in after it is done, and keeps the token of a device that
/// is to be remembered.
pub(in crate::http) fn completed(
    app: &App,
    completed: &Completed,
    answer: &mut Value,
    headers: &mut HeaderMap,
) {
    match completed.tokens.session.delivery {
        Delivery::Cookie => {
            forget_challenge(app, headers);
            if let Some(Remembered { token, until }) = &completed.remembered {
                cookies::set(app, headers, Name::Remembered, token, Some(*until));
                if completed.tokens.session.remember {
                    cookies::clear_one(app, headers, Name::DontRemember);
                }
            }
        }
        Delivery::Body => {
            if let Some(Remembered { token, .. }) = &completed.remembered {
                answer["trustedDeviceToken"] = token.as_str().into();
            }
        }
    }
}

/// Returns the page for the second step, with `query` behind it.
pub(in crate::http) fn page(app: &App, query: &str) -> String {
    let page = &app.config.two_factor.page;
    match query.strip_prefix('?') {
        Some(pair) if page.contains('?') => format!("{page}&{pair}"),
        _ => format!("{page}{query}"),
    }
}

/// Clears the cookie of a pending sign-in.
pub(in crate::http) fn forget_challenge(app: &App, headers: &mut HeaderMap) {
    cookies::clear_one(app, headers, Name::Challenge);
}

/// Clears the cookie of a remembered device, if the request has one.
pub(in crate::http) fn forget_device(app: &App, came: &[String], headers: &mut HeaderMap) {
    if !came.is_empty() {
        cookies::clear_one(app, headers, Name::Remembered);
    }
}
