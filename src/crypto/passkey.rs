//! Verifies what an authenticator answers (WebAuthn level 3, sections 7.1 and 7.2). passki checks the
//! client data, the authenticator data and the signature; around it stand the rules of this service:
//! which forms are taken at all, whose row it is, and that what never changes has not changed. No
//! panic on any bytes.

use passki::{
    AuthenticationCredential, AuthenticationState, ClientData, Passki, RegistrationCredential,
    RegistrationState, StoredPasskey,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub use super::passkey_key::ALGORITHMS;
use super::passkey_key::{self, Attestation, PRESENT};
use super::{decode, encode};
use crate::model::login::passkey::{LONGEST_ID, Passkey, known_transports};

const VERIFIED: u8 = 0x04;
const ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const ATTESTED: u8 = 0x40;
const EXTENDED: u8 = 0x80;

/// The length of authenticator data without a key and extensions.
const SHORTEST_DATA: usize = 37;

/// The answer is refused; the reason is for the audit trail and says nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

fn refused(reason: &str) -> Refused {
    Refused(reason.to_owned())
}

/// The service as authenticators and browsers know it.
pub struct RelyingParty<'a> {
    /// The domain that passkeys are made for.
    pub id: &'a str,
    /// Whether pages of this origin may use them.
    pub admits: &'a (dyn Fn(&str) -> bool + Sync),
}

/// What an authenticator says of a new passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `Passkey`, which they become")]
pub struct Registered {
    pub credential_id: Vec<u8>,
    pub public_key: Vec<u8>,
    pub counter: u32,
    pub aaguid: String,
    pub transports: String,
    pub backup_eligible: bool,
    pub backed_up: bool,
    pub verifies: bool,
}

/// What an authenticator has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asserted {
    /// The signatures that it has counted.
    pub counter: u32,
    /// Whether it has verified its user.
    pub verified: bool,
    /// Whether the passkey is copied to other devices.
    pub backed_up: bool,
    /// By what it knows the user, if it says so.
    pub user_handle: Option<Vec<u8>>,
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    members.get(name)?.as_str()
}

/// Returns the id of the credential that answers; `None` if the answer has another form.
pub fn credential_id(answer: &Map<String, Value>) -> Option<Vec<u8>> {
    let id = text(answer, "id")?;
    let is_credential = text(answer, "type") == Some("public-key") && text(answer, "rawId")? == id;
    decode(id).filter(|id| is_credential && (1..=LONGEST_ID).contains(&id.len()))
}

/// The members of an answer that count; no key signs the extensions and hints of the browser.
struct Answer<'m> {
    id: Vec<u8>,
    response: &'m Map<String, Value>,
}

