//! `keys …`: the signing keys and the master key.

use std::io::Read;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::app::App;
use crate::config::Config;
use crate::flows::key::change_keys;
use crate::flows::key::change_keys::{Changed, KeyChange, describe};
use crate::flows::key::inspect_keys;
use crate::flows::permit::Permitted;
use crate::flows::token::session_tokens;
use crate::model::key::key::{Key, KeyOperation, State, Step};

use super::{Failure, Output, Result, ask, lost_key, operator, output, processes, rewrap, start};

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Format {
    /// A JWK Set (RFC 7517)
    #[default]
    Jwks,
    /// SubjectPublicKeyInfo PEM blocks
    Pem,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum As {
    /// Signs next
    #[default]
    Standby,
    /// Only verifies tokens that it signed elsewhere
    Retired,
}

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// List keys: kid, algorithm, state, since when, when they leave the JWKS; as a table also the
    /// master keys and which processes hold them
    List {
        /// Revoked and removed keys too
        #[arg(long)]
        all: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Let the standby key sign from now on
    #[command(
        after_help = "Examples:\n  countersign keys rotate --dry-run\n  countersign keys rotate --compromised --yes    the master key or the database with it leaked"
    )]
    Rotate {
        /// The keys leaked: replace all of them. Verifiers with caches refuse new tokens until they
        /// fetch again
        #[arg(long)]
        compromised: bool,
        /// Do not wait until every verifier can have seen the standby key
        #[arg(long)]
        force: bool,
        /// Print the plan and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Take a leaked key out of the JWKS at once; the standby key takes over
    Revoke {
        /// The key
        // One thumbprint in 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Why; kept with the key
        #[arg(long)]
        reason: String,
        /// Print the plan and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Print the public keys; private keys are never exported
    Export {
        /// Required, so that nobody expects more
        #[arg(long, required = true)]
        public: bool,
        /// Which form
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Import an Ed25519 private key (PKCS#8 PEM or JWK)
    Import {
        /// The file; - for standard input
        file: PathBuf,
        /// What it becomes
        #[arg(long = "as", value_enum, default_value_t)]
        state: As,
        /// The kid you expect; refused if the key's thumbprint is another
        #[arg(long, allow_hyphen_values = true)]
        kid: Option<String>,
        /// Print the plan and write nothing
        #[arg(long)]
        dry_run: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// List the processes that serve, and which master keys each of them holds
    Processes {
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Seal every private key under a new master key
    #[command(
        after_help = "Give every replica the new key first as COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE, then rewrap, then make it the master key and keep\nthe old one as the previous key for sessions.idle_ttl. Refused while a running process lacks the new key (`keys processes`). With --compromised\nthe old key is not accepted any more: everybody signs in again."
    )]
    Rewrap(rewrap::Arguments),
    /// Give up everything that a lost master key sealed: new signing keys, everybody signs in again
    /// (docs/operations.md)
    Abandon {
        /// Required, so that the command is not mistaken for a rotation
        #[arg(long, required = true)]
        lost_master_key: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Explain an access token: which key, which claims, valid or why not
    Verify {
        /// The token; - for standard input
        token: String,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

pub(super) async fn run(command: Keys, config: Config) -> Result<()> {
    if let Keys::Abandon {
        lost_master_key: _,
        yes,
        output,
    } = command
    {
        return lost_key::abandon(config, yes, output).await;
    }
    let app = start(config).await?;
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Keys) -> Result<()> {
    match command {
        Keys::List { all, output } => list(app, all, output).await,
        Keys::Rotate {
            compromised,
            force,
            dry_run,
            yes,
            output,
        } => {
            let wish = if compromised {
                KeyOperation::ReplaceAll
            } else {
                KeyOperation::Rotate { force }
            };
            if compromised && !dry_run {
                let blind =
                    app.config.keys.policy.jwks_max_age + app.config.keys.policy.verifier_cache;
                output::note(&format!(
                    "Verifiers that do not fetch at once on an unknown kid will refuse new tokens for up to {blind:?}."
                ));
                ask::confirm("Replace every signing key?", yes)?;
            }
            let active = inspect_keys::active_kid(app);
            change(
                app,
                KeyChange::new(wish.clone(), operator()).if_active(active),
                &wish,
                dry_run,
                output,
            )
            .await
        }
        Keys::Revoke {
            kid,
            reason,
            dry_run,
            yes,
            output,
        } => {
            let wish = KeyOperation::Revoke(kid.clone());
            if !dry_run {
                ask::confirm(
                    &format!(
                        "Revoke {kid}? Tokens that it signed die as verifiers fetch the JWKS."
                    ),
                    yes,
                )?;
                warn_young_standby(app);
            }
            change(
                app,
                KeyChange::new(wish.clone(), operator()).with_reason(&reason),
                &wish,
                dry_run,
                output,
            )
            .await
        }
        Keys::Export { public: _, format } => {
            match format {
                Format::Jwks => output::line(&inspect_keys::jwks(app)),
                Format::Pem => inspect_keys::pems(app)
                    .await?
                    .iter()
                    .for_each(|pem| output::line(pem.trim_end())),
            }
            Ok(())
        }
        Keys::Import {
            file,
            state,
            kid,
            dry_run,
            output,
        } => import(app, &file, state, kid.as_deref(), dry_run, output).await,
        Keys::Processes { output } => processes::list(app, output).await,
        Keys::Rewrap(arguments) => rewrap::run(app, arguments).await,
        Keys::Abandon { .. } => Err(Failure::Internal(
            "the keys were loaded, and so the master key is not lost".into(),
        )),
        Keys::Verify { token, output } => verify(app, &token, output).await,
    }
}

async fn list(app: &App, all: bool, format: Output) -> Result<()> {
    let ring = inspect_keys::ring(app)?;
    let since = |k: &Key| {
        k.ended_at
            .or(k.retired_at)
            .or(k.activated_at)
            .unwrap_or(k.published_at)
    };
    let row = |k: &Key| {
        vec![
            json!(k.kid),
            json!(k.algorithm),
            json!(k.state.as_str()),
            json!(since(k)),
            json!(k.leaves_at()),
            json!(k.reason),
        ]
    };
    let rows: Vec<_> = ring
        .keys
        .iter()
        .filter(|k| all || k.state.is_published())
        .map(row)
        .collect();
    output::rows(
        format,
        &[
            "kid",
            "algorithm",
            "state",
            "since",
            "leavesJwksAt",
            "reason",
        ],
        &rows,
    );
    if let (Output::Table, Some(at)) = (format, ring.next_rotation(&app.config.keys.policy)) {
        output::note(&format!("Next rotation: {at}"));
    }
    if format == Output::Table {
        processes::beside_keys(app).await
    } else {
        Ok(())
    }
}

async fn change(
    app: &App,
    order: KeyChange,
    wish: &KeyOperation,
    dry_run: bool,
    format: Output,
) -> Result<()> {
    let steps = change_keys::preview(app, wish).await?;
    if dry_run {
        print_change(
            format,
            &Changed {
                steps,
                created: vec![],
            },
            false,
        );
        return Ok(());
    }
    let changed = change_keys::change(app, Permitted::as_operator(), order).await?;
    print_change(format, &changed, true);
    Ok(())
}

fn print_change(format: Output, changed: &Changed, written: bool) {
    let steps: Vec<String> = changed.steps.iter().map(describe).collect();
    output::object(
        format,
        &[
            ("steps", json!(steps)),
            ("created", json!(changed.created)),
            ("written", json!(written)),
        ],
    );
    let second = changed.steps.iter().find_map(|s| {
        if let Step::RotateAfter(Some(at)) = s {
            Some(*at)
        } else {
            None
        }
    });
    if let (Some(at), true) = (second, written) {
        output::note(&format!(
            "A second rotation follows after {at}, for verifiers that fetch only when they meet an unknown kid."
        ));
    }
}

fn warn_young_standby(app: &App) {
    let Ok(ring) = inspect_keys::ring(app) else {
        return;
    };
    let (Some(standby), needed) = (
        ring.in_state(State::Standby),
        app.config.keys.policy.publish_before_use(&ring),
    ) else {
        return;
    };
    let age = app.now().since(standby.published_at);
    if age < needed {
        output::note(&format!(
            "The standby key is published for {age:?} only: verifiers with caches may refuse its tokens for up to {:?}.",
            needed.saturating_sub(age)
        ));
    }
}

async fn import(
    app: &App,
    file: &std::path::Path,
    state: As,
    kid: Option<&str>,
    dry_run: bool,
    format: Output,
) -> Result<()> {
    let text = zeroize::Zeroizing::new(read(file)?);
    let order = KeyChange::import(&text, state == As::Retired, operator())?;
    let found = order.imported_kid().unwrap_or_default().to_owned();
    if kid.is_some_and(|expected| expected != found) {
        return Err(Failure::Refused(format!(
            "the key's thumbprint is {found}; a kid here is always the thumbprint (RFC 7638)"
        )));
    }
    if dry_run {
        output::object(format, &[("kid", json!(found)), ("written", json!(false))]);
        return Ok(());
    }
    let changed = change_keys::change(app, Permitted::as_operator(), order).await?;
    print_change(format, &changed, true);
    Ok(())
}

fn read(file: &std::path::Path) -> Result<String> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(65_536)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|f| f.take(65_536).read_to_string(&mut text))
    };
    read.map_err(|e| Failure::Usage(format!("cannot read {}: {e}", file.display())))?;
    Ok(text)
}

async fn verify(app: &App, token: &str, format: Output) -> Result<()> {
    let token = if token == "-" {
        read(std::path::Path::new("-"))?
    } else {
        token.to_owned()
    };
    let report = session_tokens::explain(app, &token).await?;
    let claims = match format {
        Output::Json => report.claims.clone().unwrap_or(Value::Null),
        Output::Table => json!(
            report
                .claims
                .as_ref()
                .and_then(|c| serde_json::to_string(c).ok())
        ),
    };
    let members = [
        ("valid", json!(report.problems.is_empty())),
        ("kid", json!(report.kid)),
        ("keyState", json!(report.key_state)),
        ("claims", claims),
        ("problems", json!(report.problems)),
    ];
    output::object(format, &members);
    if report.problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Refused("the token is not valid".into()))
    }
}
