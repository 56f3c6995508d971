//! Work that needs the current master key, on a process that may not have followed the latest change
//! of it yet.

use super::load_keys::reload;
use crate::app::App;
use crate::flows::{Error, Result};

/// Runs an attempt. If it finds that another process has changed the master key, loads the keys and
/// runs it once more: nothing was written, because the refusal rolled its transaction back.
///
/// # Errors
/// The error of the last attempt, or of loading the keys.
pub(in crate::flows) async fn with_current_keys<T, F>(
    app: &App,
    attempt: impl Fn() -> F + Send,
) -> Result<T>
where
    F: Future<Output = Result<T>> + Send,
{
    match attempt().await {
        Err(Error::MasterKeyChanged) => {
            reload(app).await?;
            attempt().await
        }
        done => done,
    }
}
