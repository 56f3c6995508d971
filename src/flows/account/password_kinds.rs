//! Counts how many password hashes of each kind there are, so that an absent user costs as much as a
//! present one (`app::Decoys`).

use crate::app::App;
use crate::crypto::foreign::decoy::Shares;
use crate::store::{self, work};

use crate::flows::Result;

/// Counts the hashes by kind, as after an import.
pub async fn count(app: &App) -> Result<()> {
    let begun = app.uptime();
    let counted = app
        .db
        .read(work!(conn => store::account::password_kinds::count(conn).await))
        .await?;
    app.decoys.replace(Shares::new(counted), begun);
    Ok(())
}

/// Counts the hashes if the last count is too old, or a hash of another kind was met since.
pub async fn count_due(app: &App) -> Result<()> {
    if app.decoys.is_due(app.uptime()) {
        count(app).await
    } else {
        Ok(())
    }
}
