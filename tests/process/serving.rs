//! Starting, stopping, two at once, what goes into the log.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::server::{Place, post, refresh, reserve_ports, sign_in, sign_up};

#[tokio::test]
async fn sigterm_finishes_what_is_under_way_and_exits_0() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let place = Place::new(&[]);
    let mut server = place.serve();
    // A request whose body is still on its way when the signal comes.
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let body = crate::server::form("ana").to_string();
    let head = format!(
        "POST /api/auth/sign-up/email HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request is under way.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body.as_bytes()[..10]).await.unwrap();
    while tokio::net::TcpStream::connect(("127.0.0.1", server.port))
        .await
        .is_ok()
    {
        server.signal(Signal::SIGTERM);
        tokio::task::yield_now().await;
    }
    stream.write_all(&body.as_bytes()[10..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(server.wait().success());
    assert!(server.log().contains("\"stopped\""));
    let again = place.serve();
    sign_in(&reqwest::Client::new(), &again, "ana").await;
}

#[tokio::test]
async fn a_second_instance_on_the_same_address_refuses_and_says_why() {
    let place = Place::new(&[]);
    let _first = place.serve();
    let second = place.run(&["serve"], "");
    assert_eq!(second.status.code(), Some(78));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(
        said.contains("cannot listen on 127.0.0.1")
            && said.contains("is another instance running?"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_on_one_sqlite_file_are_both_correct() {
    let place = Place::new(&[]);
    let one = place.serve();
    let other_port = reserve_ports(1);
    let two = place.serve_at(other_port, &[]);
    let client = reqwest::Client::new();
    sign_up(&client, &one, "ana").await;
    let mut sessions = Vec::new();
    for n in 0..20 {
        sessions.push(
            sign_in(&client, if n % 2 == 0 { &one } else { &two }, "ana").await["refreshToken"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    // Everybody refreshes the first token on both at once: one successor each, never a refusal,
    // never a lock error.
    let each = sessions.iter().map(async |token| {
        let (a, b) = tokio::join!(refresh(&client, &one, token), refresh(&client, &two, token));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.0, b.0), (200, 200), "{a:?} {b:?}");
        assert_eq!(a.1["refreshToken"], b.1["refreshToken"]);
    });
    futures_util::future::join_all(each).await;
    // A sign-out on one is a sign-out on the other.
    let tokens = sign_in(&client, &one, "ana").await;
    let out = client
        .post(one.url("/api/auth/sign-out"))
        .bearer_auth(tokens["token"].as_str().unwrap())
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(out.status(), 200);
    assert_eq!(
        refresh(&client, &two, tokens["refreshToken"].as_str().unwrap())
            .await
            .unwrap()
            .0,
        401
    );
    // And the keys are the same.
    let jwks = async |server: &crate::server::Server| {
        client
            .get(server.url("/api/auth/jwks"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    assert_eq!(jwks(&one).await, jwks(&two).await);
}

#[tokio::test]
async fn two_first_starts_at_once_make_one_key_ring() {
    let place = Place::new(&[]);
    let ports: Vec<u16> = (0..4).map(|_| reserve_ports(1)).collect();
    let servers: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = ports
            .iter()
            .map(|port| scope.spawn(|| place.serve_at(*port, &[])))
            .collect();
        starts.into_iter().map(|s| s.join().unwrap()).collect()
    });
    let keys = place.items(&["keys", "list", "--all"], "");
    let states: Vec<&str> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|k| k["state"].as_str().unwrap())
        .collect();
    assert_eq!(states.len(), 2, "{states:?}");
    drop(servers);
}

#[tokio::test]
async fn nothing_secret_is_ever_logged() {
    let place = Place::new(&["log.level=trace"]);
    let server = place.serve();
    let client = reqwest::Client::new();
    let tokens = sign_up(&client, &server, "ana").await;
    let (_, refreshed) = refresh(&client, &server, tokens["refreshToken"].as_str().unwrap())
        .await
        .unwrap();
    let evil = "evil\n{\"level\":\"ERROR\"}\u{1b}]0;x\u{7}";
    let body = json!({ "email": format!("{evil}@example.com"), "password": "canary password 1" });
    post(&client, &server.url("/api/auth/sign-in/email"), &body)
        .await
        .unwrap();
    client
        .get(server.url("/api/auth/session"))
        .bearer_auth(tokens["accessToken"].as_str().unwrap())
        .header("user-agent", "agent \"quoted\" \t tab")
        .send()
        .await
        .unwrap();
    let master = std::fs::read_to_string(place.path("keys/master.key")).unwrap();
    let log = server.log();
    let secrets = [
        &tokens["token"],
        &tokens["refreshToken"],
        &tokens["accessToken"],
        &refreshed["refreshToken"],
        &refreshed["accessToken"],
    ];
    for secret in secrets.iter().map(|s| s.as_str().unwrap()).chain([
        "a good long password",
        "canary password 1",
        master.trim(),
        "$argon2",
    ]) {
        assert!(
            !log.contains(secret),
            "a secret stands in the log: {secret}"
        );
    }
    assert!(
        log.lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "one line of JSON an event"
    );
    assert!(log.contains("/api/auth/refresh"));
}

#[tokio::test]
async fn silent_and_half_finished_connections_are_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let place = Place::new(&["server.header_timeout=1s", "server.max_connections=4"]);
    let server = place.serve();
    let mut silent = Vec::new();
    for opening in [
        "",
        "PRI * HT",
        "GET /health HTTP/1.1\r\nHost:",
        "GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
            .await
            .unwrap();
        stream.write_all(opening.as_bytes()).await.unwrap();
        silent.push(stream);
    }
    // All four places are taken; the fifth is served once they have been cut off.
    let fifth = reqwest::Client::new()
        .get(server.url("/health"))
        .send()
        .await
        .unwrap();
    assert_eq!(fifth.status(), 200);
    for mut stream in silent {
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
    }
}

#[tokio::test]
async fn operators_have_a_listener_of_their_own() {
    let port = reserve_ports(1);
    let listen = format!("server.ops_listen=127.0.0.1:{port}");
    let place = Place::new(&[&listen]);
    let server = place.serve();
    let client = reqwest::Client::new();
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    sign_up(&client, &server, "ana").await;
    let text = client
        .get(at("/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        text.contains("countersign_sessions 1.0\n") && text.ends_with("# EOF\n"),
        "{text}"
    );
    assert_eq!(
        client
            .get(at("/health/ready"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    // Nothing else is there, and nothing of it on the public one.
    assert_eq!(
        client
            .get(at("/api/auth/jwks"))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(
        client
            .get(server.url("/metrics"))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    // Who asks for an address that is taken is told.
    let other = Place::new(&[&listen]);
    let refused = other.run(&["serve"], "");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(78) && said.contains("server.ops_listen"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_browser_behind_a_proxy_that_takes_a_path_off_is_named_in_the_log_when_it_refreshes_without_its_cookie()
 {
    const LINE: &str = "a browser with a session cookie has not sent the refresh cookie";
    let place = Place::new(&[]);
    let server = place.serve();
    let http = reqwest::Client::new();
    let form =
        json!({ "name": "ana", "email": "ana@example.com", "password": "a good long password" });
    let answer = http
        .post(server.url("/api/auth/sign-up/email"))
        .json(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let set: Vec<String> = answer
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|line| line.to_str().unwrap().to_owned())
        .collect();
    let line_of = |name: &str| {
        set.iter()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{set:?}"))
            .clone()
    };
    let session = line_of("better-auth.session_token=")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    // At `/login/api/auth/refresh` a browser has the session cookie and not this one, whose path is
    // what the service knows of itself.
    assert!(
        line_of("better-auth.refresh_token=").contains("Path=/api/auth;"),
        "{set:?}"
    );
    let refresh_with = async |cookies: &str| {
        let answer = http
            .post(server.url("/api/auth/refresh"))
            .header("cookie", cookies)
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        (
            answer.status().as_u16(),
            answer.json::<serde_json::Value>().await.unwrap()["code"]
                .as_str()
                .unwrap()
                .to_owned(),
        )
    };
    let missing = (401, "REFRESH_TOKEN_MISSING".to_owned());
    // What we did not sign says nothing about a proxy, and neither does a request without cookies.
    for strange in ["theme=dark", "better-auth.session_token=made.up"] {
        assert_eq!(refresh_with(strange).await, missing);
    }
    assert!(!server.log().contains(LINE), "{}", server.log());
    for _ in 0..3 {
        assert_eq!(refresh_with(&session).await, missing);
    }
    let log = server.log();
    let said: Vec<serde_json::Value> = log
        .lines()
        .filter(|line| line.contains(LINE))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said.len(), 1, "once an hour: {log}");
    assert_eq!(
        (said[0]["level"].as_str(), said[0]["path"].as_str()),
        (Some("WARN"), Some("/api/auth")),
        "{}",
        said[0]
    );
    assert!(
        said[0].to_string().contains("server.public_url"),
        "it names the setting: {}",
        said[0]
    );
}
