//! What a browser keeps and sends, by the rules of RFC 6265: where the cookies go, and that none of
//! a session that is over is sent any more, whichever way it ended and wherever the service stands.

use axum::http::Method;
use serde_json::json;

use super::admin::{id, made_admin};
use crate::support::{Browser, TestApp, User, minutes, seconds};

const SIGN_IN: &str = "/api/auth/sign-in/email";
const SIGN_OUT: &str = "/api/auth/sign-out";
const SESSION: &str = "/api/auth/session";
const REFRESH: &str = "/api/auth/refresh";
const ACCOUNT: &str = "/auth/account";

type Settings = &'static [(&'static str, &'static str)];

const HTTPS: (&str, &str) = ("server.public_url", "https://auth.example.co.uk");

/// Where the service stands, and which cookies it sets there.
const PLACES: [(&str, Settings); 8] = [
    ("loopback", &[]),
    (
        "loopback, below a path",
        &[("server.public_url", "http://localhost:4000/id")],
    ),
    ("https", &[HTTPS]),
    (
        "https, for this host alone",
        &[HTTPS, ("sessions.cookie_host_prefix", "true")],
    ),
    (
        "https, for the host and what is below it",
        &[HTTPS, ("sessions.cookie_domain", "auth.example.co.uk")],
    ),
    (
        "https, for all hosts of the domain",
        &[HTTPS, ("sessions.cookie_domain", "example.co.uk")],
    ),
    (
        "https, below a path",
        &[("server.public_url", "https://auth.example.co.uk/id")],
    ),
    (
        "https, for other sites",
        &[HTTPS, ("sessions.cookie_same_site", "none")],
    ),
];

/// Ways for a session to end in the browser that holds its cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    SignOut,
    SignOutOfThePage,
    /// The session has ended elsewhere; a request learns of it.
    RefusedAtTheSession,
    RefusedAtTheRefresh,
    SentAwayFromAPage,
    /// By time, in a browser whose clock is behind.
    Expired,
    /// By a stolen token that was used again.
    Reused,
    Deleted,
    DeletedOnThePage,
    Banned,
    SignOutWhileActing,
}

use Way::*;

const WAYS: [Way; 11] = [
    SignOut,
    SignOutOfThePage,
    RefusedAtTheSession,
    RefusedAtTheRefresh,
    SentAwayFromAPage,
    Expired,
    Reused,
    Deleted,
    DeletedOnThePage,
    Banned,
    SignOutWhileActing,
];

async fn place(extra: Settings) -> TestApp {
    let all = [
        &[("sessions.cookie_cache", "1m"), ("sessions.idle_ttl", "2h")][..],
        extra,
    ];
    TestApp::with(&all.concat()).await
}

/// Signs in; the session ends with the browser, so that every cookie there is is set.
async fn sign_in(browser: &Browser, user: &User) {
    let body = json!({ "email": user.email, "password": user.password, "rememberMe": false });
    browser.post(SIGN_IN, &body).await.ok();
}

