//! The routes. All of them are listed in this file; a handler parses, makes one call and builds the
//! answer. The JWKS, discovery and health are outside the layers that they do not need: they answer
//! from memory when everything else is slow or unavailable.

pub mod api;
mod delivery;
pub mod edge;
pub mod layers;
mod oauth;
mod pages;
mod well_known;

use self::api::{
    accounts, admin, admin_sessions, audit, email_codes, emails, health, invitations,
    linked_accounts as linked, magic_link, mail_proofs, ops, passkey_authentication,
    passkey_registration, passkeys, passwords, refresh, second_step, sessions, step_up, two_factor,
    upstream, upstream_callback as back, users,
};
use self::edge::client::Proxies;
use self::edge::{error, outermost, outside};
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};

use crate::app::App;

/// Largest body that is read, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Makes the router with all routes.
pub fn router(app: &Arc<App>) -> Router {
    let base = app.config.server.base_path.as_str();
    let at = |path: &str| format!("{base}{path}");
    let permits = layers::permits(app);
    let api = Router::new()
        .route(&at("/ok"), get(health::ok))
        .route(&at("/sign-up/email"), post(accounts::sign_up))
        .route(&at("/sign-in/email"), post(accounts::sign_in))
        .route(&at("/sign-out"), post(accounts::sign_out))
        .route(&at("/change-password"), post(accounts::change_password))
        .route(&at("/error"), get(pages::ask::error))
        .route(
            &at("/send-verification-email"),
            post(emails::send_verification),
        )
        .route(
            &at("/verify-email"),
            get(mail_proofs::open).post(mail_proofs::act),
        )
        .route(&at("/change-email"), post(emails::change_email))
        .route(&at("/delete-user"), post(emails::delete))
        .route(
            &at("/delete-user/callback"),
            get(emails::ask_to_delete).post(emails::delete_as_asked),
        )
        .route(&at("/request-password-reset"), post(passwords::request))
        .route(&at("/reset-password"), post(passwords::reset))
        .route(
            &at("/reset-password/{token}"),
            get(passwords::open).post(passwords::choose),
        )
        .route(&at("/two-factor/enable"), post(two_factor::enable))
        .route(
            &at("/two-factor/get-totp-uri"),
            post(two_factor::get_totp_uri),
        )
        .route(
            &at("/two-factor/verify-totp"),
            post(second_step::verify_totp),
        )
        .route(
            &at("/two-factor/verify-backup-code"),
            post(second_step::verify_backup_code),
        )
        .route(
            &at("/two-factor/generate-backup-codes"),
            post(two_factor::generate_backup_codes),
        )
        .route(&at("/two-factor/disable"), post(two_factor::disable))
        .route(&at("/two-factor/send-otp"), post(second_step::send_otp))
        .route(&at("/two-factor/verify-otp"), post(second_step::verify_otp))
        .route(
            &at("/two-factor/verify-password"),
            post(second_step::verify_password),
        )
        .route(&at("/step-up"), post(step_up::step_up))
        .route(&at("/step-up/password"), post(step_up::password))
        .route(&at("/update-user"), post(users::update))
        .route(&at("/verify-password"), post(users::verify_password))
        .route(&at("/update-session"), post(users::update_session))
        .route(&at("/admin/list-users"), get(admin::list_users))
        .route(&at("/admin/get-user"), get(admin::get_user))
        .route(&at("/admin/create-user"), post(admin::create_user))
        .route(&at("/admin/update-user"), post(admin::update_user))
        .route(&at("/admin/invite-user"), post(invitations::invite))
        .route(&at("/admin/audit"), get(audit::list))
        .route(&at("/admin/set-role"), post(admin::set_role))
        .route(&at("/admin/ban-user"), post(admin::ban_user))
        .route(&at("/admin/unban-user"), post(admin::unban_user))
        .route(&at("/admin/remove-user"), post(admin::remove_user))
        .route(
            &at("/admin/set-user-password"),
            post(admin::set_user_password),
        )
        .route(&at("/admin/reset-factors"), post(admin::reset_factors))
        .route(
            &at("/admin/list-user-sessions"),
            post(admin_sessions::list_sessions),
        )
        .route(
            &at("/admin/revoke-user-session"),
            post(admin_sessions::revoke_session),
        )
        .route(
            &at("/admin/revoke-user-sessions"),
            post(admin_sessions::revoke_sessions),
        )
        .route(&at("/admin/has-permission"), post(admin::has_permission))
        .route(
            &at("/admin/impersonate-user"),
            post(admin_sessions::impersonate_user),
        )
        .route(
            &at("/admin/stop-impersonating"),
            post(admin_sessions::stop_impersonating),
        )
        .route(&at("/session"), get(sessions::session))
        .route(
            &at("/get-session"),
            get(sessions::get_session).post(sessions::get_session),
        )
        .route(&at("/list-sessions"), get(sessions::list))
        .route(&at("/revoke-session"), post(sessions::revoke))
        .route(&at("/revoke-sessions"), post(sessions::revoke_all))
        .route(&at("/revoke-other-sessions"), post(sessions::revoke_others))
        .route(&at("/token"), get(sessions::token))
        .route(&at("/refresh"), post(refresh::refresh))
        .route(&at("/oauth2/token"), post(oauth::token))
        .route(&at("/oauth2/revoke"), post(oauth::revoke))
        .merge(by_mail(base))
        .merge(by_passkey(base))
        .merge(by_upstream(base))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed);
    let mut all = open(app)
        .merge(layers::of_api(app, &permits, api))
        .merge(pages::assets());
    if app.config.pages.enabled {
        all = all.merge(layers::of_pages(app, &permits, pages::router()));
    }
    let proxies = Proxies::new(&app.config.server.trusted_proxies);
    outermost(app, Some(proxies), all)
}

