//! The pages of two-step sign-in, as a browser without script uses them: `/auth/challenge` and
//! `/auth/account/security`.

use countersign::model::kernel::time::Timestamp;
use regex::Regex;
use totp_rs::{Builder, Secret, Totp};

use super::pages::{hidden, leads_to};
use crate::support::{Answer, Browser, SESSION_COOKIE, TestApp, User, minutes, seconds};

/// The limits of the second step would stop tests that try many codes in one moment.
const NO_LIMITS: [(&str, &str); 2] = [
    ("rate_limits.second_factor", "off"),
    ("rate_limits.second_factor_account", "off"),
];

const SECURITY: &str = "/auth/account/security";

/// An authenticator app that has the key of a page.
struct Authenticator {
    app: TestApp,
    totp: Totp,
}

impl Authenticator {
    /// Types the key of the page into the app.
    fn of(app: &TestApp, page: &Answer) -> Self {
        let key = key_of(page).replace(' ', "");
        let secret = Secret::try_from_base32(&key).unwrap();
        Self {
            app: app.clone(),
            totp: Builder::new().with_secret(secret).build().unwrap(),
        }
    }

    fn at(&self, time: Timestamp) -> String {
        let seconds = time.seconds().try_into().unwrap();
        self.totp.generate(seconds).to_string()
    }

    /// A code that was not used before: half a minute passes.
    fn code(&self) -> String {
        self.app.after(seconds(30));
        self.at(self.app.app.now())
    }

    /// Six digits that are no code of this time.
    fn wrong(&self) -> String {
        let now = self.app.app.now();
        let good = [now - seconds(30), now, now + seconds(30)].map(|time| self.at(time));
        let codes = ["000000", "111111", "222222", "333333"].map(ToOwned::to_owned);
        codes.into_iter().find(|code| !good.contains(code)).unwrap()
    }
}

