//! The language of mails: the reader's own, learned from the reader's own requests, and never the one
//! of an admin, a stranger or a thief.

use axum::http::Request;
use serde_json::{Value, json};

use crate::http::admin::{id, made_admin};
use crate::http::mail::{only, posting, received, verified};
use crate::support::{Answer, TestApp, User};

/// A request of a program that reads a language; `bearer` is a session token, or empty.
async fn post_in(
    app: &TestApp,
    language: &str,
    agent: &str,
    bearer: &str,
    path: &str,
    body: &Value,
) -> Answer {
    let mut request = Request::post(path)
        .header("content-type", "application/json")
        .header("accept-language", language)
        .header("user-agent", agent);
    if !bearer.is_empty() {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    app.send(request.body(body.to_string().into()).unwrap())
        .await
}

async fn sign_in_in(app: &TestApp, language: &str, agent: &str, user: &User) -> Answer {
    let form = json!({ "email": user.email, "password": user.password });
    post_in(app, language, agent, "", "/api/auth/sign-in/email", &form).await
}

/// Asks for a new password in a language; returns the language of the mail.
async fn asked_in(
    app: &TestApp,
    dir: &std::path::Path,
    language: &str,
    email: &str,
) -> &'static str {
    post_in(
        app,
        language,
        "x",
        "",
        "/api/auth/request-password-reset",
        &json!({ "email": email }),
    )
    .await
    .ok();
    language_of(&only(app, dir).await.text)
}

/// The language of a mail, by a sentence of it; quoted-printable letters stay as they are.
fn language_of(text: &str) -> &'static str {
    let found: Vec<_> = [
        ("en", " your "),
        ("en", "This link works"),
        ("de", " wurde"),
        ("de", "Bitte "),
        ("es", " su "),
        ("es", "El enlace"),
    ]
    .into_iter()
    .filter(|(_, words)| text.contains(words))
    .map(|(language, _)| language)
    .collect();
    assert!(
        !found.is_empty() && found.iter().all(|language| *language == found[0]),
        "{found:?}: {text}"
    );
    found[0]
}

#[tokio::test]
async fn a_mail_that_a_reader_asks_for_is_in_the_language_of_the_request() {
    let (app, dir) = posting(&[("pages.language", "es")]).await;
    let ana = app.user("ana").await;
    for (language, is) in [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en-GB", "en"),
        ("fr, de;q=0.5", "de"),
    ] {
        assert_eq!(asked_in(&app, dir.path(), language, &ana.email).await, is);
        app.after(crate::support::minutes(60));
    }
    for unknown in ["fr", "*", ""] {
        assert_eq!(
            asked_in(&app, dir.path(), unknown, &ana.email).await,
            "es",
            "{unknown:?}"
        );
        app.after(crate::support::minutes(60));
    }
}

#[tokio::test]
async fn a_mail_that_another_person_causes_is_in_the_language_of_its_reader() {
    let (app, dir) = posting(&[
        ("mail.notify_new_sign_in", "true"),
        ("sessions.refresh_grace", "0s"),
        ("sessions.refresh_cooldown", "0s"),
    ])
    .await;
    let ana = verified(&app, dir.path(), "ana").await;
    sign_in_in(&app, "de", "", &ana).await.ok();
    assert!(
        received(&app, dir.path()).await.is_empty(),
        "a known device"
    );

    // A stranger asks for a new password.
    assert_eq!(asked_in(&app, dir.path(), "en", &ana.email).await, "de");

    // A thief of the password signs in, and of the refresh token refreshes.
    sign_in_in(
        &app,
        "es",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
        &ana,
    )
    .await
    .ok();
    assert_eq!(language_of(&only(&app, dir.path()).await.text), "de");
    let tokens = ana.sign_in().await;
    app.rotate(&tokens.refresh).await;
    post_in(
        &app,
        "es",
        "x",
        "",
        "/api/auth/refresh",
        &json!({ "refreshToken": tokens.refresh }),
    )
    .await
    .refused(401, "REFRESH_TOKEN_REUSED");
    assert_eq!(language_of(&only(&app, dir.path()).await.text), "de");

    // An admin changes the account.
    let admin = made_admin(&app, "root").await.sign_in().await;
    post_in(
        &app,
        "en",
        "x",
        &admin.session,
        "/api/auth/admin/set-user-password",
        &json!({ "userId": id(&ana).await, "newPassword": "another long password" }),
    )
    .await
    .ok();
    let told = received(&app, dir.path()).await;
    assert!(!told.is_empty(), "a notice of the new password");
    for mail in &told {
        assert_eq!(language_of(&mail.text), "de", "{mail:?}");
    }

    // The user moves on to another language, on a device that is known.
    let ana = User {
        password: "another long password".into(),
        ..ana
    };
    sign_in_in(&app, "es", "", &ana).await.ok();
    received(&app, dir.path()).await;
    sign_in_in(&app, "es", "", &ana).await.ok();
    app.after(crate::support::minutes(60));
    assert_eq!(asked_in(&app, dir.path(), "en", &ana.email).await, "es");
}

