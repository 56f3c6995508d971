//! Refunds counts: after a success, and after an attempt that was not evaluated.

use crate::app::App;
use crate::model::kernel::time::Timestamp;
use crate::model::limit::rate::{Quota, Rule, State, refund, reset};
use crate::store;

use super::rate_limit::RateLimitCheck;
use crate::flows::Result;
use crate::flows::transaction::{Tx, tx};

impl RateLimitCheck {
    /// Clears the failures, in the transaction of what has succeeded.
    pub async fn reset(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.undo(tx, reset).await
    }

    async fn undo(
        &self,
        tx: &mut Tx<'_>,
        before: fn(Rule, Quota, State, Timestamp) -> Option<State>,
    ) -> Result<()> {
        let now = tx.now();
        for charge in &self.0 {
            let Some(state) = store::limit::limits::take(tx.conn, &charge.key).await? else {
                continue;
            };
            match before(charge.rule, charge.quota, state, now) {
                Some(before) => store::limit::limits::put(tx.conn, &charge.key, before).await?,
                None => store::limit::limits::forget(tx.conn, &charge.key).await?,
            }
        }
        Ok(())
    }

    /// Forgets the refusals in the memory of this process, after the commit.
    pub fn forget_refusals(&self, app: &App) {
        for charge in &self.0 {
            app.refused.invalidate(&charge.key);
        }
    }

    /// Clears the failures in a transaction of their own, and forgets the refusals.
    pub async fn reset_now(&self, app: &App) -> Result<()> {
        if !self.0.is_empty() {
            let charges = self.clone();
            self.count(app, tx!(tx => charges.reset(tx).await)).await?;
            self.forget_refusals(app);
        }
        Ok(())
    }

    /// Clears the failures after a success that is committed already. If the database fails here, the
    /// count stays, and the success is not lost.
    pub async fn reset_after(&self, app: &App) {
        if let Err(error) = self.reset_now(app).await {
            tracing::warn!(%error, "the count of failures was not cleared");
        }
    }

    /// Gives the charge of an attempt back that was compared with nothing.
    pub async fn give_back(&self, app: &App) {
        let charges = self.clone();
        // If the database is unavailable, the count stays, and nothing else can be done.
        drop(
            self.count(app, tx!(tx => charges.undo(tx, refund).await))
                .await,
        );
        self.forget_refusals(app);
    }

    /// Handles the outcome of an attempt: only a wrong password is a failure. An attempt that could
    /// not be evaluated is refunded, and nothing else, so that overloading the service does not
    /// gain guesses.
    pub async fn refund_if_not_evaluated<T>(&self, app: &App, outcome: Result<T>) -> Result<T> {
        if matches!(&outcome, Err(error) if error.is_fault()) && !self.0.is_empty() {
            let charges = self.clone();
            // If the database is unavailable, the count stays, and nothing else can be done.
            drop(
                self.count(app, tx!(tx => charges.undo(tx, refund).await))
                    .await,
            );
            self.forget_refusals(app);
        }
        outcome
    }
}
