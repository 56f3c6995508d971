//! `[pages]`: the pages, their name, colours and languages. Their path, `pages.path`, is a part of
//! `server.mount`.

use std::path::Path;
use std::sync::Arc;

use crate::model::kernel::colour::Colour;
use crate::model::kernel::locale::Locales;
use crate::model::kernel::location;
use crate::model::kernel::naming::{InvalidName, ServiceName};
use crate::model::kernel::origin::TrustedOrigins;
use crate::model::kernel::redirect::is_trusted_redirect;

use super::reader::Reader;
use super::text;

/// `[pages]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Pages {
    pub enabled: bool,
    pub repeat_password: bool,
    pub name: Option<ServiceName>,
    pub home: String,
    pub accent: Colour,
    pub accent_dark: Colour,
    pub logo: Option<Arc<Logo>>,
    pub locales: Locales,
}

/// `pages.logo`, ready to be served.
#[derive(Debug)]
pub struct Logo {
    /// The content of the file.
    pub bytes: Vec<u8>,
    /// The media type, by the extension of the file.
    pub media_type: &'static str,
}

/// The greatest length of `pages.home`, in bytes; it is sent in `Location` and in the policy of
/// pages.
const LONGEST_HOME: usize = 1_024;

const MAX_LOGO: usize = 256 * 1024;

fn logo(path: &str) -> Result<Option<Arc<Logo>>, String> {
    if path.is_empty() {
        return Ok(None);
    }
    let extension = Path::new(path)
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let media_type = match extension.as_str() {
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        _ => {
            return Err(format!("{path}: the file must end in .svg, .png or .webp"));
        }
    };
    let bytes = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
    if bytes.len() > MAX_LOGO {
        return Err(format!("{path}: is larger than 256 KiB"));
    }
    Ok(Some(Arc::new(Logo { bytes, media_type })))
}

/// Reads the names and contents of the operator's catalogues.
fn catalogues(dir: &str) -> Result<Vec<(String, String)>, String> {
    if dir.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| format!("{dir}: {e}"))? {
        let path = entry.map_err(|e| format!("{dir}: {e}"))?.path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        if path.extension().is_some_and(|e| e == "json") {
            let text =
                std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            found.push((name, text));
        }
    }
    Ok(found)
}

pub(super) fn read(r: &mut Reader, base_path: &str, trusted: &TrustedOrigins) -> Option<Pages> {
    let enabled = r.flag("pages.enabled", true);
    if enabled && base_path == "/auth" {
        r.problem(
            "server.base_path",
            "/auth is the path of the pages, inside the service wherever pages.path is; choose another path, or set pages.enabled to false"
                .into(),
        );
    }
    let repeat_password = r.flag("pages.repeat_password", false);
    let name = r.parsed("pages.name", "", |text| {
        if text.is_empty() {
            Ok(None)
        } else {
            text.parse()
                .map(Some)
                .map_err(|e: InvalidName| e.to_string())
        }
    });
    let home = r.parsed("pages.home", "/auth/account", |text| {
        let good = text.len() <= LONGEST_HOME && is_trusted_redirect(text, trusted);
        if good {
            Ok(location::in_header(text))
        } else {
            Err(
                "write a path of this service such as /auth/account, or a URL of a trusted origin"
                    .to_owned(),
            )
        }
    });
    let accent = r.value("pages.accent", "#1f5eff", "a colour such as #1f5eff");
    let accent_dark = r.value("pages.accent_dark", "#7aa2ff", "a colour such as #7aa2ff");
    let logo = r.parsed_path("pages.logo", "", logo).flatten();
    let more = r
        .parsed_path("pages.languages_dir", "", catalogues)
        .unwrap_or_default();
    let language = r.text("pages.language", "en");
    let locales = Locales::build(&more)
        .map_err(|e| {
            r.problem(
                "pages.languages_dir",
                text::with_example("pages.languages_dir", "", e),
            );
        })
        .ok()?;
    let locales = locales
        .fall_back_on(&language)
        .map_err(|e| {
            r.problem(
                "pages.language",
                text::with_example("pages.language", "en", e),
            );
        })
        .ok()?;
    Some(Pages {
        enabled,
        repeat_password,
        name: name?,
        home: home?,
        accent: accent?,
        accent_dark: accent_dark?,
        logo,
        locales,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Sources};

    fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
        let flags = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Config::load(&Sources {
            flags,
            ..Sources::default()
        })
        .err()
        .into_iter()
        .flatten()
        .map(|problem| problem.key)
        .collect()
    }

    #[test]
    fn what_cannot_be_shown_is_refused_at_start() {
        for (key, value) in [
            ("pages.accent", "red"),
            ("pages.accent_dark", "#fff;}body{display:none"),
            ("pages.logo", "/nowhere/logo.svg"),
            ("pages.logo", "Cargo.toml"),
            ("pages.home", "https://evil.example/"),
            ("pages.home", "//evil.example"),
            ("pages.languages_dir", "/nowhere"),
            ("pages.path", "/api/auth/pages"),
            ("pages.path", "/.well-known/pages"),
            ("pages.path", "/auth/"),
        ] {
            assert_eq!(problems(&[(key, value)]), [key], "{value}");
        }
        assert_eq!(problems(&[("pages.language", "tlh")]), ["pages.language"]);
        assert_eq!(
            problems(&[("server.base_path", "/auth")]),
            ["server.base_path"]
        );
        assert!(problems(&[("server.base_path", "/auth"), ("pages.enabled", "false")]).is_empty());
        assert!(problems(&[("server.base_path", "/auth/api")]).is_empty());
    }
}
