//! The pages under `/auth`: forms that a browser sends and answers that people read. They call the
//! same flows as the API, work without script, and cannot be framed. All their routes are listed
//! here.

pub(in crate::http) mod account;
pub(super) mod ask;
mod assets;
mod console;
pub(super) mod device;
mod durations;
mod enrolment;
pub(super) mod failures;
pub(in crate::http) mod form;
pub(in crate::http) mod login;
pub(super) mod magic_link;
mod offers;
mod page;
mod passkey;
mod paths;
mod qr;
pub(super) mod returned;
mod strength;
mod typed;
mod upstream;
mod visitor;

use self::account::two_step::{self, by_mail, connections, forms as two_step_forms, passkeys};
use self::account::{connect, step_up};
use self::console::{acting, audit, keys, revoke_key, user, user_actions, user_sessions, users};
use self::login::{
    challenge, email_sign_in, enrol, enter_code, passwords, sign_in, sign_in_with, sign_up,
    verify_email,
};
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::app::App;

use crate::http::edge::{error, outermost};
pub(super) use page::Page;

/// Makes the routes of the account pages and the console.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(sign_in::front))
        .route("/auth", get(sign_in::front))
        .route("/auth/sign-in", get(sign_in::show).post(sign_in::send))
        .route(
            "/auth/sign-in/email",
            get(email_sign_in::show).post(email_sign_in::send),
        )
        .route("/auth/sign-in/code", post(enter_code::send))
        .route("/auth/sign-in/with", post(sign_in_with::send))
        .route(
            "/auth/challenge",
            get(challenge::show).post(challenge::send),
        )
        .route("/auth/challenge/send", post(challenge::mail))
        .route("/auth/challenge/enrol", post(enrol::begin))
        .route("/auth/sign-up", get(sign_up::show).post(sign_up::send))
        .route("/auth/sign-out", post(sign_in::sign_out))
        .route(
            "/auth/forgot-password",
            get(passwords::show_forgot).post(passwords::forgot),
        )
        .route(
            "/auth/reset-password",
            get(passwords::show_reset).post(passwords::reset),
        )
        .route(
            "/auth/verify-email",
            get(verify_email::show).post(verify_email::send),
        )
        .route("/auth/password-strength", post(strength::estimate))
        .route("/auth/account", get(account::show))
        .route("/auth/account/name", post(account::name))
        .route("/auth/account/verify", post(account::verify))
        .route("/auth/account/email", post(account::email))
        .route("/auth/account/password", post(account::password))
        .route("/auth/account/sessions/end", post(account::end_session))
        .route(
            "/auth/account/sessions/end-others",
            post(account::end_others),
        )
        .route("/auth/account/delete", post(account::delete))
        .route(
            "/auth/account/connect",
            get(connect::show).post(connect::send),
        )
        .route(
            "/auth/account/connections/connect",
            post(connections::connect),
        )
        .route(
            "/auth/account/connections/disconnect",
            post(connections::disconnect),
        )
        .route("/auth/account/security", get(two_step::show))
        .route("/auth/account/security/begin", post(two_step_forms::begin))
        .route(
            "/auth/account/security/confirm",
            post(two_step_forms::confirm),
        )
        .route("/auth/account/security/by-mail", post(by_mail::begin))
        .route("/auth/account/security/send", post(by_mail::send))
        .route("/auth/account/security/prove", post(two_step_forms::prove))
        .route("/auth/account/security/codes", post(two_step_forms::codes))
        .route(
            "/auth/account/security/turn-off",
            post(two_step_forms::turn_off),
        )
        .route(
            "/auth/account/security/passkeys/rename",
            post(passkeys::rename),
        )
        .route(
            "/auth/account/security/passkeys/delete",
            post(passkeys::delete),
        )
        .route("/auth/step-up", get(step_up::show).post(step_up::send))
        .route("/auth/step-up/send", post(step_up::mail))
        .route("/auth/admin", get(users::front))
        .route("/auth/admin/users", get(users::list))
        .route("/auth/admin/users/{id}", get(user::show))
        .route("/auth/admin/users/{id}/role", post(user_actions::set_role))
        .route("/auth/admin/users/{id}/ban", post(user_actions::ban))
        .route("/auth/admin/users/{id}/unban", post(user_actions::unban))
        .route(
            "/auth/admin/users/{id}/disable",
            post(user_actions::disable),
        )
        .route("/auth/admin/users/{id}/enable", post(user_actions::enable))
        .route(
            "/auth/admin/users/{id}/send-reset",
            post(user_actions::send_reset),
        )
        .route(
            "/auth/admin/users/{id}/send-verification",
            post(user_actions::send_verification),
        )
        .route(
            "/auth/admin/users/{id}/metadata",
            post(user_actions::set_metadata),
        )
        .route("/auth/admin/users/{id}/delete", post(user_actions::delete))
        .route("/auth/admin/users/{id}/act-as", post(acting::begin))
        .route("/auth/admin/stop-acting", post(acting::stop))
        .route(
            "/auth/admin/users/{id}/sessions/end",
            post(user_sessions::end_one),
        )
        .route(
            "/auth/admin/users/{id}/sessions/end-all",
            post(user_sessions::end_all),
        )
        .route("/auth/admin/keys", get(keys::show))
        .route("/auth/admin/keys/rotate", post(keys::rotate))
        .route(
            "/auth/admin/keys/{kid}/revoke",
            get(revoke_key::show).post(revoke_key::send),
        )
        .route("/auth/admin/audit", get(audit::show))
        .route("/auth/error", get(ask::error))
        .route("/auth/{*rest}", get(nothing_here))
        .method_not_allowed_fallback(paths::other_method)
}

/// Makes the routes of style, script and pictures, which the confirmation pages of links also need.
pub(super) fn assets() -> Router<Arc<App>> {
    Router::new()
        .route("/auth/assets/{name}", get(assets::file))
        .route("/auth/assets/theme.css", get(assets::theme))
        .route("/auth/assets/icon.svg", get(assets::icon))
        .route("/auth/assets/logo", get(assets::logo))
        .method_not_allowed_fallback(outermost::method_not_allowed_plain)
}

async fn nothing_here() -> Response {
    error::Error::NotFound.into_response()
}
