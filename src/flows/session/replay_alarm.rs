//! An alarm for token theft: three rotations of one session in a row, each followed by a repeat
//! from another network, look like an attacker who uses each token after the owner. The session
//! continues; the event is recorded in the audit trail. Only what this process has seen counts.

use crate::app::{App, Rotated};
use crate::model::audit::event::{Kind, Requester};
use crate::model::session::refresh::Decision;
use crate::store::session::refresh::Refreshed;

use crate::flows::Result;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;

const ALARM: u32 = 3;

/// Records a rotation or a repeat, and raises the alarm when it is due.
pub async fn watch(
    app: &App,
    session: &Refreshed,
    decision: Decision,
    requester: &Requester,
) -> Result<()> {
    let network = network(&requester.ip_address);
    let generation = session.state.generation;
    match (decision, app.rotations.get(&session.session)) {
        (Decision::Rotate, last) => {
            // A rotation without a repeat breaks the sequence: its entry still has the previous
            // generation.
            let shadowed = last
                .filter(|l| l.generation + 1 == generation && l.network.is_empty())
                .map_or(0, |l| l.shadowed);
            app.rotations.insert(
                session.session,
                Rotated {
                    generation,
                    network,
                    shadowed,
                },
            );
        }
        (Decision::Repeat(_), Some(last))
            if last.generation == generation
                && !last.network.is_empty()
                && last.network != network =>
        {
            let shadowed = last.shadowed + 1;
            // The empty network marks this rotation as counted.
            app.rotations.insert(
                session.session,
                Rotated {
                    generation,
                    network: String::new(),
                    shadowed,
                },
            );
            if shadowed == ALARM {
                let (user, session) = (Some(session.user), Some(session.session));
                let kind = Kind::RefreshTokenShadowed;
                let what = detail([("rotations", ALARM.into())]);
                app.transaction(
                    requester,
                    tx!(tx => tx.record(kind, user, session, what).await),
                )
                .await?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Returns the /24 of IPv4 or the /48 of IPv6, which one household or office shares.
fn network(address: &str) -> String {
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(v4)) => format!("{:?}", &v4.octets()[..3]),
        Ok(std::net::IpAddr::V6(v6)) => format!("{:?}", &v6.segments()[..3]),
        Err(_) => "unknown".into(),
    }
}
