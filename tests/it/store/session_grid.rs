//! Compares the statements that move, end and begin sessions with the pure rules, over a grid of
//! real rows. Each condition of a statement is tried on both sides of its edge: alone, together
//! with every value of every other condition, and in a sample of the full product.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::model::audit::event::Requester;
use countersign::model::kernel::id::{SessionId, UserId};
use countersign::model::kernel::standstill::Standstills;
use countersign::model::kernel::time::{Timestamp, millis};
use countersign::model::login::proof::{Proof, Proofs};
use countersign::model::session::refresh::{
    Child, Decision, LateRetry, MAX_CLOCK_SKEW, Policy, Presented, Row as State, SuccessorHashes,
    decide,
};
use countersign::model::session::session::{Delivery, RevokedReason, Session};
use countersign::model::session::ticket::{Retry, Sent, TicketHash, Tickets};
use countersign::store::session::refresh::{ENTRY, Entry, Refreshed, Replacement, Rotation, TAG};
use countersign::store::session::sessions::{By, New};
use countersign::store::{self, Conn, Work};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sqlx::FromRow;

use crate::support::TestApp;
use crate::support::app::START;

const NOW: i64 = START;
const DAY: i64 = 86_400_000;
/// The idle time of a rotation, in milliseconds.
const IDLE: i64 = 600_000;
const SKEW: i64 = 5_000;
const USER_EPOCH: i64 = 7;
const ACTING_EPOCH: i64 = 3;
const ADMIN: &str = "ad000000-0000-4000-8000-000000000000";
const LIVE_OWN: &str = "00000000-0000-7000-8000-0000000000a1";
const ENDED_OWN: &str = "00000000-0000-7000-8000-0000000000a2";

/// A point of a grid: for each dimension the index of its value. Index 0 is always the value that
/// lets the statement through.
type Point<const N: usize> = [usize; N];

/// Builds the grid: every pair of values of any two dimensions, the full product of the dimensions
/// in `core`, and `sample` points drawn from the product of all dimensions.
fn grid<const N: usize>(
    sizes: [usize; N],
    core: &[usize],
    sample: usize,
    seed: u64,
) -> Vec<Point<N>> {
    let mut points = BTreeSet::from([[0; N]]);
    for (a, b) in (0..N).flat_map(|a| (a..N).map(move |b| (a, b))) {
        for (x, y) in (0..sizes[a]).flat_map(|x| (0..sizes[b]).map(move |y| (x, y))) {
            let mut point = [0; N];
            (point[a], point[b]) = (x, y);
            points.insert(point);
        }
    }
    let mut product = vec![[0; N]];
    for &dimension in core {
        product = product
            .into_iter()
            .flat_map(|point| {
                (0..sizes[dimension]).map(move |value| {
                    let mut point = point;
                    point[dimension] = value;
                    point
                })
            })
            .collect();
    }
    points.extend(product);
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    for _ in 0..sample {
        points.insert(sizes.map(|size| random.next_u32() as usize % size));
    }
    points.into_iter().collect()
}

fn hash(of: u32) -> [u8; 32] {
    let mut hash = [0xA5; 32];
    hash[..4].copy_from_slice(&of.to_be_bytes());
    hash
}

fn text(hash: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(hash)
}

/// An entry of the list of presenters: its tag, and as many characters as the program writes.
fn entry(tag: char) -> String {
    let mut entry = tag.to_string().repeat(TAG);
    entry.push_str(&"-".repeat(ENTRY - TAG));
    entry
}

/// The identifier of the session of this number.
fn session_id(number: usize) -> String {
    format!("00000000-0000-7000-8000-1{number:011x}")
}

/// What is the same for all rows of one run of the grid.
#[derive(Debug, Clone, Copy)]
struct Run {
    cooldown: i64,
    ring_epoch: i64,
    /// `clock.confirmed_at`.
    confirmed_at: Option<i64>,
}

const RUNS: [Run; 2] = [
    Run {
        cooldown: 50_000,
        ring_epoch: 5,
        confirmed_at: None,
    },
    // The clock of this process is three days behind the confirmed one.
    Run {
        cooldown: 0,
        ring_epoch: 11,
        confirmed_at: Some(NOW + 3 * DAY),
    },
];

/// Who the owners are. The statements of a refresh do not ask: a ban ends sessions by the epoch.
const OWNERS: [(&str, &str); 4] = [
    ("00000000-0000-4000-8000-000000000001", "1, 0, NULL, NULL"),
    ("00000000-0000-4000-8000-000000000002", "0, 0, NULL, NULL"),
    ("00000000-0000-4000-8000-000000000003", "1, 1, NULL, NULL"),
    ("00000000-0000-4000-8000-000000000004", "1, 0, NULL, 1000"),
];

