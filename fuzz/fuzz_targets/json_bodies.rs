//! Bodies of the API: the first line names the path and, after a space, the content type; the rest
//! is the body, in which placeholders become ids, email addresses and tokens of the database.
#![no_main]

use axum::http::{HeaderValue, header};
use countersign_fuzz::placeholders::lives;
use countersign_fuzz::service::post_json;
use countersign_fuzz::{Answer, Person, SERVICE, filled, twins, two_step};
use libfuzzer_sys::fuzz_target;

/// Who sends the body.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Anyone,
    User,
    Admin,
    /// A user who signs in with a second step.
    Enrolled,
    /// The same user, whose sign-in waits for the second step.
    Pending,
}
use By::{Admin, Anyone, Enrolled, Pending, User};

/// A path that takes a body.
struct Endpoint {
    path: &'static str,
    by: By,
    /// A body that the service accepts.
    good: &'static str,
    /// Whether an accepted body may change or end the user of the placeholders.
    changes: bool,
}

const fn endpoint(path: &'static str, by: By, good: &'static str) -> Endpoint {
    Endpoint {
        path,
        by,
        good,
        changes: false,
    }
}

const fn changing(path: &'static str, by: By, good: &'static str) -> Endpoint {
    Endpoint {
        path,
        by,
        good,
        changes: true,
    }
}

