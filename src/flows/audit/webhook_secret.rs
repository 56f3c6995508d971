//! Makes the secret of webhook signatures. The secrets in force are settings.

use zeroize::Zeroizing;

use crate::crypto::webhook;
use crate::random::Random;

/// Returns a new secret, as the setting `webhooks.secret` takes it.
pub fn generate(random: &dyn Random) -> Zeroizing<String> {
    webhook::new_secret(random)
}
