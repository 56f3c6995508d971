//! Forms of the pages: the first line names the page, the rest is the form. A form of someone who is
//! signed in carries the form token of the session. Placeholders become ids, email addresses and
//! tokens of the database, in the path too.
#![no_main]

use countersign::flows::session::form_token;
use countersign_fuzz::placeholders::{filled_text, lives};
use countersign_fuzz::service::post_form;
use countersign_fuzz::{Answer, Person, SERVICE, filled, twins, two_step};
use libfuzzer_sys::fuzz_target;
use url::form_urlencoded::byte_serialize;

/// Who sends the form.
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

/// A page that takes a form.
struct PageForm {
    path: &'static str,
    by: By,
    /// A form that the service accepts.
    good: &'static str,
    /// Where the browser is led to then; empty: the answer is a page.
    leads_to: &'static str,
}

const fn form(path: &'static str, by: By, good: &'static str, leads_to: &'static str) -> PageForm {
    PageForm {
        path,
        by,
        good,
        leads_to,
    }
}

/// Every page that takes a form; an architecture test compares the list with the routes.
const FORMS: [PageForm; 54] = [
    form(
        "/auth/sign-in",
        Anyone,
        "email=$EMAIL&password=a+good+long+password&remember=yes&redirect_to=/welcome",
        "/welcome",
    ),
    form(
        "/auth/sign-up",
        Anyone,
        "name=Eva&email=$NEW&password=a+good+long+password&again=a+good+long+password&redirect_to=/welcome",
        "/welcome",
    ),
    form(
        "/auth/forgot-password",
        Anyone,
        "email=$EMAIL&redirect_to=/welcome",
        "/auth/forgot-password?done=sent",
    ),
    form(
        "/auth/password-strength",
        Anyone,
        "password=a+good+long+password&name=Eva&email=$EMAIL&token=$RESET",
        "",
    ),
    form(
        "/auth/reset-password",
        Anyone,
        "token=$RESET&password=another+good+password&again=another+good+password",
        "/auth/sign-in?done=reset",
    ),
    form(
        "/auth/verify-email",
        Anyone,
        "email=$EMAIL",
        "/auth/verify-email?done=sent",
    ),
    form(
        "/api/auth/reset-password/$RESET",
        Anyone,
        "password=another+good+password&again=another+good+password&redirect_to=/welcome",
        "/auth/sign-in?done=reset",
    ),
    form(
        "/api/auth/verify-email",
        User,
        "token=$VERIFY&callbackURL=/welcome",
        "/welcome",
    ),
    form(
        "/api/auth/delete-user/callback",
        User,
        "token=$DELETE&callbackURL=/welcome",
        "/welcome",
    ),
    form(
        "/auth/sign-in/email",
        Anyone,
        "email=$EMAIL&redirect_to=/welcome",
        "/auth/sign-in/email?done=sent",
    ),
    form(
        "/auth/sign-in/code",
        Anyone,
        "email=$EMAIL&code=$CODE_SIGN_IN&remember=yes&redirect_to=/welcome",
        "/welcome",
    ),
    form(
        "/auth/sign-in/with",
        Anyone,
        "provider=github&sign_up=yes&redirect_to=/welcome",
        "",
    ),
    form(
        "/auth/account/connections/connect",
        User,
        "provider=github",
        "",
    ),
    form(
        "/auth/account/connections/disconnect",
        User,
        "id=$CONNECTED",
        "/auth/account/security?done=disconnected",
    ),
    form(
        "/auth/account/connect",
        User,
        "link=$SEALED",
        "/auth/account/security?done=connected",
    ),
    form(
        "/api/auth/magic-link/verify",
        Anyone,
        "token=$LINK&callbackURL=/welcome&newUserCallbackURL=/new&errorCallbackURL=/failed",
        "/welcome",
    ),
    form("/auth/sign-out", User, "", "/auth/sign-in?done=signed_out"),
    form(
        "/auth/account/name",
        User,
        "name=Eva",
        "/auth/account?done=name",
    ),
    form(
        "/auth/account/verify",
        User,
        "",
        "/auth/account?done=mailed",
    ),
    form(
        "/auth/account/email",
        User,
        "email=$NEW",
        "/auth/account?done=email_mailed",
    ),
    form(
        "/auth/account/password",
        User,
        "current=a+good+long+password&password=another+good+password&again=another+good+password",
        "/auth/account?done=password",
    ),
    form(
        "/auth/account/sessions/end",
        User,
        "session=$SESSION",
        "/auth/sign-in?done=signed_out",
    ),
    form(
        "/auth/account/sessions/end-others",
        User,
        "",
        "/auth/account?done=devices",
    ),
    form(
        "/auth/account/delete",
        User,
        "current=a+good+long+password",
        "/auth/sign-in?done=deleted",
    ),
    form(
        "/auth/challenge",
        Pending,
        "code=$NEXT_CODE&trust=yes&redirect_to=/welcome",
        "/welcome",
    ),
    form(
        "/auth/challenge",
        Pending,
        "recovery=$RECOVERY_CODE&redirect_to=/welcome",
        "/welcome",
    ),
    form(
        "/auth/challenge",
        Pending,
        "mailed=$CODE_STEP&trust=yes&redirect_to=/welcome",
        "/welcome",
    ),
    form(
        "/auth/challenge/send",
        Pending,
        "redirect_to=/welcome",
        "/auth/challenge?with=email&done=sent",
    ),
    form(
        "/auth/challenge/enrol",
        Anyone,
        "redirect_to=/welcome",
        "/auth/sign-in?done=challenge_over",
    ),
    form(
        "/auth/account/security/by-mail",
        Enrolled,
        "current=a+good+long+password",
        "/auth/account/security",
    ),
    form(
        "/auth/account/security/send",
        Enrolled,
        "",
        "/auth/account/security",
    ),
    form(
        "/auth/account/security/begin",
        User,
        "current=a+good+long+password",
        "",
    ),
    form(
        "/auth/account/security/confirm",
        User,
        "code=$FIRST_CODE",
        "/auth/account/security?done=two_step_on",
    ),
    form(
        "/auth/step-up",
        User,
        "current=a+good+long+password&acr_values=urn:countersign:acr:1fa&max_age=60&redirect_to=/welcome",
        "/auth/step-up?acr_values=",
    ),
    form(
        "/auth/step-up/send",
        Enrolled,
        "max_age=60&redirect_to=/welcome",
        "/auth/step-up?max_age=60",
    ),
    form(
        "/auth/account/security/codes",
        Enrolled,
        "current=a+good+long+password",
        "",
    ),
    form(
        "/auth/account/security/prove",
        Enrolled,
        "code=$NEXT_CODE",
        "/auth/account/security?done=stepped_up",
    ),
    form(
        "/auth/account/security/turn-off",
        Enrolled,
        "current=a+good+long+password",
        "/auth/account/security?done=two_step_off",
    ),
    form(
        "/auth/account/security/passkeys/rename",
        User,
        "id=$PASSKEY&name=Fuzz",
        "/auth/account/security?done=passkey_renamed",
    ),
    form(
        "/auth/account/security/passkeys/delete",
        User,
        "id=$PASSKEY",
        "/auth/account/security?done=passkey_deleted",
    ),
    form(
        "/auth/admin/users/$USER/role",
        Admin,
        "role-user=yes&role-admin=yes",
        "/auth/admin/users/",
    ),
    form(
        "/auth/admin/users/$USER/ban",
        Admin,
        "reason=x&until=2099-01-31",
        "/auth/admin/users/",
    ),
    form(
        "/auth/admin/users/$USER/unban",
        Admin,
        "",
        "/auth/admin/users/",
    ),
    form(
        "/auth/admin/users/$USER/send-reset",
        Admin,
        "",
        "/auth/admin/users/",
    ),
    form(
        "/auth/admin/users/$USER/send-verification",
        Admin,
        "",
        "/auth/admin/users/",
    ),
    form(
        "/auth/admin/users/$USER/metadata",
        Admin,
        "metadata=%7B%22team%22:%22blue%22%7D",
        "/auth/admin/users/",
    ),
    form(
        "/auth/admin/users/$USER/disable",
        Admin,
        "",
        "/auth/admin/users/",
    ),
    form(
        "/auth/admin/users/$USER/enable",
        Admin,
        "",
        "/auth/admin/users/",
    ),
    form("/auth/admin/users/$USER/act-as", Admin, "", "/auth/account"),
    form("/auth/admin/stop-acting", Admin, "", "/auth/account"),
    form(
        "/auth/admin/users/$USER/delete",
        Admin,
        "email=$EMAIL",
        "/auth/admin/users?done=removed",
    ),
    form(
        "/auth/admin/keys/$KID/revoke",
        Admin,
        "reason=leaked",
        "/auth/admin/keys?done=revoked",
    ),
    form(
        "/auth/admin/users/$USER/sessions/end",
        Admin,
        "session=$SESSION",
        "/auth/admin/users/",
    ),
    form(
        "/auth/admin/users/$USER/sessions/end-all",
        Admin,
        "",
        "/auth/admin/users/",
    ),
];

