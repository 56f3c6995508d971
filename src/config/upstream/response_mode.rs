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

#[cfg(test)]
mod tests {
    use crate::config::{Config, Sources};

    /// The settings of a provider of this kind, or the keys of what is wrong with them.
    fn load(public_url: &str, kind: &str, mode: &str) -> Result<Config, Vec<String>> {
        let mut flags = vec![
            ("server.public_url", public_url),
            ("server.allow_insecure", "true"),
            ("upstream.acme.kind", kind),
            ("upstream.acme.client_id", "countersign"),
            ("upstream.acme.client_secret", "geheim"),
            ("upstream.acme.response_mode", mode),
        ];
        if kind == "oidc" {
            flags.push(("upstream.acme.issuer", "https://id.acme.example"));
        }
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let sources = Sources {
            flags: flags.into_iter().map(own).collect(),
            ..Sources::default()
        };
        let keys = |problems: Vec<crate::config::Problem>| {
            problems.into_iter().map(|problem| problem.key).collect()
        };
        Config::load(&sources).map_err(keys)
    }

    #[test]
    fn an_answer_is_posted_to_https_or_loopback_by_providers_that_can() {
        const HTTPS: &str = "https://auth.example.com";
        for (public_url, kind, mode, posts) in [
            (HTTPS, "oidc", "query", false),
            (HTTPS, "oidc", "form_post", true),
            (HTTPS, "microsoft", "form_post", true),
            ("http://localhost:4000", "oidc", "form_post", true),
            ("http://auth.example.com", "oidc", "query", false),
        ] {
            let config = load(public_url, kind, mode).unwrap();
            let provider = config.upstream.find("acme").unwrap();
            assert_eq!(provider.posts_form(), posts, "{public_url} {kind} {mode}");
        }
        for (public_url, kind, mode) in [
            ("http://auth.example.com", "oidc", "form_post"),
            (HTTPS, "oidc", "fragment"),
            (HTTPS, "google", "form_post"),
            (HTTPS, "github", "form_post"),
            (HTTPS, "gitlab", "query"),
        ] {
            let problems = load(public_url, kind, mode).unwrap_err();
            assert_eq!(problems, ["upstream.acme.response_mode"], "{kind} {mode}");
        }
    }
}
