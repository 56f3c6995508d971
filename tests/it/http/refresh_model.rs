//! Scenario 16: every interleaving of two honest tabs with one cookie jar, a thief, late and lost
//! messages, crashes before the answer and one lost commit, against the real `decide`. A tick is 5
//! s: a message is answered or lost within one, a tab retries within one.
//!
//! Invariant A: no honest request is decided `Reuse` or `Ahead` unless the thief has acted.
//! Invariant B: a token that its family has left behind past the grace ends the family, no matter which party
//! presents it, and of an ended family no token is ever served again.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use countersign::model::kernel::standstill::Standstills;
use countersign::model::kernel::time::Timestamp;
use countersign::model::session::refresh::{
    Child, Decision, LateRetry, Policy, Presented, Row, SuccessorHashes, decide,
};
use countersign::model::session::session::Delivery;
use countersign::model::session::ticket::{Sent, Tickets};

const TICK: u64 = 5;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    generation: u8,
    /// Ticks since the rotation, capped where nothing changes any more.
    age: u8,
    revoked: bool,
    /// Generation and age before the last commit, while it can still be lost.
    before: Option<(u8, u8)>,
    rolled: bool,
    jar: u8,
    tabs: [Tab; 2],
    thief: u8,
    thief_used: bool,
    lost: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Tab {
    Idle,
    Sent {
        token: u8,
        late: u8,
    },
    /// The answer is under way; 0: it carries no token.
    Answered {
        token: u8,
        late: u8,
    },
    MustRetry {
        late: u8,
    },
}

struct Model {
    policy: Policy,
    cap: u8,
    losses: u8,
    thief: bool,
    depth: u8,
}

fn hash(generation: u8) -> [u8; 32] {
    [generation; 32]
}

impl Model {
    fn new(grace: u64, cooldown: u64, thief: bool, depth: u8) -> Self {
        let ticks = |n: u64| Duration::from_secs(n * TICK);
        let policy = Policy {
            grace: ticks(grace),
            cooldown: ticks(cooldown),
            late_retry: LateRetry::Revoke,
        };
        Self {
            policy,
            cap: u8::try_from(grace.max(cooldown)).unwrap() + 1,
            losses: 2,
            thief,
            depth,
        }
    }

    /// The real decision for a token of this generation; the chain is deterministic, so a secret is
    /// its generation.
    fn decide(&self, s: &State, token: u8) -> Decision {
        let now = Timestamp(1_000_000_000);
        let rotated_at = now - Duration::from_secs(u64::from(s.age) * TICK);
        let end = now + Duration::from_secs(1_000_000);
        let row = Row {
            generation: s.generation.into(),
            refresh_hash: hash(s.generation),
            rotated_at,
            expires_at: end,
            idle_expires_at: end,
            revoked: s.revoked,
            delivery: Delivery::Cookie,
            tickets: Tickets::Unused,
        };
        let successors = vec![SuccessorHashes {
            successor: hash(token + 1),
            late_successor: [255; 32],
        }];
        let presented = Presented {
            generation: token.into(),
            hash: hash(token),
            parent_hash: hash(token - 1),
            descends_from_parent: token > 1,
            successors,
        };
        decide(
            Some(&row),
            &presented,
            Sent::Nothing,
            now,
            &self.policy,
            &Standstills::default(),
        )
    }

    /// The row afterwards and the token in the answer (0: none); `None`: refused.
    fn serve(&self, s: &State, token: u8) -> Result<(Decision, State, Option<u8>), String> {
        let decision = self.decide(s, token);
        if let Some(broken) = self.broken(s, token, decision) {
            return Err(broken);
        }
        let moved = |generation| State {
            generation,
            age: 0,
            before: Some((s.generation, s.age)),
            ..*s
        };
        Ok(match decision {
            Decision::Rotate => (decision, moved(s.generation + 1), Some(s.generation + 1)),
            Decision::Heal => (decision, moved(token), Some(0)),
            Decision::Keep => (decision, *s, Some(0)),
            Decision::Repeat(Child { .. }) => (decision, *s, Some(s.generation)),
            Decision::Reuse | Decision::Ahead => (
                decision,
                State {
                    revoked: true,
                    before: None,
                    ..*s
                },
                None,
            ),
            Decision::Refuse(_)
            | Decision::Supersede
            | Decision::Resume(_)
            | Decision::Wait
            | Decision::TicketMissing
            | Decision::Superseding => (decision, *s, None),
        })
    }

    /// Invariant B for every presenter: a token that the family has left behind for longer than the grace
    /// is out of step and ends it, and of a family that has ended no token is served.
    fn broken(&self, s: &State, token: u8, decision: Decision) -> Option<String> {
        let past_grace = Duration::from_secs(u64::from(s.age) * TICK) > self.policy.grace;
        let out_of_step = token < s.generation && (token + 1 < s.generation || past_grace);
        let told = |what: &str| {
            Some(format!(
                "B: {what} {token} against {} was decided {decision:?}",
                s.generation
            ))
        };
        match decision {
            Decision::Refuse(_) if s.revoked => None,
            _ if s.revoked => told("of an ended family"),
            Decision::Reuse => None,
            _ if out_of_step => told("out of step"),
            _ => None,
        }
    }

