//! Settings that name a file or a folder.

use std::path::PathBuf;

use super::reader::Reader;
use super::sources::Text;
use super::text;

impl Reader {
    /// Reads the path of a file or a folder. If the default is a path, the value must not be empty.
    pub(super) fn path(&mut self, key: &str, default: &str) -> Option<PathBuf> {
        let parse = |t: &str| {
            if t.is_empty() && !default.is_empty() {
                Err("name a path".to_owned())
            } else {
                Ok(t.to_owned())
            }
        };
        self.parsed_path(key, default, parse)
            .filter(|path| !path.is_empty())
            .map(Into::into)
    }

    /// Reads a setting that names a file or a folder; `parse` returns what is wrong with it.
    pub(super) fn parsed_path<T>(
        &mut self,
        key: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.resolve(key, "");
        self.parsed(key, default, parse)
    }

    /// Makes a relative path in the settings file relative to that file; `scheme` is what stands
    /// before the path. A path that was meant relative to the working directory, as earlier
    /// versions read it, is a problem: otherwise `serve` would create an empty database elsewhere.
    pub(super) fn resolve(&mut self, key: &str, scheme: &str) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let (Text::One(text), Some(folder)) = (&mut entry.text, &entry.folder) else {
            return;
        };
        // What is wrong with the text is told when it is read.
        let is_good = text::check(text).is_ok();
        let path = text.strip_prefix(scheme);
        let Some(written) = path.filter(|path| is_good && !path.is_empty()) else {
            return;
        };
        let (here, there) = (PathBuf::from(written), folder.join(written));
        let message = (here != there && here.exists() && !there.exists()).then(|| {
            format!(
                "a relative path is relative to the settings file: {} does not exist, but {} does; write the absolute path",
                there.display(),
                std::path::absolute(&here).unwrap_or(here).display()
            )
        });
        *text = format!("{scheme}{}", there.display());
        if let Some(message) = message {
            self.problem(key, message);
        }
    }
}
