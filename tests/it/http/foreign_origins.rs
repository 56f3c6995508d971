//! Pages of origins that are not trusted: the log names the setting to change, once a minute for
//! each origin, and on a loopback public URL the answer does, too.

use axum::body::Body;
use axum::http::Request;
use axum::http::request::Builder;
use countersign::app::Notices;
use serde_json::json;

use crate::support::logs::Logs;
use crate::support::{Answer, TestApp, seconds};

const LISTED: &str = "http://localhost:5173";
const OTHER_NAME: &str = "http://127.0.0.1:5173";
const PUBLIC: (&str, &str) = ("server.public_url", "https://auth.example.com");

async fn listing() -> TestApp {
    TestApp::with(&[("server.trusted_origins", LISTED)]).await
}

async fn send(app: &TestApp, request: Builder, origin: &str, body: String) -> Answer {
    let request = request.header("origin", origin);
    app.send(request.body(Body::from(body)).unwrap()).await
}

async fn api(app: &TestApp, origin: &str) -> Answer {
    let request = Request::post("/api/auth/sign-out").header("content-type", "application/json");
    send(app, request, origin, "{}".into()).await
}

async fn preflight(app: &TestApp, origin: &str) -> Answer {
    let request = Request::options("/api/auth/sign-in/email")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    send(app, request, origin, String::new()).await
}

async fn form(app: &TestApp, origin: &str) -> Answer {
    let request =
        Request::post("/auth/sign-out").header("content-type", "application/x-www-form-urlencoded");
    send(app, request, origin, String::new()).await
}

#[tokio::test]
async fn api_preflight_and_form_name_the_setting_in_the_log_and_on_loopback_in_the_answer() {
    let app = listing().await;
    let logs = Logs::collect();
    // A page of a listed origin is accepted, and nothing is logged.
    api(&app, LISTED).await.ok();
    let allowed = preflight(&app, LISTED).await.ok();
    assert_eq!(allowed.header("access-control-allow-origin"), LISTED);
    assert!(form(&app, LISTED).await.status.is_redirection());
    assert_eq!(logs.take(), Vec::<serde_json::Value>::new());

    let advice = "http://127.0.0.1:5173 is not in server.trusted_origins, but http://localhost:5173 is: for a browser localhost, 127.0.0.1 and [::1] are different hosts with cookies of their own; open the page at http://localhost:5173, or add its origin";
    let line = r#"trusted_origins = ["http://localhost:5173", "http://127.0.0.1:5173"]"#;
    let answer = api(&app, OTHER_NAME).await;
    let message = answer.body["message"].as_str().unwrap().to_owned();
    answer.refused(403, "INVALID_ORIGIN");
    assert!(
        message.starts_with(&format!("Invalid origin: {advice}"))
            && message.ends_with(&format!("Below [server] in countersign.toml: {line}")),
        "{message}"
    );
    let told = logs.take();
    assert_eq!(told.len(), 1, "{told:?}");
    let told = &told[0];
    assert_eq!(
        (&told["level"], &told["origin"], &told["setting"]),
        (
            &"WARN".into(),
            &OTHER_NAME.into(),
            &"server.trusted_origins".into()
        )
    );
    assert_eq!(told["message"], format!("a page was refused: {advice}"));
    assert_eq!(
        told["in_force"],
        "http://localhost:5173, http://localhost:4000, http://127.0.0.1:4000, http://[::1]:4000"
    );
    assert_eq!(told["add"], line);

    app.after(seconds(60));
    let answer = preflight(&app, OTHER_NAME).await;
    assert!(
        !answer.headers.contains_key("access-control-allow-origin") && answer.text.is_empty(),
        "a preflight has no body"
    );
    let told = logs.take();
    assert_eq!((told.len(), &told[0]["add"]), (1, &line.into()), "{told:?}");

    app.after(seconds(60));
    let answer = form(&app, OTHER_NAME).await;
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .text
            .contains("open the page at http://localhost:5173"),
        "{}",
        answer.text
    );
    let told = logs.take();
    assert_eq!((told.len(), &told[0]["add"]), (1, &line.into()), "{told:?}");

    // A page that only reads sends no preflight: the browser keeps the answer from it.
    app.after(seconds(60));
    let request = Request::get("/api/auth/get-session");
    send(&app, request, OTHER_NAME, String::new()).await.ok();
    assert_eq!(logs.take().len(), 1);
}

#[tokio::test]
async fn a_null_or_missing_origin_is_explained_too() {
    let app = listing().await;
    api(&app, LISTED).await.ok();
    let logs = Logs::collect();
    let answer = api(&app, "null").await;
    let message = answer.body["message"].as_str().unwrap().to_owned();
    answer.refused(403, "MISSING_OR_NULL_ORIGIN");
    assert!(
        message.starts_with("Missing or null Origin: the origin is null, as that of a page that was opened from a file"),
        "{message}"
    );
    let request = Request::post("/api/auth/sign-out").header("sec-fetch-site", "cross-site");
    let answer = app.send(request.body(Body::empty()).unwrap()).await;
    let message = answer.body["message"].as_str().unwrap().to_owned();
    answer.refused(403, "MISSING_OR_NULL_ORIGIN");
    assert!(message.contains("without an Origin header"), "{message}");
    let told = logs.take();
    let origins: Vec<_> = told.iter().map(|line| &line["origin"]).collect();
    assert_eq!(origins, ["null", "none"]);
}

