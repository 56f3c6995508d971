//! Times in which the service stood still. A client cannot receive an answer while the writer, the
//! disk, the connections or the whole process stand still, so such times are not counted towards
//! the grace of a retry. Every process writes a heartbeat once a second through the same path as a
//! refresh; a gap between two heartbeats is a standstill, whatever its cause.
//! `docs/decisions/0011-standstills.md` gives the reasons and the bounds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::time::Timestamp;

/// The interval of heartbeats.
pub const BEAT: Duration = Duration::from_secs(1);
/// A gap between two heartbeats that is longer than this is a standstill; a shorter one is covered
/// by the grace itself. Equal to the time that a client waits for an answer.
pub const NOTICED: Duration = Duration::from_secs(5);
/// Another replica counts as silent after this time; it is longer, because clocks of replicas may
/// differ.
pub const SILENT: Duration = Duration::from_secs(10);
/// If a silent replica never comes back, its silence is counted for this long.
pub const SILENCE_COUNTED: Duration = Duration::from_secs(600);
/// After a standstill, a process still reads requests that were sent before it, for this long: the
/// time that a client waits for an answer.
pub const SETTLING: Duration = Duration::from_secs(5);

/// Whose heartbeats stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those of the deciding process or of the whole service: any request may have waited.
    Ours,
    /// Those of another replica: answers to refreshes shortly before it stopped may be lost, but no
    /// later ones.
    AnotherReplica,
}

/// A time in which a process did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standstill {
    /// The last heartbeat before it.
    pub began_at: Timestamp,
    /// The first heartbeat after it.
    pub ended_at: Timestamp,
    /// Which process stood still.
    pub whose: Whose,
}

/// The standstills that matter to a decision at one time.
#[derive(Debug, Clone, Default)]
pub struct Standstills {
    all: Vec<Standstill>,
    settling: bool,
}

impl Standstills {
    /// Makes the value of a process that is not settling.
    pub fn of(all: Vec<Standstill>) -> Self {
        Self {
            all,
            settling: false,
        }
    }

    /// Returns whether this process stood still a moment ago, so that requests that it reads now
    /// may have been sent long before.
    pub fn is_settling(&self) -> bool {
        self.settling
    }

    /// Returns the time since a rotation without the times in which the service stood still.
    pub fn served_since(&self, rotated_at: Timestamp, now: Timestamp) -> Duration {
        let counts = |s: &&Standstill| s.whose == Whose::Ours || rotated_at <= s.began_at + SILENT;
        let cut = |s: &Standstill| (s.began_at.max(rotated_at), s.ended_at.min(now));
        let mut parts: Vec<_> = self
            .all
            .iter()
            .filter(counts)
            .map(cut)
            .filter(|(from, to)| from < to)
            .collect();
        parts.sort_unstable();
        let (mut stood, mut until) = (Duration::ZERO, rotated_at);
        for (from, to) in parts {
            stood += to.since(from.max(until));
            until = until.max(to);
        }
        now.since(rotated_at).saturating_sub(stood)
    }
}

#[derive(Debug, Default)]
struct Observations {
    last_beat: Option<Timestamp>,
    /// Whether the clock has been wrong since the last heartbeat, so that the gap cannot be
    /// computed.
    doubted: bool,
    settled_at: Option<Timestamp>,
    all: Vec<Standstill>,
}

/// The standstills that this process knows of. Until its first heartbeat it knows of none.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Observations>);

impl Watch {
    fn seen(&self) -> std::sync::MutexGuard<'_, Observations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time of the last heartbeat that was written.
    pub fn last_beat(&self) -> Option<Timestamp> {
        self.seen().last_beat
    }

    /// Records that no heartbeat was written because the database's clock contradicts that of this
    /// process.
    pub fn doubt(&self) {
        self.seen().doubted = true;
    }

    /// Returns whether the clock has been wrong since the last heartbeat.
    pub fn is_doubted(&self) -> bool {
        self.seen().doubted
    }

    /// Returns the gap since the last heartbeat if it is a standstill.
    pub fn gap(last_beat: Option<Timestamp>, now: Timestamp) -> Option<Standstill> {
        let began_at = last_beat.filter(|last| now.since(*last) > NOTICED)?;
        Some(Standstill {
            began_at,
            ended_at: now,
            whose: Whose::Ours,
        })
    }

    /// Records that a heartbeat was written at `now`. `stood_still` is the standstill of this
    /// process or of the whole service that this heartbeat ended; `others` are those of other
    /// replicas according to the database; `keep` is how long a past standstill can still matter.
    pub fn beat(
        &self,
        now: Timestamp,
        stood_still: Option<Standstill>,
        others: Vec<Standstill>,
        keep: Duration,
    ) {
        let mut seen = self.seen();
        if stood_still.is_some() && seen.last_beat.is_some() {
            seen.settled_at = Some(now + SETTLING);
        }
        (seen.last_beat, seen.doubted) = (Some(now), false);
        seen.all
            .retain(|s| s.whose == Whose::Ours && s.ended_at + keep >= now);
        seen.all.extend(stood_still);
        seen.all.extend(others);
    }

