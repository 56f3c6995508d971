//! The last presenters of a session's refresh tokens, sealed. Each is a compact JWE (`dir`,
//! `A256GCM`) under a key with a label of its own, padded to one length. A short tag precedes it,
//! by which an SQL statement recognises that the presenter has not changed. The tag is a MAC of
//! session, network and user agent, so that it does not link two sessions. An entry that no loaded
//! master key opens counts as unknown and is not an error.

use std::net::{IpAddr, Ipv6Addr};

use hmac::Mac;
use josekit::jwe::{self, JweHeader, alg::direct::DirectJweAlgorithm};

use crate::model::kernel::id::SessionId;
use crate::model::kernel::time::Timestamp;
use crate::model::session::presenter::{KEPT_AGENT, Presenter};

use super::encode;
use super::master_key::{MasterKey, MasterKeys};

/// Length of the tag, in characters.
pub const TAG: usize = 11;
/// Length of an entry with its tag, in characters. `store::session::refresh` cuts entries by it.
pub const ENTRY: usize = 396;
const PLAIN: usize = 16 + 8 + 17 + KEPT_AGENT;

/// A sealed presenter, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Recognises the same presenter again.
    pub tag: String,
    /// The tag followed by the JWE.
    pub entry: String,
}

/// Seals a presenter under the current master key.
pub fn seal(session: SessionId, presenter: &Presenter, masters: &MasterKeys) -> Sealed {
    let master = &masters.current().key;
    let mut plain = Vec::with_capacity(PLAIN);
    plain.extend_from_slice(session.0.as_bytes());
    plain.extend_from_slice(&presenter.since.0.to_be_bytes());
    let ip = presenter.ip_address.parse::<IpAddr>().ok();
    plain.push(u8::from(ip.is_some()));
    let ip = match ip {
        Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped(),
        Some(IpAddr::V6(v6)) => v6,
        None => Ipv6Addr::UNSPECIFIED,
    };
    plain.extend_from_slice(&ip.octets());
    plain.extend_from_slice(presenter.kept_agent().as_bytes());
    plain.resize(PLAIN, 0);
    let mut header = JweHeader::new();
    header.set_content_encryption("A256GCM");
    header.set_key_id(master.id());
    let encrypter = DirectJweAlgorithm::Dir
        .encrypter_from_bytes(master.presenters)
        .expect("32 bytes are a key");
    let jwe = jwe::serialize_compact(&plain, &header, &encrypter)
        .expect("sealing cannot fail with a good key");
    let tag = tag(session, presenter, master);
    let entry = format!("{:=<ENTRY$}", format!("{tag}{jwe}"));
    Sealed { tag, entry }
}

/// Opens the presenters of a row, the last one first; `None` for an entry that does not open.
pub fn open(session: SessionId, column: &str, masters: &MasterKeys) -> Vec<Option<Presenter>> {
    let entries = column
        .as_bytes()
        .chunks(ENTRY)
        .map(|entry| std::str::from_utf8(entry).ok());
    entries
        .map(|entry| open_one(session, entry?.get(TAG..)?.trim_end_matches('='), masters))
        .collect()
}

fn open_one(session: SessionId, jwe: &str, masters: &MasterKeys) -> Option<Presenter> {
    let plain = masters.iter().find_map(|master| {
        let decrypter = DirectJweAlgorithm::Dir
            .decrypter_from_bytes(master.key.presenters)
            .ok()?;
        jwe::deserialize_compact(jwe, &decrypter).ok()
    })?;
    let plain = plain.0;
    // An entry that was copied from another row can be decrypted, but it names another session.
    if plain.len() != PLAIN || plain[..16] != session.0.as_bytes()[..] {
        return None;
    }
    let since = Timestamp(i64::from_be_bytes(plain[16..24].try_into().ok()?));
    let ip: [u8; 16] = plain[25..41].try_into().ok()?;
    let ip_address = if plain[24] == 1 {
        IpAddr::from(ip).to_canonical().to_string()
    } else {
        String::new()
    };
    let user_agent = std::str::from_utf8(&plain[41..])
        .ok()?
        .trim_end_matches('\0')
        .to_owned();
    Some(Presenter {
        ip_address,
        user_agent,
        since,
    })
}

fn tag(session: SessionId, presenter: &Presenter, master: &MasterKey) -> String {
    let mac = master
        .presenter_mac()
        .chain_update(session.0.as_bytes())
        .chain_update(presenter.network())
        .chain_update([0])
        .chain_update(presenter.kept_agent());
    encode(&mac.finalize().into_bytes()[..8])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::master_key::Versioned;

    fn masters(secret: u8) -> MasterKeys {
        MasterKeys::new(
            Versioned {
                version: 1,
                key: Arc::new(MasterKey::new([secret; 32])),
            },
            vec![],
        )
    }

    fn session(n: u128) -> SessionId {
        SessionId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn every_presenter_has_one_length_and_opens_in_its_own_row_under_its_own_key() {
        let long = "é".repeat(200);
        for (ip, agent) in [
            ("192.0.2.1", "Mozilla/5.0"),
            ("2001:db8::1", ""),
            ("", long.as_str()),
        ] {
            let presenter = Presenter {
                ip_address: ip.into(),
                user_agent: agent.into(),
                since: Timestamp(1_795_219_200_000),
            };
            let sealed = seal(session(1), &presenter, &masters(1));
            assert_eq!(
                (
                    sealed.entry.len(),
                    sealed.tag.len(),
                    sealed.entry.starts_with(&sealed.tag)
                ),
                (ENTRY, TAG, true)
            );
            let kept = Presenter {
                user_agent: presenter.kept_agent().into(),
                ..presenter.clone()
            };
            let row = format!("{0}{0}", sealed.entry);
            assert_eq!(
                open(session(1), &row, &masters(1)),
                [Some(kept.clone()), Some(kept)]
            );
            assert_eq!(
                open(session(2), &sealed.entry, &masters(1)),
                [None],
                "pasted into another row"
            );
            assert_eq!(
                open(session(1), &sealed.entry, &masters(2)),
                [None],
                "a master key that is gone"
            );
            assert_ne!(
                seal(session(2), &presenter, &masters(1)).tag,
                sealed.tag,
                "no link between two sessions"
            );
        }
        assert_eq!(open(session(1), "not an entry", &masters(1)), [None]);
        assert_eq!(open(session(1), "", &masters(1)), []);
    }
}
