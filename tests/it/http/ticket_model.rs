//! Every interleaving of two honest tabs that refresh with tickets, against the real `decide`: one
//! cookie jar, one storage and one lock for both, tabs that die while their request goes on, devices
//! that are away for any time before they retry, lost and late messages, one lost commit, and a thief
//! with a copied jar. A tick is 5 s: a message arrives or is lost within one.
//!
//! Invariant A: no honest request is decided `Reuse` or `Ahead` unless the thief has acted.
//! Invariant B: who presents the parent of a token that another ticket made gets nothing: the family
//! ends, whatever its age. Of an ended family no token is ever served again.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use countersign::model::kernel::standstill::Standstills;
use countersign::model::kernel::time::Timestamp;
use countersign::model::session::refresh::{
    Decision, LateRetry, Policy, Presented, Row, SuccessorHashes, decide,
};
use countersign::model::session::session::Delivery;
use countersign::model::session::ticket::{Sent, TicketHash, Tickets};

const TICK: u64 = 5;
/// The ticket of the thief; those of the tabs count from 1.
const THIEF: u8 = 255;

/// What the database can lose: the row as the last commit found it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Stored {
    generation: u8,
    /// Ticks since the rotation, capped where nothing changes any more.
    age: u8,
    /// The ticket with which the current token was made; 0 for none.
    ticket: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Message {
    token: u8,
    ticket: u8,
    late: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    row: Stored,
    revoked: bool,
    before: Option<Stored>,
    rolled: bool,
    jar: u8,
    /// The ticket in the storage of both tabs; 0 for none.
    storage: u8,
    tickets: u8,
    lock: Option<u8>,
    tabs: [Tab; 2],
    /// The request of a tab that has died.
    orphan: Option<Message>,
    thief: u8,
    thief_used: bool,
    lost: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Tab {
    Idle,
    Sent(Message),
    /// The answer is under way; the token is 0 if it carries none.
    Answered {
        token: u8,
        late: bool,
    },
    /// The answer is lost. The device may be away for any time before it asks again.
    MustRetry,
}

/// What one rule less does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    /// The window decides in sessions with tickets, too.
    WindowForTicket,
    /// A client drops its ticket when its token is kept.
    DropOnKeep,
    /// A repeat past the grace does not begin the grace anew.
    NoStamp,
    /// The tabs do not wait for each other.
    NoLock,
    /// The database loses the stamp of a repeat past the grace.
    LosesStamp,
}

struct Model {
    policy: Policy,
    cap: u8,
    losses: u8,
    thief: bool,
    depth: u8,
    /// Whether the database may lose a commit.
    failover: bool,
    fault: Fault,
}

fn hash(generation: u8) -> [u8; 32] {
    [generation; 32]
}

impl Model {
    fn new(grace: u64, cooldown: u64, depth: u8) -> Self {
        let ticks = |n: u64| Duration::from_secs(n * TICK);
        let policy = Policy {
            grace: ticks(grace),
            cooldown: ticks(cooldown),
            late_retry: LateRetry::Auto,
        };
        Self {
            policy,
            cap: u8::try_from(grace.max(cooldown)).unwrap() + 1,
            losses: 2,
            thief: false,
            depth,
            failover: true,
            fault: Fault::None,
        }
    }

    /// The real decision; the chain is deterministic, so a secret is its generation.
    fn decide(&self, s: &State, token: u8, ticket: u8) -> Decision {
        let now = Timestamp(1_000_000_000);
        let end = now + Duration::from_secs(1_000_000);
        let made_with = (s.row.ticket > 0).then(|| TicketHash(hash(s.row.ticket)));
        let row = Row {
            generation: s.row.generation.into(),
            refresh_hash: hash(s.row.generation),
            rotated_at: now - Duration::from_secs(u64::from(s.row.age) * TICK),
            expires_at: end,
            idle_expires_at: end,
            revoked: s.revoked,
            delivery: Delivery::Cookie,
            tickets: if self.fault == Fault::WindowForTicket {
                Tickets::Unused
            } else {
                Tickets::Used(made_with)
            },
        };
        let presented = Presented {
            generation: token.into(),
            hash: hash(token),
            parent_hash: hash(token - 1),
            descends_from_parent: token > 1,
            successors: vec![SuccessorHashes {
                successor: hash(token + 1),
                late_successor: [254; 32],
            }],
        };
        let sent = Sent::Ticket(TicketHash(hash(ticket)));
        let none = Standstills::default();
        decide(Some(&row), &presented, sent, now, &self.policy, &none)
    }