async fn csrf(browser: &Browser) -> String {
    let page = browser.get(ACCOUNT).await.ok().text;
    let field = regex::Regex::new(r#"name="csrf" value="([^"]*)""#).unwrap();
    field.captures(&page).unwrap()[1].to_owned()
}

/// What a request to any path of the service carries of a session. The cookie of a known device
/// outlives the session.
fn left(browser: &Browser) -> Vec<String> {
    let mut left: Vec<String> = ["/", ACCOUNT, REFRESH, "/api/auth/get-session"]
        .into_iter()
        .flat_map(|path| browser.sends(path))
        .chain(browser.sends_to("https://app.example.co.uk/"))
        .filter(|name| !name.ends_with("known_device"))
        .collect();
    left.sort();
    left.dedup();
    left
}

/// Ends the session of the browser, which has signed in already, at this replica.
async fn end(app: &TestApp, browser: &Browser, user: &User, admin: &User, way: Way) {
    let revoke_elsewhere = async || {
        let elsewhere = user.sign_in().await;
        app.post_as("/api/auth/revoke-sessions", &elsewhere.session, &json!({}))
            .await
            .ok();
    };
    match way {
        SignOut => drop(browser.post(SIGN_OUT, &json!({})).await.ok()),
        SignOutOfThePage => {
            let csrf = csrf(browser).await;
            let answer = browser.form("/auth/sign-out", &[("csrf", &csrf)]).await;
            assert_eq!(answer.status, 303);
        }
        RefusedAtTheSession => {
            revoke_elsewhere().await;
            browser.get(SESSION).await.refused(401, "UNAUTHORIZED");
        }
        RefusedAtTheRefresh => {
            revoke_elsewhere().await;
            let answer = browser.refresh().await;
            answer.refused(401, "REFRESH_TOKEN_REVOKED");
        }
        SentAwayFromAPage => {
            revoke_elsewhere().await;
            assert_eq!(browser.follow(ACCOUNT).await.status, 303);
        }
        Expired => {
            app.after(minutes(121));
            browser
                .with_clock_behind(minutes(121))
                .get(SESSION)
                .await
                .refused(401, "UNAUTHORIZED");
        }
        Reused => {
            let thief = browser.stolen();
            for _ in 0..2 {
                app.after(seconds(60));
                thief.refresh().await.ok();
            }
            app.after(seconds(60));
            let answer = browser.refresh().await;
            answer.refused(401, "REFRESH_TOKEN_REUSED");
        }
        Deleted => {
            let body = json!({ "password": user.password });
            browser.post("/api/auth/delete-user", &body).await.ok();
        }
        DeletedOnThePage => {
            let csrf = csrf(browser).await;
            let fields = [("csrf", csrf.as_str()), ("current", &user.password)];
            let answer = browser.form("/auth/account/delete", &fields).await;
            assert_eq!(answer.status, 303, "{}", answer.text);
        }
        Banned => {
            let admin = admin.sign_in().await.session;
            let body = json!({ "userId": id(user).await });
            app.post_as("/api/auth/admin/ban-user", &admin, &body)
                .await
                .ok();
            browser.get(SESSION).await.refused(401, "UNAUTHORIZED");
        }
        SignOutWhileActing => {
            let body = json!({ "userId": id(user).await });
            sign_in(browser, admin).await;
            browser
                .post("/api/auth/admin/impersonate-user", &body)
                .await
                .ok();
            let acting = left(browser);
            assert!(
                acting.iter().any(|n| n.ends_with("admin_session")),
                "{acting:?}"
            );
            browser.post(SIGN_OUT, &json!({})).await.ok();
        }
    }
}

/// Whether the user may delete the account: an admin's own last account stays.
async fn people(app: &TestApp, number: usize) -> (User, User) {
    let admin = made_admin(app, &format!("root{number}")).await;
    (app.user(&format!("ana{number}")).await, admin)
}

#[tokio::test]
async fn after_the_end_of_a_session_a_browser_sends_nothing_of_it() {
    let mut cases = 0;
    for (told, settings) in PLACES {
        let app = place(settings).await;
        for way in WAYS {
            let told = format!("{told}, {way:?}");
            let (user, admin) = people(&app, cases).await;
            let browser = Browser::new(&app);
            sign_in(&browser, &user).await;
            assert_eq!(left(&browser).len(), 4, "{told}: {:?}", left(&browser));
            browser.get(SESSION).await.ok();
            end(&app, &browser, &user, &admin, way).await;
            assert!(left(&browser).is_empty(), "{told}: {:?}", left(&browser));
            browser.get(SESSION).await.refused(401, "UNAUTHORIZED");
            cases += 1;
        }
    }
    println!("{cases} ends of sessions, by place and way");
}

/// The operator chooses another cookie domain while sessions live.
const MOVES: [(Settings, Settings); 4] = [
    (&[HTTPS], &[("sessions.cookie_domain", "example.co.uk")]),
    (
        &[HTTPS],
        &[("sessions.cookie_domain", "auth.example.co.uk")],
    ),
    (
        &[HTTPS, ("sessions.cookie_domain", "example.co.uk")],
        &[("sessions.cookie_domain", "")],
    ),
    (
        &[HTTPS, ("sessions.cookie_domain", "example.co.uk")],
        &[("sessions.cookie_domain", "auth.example.co.uk")],
    ),
];

#[tokio::test]
async fn after_a_change_of_the_cookie_domain_the_cookies_of_before_go_with_their_session() {
    let mut cases = 0;
    for (before, after) in MOVES {
        let old = place(before).await;
        let app = old.replica_with(after).await;
        for way in WAYS.into_iter().filter(|way| *way != SignOutWhileActing) {
            let told = format!("{before:?} then {after:?}, {way:?}");
            let (user, admin) = people(&app, cases).await;
            let browser = Browser::new(&old);
            sign_in(&browser, &user).await;
            assert_eq!(left(&browser).len(), 4, "{told}: {:?}", left(&browser));
            let browser = browser.at(&app);
            end(&app, &browser, &user, &admin, way).await;
            assert!(left(&browser).is_empty(), "{told}: {:?}", left(&browser));
            cases += 1;
        }
        // A sign-in that replaces the session: both names stand there twice until an answer sets
        // them again, and the new session counts.
        let (user, _) = people(&app, cases).await;
        let browser = Browser::new(&old);
        sign_in(&browser, &user).await;
        let browser = browser.at(&app);
        let (other, _) = people(&app, cases + 1000).await;
        sign_in(&browser, &other).await;
        let session = browser.get(SESSION).await.ok();
        assert_eq!(session.body["user"]["email"], other.email);
        app.after(minutes(2));
        browser.refresh().await.ok();
        let sent = browser.sends(REFRESH);
        for name in ["session_token", "refresh_token"] {
            let count = sent.iter().filter(|sent| sent.ends_with(name)).count();
            assert_eq!(count, 1, "{name}: {sent:?}");
        }
        cases += 1;
    }
    println!("{cases} ends of sessions after a change of the cookie domain");
}

#[tokio::test]
async fn a_sign_in_that_replaces_a_session_leaves_one_cookie_of_each_name() {
    for (told, settings) in PLACES {
        let app = place(settings).await;
        let (ana, bob) = (app.user("ana").await, app.user("bob").await);
        let browser = Browser::new(&app);
        sign_in(&browser, &ana).await;
        let before = browser.sends(REFRESH);
        let replaced = browser.stolen();
        sign_in(&browser, &bob).await;
        assert_eq!(browser.sends(REFRESH).len(), before.len(), "{told}");
        let session = browser.get(SESSION).await.ok();
        assert_eq!(session.body["user"]["email"], bob.email, "{told}");
        // A new password moves the session: the cookies of the old one are overwritten.
        let body = json!({ "currentPassword": bob.password, "newPassword": "another good password", "revokeOtherSessions": true });
        browser.post("/api/auth/change-password", &body).await.ok();
        assert_eq!(browser.sends(REFRESH).len(), before.len(), "{told}");
        browser.refresh().await.ok();
        assert_eq!(replaced.get(SESSION).await.status, 401, "{told}");
        // At the end of the browser nothing of a session that is only for now is left.
        let reopened = browser.stolen();
        reopened.close();
        assert!(left(&reopened).is_empty(), "{told}: {:?}", left(&reopened));
    }
}

#[tokio::test]
async fn cookies_end_with_their_session_also_in_a_browser_that_asks_no_more() {
    for (told, settings) in PLACES {
        let app = place(settings).await;
        let ana = app.user("ana").await;
        let browser = ana.browser().await;
        app.after(minutes(119));
        let sent = left(&browser);
        let lasts = |name: &str| sent.iter().any(|sent| sent.ends_with(name));
        assert!(
            lasts("session_token") && lasts("refresh_token"),
            "{told}: {sent:?}"
        );
        app.after(minutes(2));
        let sent = left(&browser);
        assert!(
            !sent.iter().any(|n| n.ends_with("session_token")),
            "{told}: {sent:?}"
        );
        // The refresh token's cookie lasts until the absolute end.
        app.after(minutes(400 * 24 * 60));
        assert!(left(&browser).is_empty(), "{told}: {:?}", left(&browser));
    }
}

#[tokio::test]
async fn the_refresh_cookie_goes_to_the_api_alone_and_other_sites_send_only_what_they_may() {
    let ends = |names: Vec<String>, name: &str| names.iter().any(|n| n.ends_with(name));
    for (told, settings) in PLACES {
        let app = place(settings).await;
        let ana = app.user("ana").await;
        let browser = ana.browser().await;
        let (for_host_alone, for_other_sites, for_domain) = (
            told.contains("this host alone"),
            told.contains("other sites"),
            told.contains("all hosts"),
        );
        assert!(ends(browser.sends(REFRESH), "refresh_token"), "{told}");
        assert_eq!(
            ends(browser.sends(ACCOUNT), "refresh_token"),
            for_host_alone,
            "{told}: a name with __Host- stands at the root"
        );
        assert_eq!(
            ends(
                browser.sends_to("https://app.example.co.uk/"),
                "session_token"
            ),
            for_domain,
            "{told}: another host of the domain"
        );
        // A page of another site.
        let elsewhere = browser.on("https://evil.test/");
        for name in ["session_token", "refresh_token"] {
            assert_eq!(
                ends(elsewhere.sends(REFRESH), name),
                for_other_sites,
                "{told}: {name} in the background"
            );
        }
        // Its link opens a page of the service signed in, its form does not.
        let opened = elsewhere.follow(ACCOUNT).await;
        assert_eq!(opened.status, 200, "{told}: {}", opened.text);
        let answer = elsewhere.ask(Method::POST, REFRESH, Some(&json!({}))).await;
        assert_eq!(answer.status, 403, "{told}: {}", answer.text);
        assert_eq!(
            elsewhere.form("/auth/sign-out", &[]).await.status,
            403,
            "{told}"
        );
        browser.get(SESSION).await.ok();
    }
}