#[tokio::test]
async fn an_origin_is_logged_once_a_minute_and_each_origin_for_itself() {
    let app = listing().await;
    let logs = Logs::collect();
    api(&app, LISTED).await.ok();
    for _ in 0..3 {
        api(&app, OTHER_NAME).await.refused(403, "INVALID_ORIGIN");
        preflight(&app, OTHER_NAME).await;
        form(&app, OTHER_NAME).await;
        app.after(seconds(19));
    }
    assert_eq!(logs.take().len(), 1, "57 seconds have passed");
    api(&app, "http://localhost:5174")
        .await
        .refused(403, "INVALID_ORIGIN");
    let told = logs.take();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["origin"], "http://localhost:5174");
    app.after(seconds(3));
    api(&app, OTHER_NAME).await.refused(403, "INVALID_ORIGIN");
    assert_eq!(logs.take().len(), 1, "after a minute it is logged again");
}

#[tokio::test]
async fn a_flood_of_origins_fills_neither_the_memory_nor_the_log() {
    let app = listing().await;
    let logs = Logs::collect();
    for n in 0..500 {
        let origin = format!("https://{}.flood{n}.example", "a".repeat(40));
        preflight(&app, &origin).await;
    }
    let told = logs.take();
    assert_eq!(
        told.len(),
        Notices::MOST + 1,
        "one line says that there are more"
    );
    assert_eq!(
        told.last().unwrap()["message"],
        "pages of more than 64 origins were refused within a minute; no more are logged"
    );
    assert_eq!(app.app.refused_origins.kept(), Notices::MOST);
    app.after(seconds(61));
    preflight(&app, OTHER_NAME).await;
    assert_eq!(logs.take().len(), 1);
    assert_eq!(app.app.refused_origins.kept(), 1, "old ones are forgotten");
}

#[tokio::test]
async fn a_public_service_tells_the_operator_alone_and_repeats_no_credential() {
    let app = TestApp::with(&[
        PUBLIC,
        ("server.trusted_origins", "https://app.example.com"),
    ])
    .await;
    let logs = Logs::collect();
    api(&app, "https://app.example.com").await.ok();
    assert_eq!(logs.take().len(), 0);
    let answer = api(&app, "https://other.example.com").await;
    assert_eq!(answer.body["message"], "Invalid origin");
    answer.refused(403, "INVALID_ORIGIN");
    let page = form(&app, "https://other.example.com").await;
    assert!(!page.text.contains("trusted_origins"), "{}", page.text);
    let told = logs.take();
    assert_eq!(
        told[0]["add"],
        r#"trusted_origins = ["https://app.example.com", "https://other.example.com"]"#
    );
    api(&app, "https://ana@example.com:geheim@evil.example").await;
    let long = format!("https://{}.example", "x".repeat(3_000));
    api(&app, &long).await;
    let told = serde_json::to_string(&logs.take()).unwrap();
    assert!(
        told.contains("…@evil.example") && !told.contains("ana@") && !told.contains("geheim"),
        "{told}"
    );
    assert!(told.len() < 3_000, "{}", told.len());
}

#[tokio::test]
async fn a_service_behind_an_unnamed_url_names_the_public_url() {
    let sign_out = async |app: &TestApp| {
        let request = Request::post("/auth/sign-out")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("host", "auth.example.com");
        send(app, request, "https://auth.example.com", String::new()).await
    };
    // With the setting that the refusal names the same request is accepted.
    let named = TestApp::with(&[PUBLIC]).await;
    assert_eq!(sign_out(&named).await.status, 303);
    let app = TestApp::start().await;
    let logs = Logs::collect();
    let answer = sign_out(&app).await;
    assert_eq!(answer.status, 403);
    assert!(
        answer.text.contains("set server.public_url"),
        "{}",
        answer.text
    );
    let told = logs.take();
    assert_eq!(told[0]["add"], r#"public_url = "https://auth.example.com""#);
}

#[tokio::test]
async fn a_trusted_page_under_another_loopback_name_is_told_why_it_keeps_no_cookies() {
    let app = listing().await;
    let logs = Logs::collect();
    let ask = async |host: &str| {
        let request = Request::post("/api/auth/sign-out")
            .header("content-type", "application/json")
            .header("host", host);
        send(&app, request, LISTED, "{}".into()).await.ok();
    };
    ask("localhost:4000").await;
    assert_eq!(logs.take().len(), 0);
    ask("127.0.0.1:4000").await;
    ask("127.0.0.1:4000").await;
    let told = logs.take();
    assert_eq!(told.len(), 1, "{told:?}");
    let message = told[0]["message"].as_str().unwrap();
    assert!(message.contains("different loopback names"), "{message}");
}

#[tokio::test]
async fn a_request_that_needs_mail_names_the_setting_where_none_is_sent() {
    let logs = Logs::collect();
    let ask = async |app: &TestApp| {
        let body = json!({ "email": "ana@example.com" });
        app.post("/api/auth/request-password-reset", &body).await
    };
    let sends = TestApp::start().await;
    ask(&sends).await.ok();
    assert_eq!(logs.take().len(), 0);
    let app = TestApp::with(&[PUBLIC]).await;
    for _ in 0..3 {
        ask(&app).await.refused(400, "RESET_PASSWORD_DISABLED");
    }
    let told = logs.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (&told[0]["setting"], &told[0]["reason"]),
        (
            &"mail.transport".into(),
            &"the public URL is not http on loopback".into()
        )
    );
    assert!(!told[0].to_string().contains("ana@"));
}