    /// The row afterwards and the token in the answer (0: none); `None`: refused.
    fn serve(
        &self,
        s: &State,
        token: u8,
        ticket: u8,
    ) -> Result<(Decision, State, Option<u8>), String> {
        let decision = self.decide(s, token, ticket);
        if let Some(broken) = Self::broken(s, token, ticket, decision) {
            return Err(broken);
        }
        let committed = |row| State {
            row,
            before: Some(s.row),
            ..*s
        };
        Ok(match decision {
            Decision::Rotate => {
                let row = Stored {
                    generation: token + 1,
                    age: 0,
                    ticket,
                };
                (decision, committed(row), Some(token + 1))
            }
            Decision::Heal => {
                let row = Stored {
                    generation: token,
                    age: 0,
                    ticket: 0,
                };
                (decision, committed(row), Some(0))
            }
            Decision::Resume(_) => {
                let age = if self.fault == Fault::NoStamp {
                    s.row.age
                } else {
                    0
                };
                let row = Stored { age, ..s.row };
                let mut after = committed(row);
                if self.fault != Fault::LosesStamp {
                    after.before = None;
                }
                (decision, after, Some(s.row.generation))
            }
            Decision::Keep => (decision, *s, Some(0)),
            Decision::Repeat(_) => (decision, *s, Some(s.row.generation)),
            Decision::Reuse | Decision::Ahead => {
                let ended = State {
                    revoked: true,
                    before: None,
                    ..*s
                };
                (decision, ended, None)
            }
            Decision::Refuse(_)
            | Decision::Supersede
            | Decision::Wait
            | Decision::TicketMissing
            | Decision::Superseding => (decision, *s, None),
        })
    }

    fn broken(s: &State, token: u8, ticket: u8, decision: Decision) -> Option<String> {
        let told = |what: &str| {
            Some(format!(
                "B: {what} {token} with ticket {ticket} against {} of ticket {} was decided {decision:?}",
                s.row.generation, s.row.ticket
            ))
        };
        let behind = token < s.row.generation;
        let is_other = s.row.ticket > 0 && ticket != s.row.ticket;
        match decision {
            Decision::Refuse(_) if s.revoked => None,
            _ if s.revoked => told("of an ended family"),
            Decision::Reuse => None,
            _ if behind && token + 1 < s.row.generation => told("two behind,"),
            _ if behind && is_other => told("the parent"),
            _ => None,
        }
    }

    /// Presents a token of an honest client.
    fn honest(
        &self,
        s: &State,
        who: &str,
        message: Message,
    ) -> Result<(Decision, State, Option<u8>), String> {
        let served = self.serve(s, message.token, message.ticket)?;
        if matches!(served.0, Decision::Reuse | Decision::Ahead) && !s.thief_used {
            return Err(format!(
                "A: {who} with generation {} and ticket {} against {} of ticket {}, {} ticks old, was decided {:?}",
                message.token, message.ticket, s.row.generation, s.row.ticket, s.row.age, served.0
            ));
        }
        Ok(served)
    }