/// The page that rotates the keys. Its good form is accepted once, so it stands beside the others.
const ROTATE: PageForm = form(
    "/auth/admin/keys/rotate",
    Admin,
    "active=$KID",
    "/auth/admin/keys?done=rotated",
);

/// How long the key that comes next must have been published before it may sign.
const STANDBY: i64 = 70 * 60_000;

fuzz_target!(init: check_twins(), |data: &[u8]| {
    let (line, body) = twins::first_line(data);
    let page = match line {
        b"/auth/admin/keys/rotate" => &ROTATE,
        line => twins::chosen(&FORMS, line, |page| page.path),
    };
    run(page, body);
});

fn check_twins() {
    for page in &FORMS {
        check_twin(page, &run(page, page.good.as_bytes()));
    }
    let rotate = || {
        SERVICE.advance(STANDBY);
        run(&ROTATE, ROTATE.good.as_bytes())
    };
    // A rotation by the schedule may fall into the first of two such times, but not into both.
    let mut rotated = rotate();
    if rotated.status == 409 {
        rotated = rotate();
    }
    check_twin(&ROTATE, &rotated);
}

fn check_twin(page: &PageForm, answer: &Answer) {
    let is_accepted = if page.leads_to.is_empty() {
        answer.status == 200
    } else {
        answer.status == 303 && answer.location().starts_with(page.leads_to)
    };
    assert!(
        is_accepted,
        "{}: {} {} {}",
        page.path,
        answer.status,
        answer.location(),
        answer.text()
    );
    twins::keep(format!("{}\n{}", page.path, page.good).as_bytes());
}

