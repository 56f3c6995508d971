//! The tokens of links in mails: key version (1 byte), row id (16), HMAC of both and of the purpose
//! (32). Computed when the mail is sent, checked before the database is asked, and never stored.

use hmac::Mac;
use zeroize::Zeroizing;

use crate::model::kernel::id::EventId;
use crate::model::mail::Purpose;

use super::master_key::{MasterKey, MasterKeys};
use super::{decode, encode};

const ID: usize = 16;
const LENGTH: usize = 1 + ID + 32;

/// Returns the token of a link as text, under the current master key.
pub fn make(id: EventId, purpose: Purpose, masters: &MasterKeys) -> Zeroizing<String> {
    let master = masters.current();
    let mut bytes = Zeroizing::new(vec![master.version]);
    bytes.extend_from_slice(id.as_bytes());
    let mac = mac(&master.key, &bytes, purpose).finalize().into_bytes();
    bytes.extend_from_slice(&mac);
    Zeroizing::new(encode(&bytes))
}

/// Returns the id of the row that the token belongs to, if it was made for this purpose.
pub fn open(text: &str, purpose: Purpose, masters: &MasterKeys) -> Option<EventId> {
    let bytes = Zeroizing::new(decode(text)?);
    if bytes.len() != LENGTH {
        return None;
    }
    let (head, tag) = bytes.split_at(1 + ID);
    let master = masters.version(head[0])?;
    mac(&master.key, head, purpose).verify_slice(tag).ok()?;
    let id: [u8; ID] = head[1..].try_into().ok()?;
    Some(EventId(uuid::Uuid::from_bytes(id)))
}

fn mac(key: &MasterKey, head: &[u8], purpose: Purpose) -> hmac::Hmac<sha2::Sha256> {
    key.mail_mac()
        .chain_update(head)
        .chain_update(purpose.as_str())
}
