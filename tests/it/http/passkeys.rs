//! Passkeys: making one, signing in with one, and what becomes of them.

use serde_json::{Value, json};

use super::admin::{ask, id, made_admin};
use super::impersonation::act;
use super::mail::{about, posting, received, verified};
use super::mail_sign_in::code_of;
use crate::support::software_key::{
    Algorithm, BACKED_UP, ELIGIBLE, PRESENT, SoftwareKey, VERIFIED,
};
use crate::support::{Answer, Browser, SESSION_COOKIE, TestApp, User, minutes, seconds};

const LIST: &str = "/api/auth/passkey/list-user-passkeys";
const DELETE: &str = "/api/auth/passkey/delete-passkey";
const UPDATE: &str = "/api/auth/passkey/update-passkey";
const SIGNALS: &str = "/api/auth/passkey/signals";
const REGISTER: &str = "/api/auth/passkey/generate-register-options";
const REGISTERED: &str = "/api/auth/passkey/verify-registration";
const AUTHENTICATE: &str = "/api/auth/passkey/generate-authenticate-options";
const CEREMONY_COOKIE: &str = "better-auth.better-auth-passkey";
const CHALLENGE_COOKIE: &str = "better-auth.two_factor";

async fn passkeys(app: &TestApp, session: &str) -> Vec<Value> {
    let list = app.get_as(LIST, session).await.ok();
    list.body.as_array().unwrap().clone()
}

async fn kinds(app: &TestApp) -> Vec<String> {
    let sql = "SELECT kind FROM audit_events ORDER BY at, id";
    app.db_texts(sql).await
}

async fn events(app: &TestApp, kind: &str) -> usize {
    kinds(app).await.iter().filter(|k| *k == kind).count()
}

fn amr(answer: &Answer) -> Value {
    answer.claims("accessToken")["amr"].clone()
}

fn acr(answer: &Answer) -> Value {
    answer.claims("accessToken")["acr"].clone()
}

#[tokio::test]
async fn each_algorithm_makes_a_passkey_and_signs_in() {
    let (app, dir) = posting(&[]).await;
    let ana = verified(&app, dir.path(), "ana").await;
    let mut session = ana.sign_in().await.session;
    for (algorithm, name) in [
        (Algorithm::EdDsa, "eddsa"),
        (Algorithm::Es256, "es256"),
        (Algorithm::Rs256, "rs256"),
    ] {
        let mut key = SoftwareKey::new(algorithm, name);
        let options = app.creation(&session).await;
        assert_eq!(options["rp"]["id"], "localhost");
        assert_eq!(options["attestation"], "none");
        assert_eq!(options["timeout"], 60_000);
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        let algorithms: Vec<&Value> = options["pubKeyCredParams"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["alg"])
            .collect();
        assert_eq!(algorithms, [-8, -7, -257]);
        let response = key.create(&options);
        let added = app.registers(&session, &options, response).await.ok();
        assert_eq!(added.body["name"], "Laptop");
        assert_eq!(added.body["deviceType"], "singleDevice");
        assert_eq!(added.body["transports"], "hybrid,internal");
        assert_eq!(added.body["userId"], id(&ana).await);
        session = added.str("token");
        let done = app.signs_in(&mut key).await.ok();
        assert_eq!(done.body["user"]["email"], ana.email, "{name}");
        assert_eq!(amr(&done), json!(["pop", "user"]));
        assert_eq!(acr(&done), "urn:countersign:acr:phr");
        // An answer is good once, and so is the state of the registration.
        let again = app.request().await;
        let response = key.get(&again);
        app.authenticates(&again, response.clone()).await.ok();
        app.authenticates(&again, response)
            .await
            .refused(400, "CHALLENGE_NOT_FOUND");
        let mut other = SoftwareKey::new(algorithm, &format!("{name} again"));
        let response = other.create(&options);
        app.registers(&session, &options, response)
            .await
            .refused(400, "CHALLENGE_NOT_FOUND");
    }
    let all = passkeys(&app, &session).await;
    assert_eq!(all.len(), 3);
    assert!(
        all.iter()
            .all(|one| one["aaguid"] == "00000000-0000-0000-0000-000000000000")
    );
    assert_eq!(events(&app, "passkey.added").await, 3);
    let mails = received(&app, dir.path()).await;
    about(&mails, "A passkey was added to your account");
    let used = app.db_number("SELECT COUNT(*) FROM passkeys WHERE last_used_at IS NOT NULL");
    assert_eq!(used.await, 3);
}

