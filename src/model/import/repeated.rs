//! Rows of one file that have the same email address, id or account at a provider. Which of them is right cannot
//! be known, so all of them are refused.

use std::collections::{BTreeMap, HashMap};

use super::candidate::Candidate;
use super::reason::{Place, Reason};
use crate::encoding::sha256;

/// The beginning of a hash, which stands for a text: a file may have millions of rows.
type Short = [u8; 16];

fn short(text: &str) -> Short {
    let mut short = [0; 16];
    short.copy_from_slice(&sha256(text.as_bytes())[..16]);
    short
}

/// The email addresses, ids and accounts of the rows so far.
#[derive(Debug, Default)]
pub struct Seen {
    emails: HashMap<Short, Place>,
    ids: HashMap<Short, Place>,
    kept_ids: HashMap<Short, Place>,
    accounts: HashMap<Short, Place>,
    repeated: BTreeMap<u64, Reason>,
}

impl Seen {
    /// Looks at the next row of the file.
    pub fn look_at(&mut self, candidate: &Candidate) {
        let Candidate {
            place,
            email,
            foreign_id,
            kept_id,
            accounts,
            ..
        } = candidate;
        let earlier = before(&mut self.emails, email.as_str(), *place);
        self.refuse(earlier, *place, Reason::RepeatedEmail);
        let earlier = before(&mut self.ids, foreign_id, *place);
        self.refuse(earlier, *place, Reason::RepeatedId);
        if let Some(id) = kept_id {
            let earlier = before(&mut self.kept_ids, &id.to_string(), *place);
            self.refuse(earlier, *place, Reason::RepeatedId);
        }
        for account in accounts {
            let account = format!("{}\n{}", account.provider, account.subject);
            let earlier = before(&mut self.accounts, &account, *place);
            self.refuse(earlier, *place, Reason::RepeatedAccount);
        }
    }

    /// Notes that two rows repeat each other, each with the line of the other one.
    fn refuse(&mut self, earlier: Option<Place>, place: Place, reason: fn(u64) -> Reason) {
        let Some(earlier) = earlier else { return };
        let both = [(earlier, place), (place, earlier)];
        for (one, other) in both {
            self.repeated
                .entry(one.number)
                .or_insert_with(|| reason(other.line));
        }
    }

    /// Returns the rows that are repeated, by their numbers.
    pub fn repeated(self) -> BTreeMap<u64, Reason> {
        self.repeated
    }
}

/// Returns the first row that has the text; notes this one if there is none.
fn before(seen: &mut HashMap<Short, Place>, text: &str, place: Place) -> Option<Place> {
    match seen.entry(short(text)) {
        std::collections::hash_map::Entry::Occupied(earlier) => Some(*earlier.get()),
        std::collections::hash_map::Entry::Vacant(free) => {
            free.insert(place);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::import::draft::Draft;

    fn seen(rows: &[(&str, &str)]) -> Vec<(u64, String)> {
        let mut seen = Seen::default();
        for (number, (id, email)) in (1..).zip(rows) {
            let draft = Draft {
                id: (*id).into(),
                email: (*email).into(),
                ..Draft::default()
            };
            let line = number + 10;
            seen.look_at(&draft.check(Place { number, line }).unwrap());
        }
        let repeated = seen.repeated().into_iter();
        repeated
            .map(|(number, reason)| (number, reason.to_string()))
            .collect()
    }

    #[test]
    fn rows_that_repeat_an_email_address_or_an_id_are_refused_with_each_others_lines() {
        assert!(seen(&[("1", "a@x.com"), ("2", "b@x.com")]).is_empty());
        assert_eq!(
            seen(&[("1", "a@x.com"), ("2", "b@x.com"), ("3", "A@x.com")]),
            [
                (1, "repeated_email: line 13".into()),
                (3, "repeated_email: line 11".into())
            ]
        );
        assert_eq!(
            seen(&[("1", "a@x.com"), ("1", "b@x.com")]),
            [
                (1, "repeated_id: line 12".into()),
                (2, "repeated_id: line 11".into())
            ]
        );
        let mut seen_accounts = Seen::default();
        for number in 1..=2 {
            let draft = Draft {
                email: format!("{number}@x.com"),
                accounts: vec![("google".into(), "10".into())],
                ..Draft::default()
            };
            let line = number + 10;
            seen_accounts.look_at(&draft.check(Place { number, line }).unwrap());
        }
        assert_eq!(
            seen_accounts.repeated().into_values().collect::<Vec<_>>(),
            [Reason::RepeatedAccount(12), Reason::RepeatedAccount(11)]
        );
        let thrice = [("1", "a@x.com"), ("2", "a@x.com"), ("3", "a@x.com")];
        assert_eq!(
            seen(&thrice).last(),
            Some(&(3, "repeated_email: line 11".into()))
        );
    }
}
