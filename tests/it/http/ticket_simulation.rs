//! Years of honest clients and days of thieves against the real `decide`, by time alone and with retry
//! tickets: how often an owner is signed out by mistake, and how long a thief stays. The table in
//! `docs/measurements.md` is printed by this test; `SIMULATED_YEARS` makes it run for longer.
//!
//! A client refreshes 12,300 times a year, while its user is active. Of the answers 2 % are lost and
//! asked for again after a second; before 0.3 % the device goes away for half a minute to half a day,
//! which is assumed and not measured. A thief copies the cookie once.

use std::time::Duration;

use countersign::model::kernel::standstill::Standstills;
use countersign::model::kernel::time::Timestamp;
use countersign::model::session::refresh::{
    Decision, LateRetry, Policy, Presented, Row, SuccessorHashes, decide,
};
use countersign::model::session::session::Delivery;
use countersign::model::session::ticket::{Sent, TicketHash, Tickets};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const REFRESHES: u32 = 12_300;
const LOST: f64 = 0.02;
const AWAY: f64 = 0.003;
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const THIEF: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Design {
    /// By time; a late retry ends the session, as in cookies.
    Window,
    /// By time; one late retry is forgiven, as in bodies.
    WindowForgiving,
    Ticket,
}

impl Design {
    fn name(self) -> &'static str {
        match self {
            Self::Window => "by time, in cookies",
            Self::WindowForgiving => "by time, in bodies",
            Self::Ticket => "with tickets",
        }
    }
}

fn hash(of: u32, kind: u8) -> [u8; 32] {
    let mut hash = [kind; 32];
    hash[..4].copy_from_slice(&of.to_be_bytes());
    hash
}

/// A token: its generation, and whether it is the late child of its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Token {
    generation: u32,
    late: bool,
}

impl Token {
    fn hash(self) -> [u8; 32] {
        hash(self.generation, if self.late { 2 } else { 1 })
    }
}

/// The row of one session, and the decisions about it.
struct Service {
    design: Design,
    current: Token,
    rotated_at: i64,
    ticket: Option<u32>,
    revoked: bool,
}

enum Answer {
    /// The token that the answer carries, if it carries one.
    Served(Option<Token>),
    Ended,
}

impl Service {
    fn begin(design: Design) -> Self {
        Self {
            design,
            current: Token {
                generation: 1,
                late: false,
            },
            rotated_at: 0,
            ticket: None,
            revoked: false,
        }
    }

    fn ask(&mut self, token: Token, ticket: u32, now: i64) -> Answer {
        let policy = Policy {
            grace: Duration::from_secs(30),
            cooldown: Duration::from_secs(50),
            late_retry: LateRetry::Auto,
        };
        let end = Timestamp(now + DAY);
        let row = Row {
            generation: self.current.generation,
            refresh_hash: self.current.hash(),
            rotated_at: Timestamp(self.rotated_at),
            expires_at: end,
            idle_expires_at: end,
            revoked: self.revoked,
            delivery: if self.design == Design::WindowForgiving {
                Delivery::Body
            } else {
                Delivery::Cookie
            },
            tickets: if self.design == Design::Ticket {
                Tickets::Used(self.ticket.map(|ticket| TicketHash(hash(ticket, 3))))
            } else {
                Tickets::Unused
            },
        };
        let child = |late| Token {
            generation: token.generation + 1,
            late,
        };
        let presented = Presented {
            generation: token.generation,
            hash: token.hash(),
            parent_hash: hash(token.generation - 1, 1),
            descends_from_parent: true,
            successors: vec![SuccessorHashes {
                successor: child(false).hash(),
                late_successor: child(true).hash(),
            }],
        };
        let sent = Sent::Ticket(TicketHash(hash(ticket, 3)));
        let none = Standstills::default();
        let decision = decide(Some(&row), &presented, sent, Timestamp(now), &policy, &none);
        match decision {
            Decision::Keep => Answer::Served(None),
            Decision::Rotate | Decision::Supersede => {
                self.current = child(decision == Decision::Supersede);
                self.rotated_at = now;
                self.ticket = (self.design == Design::Ticket).then_some(ticket);
                Answer::Served(Some(self.current))
            }
            Decision::Repeat(_) => Answer::Served(Some(self.current)),
            Decision::Resume(_) => {
                self.rotated_at = now;
                Answer::Served(Some(self.current))
            }
            Decision::Reuse | Decision::Ahead | Decision::Refuse(_) => {
                self.revoked = true;
                Answer::Ended
            }
            Decision::Heal | Decision::Wait | Decision::TicketMissing | Decision::Superseding => {
                unreachable!("{decision:?}")
            }
        }
    }
}

/// The client of the owner: its token, its ticket, and when it asks next.
struct Owner {
    token: Token,
    ticket: Option<u32>,
    tickets: u32,
    next: i64,
    /// The share of answers before which the device goes away.
    away: f64,
    random: ChaCha20Rng,
}

