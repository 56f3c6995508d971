//! Rate limits. Replicas share the counts through the database; in front of it every process
//! remembers what it has just refused, so that a flood is answered from memory. An attempt is
//! counted before the password is hashed, by all rules or by none, and the count is refunded if the
//! password was right.

use std::time::Duration;

use crate::app::App;
use crate::crypto::limit_key::key;
use crate::flows::limit::known_device;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::account::email::Email;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::limit::network::{Reach, networks};
use crate::model::limit::rate::{Limited, Quota, Rule, State, decide};
use crate::model::mail::Purpose;
use crate::store::{self, Work, WriteOptions};

/// One rule and the party that it counts.
#[derive(Debug, Clone)]
pub(super) struct RuleCharge {
    pub(super) rule: Rule,
    pub(super) quota: Quota,
    pub(super) key: String,
}

/// Remembers a refusal of a transaction that it rolled back; from now on this process refuses the
/// same from memory. Other errors are returned unchanged.
pub(in crate::flows) fn noted(app: &App, error: Error) -> Error {
    match error {
        Error::Limited(limited) => {
            let until = app.uptime() + limited.wait;
            app.refused.insert(limited.key.clone(), until);
            refuse(app, limited)
        }
        error => error,
    }
}

/// All rules that one attempt is counted by.
#[derive(Debug, Clone, Default)]
pub struct RateLimitCheck(pub(super) Vec<RuleCharge>);

impl RateLimitCheck {
    pub(super) fn of(app: &App, rules: &[(Rule, &[&str])]) -> Self {
        let charge = |(rule, whom): &(Rule, &[&str])| {
            app.config.rate_limits.quota(*rule).map(|quota| RuleCharge {
                rule: *rule,
                quota,
                key: key(*rule, whom),
            })
        };
        Self(rules.iter().filter_map(charge).collect()).in_order()
    }

    /// Adds the rule for each size of the requester's network; with `whom`, for its actions on that
    /// party alone.
    pub(super) fn by_network(
        mut self,
        app: &App,
        rule: Rule,
        whom: &[&str],
        requester: &Requester,
    ) -> Self {
        let Some(quota) = app.config.rate_limits.quota(rule) else {
            return self;
        };
        let charge = |(reach, network): (Reach, String)| RuleCharge {
            rule,
            quota: reach.quota(rule, quota),
            key: key(rule, &[whom, &[&network]].concat()),
        };
        self.0
            .extend(networks(&requester.ip_address).into_iter().map(charge));
        self.in_order()
    }

    /// Sorts the keys, because rows are locked in one order everywhere.
    fn in_order(mut self) -> Self {
        self.0.sort_by(|a, b| a.key.cmp(&b.key));
        self
    }

    /// Makes the check of a password attempt. A device that has signed in to this account before is
    /// counted separately, so that guesses by strangers do not block it.
    pub async fn password(
        app: &App,
        email: &Email,
        devices: &[&str],
        requester: &Requester,
    ) -> Result<Self> {
        let device = known_device::known(app, devices, email).await?;
        let email = email.as_str();
        if let Some(device) = device {
            return Ok(Self::of(
                app,
                &[
                    (Rule::SignInDevice, &[email, &device]),
                    (Rule::SignInDevices, &[email]),
                ],
            ));
        }
        let account = Self::of(app, &[(Rule::SignInAccount, &[email])]);
        Ok(account
            .by_network(app, Rule::SignIn, &[email], requester)
            .by_network(app, Rule::SignInNetwork, &[], requester))
    }

    /// Makes the check of a successful sign-in, counted in the transaction that opens the session.
    pub fn success(app: &App, email: &Email, requester: &Requester) -> Self {
        Self::default().by_network(app, Rule::SignInSuccess, &[email.as_str()], requester)
    }

    /// Makes the check of a sign-in with a passkey. No guess is ever right, so only the work for one
    /// network is bounded.
    pub fn passkey(app: &App, requester: &Requester) -> Self {
        Self::default().by_network(app, Rule::SignInNetwork, &[], requester)
    }

    /// Makes the check of a sign-in at another issuer: when it begins, and when the browser comes back.
    pub fn upstream(app: &App, requester: &Requester) -> Self {
        Self::passkey(app, requester)
    }

    /// Makes the check of a signed-in user's password: counted by session, so that guesses by
    /// strangers do not block it.
    pub fn confirmation(app: &App, session: SessionId) -> Self {
        Self::of(app, &[(Rule::Confirm, &[&session.to_string()])])
    }

