//! Ends a session whose refresh token indicated theft or lost commits: records the event with both
//! sides, as far as the row knows them, and mails the owner. Neither side is called the thief,
//! because only the owner knows which one it is.

use serde_json::{Map, Value};

use crate::model::audit::event::Kind;
use crate::model::kernel::time::Timestamp;
use crate::model::mail::Template;
use crate::model::session::presenter::Presenter;
use crate::model::session::refresh::Decision;
use crate::model::session::session::RevokedReason;
use crate::store;
use crate::store::session::refresh::Refreshed;

use crate::flows::transaction::recorder::{Recorder, detail};
use crate::flows::transaction::{Committed, Tx};
use crate::flows::{Error, Result};

/// Ends a family (`Reuse` or `Ahead`) with its event; returns `None` if the row has changed
/// meanwhile.
pub(in crate::flows) async fn end_family(
    tx: &mut Tx<'_>,
    decision: Decision,
    row: &Refreshed,
    presented: u32,
) -> Result<Option<Committed>> {
    let (reason, kind, error) = match decision {
        Decision::Reuse => (
            RevokedReason::Reuse,
            Kind::RefreshTokenReused,
            Error::RefreshTokenReused,
        ),
        _ => (
            RevokedReason::Lost,
            Kind::RefreshTokenLost,
            Error::RefreshTokenRevoked,
        ),
    };
    let now = tx.now();
    if !store::session::refresh::end(tx.conn, row, reason, now).await? {
        return Ok(None);
    }
    let mut what = detail([
        ("presented", presented.into()),
        ("current", row.state.generation.into()),
    ]);
    if decision != Decision::Reuse {
        tx.record(kind, Some(row.user), Some(row.session), what)
            .await?;
        return Ok(Some(Committed(error)));
    }
    let before = before(row, &tx.recorder);
    what.extend(detail([(
        "presenters",
        before.iter().map(side).collect::<Vec<_>>().into(),
    )]));
    tx.record(kind, Some(row.user), Some(row.session), what)
        .await?;
    if let Some(user) = store::account::users::by_id(tx.conn, row.user).await? {
        let words = words(&tx.recorder.presenter(tx.conn), &before);
        tx.queue_notice(Template::RefreshTokenReused, &user.user, words)
            .await?;
    }
    Ok(Some(Committed(error)))
}

/// Returns who used the session before, the newest first; the sign-in is the last.
fn before(row: &Refreshed, recorder: &Recorder) -> Vec<Presenter> {
    let mut before = recorder.open_presenters(row.session, &row.sides.presenters);
    let sides = &row.sides;
    before.push(Presenter {
        ip_address: sides.ip_address.clone(),
        user_agent: sides.user_agent.clone(),
        since: Timestamp(sides.signed_in_at),
    });
    before
}

fn side(presenter: &Presenter) -> Value {
    detail([
        ("ipAddress", presenter.ip_address.as_str().into()),
        ("userAgent", presenter.user_agent.as_str().into()),
        ("since", presenter.since.to_string().into()),
    ])
    .into()
}

/// Returns the values for the mail: this use, and the newest one of another side.
fn words(this: &Presenter, before: &[Presenter]) -> Map<String, Value> {
    let mut words = detail([
        ("device", this.device().into()),
        ("userAgent", this.kept_agent().into()),
        ("network", this.network().into()),
    ]);
    if let Some(other) = before.iter().find(|other| !other.looks_like(this)) {
        let more = [
            ("otherDevice", other.device().into()),
            ("otherUserAgent", other.kept_agent().into()),
            ("otherNetwork", other.network().into()),
            ("otherSince", other.since.0.into()),
        ];
        words.extend(detail(more));
    }
    words
}
