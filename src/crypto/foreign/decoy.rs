//! What an absent user costs: as much as one of the users who are there, drawn by the email address
//! from the shares of the kinds of hashes in the database, so that the clock does not tell who exists.

use hmac::Mac;

use crate::crypto::argon2id::{OUTPUT, SALT, phc};
use crate::crypto::master_key::{MasterKey, mac};
use crate::model::account::email::Email;

use super::recipe::Recipe;
use super::stored::{ForeignHash, Wrap};
use super::text::{Head, read_head};

/// A class of hashes that cost the same.
#[derive(Debug, Clone, PartialEq)]
struct Share {
    /// What the stored texts of the class have in common.
    class: String,
    /// The number of hashes.
    count: f64,
    /// A stored text of the class that is the hash of nothing; `None` if such hashes cannot be verified.
    decoy: Option<String>,
}

/// How many hashes of each class there are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shares(Vec<Share>);

/// Returns what the stored texts of equal cost have in common: everything in front of salt and hash.
pub fn class_of(stored: &str) -> &str {
    let dollars = if stored.starts_with("$argon2id$") {
        4
    } else {
        3
    };
    let end = stored.match_indices('$').nth(dollars - 1);
    end.map_or(stored, |(at, _)| &stored[..=at])
}

impl Shares {
    /// Takes the classes with their numbers of hashes.
    pub fn new(counted: impl IntoIterator<Item = (String, u32)>) -> Self {
        let share = |(class, count): (String, u32)| Share {
            decoy: decoy_of(&class).filter(|_| count > 0),
            count: f64::from(count),
            class,
        };
        Self(counted.into_iter().map(share).collect())
    }

    /// Returns whether the class of a stored hash was counted.
    pub fn knows(&self, stored: &str) -> bool {
        let class = class_of(stored);
        self.0.iter().any(|share| share.class == class)
    }

    /// Returns the stored text with which the password of an absent user is compared; `None` if there
    /// are no passwords at all. The same email address always gets the same class, and a change of one
    /// share moves only email addresses that come to this class or leave it.
    pub fn draw(&self, key: &MasterKey, email: &Email) -> Option<&str> {
        let score = |share: &Share| -uniform(key, email, &share.class).ln() / share.count;
        let lowest = self
            .0
            .iter()
            .filter(|share| share.decoy.is_some())
            .min_by(|one, other| score(one).total_cmp(&score(other)));
        lowest.and_then(|share| share.decoy.as_deref())
    }
}

/// Returns a number above 0 and at most 1 that depends on the key, the email address and the class.
fn uniform(key: &MasterKey, email: &Email, class: &str) -> f64 {
    let code = mac(&key.decoy)
        .chain_update(email.as_str())
        .chain_update([0])
        .chain_update(class)
        .finalize()
        .into_bytes();
    let drawn = u32::from_be_bytes([code[0], code[1], code[2], code[3]]);
    (f64::from(drawn) + 1.0) / (f64::from(u32::MAX) + 1.0)
}

/// Returns a stored text of this class that is the hash of nothing.
fn decoy_of(class: &str) -> Option<String> {
    let text = if class.starts_with("$argon2id$") {
        let empty = phc(crate::crypto::argon2id::Cost::MAX, &[0; SALT], &[0; OUTPUT]);
        format!("{class}{}", &empty[class_of(&empty).len()..])
    } else if class.starts_with("$2") {
        format!("{class}{}", ".".repeat(53))
    } else {
        let head = class.strip_prefix("$cs$")?.strip_suffix('$')?;
        let Head { recipe, wrap } = read_head(head).ok()?;
        return Some(nothing(recipe, wrap)?.print());
    };
    ForeignHash::parse(&text).ok().map(|hash| hash.print())
}

