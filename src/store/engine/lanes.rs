//! The queue of SQLite's single writer, in two lanes. Background work begins only while no request
//! waits. If requests keep coming, a piece of it is run together with them after a while, so that
//! it makes progress.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// The greatest number of messages that are handled together.
pub(in crate::store) const BATCH: usize = 256;
const QUEUE: usize = 4096;
/// How long background work waits for a moment without requests.
const LONGEST: Duration = Duration::from_millis(20);

/// A message that can wait in a lane.
pub(in crate::store) trait Waiting {
    /// Returns how long it may wait for others of its kind.
    fn batch_delay(&self) -> Duration;
    /// Returns how long it has waited.
    fn waited(&self) -> Duration;
}

/// The lane of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Lane {
    Requests,
    Background,
}

/// The sending ends of both lanes.
pub(in crate::store) struct Entrances<M> {
    requests: mpsc::Sender<M>,
    background: mpsc::Sender<M>,
}

impl<M> Clone for Entrances<M> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            background: self.background.clone(),
        }
    }
}

impl<M> Entrances<M> {
    /// Returns the sending end of one lane.
    pub(in crate::store) fn of(&self, lane: Lane) -> &mpsc::Sender<M> {
        match lane {
            Lane::Requests => &self.requests,
            Lane::Background => &self.background,
        }
    }

    /// Returns the number of waiting messages.
    pub(in crate::store) fn queued(&self) -> usize {
        [&self.requests, &self.background]
            .map(|lane| lane.max_capacity() - lane.capacity())
            .iter()
            .sum()
    }
}

/// The receiving ends of both lanes.
pub(in crate::store) struct Lanes<M> {
    requests: mpsc::Receiver<M>,
    background: mpsc::Receiver<M>,
    /// The first message of the background lane, if it has been taken out already.
    held: Option<M>,
}

impl<M: Waiting> Lanes<M> {
    /// Makes two empty lanes.
    pub(in crate::store) fn new() -> (Entrances<M>, Self) {
        let (requests, request_ends) = mpsc::channel(QUEUE);
        let (background, background_ends) = mpsc::channel(QUEUE);
        let entrances = Entrances {
            requests,
            background,
        };
        let lanes = Self {
            requests: request_ends,
            background: background_ends,
            held: None,
        };
        (entrances, lanes)
    }

    /// Moves waiting messages to `waiting`, at least one: all requests or, if there are none, a
    /// single piece of background work. While every request has a batch delay, it waits for more,
    /// as long as the first one may wait. Returns `false` once all senders are gone.
    pub(in crate::store) async fn gather(&mut self, waiting: &mut Vec<M>) -> bool {
        let Self {
            requests,
            background,
            held,
        } = self;
        let next_in_background = async {
            match held.take() {
                Some(message) => Some(message),
                None => background.recv().await,
            }
        };
        let any = tokio::select! {
            biased;
            count = requests.recv_many(waiting, BATCH) => count > 0,
            Some(message) = next_in_background => {
                waiting.push(message);
                return true;
            }
        };
        let end = Instant::now()
            + waiting
                .iter()
                .map(Waiting::batch_delay)
                .min()
                .unwrap_or_default();
        while waiting.len() < BATCH && waiting.iter().all(|m| !m.batch_delay().is_zero()) {
            match timeout_at(end, requests.recv_many(waiting, BATCH - waiting.len())).await {
                Ok(1..) => {}
                // No further message came in time, or none can come.
                Ok(0) | Err(_) => break,
            }
        }
        if held.is_none() {
            *held = background.try_recv().ok();
        }
        if held.as_ref().is_some_and(|m| m.waited() >= LONGEST) {
            waiting.extend(held.take());
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;
    const DELAY: Duration = Duration::from_millis(8);

    /// A name, how long the message may wait, and since when it has waited.
    struct Message(&'static str, Duration, Instant);

    impl Waiting for Message {
        fn batch_delay(&self) -> Duration {
            self.1
        }
        fn waited(&self) -> Duration {
            self.2.elapsed()
        }
    }

    fn send(entrances: &Entrances<Message>, lane: Lane, name: &'static str, batch_delay: Duration) {
        let message = Message(name, batch_delay, Instant::now());
        assert!(entrances.of(lane).try_send(message).is_ok());
    }

    async fn gathered(lanes: &mut Lanes<Message>) -> Vec<&'static str> {
        let mut batch = Vec::new();
        assert!(lanes.gather(&mut batch).await);
        batch.iter().map(|m| m.0).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_patient_piece_waits_for_company_and_no_longer() {
        let (entrances, mut lanes) = Lanes::new();
        let ask = |batch_delay| send(&entrances, Lane::Requests, "request", batch_delay);
        for (sent, waits, together) in [
            (vec![DELAY], DELAY, 1),
            (vec![NONE], NONE, 1),
            (vec![DELAY, DELAY], DELAY, 2),
            (vec![DELAY, NONE], NONE, 2),
        ] {
            sent.into_iter().for_each(ask);
            let started = Instant::now();
            let batch = gathered(&mut lanes).await;
            assert_eq!((started.elapsed(), batch.len()), (waits, together));
        }
        let started = Instant::now();
        ask(DELAY);
        let company = async {
            tokio::time::sleep(DELAY / 4).await;
            ask(DELAY);
            tokio::time::sleep(DELAY / 4).await;
            ask(NONE);
        };
        let (batch, ()) = tokio::join!(gathered(&mut lanes), company);
        assert_eq!(
            (started.elapsed(), batch.len()),
            (DELAY / 2, 3),
            "a request without a delay does not wait"
        );
        drop(entrances);
        assert!(!lanes.gather(&mut Vec::new()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn background_work_begins_only_while_no_request_waits() {
        let (entrances, mut lanes) = Lanes::new();
        for name in ["first piece", "second piece"] {
            send(&entrances, Lane::Background, name, NONE);
        }
        for name in ["first request", "second request"] {
            send(&entrances, Lane::Requests, name, NONE);
        }
        assert_eq!(
            gathered(&mut lanes).await,
            ["first request", "second request"]
        );
        assert_eq!(gathered(&mut lanes).await, ["first piece"]);
        send(&entrances, Lane::Requests, "third request", NONE);
        assert_eq!(gathered(&mut lanes).await, ["third request"]);
        assert_eq!(gathered(&mut lanes).await, ["second piece"]);
    }

    #[tokio::test(start_paused = true)]
    async fn background_work_comes_to_its_end_while_requests_never_cease() {
        let (entrances, mut lanes) = Lanes::new();
        send(&entrances, Lane::Background, "first piece", NONE);
        send(&entrances, Lane::Background, "second piece", NONE);
        send(&entrances, Lane::Requests, "request", NONE);
        assert_eq!(gathered(&mut lanes).await, ["request"]);
        tokio::time::advance(LONGEST).await;
        for piece in ["first piece", "second piece"] {
            send(&entrances, Lane::Requests, "request", NONE);
            assert_eq!(
                gathered(&mut lanes).await,
                ["request", piece],
                "one piece at a time, behind the requests"
            );
        }
    }
}
