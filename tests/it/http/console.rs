//! The console under `/auth/admin`, as an admin's browser without script uses it: every action with
//! and without the permission, and what the pages say.

use countersign::model::key::algorithm::Algorithm;
use regex::Regex;

use super::admin::{id, made_admin, set_role};
use super::pages::{hidden, leads_to};
use crate::support::{Answer, Browser, TestApp, User, minutes};

/// The text of a page without its tags, with one space between words.
fn text(page: &Answer) -> String {
    let without = Regex::new(r"<[^>]+>").unwrap();
    let plain = without.replace_all(&page.text, "");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn says(answer: &Answer, status: u16, sentence: &str) {
    let said = text(answer);
    assert_eq!(answer.status, status, "{said}");
    assert!(said.contains(sentence), "{sentence:?} is not in {said}");
}

async fn csrf(browser: &Browser) -> String {
    hidden(&browser.get("/auth/account").await.ok(), "csrf")
}

struct Console {
    app: TestApp,
    root: User,
    admin: Browser,
    csrf: String,
}

impl Console {
    async fn open(settings: &[(&str, &str)]) -> Self {
        let app = TestApp::with(settings).await;
        let root = made_admin(&app, "root").await;
        let admin = root.browser().await;
        let csrf = csrf(&admin).await;
        Self {
            app,
            root,
            admin,
            csrf,
        }
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = [&[("csrf", self.csrf.as_str())], fields].concat();
        self.admin.form(path, &fields).await
    }
}

/// The end of the path of a form, its fields, and the page that follows.
type Action = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

/// The forms of a user's page, in an order in which each has something to do.
const ACTIONS: [Action; 13] = [
    (
        "role",
        &[("role-user", "yes"), ("role-editor", "yes")],
        "?done=role",
    ),
    (
        "ban",
        &[("reason", "spam"), ("until", "2027-01-01")],
        "?done=ban",
    ),
    ("unban", &[], "?done=unban"),
    ("ban", &[], "?done=ban"),
    ("unban", &[], "?done=unban"),
    ("disable", &[], "?done=disable"),
    ("enable", &[], "?done=enable"),
    ("send-reset", &[], "?done=link"),
    ("send-verification", &[], "?done=link"),
    (
        "metadata",
        &[("metadata", r#"{"team":"blue"}"#)],
        "?done=metadata",
    ),
    ("sessions/end-all", &[], "?done=sessions"),
    (
        "sessions/end",
        &[("session", "00000000-0000-7000-8000-000000000000")],
        "?done=session",
    ),
    (
        "delete",
        &[("email", "ana@example.com")],
        "/auth/admin/users?done=removed",
    ),
];

#[tokio::test]
async fn every_action_is_for_admins_with_a_token_of_their_own_session() {
    let place = Console::open(&[("roles.editor", "notes:write")]).await;
    let app = &place.app;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let (target, other) = (id(&ana).await, id(&bob).await);
    let plain = bob.browser().await;
    let plains = csrf(&plain).await;
    for (action, fields, follows) in ACTIONS {
        let path = format!("/auth/admin/users/{target}/{action}");
        let with = |token: &str| {
            let token = token.to_owned();
            let mut all = vec![("csrf".to_owned(), token)];
            all.extend(
                fields
                    .iter()
                    .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
            );
            all
        };
        let send = async |browser: &Browser, token: &str| {
            let fields = with(token);
            let fields: Vec<_> = fields
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            browser.form(&path, &fields).await
        };
        let refused = send(&plain, &plains).await;
        assert_eq!(refused.status, 403, "{action}");
        assert!(refused.text.contains("YOU_ARE_NOT_ALLOWED"), "{action}");
        let foreign = send(&place.admin, &plains).await;
        assert_eq!(foreign.status, 403, "{action}");
        assert!(foreign.text.contains("INVALID_FORM_TOKEN"), "{action}");
        let follows = if follows.starts_with('/') {
            follows.to_owned()
        } else {
            format!("/auth/admin/users/{target}{follows}")
        };
        let before = place
            .admin
            .get(&format!("/auth/admin/users/{target}"))
            .await
            .ok();
        assert!(before.text.contains("ana@example.com"), "{action}");
        leads_to(&send(&place.admin, &place.csrf).await, &follows);
        place.admin.get(&follows).await.ok();
    }
    place
        .admin
        .get(&format!("/auth/admin/users/{other}"))
        .await
        .ok();
    let gone = place
        .admin
        .get(&format!("/auth/admin/users/{target}"))
        .await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn what_the_forms_of_a_user_do() {
    let place = Console::open(&[("roles.editor", "notes:write")]).await;
    let ana = place.app.user("ana").await;
    let target = id(&ana).await;
    let at = |action: &str| format!("/auth/admin/users/{target}/{action}");
    let page = async || {
        place
            .admin
            .get(&format!("/auth/admin/users/{target}"))
            .await
            .ok()
    };
    place.send(&at("role"), &[("role-editor", "yes")]).await;
    let shown = page().await;
    assert!(
        shown
            .text
            .contains(r#"name="role-editor" value="yes" checked"#)
    );
    assert!(
        !shown
            .text
            .contains(r#"name="role-user" value="yes" checked"#)
    );
    says(&shown, 200, "root set the roles of ana to editor.");
    place
        .send(
            &at("ban"),
            &[("reason", "spam <b>"), ("until", "2027-01-01")],
        )
        .await;
    let shown = page().await;
    says(&shown, 200, "banned: spam &#60;b&#62;");
    assert!(
        shown
            .text
            .contains(r#"<time datetime="2027-01-01T00:00:00Z">"#)
    );
    says(&shown, 200, "root banned ana until 2027-01-01 00:00 UTC.");
    ana.try_sign_in(&ana.password)
        .await
        .refused(403, "BANNED_USER");
    place.send(&at("unban"), &[]).await;
    ana.try_sign_in(&ana.password).await.ok();
    place.send(&at("disable"), &[]).await;
    says(&page().await, 200, "root disabled the account of ana.");
    ana.try_sign_in(&ana.password)
        .await
        .refused(403, "USER_DISABLED");
    says(
        &place.send(&at("send-reset"), &[]).await,
        403,
        "This account is disabled.",
    );
    place.send(&at("enable"), &[]).await;
    ana.try_sign_in(&ana.password).await.ok();
    place.send(&at("send-reset"), &[]).await;
    place.send(&at("send-verification"), &[]).await;
    let links = "SELECT purpose FROM mail_tokens WHERE ended_at IS NULL ORDER BY purpose";
    let purposes = place.app.db_texts(links).await;
    assert!(
        purposes.contains(&"reset_password".to_owned()),
        "{purposes:?}"
    );
    assert!(
        purposes.contains(&"verify_email".to_owned()),
        "{purposes:?}"
    );
    says(
        &page().await,
        200,
        "root sent ana a link to choose a new password.",
    );
    place
        .send(&at("metadata"), &[("metadata", r#"{"team":"blue"}"#)])
        .await;
    assert!(page().await.text.contains("&#34;team&#34;: &#34;blue&#34;"));
}

#[tokio::test]
async fn the_rules_are_told_in_sentences_and_nothing_is_changed() {
    let place =
        Console::open(&[("roles.support", "user:list,user:get,user:ban,user:disable")]).await;
    let app = &place.app;
    let (ana, carl) = (app.user("ana").await, app.user("carl").await);
    set_role(app, &carl, "support").await;
    let (own, target) = (id(&place.root).await, id(&ana).await);
    let at = |id: &str, action: &str| format!("/auth/admin/users/{id}/{action}");
    for (whom, action, fields, status, sentence) in [
        (&own, "ban", &[][..], 400, "You cannot ban yourself."),
        (
            &own,
            "disable",
            &[],
            400,
            "You cannot disable your own account.",
        ),
        (
            &own,
            "delete",
            &[("email", "root@example.com")],
            400,
            "You cannot delete your own account here.",
        ),
        (
            &own,
            "role",
            &[("role-user", "yes")],
            400,
            "At least one admin must remain.",
        ),
        (&target, "role", &[], 400, "Choose at least one role."),
        (
            &target,
            "ban",
            &[("until", "2020-01-01")],
            400,
            "choose a day in the future",
        ),
        (
            &target,
            "ban",
            &[("until", "soon")],
            400,
            "choose a day in the future",
        ),
        (
            &target,
            "metadata",
            &[("metadata", "[1]")],
            400,
            "This is not a JSON object",
        ),
        (
            &target,
            "delete",
            &[("email", "bob@example.com")],
            400,
            "Nothing was deleted",
        ),
        (&target, "delete", &[], 400, "Nothing was deleted"),
    ] {
        let answer = place.send(&at(whom, action), fields).await;
        says(&answer, status, sentence);
        // The page of the user, with all of its forms, is still there.
        assert!(answer.text.contains("What happened"), "{action}");
    }
    ana.try_sign_in(&ana.password).await.ok();
    // Typed metadata is not lost with the refusal.
    let kept = place
        .send(&at(&target, "metadata"), &[("metadata", "[1]")])
        .await;
    assert!(kept.text.contains(">[1]</textarea>"));
    let support = carl.browser().await;
    let token = csrf(&support).await;
    let ban =
        async |whom: &str, action: &str| support.form(&at(whom, action), &[("csrf", &token)]).await;
    leads_to(
        &ban(&target, "ban").await,
        &format!("/auth/admin/users/{target}?done=ban"),
    );
    for action in ["ban", "disable"] {
        says(
            &ban(&own, action).await,
            403,
            "Only an admin may change an admin",
        );
    }
    // Only what the visitor may do is offered.
    let seen = support
        .get(&format!("/auth/admin/users/{target}"))
        .await
        .ok();
    assert!(seen.text.contains("/unban") && seen.text.contains("/disable"));
    for hidden in ["/delete", "/act-as", "/role", "/send-reset", "/metadata"] {
        assert!(
            !seen.text.contains(&format!("{target}{hidden}")),
            "{hidden}"
        );
    }
}

#[tokio::test]
async fn acting_as_a_user_is_offered_only_where_it_is_possible() {
    let place = Console::open(&[]).await;
    let ana = place.app.user("ana").await;
    let target = id(&ana).await;
    let page = format!("/auth/admin/users/{target}");
    let offered = async || {
        let seen = place.admin.get(&page).await.ok();
        seen.text.contains(&format!("{page}/act-as"))
    };
    assert!(offered().await);
    for (does, undoes) in [("ban", "unban"), ("disable", "enable")] {
        place.send(&format!("{page}/{does}"), &[]).await;
        assert!(!offered().await, "{does}");
        place.send(&format!("{page}/{undoes}"), &[]).await;
        assert!(offered().await, "{undoes}");
    }
    place
        .send(&format!("{page}/role"), &[("role-admin", "on")])
        .await;
    assert!(!offered().await, "no admin acts as another one");
}

#[tokio::test]
async fn an_admin_acts_as_a_user_and_returns_from_any_page() {
    let place = Console::open(&[]).await;
    let ana = place.app.user("ana").await;
    let target = id(&ana).await;
    let path = format!("/auth/admin/users/{target}/act-as");
    let plain = place.app.user("bob").await.browser().await;
    let plains = csrf(&plain).await;
    assert_eq!(plain.form(&path, &[("csrf", &plains)]).await.status, 403);
    let foreign = place.admin.form(&path, &[("csrf", &plains)]).await;
    assert!(foreign.text.contains("INVALID_FORM_TOKEN"));
    leads_to(&place.send(&path, &[]).await, "/auth/account");
    let acting = place.admin.get("/auth/account").await.ok();
    says(&acting, 200, "You are acting as ana@example.com.");
    let token = hidden(&acting, "csrf");
    let stop = "/auth/admin/stop-acting";
    let foreign = place.admin.form(stop, &[("csrf", &place.csrf)]).await;
    assert!(foreign.text.contains("INVALID_FORM_TOKEN"));
    leads_to(
        &place.admin.form(stop, &[("csrf", &token)]).await,
        &format!("/auth/admin/users/{target}?done=acted"),
    );
    let back = place
        .admin
        .get(&format!("/auth/admin/users/{target}?done=acted"))
        .await
        .ok();
    says(&back, 200, "You act as yourself again.");
    for sentence in [
        "root began to act as ana.",
        "root stopped acting as ana.",
        "root opened a session as ana.",
    ] {
        says(&back, 200, sentence);
    }
    assert!(!back.text.contains("stop-acting"));
    let again = hidden(&back, "csrf");
    leads_to(
        &place.admin.form(stop, &[("csrf", &again)]).await,
        "/auth/account",
    );
    let refreshed = place.admin.get("/api/auth/session").await.ok();
    assert_eq!(refreshed.body["user"]["email"], "root@example.com");
}

#[tokio::test]
async fn the_trail_tells_who_did_what_and_is_filtered() {
    let place = Console::open(&[("roles.auditor", "audit:list")]).await;
    let app = &place.app;
    let (ana, carl) = (app.user("ana").await, app.user("carl").await);
    set_role(app, &carl, "auditor").await;
    let target = id(&ana).await;
    place
        .send(&format!("/auth/admin/users/{target}/ban"), &[])
        .await;
    app.db_execute(
        "UPDATE audit_events SET ip_address = '198.51.100.7' WHERE kind = 'user.banned'",
    )
    .await
    .unwrap();
    let get = async |query: &str| place.admin.get(&format!("/auth/admin/audit{query}")).await;
    let all = get("").await.ok();
    says(&all, 200, "root banned ana.");
    says(&all, 200, "ana created an account.");
    assert!(all.text.contains(&format!(
        r#"<a href="/auth/admin/users/{target}"><bdi>ana</bdi></a>"#
    )));
    assert!(
        all.text.contains("<dd>user.banned</dd>"),
        "the details have the code"
    );
    for query in [
        "?user=ana%40example.com".to_owned(),
        format!("?user={target}"),
        "?kind=user.banned".to_owned(),
        "?kind=user.".to_owned(),
        "?ip=198.51.100.7".to_owned(),
        "?ip=198.51.100.0%2F24&kind=user.banned".to_owned(),
        "?since=2026-11-01".to_owned(),
        "?until=2027-01-01".to_owned(),
    ] {
        says(&get(&query).await, 200, "root banned ana.");
    }
    for query in [
        "?user=root%40example.com",
        "?kind=user.unbanned",
        "?ip=203.0.113.0%2F24",
        "?since=2027-01-01",
        "?until=2026-11-01",
    ] {
        let none = get(query).await.ok();
        assert!(!text(&none).contains("root banned ana."), "{query}");
    }
    says(
        &get("?kind=user.unbanned").await,
        200,
        "No event matches this filter.",
    );
    for (query, sentence) in [
        (
            "?user=none%40example.com",
            "There is no user with this email address.",
        ),
        ("?ip=nonsense", "Write an IP address or a network"),
        ("?since=nonsense", "Write a day such as"),
    ] {
        says(&get(query).await, 400, sentence);
    }
    // Names are for those who may list users.
    let auditor = carl
        .browser()
        .await
        .get("/auth/admin/audit?kind=user.banned")
        .await
        .ok();
    says(&auditor, 200, &format!("banned {target}."));
    assert!(!auditor.text.contains("ana@example.com"));
}

#[tokio::test]
async fn the_trail_is_read_page_by_page_within_its_filter() {
    let place = Console::open(&[]).await;
    let ana = place.app.user("ana").await;
    for _ in 0..60 {
        ana.sign_in().await;
    }
    let link = Regex::new(r#"href="(/auth/admin/audit\?[^"]+)" rel="next""#).unwrap();
    for filter in [
        "user=ana%40example.com&kind=session.created",
        "kind=session.created&ip=127.0.0.0%2F8",
    ] {
        let first = place
            .admin
            .get(&format!("/auth/admin/audit?{filter}"))
            .await
            .ok();
        let told = "ana signed in";
        if !text(&first).contains(told) {
            // The requests of this test come from no IP address.
            says(&first, 200, "No event matches this filter.");
            continue;
        }
        assert_eq!(first.text.matches("<tr role=\"row\"><td").count(), 50);
        let next = link.captures(&first.text).unwrap()[1].replace("&#38;", "&");
        let second = place.admin.get(&next).await.ok();
        let rows = second.text.matches("<tr role=\"row\"><td").count();
        assert!((10..50).contains(&rows), "{rows}");
        assert!(!second.text.contains("rel=\"next\""));
    }
}

/// A page that was shown names the key that signed then, and so the algorithm whose keys turn.
#[tokio::test]
async fn the_keys_of_each_algorithm_are_shown_and_rotated_apart() {
    let place = Console::open(&[("audiences.billing.algorithm", "RS256")]).await;
    let page = "/auth/admin/keys";
    let shown = place.admin.get(page).await.ok();
    for heading in ["EdDSA", "RS256"] {
        let heading = format!("<h3 id=\"h-{heading}\">{heading}</h3>");
        assert!(shown.text.contains(&heading), "{heading}");
    }
    let kids = || place.app.app.ring().unwrap().slots.active_kids();
    let before = kids();
    place.app.after(crate::support::minutes(70));
    let rotate = async |kid: &str| {
        let csrf = hidden(&shown, "csrf");
        let fields = [("csrf", csrf.as_str()), ("active", kid)];
        place.admin.form("/auth/admin/keys/rotate", &fields).await
    };
    let rsa = before[&Algorithm::Rs256].clone();
    assert_eq!(rotate(&rsa).await.status, 303);
    let after = kids();
    assert_ne!(after[&Algorithm::Rs256], rsa);
    assert_eq!(after[&Algorithm::EdDsa], before[&Algorithm::EdDsa]);
    // A second click, and a kid that never was, change nothing.
    for kid in [&rsa, "unknown"] {
        assert_eq!(rotate(kid).await.status, 409, "{kid}");
    }
    assert_eq!(kids(), after);
}

#[tokio::test]
async fn the_keys_page_explains_each_state_and_what_a_revocation_does() {
    let place = Console::open(&[]).await;
    let keys = async || place.admin.get("/auth/admin/keys").await.ok();
    let shown = keys().await;
    says(&shown, 200, "Signs new access tokens since 2026-");
    says(
        &shown,
        200,
        "Is published so that every verifier knows it before it signs.",
    );
    says(&shown, 200, "No key has left the key set yet.");
    let links = Regex::new(r#"href="(/auth/admin/keys/[^"]+/revoke)""#).unwrap();
    let active = hidden(&shown, "active");
    let paths: Vec<String> = links
        .captures_iter(&shown.text)
        .map(|c| c[1].to_owned())
        .collect();
    assert_eq!(paths.len(), 2);
    let path = format!("/auth/admin/keys/{active}/revoke");
    assert!(paths.contains(&path));
    let foreseen = place.admin.get(&path).await.ok();
    says(&foreseen, 200, "This key signs at present.");
    says(
        &foreseen,
        200,
        "Not every verifier knows the standby key yet.",
    );
    let live = place.app.live_sessions().await;
    says(
        &foreseen,
        200,
        &format!("{live} sessions get new access tokens"),
    );
    let bob = place.app.user("bob").await.browser().await;
    let bobs = csrf(&bob).await;
    let refused = bob.form(&path, &[("csrf", &bobs), ("reason", "x")]).await;
    assert!(refused.status == 403 && refused.text.contains("YOU_ARE_NOT_ALLOWED_TO_REVOKE_KEYS"));
    let foreign = place
        .admin
        .form(&path, &[("csrf", &bobs), ("reason", "x")])
        .await;
    assert!(foreign.status == 403 && foreign.text.contains("INVALID_FORM_TOKEN"));
    says(
        &place.send(&path, &[("reason", " ")]).await,
        400,
        "Write a reason; nothing was revoked.",
    );
    leads_to(
        &place.send(&path, &[("reason", "it was in a log")]).await,
        "/auth/admin/keys?done=revoked",
    );
    let after = place.admin.get("/auth/admin/keys?done=revoked").await.ok();
    says(&after, 200, "The key is revoked.");
    says(
        &after,
        200,
        ": it was in a log. Verifiers that have fetched the key set since then",
    );
    assert_ne!(hidden(&after, "active"), active);
    let jwks = place.app.get("/api/auth/jwks").await.ok();
    assert!(!jwks.text.contains(&active));
    assert_eq!(place.send(&path, &[("reason", "again")]).await.status, 404);
    assert_eq!(place.admin.get(&path).await.status, 404);
    says(
        &place.admin.get("/auth/admin/audit?kind=keys.revoked").await,
        200,
        "root revoked a signing key: it was in a log.",
    );
    // The former standby key signs now.
    let standby = paths.iter().find(|other| **other != path).unwrap();
    says(
        &place.admin.get(standby).await,
        200,
        "This key signs at present.",
    );
    place.app.after(minutes(25 * 60));
    let stale = place.send(&path, &[("reason", "x")]).await;
    assert!(
        stale.status == 403 && stale.text.contains("/auth/step-up?max_age=86400"),
        "{}",
        stale.text
    );
}

#[tokio::test]
async fn the_list_of_users_says_which_of_how_many_and_what_to_do_without_any() {
    let place = Console::open(&[]).await;
    for number in 0..29 {
        place.app.user(&format!("user{number}")).await;
    }
    let get = async |query: &str| {
        place
            .admin
            .get(&format!("/auth/admin/users{query}"))
            .await
            .ok()
    };
    let first = get("").await;
    says(&first, 200, "1–25 of 30 users");
    let next = Regex::new(r#"href="([^"]+)" rel="next""#).unwrap();
    let next = next.captures(&first.text).unwrap()[1].replace("&#38;", "&");
    let second = place.admin.get(&next).await.ok();
    says(&second, 200, "26–30 of 30 users");
    assert!(second.text.contains("rel=\"prev\""));
    says(&get("?q=user28").await, 200, "1–1 of 1 user");
    says(&get("?q=none").await, 200, "No user matches this search.");
    says(
        &get("?state=banned").await,
        200,
        "No user matches this search.",
    );
    let banned = id(&place.app.user("ban").await).await;
    place
        .send(&format!("/auth/admin/users/{banned}/ban"), &[])
        .await;
    says(&get("?state=banned").await, 200, "ban@example.com");
    says(&get("?state=unverified").await, 200, "of 31 users");
    // A ban that has ended leaves its mark in the row, and is no ban.
    let for_a_day = id(&place.app.user("for-a-day").await).await;
    let path = format!("/auth/admin/users/{for_a_day}/ban");
    place.send(&path, &[("until", "2026-11-23")]).await;
    says(&get("?state=banned").await, 200, "1–2 of 2 users");
    place.app.after(minutes(3 * 24 * 60));
    let banned = get("?state=banned").await;
    says(&banned, 200, "1–1 of 1 user");
    says(&banned, 200, "ban@example.com");
    says(&get("?q=for-a-day").await, 200, "active");
}

#[tokio::test]
async fn the_list_of_users_shows_those_whose_accounts_are_disabled() {
    let place = Console::open(&[]).await;
    let off = id(&place.app.user("off").await).await;
    let list = "/auth/admin/users?state=disabled";
    let none = place.admin.get(list).await.ok();
    says(&none, 200, "No user matches this search.");
    let path = format!("/auth/admin/users/{off}/disable");
    leads_to(
        &place.send(&path, &[]).await,
        &format!("/auth/admin/users/{off}?done=disable"),
    );
    let found = place.admin.get(list).await.ok();
    says(&found, 200, "1–1 of 1 user");
    says(&found, 200, "off@example.com");
}

#[tokio::test]
async fn an_id_of_another_product_is_encoded_in_every_path() {
    let place = Console::open(&[]).await;
    let ana = place.app.user("ana").await;
    let old = id(&ana).await;
    place
        .app
        .db_script(&format!(
            "INSERT INTO users (id, email, email_verified, name, role, banned, metadata, version, created_at, updated_at)
             SELECT 'auth0|5f:7c.8_e', 'imported@example.com', 1, name, role, 0, '{{}}', 1, created_at, updated_at FROM users WHERE id = '{old}'"
        ))
        .await;
    let path = "/auth/admin/users/auth0%7C5f%3A7c.8_e";
    let list = place.admin.get("/auth/admin/users?q=imported").await.ok();
    assert!(
        list.text.contains(&format!(r#"href="{path}""#)),
        "{}",
        list.text
    );
    let page = place.admin.get(path).await.ok();
    assert!(page.text.contains(&format!(r#"action="{path}/ban""#)));
    assert!(page.text.contains("auth0|5f:7c.8_e"));
    leads_to(
        &place.send(&format!("{path}/ban"), &[]).await,
        &format!("{path}?done=ban"),
    );
    let trail = Regex::new(r#"href="(/auth/admin/audit\?user=[^"]+)""#).unwrap();
    let page = place.admin.get(path).await.ok();
    let trail = trail.captures(&page.text).unwrap()[1].to_owned();
    says(&place.admin.get(&trail).await, 200, "root banned ana.");
}

#[tokio::test]
async fn sessions_are_listed_with_their_last_use_and_ended_one_by_one() {
    let place = Console::open(&[]).await;
    let ana = place.app.user("ana").await;
    let target = id(&ana).await;
    let tokens = ana.sign_in().await;
    place.app.after(minutes(90));
    place.app.refresh(&tokens.refresh).await.ok();
    let fresh = place.root.browser().await;
    let token = csrf(&fresh).await;
    let page = fresh.get(&format!("/auth/admin/users/{target}")).await.ok();
    let now = place.app.app.now().to_utc().unwrap();
    let used = format!(
        r#"data-label="Last used"><time datetime="{}">"#,
        now.format("%Y-%m-%dT%H:%M:%SZ")
    );
    assert!(page.text.contains(&used), "{used} is not in {}", page.text);
    says(&page, 200, "sessions are in use.");
    leads_to(
        &fresh
            .form(
                &format!("/auth/admin/users/{target}/sessions/end"),
                &[("csrf", &token), ("session", &tokens.session_id)],
            )
            .await,
        &format!("/auth/admin/users/{target}?done=session"),
    );
    place
        .app
        .get_as("/api/auth/session", &tokens.session)
        .await
        .refused(401, "UNAUTHORIZED");
    let page = fresh.get(&format!("/auth/admin/users/{target}")).await.ok();
    says(&page, 200, "root ended 1 session of ana.");
}