#[tokio::test]
async fn a_browser_keeps_the_state_in_a_cookie_that_the_answer_clears() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = ana.browser().await;
    let mut key = SoftwareKey::usual("laptop");
    let before = browser.cookie(SESSION_COOKIE);
    let options = browser.get(REGISTER).await.ok();
    assert!(options.body["state"].is_null());
    assert!(browser.cookie(CEREMONY_COOKIE).is_some());
    let body = json!({ "response": key.create(&options.body) });
    let added = browser.post(REGISTERED, &body).await.ok();
    // The answer is that of Better Auth; the next session is in the cookies.
    assert!(added.body["accessToken"].is_null() && added.body["name"].is_null());
    assert!(browser.cookie(CEREMONY_COOKIE).is_none());
    assert_ne!(browser.cookie(SESSION_COOKIE), before);
    let there = browser.get("/api/auth/get-session").await.ok();
    assert_eq!(there.body["user"]["email"], ana.email);
    assert_eq!(there.body["user"]["twoFactorEnabled"], false);
    let fresh = Browser::new(&app);
    let done = fresh.uses_passkey(&mut key).await.ok();
    assert_eq!(done.body["session"]["userId"], id(&ana).await);
    assert!(fresh.cookie(CEREMONY_COOKIE).is_none());
    let there = fresh.get("/api/auth/get-session").await.ok();
    assert_eq!(there.body["user"]["email"], ana.email);
    // In five minutes the state is over.
    let late = Browser::new(&app);
    let options = late.get(AUTHENTICATE).await.ok();
    assert!(options.body["allowCredentials"].is_null());
    let body = json!({ "response": key.get(&options.body) });
    app.after(minutes(5));
    late.post("/api/auth/passkey/verify-authentication", &body)
        .await
        .refused(400, "CHALLENGE_NOT_FOUND");
}

#[tokio::test]
async fn a_key_that_does_not_verify_its_user_is_one_factor_until_another_stands_beside_it() {
    let (app, dir) = posting(&[]).await;
    let ana = verified(&app, dir.path(), "ana").await;
    let mut key = SoftwareKey::unverified("stick");
    ana.adds_passkey(&mut key).await;
    let done = app.signs_in(&mut key).await.ok();
    assert_eq!(amr(&done), json!(["pop"]));
    assert_eq!(acr(&done), "urn:countersign:acr:1fa");
    let own = ana.enrols().await;
    // With two-step sign-in the stick alone is not enough, and a code of the app is the same kind of
    // factor: the mailbox is not.
    let pending = app.signs_in(&mut key).await.ok();
    let methods = json!(["otp", "password"]);
    assert_eq!(pending.body["twoFactorMethods"], methods);
    let challenge = pending.str("challenge");
    ana.tries(&challenge, &own.code(&app, 0))
        .await
        .refused(401, "INVALID_CODE");
    let body = json!({ "challenge": challenge });
    app.post("/api/auth/two-factor/send-otp", &body).await.ok();
    let mails = received(&app, dir.path()).await;
    let body = json!({ "challenge": challenge, "code": code_of(&mails.last().unwrap().text) });
    let done = app
        .post("/api/auth/two-factor/verify-otp", &body)
        .await
        .ok();
    assert_eq!(amr(&done), json!(["email", "pop"]));
    assert_eq!(acr(&done), "urn:countersign:acr:phr");
    // The password and the stick are resistant to phishing together.
    app.after(seconds(30));
    let pending = ana.try_sign_in(&ana.password).await.ok();
    assert_eq!(pending.body["twoFactorMethods"], json!(["totp", "passkey"]));
    let done = app.finishes(&pending.str("challenge"), &mut key).await.ok();
    assert_eq!(amr(&done), json!(["pwd", "pop"]));
    assert_eq!(acr(&done), "urn:countersign:acr:phr");
    assert_eq!(done.body["session"]["userId"], id(&ana).await);
}

#[tokio::test]
async fn a_verified_passkey_needs_no_second_step() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::usual("phone");
    ana.adds_passkey(&mut key).await;
    ana.enrols().await;
    let done = app.signs_in(&mut key).await.ok();
    assert_eq!(acr(&done), "urn:countersign:acr:phr");
    // The same phone may leave its user alone; then it is one factor of two.
    key.flags = PRESENT;
    let pending = app.signs_in(&mut key).await.ok();
    assert_eq!(
        pending.body["twoFactorMethods"],
        json!(["otp", "passkey", "password"])
    );
    let challenge = pending.str("challenge");
    let path = format!("{AUTHENTICATE}?challenge={challenge}&delivery=body");
    let options = app.get(&path).await.ok();
    assert_eq!(options.body["userVerification"], "required");
    assert_eq!(options.body["allowCredentials"][0]["type"], "public-key");
    app.finishes(&challenge, &mut key)
        .await
        .refused(401, "AUTHENTICATION_FAILED");
    key.flags = PRESENT | VERIFIED;
    let done = app.finishes(&challenge, &mut key).await.ok();
    assert_eq!(acr(&done), "urn:countersign:acr:phr");
    app.get(&path)
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
}