    /// Records that the clock was moved on purpose: the time since the last heartbeat was not a
    /// standstill.
    pub fn lived_until(&self, now: Timestamp) {
        let mut seen = self.seen();
        seen.last_beat = seen.last_beat.map(|_| now);
    }

    /// Returns what matters to a decision at `now`, including the gap since the last heartbeat.
    pub fn at(&self, now: Timestamp) -> Standstills {
        let seen = self.seen();
        let gap = Self::gap(seen.last_beat, now);
        let settling = gap.is_some() || seen.settled_at.is_some_and(|settled| now < settled);
        Standstills {
            all: seen.all.iter().copied().chain(gap).collect(),
            settling,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    fn standstill(from: i64, to: i64, whose: Whose) -> Standstill {
        Standstill {
            began_at: at(from),
            ended_at: at(to),
            whose,
        }
    }

    #[test]
    fn time_that_was_not_served_does_not_count_and_overlaps_count_once() {
        let seconds = Duration::from_secs;
        let ours = |parts: &[(i64, i64)]| {
            Standstills::of(
                parts
                    .iter()
                    .map(|(from, to)| standstill(*from, *to, Whose::Ours))
                    .collect(),
            )
        };
        for (parts, expected) in [
            (vec![], 100),
            (vec![(-50, -10)], 100),
            (vec![(-50, 20)], 80),
            (vec![(20, 60), (40, 70)], 50),
            (vec![(40, 70), (20, 60), (45, 50)], 50),
            (vec![(90, 500)], 90),
            (vec![(-50, 500)], 0),
        ] {
            assert_eq!(
                ours(&parts).served_since(at(0), at(100)),
                seconds(expected),
                "{parts:?}"
            );
        }
        assert_eq!(
            ours(&[]).served_since(at(10), at(0)),
            seconds(0),
            "a clock that was set back"
        );
    }

    #[test]
    fn the_silence_of_another_replica_counts_only_for_what_was_under_way() {
        let silent = Standstills::of(vec![standstill(0, 1_000, Whose::AnotherReplica)]);
        let seconds = Duration::from_secs;
        assert_eq!(silent.served_since(at(-5), at(100)), seconds(5));
        assert_eq!(silent.served_since(at(10), at(100)), seconds(0));
        assert_eq!(silent.served_since(at(11), at(100)), seconds(89));
    }

    #[test]
    fn a_gap_between_heartbeats_is_a_standstill_until_it_has_settled() {
        let watch = Watch::default();
        assert!(
            !watch.at(at(1_000)).is_settling(),
            "without a heartbeat, nothing is known"
        );
        watch.beat(at(0), None, vec![], Duration::from_secs(30));
        let (prompt, late) = (watch.at(at(5)), watch.at(at(60)));
        assert_eq!(
            (prompt.is_settling(), prompt.served_since(at(0), at(5))),
            (false, Duration::from_secs(5))
        );
        assert_eq!(
            (late.is_settling(), late.served_since(at(0), at(60))),
            (true, Duration::ZERO)
        );
        watch.beat(
            at(60),
            Watch::gap(watch.last_beat(), at(60)),
            vec![],
            Duration::from_secs(30),
        );
        assert!(watch.at(at(64)).is_settling() && !watch.at(at(65)).is_settling());
        assert_eq!(
            watch.at(at(61)).served_since(at(0), at(61)),
            Duration::from_secs(1)
        );
        watch.beat(at(65), None, vec![], Duration::from_secs(30));
        watch.beat(at(91), None, vec![], Duration::from_secs(30));
        assert_eq!(
            watch.at(at(91)).served_since(at(0), at(91)),
            Duration::from_secs(91),
            "it does not matter any more"
        );
    }

    #[test]
    fn a_doubted_clock_is_remembered_until_the_next_heartbeat_and_a_moved_one_is_no_gap() {
        let (watch, keep) = (Watch::default(), Duration::from_secs(30));
        assert!(!watch.is_doubted());
        watch.lived_until(at(100));
        assert_eq!(watch.last_beat(), None, "there was no heartbeat");
        watch.beat(at(0), None, vec![], keep);
        watch.doubt();
        assert!(watch.is_doubted());
        watch.beat(at(1), None, vec![], keep);
        assert!(!watch.is_doubted());
        watch.lived_until(at(100));
        assert!(!watch.at(at(101)).is_settling());
        assert_eq!(watch.last_beat(), Some(at(100)));
    }

    #[test]
    fn a_standstill_of_ours_is_kept_while_it_matters_and_one_of_others_is_told_anew() {
        let (watch, keep) = (Watch::default(), Duration::from_secs(30));
        let served = |now| watch.at(at(now)).served_since(at(0), at(now)).as_secs();
        watch.beat(at(20), Some(standstill(0, 20, Whose::Ours)), vec![], keep);
        watch.beat(at(50), None, vec![], keep);
        assert_eq!(served(50), 30, "it ended 30 seconds ago");
        watch.beat(at(51), None, vec![], keep);
        assert_eq!(served(51), 51);
        let silent = standstill(0, 40, Whose::AnotherReplica);
        watch.beat(at(52), None, vec![silent], keep);
        assert_eq!(served(52), 12);
        watch.beat(at(53), None, vec![], keep);
        assert_eq!(served(53), 53);
    }
}
