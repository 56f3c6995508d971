//! Who does too much waits; owners do not wait for strangers.

use axum::http::Request;
use countersign::flows::permit::Permitted;
use serde_json::{Value, json};

use crate::support::{Answer, Browser, DEVICE_COOKIE, TestApp, User, minutes, seconds};

const DEFAULTS: [(&str, &str); 7] = [
    ("rate_limits.sign_in", "5/15m"),
    ("rate_limits.sign_in_account", "50/1h"),
    ("rate_limits.sign_in_network", "100/15m"),
    ("rate_limits.sign_up", "30/1h"),
    ("rate_limits.mail_address", "3/1h"),
    ("rate_limits.mail_network", "20/1h"),
    ("server.trusted_proxies", "192.0.2.1"),
];

async fn limited() -> TestApp {
    TestApp::with(&DEFAULTS).await
}

/// A request that came through our proxy from this address.
async fn from(app: &TestApp, address: &str, path: &str, body: &Value) -> Answer {
    let request = Request::post(format!("/api/auth/{path}"))
        .header("content-type", "application/json")
        .header("x-forwarded-for", address);
    app.send(request.body(body.to_string().into()).unwrap())
        .await
}

fn guess(user: &User, password: &str) -> Value {
    json!({ "email": user.email, "password": password, "tokenDelivery": "body" })
}