    fn next(&self, s: &State) -> Result<Vec<State>, String> {
        let mut next = Vec::new();
        for i in 0..2_u8 {
            self.step(s, i, &mut next)?;
        }
        if let Some(orphan) = s.orphan {
            let (_, after, carried) = self.honest(s, "a dead tab", orphan)?;
            let gone = State {
                orphan: None,
                ..after
            };
            next.push(gone);
            // The browser stores the cookie of an answer, although nothing reads the answer.
            if let Some(token) = carried.filter(|token| *token > 0) {
                next.push(State { jar: token, ..gone });
            }
            next.push(State { orphan: None, ..*s });
        }
        if self.thief && s.thief == 0 && !s.revoked {
            next.push(State { thief: s.jar, ..*s });
        }
        if self.thief && s.thief > 0 {
            let (_, after, carried) = self.serve(s, s.thief, THIEF)?;
            next.push(State {
                thief: carried.filter(|t| *t > 0).unwrap_or(s.thief),
                thief_used: true,
                ..after
            });
        }
        if let (true, Some(row), false, false) = (self.failover, s.before, s.rolled, s.revoked) {
            for age in [row.age, self.cap] {
                next.push(State {
                    row: Stored { age, ..row },
                    before: None,
                    rolled: true,
                    ..*s
                });
            }
        }
        next.extend(self.tick(s));
        Ok(next)
    }

    fn step(&self, s: &State, i: u8, next: &mut Vec<State>) -> Result<(), String> {
        let with = |state: State, tab: Tab| {
            let mut tabs = state.tabs;
            tabs[usize::from(i)] = tab;
            State { tabs, ..state }
        };
        let unlocked = |state: State| State {
            lock: state.lock.filter(|holder| *holder != i),
            ..state
        };
        match s.tabs[usize::from(i)] {
            Tab::Idle | Tab::MustRetry => {
                let is_free = s.lock.is_none_or(|holder| holder == i);
                if is_free || self.fault == Fault::NoLock {
                    // Without a lock both tabs may look into the storage before either has written.
                    let makes = s.storage == 0 || self.fault == Fault::NoLock;
                    let tickets = s.tickets + u8::from(makes);
                    let ticket = if makes { tickets } else { s.storage };
                    let sent = Tab::Sent(Message {
                        token: s.jar,
                        ticket,
                        late: false,
                    });
                    let locked = State {
                        storage: ticket,
                        tickets,
                        lock: Some(i),
                        ..*s
                    };
                    next.push(with(locked, sent));
                }
                if s.tabs[usize::from(i)] == Tab::MustRetry {
                    next.push(with(unlocked(*s), Tab::Idle));
                }
            }
            Tab::Sent(message) => {
                let (_, after, carried) = self.honest(s, "a tab", message)?;
                match carried {
                    Some(token) => next.push(with(after, Tab::Answered { token, late: false })),
                    None => next.push(with(unlocked(after), Tab::Idle)),
                }
                if s.lost < self.losses {
                    let lost = |state: State| State {
                        lost: s.lost + 1,
                        ..state
                    };
                    if carried.is_some() {
                        next.push(with(lost(after), Tab::MustRetry));
                    }
                    next.push(with(lost(*s), Tab::MustRetry));
                }
                if s.orphan.is_none() {
                    let dead = State {
                        orphan: Some(message),
                        ..unlocked(*s)
                    };
                    next.push(with(dead, Tab::Idle));
                }
            }
            Tab::Answered { token, .. } => {
                let jar = if token > 0 { token } else { s.jar };
                let drops = token > 0 || self.fault == Fault::DropOnKeep;
                let told = State {
                    jar,
                    storage: if drops { 0 } else { s.storage },
                    ..unlocked(*s)
                };
                next.push(with(told, Tab::Idle));
                // The tab dies: the cookie may have been stored, the ticket was not dropped.
                next.push(with(unlocked(State { jar, ..*s }), Tab::Idle));
                next.push(with(unlocked(*s), Tab::Idle));
            }
        }
        Ok(())
    }