#[tokio::test]
async fn a_pending_sign_in_has_five_tries_for_passkeys_as_for_codes() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let (mut own, mut others) = (SoftwareKey::usual("ana"), SoftwareKey::usual("bob"));
    ana.adds_passkey(&mut own).await;
    bob.adds_passkey(&mut others).await;
    ana.enrols().await;
    let challenge = ana.begins().await;
    for _ in 0..5 {
        app.finishes(&challenge, &mut others)
            .await
            .refused(403, "SAME_USER_REQUIRED");
    }
    let path = format!("{AUTHENTICATE}?challenge={challenge}&delivery=body");
    let options = app.get(&path).await.ok().body;
    let body =
        json!({ "response": own.get(&options), "state": options["state"], "challenge": challenge });
    app.post("/api/auth/passkey/verify-authentication", &body)
        .await
        .refused(400, "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE");
    assert_eq!(events(&app, "factor.refused").await, 5);
    // In a browser the cookie names the sign-in, and the device is remembered where that is wished.
    let browser = Browser::new(&app);
    let body = json!({ "email": ana.email, "password": ana.password });
    browser.post("/api/auth/sign-in/email", &body).await.ok();
    let options = browser.get(AUTHENTICATE).await.ok();
    let body = json!({ "response": own.get(&options.body), "trustDevice": true });
    browser
        .post("/api/auth/passkey/verify-authentication", &body)
        .await
        .ok();
    assert!(browser.cookie(CHALLENGE_COOKIE).is_none());
    assert!(browser.cookie("better-auth.trust_device").is_some());
}

#[tokio::test]
async fn a_session_proves_the_passkey_of_its_own_user_again() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let (mut own, mut others) = (SoftwareKey::usual("ana"), SoftwareKey::usual("bob"));
    ana.adds_passkey(&mut own).await;
    bob.adds_passkey(&mut others).await;
    let before = ana.sign_in().await;
    let lifted = app.steps_up(&before.session, &mut own).await.ok();
    assert_eq!(amr(&lifted), json!(["pwd", "pop", "user"]));
    app.get_as("/api/auth/session", &before.session)
        .await
        .refused(401, "UNAUTHORIZED");
    let session = lifted.str("token");
    app.steps_up(&session, &mut others)
        .await
        .refused(403, "SAME_USER_REQUIRED");
    // The state that was made in the session of another user.
    let path = format!("{AUTHENTICATE}?delivery=body");
    let of_bob = bob.sign_in().await.session;
    let options = app.get_as(&path, &of_bob).await.ok().body;
    let body = json!({ "response": own.get(&options), "state": options["state"] });
    let verify = "/api/auth/passkey/verify-authentication";
    app.post_as(verify, &session, &body)
        .await
        .refused(403, "SAME_USER_REQUIRED");
    // It begins no sign-in, either.
    app.post(verify, &body)
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    app.steps_up(&session, &mut own).await.ok();
}

#[tokio::test]
async fn a_passkey_is_added_and_removed_with_young_proofs_only() {
    let (app, dir) = posting(&[]).await;
    let ana = verified(&app, dir.path(), "ana").await;
    let mut key = SoftwareKey::usual("phone");
    let session = ana.adds_passkey(&mut key).await;
    let other = ana.sign_in().await.session;
    let row = passkeys(&app, &session).await[0]["id"].clone();
    app.after(minutes(11));
    app.get_as(REGISTER, &session)
        .await
        .refused(403, "SESSION_NOT_FRESH");
    let body = json!({ "id": row });
    app.post_as(DELETE, &session, &body)
        .await
        .refused(403, "SESSION_NOT_FRESH");
    let session = app.steps_up(&session, &mut key).await.ok().str("token");
    app.get_as(REGISTER, &session).await.ok();
    let removed = app.post_as(DELETE, &session, &body).await.ok();
    assert_eq!(removed.body["status"], true);
    // Sessions go on, and the passkey is unknown.
    app.get_as("/api/auth/session", &other).await.ok();
    app.get_as("/api/auth/session", &session).await.ok();
    app.signs_in(&mut key)
        .await
        .refused(401, "PASSKEY_NOT_FOUND");
    app.post_as(DELETE, &session, &body)
        .await
        .refused(404, "PASSKEY_NOT_FOUND");
    assert_eq!(events(&app, "passkey.removed").await, 1);
    let mails = received(&app, dir.path()).await;
    about(&mails, "A passkey was removed from your account");
}

