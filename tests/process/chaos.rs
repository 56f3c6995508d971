//! Three replicas, 300 clients that follow the protocol, and everything that can happen to servers.
//! `CHAOS_SECONDS` says how long, `CHAOS_SEED` repeats the order of events. A third of the clients have
//! retry tickets, and some of these are away for half a minute to ten before they ask again. No user may
//! be signed out, no session may have two successors, no verifier may refuse a token, nothing may be
//! called theft; afterwards fifty thefts must all be found, those in step with their owners among them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use nix::sys::signal::Signal;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::calls::parts;
use crate::fleet::Fleet;
use crate::server::{form, post, post_until_served};

const CLIENTS: usize = 300;
const MANY_TABS: usize = 30;
const LOSING: usize = 60;
const TABS: usize = 8;
const THEFTS: usize = 50;
/// The clients from here on have tickets: the first ones with many tabs, the next ones lose answers and
/// are away afterwards.
const TICKETS: usize = 200;
const TICKET_TABS: usize = 10;
const AWAY: usize = 40;
/// How long they are away, in seconds: past the grace, and at most until the chaos is about to end.
const AWAY_FOR: std::ops::Range<u64> = 31..600;

/// Session and generation.
type Place = (Vec<u8>, u32);
type Secret = Vec<u8>;

/// What all clients saw.
#[derive(Default)]
struct Seen {
    signed_out: Mutex<Vec<String>>,
    successors: Mutex<BTreeMap<Place, BTreeSet<Secret>>>,
    refused_tokens: Mutex<Vec<String>>,
    rotations: AtomicU64,
    answers: AtomicU64,
    failures: AtomicU64,
    away: AtomicU64,
    /// Retries past the grace that were answered.
    late_retries: AtomicU64,
    /// How long the chaos lasts.
    seconds: u64,
    stop: AtomicBool,
}

/// A verifier with the habits of PyJWT and jose: a set is kept for five minutes, an unknown kid
/// fetches again, at most every 30 s.
struct Verifier {
    url: String,
    issuer: String,
    http: reqwest::Client,
    set: tokio::sync::Mutex<Option<(JwkSet, Instant)>>,
}

impl Verifier {
    async fn verify(&self, token: &str) -> Result<(), String> {
        let kid = decode_header(token)
            .map_err(|e| e.to_string())?
            .kid
            .ok_or("no kid")?;
        let mut set = self.set.lock().await;
        let (known, age) = set.as_ref().map_or((false, Duration::MAX), |(set, at)| {
            (set.find(&kid).is_some(), at.elapsed())
        });
        if (age > Duration::from_secs(300) || !known && age > Duration::from_secs(30))
            && let Some(fetched) = self.fetch().await
        {
            *set = Some((fetched, Instant::now()));
        }
        let jwk = set
            .as_ref()
            .and_then(|(set, _)| set.find(&kid))
            .ok_or_else(|| format!("the kid {kid} is not in the set"))?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[&self.issuer]);
        rules.set_issuer(&[&self.issuer]);
        decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &rules)
            .map(|_| ())
            .map_err(|e| e.to_string())
    }

    async fn fetch(&self) -> Option<JwkSet> {
        for _ in 0..20 {
            if let Ok(answer) = self
                .http
                .get(&self.url)
                .timeout(Duration::from_secs(3))
                .send()
                .await
                && let Ok(set) = answer.json().await
            {
                return Some(set);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        None
    }
}

/// One browser or app: a jar that its tabs share without a word.
struct Jar {
    token: Mutex<String>,
    /// The token before that one.
    parent: Mutex<String>,
    first: String,
    loses: bool,
    /// The stored ticket, under the lock of the tabs; `None` for a client without tickets.
    ticket: Option<tokio::sync::Mutex<Option<String>>>,
    /// Whether the client is away after each answer that it does not get.
    goes_away: bool,
}

impl Jar {
    fn of(n: usize, first: String) -> Self {
        let tickets = n.checked_sub(TICKETS);
        let is_away = tickets.is_some_and(|n| (TICKET_TABS..TICKET_TABS + AWAY).contains(&n));
        Self {
            token: Mutex::new(first.clone()),
            parent: Mutex::new(first.clone()),
            first,
            loses: (MANY_TABS..LOSING).contains(&n) || is_away,
            ticket: tickets.map(|_| tokio::sync::Mutex::new(None)),
            goes_away: is_away,
        }
    }

    fn tabs(n: usize) -> usize {
        let has_many = n < MANY_TABS || (TICKETS..TICKETS + TICKET_TABS).contains(&n);
        if has_many { TABS } else { 1 }
    }
}

/// A new ticket: 16 random bytes.
fn new_ticket(random: &mut ChaCha20Rng) -> String {
    let mut bytes = [0; 16];
    random.fill_bytes(&mut bytes);
    countersign::encoding::encode(&bytes)
}

/// Waits, but not longer than the chaos lasts; returns whether that was past the grace.
async fn be_away(seen: &Seen, seconds: u64) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) && !seen.stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    began.elapsed() >= Duration::from_secs(AWAY_FOR.start)
}

