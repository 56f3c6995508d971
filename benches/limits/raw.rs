//! The raw limits: what the same work costs without us.

use std::path::Path;
use std::time::{Duration, Instant};

use argon2::{Argon2, Block, Params, Version};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use axum::http::header;
use axum::routing::get;
use countersign::crypto::jws::Signer;
use countersign::crypto::keypair::Keypair;
use countersign::model::key::algorithm::{Algorithm, RsaSize};
use countersign::model::token::claims::{AccessClaims, Audience};
use countersign::model::token::target::TokenType;
use countersign::random::SeededRandom;
use ed25519_dalek::{Signer as _, SigningKey};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// A static JSON body behind `axum::serve`, nothing else.
pub fn serve_bare(port: &str, body: &str) {
    let body: bytes::Bytes = std::fs::read(body).unwrap().into();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let route = get(move || {
                let body = body.clone();
                async move { ([(header::CONTENT_TYPE, "application/json")], body) }
            });
            let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}"))
                .await
                .unwrap();
            axum::serve(listener, axum::Router::new().route("/", route))
                .await
                .unwrap();
        });
}

/// Hashes a second on so many threads, memory reused.
pub fn argon2(threads: usize, time: Duration) -> f64 {
    let started = Instant::now();
    let counts: Vec<u32> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| hash_until(started, time)))
            .collect();
        running.into_iter().map(|t| t.join().unwrap()).collect()
    });
    f64::from(counts.iter().sum::<u32>()) / started.elapsed().as_secs_f64()
}

fn hash_until(started: Instant, time: Duration) -> u32 {
    let params = Params::new(19_456, 2, 1, Some(32)).unwrap();
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params);
    let (mut output, mut done) = ([0; 32], 0);
    while started.elapsed() < time {
        argon2
            .hash_password_into_with_memory(
                b"a good long password",
                b"saltsaltsaltsalt",
                &mut output,
                &mut memory[..],
            )
            .unwrap();
        done += 1;
    }
    done
}

/// What the statement returns, decoded as the server does.
#[derive(sqlx::FromRow)]
#[expect(dead_code, reason = "decoding is what is measured")]
struct Row {
    id: String,
    user_id: String,
    user_version: i64,
    ring_id: String,
    generation: i64,
    refresh_hash: String,
    rotated_at: i64,
    expires_at: i64,
    idle_expires_at: i64,
    is_over: i64,
    impersonated_by: Option<String>,
    delivery: String,
    remember: i64,
    auth_time: i64,
    token_hash: String,
    master_version: i64,
}

