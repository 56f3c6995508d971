//! Password hashes that other software made: what `accounts.password_hash` holds for a user who was
//! imported, until the first sign-in. `text` reads and prints the stored form, `readers` read the
//! spellings of each software, `recipe` says what was computed, `bounds` how much of it is allowed,
//! `outcome` compares a password. `crypto::password` runs all of it on its threads.

mod base64s;
mod bcrypt;
mod bounds;
mod crypt;
pub mod decoy;
mod derive;
mod digest;
mod forms;
mod kind;
mod outcome;
mod params;
mod pepper;
mod phc;
mod phpass;
mod readers;
mod recipe;
mod stored;
mod text;
mod unusable;

pub use forms::{Form, Renewal};
pub use kind::Kind;
pub use outcome::{cut_hash, verify};
pub use pepper::{OtherPepper, Pepper};
pub use readers::{FirebaseParameters, Format, Options, Salt};
pub use recipe::Order;
pub use stored::ForeignHash;
pub use unusable::Unusable;