/// `users.session_epoch` of a user; each has another one.
fn epoch_of(user: &str) -> i64 {
    let at = OWNERS.iter().position(|(id, _)| *id == user);
    USER_EPOCH + i64::try_from(at.unwrap_or(OWNERS.len())).unwrap()
}

fn insert_user(sql: &mut String, id: &str, flags: &str, epoch: i64, acting_epoch: i64) {
    write!(
        sql,
        "INSERT INTO users (id, email, email_verified, banned, ban_expires_at, disabled_at, name, role, metadata, version, created_at, updated_at, session_epoch, acting_epoch)
         VALUES ('{id}', '{id}@example.com', {flags}, '', 'user', '{{}}', 1, 0, 0, {epoch}, {acting_epoch});",
    )
    .unwrap();
}

/// A row of `sessions` to be written; the rest of its columns never matters here.
#[derive(Debug, Clone)]
struct NewRow {
    id: String,
    user: &'static str,
    generation: u32,
    hash: [u8; 32],
    rotated_at: i64,
    idle_expires_at: i64,
    expires_at: i64,
    revoked: bool,
    delivery: Delivery,
    created_at: i64,
    epoch: i64,
    presenters: Option<String>,
    acting: Option<ActingColumns>,
    retry: Retry,
    ticket: Option<String>,
}

#[derive(Debug, Clone)]
struct ActingColumns {
    admin: &'static str,
    epoch: i64,
    own: Option<String>,
}

impl NewRow {
    /// A session in force that may rotate.
    fn good(id: String, user: &'static str, run: Run) -> Self {
        Self {
            id,
            user,
            generation: 2,
            hash: hash(2),
            rotated_at: NOW - run.cooldown - 1_000,
            idle_expires_at: NOW + IDLE / 2,
            expires_at: NOW + 2 * IDLE,
            revoked: false,
            delivery: Delivery::Cookie,
            created_at: NOW - DAY,
            epoch: epoch_of(user) + run.ring_epoch,
            presenters: None,
            acting: None,
            retry: Retry::Window,
            ticket: None,
        }
    }

    fn insert(&self, sql: &mut String) {
        let quoted = |text: &Option<String>| {
            text.as_ref()
                .map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'"))
        };
        let (revoked_at, reason) = if self.revoked {
            ("1", "'sign_out'")
        } else {
            ("NULL", "NULL")
        };
        let (admin, acting_epoch, own) = self.acting.as_ref().map_or_else(
            || ("NULL".to_owned(), 0, "NULL".to_owned()),
            |acting| {
                (
                    format!("'{}'", acting.admin),
                    acting.epoch,
                    quoted(&acting.own),
                )
            },
        );
        write!(
            sql,
            "INSERT INTO sessions (id, user_id, token_hash, generation, refresh_hash, rotated_at, idle_expires_at, expires_at, revoked_at, revoked_reason, delivery, remember, auth_time, ip_address, user_agent, created_at, updated_at, epoch, presenters, impersonated_by, acting_epoch, acting_session, retry, ticket)
             VALUES ('{id}', '{user}', '{token_hash}', {generation}, '{refresh_hash}', {rotated_at}, {idle}, {expires}, {revoked_at}, {reason}, '{delivery}', 1, {created_at}, '', '', {created_at}, {created_at}, {epoch}, {presenters}, {admin}, {acting_epoch}, {own}, '{retry}', {ticket});",
            id = self.id,
            user = self.user,
            // Unique, and a hash by its form.
            token_hash = text(&{
                let mut hash = [0; 32];
                hash[..32].copy_from_slice(&self.id.as_bytes()[4..]);
                hash
            }),
            generation = self.generation,
            refresh_hash = text(&self.hash),
            rotated_at = self.rotated_at,
            idle = self.idle_expires_at,
            expires = self.expires_at,
            delivery = self.delivery.as_str(),
            created_at = self.created_at,
            epoch = self.epoch,
            presenters = quoted(&self.presenters),
            retry = self.retry.as_str(),
            ticket = quoted(&self.ticket),
        )
        .unwrap();
    }

