//! The checks of `doctor` for the keys and the processes that have loaded them.

use std::time::Duration;

use crate::app::App;
use crate::model::kernel::time::Timestamp;
use crate::model::key::key::{Policy, Ring, State};
use crate::store::{self, work};

use super::diagnosis::{Diagnosis, Verdict};
use crate::flows::key::open_ring;
use crate::flows::key::processes;

/// The schedule runs every few seconds; if a rotation is this late, no process is serving.
const OVERDUE: Duration = Duration::from_secs(3_600);

pub(super) async fn keys(app: &App, found: &mut Diagnosis) {
    match open_ring::read_ring(app).await {
        Err(error) => found.say("keys", Verdict::Bad, error.to_string()),
        Ok(slots) => {
            let policies = &app.config.keys.policies;
            let several = slots.published().count() > 1;
            for (algorithm, ring) in slots.published() {
                if is_closed(ring) && !policies.algorithms.contains_key(&algorithm) {
                    continue;
                }
                let (verdict, says) = judge_ring(ring, app.now(), &policies.of(algorithm));
                let name = if several {
                    format!("{algorithm}: ")
                } else {
                    String::new()
                };
                found.say("keys", verdict, format!("{name}{says}"));
            }
            if slots.published().next().is_none() {
                let (verdict, says) =
                    judge_ring(&Ring::default(), app.now(), &policies.of_default());
                found.say("keys", verdict, says);
            }
        }
    }
}

/// Reports which process has loaded which master key: a process without the current key is not
/// ready.
pub(super) async fn holders(app: &App, found: &mut Diagnosis) {
    let holders = match processes::holders(app).await {
        Ok(holders) => holders,
        Err(error) => return found.say("processes", Verdict::Warning, error.to_string()),
    };
    for process in holders.lacking() {
        let advice =
            "give it the key (COUNTERSIGN_MASTER_KEY_FILE, keys/master.key) and restart it";
        found.say(
            "processes",
            Verdict::Warning,
            format!(
                "lacks the current master key {} and is not ready: {process}; {advice}",
                holders.current
            ),
        );
    }
    if holders.lacking().next().is_none() {
        found.say(
            "processes",
            Verdict::Good,
            format!(
                "{} running; none lacks the current master key {}",
                holders.running.len(),
                holders.current
            ),
        );
    }
    found.running = holders.running;
}

/// Reports secrets of authenticator apps that no loaded master key opens.
pub(super) async fn secrets(app: &App, found: &mut Diagnosis) {
    let read = work!(conn => store::login::totp::master_keys(conn).await);
    let sealed = match app.db.read(read).await {
        Ok(sealed) => sealed,
        Err(error) => return found.say("authenticators", Verdict::Warning, error.to_string()),
    };
    let total: i64 = sealed.iter().map(|(_, secrets)| secrets).sum();
    let is_held = |id: &str| app.loaded_keys.iter().any(|key| key.id() == id);
    let lost: Vec<_> = sealed.iter().filter(|(id, _)| !is_held(id)).collect();
    for (id, secrets) in &lost {
        found.say(
            "authenticators",
            Verdict::Bad,
            format!(
                "{secrets} secrets are sealed under the master key {id}, which is not loaded: give it to the service as the previous master key, or reset the factors of their users (`countersign users reset-factors`)"
            ),
        );
    }
    if lost.is_empty() && total > 0 {
        found.say(
            "authenticators",
            Verdict::Good,
            format!("{total} secrets; a loaded master key opens each"),
        );
    }
}

/// Reports tokens of other issuers that no loaded master key opens.
pub(super) async fn tokens(app: &App, found: &mut Diagnosis) {
    const NAME: &str = "provider tokens";
    let read = work!(conn => store::federation::upstream_tokens::master_keys(conn).await);
    let sealed = match app.db.read(read).await {
        Ok(sealed) => sealed,
        Err(error) => return found.say(NAME, Verdict::Warning, error.to_string()),
    };
    let total: i64 = sealed.iter().map(|(_, tokens)| tokens).sum();
    let is_held = |id: &str| app.loaded_keys.iter().any(|key| key.id() == id);
    let lost: Vec<_> = sealed.iter().filter(|(id, _)| !is_held(id)).collect();
    for (id, tokens) in &lost {
        found.say(
            NAME,
            Verdict::Warning,
            format!(
                "the tokens of {tokens} connected accounts are sealed under the master key {id}, which is not loaded: give it to the service as the previous master key, or let their users sign in at the provider again"
            ),
        );
    }
    if lost.is_empty() && total > 0 {
        found.say(
            NAME,
            Verdict::Good,
            format!("those of {total} connected accounts are kept; a loaded master key opens each"),
        );
    }
    let is_kept = app.config.upstream.iter().any(|one| one.keep_tokens);
    if total > 0 && !is_kept {
        found.say(
            NAME,
            Verdict::Warning,
            "tokens are kept from earlier, and keep_tokens is off at every provider: they are not handed out, and go when their users sign in at the provider or disconnect it",
        );
    }
}

/// Returns whether no key of an algorithm signs or will sign: an operator has closed it.
fn is_closed(ring: &Ring) -> bool {
    ring.in_state(State::Active).is_none() && ring.in_state(State::Standby).is_none()
}

fn judge_ring(ring: &Ring, now: Timestamp, policy: &Policy) -> (Verdict, String) {
    let active = ring.in_state(State::Active);
    if let Some(opens) = ring.ripe_at(policy).filter(|_| active.is_none()) {
        return (
            Verdict::Warning,
            format!("the first key is published and signs from {opens} on"),
        );
    }
    if active.is_none() {
        return (
            Verdict::Bad,
            "no active signing key; start `countersign serve` once".into(),
        );
    }
    if ring.in_state(State::Standby).is_none() {
        return (
            Verdict::Bad,
            "no standby key; the next rotation has no key to rotate to".into(),
        );
    }
    let retired = ring
        .keys
        .iter()
        .filter(|k| k.state == State::Retired)
        .count();
    let says = format!("1 active, 1 standby, {retired} retired; all open with the master key");
    match ring.next_rotation(policy) {
        Some(due) if due + OVERDUE < now => (
            Verdict::Warning,
            format!(
                "{says}; a rotation was due at {due} and was not made; is `countersign serve` running?"
            ),
        ),
        Some(due) => (Verdict::Good, format!("{says}; next rotation {due}")),
        None => (Verdict::Good, says),
    }
}