async fn tab(
    jar: Arc<Jar>,
    url: String,
    seen: Arc<Seen>,
    verifier: Arc<Verifier>,
    mut random: ChaCha20Rng,
) {
    let http = reqwest::Client::new();
    let mut is_late = false;
    while !seen.stop.load(Ordering::Relaxed) {
        let mut ticket = match &jar.ticket {
            Some(ticket) => Some(ticket.lock().await),
            None => None,
        };
        let token = jar.token.lock().unwrap().clone();
        let mut body = json!({ "refreshToken": token });
        if let Some(stored) = ticket.as_deref_mut() {
            let kept = stored.get_or_insert_with(|| new_ticket(&mut random));
            body["attempt"] = kept.as_str().into();
        }
        let asked = http
            .post(&url)
            .json(&body)
            .timeout(Duration::from_secs(5))
            .send()
            .await;
        let lost = jar.loses && random.next_u32().is_multiple_of(5);
        let answer = match asked {
            Ok(answer) if !lost => {
                Some((answer.status().as_u16(), answer.json::<Value>().await.ok()))
            }
            Ok(_) | Err(_) => None,
        };
        match answer {
            Some((200, Some(body))) => {
                seen.answers.fetch_add(1, Ordering::Relaxed);
                let late = u64::from(std::mem::take(&mut is_late));
                seen.late_retries.fetch_add(late, Ordering::Relaxed);
                if let Err(error) = verifier.verify(body["accessToken"].as_str().unwrap()).await {
                    seen.refused_tokens.lock().unwrap().push(error);
                }
                if let Some(next) = body["refreshToken"].as_str() {
                    let (session, generation, secret) = parts(next);
                    if seen
                        .successors
                        .lock()
                        .unwrap()
                        .entry((session, generation))
                        .or_default()
                        .insert(secret)
                    {
                        seen.rotations.fetch_add(1, Ordering::Relaxed);
                    }
                    *jar.parent.lock().unwrap() = token;
                    next.clone_into(&mut jar.token.lock().unwrap());
                }
                if body["rotated"] == true
                    && let Some(stored) = ticket.as_deref_mut()
                {
                    *stored = None;
                }
                drop(ticket);
                tokio::time::sleep(Duration::from_millis(
                    500 + u64::from(random.next_u32() % 4_000),
                ))
                .await;
            }
            Some((401, body)) => return seen.signed_out.lock().unwrap().push(format!("{body:?}")),
            Some((500, body)) => {
                return seen
                    .signed_out
                    .lock()
                    .unwrap()
                    .push(format!("a 500: {body:?}"));
            }
            Some(_) | None => {
                seen.failures.fetch_add(1, Ordering::Relaxed);
                drop(ticket);
                if jar.goes_away {
                    seen.away.fetch_add(1, Ordering::Relaxed);
                    let longest = AWAY_FOR
                        .end
                        .min(seen.seconds.saturating_sub(10))
                        .max(AWAY_FOR.start + 1);
                    let seconds =
                        AWAY_FOR.start + u64::from(random.next_u32()) % (longest - AWAY_FOR.start);
                    is_late = be_away(&seen, seconds).await;
                } else {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            }
        }
    }
}

/// What happens to the servers; each event is over before the next.
async fn misfortune(
    fleet: &Fleet,
    random: &mut ChaCha20Rng,
    happened: &mut BTreeMap<&'static str, u32>,
    rotated: &mut Instant,
) {
    for n in 1..=3 {
        fleet.supervise(n);
    }
    let n = 1 + u16::try_from(random.next_u32() % 3).unwrap();
    let pause = Duration::from_millis(u64::from(random.next_u32() % 3_000));
    let what = match random.next_u32() % 8 {
        0..=2 => {
            fleet.signal_if_there(n, Signal::SIGKILL);
            tokio::time::sleep(pause).await;
            fleet.serve(n);
            "kill -9 of a replica"
        }
        3 | 4 => {
            let killed = sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'countersign'",
            );
            killed.execute(&mut fleet.sql().await).await.unwrap();
            "pg_terminate_backend of all"
        }
        5 => {
            tokio::task::block_in_place(|| fleet.crash_postgres());
            "Postgres restarted (immediate)"
        }
        6 => {
            fleet.signal_if_there(n, Signal::SIGSTOP);
            tokio::time::sleep(Duration::from_secs(10)).await;
            fleet.signal_if_there(n, Signal::SIGCONT);
            "SIGSTOP of a replica for 10 s"
        }
        _ if rotated.elapsed() > Duration::from_secs(16) => {
            let done =
                tokio::task::block_in_place(|| fleet.cli(&["keys", "rotate", "--force", "--yes"]));
            assert!(
                done.status.success(),
                "{}",
                String::from_utf8_lossy(&done.stderr)
            );
            *rotated = Instant::now();
            "key rotation"
        }
        _ => "nothing",
    };
    *happened.entry(what).or_default() += 1;
    tokio::time::sleep(Duration::from_millis(500) + pause).await;
}