    /// Makes the check of a code at the second step. A device that has signed in to this account
    /// before is counted separately, as for passwords.
    pub fn second_factor(
        app: &App,
        user: UserId,
        device: Option<&str>,
        requester: &Requester,
    ) -> Self {
        let user = user.to_string();
        match device {
            Some(device) => Self::of(app, &[(Rule::SecondFactorDevice, &[&user, device])]),
            None => Self::of(app, &[(Rule::SecondFactorAccount, &[&user])]).by_network(
                app,
                Rule::SecondFactor,
                &[&user],
                requester,
            ),
        }
    }

    /// Makes the check of a code inside a session: all sessions of the user are counted together, and
    /// a right password does not clear the count.
    pub fn step_up(app: &App, user: UserId) -> Self {
        let user = user.to_string();
        Self::of(app, &[(Rule::SecondFactorDevice, &[&user, "session"])])
    }

    /// Makes the check of a sign-up.
    pub fn sign_up(app: &App, requester: &Requester) -> Self {
        Self::default().by_network(app, Rule::SignUp, &[], requester)
    }

    /// Makes the check of a mail to an email address, known or not: each purpose is counted
    /// separately, so that other mails do not use up an owner's resets.
    pub fn mail(app: &App, purpose: Purpose, email: &Email, requester: &Requester) -> Self {
        Self::of(
            app,
            &[(Rule::MailAddress, &[purpose.as_str(), email.as_str()])],
        )
        .by_network(app, Rule::MailNetwork, &[], requester)
    }

    /// Makes the check of a mail that a signed-in user requests, wherever it is sent.
    pub fn own_mail(app: &App, purpose: Purpose, user: UserId, requester: &Requester) -> Self {
        Self::of(
            app,
            &[(Rule::MailAddress, &[purpose.as_str(), &user.to_string()])],
        )
        .by_network(app, Rule::MailNetwork, &[], requester)
    }

    /// Refuses what this process has refused a moment ago; counts nothing and does not use the
    /// database.
    pub fn look(&self, app: &App) -> Result<()> {
        let uptime = app.uptime();
        let known = |charge: &RuleCharge| {
            app.refused
                .get(&charge.key)
                .map(|until| until.saturating_sub(uptime))
                .filter(|wait| !wait.is_zero())
                .map(|wait| charge.says(wait))
        };
        self.0
            .iter()
            .find_map(known)
            .map_or(Ok(()), |limited| Err(refuse(app, limited)))
    }

    /// Counts by all rules inside a transaction. A refusal has to be passed to `noted` afterwards.
    ///
    /// # Errors
    /// [`Error::Limited`] by the first rule that refuses.
    pub async fn consume_within(&self, tx: &mut Tx<'_>) -> Result<()> {
        let now = tx.now();
        let mut after: Vec<(&RuleCharge, State)> = Vec::with_capacity(self.0.len());
        for charge in &self.0 {
            let state = store::limit::limits::take(tx.conn, &charge.key).await?;
            match decide(charge.rule, charge.quota, state, now) {
                Ok(state) => after.push((charge, state)),
                Err(wait) => return Err(Error::Limited(charge.says(wait))),
            }
        }
        for (charge, state) in after {
            store::limit::limits::put(tx.conn, &charge.key, state).await?;
        }
        Ok(())
    }

    /// Counts by all rules; if one refuses, returns it and counts by none.
    pub async fn consume(&self, app: &App) -> Result<()> {
        self.look(app)?;
        if self.0.is_empty() {
            return Ok(());
        }
        let charges = self.clone();
        self.count(app, tx!(tx => charges.consume_within(tx).await))
            .await
            .map_err(|error| noted(app, error))
    }

    /// Runs the transaction. It is not synced, because no client relies on counts, and it records
    /// no event.
    pub(super) async fn count<F>(&self, app: &App, work: F) -> Result<()>
    where
        F: for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> Work<'t, (), Error> + Clone + Send + 'static,
    {
        app.transaction_with(WriteOptions::UNSYNCED, &Requester::default(), work)
            .await
    }
}

impl RuleCharge {
    fn says(&self, wait: Duration) -> Limited {
        Limited {
            key: self.key.clone(),
            rule: self.rule,
            quota: self.quota,
            wait,
        }
    }
}

fn refuse(app: &App, limited: Limited) -> Error {
    app.metrics.limited(limited.rule.as_str());
    Error::Limited(limited)
}

/// Counts an access token for a session. Each process counts alone, because a row for each token
/// would cost more than the token.
pub fn mint(app: &App, session: SessionId) -> Result<()> {
    let Some((pace, quota)) = app
        .mint_pace
        .as_ref()
        .zip(app.config.rate_limits.quota(Rule::Mint))
    else {
        return Ok(());
    };
    pace.check(&session).map_err(|wait| {
        refuse(
            app,
            Limited {
                key: String::new(),
                rule: Rule::Mint,
                quota,
                wait,
            },
        )
    })
}