/// Every path of the API that takes a body; an architecture test compares the list with the routes.
const ENDPOINTS: [Endpoint; 70] = [
    endpoint(
        "sign-in/social",
        Anyone,
        r#"{"provider":"github","callbackURL":"/welcome","newUserCallbackURL":"/new","errorCallbackURL":"/failed","disableRedirect":true,"requestSignUp":true,"scopes":["gist"],"loginHint":"$EMAIL","additionalParams":{"allow_signup":"false"},"tokenDelivery":"body","deviceToken":"x","trustedDeviceToken":"x"}"#,
    ),
    endpoint(
        "link-social",
        User,
        r#"{"provider":"github","callbackURL":"/welcome","errorCallbackURL":"/failed","disableRedirect":true,"scopes":["gist"]}"#,
    ),
    changing("unlink-account", User, r#"{"accountId":"$CONNECTED"}"#),
    endpoint("get-access-token", User, r#"{"accountId":"$CONNECTED"}"#),
    endpoint("refresh-token", User, r#"{"accountId":"$CONNECTED"}"#),
    endpoint(
        "callback/github",
        Anyone,
        "state=x&code=y&iss=https%3A%2F%2Fgithub.com&error=access_denied&user=%7B%7D&sentFromHere=yes",
    ),
    endpoint("upstream/github/logout", Anyone, "logout_token=x.y.z"),
    endpoint(
        "sign-up/email",
        Anyone,
        r#"{"name":"Eva","email":"$NEW","password":"a good long password","image":"https://example.com/a.png","tokenDelivery":"body","rememberMe":false}"#,
    ),
    endpoint(
        "sign-in/email",
        Anyone,
        r#"{"email":"$EMAIL","password":"a good long password","callbackURL":"/welcome","deviceToken":"x"}"#,
    ),
    endpoint(
        "refresh",
        Anyone,
        r#"{"refreshToken":"$REFRESH","attempt":"AAECAwQFBgcICQoLDA0ODw"}"#,
    ),
    endpoint(
        "oauth2/token",
        Anyone,
        "grant_type=refresh_token&refresh_token=$REFRESH",
    ),
    changing(
        "oauth2/revoke",
        Anyone,
        "token=$REFRESH&token_type_hint=refresh_token",
    ),
    changing(
        "sign-out",
        Anyone,
        r#"{"refreshToken":"$REFRESH","token":"$TOKEN"}"#,
    ),
    endpoint(
        "request-password-reset",
        Anyone,
        r#"{"email":"$EMAIL","redirectTo":"/welcome"}"#,
    ),
    changing(
        "reset-password",
        Anyone,
        r#"{"newPassword":"another good password","token":"$RESET"}"#,
    ),
    endpoint(
        "send-verification-email",
        User,
        r#"{"email":"$EMAIL","callbackURL":"/welcome"}"#,
    ),
    changing(
        "verify-email",
        User,
        r#"{"token":"$VERIFY","callbackURL":"/welcome"}"#,
    ),
    endpoint("get-session", User, "{}"),
    changing(
        "change-password",
        User,
        r#"{"currentPassword":"a good long password","newPassword":"another good password","revokeOtherSessions":true}"#,
    ),
    endpoint(
        "change-email",
        User,
        r#"{"newEmail":"$NEW","callbackURL":"/welcome"}"#,
    ),
    changing(
        "delete-user",
        User,
        r#"{"password":"a good long password"}"#,
    ),
    changing(
        "delete-user/callback",
        User,
        r#"{"token":"$DELETE","callbackURL":"/welcome"}"#,
    ),
    endpoint("update-user", User, r#"{"name":"Eva","image":null}"#),
    // Changes nothing: a session has no fields of the client's.
    endpoint("update-session", User, "{}"),
    endpoint(
        "verify-password",
        User,
        r#"{"password":"a good long password"}"#,
    ),
    endpoint(
        "step-up",
        User,
        r#"{"acrValues":"urn:countersign:acr:1fa urn:other","maxAge":86400}"#,
    ),
    changing(
        "step-up/password",
        User,
        r#"{"password":"a good long password"}"#,
    ),
    endpoint(
        "two-factor/enable",
        User,
        r#"{"password":"a good long password","method":"totp","issuer":"Fuzz"}"#,
    ),
    // Shows the secret that the path before has made.
    endpoint(
        "two-factor/get-totp-uri",
        User,
        r#"{"password":"a good long password"}"#,
    ),
    endpoint(
        "two-factor/verify-totp",
        Pending,
        r#"{"code":"$NEXT_CODE","trustDevice":true,"deviceToken":"x"}"#,
    ),
    endpoint(
        "two-factor/verify-backup-code",
        Pending,
        r#"{"code":"$RECOVERY_CODE","trustDevice":false}"#,
    ),
    endpoint(
        "two-factor/generate-backup-codes",
        Enrolled,
        r#"{"password":"a good long password"}"#,
    ),
    endpoint(
        "two-factor/disable",
        Enrolled,
        r#"{"password":"a good long password"}"#,
    ),
    endpoint("two-factor/send-otp", Pending, "{}"),
    endpoint(
        "two-factor/verify-otp",
        Pending,
        r#"{"code":"$CODE_STEP","trustDevice":true,"deviceToken":"x"}"#,
    ),
    changing(
        "two-factor/verify-password",
        User,
        r#"{"password":"a good long password","trustDevice":true,"deviceToken":"x"}"#,
    ),
    // The browser makes it without its user, so the session stays.
    endpoint(
        "passkey/verify-registration",
        User,
        r#"{$MADE_PASSKEY,"name":"Fuzz","createSession":true,"trustDevice":true,"deviceToken":"x"}"#,
    ),
    endpoint(
        "passkey/verify-authentication",
        Anyone,
        r#"{$USE_PASSKEY,"tokenDelivery":"body","rememberMe":false,"trustDevice":true,"deviceToken":"x","trustedDeviceToken":"x"}"#,
    ),
    endpoint(
        "passkey/update-passkey",
        User,
        r#"{"id":"$PASSKEY","name":"Fuzz"}"#,
    ),
    changing("passkey/delete-passkey", User, r#"{"id":"$PASSKEY"}"#),
    endpoint(
        "sign-in/magic-link",
        Anyone,
        r#"{"email":"$EMAIL","name":"Eva","callbackURL":"/welcome","newUserCallbackURL":"/new","errorCallbackURL":"/failed","metadata":{"a":1},"tokenDelivery":"body"}"#,
    ),
    changing(
        "magic-link/verify",
        Anyone,
        r#"{"token":"$LINK","tokenDelivery":"body","rememberMe":false,"deviceToken":"x","trustedDeviceToken":"x"}"#,
    ),
    endpoint(
        "email-otp/send-verification-otp",
        Anyone,
        r#"{"email":"$EMAIL","type":"sign-in","tokenDelivery":"body","binding":"x","deviceToken":"x"}"#,
    ),
    changing(
        "sign-in/email-otp",
        Anyone,
        r#"{"email":"$EMAIL","otp":"$CODE_SIGN_IN","name":"Eva","image":"https://example.com/a.png","binding":"x","tokenDelivery":"body","rememberMe":false}"#,
    ),
    endpoint(
        "email-otp/check-verification-otp",
        Anyone,
        r#"{"email":"$EMAIL","type":"forget-password","otp":"$CODE_RESET","binding":"x"}"#,
    ),
    changing(
        "email-otp/verify-email",
        User,
        r#"{"email":"$EMAIL","otp":"$CODE_VERIFY"}"#,
    ),
    endpoint(
        "email-otp/request-password-reset",
        Anyone,
        r#"{"email":"$EMAIL","tokenDelivery":"body"}"#,
    ),
    endpoint("forget-password/email-otp", Anyone, r#"{"email":"$EMAIL"}"#),
    changing(
        "email-otp/reset-password",
        Anyone,
        r#"{"email":"$EMAIL","otp":"$CODE_RESET","password":"another good password"}"#,
    ),
    // The mailbox of the user is not verified, so the second member is not needed.
    endpoint(
        "email-otp/request-email-change",
        User,
        r#"{"newEmail":"$NEW","otp":"$CODE_VERIFY","binding":"x"}"#,
    ),
    changing(
        "email-otp/change-email",
        User,
        r#"{"newEmail":"$NEW","otp":"$CODE_CHANGE"}"#,
    ),
    changing("revoke-session", User, r#"{"token":"$SESSION"}"#),
    changing("revoke-sessions", User, "{}"),
    endpoint("revoke-other-sessions", User, "{}"),
    endpoint(
        "admin/create-user",
        Admin,
        r#"{"email":"$NEW","name":"Eva","password":"a good long password","role":["user"],"data":{"image":"https://example.com/a.png","emailVerified":true,"metadata":{"a":[1]}}}"#,
    ),
    changing(
        "admin/update-user",
        Admin,
        r#"{"userId":"$USER","data":{"name":"Eva","email":"$NEW","emailVerified":true,"role":"user","metadata":{},"banned":true,"banReason":"x","banExpires":"2130-01-31T12:00:00.000Z"}}"#,
    ),
    endpoint(
        "admin/invite-user",
        Admin,
        r#"{"email":"$NEW","name":"Eva","role":"user","redirectTo":"/welcome"}"#,
    ),
    changing(
        "admin/set-role",
        Admin,
        r#"{"userId":"$USER","role":["user","admin"]}"#,
    ),
    changing(
        "admin/ban-user",
        Admin,
        r#"{"userId":"$USER","banReason":"x","banExpiresIn":60}"#,
    ),
    changing("admin/unban-user", Admin, r#"{"userId":"$USER"}"#),
    changing("admin/remove-user", Admin, r#"{"userId":"$USER"}"#),
    changing(
        "admin/set-user-password",
        Admin,
        r#"{"userId":"$USER","newPassword":"another good password"}"#,
    ),
    changing(
        "admin/reset-factors",
        Admin,
        r#"{"userId":"$USER","totp":true,"passkeys":true}"#,
    ),
    endpoint(
        "admin/list-user-sessions",
        Admin,
        r#"{"userId":"$USER","limit":1,"before":"$SESSION"}"#,
    ),
    changing(
        "admin/revoke-user-session",
        Admin,
        r#"{"sessionToken":"$SESSION"}"#,
    ),
    changing("admin/revoke-user-sessions", Admin, r#"{"userId":"$USER"}"#),
    endpoint(
        "admin/has-permission",
        Admin,
        r#"{"permissions":{"user":["list"],"session":["revoke"]}}"#,
    ),
    endpoint("admin/impersonate-user", Admin, r#"{"userId":"$USER"}"#),
    // Accepted only in a session in which an admin acts as a user: the target `cookies` has one.
    endpoint("admin/stop-impersonating", Admin, "{}"),
    changing(
        "reset-password/$RESET",
        Anyone,
        "password=another+good+password&again=another+good+password",
    ),
];

/// Those of which no body is accepted, and the code of their refusal.
const REFUSED: [(&str, &str); 5] = [
    ("get-access-token", "ACCESS_TOKEN_NOT_FOUND"),
    ("refresh-token", "REFRESH_TOKEN_NOT_FOUND"),
    ("upstream/github/logout", "ID_TOKEN_NOT_SUPPORTED"),
    ("update-session", "NO_FIELDS_TO_UPDATE"),
    ("admin/stop-impersonating", "NOT_IMPERSONATING"),
];

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const TYPES: [(&str, &str); 3] = [
    ("json", JSON),
    ("form", FORM),
    ("charset", "application/json; charset=utf-8"),
];

fuzz_target!(init: check_twins(), |data: &[u8]| {
    run(data);
});

fn check_twins() {
    for endpoint in &ENDPOINTS {
        let kind = if endpoint.good.starts_with('{') {
            "json"
        } else {
            "form"
        };
        let input = format!("{} {kind}\n{}", endpoint.path, endpoint.good);
        let answer = run(input.as_bytes());
        let refused = REFUSED.iter().find(|(path, _)| *path == endpoint.path);
        let is_as_expected = match refused {
            Some((_, code)) => answer.json()["code"] == *code,
            None => answer.status.is_success() || answer.status.is_redirection(),
        };
        assert!(
            is_as_expected,
            "{input}: {} {}",
            answer.status,
            answer.text()
        );
        twins::keep(input.as_bytes());
    }
}

fn run(data: &[u8]) -> Answer {
    let (line, body) = twins::first_line(data);
    let (path, kind) = match line.iter().rposition(|byte| *byte == b' ') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &b"json"[..]),
    };
    let endpoint = twins::chosen(&ENDPOINTS, path, |endpoint| endpoint.path);
    let (_, kind) = twins::chosen(&TYPES, kind, |(name, _)| name);
    let (user, admin) = (SERVICE.user(), SERVICE.admin());
    let other = match endpoint.by {
        By::Enrolled => two_step::enrolled(),
        By::Pending => two_step::pending(),
        By::Anyone | By::User | By::Admin => Person::default(),
    };
    let cookies = match endpoint.by {
        By::Anyone | By::Enrolled | By::Pending => &other.cookies,
        By::User => &user.cookies,
        By::Admin => &admin.cookies,
    };
    let path = String::from_utf8(filled(&SERVICE, endpoint.path.as_bytes())).expect("a path");
    let body = filled(&SERVICE, body);
    let mut request = post_json(&format!("/api/auth/{path}"), cookies, body.clone());
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let answer = SERVICE.ask(request);
    let is_done = answer.status.is_success() || answer.status.is_redirection();
    if endpoint.by == By::Admin {
        keep_admin(&body, &answer, is_done);
    }
    if answer.status == 401 && endpoint.by == By::User {
        assert!(
            lives(&SERVICE, &user.cookies, false),
            "{path} was refused and ended the session"
        );
    }
    if is_done && endpoint.changes {
        SERVICE.replace_user();
    }
    // The codes of the app are good once, recovery codes are replaced, and a session ends.
    if is_done && matches!(endpoint.by, By::Enrolled | By::Pending) {
        two_step::replace_enrolled();
    }
    answer
}

/// Only a body that names the admin, and that the service accepts, takes the admin's rights away.
fn keep_admin(body: &[u8], answer: &Answer, is_done: bool) {
    let admin = SERVICE.admin();
    if !is_done && answer.status != 401 {
        return;
    }
    if lives(&SERVICE, &admin.cookies, true) {
        return;
    }
    let text = String::from_utf8_lossy(body);
    let names_admin = text.contains(&admin.id) || text.contains(&admin.session);
    assert!(
        is_done && names_admin,
        "the admin's session has ended: {text}"
    );
    SERVICE.replace_admin();
}
