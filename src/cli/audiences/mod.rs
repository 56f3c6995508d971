//! `audiences`: the backends that the settings make tokens for, and what each pastes into its code.
//! It reads the settings alone.

mod lines;

use serde_json::{Value, json};

use crate::config::Config;
use crate::model::token::target::Target;

use self::lines::{Facts, LIBRARIES};
use super::output::{self, List};
use super::table::{Column, name, text};
use super::{Failure, Output, Result};

const COLUMNS: [Column; 6] = [
    name("name"),
    text("audience"),
    name("algorithm"),
    name("typ"),
    name("accessTtl"),
    text("jwks"),
];

/// Lists the audiences, or prints the lines to paste for one of them.
pub(super) fn run(config: &Config, name: Option<&str>, format: Output) -> Result<()> {
    let targets = &config.tokens.targets;
    let Some(name) = name else {
        let items = targets.all().map(|target| item(config, target)).collect();
        output::list(format, &List::whole("audiences", &COLUMNS, items));
        return Ok(());
    };
    let found = match name {
        "default" => Some(targets.default()),
        name => targets.of_name(name),
    };
    let Some(target) = found else {
        return Err(Failure::Usage(format!(
            "no audience in the settings has the name {name:?}; `countersign audiences` lists them"
        )));
    };
    paste(config, target, format);
    Ok(())
}

fn jwks_url(config: &Config, target: &Target) -> String {
    let origin = config.server.public_url.as_str().trim_end_matches('/');
    let set = target
        .name
        .in_settings()
        .map_or(String::new(), |name| format!("/{name}"));
    format!("{origin}{}/jwks{set}", config.server.base_path)
}

fn item(config: &Config, target: &Target) -> Value {
    json!({
        "name": target.name.label(),
        "audience": target.audience.all().join(", "),
        "algorithm": target.algorithm,
        "typ": target.typ.as_str(),
        "accessTtl": humantime::format_duration(target.access_ttl).to_string(),
        "issuer": target.issuer,
        "jwks": jwks_url(config, target),
    })
}

fn paste(config: &Config, target: &Target, format: Output) {
    let jwks = jwks_url(config, target);
    let facts = Facts {
        audience: target.audience.all().first().map_or("", String::as_str),
        issuer: target.issuer.as_str(),
        jwks: &jwks,
        algorithm: target.algorithm,
        typ: target.typ,
    };
    let lines: Vec<(&str, std::result::Result<String, String>)> = LIBRARIES
        .iter()
        .map(|library| (library.name, library.lines(&facts)))
        .collect();
    if format == Output::Json {
        let line = |(library, lines): &(&str, std::result::Result<String, String>)| json!({ "library": library, "lines": lines.as_ref().ok(), "problem": lines.as_ref().err() });
        let mut whole = item(config, target);
        whole["libraries"] = lines.iter().map(line).collect();
        let members: Vec<(&str, Value)> = whole
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        output::object(format, &members);
        return;
    }
    for (name, value) in item(config, target).as_object().into_iter().flatten() {
        output::line(&format!("{name}: {}", value.as_str().unwrap_or_default()));
    }
    output::line("");
    output::line(&format!(
        "Also refuse a token whose header has another typ than {}; most libraries leave that to you.",
        target.typ.as_str()
    ));
    for (library, lines) in lines {
        output::line("");
        match lines {
            Ok(lines) => {
                output::line(&format!("# {library}"));
                output::line(&lines);
            }
            Err(problem) => {
                output::line(&format!("# {library}: {problem}"));
            }
        }
    }
}
