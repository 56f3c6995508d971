//! The tokens of other issuers, where the settings keep them: who gets them, when they are renewed, and
//! what is left of them in the database.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use countersign::flows::key::reseal_secrets::reseal_due;
use countersign::flows::key::rewrap::{Options, Resealed, rewrap};
use countersign::flows::permit::Permitted;
use countersign::model::audit::event::Requester;
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::admin::made_admin;
use super::impersonation::act;
use super::linked_accounts::{row, unlinks};
use super::mail::verified;
use super::upstream::{Place, SIGN_IN, ana, led, unverified, who};
use crate::support::issuer::{CLIENT_ID, Issuer, Manner, REFRESH, Refreshing, Says};
use crate::support::logs::Logs;
use crate::support::{Answer, Browser, minutes, seconds};

const KEEPS: (&str, &str) = ("upstream.acme.keep_tokens", "true");
const LINK: &str = "/api/auth/link-social";

/// A service that keeps the tokens of `acme`, which gives refresh tokens.
async fn place() -> Place {
    place_with(&[]).await
}

async fn place_with(extra: &[(&str, &str)]) -> Place {
    let all: Vec<_> = [KEEPS].iter().chain(extra).copied().collect();
    let place = Place::with(&all).await;
    place.issuer.lie(|lies| lies.refresh.given = true);
    place
}

/// A browser in which Ana has signed in at `acme`, and the row of her account.
async fn signed_in(place: &Place) -> (Browser, String) {
    let browser = Browser::new(&place.app);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    let row = row(&browser, "acme").await.unwrap();
    (browser, row)
}

async fn access(browser: &Browser, row: &str) -> Answer {
    let body = json!({ "accountId": row });
    browser.post("/api/auth/get-access-token", &body).await
}

async fn refresh(browser: &Browser, row: &str) -> Answer {
    let body = json!({ "accountId": row });
    browser.post("/api/auth/refresh-token", &body).await
}

async fn info(browser: &Browser, row: &str) -> Answer {
    let path = format!("/api/auth/account-info?accountId={row}");
    browser.get(&path).await
}

fn renewals(place: &Place) -> usize {
    place.issuer.times_asked(REFRESH)
}

/// How many rows of tokens there are.
async fn kept(place: &Place) -> i64 {
    let sql = "SELECT COUNT(*) FROM upstream_tokens";
    place.app.db_number(sql).await
}

/// Changes how the issuer answers refresh tokens.
fn refreshing(place: &Place, change: impl FnOnce(&mut Refreshing)) {
    place.issuer.lie(|lies| change(&mut lies.refresh));
}

