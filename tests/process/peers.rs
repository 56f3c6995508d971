//! The other end of connections: untrusted proxies, and verifiers that fetch the keys.

use reqwest::Client;
use serde_json::{Value, json};

use crate::server::{Place, Server, reserve_ports, sign_up};

#[tokio::test]
async fn the_first_field_of_an_untrusted_proxy_is_one_warning_with_the_address_to_trust() {
    let place = Place::new(&["server.public_url=https://auth.example.com"]);
    let check = place.run(&["config", "check"], "");
    assert!(
        String::from_utf8_lossy(&check.stderr)
            .contains("! trusted proxies  none, but the public URL is https"),
        "{check:?}"
    );
    let server = place.serve();
    let doctor = place.run(&["doctor", "--output", "json"], "");
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(
        doctor.status.success()
            && said.contains("server.trusted_proxies")
            && said.contains("\"warning\""),
        "{doctor:?}"
    );
    let http = Client::new();
    let warnings = || {
        server
            .log()
            .lines()
            .filter(|line| line.contains("\"WARN\"") && line.contains("add 127.0.0.1 there"))
            .count()
    };
    http.get(server.url("/api/auth/jwks")).send().await.unwrap();
    assert_eq!(warnings(), 0);
    for (field, path) in [
        ("x-forwarded-for", "/api/auth/ok"),
        ("forwarded", "/health"),
        ("x-forwarded-for", "/api/auth/session"),
        ("x-forwarded-for", "/auth/sign-in"),
    ] {
        http.get(server.url(path))
            .header(field, "203.0.113.9")
            .send()
            .await
            .unwrap();
    }
    assert_eq!(warnings(), 1, "{}", server.log());
    let line = r#""add":"trusted_proxies = [\"127.0.0.1\"]""#;
    assert!(server.log().contains(line), "the line to write");
    assert!(
        !server.log().contains("203.0.113.9"),
        "what a client wrote is not repeated"
    );
    drop(server);
    // One that is named says nothing, and neither does a developer's machine.
    let named = Place::new(&[
        "server.public_url=https://auth.example.com",
        "server.trusted_proxies=127.0.0.1",
    ]);
    assert!(
        !String::from_utf8_lossy(&named.run(&["config", "check"], "").stderr)
            .contains("! trusted proxies")
    );
    let server = named.serve();
    http.get(server.url("/api/auth/ok"))
        .header("x-forwarded-for", "203.0.113.9")
        .send()
        .await
        .unwrap();
    assert!(
        !server.log().contains("server.trusted_proxies"),
        "{}",
        server.log()
    );
    let local = Place::new(&[]);
    assert!(
        !String::from_utf8_lossy(&local.run(&["config", "check"], "").stderr)
            .contains("! trusted proxies")
    );
}

#[tokio::test]
async fn the_ops_listener_tells_which_verifiers_have_fetched_the_keys_since_the_last_rotation() {
    let ops = reserve_ports(1);
    let place = Place::new(&[
        &format!("server.ops_listen=127.0.0.1:{ops}"),
        "server.trusted_proxies=127.0.0.1",
    ]);
    let unanswered = place.run(&["doctor", "--verifiers"], "");
    assert!(
        unanswered.status.code() == Some(1)
            && String::from_utf8_lossy(&unanswered.stderr).contains("server.ops_listen"),
        "{unanswered:?}"
    );
    let server = place.serve();
    let http = Client::new();
    let fetch = async |address: &str, agent: &str| {
        let jwks = http
            .get(server.url("/api/auth/jwks"))
            .header("x-forwarded-for", address)
            .header("user-agent", agent)
            .send()
            .await
            .unwrap();
        assert_eq!(jwks.status(), 200);
    };
    fetch("192.0.2.7", "PyJWT/2.15").await;
    fetch("192.0.2.9", "PyJWT/2.15").await;
    fetch("2001:db8:7:1::9", "jose/6").await;
    let find = |rows: &Value, agent: &str| {
        rows.as_array()
            .unwrap()
            .iter()
            .find(|row| row["userAgent"] == agent)
            .cloned()
    };
    let rows = place.items(&["doctor", "--verifiers"], "");
    let python = find(&rows, "PyJWT/2.15").unwrap();
    assert_eq!(
        (
            python["network"].as_str(),
            python["count"].as_u64(),
            python["sinceRotation"].as_bool()
        ),
        (Some("192.0.2.0/24"), Some(2), Some(true)),
        "{rows}"
    );
    assert_eq!(find(&rows, "jose/6").unwrap()["network"], "2001:db8:7::/48");
    let before = http
        .get(server.url("/api/auth/jwks"))
        .header("user-agent", "watcher")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        place
            .run(&["keys", "rotate", "--force", "--yes"], "")
            .status
            .success()
    );
    // The new ring is heard of by the answer of a statement.
    while http
        .get(server.url("/api/auth/jwks"))
        .header("user-agent", "watcher")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
        == before
    {
        sign_up(&http, &server, &format!("user{}", rand_suffix())).await;
    }
    fetch("2001:db8:7:1::9", "jose/6").await;
    let rows = place.items(&["doctor", "--verifiers"], "");
    let knows = |agent: &str| find(&rows, agent).unwrap()["sinceRotation"].as_bool();
    assert_eq!(
        (knows("PyJWT/2.15"), knows("jose/6")),
        (Some(false), Some(true)),
        "{rows}"
    );
    // It is for operators alone.
    assert_eq!(
        http.get(server.url("/verifiers"))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
}

fn rand_suffix() -> u128 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos()
}

/// Browsers send cookies to every port of a host.
#[tokio::test]
async fn a_cookie_of_another_instance_on_the_host_is_told_once() {
    let (first, second) = (Place::new(&[]), Place::new(&[]));
    let (first, second) = (first.serve(), second.serve());
    let http = Client::new();
    let signed_up = http
        .post(first.url("/api/auth/sign-up/email"))
        .json(&json!({ "name": "Ana", "email": "ana@example.com", "password": "a good long password" }))
        .send()
        .await
        .unwrap();
    let cookies: Vec<String> = signed_up
        .headers()
        .get_all("set-cookie")
        .iter()
        .filter_map(|cookie| cookie.to_str().ok()?.split(';').next().map(str::to_owned))
        .filter(|cookie| cookie.contains("session_token="))
        .collect();
    let ask = async |server: &Server, cookie: &str| {
        let session = http
            .get(server.url("/api/auth/get-session"))
            .header("cookie", cookie)
            .send()
            .await
            .unwrap();
        session.json::<Value>().await.unwrap().is_null()
    };
    let said = "another service on the same host name uses the same cookie names";
    let times = |server: &Server| server.log().lines().filter(|l| l.contains(said)).count();
    let cookie = cookies.concat();
    assert!(!ask(&first, &cookie).await && times(&first) == 0);
    let (name, _) = cookie.split_once('=').unwrap();
    assert!(ask(&second, &format!("{name}=rubbish.signature")).await && times(&second) == 0);
    for _ in 0..3 {
        assert!(ask(&second, &cookie).await);
    }
    assert_eq!(times(&second), 1, "{}", second.log());
}