/// Where no language is known, a thief chooses none either: the notices are in the default language, and
/// the thief's is not kept.
#[tokio::test]
async fn a_thief_is_told_of_in_the_default_language_where_none_is_known() {
    for notify in ["true", "false"] {
        let (app, dir) = posting(&[
            ("mail.notify_new_sign_in", notify),
            ("sessions.refresh_grace", "0s"),
            ("sessions.refresh_cooldown", "0s"),
            ("pages.language", "de"),
        ])
        .await;
        let ana = verified(&app, dir.path(), "ana").await;
        let tokens = ana.sign_in().await;
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0";
        sign_in_in(&app, "es", firefox, &ana).await.ok();
        app.rotate(&tokens.refresh).await;
        let stolen = json!({ "refreshToken": tokens.refresh });
        post_in(&app, "es", "x", "", "/api/auth/refresh", &stolen)
            .await
            .refused(401, "REFRESH_TOKEN_REUSED");
        let told = received(&app, dir.path()).await;
        assert_eq!(told.len(), 1 + usize::from(notify == "true"));
        for mail in &told {
            assert_eq!(language_of(&mail.text), "de", "{mail:?}");
        }
        // The language of the thief is not the user's now, and the user's own is learned.
        assert_eq!(asked_in(&app, dir.path(), "en", &ana.email).await, "en");
        sign_in_in(&app, "en", "", &ana).await.ok();
        app.after(crate::support::minutes(60));
        assert_eq!(asked_in(&app, dir.path(), "es", &ana.email).await, "en");
    }
}

#[tokio::test]
async fn an_invitation_is_in_the_default_language_and_its_reader_chooses_another() {
    let (app, dir) = posting(&[("pages.language", "de")]).await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    post_in(
        &app,
        "en",
        "x",
        &admin.session,
        "/api/auth/admin/invite-user",
        &json!({ "email": "guest@example.com", "redirectTo": "/welcome" }),
    )
    .await
    .ok();
    let invitation = only(&app, dir.path()).await;
    assert!(invitation.subject.starts_with("Sie sind eingeladen"));
    post_in(
        &app,
        "es",
        "x",
        "",
        "/api/auth/reset-password",
        &json!({ "token": invitation.token(), "newPassword": "a good long password" }),
    )
    .await
    .ok();
    received(&app, dir.path()).await;
    assert_eq!(
        asked_in(&app, dir.path(), "en", "guest@example.com").await,
        "es"
    );
}

#[tokio::test]
async fn a_language_of_the_operator_is_for_mails_too() {
    let words = tempfile::tempdir().unwrap();
    let json = json!({ "mail.reset_password.words": "Bonjour {email}, voici le lien." });
    std::fs::write(words.path().join("fr.json"), json.to_string()).unwrap();
    let languages = words.path().display().to_string();
    let (app, dir) = posting(&[("pages.languages_dir", languages.as_str())]).await;
    let ana = app.user("ana").await;
    post_in(
        &app,
        "fr-CA",
        "x",
        "",
        "/api/auth/request-password-reset",
        &json!({ "email": ana.email }),
    )
    .await
    .ok();
    let mail = only(&app, dir.path()).await;
    let words = format!("Bonjour {}, voici le lien.", ana.email);
    assert!(mail.text.contains(&words), "{}", mail.text);
    assert!(mail.text.contains("The link works"), "{}", mail.text);
}

/// A notice leads to the page where its reader acts; without pages it has no link at all.
#[tokio::test]
async fn a_notice_has_a_link_to_the_page_where_its_reader_acts() {
    for (settings, page) in [
        (&[][..], Some("http://localhost:4000/auth/account")),
        (
            &[("pages.path", "/login")],
            Some("http://localhost:4000/login/account"),
        ),
        (&[("pages.enabled", "false")], None),
    ] {
        let settings = [&[("mail.notify_new_sign_in", "true")], settings].concat();
        let (app, dir) = posting(&settings).await;
        let ana = verified(&app, dir.path(), "ana").await;
        ana.sign_in().await;
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0";
        sign_in_in(&app, "de", agent, &ana).await.ok();
        let mail = only(&app, dir.path()).await;
        let link = page.map(|page| format!(": {page}"));
        match link {
            Some(link) => assert!(mail.text.trim_end().ends_with(&link), "{}", mail.text),
            None => assert!(!mail.text.contains("http"), "{}", mail.text),
        }
    }
}