/// Makes the routes of sign-ins by mail, and of the other proofs by a code in a mail.
fn by_mail(base: &str) -> Router<Arc<App>> {
    let at = |path: &str| format!("{base}{path}");
    Router::new()
        .route(&at("/sign-in/magic-link"), post(magic_link::send))
        .route(
            &at("/magic-link/verify"),
            get(magic_link::open).post(magic_link::submit),
        )
        .route(&at("/sign-in/email-otp"), post(email_codes::sign_in))
        .route(
            &at("/email-otp/send-verification-otp"),
            post(email_codes::send_code),
        )
        .route(
            &at("/email-otp/check-verification-otp"),
            post(email_codes::check),
        )
        .route(&at("/email-otp/verify-email"), post(email_codes::verify))
        .route(
            &at("/email-otp/request-password-reset"),
            post(email_codes::request_reset),
        )
        .route(
            &at("/forget-password/email-otp"),
            post(email_codes::request_reset),
        )
        .route(&at("/email-otp/reset-password"), post(email_codes::reset))
        .route(
            &at("/email-otp/request-email-change"),
            post(email_codes::request_change),
        )
        .route(&at("/email-otp/change-email"), post(email_codes::change))
}

/// Makes the routes of passkeys.
fn by_passkey(base: &str) -> Router<Arc<App>> {
    let at = |path: &str| format!("{base}{path}");
    Router::new()
        .route(
            &at("/passkey/generate-register-options"),
            get(passkey_registration::begin),
        )
        .route(
            &at("/passkey/verify-registration"),
            post(passkey_registration::add),
        )
        .route(
            &at("/passkey/generate-authenticate-options"),
            get(passkey_authentication::begin),
        )
        .route(
            &at("/passkey/verify-authentication"),
            post(passkey_authentication::prove),
        )
        .route(&at("/passkey/list-user-passkeys"), get(passkeys::list))
        .route(&at("/passkey/update-passkey"), post(passkeys::rename))
        .route(&at("/passkey/delete-passkey"), post(passkeys::remove))
        .route(&at("/passkey/signals"), get(passkeys::signals))
}

/// Makes the routes of sign-ins at other issuers, and of the accounts that are linked.
fn by_upstream(base: &str) -> Router<Arc<App>> {
    let at = |path: &str| format!("{base}{path}");
    Router::new()
        .route(&at("/sign-in/social"), post(upstream::sign_in))
        .route(&at("/link-social"), post(upstream::link))
        .route(
            &at("/callback/{id}"),
            get(back::redirected).post(back::posted),
        )
        .route(&at("/upstream/{id}/logout"), post(oauth::log_out))
        .route(&at("/list-accounts"), get(linked::list))
        .route(&at("/unlink-account"), post(linked::unlink))
        .route(&at("/account-info"), get(linked::account_info))
        .route(&at("/get-access-token"), post(linked::access_token))
        .route(&at("/refresh-token"), post(linked::refresh_token))
}

/// Makes the routes that are answered from memory under any load: keys, discovery and health.
fn open(app: &Arc<App>) -> Router<Arc<App>> {
    let open = Router::new()
        .route(
            &format!("{}/jwks", app.config.server.base_path),
            get(well_known::jwks).options(well_known::preflight),
        )
        .route(
            &format!("{}/jwks/{{name}}", app.config.server.base_path),
            get(well_known::jwks_of).options(well_known::preflight),
        )
        .route(
            "/.well-known/jwks.json",
            get(well_known::jwks).options(well_known::preflight),
        )
        .route(
            "/.well-known/webauthn",
            get(well_known::related_origins).options(well_known::preflight),
        )
        .route("/health", get(health::health))
        .route("/health/ready", get(health::ready));
    let targets = &app.config.tokens.targets;
    let default = well_known::paths(targets.default().issuer.as_str());
    let open = default.iter().fold(open, |router, path| {
        router.route(
            path,
            get(well_known::discovery).options(well_known::preflight),
        )
    });
    let own = targets
        .named()
        .flat_map(|target| well_known::own_paths(target.issuer.as_str()));
    let own: BTreeSet<String> = own.filter(|path| !default.contains(path)).collect();
    own.iter()
        .fold(open, |router, path| {
            router.route(
                path,
                get(well_known::discovery_of).options(well_known::preflight),
            )
        })
        .method_not_allowed_fallback(outermost::method_not_allowed_plain)
}

/// Makes the router for connections over a limit: answers from memory; all else is 503 at once.
pub fn essential_router(app: &Arc<App>) -> Router {
    let refused = layers::of_refusals(app, Router::new().fallback(error::busy));
    outermost(app, None, open(app).merge(pages::assets()).merge(refused))
}

fn outermost(app: &Arc<App>, proxies: Option<Proxies>, routes: Router<Arc<App>>) -> Router {
    let routes = layers::of_everything(app, proxies, routes);
    outside::inward(app, routes.with_state(Arc::clone(app)))
}

/// Makes the router for `server.ops_listen`, which only operators can reach.
pub fn ops_router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(ops::metrics))
        .route(crate::flows::key::verifiers::PATH, get(ops::verifiers))
        .route("/health", get(health::health))
        .route("/health/ready", get(health::ready))
        .layer(from_fn(outermost::edge))
        .with_state(Arc::clone(app))
}