    /// What the statement may have changed.
    fn stored(&self) -> Stored {
        Stored {
            id: self.id.clone(),
            generation: i64::from(self.generation),
            refresh_hash: text(&self.hash),
            rotated_at: self.rotated_at,
            idle_expires_at: self.idle_expires_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked.then_some(1),
            revoked_reason: self.revoked.then(|| "sign_out".to_owned()),
            presenters: self.presenters.clone(),
            ticket: self.ticket.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
struct Stored {
    id: String,
    generation: i64,
    refresh_hash: String,
    rotated_at: i64,
    idle_expires_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
    revoked_reason: Option<String>,
    presenters: Option<String>,
    ticket: Option<String>,
}

async fn stored(app: &TestApp) -> Vec<Stored> {
    sqlx::query_as("SELECT id, generation, refresh_hash, rotated_at, idle_expires_at, expires_at, revoked_at, revoked_reason, presenters, ticket FROM sessions WHERE id LIKE '00000000-0000-7000-8000-1%' ORDER BY id")
        .fetch_all(&mut app.db().await)
        .await
        .unwrap()
}

/// Starts with the owners, the admin, and the admin's own sessions, one of them ended.
async fn start(run: Run) -> TestApp {
    let app = TestApp::start().await;
    let confirmed = run
        .confirmed_at
        .map_or_else(|| "NULL".to_owned(), |at| at.to_string());
    let mut sql = format!(
        "UPDATE key_ring SET epoch = {}; UPDATE clock SET confirmed_at = {confirmed};",
        run.ring_epoch
    );
    for (id, flags) in OWNERS {
        insert_user(&mut sql, id, flags, epoch_of(id), 90);
    }
    insert_user(
        &mut sql,
        ADMIN,
        "1, 0, NULL, NULL",
        epoch_of(ADMIN),
        ACTING_EPOCH,
    );
    let own = NewRow::good(LIVE_OWN.to_owned(), ADMIN, run);
    own.insert(&mut sql);
    NewRow {
        id: ENDED_OWN.to_owned(),
        revoked: true,
        ..own
    }
    .insert(&mut sql);
    app.db_script(&sql).await;
    app
}

/// How many items share a transaction. A transaction may take no longer than a request would wait (3
/// seconds), on a machine that runs three other parts of the tests as well.
const PIECE: usize = 25;

/// Does the work on each item, `PIECE` of them in one transaction.
async fn for_each<C, T, F>(app: &TestApp, items: &Arc<Vec<C>>, work: F) -> Vec<T>
where
    C: Send + Sync + 'static,
    T: Send + 'static,
    F: for<'c> Fn(&'c mut Conn, &'c C) -> Work<'c, T> + Clone + Send + Sync + 'static,
{
    let mut outcomes = Vec::new();
    for first in (0..items.len()).step_by(PIECE) {
        let (items, work) = (Arc::clone(items), work.clone());
        let piece = app.app.db.write(move |conn| {
            Box::pin(async move {
                let mut outcomes = Vec::new();
                for item in items.iter().skip(first).take(PIECE) {
                    outcomes.push(work(conn, item).await?);
                }
                Ok(outcomes)
            })
        });
        outcomes.extend(piece.await.unwrap());
    }
    outcomes
}

/// The presenter of every rotation here.
fn presenter() -> (String, String) {
    ("p".repeat(TAG), entry('p'))
}

async fn insert(app: &TestApp, rows: &[NewRow]) {
    for rows in rows.chunks(500) {
        let mut sql = String::new();
        for row in rows {
            row.insert(&mut sql);
        }
        app.db_script(&sql).await;
    }
}

/// The ways in which a session has ended or not; 0 is in force.
const ENDS: usize = 4;

fn end(row: &mut NewRow, how: usize) {
    match how {
        0 => {}
        1 => row.revoked = true,
        2 => row.epoch -= 1,
        _ => row.epoch += 1,
    }
}

/// Whether an admin acts in the session, and in which state the admin's own sessions are; the first
/// three are in force.
const ACTINGS: usize = 9;

fn act(row: &mut NewRow, how: usize, run: Run) {
    let fits = ACTING_EPOCH + run.ring_epoch;
    let own = |id: &str| Some(id.to_owned());
    let (admin, epoch, own) = match how {
        0 => return,
        1 => (ADMIN, fits, None),
        2 => (ADMIN, fits, own(LIVE_OWN)),
        3 => (ADMIN, fits, own(ENDED_OWN)),
        4 => (ADMIN, fits, own("00000000-0000-7000-8000-0000000000a3")),
        5 => (ADMIN, fits - 1, None),
        6 => (ADMIN, fits + 1, None),
        7 => (ADMIN, fits - 1, own(LIVE_OWN)),
        _ => ("ad000000-0000-4000-8000-000000000009", fits, None),
    };
    row.acting = Some(ActingColumns { admin, epoch, own });
}

const ACTING_IN_FORCE: usize = 3;

/// One row and one presented token.
#[derive(Debug, Clone)]
struct Case {
    row: NewRow,
    /// The row's state as the rule sees it, by the test's own reckoning.
    state: State,
    presented: u32,
    hash: [u8; 32],
    channel: Delivery,
    master: u8,
    /// The ticket that comes with the token.
    sent: Option<TicketHash>,
}

const EXPIRES: [i64; 7] = [2 * IDLE, -1, 0, 1, IDLE - 1, IDLE, IDLE + 1];
const IDLES: [i64; 4] = [IDLE / 2, -1, 0, 1];
/// Generation of the row, generation of the token.
const TOKENS: [(u32, u32); 5] = [(2, 2), (2, 1), (2, 3), (1, 1), (1, 2)];
const CHANNELS: [(Delivery, Delivery); 4] = [
    (Delivery::Cookie, Delivery::Cookie),
    (Delivery::Body, Delivery::Body),
    (Delivery::Cookie, Delivery::Body),
    (Delivery::Body, Delivery::Cookie),
];
/// The master key of the process, relative to the current one, which is the second here.
const MASTERS: [u8; 3] = [2, 1, 3];
/// How the session retries, the generation of the ticket in its row, whether a ticket is sent.
const TICKETS: [(Retry, Option<u32>, bool); 8] = [
    (Retry::Window, None, false),
    (Retry::Window, None, true),
    (Retry::Ticket, None, true),
    (Retry::Ticket, Some(2), true),
    (Retry::Ticket, Some(1), true),
    (Retry::Ticket, Some(9), true),
    (Retry::Ticket, None, false),
    (Retry::Ticket, Some(2), false),
];
const STORED_TICKET: u32 = 5;
const SENT_TICKET: u32 = 6;

/// The stored text of a ticket with which the token of a generation was made.
fn ticket_text(generation: u32, ticket: u32) -> String {
    format!("{generation}:{}", text(&hash(ticket)))
}

const ROTATION: [usize; 13] = [
    EXPIRES.len(),
    IDLES.len(),
    8,
    TOKENS.len(),
    2,
    CHANNELS.len(),
    MASTERS.len(),
    ENDS,
    ACTINGS,
    7,
    OWNERS.len(),
    5,
    TICKETS.len(),
];

fn case(number: usize, point: &Point<13>, run: Run) -> Case {
    let [
        expires,
        idle,
        rotated,
        token,
        other_hash,
        channel,
        master,
        ended,
        acting,
        created,
        owner,
        presenters,
        tickets,
    ] = *point;
    let mut row = NewRow::good(session_id(number), OWNERS[owner].0, run);
    row.expires_at = NOW + EXPIRES[expires];
    row.idle_expires_at = NOW + IDLES[idle];
    row.rotated_at = NOW
        + [
            -run.cooldown - 1_000,
            -run.cooldown - 1,
            -run.cooldown,
            -run.cooldown + 1,
            0,
            SKEW - 1,
            SKEW,
            SKEW + 1,
        ][rotated];
    let (generation, presented) = TOKENS[token];
    row.generation = generation;
    row.hash = hash(generation);
    let (delivery, channel) = CHANNELS[channel];
    row.delivery = delivery;
    // Where no time is confirmed, the last three lie days behind every edge.
    let confirmed = run.confirmed_at.unwrap_or(NOW + 10 * DAY);
    row.created_at = [
        NOW - DAY,
        NOW + DAY - 1,
        NOW + DAY,
        NOW + DAY + 1,
        confirmed + DAY - 1,
        confirmed + DAY,
        confirmed + DAY + 1,
    ][created];
    row.presenters = match presenters {
        0 => None,
        1 => Some(entry('p')),
        2 => Some(entry('p') + &entry('q')),
        3 => Some(entry('q')),
        _ => Some(entry('q') + &entry('r')),
    };
    let (retry, made, sends) = TICKETS[tickets];
    row.retry = retry;
    row.ticket = made.map(|made| ticket_text(made, STORED_TICKET));
    let known = made.filter(|made| *made == generation);
    let known = known.map(|_| TicketHash(hash(STORED_TICKET)));
    end(&mut row, ended);
    act(&mut row, acting, run);
    let begun = row.created_at <= NOW + DAY
        || run
            .confirmed_at
            .is_some_and(|confirmed| row.created_at <= confirmed + DAY);
    let state = State {
        generation,
        refresh_hash: row.hash,
        rotated_at: Timestamp(row.rotated_at),
        expires_at: Timestamp(if begun { row.expires_at } else { 0 }),
        idle_expires_at: Timestamp(row.idle_expires_at),
        revoked: ended != 0 || acting >= ACTING_IN_FORCE,
        delivery,
        tickets: match retry {
            Retry::Window => Tickets::Unused,
            Retry::Ticket => Tickets::Used(known),
        },
    };
    Case {
        hash: if other_hash == 1 { hash(77) } else { row.hash },
        state,
        presented,
        channel,
        master: MASTERS[master],
        sent: sends.then(|| TicketHash(hash(SENT_TICKET))),
        row,
    }
}

fn policy(run: Run, late_retry: LateRetry) -> Policy {
    let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap());
    Policy {
        grace: ms(run.cooldown / 2),
        cooldown: ms(run.cooldown),
        late_retry,
    }
}

/// A presented token whose successor and parent are these.
fn presented(generation: u32, hash: [u8; 32], parent: [u8; 32], successor: [u8; 32]) -> Presented {
    Presented {
        generation,
        hash,
        parent_hash: parent,
        descends_from_parent: true,
        successors: vec![SuccessorHashes {
            successor,
            late_successor: [0xEE; 32],
        }],
    }
}

/// The master key is the second one, so that there is an older and a newer one.
const SECOND_MASTER_KEY: &str = "INSERT INTO master_keys (version, key_id, created_at) VALUES (2, 'second', 0); UPDATE key_ring SET master_version = 2;";

#[tokio::test]
async fn a_row_rotates_exactly_where_the_rule_says_so() {
    assert_eq!(millis(MAX_CLOCK_SKEW), SKEW);
    let (mut size, mut rotated) = (0, 0);
    for (seed, run) in (1..).zip(RUNS) {
        let app = start(run).await;
        app.db_script(SECOND_MASTER_KEY).await;
        let points = grid(ROTATION, &[0, 1, 2, 3, 4], 1_500, seed);
        let cases: Arc<Vec<Case>> = Arc::new(
            points
                .iter()
                .enumerate()
                .map(|(number, point)| case(number, point, run))
                .collect(),
        );
        insert(
            &app,
            &cases.iter().map(|c| c.row.clone()).collect::<Vec<_>>(),
        )
        .await;
        let idle = Duration::from_millis(u64::try_from(IDLE).unwrap());
        let rule = policy(run, LateRetry::Revoke);
        let outcomes = for_each(&app, &cases, move |conn, case| {
            Box::pin(async move {
                let id: SessionId = case.row.id.parse().unwrap();
                let found = store::session::refresh::find(conn, id).await?;
                let rotation = Rotation {
                    session: id,
                    generation: case.presented,
                    hash: case.hash,
                    successor: hash(1_000 + case.presented),
                    delivery: case.channel,
                    idle,
                    cooldown: rule.cooldown,
                    master_version: case.master,
                    ticket: case.sent,
                };
                let (tag, sealed) = presenter();
                let presenter = Entry {
                    tag: &tag,
                    sealed: &sealed,
                };
                let moved = store::session::refresh::rotate(conn, &rotation, presenter).await?;
                Ok((found, moved))
            })
        })
        .await;
        let after = stored(&app).await;
        assert_eq!((outcomes.len(), after.len()), (cases.len(), cases.len()));
        for (case, ((found, moved), after)) in cases.iter().zip(outcomes.iter().zip(&after)) {
            assert_eq!(found.as_ref().unwrap().state, case.state, "found: {case:?}");
            let token = presented(case.presented, case.hash, hash(0), [0xDD; 32]);
            let decision = decide(
                Some(&case.state),
                &token,
                Sent::with_refresh(case.sent),
                Timestamp(NOW),
                &rule,
                &Standstills::default(),
            );
            let expected = decision == Decision::Rotate
                && case.channel == case.row.delivery
                && case.master == 2;
            assert_eq!(moved.is_some(), expected, "{decision:?} for {case:?}");
            let mut row = case.row.stored();
            if let Some(moved) = moved {
                rotated += 1;
                row.generation += 1;
                row.refresh_hash = text(&hash(1_000 + case.presented));
                row.rotated_at = NOW;
                row.idle_expires_at = (NOW + IDLE).min(row.expires_at);
                row.presenters = Some(match &case.row.presenters {
                    Some(known) if known.starts_with('p') => known.clone(),
                    Some(others) => entry('p') + &others[..ENTRY],
                    None => entry('p'),
                });
                let tickets = match case.row.retry {
                    Retry::Window => Tickets::Unused,
                    Retry::Ticket => Tickets::Used(case.sent),
                };
                row.ticket = match tickets {
                    Tickets::Used(Some(_)) => {
                        Some(ticket_text(case.state.generation + 1, SENT_TICKET))
                    }
                    Tickets::Used(None) | Tickets::Unused => None,
                };
                assert_eq!(moved.session.to_string(), row.id);
                assert_eq!(moved.user.to_string(), case.row.user);
                assert_eq!(
                    moved.state,
                    State {
                        generation: case.state.generation + 1,
                        refresh_hash: hash(1_000 + case.presented),
                        rotated_at: Timestamp(NOW),
                        idle_expires_at: Timestamp(row.idle_expires_at),
                        expires_at: Timestamp(row.expires_at),
                        tickets,
                        ..case.state
                    },
                    "returned: {case:?}"
                );
            }
            assert_eq!(*after, row, "stored: {case:?}");
        }
        size += cases.len();
    }
    println!("rotation: {size} rows, {rotated} of them rotated");
    assert!(rotated > 100 && rotated < size / 2, "{rotated} of {size}");
}

/// What has become of a row since it was looked at; 0 is nothing.
const CHANGES: [usize; 4] = [3, 2, ENDS, ACTINGS];

/// A session in force, in a session with tickets with the one of its current token.
fn unchanged(id: String, user: &'static str, run: Run, retry: Retry) -> NewRow {
    NewRow {
        ticket: (retry == Retry::Ticket).then(|| ticket_text(2, STORED_TICKET)),
        retry,
        ..NewRow::good(id, user, run)
    }
}

fn changed(number: usize, point: &Point<4>, run: Run, retry: Retry) -> (NewRow, bool) {
    let [generation, other_hash, ended, acting] = *point;
    let user = OWNERS[number % OWNERS.len()].0;
    let mut row = unchanged(session_id(number), user, run, retry);
    row.generation = [2, 1, 3][generation];
    row.hash = hash(if other_hash == 1 { 77 } else { 2 });
    end(&mut row, ended);
    act(&mut row, acting, run);
    let is_unchanged = generation == 0 && other_hash == 0 && ended == 0 && acting < ACTING_IN_FORCE;
    (row, is_unchanged)
}

/// The rows of the compare-and-set grid, and what was read of each when it was still unchanged.
async fn changed_rows(
    app: &TestApp,
    run: Run,
    retry: Retry,
) -> (Vec<(NewRow, bool)>, Arc<Vec<Refreshed>>) {
    let points = grid(CHANGES, &[0, 1, 2, 3], 0, 0);
    let cases: Vec<_> = points
        .iter()
        .enumerate()
        .map(|(number, point)| changed(number, point, run, retry))
        .collect();
    let before: Vec<NewRow> = cases
        .iter()
        .map(|(row, _)| unchanged(row.id.clone(), row.user, run, retry))
        .collect();
    insert(app, &before).await;
    let seen = for_each(app, &Arc::new(before), |conn, row| {
        Box::pin(async move {
            let seen = store::session::refresh::find(conn, row.id.parse().unwrap()).await?;
            Ok(seen.unwrap())
        })
    })
    .await;
    app.db_script("DELETE FROM sessions WHERE id LIKE '00000000-0000-7000-8000-1%'")
        .await;
    insert(
        app,
        &cases.iter().map(|(row, _)| row.clone()).collect::<Vec<_>>(),
    )
    .await;
    (cases, Arc::new(seen))
}

#[tokio::test]
async fn a_replacement_applies_exactly_where_the_decision_would_be_made_again() {
    // The decisions that put a token in place: how the session retries, its generation, its hash, the
    // rule. Only the token that is repeated keeps its ticket.
    let heal = presented(3, hash(3), hash(2), [0xDD; 32]);
    let late = presented(1, hash(1), hash(0), hash(2));
    let again = Decision::Resume(Child {
        key: 0,
        late: false,
    });
    let (window, ticket) = (Retry::Window, Retry::Ticket);
    let mut size = 0;
    for (run, (retry, token, decision, generation, new_hash)) in RUNS.into_iter().flat_map(|run| {
        [
            (run, (window, heal.clone(), Decision::Heal, 3, hash(3))),
            (run, (ticket, heal.clone(), Decision::Heal, 3, hash(3))),
            (
                run,
                (window, late.clone(), Decision::Supersede, 2, [0xEE; 32]),
            ),
            (run, (ticket, late.clone(), again, 2, hash(2))),
        ]
    }) {
        let app = start(run).await;
        let (cases, seen) = changed_rows(&app, run, retry).await;
        let sent = Sent::Ticket(TicketHash(hash(STORED_TICKET)));
        let tickets = match (retry, decision) {
            (Retry::Window, _) => Tickets::Unused,
            (Retry::Ticket, Decision::Resume(_)) => Tickets::Used(sent.hash()),
            (Retry::Ticket, _) => Tickets::Used(None),
        };
        let rule = policy(run, LateRetry::Supersede);
        let idle_end = Timestamp(NOW + 777);
        let moved = for_each(&app, &seen, move |conn, seen| {
            Box::pin(async move {
                let (tag, sealed) = presenter();
                let presenter = Entry {
                    tag: &tag,
                    sealed: &sealed,
                };
                let new = Replacement {
                    generation,
                    hash: new_hash,
                    idle_expires_at: idle_end,
                    tickets,
                };
                store::session::refresh::replace(conn, seen, &new, presenter).await
            })
        })
        .await;
        for (((row, unchanged), seen), (moved, after)) in cases
            .iter()
            .zip(seen.iter())
            .zip(moved.iter().zip(stored(&app).await))
        {
            let decided = |state: &State| {
                decide(
                    Some(state),
                    &token,
                    sent,
                    Timestamp(NOW),
                    &rule,
                    &Standstills::default(),
                )
            };
            assert_eq!(decided(&seen.state), decision);
            let state = State {
                generation: row.generation,
                refresh_hash: row.hash,
                revoked: row.revoked
                    || row.epoch != epoch_of(row.user) + run.ring_epoch
                    || !acting_in_force(row, run),
                ..seen.state
            };
            assert_eq!(decided(&state) == decision, *unchanged, "{row:?}");
            assert_eq!(moved, unchanged, "{decision:?} of {row:?}");
            let mut expected = row.stored();
            if *moved {
                expected.generation = i64::from(generation);
                expected.refresh_hash = text(&new_hash);
                expected.rotated_at = NOW;
                expected.idle_expires_at = idle_end.0;
                expected.presenters = Some(entry('p'));
                if tickets == Tickets::Used(None) {
                    expected.ticket = None;
                }
            }
            assert_eq!(after, expected, "stored: {row:?}");
        }
        size += cases.len();
    }
    println!("replacement: {size} rows");
}

fn acting_in_force(row: &NewRow, run: Run) -> bool {
    row.acting.as_ref().is_none_or(|acting| {
        acting.admin == ADMIN
            && acting.epoch == ACTING_EPOCH + run.ring_epoch
            && acting.own.as_ref().is_none_or(|own| own == LIVE_OWN)
    })
}

#[tokio::test]
async fn a_session_ends_by_a_token_exactly_where_the_row_is_as_it_was_judged() {
    let mut size = 0;
    for run in RUNS {
        let app = start(run).await;
        let (cases, seen) = changed_rows(&app, run, Retry::Window).await;
        // In each session an admin's session acts, and one that has ended did.
        let acting = |row: &NewRow, revoked| NewRow {
            id: row
                .id
                .replacen("8000-1", if revoked { "8000-3" } else { "8000-2" }, 1),
            revoked,
            acting: Some(ActingColumns {
                admin: ADMIN,
                epoch: ACTING_EPOCH + run.ring_epoch,
                own: Some(row.id.clone()),
            }),
            ..NewRow::good(String::new(), OWNERS[1].0, run)
        };
        let all: Vec<NewRow> = cases
            .iter()
            .flat_map(|(row, _)| [acting(row, false), acting(row, true)])
            .collect();
        insert(&app, &all).await;
        let ended = for_each(&app, &seen, move |conn, seen| {
            let now = Timestamp(NOW);
            Box::pin(store::session::refresh::end(
                conn,
                seen,
                RevokedReason::Reuse,
                now,
            ))
        })
        .await;
        let acted: Vec<(String, Option<i64>, Option<String>)> = sqlx::query_as(
            "SELECT acting_session, revoked_at, revoked_reason FROM sessions WHERE id LIKE '00000000-0000-7000-8000-2%' OR id LIKE '00000000-0000-7000-8000-3%' ORDER BY acting_session, id",
        )
        .fetch_all(&mut app.db().await)
        .await
        .unwrap();
        let after = stored(&app).await;
        for ((((row, unchanged), ended), after), acted) in
            cases.iter().zip(&ended).zip(&after).zip(acted.chunks(2))
        {
            assert_eq!(ended, unchanged, "{row:?}");
            let mut expected = row.stored();
            let mut live = (row.id.clone(), None, None);
            if *ended {
                expected.revoked_at = Some(NOW);
                expected.revoked_reason = Some("reuse".to_owned());
                live = (row.id.clone(), Some(NOW), Some("reuse".to_owned()));
            }
            assert_eq!(*after, expected, "stored: {row:?}");
            let before = (row.id.clone(), Some(1), Some("sign_out".to_owned()));
            assert_eq!(acted, [live, before], "acting in {row:?}");
        }
        size += cases.len();
    }
    println!("end by a token: {size} rows");
}

/// Who signs in, `email_verified, banned, ban_expires_at, disabled_at`; the first four may
/// sign in.
type Owner = (&'static str, i64, i64, Option<i64>, Option<i64>);

const SIGNING_IN: [Owner; 8] = [
    ("plain", 1, 0, None, None),
    ("unverified", 0, 0, None, None),
    ("the ban is over", 1, 1, Some(-1), None),
    ("the ban ends now", 1, 1, Some(0), None),
    ("the ban ends in a moment", 1, 1, Some(1), None),
    ("banned for ever", 1, 1, None, None),
    ("disabled", 1, 0, None, Some(-1)),
    ("the end of a lifted ban", 1, 0, Some(1), None),
];

/// What was proven: the current password, one before the last change, one of an account of another provider, one
/// where the user has none, and something else than a password.
const PROOFS: [&str; 5] = [
    "current",
    "outdated",
    "of another provider",
    "none stored",
    "vouched",
];

const BEGINNING: [usize; 5] = [SIGNING_IN.len(), PROOFS.len(), MASTERS.len(), 3, 2];

#[tokio::test]
async fn a_session_begins_exactly_where_its_user_may_sign_in_with_that_proof() {
    let run = RUNS[0];
    let app = start(run).await;
    app.db_script(SECOND_MASTER_KEY).await;
    let points = grid(BEGINNING, &[0, 1, 2, 3, 4], 0, 0);
    let user_id = |number: usize| format!("10000000-0000-4000-8000-{number:012x}");
    let mut sql = String::new();
    for (number, [who, proof, ..]) in points.iter().enumerate() {
        let (_, verified, banned, ban_ends, disabled) = SIGNING_IN[*who];
        let time = |at: Option<i64>| {
            at.map_or_else(|| "NULL".to_owned(), |offset| (NOW + offset).to_string())
        };
        let flags = format!(
            "{verified}, {banned}, {}, {}",
            time(ban_ends),
            time(disabled)
        );
        let user = user_id(number);
        insert_user(&mut sql, &user, &flags, USER_EPOCH, 90);
        let (provider, password) = match *proof {
            2 => ("other", "'a hash'"),
            3 => ("credential", "NULL"),
            _ => ("credential", "'a hash'"),
        };
        write!(sql, "INSERT INTO accounts (id, user_id, provider_id, account_id, password_hash, created_at, updated_at) VALUES ('{user}', '{user}', '{provider}', '{user}', {password}, 0, 0);").unwrap();
    }
    app.db_script(&sql).await;
    let begins: Arc<Vec<_>> = Arc::new(
        points
            .iter()
            .enumerate()
            .map(|(number, point)| (begin(number, point, &user_id(number)), *point))
            .collect(),
    );
    let outcomes = for_each(&app, &begins, |conn, (new, [_, proof, master, ..])| {
        Box::pin(async move {
            let known = store::account::users::by_id(conn, new.session.user_id).await?;
            let may = known.is_some_and(|known| {
                known.user.disabled_at.is_none() && !known.user.is_banned(Timestamp(NOW))
            });
            let (proof, epoch) = match *proof {
                1 => (Proof::Password, 1),
                4 => (Proof::Vouched, 0),
                _ => (Proof::Password, 0),
            };
            let cleared = super::cleared(new.session.user_id, epoch, proof);
            let inserted =
                store::session::sessions::insert(conn, new, &cleared, MASTERS[*master]).await?;
            let by = By::Id(new.session.id);
            let live = store::session::sessions::find_live(conn, &by, Timestamp(NOW)).await?;
            Ok((may, inserted.is_some(), live.is_some()))
        })
    })
    .await;
    let (own, acting) = (USER_EPOCH + run.ring_epoch, ACTING_EPOCH + run.ring_epoch);
    let mut began = 0;
    for ((new, point), (may, inserted, live)) in begins.iter().zip(outcomes) {
        let [who, proof, master, actor, unknown] = *point;
        assert_eq!(
            may,
            unknown == 0 && [0, 1, 2, 3, 7].contains(&who),
            "{point:?}"
        );
        let expected = may && master == 0 && [0, 4].contains(&proof);
        let told = format!("{:?}, {}, {point:?}", SIGNING_IN[who], PROOFS[proof]);
        assert_eq!((inserted, live), (expected, expected), "{told}");
        let rows: Vec<(i64, i64, i64, Option<String>, i64)> = sqlx::query_as(
            "SELECT epoch, acting_epoch, generation, acting_session, idle_expires_at FROM sessions WHERE id = $1",
        )
        .bind(new.session.id.to_string())
        .fetch_all(&mut app.db().await)
        .await
        .unwrap();
        let written = (
            own,
            if actor == 0 { 0 } else { acting },
            1,
            (actor == 2).then(|| LIVE_OWN.to_owned()),
            NOW + IDLE,
        );
        assert_eq!(
            rows,
            if expected { vec![written] } else { vec![] },
            "{told}"
        );
        began += usize::from(inserted);
    }
    println!(
        "beginning: {} sessions, {began} of them began",
        begins.len()
    );
}

fn begin(number: usize, point: &Point<5>, user: &str) -> New {
    let [.., actor, unknown] = *point;
    let user: UserId = if unknown == 1 {
        user.replacen('1', "2", 1)
    } else {
        user.to_owned()
    }
    .parse()
    .unwrap();
    let at = Timestamp(NOW);
    let requester = Requester::default();
    New {
        session: Session {
            id: session_id(number).parse().unwrap(),
            user_id: user,
            delivery: Delivery::Cookie,
            remember: true,
            proofs: Proofs::of(Proof::Password, at),
            auth_time: at,
            created_at: at,
            updated_at: at,
            expires_at: Timestamp(NOW + 2 * IDLE),
            ip_address: requester.ip_address,
            user_agent: requester.user_agent,
            impersonated_by: (actor > 0).then(|| ADMIN.parse().unwrap()),
            retry: Retry::Ticket,
            idle: None,
        },
        token_hash: hash(u32::try_from(number).unwrap()),
        refresh_hash: hash(1),
        idle_expires_at: Timestamp(NOW + IDLE),
        acting_session: (actor == 2).then(|| LIVE_OWN.parse().unwrap()),
    }
}
