//! Giving a charge back: after a success, and after an attempt that was not looked at.

use crate::app::App;
use crate::model::kernel::time::Timestamp;
use crate::model::limit::rate::{Quota, Rule, State, refund, reset};
use crate::store;

use super::rate_limit::RateLimitCheck;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

impl RateLimitCheck {
    /// It was no failure: in the transaction of what has succeeded.
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

    /// Once that is committed: this process holds nothing against anybody any more.
    pub fn forget_refusals(&self, app: &App) {
        for charge in &self.0 {
            app.refused.invalidate(&charge.key);
        }
    }

    /// Both by itself.
    pub async fn reset_now(&self, app: &App) -> Result<()> {
        if !self.0.is_empty() {
            let charges = self.clone();
            self.count(app, tx!(tx => charges.reset(tx).await)).await?;
            self.forget_refusals(app);
        }
        Ok(())
    }

    /// What comes of an attempt: only a wrong password is a failure. One that could not be looked
    /// at is given back, and nothing else with it: who keeps the service busy wins no guesses.
    pub async fn refund_if_not_evaluated<T>(&self, app: &App, outcome: Result<T>) -> Result<T> {
        if matches!(
            outcome,
            Err(Error::Busy
                | Error::Unavailable(_)
                | Error::Internal(_)
                | Error::OutOfTime
                | Error::MasterKeyChanged)
        ) && !self.0.is_empty()
        {
            let charges = self.clone();
            // The database may be away: then the charge stands, and nothing else can be done about
            // it.
            drop(
                self.count(app, tx!(tx => charges.undo(tx, refund).await))
                    .await,
            );
            self.forget_refusals(app);
        }
        outcome
    }
}