/// The UPDATE of a refresh on one held connection, each committed by itself, with the server's
/// settings; updates a second.
pub async fn update_loop(path: &Path, time: Duration) -> f64 {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000");
    let mut connection = options.connect().await.unwrap();
    sqlx::migrate!("./migrations/sqlite")
        .run(&mut connection)
        .await
        .unwrap();
    sqlx::query("INSERT OR IGNORE INTO users (id, email, email_verified, name, role, banned, metadata, version, created_at, updated_at) VALUES ('u', 'a@example.com', 0, 'a', 'user', 0, '{}', 1, 0, 0)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("INSERT OR REPLACE INTO sessions (id, user_id, token_hash, generation, refresh_hash, rotated_at, idle_expires_at, expires_at, delivery, remember, auth_time, ip_address, user_agent, created_at, updated_at) VALUES ('01a1fd93-3b6c-70d2-a424-35e43cdbfdf9', 'u', 't', 1, '', 0, 99999999999999, 99999999999999, 'body', 1, 0, '', '', 0, 0)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query(
        "INSERT OR IGNORE INTO master_keys (version, key_id, created_at) VALUES (1, 'k', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::query("UPDATE key_ring SET master_version = 1")
        .execute(&mut connection)
        .await
        .unwrap();
    let started = Instant::now();
    let (mut done, mut hash) = (0_u32, String::new());
    while started.elapsed() < time {
        let next = format!("{done:0>43}");
        let rows: Vec<Row> = sqlx::query_as(countersign::store::session::refresh::ROTATE)
            .bind(next.clone())
            .bind(i64::from(done))
            .bind(99_999_999_999_999_i64)
            .bind("01a1fd93-3b6c-70d2-a424-35e43cdbfdf9")
            .bind(i64::from(done) + 1)
            .bind(hash)
            .bind("body")
            .bind(i64::from(done))
            .bind(i64::from(done) + 5_000)
            .bind(1_i64)
            .bind("")
            .bind("")
            .bind(None::<String>)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(
            (rows[0].generation, rows[0].ring_id.as_str()),
            (i64::from(done) + 2, "0:0")
        );
        hash = next;
        done += 1;
    }
    f64::from(done) / started.elapsed().as_secs_f64()
}

/// Microseconds for an access token through our signer, and for a bare signature over as many
/// bytes: by ed25519-dalek for Ed25519, and by aws-lc-rs with a kept key for the others.
pub fn signing(algorithm: Algorithm) -> (f64, f64) {
    const TIMES: u32 = 2_000;
    let pair = Keypair::generate(algorithm, RsaSize::Bits2048, &SeededRandom::new(7)).unwrap();
    let signer = Signer::new(&pair);
    let sign = |claims: &AccessClaims| signer.sign(claims, TokenType::AtJwt);
    let bare = bare_signature(algorithm);
    let claims = claims();
    let message = sign(&claims).unwrap();
    let message = message.rsplit_once('.').unwrap().0.as_bytes().to_vec();
    let time = |work: &dyn Fn()| {
        let started = Instant::now();
        (0..TIMES).for_each(|_| work());
        started.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
    };
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    let rounds = if algorithm == Algorithm::Rs256 { 5 } else { 11 };
    for _ in 0..rounds {
        ours.push(time(&|| {
            drop(std::hint::black_box(sign(std::hint::black_box(&claims))));
        }));
        limit.push(time(&|| bare(std::hint::black_box(&message))));
    }
    (super::median(ours), super::median(limit))
}

/// Bare signatures a second on all cores, each with a key of its own.
pub fn signatures(algorithm: Algorithm, time: Duration) -> f64 {
    let cores = std::thread::available_parallelism().unwrap().get();
    let message = vec![b'x'; 600];
    let counts: Vec<f64> = std::thread::scope(|scope| {
        let count = || {
            let (bare, started, mut done) = (bare_signature(algorithm), Instant::now(), 0_u32);
            while started.elapsed() < time {
                bare(std::hint::black_box(&message));
                done += 1;
            }
            f64::from(done) / started.elapsed().as_secs_f64()
        };
        let running: Vec<_> = (0..cores).map(|_| scope.spawn(count)).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    counts.into_iter().sum()
}

type Sign = Box<dyn Fn(&[u8])>;

/// Returns what signs a message with a new key and throws the signature away.
fn bare_signature(algorithm: Algorithm) -> Sign {
    let random = SystemRandom::new();
    match algorithm {
        Algorithm::EdDsa | Algorithm::Ed25519 => {
            let key = SigningKey::from_bytes(&[7; 32]);
            Box::new(move |message| {
                std::hint::black_box(key.sign(message));
            })
        }
        Algorithm::Es256 => {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            Box::new(move |message| {
                std::hint::black_box(key.sign(&random, message).unwrap());
            })
        }
        Algorithm::Rs256 => {
            let key = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
            Box::new(move |message| {
                let mut signature = [0; 256];
                let signed = key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.unwrap();
                std::hint::black_box(signature);
            })
        }
    }
}

fn claims() -> AccessClaims {
    let id = "01a1fd93-3b6c-70d2-a424-35e43cdbfdf9".to_owned();
    AccessClaims {
        iss: "http://localhost:4000".into(),
        sub: id.clone(),
        client_id: "web".into(),
        aud: Audience::One("http://localhost:4000".into()),
        iat: 1_795_244_107,
        exp: 1_795_245_007,
        jti: id.clone(),
        sid: id,
        auth_time: 1_795_244_107,
        acr: Some("urn:countersign:acr:1fa".into()),
        amr: vec!["pwd".into()],
        email: Some("ana@example.com".into()),
        email_verified: Some(true),
        name: Some("Ana".into()),
        role: "user".into(),
        roles: vec!["user".into()],
        permissions: vec![],
        act: None,
        custom: serde_json::Map::new(),
    }
}
