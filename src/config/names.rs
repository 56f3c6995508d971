//! Names that the operator chooses in the settings: of roles, claims and audiences.

use std::collections::BTreeSet;

use super::reader::Reader;
use super::text;

impl Reader {
    /// Reads the names that the operator chose in a section such as `roles`; `check` returns what
    /// is wrong with a name.
    pub(super) fn names_under(
        &mut self,
        section: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Vec<String> {
        let prefix = format!("{section}.");
        let names: Vec<String> = self
            .entries
            .keys()
            .filter_map(|k| k.strip_prefix(&prefix))
            .map(ToOwned::to_owned)
            .collect();
        let mut good = Vec::new();
        for name in names {
            match text::check(&name).and_then(|()| check(&name)) {
                Ok(()) => good.push(name),
                Err(message) => {
                    let key = format!("{prefix}{name}");
                    // It is refused because of its form, so it is not reported as unknown.
                    if let Some(entry) = self.entries.get_mut(&key) {
                        entry.asked = true;
                    }
                    self.problem(&key, text::with_example(&key, "", message));
                }
            }
        }
        good
    }

    /// Reads the names of the groups of settings in a section such as `audiences`: `billing` if there
    /// is `audiences.billing.typ`.
    pub(super) fn groups_under(
        &mut self,
        section: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Vec<String> {
        let prefix = format!("{section}.");
        let of_group = |key: &String| {
            let (name, _) = key.strip_prefix(&prefix)?.split_once('.')?;
            Some(name.to_owned())
        };
        let names: BTreeSet<String> = self.entries.keys().filter_map(of_group).collect();
        let (good, bad): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| check(name).is_ok());
        for name in bad {
            // They are refused because of the name, so they are not reported as unknown.
            let of_it = format!("{prefix}{name}.");
            for (key, entry) in &mut self.entries {
                entry.asked |= key.starts_with(&of_it);
            }
            let message = check(&name).err().unwrap_or_default();
            self.problem(&format!("{prefix}{name}"), message);
        }
        good
    }
}