fn key_of(page: &Answer) -> String {
    let key = Regex::new(r#"<code class="key">([A-Z2-7 ]+)</code>"#).unwrap();
    let found = key.captures(&page.text);
    found.unwrap_or_else(|| panic!("no key in {}", page.text))[1].to_owned()
}

/// The recovery codes that a page lists.
fn codes_of(page: &Answer) -> Vec<String> {
    let code = Regex::new(r"<li><code>([0-9A-Z-]{19})</code></li>").unwrap();
    code.captures_iter(&page.text)
        .map(|found| found[1].to_owned())
        .collect()
}

/// The reason that stands at a field, and whether the field takes the focus.
fn told_at(page: &Answer, field: &str) -> (String, bool) {
    let told = Regex::new(&format!(r#"id="{field}-wrong" role="alert">([^<]*)<"#)).unwrap();
    let input = Regex::new(&format!(r#"<input id="{field}"[^>]*>"#)).unwrap();
    let input = input.find(&page.text).expect("the field").as_str();
    (
        told.captures(&page.text).unwrap()[1].to_owned(),
        input.ends_with(" autofocus>") && input.contains(r#"aria-invalid="true""#),
    )
}

/// Sends a form of the security page.
async fn change(browser: &Browser, action: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = hidden(&browser.get(SECURITY).await.ok(), "csrf");
    let fields: Vec<_> = [("csrf", csrf.as_str())]
        .into_iter()
        .chain(fields.iter().copied())
        .collect();
    browser.form(&format!("{SECURITY}/{action}"), &fields).await
}

/// A user with two-step sign-in, the browser that turned it on, the app and the recovery codes.
async fn enrolled(app: &TestApp, name: &str) -> (User, Browser, Authenticator, Vec<String>) {
    let user = app.user(name).await;
    let browser = user.browser().await;
    let page = change(&browser, "begin", &[("current", &user.password)]).await;
    let page = page.ok();
    let (phone, codes) = (Authenticator::of(app, &page), codes_of(&page));
    let code = phone.code();
    let made = hidden(&page, "made");
    let on = change(&browser, "confirm", &[("code", &code), ("made", &made)]).await;
    leads_to(&on, "/auth/account/security?done=two_step_on");
    (user, browser, phone, codes)
}

/// Sends the form of the sign-in page.
async fn sign_in(browser: &Browser, user: &User, next: &str) -> Answer {
    let fields = [
        ("email", user.email.as_str()),
        ("password", &user.password),
        ("remember", "yes"),
        ("redirect_to", next),
    ];
    browser.form("/auth/sign-in", &fields).await
}

#[tokio::test]
async fn an_authenticator_app_is_set_up_by_forms_alone() {
    let app = TestApp::with(&NO_LIMITS).await;
    let ana = app.user("ana").await;
    let (browser, other) = (ana.browser().await, ana.browser().await);
    let account = browser.get("/auth/account").await.ok();
    assert!(account.text.contains("Two-step sign-in is off."));
    assert!(account.text.contains(r#"href="/auth/account/security""#));

    let refused = change(&browser, "begin", &[("current", "wrong")]).await;
    assert_eq!(refused.status, 400);
    let told = told_at(&refused, "set-up-current");
    assert_eq!(told, ("This password is incorrect.".to_owned(), true));
    let missing = change(&browser, "begin", &[]).await;
    let told = told_at(&missing, "set-up-current");
    assert_eq!(told, ("Please fill in this field.".to_owned(), true));

    let page = change(&browser, "begin", &[("current", &ana.password)]).await;
    let page = page.ok();
    assert_eq!(page.header("cache-control"), "no-store");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
    assert!(!page.text.contains(" style="), "{}", page.text);
    assert!(
        page.text
            .contains(r#"role="img" aria-label="QR code with the key"#)
    );
    assert_eq!(page.text.matches("<svg ").count(), 1);
    let (key, codes) = (key_of(&page), codes_of(&page));
    assert_eq!(codes.len(), 10);
    let link = format!(
        "otpauth://totp/Countersign:ana%40example.com?secret={}",
        key.replace(' ', "")
    );
    assert!(page.text.contains(&link), "{link}: {}", page.text);
    let file = format!("%0A{}%0A", codes[0].replace('-', "%2D"));
    assert!(page.text.contains("data:text/plain;charset=utf-8,") && page.text.contains(&file));

    let (phone, made) = (Authenticator::of(&app, &page), hidden(&page, "made"));
    for (code, why) in [
        ("", "Please fill in this field."),
        ("12345", "Please enter the six digits of the code."),
        (phone.wrong().as_str(), "This code is wrong."),
    ] {
        let again = change(&browser, "confirm", &[("code", code), ("made", &made)]).await;
        let (told, focus) = told_at(&again, "confirm-code");
        assert!(told.starts_with(why) && focus, "{code}: {told}");
        assert_eq!(key_of(&again), key);
        assert_eq!(codes_of(&again).len(), 0, "they are shown once");
        assert!(again.text.contains("stay the same") && again.text.contains("<svg "));
        assert_eq!(again.status == 401, why.starts_with("This"), "{code}");
    }

    let code = phone.code();
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    // The form of another window, whose recovery codes are no good any more.
    let other_window = change(&browser, "confirm", &[("code", &spaced), ("made", "1")]).await;
    assert_eq!(other_window.status, 400, "{}", other_window.text);
    let on = change(&browser, "confirm", &[("code", &spaced), ("made", &made)]).await;
    leads_to(&on, "/auth/account/security?done=two_step_on");
    let page = browser.get(on.header("location")).await.ok();
    for text in [
        "Two-step sign-in is on. All other devices have been signed out.",
        "You have 10 recovery codes left.",
        "Turn off two-step sign-in",
    ] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    other
        .get("/api/auth/session")
        .await
        .refused(401, "UNAUTHORIZED");
    let account = browser.get("/auth/account").await.ok();
    assert!(account.text.contains("Two-step sign-in is on."));
    assert!(account.text.contains("Change two-step sign-in"));
}

#[tokio::test]
async fn a_sign_in_goes_over_the_page_for_the_second_step() {
    let app = TestApp::with(&NO_LIMITS).await;
    let (ana, _, phone, _) = enrolled(&app, "ana").await;
    let browser = Browser::new(&app);
    let pending = sign_in(&browser, &ana, "/dash").await;
    leads_to(&pending, "/auth/challenge?redirect_to=%2Fdash");
    assert_eq!(browser.cookie(SESSION_COOKIE), None);

    let page = browser.get(pending.header("location")).await.ok();
    assert_eq!(hidden(&page, "redirect_to"), "/dash");
    for part in [
        r#"inputmode="numeric" autocomplete="one-time-code""#,
        "Do not ask for a code in this browser for 30 days",
        "/auth/challenge?with=recovery&#38;redirect_to=%2Fdash",
        "/auth/sign-in?redirect_to=%2Fdash",
        "that it shows for Countersign.",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(
        !page.text.contains("ana@"),
        "the page does not say whose sign-in it is"
    );

    let next = ("redirect_to", "/dash");
    for code in ["", "12 34", "1234567", "abcdef"] {
        let slip = browser
            .form("/auth/challenge", &[("code", code), next])
            .await;
        assert_eq!(slip.status, 400, "{code}");
        assert!(told_at(&slip, "challenge-code").1, "{code}");
    }
    let wrong = browser
        .form(
            "/auth/challenge",
            &[("code", &phone.wrong()), next, ("trust", "yes")],
        )
        .await;
    assert_eq!(wrong.status, 401);
    let (told, focus) = told_at(&wrong, "challenge-code");
    assert!(told.starts_with("This code is wrong.") && focus, "{told}");
    assert!(
        wrong
            .text
            .contains(r#"name="trust" value="yes" aria-describedby="trust-note" checked"#)
    );
    assert_eq!(hidden(&wrong, "redirect_to"), "/dash");

    let code = phone.code();
    leads_to(
        &browser
            .form("/auth/challenge", &[("code", &code), next])
            .await,
        "/dash",
    );
    browser.get("/api/auth/session").await.ok();
    let over = browser.get("/auth/challenge?redirect_to=%2Fdash").await;
    leads_to(
        &over,
        "/auth/sign-in?done=challenge_over&redirect_to=%2Fdash",
    );
    leads_to(&browser.get(over.header("location")).await, "/dash");

    // The code was used up.
    let second = Browser::new(&app);
    leads_to(&sign_in(&second, &ana, "").await, "/auth/challenge");
    assert_eq!(
        second
            .form("/auth/challenge", &[("code", &code)])
            .await
            .status,
        401
    );
    let code = phone.code();
    leads_to(
        &second.form("/auth/challenge", &[("code", &code)]).await,
        "/auth/account",
    );
}

#[tokio::test]
async fn a_recovery_code_takes_the_place_of_the_app_once() {
    let app = TestApp::with(&NO_LIMITS).await;
    let (ana, own, _, codes) = enrolled(&app, "ana").await;
    let browser = Browser::new(&app);
    sign_in(&browser, &ana, "").await;
    let page = browser.get("/auth/challenge?with=recovery").await.ok();
    assert!(
        page.text
            .contains(r#"<input id="recovery-recovery" name="recovery""#)
    );
    assert!(page.text.contains("contact the support") && !page.text.contains(r#"name="code""#));
    for (code, status, why) in [
        ("", 400, "Please fill in this field."),
        (
            "0000-0000-0000-0000",
            401,
            "This recovery code is wrong or has already been used.",
        ),
    ] {
        let refused = browser.form("/auth/challenge", &[("recovery", code)]).await;
        assert_eq!(refused.status, status);
        assert_eq!(
            told_at(&refused, "recovery-recovery"),
            (why.to_owned(), true)
        );
    }
    let typed = codes[3].to_lowercase().replace('-', " ");
    leads_to(
        &browser
            .form("/auth/challenge", &[("recovery", &typed)])
            .await,
        "/auth/account",
    );
    let page = own.get(SECURITY).await.ok();
    assert!(
        page.text.contains("You have 9 recovery codes left."),
        "{}",
        page.text
    );

    let again = Browser::new(&app);
    sign_in(&again, &ana, "").await;
    assert_eq!(
        again
            .form("/auth/challenge", &[("recovery", &codes[3])])
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn a_browser_is_remembered_if_the_settings_allow_it() {
    let app = TestApp::with(&NO_LIMITS).await;
    let (ana, _, phone, _) = enrolled(&app, "ana").await;
    let (browser, other) = (Browser::new(&app), Browser::new(&app));
    sign_in(&browser, &ana, "").await;
    let code = phone.code();
    let fields = [("code", code.as_str()), ("trust", "yes")];
    leads_to(
        &browser.form("/auth/challenge", &fields).await,
        "/auth/account",
    );
    let csrf = hidden(&browser.get("/auth/account").await.ok(), "csrf");
    browser.form("/auth/sign-out", &[("csrf", &csrf)]).await;
    leads_to(&sign_in(&browser, &ana, "/dash").await, "/dash");
    leads_to(
        &sign_in(&other, &ana, "/dash").await,
        "/auth/challenge?redirect_to=%2Fdash",
    );
    let is_remembered = || {
        let sent = browser.sends("/auth/sign-in");
        sent.iter().any(|name| name.ends_with("trust_device"))
    };
    assert!(is_remembered());
    // No code was entered in this session.
    leads_to(
        &change(&browser, "prove", &[("code", &phone.code())]).await,
        "/auth/account/security?done=stepped_up",
    );
    change(&browser, "turn-off", &[("current", &ana.password)]).await;
    assert!(!is_remembered(), "the second step is off");

    let never = TestApp::with(&[
        NO_LIMITS[0],
        NO_LIMITS[1],
        ("two_factor.remember_device", "0s"),
    ])
    .await;
    let (ana, _, phone, _) = enrolled(&never, "ana").await;
    let browser = Browser::new(&never);
    sign_in(&browser, &ana, "").await;
    let page = browser.get("/auth/challenge").await.ok();
    assert!(!page.text.contains(r#"name="trust""#));
    let code = phone.code();
    let fields = [("code", code.as_str()), ("trust", "yes")];
    leads_to(
        &browser.form("/auth/challenge", &fields).await,
        "/auth/account",
    );
    leads_to(&sign_in(&browser, &ana, "").await, "/auth/challenge");
}

#[tokio::test]
async fn a_sign_in_that_is_over_begins_again_on_the_sign_in_page() {
    let app = TestApp::with(&NO_LIMITS).await;
    let (ana, _, phone, _) = enrolled(&app, "ana").await;
    let stranger = Browser::new(&app);
    for answer in [
        stranger.get("/auth/challenge").await,
        stranger.get("/auth/challenge?with=recovery").await,
        stranger
            .form("/auth/challenge", &[("code", "123456")])
            .await,
        stranger.form("/auth/challenge", &[("recovery", "x")]).await,
    ] {
        leads_to(&answer, "/auth/sign-in?done=challenge_over");
    }
    let page = stranger.get("/auth/sign-in?done=challenge_over").await.ok();
    assert!(page.text.contains("Please begin again."), "{}", page.text);

    // After ten minutes.
    let late = Browser::new(&app);
    sign_in(&late, &ana, "/dash").await;
    app.after(minutes(11));
    let answer = late
        .form(
            "/auth/challenge",
            &[("code", &phone.code()), ("redirect_to", "/dash")],
        )
        .await;
    leads_to(
        &answer,
        "/auth/sign-in?done=challenge_over&redirect_to=%2Fdash",
    );

    // After five wrong codes.
    let guesser = Browser::new(&app);
    sign_in(&guesser, &ana, "").await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        let answer = guesser
            .form("/auth/challenge", &[("code", &phone.wrong())])
            .await;
        answers.push((answer.status.as_u16(), answer.header("location").to_owned()));
    }
    assert_eq!(answers[0].0, 401);
    assert_eq!(
        answers[5],
        (303, "/auth/sign-in?done=challenge_spent".to_owned())
    );
    let page = guesser.get("/auth/sign-in?done=challenge_spent").await.ok();
    assert!(page.text.contains("Too many wrong codes were entered."));
    assert_eq!(guesser.cookie(SESSION_COOKIE), None);
}

#[tokio::test]
async fn a_change_needs_a_code_of_the_last_minutes_and_the_password() {
    let app = TestApp::with(&NO_LIMITS).await;
    let (ana, browser, phone, first) = enrolled(&app, "ana").await;
    let password = ("current", ana.password.as_str());
    let renewed = change(&browser, "codes", &[password]).await.ok();
    let codes = codes_of(&renewed);
    assert_eq!(codes.len(), 10);
    assert!(first.iter().all(|code| !codes.contains(code)));
    assert!(renewed.text.contains("Your earlier codes no longer work."));
    let refused = change(&browser, "turn-off", &[("current", "wrong")]).await;
    assert_eq!(
        told_at(&refused, "turn-off-current"),
        ("This password is incorrect.".to_owned(), true)
    );

    app.after(minutes(11));
    let page = browser.get(SECURITY).await.ok();
    assert!(page.text.contains("Confirm that it is you"));
    assert!(
        !page.text.contains("turn-off") && !page.text.contains("security/codes"),
        "{}",
        page.text
    );
    for action in ["turn-off", "codes"] {
        let asked = change(&browser, action, &[password]).await;
        assert_eq!(asked.status, 403, "{action}");
        assert!(
            asked.text.contains("Nothing has been changed yet"),
            "{}",
            asked.text
        );
        assert!(
            asked
                .text
                .contains(r#"action="/auth/account/security/prove""#)
        );
    }
    let wrong = change(&browser, "prove", &[("code", &phone.wrong())]).await;
    assert_eq!(wrong.status, 401);
    assert!(told_at(&wrong, "step-up-code").1);
    let before = browser.cookie(SESSION_COOKIE);
    let proven = change(&browser, "prove", &[("code", &phone.code())]).await;
    leads_to(&proven, "/auth/account/security?done=stepped_up");
    assert_ne!(browser.cookie(SESSION_COOKIE), before, "a new session");
    let off = change(&browser, "turn-off", &[password]).await;
    leads_to(&off, "/auth/account/security?done=two_step_off");
    let page = browser.get(off.header("location")).await.ok();
    assert!(
        page.text.contains("Two-step sign-in has been turned off.") && page.text.contains("Set up")
    );
    leads_to(
        &sign_in(&Browser::new(&app), &ana, "").await,
        "/auth/account",
    );
    // The forms of a second window that still shows it as on.
    for action in ["codes", "prove"] {
        let late = change(&browser, action, &[password, ("code", "123456")]).await;
        assert!(late.status.is_client_error(), "{action}");
        assert!(
            late.text.contains(r#"class="said bad""#),
            "{action}: {}",
            late.text
        );
    }
}

#[tokio::test]
async fn a_recovery_code_also_proves_who_is_there_and_few_codes_are_told() {
    let app = TestApp::with(&NO_LIMITS).await;
    let (_, browser, _, codes) = enrolled(&app, "ana").await;
    for (number, code) in codes.iter().enumerate() {
        app.after(minutes(11));
        let page = browser.get(&format!("{SECURITY}?with=recovery")).await.ok();
        let left = 10 - number;
        let warns = page.text.contains("Make new codes before");
        assert_eq!(warns, left <= 3, "{left}: {}", page.text);
        assert_eq!(
            page.text.contains("You have 1 recovery code left."),
            left == 1
        );
        let proven = change(&browser, "prove", &[("recovery", code)]).await;
        leads_to(&proven, "/auth/account/security?done=stepped_up");
    }
    let page = browser.get(SECURITY).await.ok();
    assert!(page.text.contains("You have no recovery code left."));
    app.after(minutes(11));
    let wrong = change(&browser, "prove", &[("recovery", &codes[0])]).await;
    assert_eq!(wrong.status, 401);
    assert!(told_at(&wrong, "recovery-recovery").1);
}

#[tokio::test]
async fn a_form_of_another_session_changes_nothing() {
    let app = TestApp::with(&NO_LIMITS).await;
    let (ana, browser, phone, _) = enrolled(&app, "ana").await;
    let code = phone.code();
    for action in ["begin", "confirm", "prove", "codes", "turn-off"] {
        let fields = [("csrf", "x"), ("current", &ana.password), ("code", &code)];
        let refused = browser.form(&format!("{SECURITY}/{action}"), &fields).await;
        assert_eq!(refused.status, 403, "{action}");
        assert!(
            refused.text.contains("This form was out of date"),
            "{action}: {}",
            refused.text
        );
    }
    assert!(
        browser
            .get(SECURITY)
            .await
            .ok()
            .text
            .contains("Two-step sign-in is on.")
    );
    let stranger = Browser::new(&app);
    leads_to(
        &stranger.get(SECURITY).await,
        "/auth/sign-in?redirect_to=%2Fauth%2Faccount%2Fsecurity",
    );
    let answer = stranger.form(&format!("{SECURITY}/turn-off"), &[]).await;
    leads_to(
        &answer,
        "/auth/sign-in?done=ended&redirect_to=%2Fauth%2Faccount%2Fsecurity",
    );
}