fn text_of(logs: &Logs) -> String {
    let lines: Vec<String> = logs.take().iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Nothing of a token stands in the database.
async fn assert_sealed(place: &Place) {
    let dump = place.app.db_dump().await.join("\n");
    for token in ["access-", "refresh-", "eyJhbGciOiJFUzI1NiI"] {
        assert!(!dump.contains(token), "{token} stands in the database");
    }
}

#[tokio::test]
async fn the_tokens_of_a_sign_in_are_handed_out_and_renewed_before_they_expire() {
    let place = place().await;
    let (browser, row) = signed_in(&place).await;
    let first = access(&browser, &row).await.ok();
    assert_eq!(first.header("cache-control"), "no-store");
    let id_token = first.str("idToken");
    let expected = json!({
        "accessToken": "access-0",
        "accessTokenExpiresAt": "2026-11-21T01:00:00.000Z",
        "scopes": ["openid", "email", "profile"],
        "idToken": id_token,
    });
    assert_eq!(first.body, expected);
    assert_eq!(first.claims("idToken")["sub"], "ana-1");
    // Up to a minute before its end it stays as it is.
    place.app.after(Duration::from_millis(59 * 60_000 - 1));
    assert_eq!(access(&browser, &row).await.ok().body, expected);
    assert_eq!(renewals(&place), 0);
    place.app.after(Duration::from_millis(1));
    let second = access(&browser, &row).await.ok();
    assert_eq!(second.str("accessToken"), "access-1");
    let end = "2026-11-21T01:59:00.000Z";
    assert_eq!(second.str("accessTokenExpiresAt"), end);
    assert_ne!(second.str("idToken"), id_token, "it came with the newer");
    // The rotated refresh token is the one that is sent the next time.
    let third = refresh(&browser, &row).await.ok();
    assert_eq!(third.header("cache-control"), "no-store");
    let expected = json!({
        "accessToken": "access-2",
        "accessTokenExpiresAt": end,
        "refreshToken": "refresh-2",
        "scope": "openid,email,profile",
        "idToken": third.str("idToken"),
        "providerId": "acme",
        "accountId": row,
    });
    assert_eq!(third.body, expected);
    assert_eq!(
        refresh(&browser, &row).await.ok().str("refreshToken"),
        "refresh-3"
    );
    assert_eq!(renewals(&place), 3);
    assert_sealed(&place).await;
}

#[tokio::test]
async fn what_the_issuer_says_of_the_user_is_told_by_its_tokens() {
    let place = place_with(&[("upstream.github.keep_tokens", "true")]).await;
    let (browser, row) = signed_in(&place).await;
    let told = info(&browser, &row).await.ok();
    assert_eq!(told.header("cache-control"), "no-store");
    let user = json!({ "name": "Ana Muster", "email": "ana@example.com", "emailVerified": true });
    assert_eq!(told.body["user"], user);
    assert_eq!(told.body["data"]["sub"], "ana-1");
    let account = json!({ "id": row, "providerId": "acme", "accountId": "ana-1" });
    assert_eq!(told.body["account"], account);
    assert_eq!(place.issuer.times_asked("/userinfo"), 0);
    // An issuer whose id tokens do not name the mailbox is asked.
    place.issuer.lie(|lies| lies.only_userinfo = true);
    let other = Browser::new(&place.app);
    led(&place.signs_in(&other, "acme", ana()).await, "/welcome");
    let before = place.issuer.times_asked("/userinfo");
    let told = info(&other, &row).await.ok();
    assert_eq!(told.body["user"], user);
    assert_eq!(place.issuer.times_asked("/userinfo"), before + 1);
    place
        .issuer
        .lie(|lies| lies.userinfo_subject = Some("eve-1".into()));
    info(&other, &row)
        .await
        .refused(404, "FAILED_TO_GET_USER_INFO");
    place.issuer.lie(|lies| lies.userinfo = Manner::Status(503));
    info(&other, &row)
        .await
        .refused(503, "UPSTREAM_UNAVAILABLE");
    place.issuer.repent();
    // GitHub has no id tokens, and the public email address counts for nothing.
    let browser = Browser::new(&place.app);
    let says = Says::user("42", "octo@example.com");
    led(&place.signs_in(&browser, "github", says).await, "/welcome");
    let github = super::linked_accounts::row(&browser, "github")
        .await
        .unwrap();
    let told = info(&browser, &github).await.ok();
    let user = json!({ "name": "Ana Muster", "email": "octo@example.com", "emailVerified": true });
    assert_eq!(told.body["user"], user);
    assert_eq!(told.body["data"]["login"], "ana-muster");
    assert_eq!(told.body["account"]["accountId"], "42");
    let tokens = access(&browser, &github).await.ok();
    assert_eq!(tokens.body.get("idToken"), None);
    assert_eq!(tokens.body.get("accessTokenExpiresAt"), None);
    refresh(&browser, &github)
        .await
        .refused(400, "REFRESH_TOKEN_NOT_FOUND");
}

#[tokio::test]
async fn an_app_of_github_has_tokens_that_expire_and_are_renewed() {
    let place = place_with(&[("upstream.github.keep_tokens", "true")]).await;
    let browser = Browser::new(&place.app);
    let says = Says::user("42", "octo@example.com");
    led(&place.signs_in(&browser, "github", says).await, "/welcome");
    let row = row(&browser, "github").await.unwrap();
    let first = access(&browser, &row).await.ok();
    assert_eq!(
        first.str("accessTokenExpiresAt"),
        "2026-11-21T08:00:00.000Z"
    );
    let newer = refresh(&browser, &row).await.ok();
    assert_eq!(newer.str("refreshToken"), "refresh-1");
    let end = "2027-05-23T00:00:00.000Z";
    assert_eq!(newer.str("refreshTokenExpiresAt"), end);
    // GitHub refuses with the status 200.
    place.issuer.forget_refresh_tokens();
    refresh(&browser, &row)
        .await
        .refused(400, "FAILED_TO_REFRESH_ACCESS_TOKEN");
    refresh(&browser, &row)
        .await
        .refused(400, "REFRESH_TOKEN_NOT_FOUND");
}

#[tokio::test]
async fn many_requests_at_the_end_of_a_token_cause_one_renewal() {
    let place = place().await;
    let (browser, row) = signed_in(&place).await;
    let other = place.replica(&[]).await;
    let elsewhere = browser.at(&other.app);
    for round in 1..=3 {
        place.app.after(minutes(59));
        let asked = (0..64).map(|n| {
            // Half of them at another process.
            let at = if round > 1 && n % 2 == 0 {
                &elsewhere
            } else {
                &browser
            };
            access(at, &row)
        });
        let answers = join_all(asked).await;
        let expected = format!("access-{round}");
        for answer in answers {
            assert_eq!(answer.ok().str("accessToken"), expected);
        }
        assert_eq!(renewals(&place), round);
    }
    // Requests for a renewal share the one that is under way; only one that comes when it is over begins
    // another one.
    let answers = join_all((0..64).map(|_| refresh(&browser, &row))).await;
    let last = renewals(&place);
    assert!((4..10).contains(&last), "{last}");
    let brought: Vec<String> = (4..=last).map(|n| format!("refresh-{n}")).collect();
    for answer in answers {
        let token = answer.ok().str("refreshToken");
        assert!(brought.contains(&token), "{token} of {brought:?}");
    }
    let free = "SELECT COUNT(*) FROM upstream_tokens WHERE renewing_until IS NULL";
    assert_eq!(place.app.db_number(free).await, 1);
    assert_eq!(place.app.app.renewals.under_way(), 0);
}

/// Waits until the issuer has been asked for a renewal, and drives the request meanwhile.
async fn until_asked(place: &Place, request: &mut (impl Future<Output = Answer> + Unpin)) {
    let before = renewals(place);
    while renewals(place) == before {
        tokio::select! {
            biased;
            answer = &mut *request => panic!("{}", answer.text),
            () = tokio::task::yield_now() => {}
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_lose_the_rotated_token() {
    let place = place().await;
    let (browser, row) = signed_in(&place).await;
    let mut request = Box::pin(refresh(&browser, &row));
    until_asked(&place, &mut request).await;
    drop(request);
    while place.app.app.renewals.under_way() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        access(&browser, &row).await.ok().str("accessToken"),
        "access-1"
    );
    assert_eq!(
        refresh(&browser, &row).await.ok().str("refreshToken"),
        "refresh-2"
    );
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_leaves_the_tokens_as_they_are() {
    let place = place().await;
    let (browser, row) = signed_in(&place).await;
    place.app.after(minutes(59));
    for manner in [
        Manner::Status(500),
        Manner::Text("no JSON".into()),
        Manner::Redirect("https://evil.example".into()),
    ] {
        refreshing(&place, |it| it.manner = manner.clone());
        refresh(&browser, &row)
            .await
            .refused(503, "UPSTREAM_UNAVAILABLE");
        // The old one is good for another minute.
        let old = access(&browser, &row).await.ok();
        assert_eq!(old.str("accessToken"), "access-0", "{manner:?}");
    }
    refreshing(&place, |it| it.manner = Manner::Never);
    let mut request = Box::pin(refresh(&browser, &row));
    until_asked(&place, &mut request).await;
    // Nothing but the issuer is waited for: the time of the database must not be over.
    tokio::time::pause();
    tokio::time::advance(seconds(11)).await;
    tokio::time::resume();
    request.await.refused(503, "UPSTREAM_UNAVAILABLE");
    while place.app.app.renewals.under_way() > 0 {
        tokio::task::yield_now().await;
    }
    place.app.after(minutes(1));
    refreshing(&place, |it| it.manner = Manner::Status(500));
    access(&browser, &row)
        .await
        .refused(503, "UPSTREAM_UNAVAILABLE");
    info(&browser, &row)
        .await
        .refused(503, "UPSTREAM_UNAVAILABLE");
    // When it answers again, the refresh token is good.
    refreshing(&place, |it| it.manner = Manner::Honest);
    let newer = access(&browser, &row).await.ok();
    assert_eq!(newer.str("accessToken"), "access-1");
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_is_forgotten() {
    let place = place().await;
    let (browser, row) = signed_in(&place).await;
    // A refusal that is about this service leaves it.
    let refusal = |word: &str| Manner::Text(json!({ "error": word }).to_string());
    refreshing(&place, |it| it.manner = refusal("invalid_client"));
    let failed = "FAILED_TO_REFRESH_ACCESS_TOKEN";
    refresh(&browser, &row).await.refused(400, failed);
    refreshing(&place, |it| it.manner = Manner::Honest);
    refresh(&browser, &row).await.ok();
    place.issuer.forget_refresh_tokens();
    refresh(&browser, &row).await.refused(400, failed);
    let asked = renewals(&place);
    refresh(&browser, &row)
        .await
        .refused(400, "REFRESH_TOKEN_NOT_FOUND");
    assert_eq!(renewals(&place), asked);
    // The access token lives to its end.
    let last = access(&browser, &row).await.ok();
    assert_eq!(last.str("accessToken"), "access-1");
    place.app.after(minutes(60));
    let ended = "FAILED_TO_GET_ACCESS_TOKEN";
    access(&browser, &row).await.refused(400, ended);
    info(&browser, &row).await.refused(400, ended);
    assert_eq!(renewals(&place), asked);
    // A refusal at the end of the token is told as such, too, and a sign-in brings new tokens.
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    access(&browser, &row).await.ok();
    place.issuer.forget_refresh_tokens();
    place.app.after(minutes(60));
    access(&browser, &row).await.refused(400, ended);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    assert_eq!(
        access(&browser, &row).await.ok().str("accessToken"),
        "access-3"
    );
}

#[tokio::test]
async fn a_sign_in_replaces_the_tokens_and_keeps_a_refresh_token_that_came_once() {
    let place = place().await;
    refreshing(&place, |it| it.stays = true);
    let (browser, row) = signed_in(&place).await;
    refreshing(&place, |it| it.given = false);
    let again = Browser::new(&place.app);
    led(&place.signs_in(&again, "acme", ana()).await, "/welcome");
    assert_eq!(
        access(&browser, &row).await.ok().str("accessToken"),
        "access-1"
    );
    let newer = refresh(&browser, &row).await.ok();
    assert_eq!(newer.str("refreshToken"), "refresh-0");
    assert_eq!(newer.str("accessToken"), "access-2");
    // The next one that comes takes its place.
    refreshing(&place, |it| it.given = true);
    led(&place.signs_in(&again, "acme", ana()).await, "/welcome");
    let newer = refresh(&again, &row).await.ok();
    assert_eq!(newer.str("refreshToken"), "refresh-1");
    // An id token of an app brings no tokens and takes none away.
    let token = place.issuer.id_token(CLIENT_ID, None, &ana());
    let body = json!({ "provider": "acme", "idToken": { "token": token } });
    let native = Browser::new(&place.app);
    native.post(SIGN_IN, &body).await.ok();
    let newest = access(&native, &row).await.ok();
    assert_eq!(newest.str("accessToken"), newer.str("accessToken"));
}

#[tokio::test]
async fn what_happens_during_a_renewal_wins() {
    let place = place().await;
    let (browser, row) = signed_in(&place).await;
    let held = Arc::new(Notify::new());
    refreshing(&place, |it| it.held = Some(Arc::clone(&held)));
    let mut request = Box::pin(refresh(&browser, &row));
    until_asked(&place, &mut request).await;
    // The issuer has taken the refresh token, and its user signs in there before it answers.
    while place.issuer.refresh_tokens_given() < 2 {
        assert!((&mut request).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let again = Browser::new(&place.app);
    led(&place.signs_in(&again, "acme", ana()).await, "/welcome");
    held.notify_one();
    let late = request.await.ok();
    assert_eq!(late.str("refreshToken"), "refresh-2");
    assert_eq!(
        access(&browser, &row).await.ok().str("accessToken"),
        "access-2"
    );
    // The connection is taken away: the answer finds no row.
    let mut request = Box::pin(refresh(&browser, &row));
    until_asked(&place, &mut request).await;
    place
        .app
        .db_execute("DELETE FROM accounts WHERE issuer IS NOT NULL")
        .await
        .unwrap();
    held.notify_one();
    request.await.refused(400, "ACCOUNT_NOT_FOUND");
    assert_eq!(kept(&place).await, 0);
}

#[tokio::test]
async fn an_answer_that_is_of_another_user_is_not_kept() {
    let place = place().await;
    let (browser, row) = signed_in(&place).await;
    let before = access(&browser, &row).await.ok().body;
    let claim = |name: &str, value: Value| {
        place.issuer.lie(|lies| {
            lies.claims.clear();
            lies.claims.insert(name.into(), value);
        });
    };
    claim("sub", json!("eve-1"));
    refresh(&browser, &row)
        .await
        .refused(400, "FAILED_TO_REFRESH_ACCESS_TOKEN");
    assert_eq!(access(&browser, &row).await.ok().body, before);
    place.issuer.repent();
    place.issuer.lie(|lies| lies.refresh.given = true);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    let id_token = access(&browser, &row).await.ok().str("idToken");
    // One that is not good is left out, and the others are kept.
    for (name, value) in [
        ("aud", json!("another-client")),
        ("nonce", json!("of-another")),
        ("iss", json!("https://evil.example")),
    ] {
        claim(name, value);
        let newer = refresh(&browser, &row).await.ok();
        assert_eq!(newer.str("idToken"), id_token, "{name}");
    }
    place.issuer.repent();
    place.issuer.lie(|lies| lies.refresh.given = true);
    let newer = refresh(&browser, &row).await.ok();
    assert_ne!(newer.str("idToken"), id_token);
}

#[tokio::test]
async fn tokens_are_their_user_s_own() {
    let place = place().await;
    let app = &place.app;
    let (browser, acme) = signed_in(&place).await;
    let eve = app.user("eve").await.browser().await;
    let password = row(&eve, "credential").await.unwrap();
    for n in 0..3 {
        let ask = async |browser: &Browser, row: &str| match n {
            0 => access(browser, row).await,
            1 => refresh(browser, row).await,
            _ => info(browser, row).await,
        };
        ask(&browser, &acme).await.ok();
        let unknown = "ACCOUNT_NOT_FOUND";
        ask(&eve, &acme).await.refused(400, unknown);
        ask(&browser, &password).await.refused(400, unknown);
        ask(&browser, "unknown").await.refused(400, unknown);
        ask(&eve, &password)
            .await
            .refused(400, "PROVIDER_NOT_SUPPORTED");
        ask(&Browser::new(app), &acme)
            .await
            .refused(401, "UNAUTHORIZED");
    }
    // An admin who acts as a user gets none of them.
    let bob = verified(app, place.dir.path(), "bob").await;
    let browser = bob.browser().await;
    let body = json!({ "provider": "acme", "callbackURL": "/linked" });
    let says = Says::user("bob-1", &bob.email);
    led(&place.goes(&browser, LINK, &body, says).await, "/linked");
    let of_bob = json!({ "accountId": row(&browser, "acme").await.unwrap() });
    let own = bob.sign_in().await.session;
    let root = made_admin(app, "root").await.sign_in().await;
    let acting = act(app, &root, &bob).await.session;
    let not_allowed = "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS";
    for path in ["get-access-token", "refresh-token"] {
        let path = format!("/api/auth/{path}");
        app.post_as(&path, &own, &of_bob).await.ok();
        app.post_as(&path, &acting, &of_bob)
            .await
            .refused(403, not_allowed);
    }
    let path = format!(
        "/api/auth/account-info?accountId={}",
        of_bob["accountId"].as_str().unwrap()
    );
    app.get_as(&path, &own).await.ok();
    app.get_as(&path, &acting).await.refused(403, not_allowed);
}

#[tokio::test]
async fn a_sign_in_that_waits_for_a_second_step_keeps_nothing_before_it_is_passed() {
    let place = place().await;
    let app = &place.app;
    let user = verified(app, place.dir.path(), "ana").await;
    let phone = user.enrols().await;
    let page = "/auth/challenge?redirect_to=%2Fwelcome";
    let (gives_up, goes_on) = (Browser::new(app), Browser::new(app));
    led(&place.signs_in(&gives_up, "acme", ana()).await, page);
    assert_eq!((kept(&place).await, place.links().await), (0, 0));
    led(&place.signs_in(&goes_on, "acme", ana()).await, page);
    let waiting = "SELECT COUNT(*) FROM login_challenges WHERE upstream_tokens IS NOT NULL";
    assert_eq!(app.db_number(waiting).await, 2);
    assert_sealed(&place).await;
    // Tokens of another sign-in open nothing: who can write into the database gets none of hers.
    let verify = "/api/auth/two-factor/verify-totp";
    let code = json!({ "code": phone.code(app, 0) });
    goes_on.post(verify, &code).await.ok();
    assert_eq!(who(&goes_on).await.as_deref(), Some("ana@example.com"));
    let acme = row(&goes_on, "acme").await.unwrap();
    let tokens = access(&goes_on, &acme).await.ok();
    assert_eq!(tokens.str("accessToken"), "access-1");
    assert_eq!(kept(&place).await, 1);
    assert_sealed(&place).await;
    // Where the sealed tokens are of another row, the sign-in goes on without them.
    let swapped = Browser::new(app);
    app.after(seconds(30));
    led(&place.signs_in(&swapped, "acme", ana()).await, page);
    let swap = "UPDATE login_challenges SET upstream_tokens = (SELECT MAX(tokens_jwe) FROM upstream_tokens)";
    app.db_execute(swap).await.unwrap();
    let code = json!({ "code": phone.code(app, 0) });
    swapped.post(verify, &code).await.ok();
    let tokens = access(&swapped, &acme).await.ok();
    assert_eq!(tokens.str("accessToken"), "access-1");
}

#[tokio::test]
async fn an_account_that_was_just_made_gets_its_tokens_when_its_gate_opens() {
    let verifies = ("sign_up.require_email_verification", "true");
    let place = place_with(&[verifies]).await;
    let browser = Browser::new(&place.app);
    let answer = place.signs_in(&browser, "acme", unverified(ana())).await;
    let location = answer.header("location").to_owned();
    assert_eq!(place.links().await, 1, "{location}");
    assert_eq!(kept(&place).await, 0);
    assert_sealed(&place).await;
    let sql = "UPDATE users SET email_verified = 1, version = version + 1";
    place.app.db_execute(sql).await.unwrap();
    signed_in(&place).await;
    assert_eq!(kept(&place).await, 1);
}

#[tokio::test]
async fn a_link_keeps_tokens_and_they_go_with_it() {
    let place = place().await;
    let app = &place.app;
    let user = verified(app, place.dir.path(), "ana").await;
    let browser = user.browser().await;
    let body =
        json!({ "provider": "acme", "callbackURL": "/linked", "errorCallbackURL": "/failed" });
    let link = async |says: Says| place.goes(&browser, LINK, &body, says).await;
    led(&link(ana()).await, "/linked");
    let acme = row(&browser, "acme").await.unwrap();
    assert_eq!(
        access(&browser, &acme).await.ok().str("accessToken"),
        "access-0"
    );
    // Once more: the tokens are those of the newest link.
    led(&link(ana()).await, "/linked");
    assert_eq!(
        access(&browser, &acme).await.ok().str("accessToken"),
        "access-1"
    );
    unlinks(&browser, &acme).await.ok();
    assert_eq!(kept(&place).await, 0);
    access(&browser, &acme)
        .await
        .refused(400, "ACCOUNT_NOT_FOUND");
    // The account of another mailbox is linked after a question, without tokens.
    let answer = link(Says::user("ana-1", "private@example.com")).await;
    assert!(
        answer
            .header("location")
            .starts_with("/auth/account/connect")
    );
    assert_eq!(kept(&place).await, 0);
}

#[tokio::test]
async fn tokens_of_a_provider_that_keeps_none_any_more_are_not_handed_out_and_go() {
    let place = place().await;
    let (browser, acme) = signed_in(&place).await;
    access(&browser, &acme).await.ok();
    let none = "ACCESS_TOKEN_NOT_FOUND";
    let off = place
        .replica(&[("upstream.acme.keep_tokens", "false")])
        .await;
    let there = browser.at(&off.app);
    access(&there, &acme).await.refused(400, none);
    info(&there, &acme).await.refused(400, none);
    refresh(&there, &acme)
        .await
        .refused(400, "REFRESH_TOKEN_NOT_FOUND");
    let without = place.replica(&[("upstream.acme.enabled", "false")]).await;
    access(&browser.at(&without.app), &acme)
        .await
        .refused(400, "PROVIDER_NOT_SUPPORTED");
    assert_eq!((kept(&place).await, renewals(&place)), (1, 0));
    // The next sign-in takes them away, that of an app too.
    let elsewhere = Browser::new(&off.app);
    led(&off.signs_in(&elsewhere, "acme", ana()).await, "/welcome");
    assert_eq!(kept(&place).await, 0);
    access(&browser, &acme).await.refused(400, none);
    signed_in(&place).await;
    assert_eq!(kept(&place).await, 1);
    let token = place.issuer.id_token(CLIENT_ID, None, &ana());
    let body = json!({ "provider": "acme", "idToken": { "token": token } });
    Browser::new(&off.app).post(SIGN_IN, &body).await.ok();
    assert_eq!(kept(&place).await, 0);
}

#[tokio::test]
async fn tokens_of_one_issuer_are_not_sent_to_another_one() {
    let place = place().await;
    let (browser, acme) = signed_in(&place).await;
    let evil = Issuer::start().await;
    evil.lie(|lies| lies.refresh.given = true);
    let moved = place.replica(&[("upstream.acme.issuer", evil.url())]).await;
    let there = browser.at(&moved.app);
    let none = "ACCESS_TOKEN_NOT_FOUND";
    access(&there, &acme).await.refused(400, none);
    info(&there, &acme).await.refused(400, none);
    refresh(&there, &acme)
        .await
        .refused(400, "REFRESH_TOKEN_NOT_FOUND");
    assert_eq!(evil.times_asked(REFRESH), 0);
    refresh(&browser, &acme).await.ok();
}

#[tokio::test]
async fn a_stolen_database_holds_no_token_and_a_new_master_key_opens_them_on() {
    let place = place().await;
    let app = &place.app;
    let (browser, acme) = signed_in(&place).await;
    let bob = Browser::new(app);
    let says = Says::user("bob-1", "bob@example.com");
    led(&place.signs_in(&bob, "acme", says).await, "/welcome");
    let of_bob = row(&bob, "acme").await.unwrap();
    access(&bob, &of_bob).await.ok();
    assert_sealed(&place).await;
    let file = app.path("new.key");
    std::fs::write(&file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let old: Vec<(String, String, String)> =
        sqlx::query_as("SELECT account_id, tokens_jwe, master_key FROM upstream_tokens")
            .fetch_all(&mut app.db().await)
            .await
            .unwrap();
    let (operator, by) = (Permitted::as_operator(), Requester::default());
    let done = rewrap(&app.app, operator, &file, Options::default(), &by)
        .await
        .unwrap();
    assert_eq!(done.tokens, Ok(Resealed { done: 2, left: 0 }));
    assert_eq!(done.secrets, Ok(Resealed::default()));
    let keys = [
        ("COUNTERSIGN_MASTER_KEY_FILE", file),
        (
            "COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE",
            app.path("keys/master.key"),
        ),
    ];
    let keys = keys.map(|(name, path)| (name, path.display().to_string()));
    let alone = app.replica(&keys[..1]).await.unwrap();
    let there = Browser::new(&alone);
    let at_alone = Place {
        app: alone.clone(),
        issuer: Arc::clone(&place.issuer),
        dir: tempfile::tempdir().unwrap(),
    };
    led(&at_alone.signs_in(&there, "acme", ana()).await, "/welcome");
    let tokens = refresh(&there, &acme).await.ok();
    assert_eq!(tokens.str("refreshToken"), "refresh-3");
    // As a process that was killed has left it: one row is sealed under the former key.
    let (id, jwe, key) = old.iter().find(|(id, ..)| *id == of_bob).unwrap();
    let sql = format!(
        "UPDATE upstream_tokens SET tokens_jwe = '{jwe}', master_key = '{key}' WHERE account_id = '{id}'"
    );
    app.db_execute(&sql).await.unwrap();
    reseal_due(&alone.app).await.unwrap();
    let under = "SELECT COUNT(DISTINCT master_key) FROM upstream_tokens";
    assert_eq!(app.db_number(under).await, 2);
    let both = app.replica(&keys).await.unwrap();
    reseal_due(&both.app).await.unwrap();
    assert_eq!(app.db_number(under).await, 1);
    access(&browser, &acme).await;
}

#[tokio::test]
async fn a_row_that_was_copied_to_another_account_opens_nothing() {
    let place = place().await;
    let app = &place.app;
    let (browser, acme) = signed_in(&place).await;
    let eve = Browser::new(app);
    let says = Says::user("eve-1", "eve@example.com");
    led(
        &place.signs_in(&eve, "acme", says.clone()).await,
        "/welcome",
    );
    let of_eve = row(&eve, "acme").await.unwrap();
    assert_eq!(
        access(&eve, &of_eve).await.ok().str("accessToken"),
        "access-1"
    );
    let sql = format!(
        "UPDATE upstream_tokens SET tokens_jwe = (SELECT tokens_jwe FROM upstream_tokens WHERE account_id = '{acme}') WHERE account_id = '{of_eve}'"
    );
    app.db_execute(&sql).await.unwrap();
    let logs = Logs::collect();
    access(&eve, &of_eve)
        .await
        .refused(400, "ACCESS_TOKEN_NOT_FOUND");
    refresh(&eve, &of_eve)
        .await
        .refused(400, "REFRESH_TOKEN_NOT_FOUND");
    let text = text_of(&logs);
    assert!(text.contains("cannot be opened"), "{text}");
    assert_eq!(renewals(&place), 0);
    access(&browser, &acme).await.ok();
    // A sign-in puts it right.
    led(&place.signs_in(&eve, "acme", says).await, "/welcome");
    assert_eq!(
        access(&eve, &of_eve).await.ok().str("accessToken"),
        "access-2"
    );
}

#[tokio::test]
async fn another_process_that_renews_is_waited_for_and_one_that_died_blocks_for_half_a_minute() {
    let place = place().await;
    let app = &place.app;
    let (browser, acme) = signed_in(&place).await;
    app.after(minutes(59));
    let turn = |until: &str| format!("UPDATE upstream_tokens SET renewing_until = {until}");
    let taken = || turn(&(app.app.now() + seconds(30)).0.to_string());
    // It ends its turn and has brought nothing: what became of the refresh token is not known.
    for (is_over, status) in [(false, 200), (true, 503)] {
        if is_over {
            app.after(minutes(1));
        }
        app.db_execute(&taken()).await.unwrap();
        let logs = Logs::down_to(tracing::Level::DEBUG);
        let mut request = Box::pin(access(&browser, &acme));
        // Not before this one has seen that it is not its turn.
        while !text_of(&logs).contains("is waited for") {
            assert!((&mut request).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        app.db_execute(&turn("NULL")).await.unwrap();
        assert_eq!(request.await.status, status);
    }
    assert_eq!(renewals(&place), 0);
    // One that died does not end its turn.
    app.db_execute(&taken()).await.unwrap();
    app.after(seconds(30));
    let newer = access(&browser, &acme).await.ok();
    assert_eq!(newer.str("accessToken"), "access-1");
}

/// What an issuer has given is written again if the database fails: a refresh token that is good once
/// would be lost.
#[tokio::test]
async fn a_database_that_fails_at_any_step_of_a_renewal_loses_no_token() {
    let unlimited = ("rate_limits.enabled", "false");
    let place = place_with(&[unlimited]).await;
    let app = &place.app;
    let (browser, acme) = signed_in(&place).await;
    let faults = app.app.db.faults().clone();
    for statement in 0..20 {
        let before = renewals(&place);
        let mut reached = faults.arm(statement);
        let mut request = Box::pin(refresh(&browser, &acme));
        let (answer, is_reached) = tokio::select! {
            biased;
            go_on = &mut reached => {
                go_on.unwrap().send(()).unwrap();
                (request.await, true)
            }
            answer = &mut request => (answer, false),
        };
        faults.disarm();
        while app.app.renewals.under_way() > 0 {
            tokio::task::yield_now().await;
        }
        // The issuer is not asked before the turn is taken.
        let asked = renewals(&place) - before;
        let expected = if statement == 0 { (503, 0) } else { (200, 1) };
        assert_eq!((answer.status.as_u16(), asked), expected, "{statement}");
        if !is_reached {
            assert!(statement > 2, "{statement}");
            return;
        }
        // Where the turn was not given back it ends by itself.
        app.after(seconds(30));
    }
    panic!("a renewal has no end");
}

#[tokio::test]
async fn the_issuer_is_asked_so_often_and_no_more() {
    let place = place().await;
    let (browser, acme) = signed_in(&place).await;
    for _ in 0..10 {
        refresh(&browser, &acme).await.ok();
    }
    let refused = refresh(&browser, &acme)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(refused.header("retry-after"), "10");
    assert_eq!(renewals(&place), 10);
    // What is kept is handed out.
    access(&browser, &acme).await.ok();
    place.app.after(seconds(10));
    refresh(&browser, &acme).await.ok();
    refresh(&browser, &acme)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn neither_logs_nor_the_audit_trail_have_a_token() {
    let place = place().await;
    let logs = Logs::collect();
    let (browser, acme) = signed_in(&place).await;
    access(&browser, &acme).await.ok();
    refresh(&browser, &acme).await.ok();
    place.issuer.forget_refresh_tokens();
    refresh(&browser, &acme)
        .await
        .refused(400, "FAILED_TO_REFRESH_ACCESS_TOKEN");
    let text = text_of(&logs);
    assert!(text.contains("did not renew"), "{text}");
    for token in ["access-", "refresh-0", "refresh-1", "eyJ"] {
        assert!(!text.contains(token), "{token}: {text}");
    }
    assert_sealed(&place).await;
}