#[tokio::test]
async fn a_passkey_is_named_listed_and_signalled_by_its_own_user_alone() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let of_bob = bob.sign_in().await.session;
    let signals = app.get_as(SIGNALS, &of_bob).await.ok();
    assert_eq!(signals.body["userId"], Value::Null);
    let mut key = SoftwareKey::usual("phone");
    let session = ana.adds_passkey(&mut key).await;
    let row = passkeys(&app, &session).await[0]["id"].clone();
    let named = json!({ "id": row, "name": "My phone" });
    for (path, body) in [(UPDATE, &named), (DELETE, &json!({ "id": row }))] {
        app.post_as(path, &of_bob, body)
            .await
            .refused(404, "PASSKEY_NOT_FOUND");
    }
    assert!(passkeys(&app, &of_bob).await.is_empty());
    for bad in [
        json!({ "id": "no id", "name": "x" }),
        json!({ "id": id(&ana).await, "name": "x" }),
    ] {
        app.post_as(UPDATE, &session, &bad)
            .await
            .refused(404, "PASSKEY_NOT_FOUND");
    }
    let renamed = app.post_as(UPDATE, &session, &named).await.ok();
    assert_eq!(renamed.body["passkey"]["name"], "My phone");
    let signals = app.get_as(SIGNALS, &session).await.ok();
    assert_eq!(signals.body["rpId"], "localhost");
    assert_eq!(signals.body["userId"], json!(key.handle));
    assert_eq!(signals.body["name"], ana.email);
    assert_eq!(
        signals.body["allAcceptedCredentialIds"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // The handle stays the same for life.
    let next = app.creation(&session).await;
    assert_eq!(next["user"]["id"], json!(key.handle));
    assert_eq!(next["excludeCredentials"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_user_has_twenty_passkeys_at_most() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut session = ana.sign_in().await.session;
    let early = app.creation(&session).await;
    for n in 0..20 {
        let mut key = SoftwareKey::usual(&format!("key {n}"));
        session = app.adds(&session, &mut key).await.ok().str("token");
    }
    let path = format!("{REGISTER}?delivery=body");
    app.get_as(&path, &session)
        .await
        .refused(400, "PASSKEY_LIMIT_REACHED");
    // Options that were fetched before do not help.
    let response = SoftwareKey::usual("one too many").create(&early);
    app.registers(&session, &early, response)
        .await
        .refused(400, "PASSKEY_LIMIT_REACHED");
    let row = passkeys(&app, &session).await[0]["id"].clone();
    app.post_as(DELETE, &session, &json!({ "id": row }))
        .await
        .ok();
    let mut key = SoftwareKey::usual("the twentieth");
    app.adds(&session, &mut key).await.ok();
}

/// Removes the password of a user, as of one who signed up by mail.
async fn without_password(user: &User) {
    let sql = format!(
        "DELETE FROM accounts WHERE user_id = (SELECT id FROM users WHERE email = '{}')",
        user.email
    );
    user.app.db_script(&sql).await;
}

#[tokio::test]
async fn the_last_way_in_stays() {
    let app = TestApp::with(&[("sign_in.by_mail", "false")]).await;
    let ana = app.user("ana").await;
    let (mut first, mut second) = (SoftwareKey::usual("first"), SoftwareKey::usual("second"));
    ana.adds_passkey(&mut first).await;
    without_password(&ana).await;
    let session = app.signs_in(&mut first).await.ok().str("token");
    let all = passkeys(&app, &session).await;
    let body = json!({ "id": all[0]["id"] });
    app.post_as(DELETE, &session, &body)
        .await
        .refused(400, "LAST_WAY_IN");
    assert_eq!(passkeys(&app, &session).await, all);
    // Another passkey is another way in.
    let session = app.adds(&session, &mut second).await.ok().str("token");
    app.post_as(DELETE, &session, &body).await.ok();
    let body = json!({ "id": passkeys(&app, &session).await[0]["id"] });
    app.post_as(DELETE, &session, &body)
        .await
        .refused(400, "LAST_WAY_IN");
    // And so is the mailbox, where users sign in by mail.
    let (by_mail, dir) = posting(&[]).await;
    let bob = verified(&by_mail, dir.path(), "bob").await;
    let mut key = SoftwareKey::usual("bob");
    bob.adds_passkey(&mut key).await;
    without_password(&bob).await;
    let session = by_mail.signs_in(&mut key).await.ok().str("token");
    let body = json!({ "id": passkeys(&by_mail, &session).await[0]["id"] });
    by_mail
        .db_script("UPDATE users SET email_verified = 0")
        .await;
    by_mail
        .post_as(DELETE, &session, &body)
        .await
        .refused(400, "LAST_WAY_IN");
    by_mail
        .db_script("UPDATE users SET email_verified = 1")
        .await;
    by_mail.post_as(DELETE, &session, &body).await.ok();
}

#[tokio::test]
async fn two_step_sign_in_ends_with_the_last_device() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::usual("phone");
    ana.adds_passkey(&mut key).await;
    ana.enrols().await;
    let on = || app.db_number("SELECT two_factor FROM users WHERE email = 'ana@example.com'");
    let session = app.signs_in(&mut key).await.ok().str("token");
    // The app goes away behind the back of the service, so that the passkey is the last device.
    let body = json!({ "id": passkeys(&app, &session).await[0]["id"] });
    app.db_script("DELETE FROM totp").await;
    assert_eq!(on().await, 1);
    app.post_as(DELETE, &session, &body).await.ok();
    assert_eq!(on().await, 0);
    ana.sign_in().await;
}

#[tokio::test]
async fn a_role_that_needs_a_passkey_is_enrolled_in_the_sign_in_and_keeps_the_last_one() {
    let (app, dir) = posting(&[("policies.admin.require", "phr")]).await;
    let root = verified(&app, dir.path(), "root").await;
    super::admin::set_role(&app, &root, "admin").await;
    let pending = root.try_sign_in(&root.password).await.ok();
    assert_eq!(pending.body["twoFactorMethods"], json!(["otp"]));
    let challenge = pending.str("challenge");
    // A stolen password makes no passkey of the thief.
    let begin = format!("{REGISTER}?delivery=body&challenge={challenge}");
    app.get(&begin)
        .await
        .refused(403, "INSUFFICIENT_USER_AUTHENTICATION");
    let body = json!({ "challenge": challenge });
    app.post("/api/auth/two-factor/send-otp", &body).await.ok();
    let mails = received(&app, dir.path()).await;
    let body = json!({ "challenge": challenge, "code": code_of(&mails.last().unwrap().text) });
    let next = app
        .post("/api/auth/two-factor/verify-otp", &body)
        .await
        .ok();
    assert_eq!(next.body["enrol"], json!(["passkey"]));
    assert_eq!(next.body["twoFactorMethods"], json!([]));
    let enable = json!({ "challenge": challenge });
    app.post("/api/auth/two-factor/enable", &enable)
        .await
        .refused(403, "INSUFFICIENT_USER_AUTHENTICATION");
    let options = app.get(&begin).await.ok().body;
    let mut key = SoftwareKey::usual("root");
    let mut bent = key.create(&options);
    bent["type"] = "password".into();
    let body = |response: Value| json!({ "response": response, "state": options["state"], "challenge": challenge });
    app.post(REGISTERED, &body(bent))
        .await
        .refused(400, "FAILED_TO_VERIFY_REGISTRATION");
    let done = app.post(REGISTERED, &body(key.create(&options))).await.ok();
    assert_eq!(acr(&done), "urn:countersign:acr:phr");
    assert_eq!(done.body["user"]["email"], root.email);
    let session = done.str("token");
    let row = json!({ "id": passkeys(&app, &session).await[0]["id"] });
    app.post_as(DELETE, &session, &row)
        .await
        .refused(403, "INSUFFICIENT_USER_AUTHENTICATION");
    app.signs_in(&mut key).await.ok().str("token");
    let pending = root.try_sign_in(&root.password).await.ok();
    assert_eq!(pending.body["twoFactorMethods"], json!(["passkey"]));
    app.finishes(&pending.str("challenge"), &mut key).await.ok();
    // With a second passkey the first one can go.
    let mut second = SoftwareKey::usual("second");
    let session = app.adds(&session, &mut second).await.ok().str("token");
    app.post_as(DELETE, &session, &row).await.ok();
}

#[tokio::test]
async fn a_count_that_does_not_rise_is_refused_and_told() {
    let (app, dir) = posting(&[]).await;
    let ana = verified(&app, dir.path(), "ana").await;
    let mut key = SoftwareKey::usual("counts");
    key.counter = Some(0);
    ana.adds_passkey(&mut key).await;
    app.signs_in(&mut key).await.ok();
    // A copy of the stick has counted less.
    let counted = key.counter;
    key.counter = Some(0);
    app.signs_in(&mut key)
        .await
        .refused(401, "AUTHENTICATION_FAILED");
    key.counter = counted;
    app.signs_in(&mut key).await.ok();
    assert_eq!(events(&app, "passkey.cloned").await, 1);
    let mails = received(&app, dir.path()).await;
    about(&mails, "A copy of your passkey may exist");
    // At the second step and in a session as well.
    ana.enrols().await;
    let challenge = ana.begins().await;
    key.counter = Some(0);
    app.finishes(&challenge, &mut key)
        .await
        .refused(401, "AUTHENTICATION_FAILED");
    assert_eq!(events(&app, "passkey.cloned").await, 2);
    key.counter = Some(10);
    app.finishes(&challenge, &mut key).await.ok();
    // One that has counted does not stop.
    key.counter = None;
    app.signs_in(&mut key)
        .await
        .refused(401, "AUTHENTICATION_FAILED");
    assert_eq!(events(&app, "passkey.cloned").await, 3);
}

#[tokio::test]
async fn copies_on_other_devices_are_known_by_their_flags() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::usual("synced");
    key.flags |= ELIGIBLE;
    let session = ana.adds_passkey(&mut key).await;
    let row = || async { passkeys(&app, &session).await[0].clone() };
    assert_eq!(row().await["deviceType"], "multiDevice");
    assert_eq!(row().await["backedUp"], false);
    key.flags |= BACKED_UP;
    app.signs_in(&mut key).await.ok();
    assert_eq!(row().await["backedUp"], true);
    // What may be copied stays so for life.
    key.flags &= !(ELIGIBLE | BACKED_UP);
    app.signs_in(&mut key)
        .await
        .refused(401, "AUTHENTICATION_FAILED");
    key.flags |= ELIGIBLE;
    app.signs_in(&mut key).await.ok();
}

#[tokio::test]
async fn a_browser_may_make_a_passkey_without_its_user_where_the_state_allows_it() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let session = ana.sign_in().await.session;
    let mut key = SoftwareKey::usual("manager");
    key.flags = 0;
    app.adds(&session, &mut key)
        .await
        .refused(400, "FAILED_TO_VERIFY_REGISTRATION");
    let path = format!("{REGISTER}?delivery=body&conditional=true");
    let options = app.get_as(&path, &session).await.ok().body;
    let response = key.create(&options);
    let added = app.registers(&session, &options, response).await.ok();
    // It has proven nothing, so the session stays as it is.
    assert!(added.body["token"].is_null());
    app.get_as("/api/auth/session", &session).await.ok();
    // At a sign-in the user has to be there.
    app.signs_in(&mut key)
        .await
        .refused(401, "AUTHENTICATION_FAILED");
    key.flags = PRESENT;
    let done = app.signs_in(&mut key).await.ok();
    assert_eq!(amr(&done), json!(["pop"]));
    // A verified user who was not there is none.
    let mut odd = SoftwareKey::usual("odd");
    odd.flags = VERIFIED;
    let options = app.get_as(&path, &session).await.ok().body;
    let response = odd.create(&options);
    app.registers(&session, &options, response).await.ok();
    let verified = app.db_number("SELECT COUNT(*) FROM passkeys WHERE uv <> 0");
    assert_eq!(verified.await, 0);
}