impl Owner {
    fn new(seed: u64) -> Self {
        Self {
            token: Token {
                generation: 1,
                late: false,
            },
            ticket: None,
            tickets: 0,
            next: 0,
            away: AWAY,
            random: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    fn chance(&mut self) -> f64 {
        f64::from(self.random.next_u32()) / f64::from(u32::MAX)
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.random.next_u64() % u64::try_from(to - from).unwrap()).unwrap()
    }

    /// Asks at the time that is due; returns whether the session goes on.
    fn ask(&mut self, service: &mut Service) -> bool {
        let now = self.next;
        let (tickets, stored) = (self.tickets + 1, self.ticket);
        let ticket = stored.unwrap_or(tickets);
        if stored.is_none() {
            (self.tickets, self.ticket) = (tickets, Some(ticket));
        }
        let Answer::Served(carried) = service.ask(self.token, ticket, now) else {
            return false;
        };
        let chance = self.chance();
        if chance < self.away {
            // As likely to be minutes as to be hours.
            let longest = [10 * MINUTE, HOUR, 12 * HOUR][self.random.next_u32() as usize % 3];
            self.next = now + self.between(31 * SECOND, longest);
        } else if chance < self.away + LOST {
            self.next = now + SECOND;
        } else {
            if let Some(token) = carried {
                (self.token, self.ticket) = (token, None);
            }
            self.next = now + self.between(675 * SECOND, 810 * SECOND);
        }
        true
    }
}

/// Sign-outs of honest clients in so many years.
fn honest(design: Design, years: u32) -> u32 {
    let mut ended = 0;
    for year in 0..years {
        let (mut owner, mut service) = (Owner::new(year.into()), Service::begin(design));
        for _ in 0..REFRESHES {
            if !owner.ask(&mut service) {
                ended += 1;
                let (next, tickets) = (owner.next + MINUTE, owner.tickets);
                owner = Owner {
                    next,
                    tickets,
                    token: Service::begin(design).current,
                    ticket: None,
                    away: AWAY,
                    random: owner.random,
                };
                service = Service::begin(design);
            }
        }
    }
    ended
}

#[derive(Clone, Copy, Debug)]
enum Thief {
    /// Asks every ten minutes.
    Patient,
    /// Reads nothing more, and presents the parent 100 ms after each rotation of the owner.
    InStep,
}

/// How a theft went: when the session ended (`None`: not within a day), and how many access tokens the
/// thief got.
fn theft(design: Design, thief: Thief, seed: u64) -> (Option<i64>, u32) {
    let (mut owner, mut service) = (Owner::new(seed), Service::begin(design));
    // By time alone an absence of the owner would end the session by mistake, and the theft with it.
    owner.away = 0.0;
    for _ in 0..20 {
        owner.ask(&mut service);
    }
    let began = owner.next - 5 * MINUTE;
    let mut stolen = owner.token;
    let mut tokens = 0;
    let mut due = began;
    loop {
        let is_owner = match thief {
            Thief::Patient => owner.next <= due,
            Thief::InStep => true,
        };
        let now = if is_owner { owner.next } else { due };
        if now - began > DAY {
            return (None, tokens);
        }
        if is_owner && !owner.ask(&mut service) {
            return (Some(now - began), tokens);
        }
        let turn = match thief {
            Thief::Patient if is_owner => continue,
            Thief::Patient => {
                due += 10 * MINUTE;
                now
            }
            Thief::InStep => now + 100,
        };
        match service.ask(stolen, THIEF, turn) {
            Answer::Served(carried) => {
                tokens += 1;
                stolen = carried.unwrap_or(stolen);
            }
            Answer::Ended => return (Some(turn - began), tokens),
        }
    }
}

fn thieves(design: Design, thief: Thief, count: u64) -> (u32, Option<i64>, u32) {
    let all: Vec<_> = (0..count).map(|seed| theft(design, thief, seed)).collect();
    let mut ends: Vec<i64> = all.iter().filter_map(|(end, _)| *end).collect();
    ends.sort_unstable();
    let mut tokens: Vec<u32> = all.iter().map(|(_, tokens)| *tokens).collect();
    tokens.sort_unstable();
    let found = u32::try_from(ends.len()).unwrap();
    (
        found,
        ends.get(ends.len() / 2).copied(),
        tokens[tokens.len() / 2],
    )
}

#[test]
fn tickets_sign_out_no_honest_client_and_find_the_thief_in_step() {
    #[expect(clippy::disallowed_methods, reason = "longer runs for the documents")]
    let years: u32 = std::env::var("SIMULATED_YEARS").map_or(5, |text| text.parse().unwrap());
    let count = u64::from(years) * 40;
    for design in [Design::Window, Design::WindowForgiving, Design::Ticket] {
        let ended = honest(design, years);
        let (patient, patient_end, patient_tokens) = thieves(design, Thief::Patient, count);
        let (step, step_end, step_tokens) = thieves(design, Thief::InStep, count);
        let minutes =
            |end: Option<i64>| end.map_or("-".to_owned(), |end| format!("{} min", end / MINUTE));
        println!(
            "| {} | {:.2} | {patient} of {count}, {}, {patient_tokens} | {step} of {count}, {}, {step_tokens} |",
            design.name(),
            f64::from(ended) / f64::from(years),
            minutes(patient_end),
            minutes(step_end),
        );
        let everyone = u32::try_from(count).unwrap();
        assert_eq!(patient, everyone, "{design:?}: a patient thief is found");
        match design {
            Design::Window => assert!(ended > 10 * years && step == 0, "{ended}, {step}"),
            Design::WindowForgiving => assert!(ended < years && step == 0, "{ended}, {step}"),
            Design::Ticket => assert_eq!((ended, step, step_tokens), (0, everyone, 0)),
        }
    }
}
