//! Reads how a provider sends its answer: in the query of a redirect, or as a form that its page posts.

use url::Url;

use super::section::Section;
use super::{Kind, ResponseMode};
use crate::model::kernel::loopback::is_loopback;

impl Section<'_> {
    /// Reads how the provider sends its answer. Browsers keep the cookie that a posted form needs from
    /// https and from loopback alone.
    pub(super) fn response_mode(&mut self, kind: Kind, public_url: &Url) -> ResponseMode {
        match kind {
            Kind::Apple => return ResponseMode::FormPost,
            Kind::Oidc | Kind::Microsoft => {}
            Kind::Google | Kind::GitHub | Kind::GitLab => return ResponseMode::Query,
        }
        let key = self.key("response_mode");
        let modes = [
            ("query", ResponseMode::Query),
            ("form_post", ResponseMode::FormPost),
        ];
        let mode = self.r.choice(&key, &modes);
        let is_local = is_loopback(public_url.host_str().unwrap_or_default());
        if mode == ResponseMode::FormPost && public_url.scheme() != "https" && !is_local {
            let message = "form_post needs a service behind https; write query, or a server.public_url such as https://auth.example.com";
            self.problem("response_mode", message);
        }
        mode
    }
}