#[tokio::test]
async fn a_banned_user_and_one_who_changed_meanwhile_do_not_get_in() {
    let app = TestApp::start().await;
    let (root, ana) = (made_admin(&app, "root").await, app.user("ana").await);
    let mut key = SoftwareKey::usual("phone");
    ana.adds_passkey(&mut key).await;
    let by = root.sign_in().await;
    let user = json!({ "userId": id(&ana).await });
    ask(&app, &by, "ban-user", user.clone()).await.ok();
    app.signs_in(&mut key).await.refused(403, "BANNED_USER");
    ask(&app, &by, "unban-user", user).await.ok();
    app.signs_in(&mut key).await.ok();
    // A new password ends ceremonies of known users.
    let session = ana.sign_in().await.session;
    let options = app.creation(&session).await;
    let body = json!({ "currentPassword": ana.password, "newPassword": "another good password" });
    app.post_as("/api/auth/change-password", &session, &body)
        .await
        .ok();
    let response = SoftwareKey::usual("late").create(&options);
    app.registers(&session, &options, response)
        .await
        .refused(400, "CHALLENGE_NOT_FOUND");
    let options = app.creation(&session).await;
    let response = SoftwareKey::usual("in time").create(&options);
    app.registers(&session, &options, response).await.ok();
}

