//! A secret among the settings, which no log and no error shows.

use zeroize::Zeroizing;

/// A secret text. Its `Debug` output is `…`.
#[derive(Clone)]
pub struct Secret(pub Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}