    /// Time passes, if nothing under way would be older than one tick.
    fn tick(&self, s: &State) -> Option<State> {
        let is_late = |tab: &Tab| match tab {
            Tab::Idle | Tab::MustRetry => false,
            Tab::Sent(message) => message.late,
            Tab::Answered { late, .. } => *late,
        };
        if s.tabs.iter().any(is_late) || s.orphan.is_some_and(|orphan| orphan.late) {
            return None;
        }
        let later = |message: Message| Message {
            late: true,
            ..message
        };
        let older = |row: Stored| Stored {
            age: (row.age + 1).min(self.cap),
            ..row
        };
        Some(State {
            row: older(s.row),
            before: s.before.map(older),
            tabs: s.tabs.map(|tab| match tab {
                Tab::Sent(message) => Tab::Sent(later(message)),
                Tab::Answered { token, .. } => Tab::Answered { token, late: true },
                tab @ (Tab::Idle | Tab::MustRetry) => tab,
            }),
            orphan: s.orphan.map(later),
            ..*s
        })
    }

    /// Breadth first to the depth; how many states, or the first violation and its depth.
    fn explore(&self) -> Result<usize, String> {
        let start = State {
            row: Stored {
                generation: 1,
                age: 0,
                ticket: 0,
            },
            revoked: false,
            before: None,
            rolled: false,
            jar: 1,
            storage: 0,
            tickets: 0,
            lock: None,
            tabs: [Tab::Idle; 2],
            orphan: None,
            thief: 0,
            thief_used: false,
            lost: 0,
        };
        let (mut seen, mut queue) = (HashSet::from([start]), VecDeque::from([(start, 0)]));
        while let Some((state, depth)) = queue.pop_front() {
            if depth == self.depth {
                continue;
            }
            let reached = self.next(&state);
            for next in reached.map_err(|what| format!("after {} steps, {what}", depth + 1))? {
                if seen.insert(next) {
                    queue.push_back((next, depth + 1));
                }
            }
        }
        Ok(seen.len())
    }
}

#[test]
fn tickets_keep_both_invariants_in_every_interleaving() {
    let honest = Model::new(6, 10, 32).explore().unwrap();
    println!("honest tabs with tickets, 30 s and 50 s: {honest} states to depth 32, 0 violations");
    let thief = Model {
        thief: true,
        ..Model::new(6, 10, 14)
    };
    let thief = thief.explore().unwrap();
    println!("with a thief: {thief} states to depth 14, 0 violations");
    assert!(honest > 30_000 && thief > 30_000, "{honest}, {thief}");
}

#[test]
fn each_rule_of_tickets_is_needed() {
    for fault in [
        Fault::WindowForTicket,
        Fault::DropOnKeep,
        Fault::NoStamp,
        Fault::NoLock,
    ] {
        let violation = Model {
            fault,
            ..Model::new(6, 10, 24)
        };
        let violation = violation.explore().unwrap_err();
        println!("{fault:?}: {violation}");
        assert!(violation.contains("A: "), "{fault:?}: {violation}");
    }
}

/// The one loss that tickets do not survive (`docs/decisions/0018-retry-tickets.md`).
#[test]
fn a_failover_that_loses_the_stamp_of_a_late_repeat_can_refuse_an_orphan() {
    let violation = Model {
        fault: Fault::LosesStamp,
        ..Model::new(6, 10, 30)
    };
    let violation = violation.explore().unwrap_err();
    println!("a lost stamp: {violation}");
    assert!(violation.contains("A: a dead tab"), "{violation}");
}

#[test]
fn a_cooldown_shorter_than_two_messages_is_not_enough() {
    let of = |ticks, depth| Model {
        failover: false,
        ..Model::new(0, ticks, depth)
    };
    let enough = of(2, 26).explore().unwrap();
    println!("no grace, cool-down 10 s, no commit lost: {enough} states to depth 26, 0 violations");
    let violation = of(1, 26).explore().unwrap_err();
    println!("no grace, cool-down 5 s: {violation}");
}