#[tokio::test]
async fn a_use_that_is_refused_after_it_was_verified_is_good_once() {
    let app = TestApp::start().await;
    let (root, ana) = (made_admin(&app, "root").await, app.user("ana").await);
    let mut key = SoftwareKey::usual("phone");
    ana.adds_passkey(&mut key).await;
    let by = root.sign_in().await;
    let user = json!({ "userId": id(&ana).await });
    let options = app.request().await;
    let response = key.get(&options);
    ask(&app, &by, "ban-user", user.clone()).await.ok();
    app.authenticates(&options, response.clone())
        .await
        .refused(403, "BANNED_USER");
    ask(&app, &by, "unban-user", user).await.ok();
    app.authenticates(&options, response)
        .await
        .refused(400, "CHALLENGE_NOT_FOUND");
    app.signs_in(&mut key).await.ok();
}

#[tokio::test]
async fn another_user_signs_in_beside_a_pending_sign_in() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let (mut own, mut others) = (SoftwareKey::usual("ana"), SoftwareKey::usual("bob"));
    bob.adds_passkey(&mut others).await;
    let phone = ana.enrols().await;
    let begin = json!({ "email": ana.email, "password": ana.password });
    // A sign-in that waits for no passkey leaves the options to any user.
    let browser = Browser::new(&app);
    browser.post("/api/auth/sign-in/email", &begin).await.ok();
    let options = browser.get(AUTHENTICATE).await.ok();
    assert!(options.body["allowCredentials"].is_null());
    let body = json!({ "response": others.get(&options.body) });
    let verify = "/api/auth/passkey/verify-authentication";
    let done = browser.post(verify, &body).await.ok();
    assert_eq!(done.body["session"]["userId"], id(&bob).await);
    // One that waits for a passkey names those of its user; another user who answers begins anew.
    let challenge = ana.begins().await;
    let session = ana.tries(&challenge, &phone.code(&app, 0)).await;
    let session = session.ok().str("token");
    app.adds(&session, &mut own).await.ok();
    let browser = Browser::new(&app);
    browser.post("/api/auth/sign-in/email", &begin).await.ok();
    let options = browser.get(AUTHENTICATE).await.ok();
    assert!(options.body["allowCredentials"].is_array());
    let body = json!({ "response": others.get(&options.body) });
    let (stolen, kept) = (browser.stolen(), browser.stolen());
    let done = browser.post(verify, &body).await.ok();
    assert_eq!(done.body["session"]["userId"], id(&bob).await);
    assert!(browser.cookie(CHALLENGE_COOKIE).is_none());
    stolen
        .post(verify, &body)
        .await
        .refused(400, "CHALLENGE_NOT_FOUND");
    // The pending sign-in goes on in a browser that still has its cookie.
    kept.uses_passkey(&mut own).await.ok();
    let session = kept.get("/api/auth/get-session").await.ok();
    assert_eq!(session.body["user"]["email"], ana.email);
    // The other user is asked for no less than anywhere else.
    bob.enrols().await;
    others.flags = PRESENT;
    let pending = stolen.uses_passkey(&mut others).await.ok();
    let methods = json!(["otp", "passkey", "password"]);
    assert_eq!(pending.body["twoFactorMethods"], methods);
    // Without the pending sign-in, its options are good for no sign-in at all.
    let browser = Browser::new(&app);
    browser.post("/api/auth/sign-in/email", &begin).await.ok();
    let options = browser.get(AUTHENTICATE).await.ok();
    browser.forget(CHALLENGE_COOKIE);
    others.flags = PRESENT | VERIFIED;
    for key in [&mut own, &mut others] {
        let body = json!({ "response": key.get(&options.body) });
        browser
            .post(verify, &body)
            .await
            .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    }
}

