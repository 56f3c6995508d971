//! Ends sessions. Those of a user, or of all users, end by their epoch (`epochs`): one row changes,
//! and none of these sessions is served any more. Their rows are marked for readers of the table
//! (`marks`): the first ones in the same transaction, the others by a background job, piece by
//! piece (`ending_notes`).

pub use super::ending_notes::Cause;
use super::ending_notes::insert_note;
use super::epochs::{in_force, raise_acting, raise_everybody, raise_of_user};
use super::marks::{Kind, Rows, Scope, mark, mark_acting_in, mark_page, parse};
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::store::{Conn, Result, on};

/// The number of rows that a transaction marks before its answer.
pub const AT_ONCE: i64 = 100;

/// Which sessions to end.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// One session, and the impersonation sessions that began in it.
    One(SessionId),
    /// All sessions of a user, and those in which the user impersonates another one, except one
    /// session.
    OfUser {
        /// The user whose sessions end.
        user: UserId,
        /// The session that does not end.
        except: Option<SessionId>,
    },
    /// The sessions in which this admin impersonates another user.
    ActedBy(UserId),
    /// All sessions of all users, and every link that was sent in a mail.
    Everybody,
}

/// The sessions that were ended.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// The sessions whose rows were marked, with their users. After the end of one session by its
    /// id, that session comes first, then the impersonation sessions that began in it.
    pub marked: Vec<(SessionId, UserId)>,
    /// Whether the list is complete; otherwise further sessions have ended, too, and their rows are
    /// marked later.
    pub complete: bool,
}

impl Ended {
    /// Returns whether no session was ended.
    pub fn is_empty(&self) -> bool {
        self.complete && self.marked.is_empty()
    }
}

/// Ends sessions; when it returns, they have ended. The number of rows that it writes is bounded,
/// however many there are.
pub async fn end(conn: &mut Conn, which: Which, cause: &Cause) -> Result<Ended> {
    match which {
        Which::One(id) => end_one(conn, id, cause).await,
        Which::OfUser { user, except } => {
            let Some(epochs) = raise_of_user(conn, user, except).await? else {
                return Ok(Ended {
                    complete: true,
                    ..Ended::default()
                });
            };
            let own = first_rows(
                conn,
                Kind::OfUser,
                user,
                epochs.session - 1,
                cause,
                cause.note[0],
            )
            .await?;
            let acted = first_rows(
                conn,
                Kind::ActedBy,
                user,
                epochs.acting - 1,
                cause,
                cause.note[1],
            )
            .await?;
            Ok(Ended {
                complete: own.complete && acted.complete,
                marked: [own.marked, acted.marked].concat(),
            })
        }
        Which::ActedBy(admin) => match raise_acting(conn, admin).await? {
            Some(epoch) => {
                first_rows(conn, Kind::ActedBy, admin, epoch - 1, cause, cause.note[0]).await
            }
            None => Ok(Ended {
                complete: true,
                ..Ended::default()
            }),
        },
        Which::Everybody => {
            raise_everybody(conn).await?;
            let (marked, last) =
                mark_page(conn, "", AT_ONCE, cause.reason.as_str(), cause.at).await?;
            if let Some(last) = &last {
                insert_note(conn, cause.note[0], Kind::Everybody, None, 0, cause, last).await?;
            }
            Ok(Ended {
                marked,
                complete: last.is_none(),
            })
        }
    }
}

async fn end_one(conn: &mut Conn, id: SessionId, cause: &Cause) -> Result<Ended> {
    const END: &str = concat!(
        "UPDATE sessions SET revoked_at = $1, revoked_reason = $2 WHERE id = $3 AND ",
        in_force!("sessions"),
        " RETURNING id, user_id"
    );
    let rows: Rows = on!(conn, c => sqlx::query_as(END)
        .bind(cause.at.0).bind(cause.reason.as_str()).bind(id.to_string()).fetch_all(c).await)?;
    let mut marked = parse(rows)?;
    if !marked.is_empty() {
        marked.extend(mark_acting_in(conn, id, cause.reason, cause.at).await?);
    }
    Ok(Ended {
        marked,
        complete: true,
    })
}

/// Marks the first rows of a user, and leaves a note if there are more.
async fn first_rows(
    conn: &mut Conn,
    kind: Kind,
    user: UserId,
    epoch: i64,
    cause: &Cause,
    note: EventId,
) -> Result<Ended> {
    let scope = Scope {
        kind,
        user: &user.to_string(),
        epoch,
        after: "",
    };
    let (marked, _) = mark(conn, &scope, AT_ONCE, cause.reason.as_str(), cause.at).await?;
    let complete = i64::try_from(marked.len()).is_ok_and(|n| n < AT_ONCE);
    if !complete {
        insert_note(conn, note, kind, Some(user), epoch, cause, "").await?;
    }
    Ok(Ended { marked, complete })
}