#[tokio::test]
async fn five_guesses_are_free_and_then_right_and_wrong_wait_alike() {
    let app = limited().await;
    let ana = app.user("ana").await;
    for _ in 0..5 {
        from(
            &app,
            "198.51.100.7",
            "sign-in/email",
            &guess(&ana, "a wrong password"),
        )
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    }
    let wrong = from(
        &app,
        "198.51.100.7",
        "sign-in/email",
        &guess(&ana, "a wrong password"),
    )
    .await
    .refused(429, "TOO_MANY_REQUESTS");
    let right = from(
        &app,
        "198.51.100.7",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(wrong.body, right.body);
    for answer in [&wrong, &right] {
        assert_eq!(
            (answer.header("retry-after"), answer.header("x-retry-after")),
            ("1", "1")
        );
        assert_eq!(answer.header("ratelimit"), "\"sign-in\";r=0;t=1");
        assert_eq!(answer.header("ratelimit-policy"), "\"sign-in\";q=5;w=900");
    }
    // Another spelling of the address is the same account, another network another count.
    let spelt =
        json!({ "email": ana.email.to_uppercase(), "password": "x", "tokenDelivery": "body" });
    from(&app, "198.51.100.7", "sign-in/email", &spelt)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    from(
        &app,
        "203.0.113.9",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .ok();
    app.after(seconds(1));
    from(
        &app,
        "198.51.100.7",
        "sign-in/email",
        &guess(&ana, "a wrong password"),
    )
    .await
    .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    let longer = from(
        &app,
        "198.51.100.7",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(longer.header("retry-after"), "2");
    app.after(seconds(2));
    from(
        &app,
        "198.51.100.7",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .ok();
    // The right password wipes the slate.
    for _ in 0..5 {
        from(
            &app,
            "198.51.100.7",
            "sign-in/email",
            &guess(&ana, "a wrong password"),
        )
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    }
}

#[tokio::test]
async fn ten_thousand_guesses_from_fifty_addresses_try_fifty_and_the_owner_signs_in() {
    let app = limited().await;
    let ana = app.user("ana").await;
    let own = Browser::new(&app);
    own.post(
        "/api/auth/sign-in/email",
        &json!({ "email": ana.email, "password": ana.password }),
    )
    .await
    .ok();
    own.post("/api/auth/sign-out", &json!({})).await.ok();
    let mut tried = 0;
    for n in 0..10_000 {
        let address = format!("198.51.100.{}", n % 50);
        let answer = from(
            &app,
            &address,
            "sign-in/email",
            &guess(&ana, &format!("guess number {n}")),
        )
        .await;
        // Tried and wrong, or not tried: how many were is counted.
        assert!(
            [401, 429].contains(&answer.status.as_u16()),
            "{}",
            answer.text
        );
        tried += u32::from(answer.status == 401);
    }
    assert_eq!(tried, 50, "so many reached argon2");
    // A stranger's device waits, whatever the password; the owner's does not.
    from(
        &app,
        "203.0.113.9",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .refused(429, "TOO_MANY_REQUESTS");
    own.post(
        "/api/auth/sign-in/email",
        &json!({ "email": ana.email, "password": ana.password }),
    )
    .await
    .ok();
    // It has a count of its own, and helps at no other account.
    for _ in 0..5 {
        own.post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": "a wrong password" }),
        )
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    }
    own.post(
        "/api/auth/sign-in/email",
        &json!({ "email": ana.email, "password": ana.password }),
    )
    .await
    .refused(429, "TOO_MANY_REQUESTS");
    let bob = app.user("bob").await;
    for n in 0..6 {
        let answer = own
            .post(
                "/api/auth/sign-in/email",
                &json!({ "email": bob.email, "password": "a wrong password" }),
            )
            .await;
        assert_eq!(answer.status.as_u16(), if n < 5 { 401 } else { 429 });
    }
    // Nor does one that was made up.
    let made_up = Browser::new(&app);
    made_up.set_cookie(
        DEVICE_COOKIE,
        "device:x:y:1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D",
    );
    made_up
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password }),
        )
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    // All devices together have a ceiling too, for who has hoarded many.
    app.after(minutes(61));
    let mut tried = 0;
    for _ in 0..20 {
        let device = Browser::new(&app);
        device
            .post(
                "/api/auth/sign-in/email",
                &json!({ "email": ana.email, "password": ana.password }),
            )
            .await
            .ok();
        for _ in 0..5 {
            let answer = device
                .post(
                    "/api/auth/sign-in/email",
                    &json!({ "email": ana.email, "password": "a wrong password" }),
                )
                .await;
            tried += u32::from(answer.status == 401);
        }
    }
    assert_eq!(tried, 50, "however many devices a guesser holds");
    // The longest wait is a quarter of an hour: no user is locked out for longer.
    app.after(minutes(15));
    from(
        &app,
        "203.0.113.9",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .ok();
}

#[tokio::test]
async fn three_replicas_share_one_limit_and_a_hundred_at_once_are_counted_right() {
    let app = limited().await;
    let ana = app.user("ana").await;
    // No twin: every guess is refused, and whether it was tried tells its status.
    let replicas = [
        app.clone(),
        app.replica_with(&[]).await,
        app.replica_with(&[]).await,
    ];
    let attempts = (0..100).map(|n| {
        let (replica, form) = (
            replicas[n % 3].clone(),
            guess(&ana, &format!("guess number {n}")),
        );
        async move {
            from(&replica, "198.51.100.7", "sign-in/email", &form)
                .await
                .status
                .as_u16()
        }
    });
    let statuses = futures_util::future::join_all(attempts).await;
    assert_eq!(
        statuses.iter().filter(|s| **s == 401).count(),
        5,
        "{statuses:?}"
    );
    // The others were not tried.
    assert!(statuses.iter().all(|s| [401, 429].contains(s)));
}

#[tokio::test]
async fn every_door_of_a_session_has_one_count_and_strangers_none_of_it() {
    let app = limited().await;
    let ana = app.user("ana").await;
    let (session, other) = (ana.sign_in().await.session, ana.sign_in().await.session);
    // Guesses from many networks do not delay signed-in users.
    for n in 0..60 {
        from(
            &app,
            &format!("198.51.100.{n}"),
            "sign-in/email",
            &guess(&ana, "a wrong password"),
        )
        .await;
    }
    let doors = [
        ("verify-password", json!({ "password": "a wrong password" })),
        (
            "change-password",
            json!({ "currentPassword": "a wrong password", "newPassword": "another good password" }),
        ),
        ("delete-user", json!({ "password": "a wrong password" })),
    ];
    for n in 0..5 {
        let (path, body) = &doors[n % 3];
        app.post_as(&format!("/api/auth/{path}"), &session, body)
            .await
            .refused(400, "INVALID_PASSWORD");
    }
    for (path, body) in &doors {
        app.post_as(&format!("/api/auth/{path}"), &session, body)
            .await
            .refused(429, "TOO_MANY_REQUESTS");
    }
    app.post_as(
        "/api/auth/verify-password",
        &other,
        &json!({ "password": ana.password }),
    )
    .await
    .ok();
    assert_eq!(app.db_count_events("password.refused").await, 5);
    app.after(seconds(1));
    let right = json!({ "currentPassword": ana.password, "newPassword": "another good password" });
    app.post_as("/api/auth/change-password", &session, &right)
        .await
        .ok();
    app.post_as(
        "/api/auth/verify-password",
        &session,
        &json!({ "password": "another good password" }),
    )
    .await
    .ok();
}

#[tokio::test]
async fn a_network_that_guesses_at_many_accounts_waits() {
    let app = limited().await;
    // No twin: every guess is refused, and whether it was tried tells its status.
    let mut tried = 0;
    for n in 0..150 {
        let form =
            json!({ "email": format!("user{n}@example.com"), "password": "a wrong password" });
        // Every address of one /64 is one customer.
        tried += u32::from(
            from(
                &app,
                &format!("2001:db8:1:2::{n:x}"),
                "sign-in/email",
                &form,
            )
            .await
            .status
                == 401,
        );
    }
    assert_eq!(tried, 100);
    let form = json!({ "email": "user1@example.com", "password": "a wrong password" });
    from(&app, "2001:db8:1:3::1", "sign-in/email", &form)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    let refused = from(&app, "2001:db8:1:2::1", "sign-in/email", &form)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(
        (
            refused.header("retry-after"),
            refused.header("ratelimit-policy")
        ),
        ("9", "\"sign-in-network\";q=100;w=900")
    );
}

#[tokio::test]
async fn sign_ups_of_a_network_are_counted_and_a_forged_address_is_none() {
    let app = TestApp::with(&[("rate_limits.sign_up", "3/1h")]).await;
    let form = |n: u32| json!({ "name": "x", "email": format!("user{n}@example.com"), "password": "a good long password" });
    for n in 0..3 {
        from(&app, &format!("198.51.100.{n}"), "sign-up/email", &form(n))
            .await
            .ok();
    }
    // This proxy is not trusted: IP addresses in its headers are ignored.
    for address in [
        "198.51.100.9",
        "a",
        "::ffff:1.2.3.4, 5.6.7.8",
        "fe80::1%eth0",
    ] {
        from(&app, address, "sign-up/email", &form(9))
            .await
            .refused(429, "TOO_MANY_REQUESTS");
    }
    app.after(minutes(20));
    from(&app, "198.51.100.9", "sign-up/email", &form(9))
        .await
        .ok();
    from(&app, "198.51.100.9", "sign-up/email", &form(10))
        .await
        .refused(429, "TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn three_mails_an_hour_to_an_email_address_known_or_not() {
    let app = limited().await;
    let ana = app.user("ana").await;
    let ask = async |email: &str, n: u32| {
        from(
            &app,
            &format!("198.51.100.{n}"),
            "request-password-reset",
            &json!({ "email": email }),
        )
        .await
    };
    for n in 0..6 {
        let (known, unknown) = (
            ask(&ana.email, n).await,
            ask("unknown@example.com", n).await,
        );
        let shown = |a: &Answer| {
            (
                a.status,
                a.body.clone(),
                a.header("retry-after").to_owned(),
                a.header("ratelimit").to_owned(),
            )
        };
        assert_eq!(shown(&known), shown(&unknown));
        assert_eq!(known.status.as_u16(), if n < 3 { 200 } else { 429 });
    }
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM mails").await,
        6,
        "and no more were written"
    );
    // What a stranger uses up of one kind leaves the others.
    from(
        &app,
        "198.51.100.9",
        "send-verification-email",
        &json!({ "email": ana.email }),
    )
    .await
    .ok();
    let mut asked = 0;
    for n in 0..40 {
        let body = json!({ "email": format!("user{n}@example.com") });
        asked += u32::from(
            from(&app, "203.0.113.9", "request-password-reset", &body)
                .await
                .status
                == 200,
        );
    }
    assert_eq!(asked, 20, "from one network");
}

#[tokio::test]
async fn a_clock_that_jumped_a_day_ahead_and_back_blocks_no_user_with_the_right_password() {
    const DAY_MS: i64 = 86_400_000;
    let app = limited().await;
    let ana = app.user("ana").await;
    app.clock.set_ms(DAY_MS);
    for _ in 0..5 {
        from(
            &app,
            "198.51.100.7",
            "sign-in/email",
            &guess(&ana, "a wrong password"),
        )
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    }
    from(
        &app,
        "198.51.100.7",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .refused(429, "TOO_MANY_REQUESTS");
    app.clock.set_ms(-DAY_MS);
    // The process that has just refused remembers that for the second that it said; another one
    // does not.
    let other = app.replica(&[]).await.unwrap();
    from(
        &other,
        "198.51.100.7",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .ok();
    app.after(seconds(1));
    from(
        &app,
        "198.51.100.7",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .ok();
}

#[tokio::test]
async fn a_blocked_network_is_refused_in_each_form_in_which_its_addresses_come() {
    use countersign::flows::limit::operate_limits::{block, follow, unblock};
    let app = limited().await;
    let ana = app.user("ana").await;
    for net in [
        "198.51.100.0/24",
        "::ffff:198.51.100.0/120",
        "64:ff9b::198.51.100.0/120",
    ] {
        let net = countersign::model::limit::block::network(net).unwrap();
        block(
            &app.app,
            Permitted::as_operator(),
            net,
            minutes(120),
            "",
            &Default::default(),
        )
        .await
        .unwrap();
        follow(&app.app).await.unwrap();
        for (address, status) in [
            ("198.51.100.7", 429),
            ("64:ff9b::198.51.100.7", 429),
            ("::ffff:198.51.100.7", 429),
            ("198.51.101.7", 200),
            ("2001:db8::7", 200),
        ] {
            assert_eq!(
                from(&app, address, "sign-in/email", &guess(&ana, &ana.password))
                    .await
                    .status
                    .as_u16(),
                status,
                "{net} {address}"
            );
        }
        assert!(
            unblock(&app.app, Permitted::as_operator(), net, &Default::default())
                .await
                .unwrap()
        );
    }
    // A proxy that is named in the form of IPv4 inside IPv6 is trusted too.
    let behind = TestApp::with(&[("server.trusted_proxies", "::ffff:192.0.2.0/120")]).await;
    block(
        &behind.app,
        Permitted::as_operator(),
        "198.51.100.0/24".parse().unwrap(),
        minutes(120),
        "",
        &Default::default(),
    )
    .await
    .unwrap();
    follow(&behind.app).await.unwrap();
    assert_eq!(
        from(&behind, "198.51.100.7", "refresh", &json!({}))
            .await
            .status
            .as_u16(),
        429
    );
}

#[tokio::test]
async fn an_operator_shuts_a_network_out_for_a_time_and_clears_limits_on_every_replica() {
    use countersign::flows::limit::operate_limits::{Whose, block, clear, follow, unblock};
    let app = limited().await;
    let other = app.replica(&[]).await.unwrap();
    let ana = app.user("ana").await;
    let net = countersign::model::limit::block::network("198.51.100.0/24").unwrap();
    let all = async |address: &str| {
        let mut statuses = Vec::new();
        for process in [&app, &other] {
            follow(&process.app).await.unwrap();
            statuses.push(
                from(
                    process,
                    address,
                    "sign-in/email",
                    &guess(&ana, &ana.password),
                )
                .await
                .status
                .as_u16(),
            );
        }
        statuses
    };
    block(
        &app.app,
        Permitted::as_operator(),
        net,
        minutes(120),
        "flood",
        &Default::default(),
    )
    .await
    .unwrap();
    assert_eq!(all("198.51.100.7").await, [429, 429]);
    let refused = from(&app, "198.51.100.7", "refresh", &json!({}))
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(refused.header("retry-after"), "7200");
    assert_eq!(all("198.51.101.7").await, [200, 200], "the neighbours");
    for open in ["/api/auth/jwks", "/health"] {
        let request = Request::get(open)
            .header("x-forwarded-for", "198.51.100.7")
            .body(axum::body::Body::empty())
            .unwrap();
        app.send(request).await.ok();
    }
    // A clock that is set back makes it no longer than it was made for.
    app.clock.set_ms(-86_400_000);
    app.after(minutes(120));
    assert_eq!(all("198.51.100.7").await, [200, 200], "its time is over");
    app.clock.set_ms(86_400_000);
    block(
        &app.app,
        Permitted::as_operator(),
        net,
        minutes(120),
        "flood",
        &Default::default(),
    )
    .await
    .unwrap();
    assert_eq!(all("198.51.100.7").await, [429, 429]);
    assert!(
        unblock(
            &other.app,
            Permitted::as_operator(),
            net,
            &Default::default()
        )
        .await
        .unwrap()
    );
    assert_eq!(all("198.51.100.7").await, [200, 200]);
    // Limits, which a process remembers too.
    for _ in 0..5 {
        from(
            &app,
            "203.0.113.7",
            "sign-in/email",
            &guess(&ana, "a wrong password"),
        )
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    }
    from(
        &app,
        "203.0.113.7",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .refused(429, "TOO_MANY_REQUESTS");
    for whose in [
        Whose::Account(ana.email.clone()),
        Whose::Network("203.0.113.7".parse().unwrap()),
        Whose::All,
    ] {
        for _ in 0..8 {
            from(
                &app,
                "203.0.113.7",
                "sign-in/email",
                &guess(&ana, "a wrong password"),
            )
            .await;
        }
        assert_eq!(
            from(
                &app,
                "203.0.113.7",
                "sign-in/email",
                &guess(&ana, &ana.password)
            )
            .await
            .status
            .as_u16(),
            429
        );
        assert!(
            clear(
                &other.app,
                Permitted::as_operator(),
                whose,
                &Default::default()
            )
            .await
            .unwrap()
                > 0
        );
        assert_eq!(all("203.0.113.7").await, [200, 200]);
    }
    for (kind, count) in [
        ("network.blocked", 2),
        ("network.unblocked", 1),
        ("limits.cleared", 3),
    ] {
        assert_eq!(app.db_count_events(kind).await, count, "{kind}");
    }
}

#[tokio::test]
async fn stored_counts_name_no_user_and_expire() {
    let app = limited().await;
    let ana = app.user("ana").await;
    // No twin: the refusal only makes the rows that are looked at.
    from(
        &app,
        "198.51.100.7",
        "sign-in/email",
        &guess(&ana, "a wrong password"),
    )
    .await
    .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    assert!(app.db_number("SELECT COUNT(*) FROM rate_limits").await >= 3);
    let named = app.db_dump().await.into_iter().filter(|cell| {
        cell.starts_with("sign-in") && (cell.contains("ana") || cell.contains("198.51"))
    });
    assert_eq!(named.count(), 0);
    app.after(minutes(60 * 24));
    countersign::flows::ops::prune::prune(&app.app)
        .await
        .unwrap();
    assert_eq!(app.db_number("SELECT COUNT(*) FROM rate_limits").await, 0);
}

#[tokio::test]
async fn a_session_has_only_so_many_access_tokens_made_and_others_theirs() {
    let app = TestApp::with(&[("rate_limits.token", "3/1m")]).await;
    let (ana, bob) = (
        app.user("ana").await.browser().await,
        app.user("bob").await.browser().await,
    );
    for _ in 0..3 {
        ana.get("/api/auth/token").await.ok();
    }
    let limited = ana
        .get("/api/auth/token")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(
        (
            limited.header("retry-after"),
            limited.header("ratelimit-policy")
        ),
        ("20", "\"token\";q=3;w=60")
    );
    bob.get("/api/auth/token").await.ok();
    // Who only looks at the session is told it, without a token.
    let told = ana.get("/api/auth/get-session").await.ok();
    assert!(told.body["user"].is_object() && told.header("set-auth-jwt").is_empty());
    assert!(
        !bob.get("/api/auth/get-session")
            .await
            .ok()
            .header("set-auth-jwt")
            .is_empty()
    );
    // A refresh is another matter: it has a pace of its own.
    ana.post("/api/auth/refresh", &json!({})).await.ok();
    app.after(seconds(20));
    ana.get("/api/auth/token").await.ok();
    ana.get("/api/auth/token")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    // Where the refresh token must vouch, a limit hides no theft.
    let thief = ana.stolen();
    app.after(minutes(10));
    ana.post("/api/auth/refresh", &json!({})).await.ok();
    app.after(minutes(1));
    for _ in 0..3 {
        ana.get("/api/auth/token").await.ok();
    }
    ana.get("/api/auth/token")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    thief
        .get("/api/auth/token")
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
}

#[tokio::test]
async fn more_at_once_than_the_settings_allow_is_refused_at_once_and_keys_are_not() {
    let app = TestApp::with(&[("server.max_requests", "1")]).await;
    let ana = app.user("ana").await;
    let (first, second, jwks, health) = tokio::join!(
        ana.try_sign_in(&ana.password),
        ana.try_sign_in(&ana.password),
        app.get("/api/auth/jwks"),
        app.get("/health/ready")
    );
    first.ok();
    let refused = second.refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!((jwks.status.as_u16(), health.status.as_u16()), (200, 200));
    // The place is free again, also after a refusal.
    ana.try_sign_in(&ana.password).await.ok();
    app.get("/api/auth/ok").await.ok();
    // With and without a body, and with one that is not read: one permit each.
    let browser = ana.browser().await;
    browser.get("/api/auth/get-session").await.ok();
    browser.post("/api/auth/get-session", &json!({})).await.ok();
    let odd = Request::get("/api/auth/session").header("content-length", "1");
    app.send(odd.body("x".into()).unwrap())
        .await
        .refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn who_keeps_the_service_busy_wins_no_guesses() {
    let app = TestApp::with(
        &[
            &DEFAULTS[..],
            &[
                ("passwords.queue", "1"),
                ("passwords.threads", "1"),
                ("passwords.argon2_memory_kib", "8192"),
            ],
        ]
        .concat(),
    )
    .await;
    let ana = app.user("ana").await;
    from(
        &app,
        "203.0.113.9",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .ok();
    let wrong = guess(&ana, "a wrong password");
    let (mut looked_at, mut limited, mut busy) = (0, 0, 0);
    for _ in 0..20 {
        let tries = (0..8).map(|_| from(&app, "198.51.100.7", "sign-in/email", &wrong));
        for answer in futures_util::future::join_all(tries).await {
            match answer.status.as_u16() {
                401 => looked_at += 1,
                429 => limited += 1,
                503 => busy += 1,
                other => panic!("{other}: {}", answer.text),
            }
        }
    }
    assert_eq!(looked_at, 5, "{limited} limited, {busy} too busy");
    assert!(busy > 0, "or nothing was shown");
}

/// So many wrong passwords from everywhere that a stranger's next one waits.
async fn flood(app: &TestApp, user: &User) {
    for n in 0..60 {
        from(
            app,
            &format!("198.51.100.{n}"),
            "sign-in/email",
            &guess(user, "a wrong password"),
        )
        .await;
    }
    from(
        app,
        "203.0.113.9",
        "sign-in/email",
        &guess(user, &user.password),
    )
    .await
    .refused(429, "TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn a_native_client_keeps_its_device_and_waits_for_no_stranger() {
    let app = limited().await;
    let ana = app.user("ana").await;
    let signed_in = from(
        &app,
        "192.0.2.77",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .ok();
    let device = signed_in.str("deviceToken");
    flood(&app, &ana).await;
    let with_device = |device: &str| json!({ "email": ana.email, "password": ana.password, "tokenDelivery": "body", "deviceToken": device });
    from(&app, "192.0.2.77", "sign-in/email", &with_device(&device))
        .await
        .ok();
    // It is a device of this account alone, and one that we signed.
    let eve = app.user("eve").await;
    let others = from(
        &app,
        "192.0.2.78",
        "sign-in/email",
        &guess(&eve, &eve.password),
    )
    .await
    .ok()
    .str("deviceToken");
    for odd in [others.as_str(), "nonsense", "", &device[..device.len() - 4]] {
        from(&app, "192.0.2.77", "sign-in/email", &with_device(odd))
            .await
            .refused(429, "TOO_MANY_REQUESTS");
    }
    from(
        &app,
        "192.0.2.77",
        "sign-in/email",
        &with_device(&"x".repeat(600)),
    )
    .await
    .refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_known_device_is_known_no_longer_after_a_change_of_password_or_address() {
    use countersign::flows::account::administer_users;
    use countersign::flows::account::administer_users::Changes;
    use countersign::flows::account::{change_password, manage_users};
    use countersign::model::audit::event::Requester;
    let app = limited().await;
    for change in [
        "a change of one's own",
        "a password of an operator",
        "an address of an operator",
    ] {
        let mut user = app.user(&change.replace([' ', '\''], "-")).await;
        let thief = Browser::new(&app);
        thief
            .post(
                "/api/auth/sign-in/email",
                &json!({ "email": user.email, "password": user.password }),
            )
            .await
            .ok();
        let native = from(
            &app,
            "192.0.2.77",
            "sign-in/email",
            &guess(&user, &user.password),
        )
        .await
        .ok();
        let known = manage_users::find(&app.app, Permitted::as_operator(), &user.email)
            .await
            .unwrap();
        let owner = Browser::new(&app);
        owner
            .post(
                "/api/auth/sign-in/email",
                &json!({ "email": user.email, "password": user.password }),
            )
            .await
            .ok();
        let new = "another good password".to_owned();
        match change {
            "a change of one's own" => {
                owner
                    .post(
                        "/api/auth/change-password",
                        &json!({ "currentPassword": user.password, "newPassword": new }),
                    )
                    .await
                    .ok();
                user.password = new;
            }
            "a password of an operator" => {
                change_password::set_password(
                    &app.app,
                    Permitted::as_operator(),
                    &known,
                    &new,
                    &Requester::default(),
                )
                .await
                .unwrap();
                user.password = new;
            }
            _ => {
                user.email = "moved@example.com".into();
                let changes = Changes {
                    email: Some(user.email.parse().unwrap()),
                    ..Changes::default()
                };
                administer_users::update(
                    &app.app,
                    Permitted::as_operator(),
                    known.id,
                    changes,
                    &Requester::default(),
                )
                .await
                .unwrap();
            }
        }
        flood(&app, &user).await;
        // What the thief of the old password holds takes nothing of the owner's allowance, and does
        // not pass the strangers' either.
        let form = json!({ "email": user.email, "password": user.password });
        thief
            .post("/api/auth/sign-in/email", &form)
            .await
            .refused(429, "TOO_MANY_REQUESTS");
        let native = json!({ "email": user.email, "password": user.password, "tokenDelivery": "body", "deviceToken": native.str("deviceToken") });
        from(&app, "192.0.2.77", "sign-in/email", &native)
            .await
            .refused(429, "TOO_MANY_REQUESTS");
        if change == "a change of one's own" {
            // The browser in which the owner changed it is known by the new one.
            owner.post("/api/auth/sign-in/email", &form).await.ok();
        }
    }
    // A hash that is only renewed is no other password.
    let ana = app.user("ana").await;
    let own = ana.browser().await;
    let costlier = app
        .replica_with(&[("passwords.argon2_iterations", "2")])
        .await;
    let again = json!({ "email": ana.email, "password": ana.password });
    own.at(&costlier)
        .post("/api/auth/sign-in/email", &again)
        .await
        .ok();
    assert_eq!(
        app.db_number("SELECT login_epoch FROM users WHERE email = 'ana@example.com'")
            .await,
        0
    );
}

#[tokio::test]
async fn an_address_gets_three_mails_of_a_kind_an_hour_whatever_asks_for_them() {
    let settings = [
        ("rate_limits.mail_address", "3/1h"),
        ("sign_up.require_email_verification", "false"),
    ];
    let (app, dir) = super::mail::posting(&settings).await;
    let replica = app.replica_with(&[]).await;
    let mut mails = 0;
    for n in 0..6 {
        let session = app.user(&format!("user{n}")).await.sign_in().await.session;
        let asked = if n % 2 == 0 { &app } else { &replica };
        asked
            .post_as(
                "/api/auth/change-email",
                &session,
                &json!({ "newEmail": "stranger@example.org" }),
            )
            .await
            .ok();
        mails += super::mail::received(&app, dir.path()).await.len();
    }
    assert_eq!(
        mails, 3,
        "of six accounts, each with its own allowance, at two replicas"
    );
    for (process, dropped) in [(&app, 1), (&replica, 2)] {
        let told = countersign::flows::ops::collect_metrics::metrics(&process.app).await;
        assert!(
            told.contains(&format!("mails_total{{outcome=\"limited\"}} {dropped}")),
            "{told}"
        );
    }
    // What was dropped ended nothing: a link that waits in the mailbox stays good.
    let ana = super::mail::verified(&app, dir.path(), "ana").await;
    let session = ana.sign_in().await.session;
    let mut last = None;
    for n in 0..5 {
        app.post_as("/api/auth/change-password", &session, &json!({ "currentPassword": if n == 0 { ana.password.clone() } else { format!("good password {n}") }, "newPassword": format!("good password {}", n + 1) })).await.ok();
        last = super::mail::received(&app, dir.path()).await.pop().or(last);
    }
    assert!(
        last.unwrap()
            .subject
            .starts_with("Your password was changed")
    );
    assert_eq!(app.db_count_events("password.changed").await, 5);
    app.after(minutes(20));
    app.post_as(
        "/api/auth/change-password",
        &session,
        &json!({ "currentPassword": "good password 5", "newPassword": "good password 6" }),
    )
    .await
    .ok();
    assert_eq!(
        super::mail::received(&app, dir.path()).await.len(),
        1,
        "one more in each third of an hour"
    );
}

#[tokio::test]
async fn the_spellings_of_a_mailbox_have_three_times_the_limit_of_one() {
    let (app, dir) = super::mail::posting(&[("rate_limits.mail_address", "3/1h")]).await;
    let mut mails = 0;
    for n in 0..12 {
        let session = app.user(&format!("user{n}")).await.sign_in().await.session;
        app.post_as(
            "/api/auth/change-email",
            &session,
            &json!({ "newEmail": format!("stranger+s{n}@example.org") }),
        )
        .await
        .ok();
        mails += super::mail::received(&app, dir.path()).await.len();
    }
    assert_eq!(mails, 9);
}

/// The answer to an approval must not tell whether the new address has an account.
#[tokio::test]
async fn whether_an_address_is_taken_does_not_show_in_the_limit_of_its_mails() {
    for taken in [false, true] {
        let (app, dir) = super::mail::posting(&[("rate_limits.mail_address", "3/1h")]).await;
        if taken {
            app.user("wanted").await;
        }
        for n in 0..3 {
            let session = app.user(&format!("user{n}")).await.sign_in().await.session;
            app.post_as(
                "/api/auth/change-email",
                &session,
                &json!({ "newEmail": "wanted@example.com" }),
            )
            .await
            .ok();
        }
        super::mail::received(&app, dir.path()).await;
        let ana = super::mail::verified(&app, dir.path(), "ana").await;
        let session = ana.sign_in().await.session;
        app.post_as(
            "/api/auth/change-email",
            &session,
            &json!({ "newEmail": "wanted@example.com" }),
        )
        .await
        .ok();
        let mails = super::mail::received(&app, dir.path()).await;
        let approve = mails
            .iter()
            .find(|mail| mail.to.contains(&ana.email) && mail.text.contains("wanted@example.com"))
            .unwrap()
            .token();
        app.post("/api/auth/verify-email", &json!({ "token": approve }))
            .await
            .refused(429, "TOO_MANY_REQUESTS");
    }
}

/// A session that ends with the browser keeps its device, as long as itself, when a new password
/// has ended every known device.
#[tokio::test]
async fn a_session_that_is_not_remembered_is_known_again_after_a_new_password() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    for others in [false, true] {
        let browser = Browser::new(&app);
        let (old, new) = if others {
            ("another good password", ana.password.as_str())
        } else {
            (ana.password.as_str(), "another good password")
        };
        let form = json!({ "email": ana.email, "password": old, "rememberMe": false });
        browser.post("/api/auth/sign-in/email", &form).await.ok();
        let before = browser.cookie(DEVICE_COOKIE).unwrap();
        let change =
            json!({ "currentPassword": old, "newPassword": new, "revokeOtherSessions": others });
        browser
            .post("/api/auth/change-password", &change)
            .await
            .ok();
        let after = browser.cookie(DEVICE_COOKIE).unwrap();
        assert_ne!(before, after, "revokeOtherSessions: {others}");
    }
}

/// A limit that drops a mail must not use up what asked for it.
#[tokio::test]
async fn what_is_over_the_recipient_s_limit_is_told_to_who_may_know_and_can_be_done_later() {
    let (app, dir) = super::mail::posting(&[("rate_limits.mail_address", "3/1h")]).await;
    for n in 0..3 {
        let session = app.user(&format!("user{n}")).await.sign_in().await.session;
        app.post_as(
            "/api/auth/change-email",
            &session,
            &json!({ "newEmail": "wanted@example.org" }),
        )
        .await
        .ok();
    }
    super::mail::received(&app, dir.path()).await;
    let ana = super::mail::verified(&app, dir.path(), "ana").await;
    let session = ana.sign_in().await.session;
    app.post_as(
        "/api/auth/change-email",
        &session,
        &json!({ "newEmail": "wanted@example.org" }),
    )
    .await
    .ok();
    let mails = super::mail::received(&app, dir.path()).await;
    let approve = json!({ "token": mails.iter().find(|mail| mail.to.contains(&ana.email) && mail.text.contains("wanted@example.org")).unwrap().token() });
    app.post("/api/auth/verify-email", &approve)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(app.db_count_events("email.change_approved").await, 0);
    app.after(minutes(20));
    app.post("/api/auth/verify-email", &approve).await.ok();
    assert_eq!(
        (
            app.db_count_events("email.change_approved").await,
            super::mail::received(&app, dir.path()).await.len()
        ),
        (1, 1)
    );
    let root = super::admin::made_admin(&app, "root").await.sign_in().await;
    let invite = async || {
        super::admin::ask(
            &app,
            &root,
            "invite-user",
            json!({ "email": "new@example.org", "redirectTo": "/x" }),
        )
        .await
    };
    for _ in 0..3 {
        invite().await.ok();
    }
    invite().await.refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(
        (
            app.db_count_events("user.invited").await,
            super::mail::received(&app, dir.path()).await.len()
        ),
        (3, 1),
        "the newest link is the good one"
    );
}

#[tokio::test]
async fn a_flood_of_one_kind_takes_no_reset_away_from_the_owner() {
    let (app, dir) = super::mail::posting(&[
        ("rate_limits.mail_address", "3/1h"),
        ("sign_up.require_email_verification", "true"),
    ])
    .await;
    app.post(
        "/api/auth/sign-up/email",
        &json!({ "name": "x", "email": "ana@example.com", "password": "a good long password" }),
    )
    .await
    .ok();
    let token = super::mail::only(&app, dir.path()).await.token();
    app.post(
        "/api/auth/verify-email",
        &json!({ "token": token, "password": "a good long password" }),
    )
    .await
    .ok();
    for _ in 0..10 {
        app.post(
            "/api/auth/sign-up/email",
            &json!({ "name": "x", "email": "ana@example.com", "password": "a good long password" }),
        )
        .await;
        app.post(
            "/api/auth/send-verification-email",
            &json!({ "email": "ana@example.com" }),
        )
        .await;
    }
    super::mail::received(&app, dir.path()).await;
    let reset = super::mail::reset_link(&app, dir.path(), "ana@example.com").await;
    // Two more that a stranger asks for; the owner's own request is refused, and the newest link in
    // the mailbox is good.
    for _ in 0..2 {
        app.after(std::time::Duration::from_millis(1));
        app.post(
            "/api/auth/request-password-reset",
            &json!({ "email": "ana@example.com" }),
        )
        .await
        .ok();
    }
    let mails = super::mail::received(&app, dir.path()).await;
    let newest = super::mail::about(&mails, "Choose a new password");
    app.post(
        "/api/auth/request-password-reset",
        &json!({ "email": "ana@example.com" }),
    )
    .await
    .refused(429, "TOO_MANY_REQUESTS");
    for (token, good) in [(reset.token(), false), (newest.token(), true)] {
        let answer = app
            .post(
                "/api/auth/reset-password",
                &json!({ "token": token, "newPassword": "another good password" }),
            )
            .await;
        assert_eq!(answer.status == 200, good);
    }
}

#[tokio::test]
async fn an_ipv6_customer_has_one_allowance_however_many_networks() {
    let app = limited().await;
    let stranger = |number: usize| json!({ "email": format!("stranger{number}@example.com"), "password": "x", "tokenDelivery": "body" });
    // One customer: a guess at another account from another /64 each time.
    let mut tried = 0;
    for number in 0..200 {
        let answer = from(
            &app,
            &format!("2001:db8:1:{:x}::1", number % 256),
            "sign-in/email",
            &stranger(number),
        )
        .await;
        tried += usize::from(answer.status == 401);
    }
    println!("200 guesses from the /64 networks of one /56: {tried} tried");
    assert_eq!(tried, 125, "a quarter more than from one of them");
    // Another customer of the same site is not held up, and all of them together have four times as
    // much.
    for number in 200..1_000 {
        let answer = from(
            &app,
            &format!("2001:db8:1:{:x}::1", number * 17 + 0x100),
            "sign-in/email",
            &stranger(number),
        )
        .await;
        tried += usize::from(answer.status == 401);
    }
    println!("1,000 guesses from one /48: {tried} tried");
    assert_eq!(tried, 400);
    from(&app, "2001:db8:2::1", "sign-in/email", &stranger(1))
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
}

#[tokio::test]
async fn guesses_at_one_account_from_one_ipv6_customer_share_their_free_failures() {
    let app = limited().await;
    let ana = app.user("ana").await;
    let mut tried = [0, 0];
    for number in 0..100 {
        let answer = from(
            &app,
            &format!("2001:db8:1:{number:x}::1"),
            "sign-in/email",
            &guess(&ana, "a wrong password"),
        )
        .await;
        tried[0] += usize::from(answer.status == 401);
    }
    for number in 1..100 {
        let answer = from(
            &app,
            &format!("2001:db8:1:{number:x}00::1"),
            "sign-in/email",
            &guess(&ana, "a wrong password"),
        )
        .await;
        tried[1] += usize::from(answer.status == 401);
    }
    println!("tried at one account from one /56, then from its /48: {tried:?}");
    assert_eq!(tried, [10, 10], "ten from a customer, twenty from a site");
    from(
        &app,
        "2001:db8:2::1",
        "sign-in/email",
        &guess(&ana, &ana.password),
    )
    .await
    .ok();
}

#[tokio::test]
async fn sign_ups_and_mails_are_counted_by_customer_and_site_too() {
    let app = limited().await;
    let (mut made, mut mailed) = (0, [0, 0]);
    for number in 0..60 {
        let new = json!({ "name": "New", "email": format!("new{number}@example.com"), "password": "a good long password" });
        made += usize::from(
            from(
                &app,
                &format!("2001:db8:1:{number:x}::1"),
                "sign-up/email",
                &new,
            )
            .await
            .status
                == 200,
        );
    }
    for number in 0..120 {
        let wanted = json!({ "email": format!("new{number}@example.com"), "redirectTo": "/x" });
        let subnet = if number < 40 { number } else { number << 8 };
        let answer = from(
            &app,
            &format!("2001:db8:2:{subnet:x}::1"),
            "request-password-reset",
            &wanted,
        )
        .await;
        mailed[usize::from(number >= 40)] += usize::from(answer.status == 200);
    }
    assert_eq!(made, 38);
    assert_eq!(mailed, [25, 55], "25 from a customer, 80 from a site");
    // The same over IPv4 inside IPv6 is one address.
    let mut tried = 0;
    for number in 0..150 {
        let guess = json!({ "email": format!("stranger{number}@example.com"), "password": "x", "tokenDelivery": "body" });
        let address = [
            "198.51.100.9",
            "::ffff:198.51.100.9",
            "64:ff9b::198.51.100.9",
        ][number % 3];
        tried += usize::from(from(&app, address, "sign-in/email", &guess).await.status == 401);
    }
    assert_eq!(tried, 100);
}

/// The value of a hidden field or of the token of a form.
fn field(page: &str, name: &str) -> String {
    page.split(&format!("name=\"{name}\" value=\""))
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#x2f;", "/")
        .replace("&#47;", "/")
}

#[tokio::test]
async fn who_chose_a_password_or_proved_another_address_waits_for_no_stranger() {
    let (app, dir) = super::mail::posting(&DEFAULTS).await;
    for how in [
        "reset",
        "reset on the page",
        "reset at the link",
        "reset by a client",
        "address",
        "address by a client",
    ] {
        let name = how.replace(' ', "-");
        app.after(minutes(61));
        let mut user = app.user(&name).await;
        let own = user.browser().await;
        let new = "another good password".to_owned();
        super::mail::received(&app, dir.path()).await;
        let mut device = None;
        if how.starts_with("reset") {
            // Without a page of the application the link has one itself.
            let wish = if how == "reset at the link" {
                json!({ "email": user.email })
            } else {
                json!({ "email": user.email, "redirectTo": "/reset" })
            };
            own.post("/api/auth/request-password-reset", &wish)
                .await
                .ok();
            let mail = super::mail::only(&app, dir.path()).await;
            let body = json!({ "token": mail.token(), "newPassword": new });
            match how {
                "reset" => assert_eq!(
                    own.post("/api/auth/reset-password", &body).await.ok().body,
                    json!({ "status": true })
                ),
                "reset on the page" => {
                    let fields = [
                        ("token", mail.token()),
                        ("password", new.clone()),
                        ("again", new.clone()),
                    ];
                    let fields: Vec<_> = fields
                        .iter()
                        .map(|(name, value)| (*name, value.as_str()))
                        .collect();
                    assert_eq!(own.form("/auth/reset-password", &fields).await.status, 303);
                }
                "reset at the link" => {
                    let path = format!("/api/auth/reset-password/{}", mail.token());
                    assert_eq!(
                        own.form(&path, &[("password", &new), ("again", &new)])
                            .await
                            .status,
                        303
                    );
                }
                _ => {
                    device = Some(
                        app.post("/api/auth/reset-password", &body)
                            .await
                            .ok()
                            .str("deviceToken"),
                    );
                }
            }
            user.password = new;
        } else {
            let before = user.sign_in().await;
            user.email = format!("{name}.new@example.com");
            let wish = json!({ "newEmail": user.email, "callbackURL": "/done" });
            app.post_as("/api/auth/change-email", &before.session, &wish)
                .await
                .ok();
            let mail = super::mail::only(&app, dir.path()).await;
            if how == "address by a client" {
                device = Some(
                    app.post_as(
                        "/api/auth/verify-email",
                        &before.session,
                        &json!({ "token": mail.token() }),
                    )
                    .await
                    .ok()
                    .str("deviceToken"),
                );
            } else {
                let token = field(&own.get(&mail.link()).await.ok().text, "token");
                let led = own
                    .form(
                        "/api/auth/verify-email",
                        &[("token", &token), ("callbackURL", "/done")],
                    )
                    .await;
                assert_eq!(led.header("location"), "/done", "{}", led.text);
                own.post("/api/auth/sign-out", &json!({})).await.ok();
            }
        }
        flood(&app, &user).await;
        match device {
            None => drop(
                own.post(
                    "/api/auth/sign-in/email",
                    &json!({ "email": user.email, "password": user.password }),
                )
                .await
                .ok(),
            ),
            Some(device) => {
                let form = json!({ "email": user.email, "password": user.password, "tokenDelivery": "body", "deviceToken": device });
                from(&app, "192.0.2.77", "sign-in/email", &form).await.ok();
            }
        }
    }
}