/// Proves the password for a pending sign-in.
async fn proves_password(app: &TestApp, challenge: &str, password: &str) -> Answer {
    let body = json!({ "challenge": challenge, "password": password });
    app.post("/api/auth/two-factor/verify-password", &body)
        .await
}

#[tokio::test]
async fn the_password_is_the_step_after_a_passkey_that_did_not_verify_its_user() {
    let app = TestApp::with(&[("rate_limits.sign_in_account", "7/15m")]).await;
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::unverified("stick");
    ana.adds_passkey(&mut key).await;
    let own = ana.enrols().await;
    let challenge = app.signs_in(&mut key).await.ok().str("challenge");
    proves_password(&app, &challenge, "not the password")
        .await
        .refused(400, "INVALID_PASSWORD");
    let done = proves_password(&app, &challenge, &ana.password).await.ok();
    assert_eq!(amr(&done), json!(["pwd", "pop"]));
    assert_eq!(acr(&done), "urn:countersign:acr:phr");
    assert_eq!(done.body["user"]["email"], ana.email);
    // A pending sign-in that began with the password is not finished by it.
    app.after(seconds(30));
    let begun = ana.begins().await;
    proves_password(&app, &begun, &ana.password)
        .await
        .refused(400, "INVALID_PASSWORD");
    ana.tries(&begun, &own.code(&app, 0)).await.ok();
    // Five tries, and the limit of passwords: the sign-in with a password is held up by the same count.
    let challenge = app.signs_in(&mut key).await.ok().str("challenge");
    for _ in 0..5 {
        proves_password(&app, &challenge, "not the password")
            .await
            .refused(400, "INVALID_PASSWORD");
    }
    proves_password(&app, &challenge, &ana.password)
        .await
        .refused(400, "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE");
    let challenge = app.signs_in(&mut key).await.ok().str("challenge");
    proves_password(&app, &challenge, &ana.password)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    ana.try_sign_in(&ana.password)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(app.db_number("SELECT failures FROM totp").await, 0);
    assert_eq!(events(&app, "factor.refused").await, 7);
    // In a session it is proven again.
    key.flags = PRESENT | VERIFIED;
    let session = app.signs_in(&mut key).await.ok().str("token");
    let body = json!({ "password": ana.password });
    let path = "/api/auth/two-factor/verify-password";
    let again = app.post_as(path, &session, &body).await.ok();
    assert_eq!(amr(&again), json!(["pwd", "pop", "user"]));
    app.post(path, &body)
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
}

#[tokio::test]
async fn an_admin_who_acts_as_a_user_touches_no_passkey() {
    let app = TestApp::start().await;
    let (root, ana) = (made_admin(&app, "root").await, app.user("ana").await);
    let mut key = SoftwareKey::usual("phone");
    let session = ana.adds_passkey(&mut key).await;
    let acting = act(&app, &root.sign_in().await, &ana).await.session;
    let row = passkeys(&app, &session).await[0]["id"].clone();
    let code = "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS";
    app.get_as(REGISTER, &acting).await.refused(403, code);
    let any = app.get_as(AUTHENTICATE, &acting).await.ok();
    assert!(any.body["allowCredentials"].is_null());
    for (path, body) in [
        (DELETE, json!({ "id": row })),
        (UPDATE, json!({ "id": row, "name": "x" })),
        (REGISTERED, json!({ "response": {} })),
    ] {
        app.post_as(path, &acting, &body).await.refused(403, code);
    }
    assert_eq!(passkeys(&app, &acting).await.len(), 1);
}

