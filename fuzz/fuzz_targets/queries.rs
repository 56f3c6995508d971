//! Queries of the API and of the pages, as an admin or a user sends them: the first line names the
//! path, the rest is the query. Placeholders become ids and tokens of the database.
#![no_main]

use axum::http::Uri;
use countersign_fuzz::placeholders::{filled_text, lives};
use countersign_fuzz::service::get;
use countersign_fuzz::{Answer, SERVICE, filled, twins};
use libfuzzer_sys::fuzz_target;

/// A path that reads a query.
struct Reader {
    path: &'static str,
    /// Whether the admin asks, and not the user.
    as_admin: bool,
    /// A query that the service accepts.
    good: &'static str,
    /// The status of the answer then.
    status: u16,
}

const fn reader(path: &'static str, as_admin: bool, good: &'static str, status: u16) -> Reader {
    Reader {
        path,
        as_admin,
        good,
        status,
    }
}

/// Every path that is read with `GET`; an architecture test compares the list with the routes.
const READERS: [Reader; 40] = [
    reader(
        "/api/auth/admin/list-users",
        true,
        "searchValue=person&searchField=email&searchOperator=starts_with&filterField=banned&filterValue=false&filterOperator=eq&sortBy=createdAt&sortDirection=desc&limit=2&offset=1",
        200,
    ),
    reader("/api/auth/admin/get-user", true, "id=$USER", 200),
    reader(
        "/api/auth/admin/audit",
        true,
        "userId=$USER&kind=session.&since=2020-01-31T12:00:00.000Z&limit=3&before=$NOW.x",
        200,
    ),
    reader(
        "/api/auth/list-sessions",
        false,
        "limit=2&before=$SESSION",
        200,
    ),
    reader(
        "/api/auth/get-session",
        false,
        "disableCookieCache=true",
        200,
    ),
    reader("/api/auth/session", false, "", 200),
    reader("/api/auth/token", false, "", 200),
    reader("/api/auth/list-accounts", false, "", 200),
    reader("/api/auth/account-info", false, "accountId=$CONNECTED", 400),
    reader(
        "/api/auth/callback/github",
        false,
        "state=x&code=y&iss=https%3A%2F%2Fgithub.com&error=access_denied",
        302,
    ),
    reader(
        "/api/auth/passkey/generate-register-options",
        false,
        "name=Fuzz&authenticatorAttachment=platform&context=x&conditional=true&delivery=body",
        200,
    ),
    reader(
        "/api/auth/passkey/generate-authenticate-options",
        false,
        "delivery=body",
        200,
    ),
    reader("/api/auth/passkey/list-user-passkeys", false, "", 200),
    reader("/api/auth/passkey/signals", false, "", 200),
    reader("/api/auth/error", false, "error=INVALID_TOKEN", 200),
    reader(
        "/api/auth/verify-email",
        false,
        "token=$VERIFY&callbackURL=/welcome",
        200,
    ),
    reader(
        "/api/auth/delete-user/callback",
        false,
        "token=$DELETE&callbackURL=/welcome",
        200,
    ),
    reader(
        "/api/auth/reset-password/$RESET",
        false,
        "callbackURL=/welcome",
        302,
    ),
    reader(
        "/api/auth/magic-link/verify",
        false,
        "token=$LINK&callbackURL=/welcome&newUserCallbackURL=/new&errorCallbackURL=/failed",
        200,
    ),
    reader(
        "/auth/sign-in/email",
        false,
        "done=sent&again=1&error=new_user_signup_disabled&redirect_to=/welcome",
        200,
    ),
    reader("/", false, "error=INVALID_TOKEN", 303),
    reader("/auth", false, "error=INVALID_TOKEN", 303),
    reader("/auth/admin", true, "q=person", 303),
    reader("/auth/sign-in", false, "redirect_to=/welcome&again=1", 200),
    reader("/auth/sign-up", false, "redirect_to=/welcome", 200),
    reader("/auth/forgot-password", false, "redirect_to=/welcome", 200),
    reader(
        "/auth/reset-password",
        false,
        "token=$RESET&redirect_to=/welcome",
        200,
    ),
    reader(
        "/auth/verify-email",
        false,
        "done=verified&redirect_to=/welcome",
        200,
    ),
    reader("/auth/account", false, "done=name", 200),
    reader("/auth/account/connect", false, "link=$SEALED", 200),
    reader(
        "/auth/account/security",
        false,
        "done=two_step_off&with=recovery",
        200,
    ),
    reader(
        "/auth/step-up",
        false,
        "acr_values=urn:countersign:acr:2fa&max_age=60&with=password&redirect_to=/welcome",
        200,
    ),
    reader(
        "/auth/challenge",
        false,
        "with=recovery&redirect_to=/welcome",
        303,
    ),
    reader("/auth/admin/users", true, "q=person&offset=0", 200),
    reader("/auth/admin/users/$USER", true, "done=role", 200),
    reader("/auth/admin/keys", true, "done=rotated", 200),
    reader("/auth/admin/keys/$KID/revoke", true, "done=rotated", 200),
    reader(
        "/auth/admin/audit",
        true,
        "kind=session.&user=$USER&since=2026-01-01&until=2099-01-31&ip=127.0.0.0/8&before=$NOW.x",
        200,
    ),
    reader("/auth/error", false, "error=INVALID_TOKEN", 200),
    reader("/auth/assets/theme.css", false, "v=1", 200),
];

fuzz_target!(init: check_twins(), |data: &[u8]| {
    let (line, query) = twins::first_line(data);
    run(twins::chosen(&READERS, line, |reader| reader.path), query);
});

fn check_twins() {
    for reader in &READERS {
        let answer = run(reader, reader.good.as_bytes()).expect("a good query");
        let text = answer.text();
        assert_eq!(answer.status, reader.status, "{}: {text}", reader.path);
        twins::keep(format!("{}\n{}", reader.path, reader.good).as_bytes());
    }
}

fn run(reader: &Reader, query: &[u8]) -> Option<Answer> {
    let path = filled_text(&SERVICE, reader.path);
    let query = filled(&SERVICE, query);
    let uri = Uri::try_from([path.as_bytes(), b"?", &query].concat()).ok()?;
    let person = if reader.as_admin {
        SERVICE.admin()
    } else {
        SERVICE.user()
    };
    let answer = SERVICE.ask(get(&uri.to_string(), &person.cookies));
    // A link that is not good is refused with 401 too.
    assert!(
        answer.status != 401 || lives(&SERVICE, &person.cookies, reader.as_admin),
        "{path} has ended the session"
    );
    assert!(
        !answer.is_page_with("<fuzz"),
        "{path}: the query is part of the page: {}",
        answer.text()
    );
    Some(answer)
}