fn nothing(
    recipe: Recipe,
    wrap: Option<(crate::crypto::argon2id::Cost, usize)>,
) -> Option<ForeignHash> {
    let salts = recipe.salts();
    let salt = vec![b'.'; (*salts.end()).min(SALT)];
    let Some((cost, inner)) = wrap else {
        let length = *recipe.outputs().end();
        return ForeignHash::bare(recipe, salt, vec![0; length]).ok();
    };
    let wrap = Wrap {
        cost,
        salt: vec![0; SALT],
        inner,
    };
    ForeignHash::with(recipe, salt, Some(wrap), vec![0; OUTPUT]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "$argon2id$v=19$m=19456,t=2,p=1$";
    const BCRYPT: &str = "$2b$10$";
    const WRAPPED: &str = "$cs$md5,salt=first,wl=16,wm=64,wt=1,wp=1$";

    fn shares(counted: &[(&str, u32)]) -> Shares {
        Shares::new(counted.iter().map(|(class, n)| ((*class).to_owned(), *n)))
    }

    fn drawn(shares: &Shares, n: usize) -> String {
        let email: Email = format!("user{n}@example.com").parse().unwrap();
        let key = MasterKey::new([7; 32]);
        class_of(shares.draw(&key, &email).unwrap()).to_owned()
    }

    #[test]
    fn absent_users_are_mixed_as_the_present_ones_are() {
        let mixed = shares(&[(OURS, 500), (BCRYPT, 400), (WRAPPED, 100)]);
        let of = |class: &str| (0..4_000).filter(|n| drawn(&mixed, *n) == class).count();
        assert!(of(OURS).abs_diff(2_000) < 150, "{}", of(OURS));
        assert!(of(BCRYPT).abs_diff(1_600) < 150, "{}", of(BCRYPT));
        assert!(of(WRAPPED).abs_diff(400) < 100, "{}", of(WRAPPED));
        let one = shares(&[(BCRYPT, 3)]);
        assert!((0..50).all(|n| drawn(&one, n) == BCRYPT));
        let email = "ana@example.com".parse().unwrap();
        assert_eq!(
            Shares::default().draw(&MasterKey::new([7; 32]), &email),
            None
        );
    }

    #[test]
    fn as_hashes_are_made_anew_absent_users_only_come_to_ours() {
        let before = shares(&[(OURS, 10), (BCRYPT, 400), (WRAPPED, 400)]);
        let after = shares(&[(OURS, 410), (BCRYPT, 200), (WRAPPED, 200)]);
        let mut moved = 0;
        for n in 0..1_000 {
            let (was, is) = (drawn(&before, n), drawn(&after, n));
            assert!(was == is || is == OURS, "{was} became {is}");
            moved += usize::from(was != is);
        }
        assert!(moved > 300, "{moved}");
    }

    #[test]
    fn the_class_is_what_hashes_of_one_cost_have_in_common_and_has_a_decoy() {
        for class in [
            OURS,
            BCRYPT,
            WRAPPED,
            "$cs$argon2,y=i,v=16,m=64,t=1,p=1$",
            "$cs$argon2,y=id,v=19,m=64,t=1,p=1,cut=72$",
            "$cs$bcrypt,c=12,pre=hex$",
            "$cs$pbkdf2,f=sha512,i=210000$",
            "$cs$scrypt,ln=14,r=16,p=1,form=nfkc$",
            "$cs$firebase,ln=14,r=8,p=1$",
            "$cs$sha512crypt,i=5000,wl=64,wm=64,wt=1,wp=1$",
            "$cs$sha256crypt,i=500000$",
            "$cs$md5crypt,wl=16,wm=64,wt=1,wp=1$",
            "$cs$phpass,ln=13,wl=16,wm=64,wt=1,wp=1$",
        ] {
            let decoy = decoy_of(class).unwrap_or_else(|| panic!("{class}"));
            assert_eq!(class_of(&decoy), class);
            let hash = ForeignHash::parse(&decoy).unwrap();
            assert_eq!(hash.print(), decoy);
            assert!(shares(&[(class, 1)]).knows(&decoy) && !shares(&[]).knows(&decoy));
        }
        for odd in [
            "plain",
            "$1$abc$",
            "$2b$99$",
            "$cs$unknown$",
            "$argon2id$v=19$m=4194304,t=3,p=1$",
        ] {
            assert_eq!(decoy_of(odd), None, "{odd}");
        }
    }
}