#[tokio::test]
async fn factors_are_reset_together_or_each_by_itself() {
    let app = TestApp::start().await;
    let (root, ana) = (made_admin(&app, "root").await, app.user("ana").await);
    let mut key = SoftwareKey::usual("phone");
    ana.adds_passkey(&mut key).await;
    ana.enrols().await;
    let by = root.sign_in().await;
    let user = id(&ana).await;
    let reset = |scope: Value| {
        let mut body = json!({ "userId": user });
        body.as_object_mut()
            .unwrap()
            .extend(scope.as_object().unwrap().clone());
        ask(&app, &by, "reset-factors", body)
    };
    reset(json!({ "totp": true })).await.ok();
    ana.sign_in().await;
    let session = app.signs_in(&mut key).await.ok().str("token");
    reset(json!({ "passkeys": true })).await.ok();
    app.get_as("/api/auth/session", &session)
        .await
        .refused(401, "UNAUTHORIZED");
    app.signs_in(&mut key)
        .await
        .refused(401, "PASSKEY_NOT_FOUND");
    let mut key = SoftwareKey::usual("next phone");
    ana.adds_passkey(&mut key).await;
    ana.enrols().await;
    reset(json!({})).await.ok();
    ana.sign_in().await;
    app.signs_in(&mut key)
        .await
        .refused(401, "PASSKEY_NOT_FOUND");
}

#[tokio::test]
async fn the_owner_of_a_mailbox_gets_the_account_without_the_passkeys_of_a_squatter() {
    let (app, dir) = posting(&[]).await;
    let squatter = app.user("ana").await;
    let mut key = SoftwareKey::usual("squatter");
    squatter.adds_passkey(&mut key).await;
    app.signs_in(&mut key).await.ok();
    let body = json!({ "email": squatter.email, "type": "sign-in" });
    let asked = app
        .post(
            "/api/auth/email-otp/send-verification-otp",
            &json!({ "email": body["email"], "type": "sign-in", "tokenDelivery": "body" }),
        )
        .await
        .ok();
    let mails = received(&app, dir.path()).await;
    let body = json!({
        "email": squatter.email,
        "otp": code_of(&mails.last().unwrap().text),
        "binding": asked.body["binding"],
        "tokenDelivery": "body",
    });
    let owner = app.post("/api/auth/sign-in/email-otp", &body).await.ok();
    assert!(passkeys(&app, &owner.str("token")).await.is_empty());
    app.signs_in(&mut key)
        .await
        .refused(401, "PASSKEY_NOT_FOUND");
    assert_eq!(events(&app, "account.reclaimed").await, 1);
}

#[tokio::test]
async fn other_pages_use_the_passkeys_where_the_settings_name_them() {
    let app = TestApp::start().await;
    app.get("/.well-known/webauthn")
        .await
        .refused(404, "NOT_FOUND");
    let related = app
        .replica_with(&[(
            "passkeys.origins",
            "http://localhost:4000,https://shop.example.org",
        )])
        .await;
    let told = related.get("/.well-known/webauthn").await.ok();
    assert_eq!(
        told.body,
        json!({ "origins": ["https://shop.example.org"] })
    );
    assert_eq!(told.header("access-control-allow-origin"), "*");
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::usual("phone");
    ana.adds_passkey(&mut key).await;
    key.origin = "https://shop.example.org".into();
    app.signs_in(&mut key)
        .await
        .refused(401, "AUTHENTICATION_FAILED");
    related.signs_in(&mut key).await.ok();
}

#[tokio::test]
async fn challenges_that_were_answered_are_forgotten_in_time() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::usual("phone");
    ana.adds_passkey(&mut key).await;
    app.signs_in(&mut key).await.ok();
    let count = || app.db_number("SELECT COUNT(*) FROM used_assertions");
    assert_eq!(count().await, 2);
    countersign::flows::ops::prune::prune(&app.app)
        .await
        .unwrap();
    assert_eq!(count().await, 2);
    app.runs_for(minutes(25 * 60)).await;
    countersign::flows::ops::prune::prune(&app.app)
        .await
        .unwrap();
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn strangers_who_guess_are_held_up_and_the_user_of_a_passkey_is_not_counted() {
    let app = TestApp::with(&[("rate_limits.sign_in_network", "3/15m")]).await;
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::usual("phone");
    ana.adds_passkey(&mut key).await;
    for _ in 0..10 {
        app.signs_in(&mut key).await.ok();
    }
    let mut other = SoftwareKey::usual("phone");
    other.handle.clone_from(&key.handle);
    for _ in 0..3 {
        app.signs_in(&mut other)
            .await
            .refused(401, "AUTHENTICATION_FAILED");
    }
    app.signs_in(&mut other)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    app.after(minutes(15));
    app.signs_in(&mut key).await.ok();
}