#[expect(clippy::disallowed_methods, reason = "a seed that is printed")]
fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn chaos_signs_no_user_out_and_misses_no_thief() {
    let (length, start) = (
        setting("CHAOS_SECONDS", 60),
        setting("CHAOS_SEED", u64::from(std::process::id())),
    );
    println!("CHAOS_SEED={start} CHAOS_SECONDS={length}");
    let windows = [
        "tokens.access_ttl=2m",
        "sessions.refresh_grace=20s",
        "sessions.refresh_cooldown=40s",
        "keys.verifier_cache=0s",
        "server.header_timeout=30s",
    ];
    let fleet = tokio::task::block_in_place(|| Fleet::start(&windows));
    let http = reqwest::Client::new();
    assert_eq!(
        post_until_served(&http, &fleet.url("/api/auth/sign-up/email"), &form("ana"))
            .await
            .0,
        200
    );
    let verifier = Verifier {
        url: fleet.url("/api/auth/jwks"),
        issuer: format!("http://localhost:{}", fleet.port),
        http: http.clone(),
        set: Default::default(),
    };
    let seen = Arc::new(Seen {
        seconds: length,
        ..Seen::default()
    });
    let verifier = Arc::new(verifier);
    let (mut jars, mut tabs) = (Vec::new(), Vec::new());
    for n in 0..CLIENTS {
        let mut form = form("ana");
        form["refreshRetry"] = if n < TICKETS { "window" } else { "ticket" }.into();
        let (status, body) =
            post_until_served(&http, &fleet.url("/api/auth/sign-in/email"), &form).await;
        assert_eq!(status, 200, "{body}");
        let jar = Jar::of(n, body["refreshToken"].as_str().unwrap().to_owned());
        let jar = Arc::new(jar);
        for t in 0..Jar::tabs(n) {
            let random = ChaCha20Rng::seed_from_u64(
                start
                    .wrapping_mul(1_000_003)
                    .wrapping_add((n * TABS + t) as u64),
            );
            tabs.push(tokio::spawn(tab(
                jar.clone(),
                fleet.url("/api/auth/refresh"),
                seen.clone(),
                verifier.clone(),
                random,
            )));
        }
        jars.push(jar);
    }
    let (mut random, mut happened, started) = (
        ChaCha20Rng::seed_from_u64(start),
        BTreeMap::new(),
        Instant::now(),
    );
    let mut rotated = Instant::now();
    while started.elapsed() < Duration::from_secs(length) {
        misfortune(&fleet, &mut random, &mut happened, &mut rotated).await;
    }
    for n in 1..=3 {
        fleet.supervise(n);
        fleet.until_ready(n).await;
    }
    seen.stop.store(true, Ordering::Relaxed);
    for tab in tabs {
        tab.await.unwrap();
    }
    println!("{happened:?}");
    let (rotations, answers, failures) = (
        seen.rotations.load(Ordering::Relaxed),
        seen.answers.load(Ordering::Relaxed),
        seen.failures.load(Ordering::Relaxed),
    );
    let (away, late) = (
        seen.away.load(Ordering::Relaxed),
        seen.late_retries.load(Ordering::Relaxed),
    );
    println!(
        "{answers} answers, {rotations} rotations, {failures} requests without one, {away} absences with a ticket, {late} retries past the grace"
    );

    let mut still = 0;
    for jar in &jars {
        let token = jar.token.lock().unwrap().clone();
        let mut form = json!({ "refreshToken": token });
        if let Some(ticket) = &jar.ticket {
            let mut stored = ticket.lock().await;
            let kept = stored.get_or_insert_with(|| new_ticket(&mut random));
            form["attempt"] = kept.as_str().into();
        }
        let (status, body) = post_until_served(&http, &fleet.url("/api/auth/refresh"), &form).await;
        assert_eq!(status, 200, "{body}");
        if let Some(next) = body["refreshToken"].as_str() {
            *jar.parent.lock().unwrap() = token;
            next.clone_into(&mut jar.token.lock().unwrap());
        }
        still += 1;
    }
    let doubled = seen
        .successors
        .lock()
        .unwrap()
        .values()
        .filter(|secrets| secrets.len() > 1)
        .count();
    let thefts = fleet
        .number("SELECT COUNT(*) FROM audit_events WHERE kind = 'refresh_token.reused'")
        .await;
    let signed_out = seen.signed_out.lock().unwrap().clone();
    let unverified = seen.refused_tokens.lock().unwrap().clone();
    println!(
        "{still} of {CLIENTS} still signed in, {} signed out, {doubled} with two successors, {} tokens refused, {thefts} reuse events",
        signed_out.len(),
        unverified.len()
    );
    assert_eq!(
        (signed_out, doubled, unverified, thefts),
        (Vec::<String>::new(), 0, Vec::<String>::new(), 0)
    );
    assert!(rotations > CLIENTS as u64, "{rotations}");
    assert!(late > 0, "no client with a ticket came back past the grace");

    // Half of the thieves have an old token; the others are in step with an owner who has tickets.
    let mut revoked = 0_usize;
    let moved = |jar: &&Arc<Jar>| parts(&jar.token.lock().unwrap()).1 > 2;
    let of = |tickets: bool| {
        let jars = jars
            .iter()
            .filter(move |jar| jar.ticket.is_some() == tickets);
        jars.filter(moved).take(THEFTS / 2)
    };
    for jar in of(false).chain(of(true)) {
        let stolen = match &jar.ticket {
            Some(_) => jar.parent.lock().unwrap().clone(),
            None => jar.first.clone(),
        };
        let attempt = new_ticket(&mut random);
        // For some seconds after a standstill, as the last fault may have been one, a replica
        // answers 503 and says when to come again.
        let (status, body) = loop {
            let (status, body) = post(
                &http,
                &fleet.url("/api/auth/refresh"),
                &json!({ "refreshToken": stolen, "attempt": attempt }),
            )
            .await
            .unwrap();
            if status != 503 {
                break (status, body);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        assert_eq!(
            (status, body["code"].as_str()),
            (401, Some("REFRESH_TOKEN_REUSED")),
            "{body}"
        );
        let token = jar.token.lock().unwrap().clone();
        let (status, _) = post(
            &http,
            &fleet.url("/api/auth/refresh"),
            &json!({ "refreshToken": token, "attempt": new_ticket(&mut random) }),
        )
        .await
        .unwrap();
        revoked += usize::from(status == 401);
    }
    println!("{THEFTS} thefts, {revoked} sessions revoked");
    assert_eq!(revoked, THEFTS);
    assert_eq!(
        fleet
            .number("SELECT COUNT(*) FROM audit_events WHERE kind = 'refresh_token.reused'")
            .await,
        i64::try_from(THEFTS).unwrap()
    );
}
