//! The mail about a sign-in from a device that was not seen before.

use crate::flows::Result;
use crate::flows::transaction::Tx;
use crate::flows::transaction::recorder::detail;
use crate::model::account::user::User;
use crate::model::kernel::user_agent::{device, device_in_english};
use crate::model::mail::Template;
use crate::store;

/// Returns whether no session that is still stored began with such a device. The very first sign-in
/// does not count as a new device.
fn is_unknown(user_agent: &str, before: &[String]) -> bool {
    !before.is_empty()
        && !before
            .iter()
            .any(|known| known == user_agent || device(known) == device(user_agent))
}

/// Returns whether the device of the request is new to the user; before the session begins.
pub(in crate::flows) async fn is_new(tx: &mut Tx<'_>, user: &User) -> Result<bool> {
    let before = store::session::list_sessions::user_agents(tx.conn, user.id).await?;
    Ok(is_unknown(&tx.requester().user_agent, &before))
}

/// Queues the mail about the device of the request.
pub(in crate::flows) async fn notify(tx: &mut Tx<'_>, user: &User) -> Result<()> {
    let agent = &tx.requester().user_agent;
    let words = detail([
        ("device", device_in_english(agent).into()),
        ("userAgent", agent.as_str().into()),
    ]);
    tx.queue_notice(Template::NewSignIn, user, words).await
}
