//! The 100,000 most frequent passwords of at least eight characters, in a finite-state set that is
//! searched inside the binary. `assets/README.md` names the source of the list.

use fst::Set;

static LIST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/common_passwords.fst"));

/// Returns whether the password is one of them; upper and lower case count as equal.
pub fn is_common(password: &str) -> bool {
    Set::new(LIST).is_ok_and(|set| set.contains(password.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_are_known_in_any_case_and_others_are_not() {
        assert_eq!(Set::new(LIST).unwrap().len(), 100_000);
        for common in [
            "12345678",
            "password1",
            "PassWord1",
            "qwertyuiop",
            "iloveyou1",
        ] {
            assert!(is_common(common), "{common}");
        }
        for good in [
            "a good long password",
            "password1 ",
            "Tr0ub4dor&3 horse",
            "",
            "пароль-подлиннее",
        ] {
            assert!(!is_common(good), "{good}");
        }
    }
}