impl<'m> Answer<'m> {
    fn read(answer: &'m Map<String, Value>) -> Result<Self, Refused> {
        let id = credential_id(answer).ok_or_else(|| refused("no credential"))?;
        let response = answer.get("response").and_then(Value::as_object);
        let response = response.ok_or_else(|| refused("no response"))?;
        Ok(Self { id, response })
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, Refused> {
        text(self.response, name)
            .and_then(decode)
            .ok_or_else(|| refused(&format!("{name} is missing or no base64url")))
    }

    /// Makes the verifier for the origin that the browser names, if its pages may use passkeys.
    fn verifier(&self, party: &RelyingParty<'_>) -> Result<Passki, Refused> {
        let bytes = self.bytes("clientDataJSON")?;
        let data: Value =
            serde_json::from_slice(&bytes).map_err(|_| refused("the client data is no JSON"))?;
        // A browser that shows the page inside one of another site says so.
        let is_apart = data.get("topOrigin").is_none()
            && data
                .get("crossOrigin")
                .is_none_or(|crosses| *crosses == Value::Bool(false));
        if !is_apart {
            return Err(refused("the page was shown inside another site"));
        }
        let data = ClientData::from_bytes(&bytes).map_err(|error| Refused(error.to_string()))?;
        if (party.admits)(&data.origin) {
            Ok(Passki::new(party.id, &[data.origin], ""))
        } else {
            Err(refused("pages of this origin may not use passkeys"))
        }
    }
}

/// Makes a type of passki from its members, which it has no other maker for.
fn made<T: serde::de::DeserializeOwned>(members: Value) -> Result<T, Refused> {
    serde_json::from_value(members).map_err(|error| Refused(error.to_string()))
}

/// Verifies the answer of an authenticator that has made a passkey for this challenge. With
/// `conditional` the browser may have made it without its user.
///
/// # Errors
/// [`Refused`] with the reason.
pub fn register(
    answer: &Map<String, Value>,
    party: &RelyingParty<'_>,
    challenge: &[u8; 32],
    conditional: bool,
) -> Result<Registered, Refused> {
    let answer = Answer::read(answer)?;
    let passki = answer.verifier(party)?;
    let object = answer.bytes("attestationObject")?;
    let attestation =
        Attestation::read(&object).ok_or_else(|| refused("an attestation that is not taken"))?;
    let flags = attestation.flags().unwrap_or_default();
    let is_present = flags & PRESENT != 0;
    let object = if is_present || !conditional {
        object
    } else {
        let with_presence = attestation.with_presence();
        with_presence.ok_or_else(|| refused("an attestation that is not taken"))?
    };
    let credential: RegistrationCredential = made(json!({
        "rawId": encode(&answer.id),
        "response": {
            "clientDataJSON": answer.response.get("clientDataJSON"),
            "attestationObject": encode(&object),
        },
    }))?;
    let state: RegistrationState = made(json!({
        "challenge": challenge,
        "user": { "id": "", "name": "", "displayName": "" },
        "user_verification": "preferred",
    }))?;
    let stored = passki
        .finish_passkey_registration(&credential, &state)
        .map_err(|error| Refused(error.to_string()))?;
    if passkey_key::algorithm(&stored.public_key).is_none() {
        return Err(refused("a public key that is not taken"));
    }
    let transports = answer.response.get("transports").and_then(Value::as_array);
    let transports = transports.into_iter().flatten().filter_map(Value::as_str);
    Ok(Registered {
        credential_id: stored.credential_id,
        public_key: stored.public_key,
        counter: stored.counter,
        aaguid: Uuid::from_bytes(stored.aaguid).to_string(),
        transports: known_transports(transports),
        backup_eligible: stored.be,
        backed_up: stored.bs,
        verifies: is_present && flags & VERIFIED != 0,
    })
}

/// Verifies the answer of an authenticator that has signed this challenge with the passkey of a row.
/// Whether its count of signatures follows on the row's is for the caller to see.
///
/// # Errors
/// [`Refused`] with the reason.
pub fn authenticate(
    answer: &Map<String, Value>,
    party: &RelyingParty<'_>,
    challenge: &[u8; 32],
    row: &Passkey,
) -> Result<Asserted, Refused> {
    let answer = Answer::read(answer)?;
    let passki = answer.verifier(party)?;
    let data = answer.bytes("authenticatorData")?;
    let flags = flags_of(&data).ok_or_else(|| refused("authenticator data of another form"))?;
    let user_handle = match answer.response.get("userHandle") {
        None | Some(Value::Null) => None,
        Some(_) => Some(answer.bytes("userHandle")?),
    };
    let is_same = match (&user_handle, &row.user_handle) {
        (Some(shown), Some(stored)) => shown == stored,
        _ => true,
    };
    if !is_same {
        return Err(refused("the passkey of another user"));
    }
    if (flags & ELIGIBLE != 0) != row.backup_eligible {
        return Err(refused(
            "a passkey that may be copied was not, or the reverse",
        ));
    }
    let credential: AuthenticationCredential = made(json!({
        "rawId": encode(&answer.id),
        "response": {
            "clientDataJSON": answer.response.get("clientDataJSON"),
            "authenticatorData": answer.response.get("authenticatorData"),
            "signature": answer.response.get("signature"),
        },
    }))?;
    let state: AuthenticationState = made(json!({
        "challenge": challenge,
        "allowed_credentials": [row.credential_id],
        "user_verification": "preferred",
    }))?;
    let mut stored = StoredPasskey::default();
    stored.credential_id.clone_from(&row.credential_id);
    stored.public_key.clone_from(&row.public_key);
    stored.algorithm = passkey_key::algorithm(&row.public_key)
        .ok_or_else(|| refused("the stored public key is not one that is taken"))?;
    let result = passki
        .finish_passkey_authentication(&credential, &state, &stored)
        .map_err(|error| Refused(error.to_string()))?;
    Ok(Asserted {
        counter: result.counter,
        verified: flags & VERIFIED != 0,
        backed_up: flags & BACKED_UP != 0,
        user_handle,
    })
}

/// Returns the flags of the data that an authenticator signs at a sign-in: without a new key, and with
/// extensions only where the flag says so.
fn flags_of(data: &[u8]) -> Option<u8> {
    let (fixed, extensions) = data.split_at_checked(SHORTEST_DATA)?;
    let flags = fixed[32];
    let is_whole = if flags & EXTENDED == 0 {
        extensions.is_empty()
    } else {
        passkey_key::is_map(extensions)
    };
    (flags & ATTESTED == 0 && is_whole).then_some(flags)
}
