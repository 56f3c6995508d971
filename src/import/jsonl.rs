//! `jsonl`: our own form, one JSON object a line.

use super::json::Object;
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::draft::{Draft, DraftBan, Factors};
use crate::model::import::reason::Reason;

/// Makes a draft of a row.
pub(super) fn draft(mut row: Object) -> Result<Option<Draft>, Reason> {
    let role = row.text("role")?;
    let roles = role.split(',').map(str::trim);
    let (reason, ends_at) = (row.text("banReason")?, row.time("banExpires")?);
    let banned = row.truth("banned")?.unwrap_or(false);
    let two = row.truth("twoFactorEnabled")?.unwrap_or(false);
    let mut accounts = Vec::new();
    for mut account in row.objects("accounts")? {
        accounts.push((account.text("provider")?, account.text("accountId")?));
        account.finish()?;
    }
    let draft = Draft {
        id: row.text("id")?,
        foreign_id: row.text("foreignId")?,
        email: row.text("email")?,
        email_verified: row.truth("emailVerified")?.unwrap_or(false),
        name: row.text("name")?,
        image: row.text("image")?,
        roles: roles
            .filter(|role| !role.is_empty())
            .map(str::to_owned)
            .collect(),
        metadata: row.object("metadata")?,
        ban: banned.then_some(DraftBan { reason, ends_at }),
        disabled: row.truth("disabled")?.unwrap_or(false),
        created_at: row.time("createdAt")?,
        hash: SourceHash::unless_empty(HashSpelling::Tagged, row.text("passwordHash")?),
        accounts,
        factors: Factors::two_if(two),
        user_data: false,
    };
    row.finish()?;
    Ok(Some(draft))
}
