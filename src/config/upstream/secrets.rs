//! Reads how a provider recognises this service: a secret text, or the key by which Apple's secret is
//! signed.

use url::Url;
use zeroize::Zeroizing;

use super::section::Section;
use super::{ClientSecret, Kind, values};
use crate::config::{Secret, secret_file};

impl Section<'_> {
    /// Reads how the provider recognises this service.
    pub(super) fn secret(&mut self, kind: Kind, public_url: &Url) -> ClientSecret {
        if kind == Kind::Apple {
            return self.apple(public_url);
        }
        let key = self.key("client_secret");
        let text = Zeroizing::new(self.r.text(&key, ""));
        if !text.is_empty() {
            return ClientSecret::Text(Secret(text));
        }
        // These providers refuse a client without one.
        if matches!(kind, Kind::Google | Kind::GitHub | Kind::Microsoft) {
            self.problem(
                "client_secret",
                "is missing; write the secret that the provider shows, or the path of a file with it as client_secret_file, such as /run/secrets/client_secret",
            );
        }
        ClientSecret::None
    }

    /// Reads what the client secret of Apple is signed with.
    fn apple(&mut self, public_url: &Url) -> ClientSecret {
        if public_url.scheme() != "https" {
            let message = "Apple sends browsers back to https alone; write a URL such as https://auth.example.com";
            self.r.problem("server.public_url", message.into());
        }
        ClientSecret::Apple {
            team_id: self.needed_id("team_id"),
            key_id: self.needed_id("key_id"),
            key: self.apple_key(),
        }
    }

    fn apple_key(&mut self) -> Secret {
        let key = self.key("key_file");
        let path = self.r.path(&key, "");
        let read = match path {
            None => Err("is missing; write the path of the private key that Apple gave, such as AuthKey_ABC123DEFG.p8".to_owned()),
            Some(path) => secret_file::read(&path)
                .map_err(|error| format!("{error}; write the path of a file that only this user can read"))
                .and_then(|pem| values::p256_key(&pem).map(|()| pem)),
        };
        Secret(read.unwrap_or_else(|message| {
            self.r.problem(&key, message);
            Zeroizing::default()
        }))
    }
}
