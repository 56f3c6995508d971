//! `upstream …`: the other issuers of the settings, what to register there, and whether they answer.

use std::sync::Arc;

use clap::Subcommand;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::upstream::{ClientSecret, Kind, Provider};
use crate::upstream::{Failure as Unusable, Found, Upstream};

use super::output::{self, List};
use super::table::{name, text};
use super::{Failure, Output, Result};

#[derive(Debug, Subcommand)]
pub(super) enum UpstreamCommand {
    /// List the providers of the settings, with the redirect URI that is registered at each
    List {
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Ask a provider, or all of them, for its discovery document and public keys
    #[command(
        after_help = "The exit status is 1 if a provider does not answer as it should. A client id and its secret are not tried: only a sign-in does that."
    )]
    Check {
        /// The id of a provider, as in [upstream.ID]
        id: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

pub(super) fn run(command: &UpstreamCommand, config: &Config) -> Result<()> {
    match command {
        UpstreamCommand::List { output } => {
            list(*output, config);
            Ok(())
        }
        UpstreamCommand::Check { id, output } => check(*output, config, id.as_deref()),
    }
}

/// Returns the URL to which a provider sends browsers back.
fn redirect_uri(config: &Config, provider: &Provider) -> String {
    let server = &config.server;
    provider.redirect_uri(&server.public_url, &server.base_path)
}

fn list(form: Output, config: &Config) {
    let columns = [
        name("id"),
        text("kind"),
        text("name"),
        text("issuer"),
        text("redirectUri"),
        text("scopes"),
    ];
    let item = |provider: &Arc<Provider>| {
        json!({
            "id": provider.id.as_str(),
            "kind": provider.kind.word(),
            "name": provider.name,
            "issuer": provider.issuer,
            "redirectUri": redirect_uri(config, provider),
            "scopes": provider.scopes.join(" "),
        })
    };
    let items = config.upstream.iter().map(item).collect();
    output::list(form, &List::whole("providers", &columns, items));
}

/// Prints what an operator registers at each provider.
pub(super) fn note_registrations(config: &Config) {
    for provider in config.upstream.iter() {
        output::note(&format!(
            "Register at {} ({}) the redirect URI {}, with the scopes {}.",
            provider.name,
            provider.id,
            redirect_uri(config, provider),
            provider.scopes.join(" "),
        ));
        let server = &config.server;
        if let Some(uri) = provider.logout_uri(&server.public_url, &server.base_path) {
            output::note(&format!(
                "  If it offers back-channel logout, register the logout URI {uri}."
            ));
        }
        if provider.kind == Kind::Apple {
            let host = config.server.public_url.host_str().unwrap_or_default();
            output::note(&format!(
                "  Apple also wants the domain {host}, and the email domain that mails are sent from."
            ));
        }
        if matches!(provider.secret, ClientSecret::None) {
            output::note("  It is registered as a public client: there is no client_secret.");
        }
    }
}

/// What one provider has answered.
pub(super) type Asked<'c> = (&'c Provider, std::result::Result<Found, Unusable>);

/// Asks providers now, at the same time.
///
/// # Errors
/// Why requests cannot be made.
fn ask<'c>(config: &'c Config, providers: Vec<&'c Provider>) -> Result<Vec<Asked<'c>>> {
    let upstream = Upstream::new(&config.upstream, Arc::new(SystemClock))
        .map_err(|reason| Failure::Startup(format!("upstream: {reason}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(format!("cannot start the runtime: {error}")))?;
    let answers = providers.iter().map(|provider| upstream.check(provider));
    let answers = runtime.block_on(join_all(answers));
    Ok(providers.into_iter().zip(answers).collect())
}

/// Asks every provider of the settings.
///
/// # Errors
/// Why requests cannot be made.
pub(super) fn ask_all(config: &Config) -> Result<Vec<Asked<'_>>> {
    ask(config, config.upstream.iter().map(|one| &**one).collect())
}

fn check(form: Output, config: &Config, id: Option<&str>) -> Result<()> {
    let providers: Vec<&Provider> = match id {
        None => config.upstream.iter().map(|one| &**one).collect(),
        Some(id) => {
            let found = config.upstream.find(id);
            let missing =
                || Failure::Refused(format!("there is no provider {id:?} in the settings"));
            vec![&**found.ok_or_else(missing)?]
        }
    };
    let asked = ask(config, providers)?;
    let columns = [
        name("id"),
        text("answer"),
        text("keys"),
        text("issuer"),
        text("authorizationEndpoint"),
        text("tokenEndpoint"),
        text("userinfoEndpoint"),
        text("jwksUri"),
    ];
    let items = asked.iter().map(item).collect();
    output::list(form, &List::whole("providers", &columns, items));
    refuse_unusable(&asked)
}

/// Refuses if a provider did not answer as it should.
///
/// # Errors
/// [`Failure::Refused`], which names those providers.
pub(super) fn refuse_unusable(asked: &[Asked<'_>]) -> Result<()> {
    let unusable = asked.iter().filter(|(_, answer)| answer.is_err());
    let names: Vec<&str> = unusable.map(|(provider, _)| provider.id.as_str()).collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(Failure::Refused(format!(
            "cannot be used now: {}",
            names.join(", ")
        )))
    }
}

/// Returns the row of one provider.
pub(super) fn item((provider, answer): &Asked<'_>) -> Value {
    match answer {
        Ok(found) => json!({
            "id": provider.id.as_str(),
            "answer": "good",
            "keys": found.keys,
            "issuer": found.issuer,
            "authorizationEndpoint": found.authorization_endpoint,
            "tokenEndpoint": found.token_endpoint,
            "userinfoEndpoint": found.userinfo_endpoint,
            "jwksUri": found.jwks_uri,
        }),
        Err(failure) => json!({
            "id": provider.id.as_str(),
            "answer": failure.to_string(),
            "keys": Value::Null,
            "issuer": provider.issuer,
            "authorizationEndpoint": Value::Null,
            "tokenEndpoint": Value::Null,
            "userinfoEndpoint": Value::Null,
            "jwksUri": Value::Null,
        }),
    }
}
