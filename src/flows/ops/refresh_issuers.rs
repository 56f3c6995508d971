//! Keeps what is known of other issuers: their discovery documents and public keys are fetched in the
//! background, so that no start and few sign-ins wait for them.

use crate::app::App;

/// Fetches what is due of every provider. A provider that cannot be asked is logged; what was known of
/// it serves on.
pub async fn refresh(app: &App) {
    for (provider, failure) in app.upstream.refresh().await {
        tracing::warn!(%provider, %failure, "a provider cannot be asked; what is known of it serves on");
    }
}