fn run(page: &PageForm, body: &[u8]) -> Answer {
    let (user, admin) = (SERVICE.user(), SERVICE.admin());
    let other = match page.by {
        By::Enrolled => two_step::enrolled(),
        By::Pending => two_step::pending(),
        By::Anyone | By::User | By::Admin => Person::default(),
    };
    let sender = match page.by {
        By::Anyone | By::Enrolled | By::Pending => &other,
        By::User => &user,
        By::Admin => &admin,
    };
    let path = filled_text(&SERVICE, page.path);
    let body = filled(&SERVICE, body);
    let sent = if sender.session.is_empty() {
        body.clone()
    } else {
        let session = sender.session.parse().expect("an id");
        let token = form_token::of(&SERVICE.app, session).expect("the keys are loaded");
        let token: String = byte_serialize(token.as_bytes()).collect();
        [format!("csrf={token}&").as_bytes(), &body].concat()
    };
    let answer = SERVICE.ask(post_form(&path, &sender.cookies, sent));
    assert!(
        !answer.is_page_with("<fuzz"),
        "{path}: what was typed is part of the page: {}",
        answer.text()
    );
    let is_done = answer.status == 303 || answer.status == 302;
    let asks_to_sign_in = is_done && answer.location() == "/auth/sign-in";
    // A session may have ended before: by its age, since rotations move the clock, or by an input.
    let was_over = asks_to_sign_in && !lives(&SERVICE, &sender.cookies, false);
    assert!(
        !asks_to_sign_in || was_over,
        "{path} took the session's cookie for none"
    );
    if page.by == By::Admin && is_done && !lives(&SERVICE, &admin.cookies, true) {
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(
            text.contains(&admin.session),
            "{path} has ended the admin's session: {text}"
        );
        SERVICE.replace_admin();
    }
    if is_done {
        SERVICE.replace_user();
    }
    // The codes of the app are good once, recovery codes are replaced, and a session ends.
    if matches!(page.by, By::Enrolled | By::Pending) && (is_done || answer.status == 200) {
        two_step::replace_enrolled();
    }
    answer
}
