//! Who has done too much of late waits. Replicas share the count through the database; in front of
//! it every process remembers whom it has just refused, so that a flood is answered from memory.
//! Charged before the password is hashed, by all rules or by none, and given back if it was right.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::audit::event::Peer;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::limit::network::{Reach, networks};
use crate::model::limit::rate::{Quota, Rule, State, decide};
use crate::model::mail::Purpose;
use crate::store::{self, Work, WriteOptions};

use crate::flows::login::known_device;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// A rule that says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// Names whom it counts, in the table and in the memory of this process.
    key: String,
    /// Which.
    pub rule: Rule,
    /// What it allows.
    pub quota: Quota,
    /// How long until it might say yes.
    pub wait: Duration,
}

/// One rule and one whom it counts.
#[derive(Debug, Clone)]
pub(super) struct RuleCharge {
    pub(super) rule: Rule,
    pub(super) quota: Quota,
    pub(super) key: String,
}

/// Counts a refusal of a transaction that was rolled back by it; from now on this process refuses
/// the same from memory. Any other error stays what it is.
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

/// Everything that one attempt is charged with.
#[derive(Debug, Clone, Default)]
pub struct RateLimitCheck(pub(super) Vec<RuleCharge>);

/// A hash: neither addresses nor networks stand in the table.
pub(in crate::flows) fn key(rule: Rule, whom: &[&str]) -> String {
    format!(
        "{}:{}",
        rule.as_str(),
        whom.iter()
            .map(|whom| part(whom))
            .collect::<Vec<_>>()
            .join(".")
    )
}

/// What stands in a key for one of those that it counts; an operator clears by it.
pub fn part(whom: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(whom)[..16])
}

impl RateLimitCheck {
    fn of(app: &App, rules: &[(Rule, &[&str])]) -> Self {
        let charge = |(rule, whom): &(Rule, &[&str])| {
            app.config.rate_limits.quota(*rule).map(|quota| RuleCharge {
                rule: *rule,
                quota,
                key: key(*rule, whom),
            })
        };
        Self(rules.iter().filter_map(charge).collect()).in_order()
    }

    /// The same by network too, at every reach of the peer's address; with `whom`, what it does to
    /// that one alone.
    fn by_network(mut self, app: &App, rule: Rule, whom: &[&str], peer: &Peer) -> Self {
        let Some(quota) = app.config.rate_limits.quota(rule) else {
            return self;
        };
        let charge = |(reach, network): (Reach, String)| RuleCharge {
            rule,
            quota: reach.quota(rule, quota),
            key: key(rule, &[whom, &[&network]].concat()),
        };
        self.0
            .extend(networks(&peer.ip_address).into_iter().map(charge));
        self.in_order()
    }

    /// Rows are locked in one order everywhere.
    fn in_order(mut self) -> Self {
        self.0.sort_by(|a, b| a.key.cmp(&b.key));
        self
    }

    /// A password that may be wrong. A device that has signed in to this account before is counted
    /// by itself: no stranger's guessing shuts it out.
    pub async fn password(app: &App, email: &Email, devices: &[&str], peer: &Peer) -> Result<Self> {
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
            .by_network(app, Rule::SignIn, &[email], peer)
            .by_network(app, Rule::SignInNetwork, &[], peer))
    }

    /// A sign-in that succeeds. Charged in the transaction that opens the session.
    pub fn success(app: &App, email: &Email, peer: &Peer) -> Self {
        Self::default().by_network(app, Rule::SignInSuccess, &[email.as_str()], peer)
    }

    /// The password of who is signed in: counted by session, and no stranger's guessing stands in
    /// its way.
    pub fn confirmation(app: &App, session: SessionId) -> Self {
        Self::of(app, &[(Rule::Confirm, &[&session.to_string()])])
    }

    /// A new account.
    pub fn sign_up(app: &App, peer: &Peer) -> Self {
        Self::default().by_network(app, Rule::SignUp, &[], peer)
    }

    /// A mail to an address, whoever has it: each purpose by itself, so that nobody uses up another
    /// one's resets with something else.
    pub fn mail(app: &App, purpose: Purpose, email: &Email, peer: &Peer) -> Self {
        Self::of(
            app,
            &[(Rule::MailAddress, &[purpose.as_str(), email.as_str()])],
        )
        .by_network(app, Rule::MailNetwork, &[], peer)
    }

    /// A mail that a signed-in user asks for, wherever it goes.
    pub fn own_mail(app: &App, purpose: Purpose, user: UserId, peer: &Peer) -> Self {
        Self::of(
            app,
            &[(Rule::MailAddress, &[purpose.as_str(), &user.to_string()])],
        )
        .by_network(app, Rule::MailNetwork, &[], peer)
    }

    /// Refuses what this process has refused a moment ago; nothing is charged and no database is
    /// asked.
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

    /// Charges all of them inside a transaction. The refusal goes to `noted` afterwards.
    ///
    /// # Errors
    /// [`Error::Limited`] by the first rule that says no.
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

    /// Charges all of them, or says which one says no and charges none.
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

    /// Counts are nothing that a client was promised, and no event names a peer.
    pub(super) async fn count<F>(&self, app: &App, work: F) -> Result<()>
    where
        F: for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> Work<'t, (), Error> + Clone + Send + 'static,
    {
        app.transaction_with(WriteOptions::UNSYNCED, &Peer::default(), work)
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

/// An access token for a session. Counted by each process alone: a row a token would cost more than
/// the token.
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
