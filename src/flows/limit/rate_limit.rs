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
use crate::model::kernel::time::Timestamp;
use crate::model::limit::rate::{Quota, Reach, Rule, State, decide, networks, refund, reset};
use crate::model::mail::Purpose;
use crate::store::{self, Conn};

use crate::flows::login::known_device;
use crate::flows::{Error, Result};

/// A rule that says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Which.
    pub rule: Rule,
    /// What it allows.
    pub quota: Quota,
    /// How long until it might say yes.
    pub wait: Duration,
}

/// One rule and one whom it counts.
#[derive(Debug, Clone)]
struct RuleCharge {
    rule: Rule,
    quota: Quota,
    key: String,
}

/// A charge that was refused in a transaction.
#[derive(Debug, Clone)]
pub struct Refused {
    key: String,
    limited: Limited,
}

impl Refused {
    /// The error that it is; from now on this process refuses the same from memory.
    pub fn error(self, app: &App) -> Error {
        app.refused
            .insert(self.key, app.uptime() + self.limited.wait);
        refuse(app, self.limited)
    }
}

/// Everything that one attempt is charged with.
#[derive(Debug, Clone, Default)]
pub struct RateLimitCheck(Vec<RuleCharge>);

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

    /// Charges all of them inside a transaction, or says which one says no and charges none. What
    /// is refused goes to [`Refused::error`] afterwards.
    pub async fn consume_within(&self, conn: &mut Conn) -> store::Result<Option<Refused>> {
        Ok(charge_all(conn, &self.0)
            .await?
            .map(|(key, limited)| Refused { key, limited }))
    }

    /// Charges all of them, or says which one says no and charges none.
    pub async fn consume(&self, app: &App) -> Result<()> {
        self.look(app)?;
        if self.0.is_empty() {
            return Ok(());
        }
        let charges = self.0.clone();
        let refusal = app
            .db
            .write_unsynced(move |conn| Box::pin(async move { charge_all(conn, &charges).await }))
            .await?;
        refusal.map_or(Ok(()), |(key, limited)| {
            Err(Refused { key, limited }.error(app))
        })
    }

    /// It was no failure: in the transaction of what has succeeded.
    pub async fn reset(&self, conn: &mut Conn) -> store::Result<()> {
        self.undo(conn, reset).await
    }

    async fn undo(
        &self,
        conn: &mut Conn,
        before: fn(Rule, Quota, State, Timestamp) -> Option<State>,
    ) -> store::Result<()> {
        let now = conn.now();
        for charge in &self.0 {
            let Some(state) = store::limit::limits::take(conn, &charge.key).await? else {
                continue;
            };
            match before(charge.rule, charge.quota, state, now) {
                Some(before) => store::limit::limits::put(conn, &charge.key, before).await?,
                None => store::limit::limits::forget(conn, &charge.key).await?,
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
            app.db
                .write_unsynced(move |conn| Box::pin(async move { charges.reset(conn).await }))
                .await?;
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
                app.db
                    .write_unsynced(move |conn| {
                        Box::pin(async move { charges.undo(conn, refund).await })
                    })
                    .await,
            );
            self.forget_refusals(app);
        }
        outcome
    }
}

impl RuleCharge {
    fn says(&self, wait: Duration) -> Limited {
        Limited {
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
                rule: Rule::Mint,
                quota,
                wait,
            },
        )
    })
}

async fn charge_all(
    conn: &mut Conn,
    charges: &[RuleCharge],
) -> store::Result<Option<(String, Limited)>> {
    let now = conn.now();
    let mut after: Vec<(&RuleCharge, State)> = Vec::with_capacity(charges.len());
    for charge in charges {
        let state = store::limit::limits::take(conn, &charge.key).await?;
        match decide(charge.rule, charge.quota, state, now) {
            Ok(state) => after.push((charge, state)),
            Err(wait) => return Ok(Some((charge.key.clone(), charge.says(wait)))),
        }
    }
    for (charge, state) in after {
        store::limit::limits::put(conn, &charge.key, state).await?;
    }
    Ok(None)
}