    fn next(&self, s: &State) -> Result<Vec<State>, String> {
        let mut next = Vec::new();
        for i in 0..2 {
            let with = |state: State, tab: Tab| {
                let mut tabs = state.tabs;
                tabs[i] = tab;
                State { tabs, ..state }
            };
            match s.tabs[i] {
                Tab::Idle | Tab::MustRetry { .. } => next.push(with(
                    *s,
                    Tab::Sent {
                        token: s.jar,
                        late: 0,
                    },
                )),
                Tab::Sent { token, late: _ } => {
                    let (decision, after, carried) = self.serve(s, token)?;
                    if matches!(decision, Decision::Reuse | Decision::Ahead) && !s.thief_used {
                        return Err(format!(
                            "A: tab {i} with generation {token} against {} was decided {decision:?}",
                            s.generation
                        ));
                    }
                    match carried {
                        Some(token) => {
                            next.push(with(after, Tab::Answered { token, late: 0 }));
                            if s.lost < self.losses {
                                next.push(with(
                                    State {
                                        lost: s.lost + 1,
                                        ..after
                                    },
                                    Tab::MustRetry { late: 0 },
                                ));
                            }
                        }
                        None => next.push(with(after, Tab::Idle)),
                    }
                    if s.lost < self.losses {
                        next.push(with(
                            State {
                                lost: s.lost + 1,
                                ..*s
                            },
                            Tab::MustRetry { late: 0 },
                        ));
                    }
                }
                Tab::Answered { token, late: _ } => next.push(with(
                    State {
                        jar: if token > 0 { token } else { s.jar },
                        ..*s
                    },
                    Tab::Idle,
                )),
            }
        }
        if self.thief && s.thief == 0 && !s.revoked {
            next.push(State { thief: s.jar, ..*s });
        }
        if self.thief && s.thief > 0 {
            let (_, after, carried) = self.serve(s, s.thief)?;
            next.push(State {
                thief: carried.filter(|t| *t > 0).unwrap_or(s.thief),
                thief_used: true,
                ..after
            });
        }
        if let (Some((generation, age)), false, false) = (s.before, s.rolled, s.revoked) {
            let back = |age| State {
                generation,
                age,
                before: None,
                rolled: true,
                ..*s
            };
            next.extend([back(age), back(self.cap)]);
        }
        let ages = |tab: &Tab| match tab {
            Tab::Idle => 0,
            Tab::Sent { late, .. } | Tab::Answered { late, .. } | Tab::MustRetry { late } => *late,
        };
        // A tick passes only if nothing under way would be older than one.
        if s.tabs.iter().all(|t| ages(t) < 1) {
            let tabs = s.tabs.map(|t| match t {
                Tab::Idle => Tab::Idle,
                Tab::Sent { token, late } => Tab::Sent {
                    token,
                    late: late + 1,
                },
                Tab::Answered { token, late } => Tab::Answered {
                    token,
                    late: late + 1,
                },
                Tab::MustRetry { late } => Tab::MustRetry { late: late + 1 },
            });
            let before = s.before.map(|(g, a)| (g, (a + 1).min(self.cap)));
            next.push(State {
                age: (s.age + 1).min(self.cap),
                before,
                tabs,
                ..*s
            });
        }
        Ok(next)
    }

    /// Breadth first to the depth; how many states, or the first violation.
    fn explore(&self) -> Result<usize, String> {
        let start = State {
            generation: 1,
            age: 0,
            revoked: false,
            before: None,
            rolled: false,
            jar: 1,
            tabs: [Tab::Idle; 2],
            thief: 0,
            thief_used: false,
            lost: 0,
        };
        let (mut seen, mut queue) = (HashSet::from([start]), VecDeque::from([(start, 0)]));
        while let Some((state, depth)) = queue.pop_front() {
            if depth == self.depth {
                continue;
            }
            for next in self.next(&state)? {
                if seen.insert(next) {
                    queue.push_back((next, depth + 1));
                }
            }
        }
        Ok(seen.len())
    }
}

#[test]
fn s16_every_interleaving_to_depth_24_keeps_both_invariants() {
    let honest = Model::new(6, 8, false, 24).explore().unwrap();
    println!("honest tabs, grace 30 s, cool-down 40 s: {honest} states to depth 24, 0 violations");
    let thief = Model::new(6, 10, true, 24).explore().unwrap();
    println!("with a thief, grace 30 s, cool-down 50 s: {thief} states to depth 24, 0 violations");
    assert!(honest > 30_000 && thief > 100_000);
}

#[test]
fn s16_just_below_the_bound_the_model_finds_the_counterexample() {
    let violation = Model::new(6, 7, false, 30).explore().unwrap_err();
    println!("cool-down 35 s: {violation}");
}

#[test]
fn s16_without_a_cooldown_two_tabs_are_enough() {
    Model::new(6, 0, false, 24).explore().unwrap_err();
}

#[test]
fn s16_a_thief_is_found_by_the_next_contact_out_of_step() {
    // Owner and thief take turns with one stolen token, in every order of who goes first, always
    // past the windows.
    let model = Model::new(6, 10, true, 0);
    let old = |generation, thief| State {
        generation,
        age: model.cap,
        revoked: false,
        before: None,
        rolled: false,
        jar: 1,
        tabs: [Tab::Idle; 2],
        thief,
        thief_used: true,
        lost: 0,
    };
    // The thief used it first: the row is at 2, the owner still holds 1.
    assert_eq!(model.decide(&old(2, 2), 1), Decision::Reuse);
    // The owner used it first: the thief still holds 1.
    assert_eq!(model.decide(&old(2, 1), 1), Decision::Reuse);
    let (_, after, _) = model.serve(&old(2, 1), 1).unwrap();
    for token in 1..4 {
        assert!(
            matches!(model.decide(&after, token), Decision::Refuse(_)),
            "no token of the family is accepted"
        );
    }
}
