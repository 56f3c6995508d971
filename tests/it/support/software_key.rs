//! An authenticator in software, with the browser in front of it: it makes one passkey and signs with it, as
//! well or as badly as a test wants.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use ciborium::Value as Cbor;
use countersign::encoding::{decode, encode, sha256};
use serde_json::{Value, json};

use super::actors::{Answer, Browser, User};
use super::app::TestApp;

pub const PRESENT: u8 = 0x01;
pub const VERIFIED: u8 = 0x04;
pub const ELIGIBLE: u8 = 0x08;
pub const BACKED_UP: u8 = 0x10;
pub const ATTESTED: u8 = 0x40;
pub const EXTENDED: u8 = 0x80;

/// The algorithm of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Es256,
    EdDsa,
    Rs256,
}

enum Secret {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// One passkey, and how its authenticator behaves.
pub struct SoftwareKey {
    secret: Secret,
    pub id: Vec<u8>,
    /// The handle that came with the options at which it was made.
    pub handle: Option<String>,
    /// The signatures so far; `None` if the authenticator does not count.
    pub counter: Option<u32>,
    /// The flags without those of a new key and of extensions.
    pub flags: u8,
    pub origin: String,
    pub rp_id: String,
}

/// What is signed and sent, before it is encoded.
pub struct Parts {
    pub client: Value,
    pub rp_id: String,
    pub flags: u8,
    pub counter: u32,
    pub aaguid: [u8; 16],
    pub id: Vec<u8>,
    pub cose: Vec<(Cbor, Cbor)>,
    /// What follows the authenticator data.
    pub tail: Vec<u8>,
    pub format: String,
    pub statement: Vec<(Cbor, Cbor)>,
    /// Further members of the attestation object.
    pub members: Vec<(Cbor, Cbor)>,
    pub handle: Value,
}

pub fn cbor(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// The two integers of an RSA public key in DER (RFC 8017 appendix A.1.1).
fn integers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn element(rest: &[u8]) -> (&[u8], &[u8]) {
        let long = usize::from(rest[1] & 0x7F);
        let (start, length) = if rest[1] < 0x80 {
            (2, usize::from(rest[1]))
        } else {
            let bytes = &rest[2..2 + long];
            (
                2 + long,
                bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)),
            )
        };
        (&rest[start..start + length], &rest[start + length..])
    }
    let plain = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes[zeros..].to_vec()
    };
    let (sequence, _) = element(der);
    let (modulus, rest) = element(sequence);
    let (exponent, _) = element(rest);
    (plain(modulus), plain(exponent))
}

impl SoftwareKey {
    /// An authenticator that verifies its user, counts nothing and copies nothing.
    pub fn new(algorithm: Algorithm, id: &str) -> Self {
        let secret = match algorithm {
            Algorithm::Es256 => {
                Secret::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
            }
            Algorithm::EdDsa => Secret::Ed(Ed25519KeyPair::generate().unwrap()),
            Algorithm::Rs256 => Secret::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        };
        Self {
            secret,
            id: id.as_bytes().to_vec(),
            handle: None,
            counter: None,
            flags: PRESENT | VERIFIED,
            origin: "http://localhost:4000".into(),
            rp_id: "localhost".into(),
        }
    }

    /// The usual one.
    pub fn usual(id: &str) -> Self {
        Self::new(Algorithm::EdDsa, id)
    }

    /// One that does not verify its user.
    pub fn unverified(id: &str) -> Self {
        Self {
            flags: PRESENT,
            ..Self::usual(id)
        }
    }

    fn cose(&self) -> Vec<(Cbor, Cbor)> {
        let number = |n: i64| Cbor::Integer(n.into());
        let pair = |label: i64, value: Cbor| (number(label), value);
        match &self.secret {
            Secret::Ec(key) => {
                let point = key.public_key().as_ref();
                vec![
                    pair(1, number(2)),
                    pair(3, number(-7)),
                    pair(-1, number(1)),
                    pair(-2, Cbor::Bytes(point[1..33].to_vec())),
                    pair(-3, Cbor::Bytes(point[33..].to_vec())),
                ]
            }
            Secret::Ed(key) => vec![
                pair(1, number(1)),
                pair(3, number(-8)),
                pair(-1, number(6)),
                pair(-2, Cbor::Bytes(key.public_key().as_ref().to_vec())),
            ],
            Secret::Rsa(key) => {
                let (modulus, exponent) = integers(key.public_key().as_ref());
                vec![
                    pair(1, number(3)),
                    pair(3, number(-257)),
                    pair(-1, Cbor::Bytes(modulus)),
                    pair(-2, Cbor::Bytes(exponent)),
                ]
            }
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::Ec(key) => key
                .sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec(),
            Secret::Ed(key) => key.sign(message).as_ref().to_vec(),
            Secret::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .unwrap();
                signature
            }
        }
    }

    fn parts(&mut self, options: &Value, kind: &str) -> Parts {
        if let Some(counter) = &mut self.counter {
            *counter += 1;
        }
        Parts {
            client: json!({
                "type": kind,
                "challenge": options["challenge"],
                "origin": self.origin,
                "crossOrigin": false,
            }),
            rp_id: self.rp_id.clone(),
            flags: self.flags,
            counter: self.counter.unwrap_or(0),
            aaguid: [0; 16],
            id: self.id.clone(),
            cose: self.cose(),
            tail: Vec::new(),
            format: "none".into(),
            statement: Vec::new(),
            members: Vec::new(),
            handle: json!(self.handle),
        }
    }

    fn head(parts: &Parts) -> Vec<u8> {
        let mut data = sha256(parts.rp_id.as_bytes()).to_vec();
        data.push(parts.flags);
        data.extend(parts.counter.to_be_bytes());
        data
    }

    /// Makes the passkey.
    pub fn create(&mut self, options: &Value) -> Value {
        self.create_with(options, |_| {})
    }

    /// Makes the passkey, with something changed before it is encoded.
    pub fn create_with(&mut self, options: &Value, bend: impl FnOnce(&mut Parts)) -> Value {
        self.handle = options["user"]["id"].as_str().map(str::to_owned);
        let mut parts = self.parts(options, "webauthn.create");
        parts.flags |= ATTESTED;
        bend(&mut parts);
        let mut data = Self::head(&parts);
        data.extend(parts.aaguid);
        data.extend(u16::try_from(parts.id.len()).unwrap().to_be_bytes());
        data.extend(&parts.id);
        data.extend(cbor(&Cbor::Map(parts.cose)));
        data.extend(&parts.tail);
        let client = parts.client.to_string().into_bytes();
        if parts.format == "packed" && parts.statement.is_empty() {
            let signed = [data.as_slice(), &sha256(&client)].concat();
            parts.statement = vec![
                (Cbor::Text("alg".into()), Cbor::Integer((-8).into())),
                (Cbor::Text("sig".into()), Cbor::Bytes(self.sign(&signed))),
            ];
        }
        let mut members = vec![
            (Cbor::Text("fmt".into()), Cbor::Text(parts.format)),
            (Cbor::Text("attStmt".into()), Cbor::Map(parts.statement)),
            (Cbor::Text("authData".into()), Cbor::Bytes(data)),
        ];
        members.extend(parts.members);
        let id = encode(&self.id);
        json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "response": {
                "clientDataJSON": encode(&client),
                "attestationObject": encode(&cbor(&Cbor::Map(members))),
                "transports": ["internal", "hybrid"],
            },
            "clientExtensionResults": { "credProps": { "rk": true } },
            "authenticatorAttachment": "platform",
        })
    }

    /// Signs with the passkey.
    pub fn get(&mut self, options: &Value) -> Value {
        self.get_with(options, |_| {})
    }

    /// Signs with the passkey, with something changed before it is encoded.
    pub fn get_with(&mut self, options: &Value, bend: impl FnOnce(&mut Parts)) -> Value {
        let mut parts = self.parts(options, "webauthn.get");
        bend(&mut parts);
        let mut data = Self::head(&parts);
        data.extend(&parts.tail);
        let client = parts.client.to_string().into_bytes();
        let signature = self.sign(&[data.as_slice(), &sha256(&client)].concat());
        let id = encode(&parts.id);
        json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "response": {
                "clientDataJSON": encode(&client),
                "authenticatorData": encode(&data),
                "signature": encode(&signature),
                "userHandle": parts.handle,
            },
            "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
        })
    }
}

const REGISTER: &str = "/api/auth/passkey/generate-register-options?delivery=body";
const REGISTERED: &str = "/api/auth/passkey/verify-registration";
const AUTHENTICATE: &str = "/api/auth/passkey/generate-authenticate-options";
const AUTHENTICATED: &str = "/api/auth/passkey/verify-authentication";

impl TestApp {
    /// The options to make a passkey in this session, with the state.
    pub async fn creation(&self, session: &str) -> Value {
        self.get_as(REGISTER, session).await.ok().body
    }

    /// Sends what a browser has made in this session.
    pub async fn registers(&self, session: &str, options: &Value, response: Value) -> Answer {
        let body = json!({ "response": response, "state": options["state"], "name": "Laptop" });
        self.post_as(REGISTERED, session, &body).await
    }

    /// Adds a passkey in this session; the answer has the tokens of the next one.
    pub async fn adds(&self, session: &str, key: &mut SoftwareKey) -> Answer {
        let options = self.creation(session).await;
        let response = key.create(&options);
        self.registers(session, &options, response).await
    }

    /// The options of a sign-in by any passkey, with the state.
    pub async fn request(&self) -> Value {
        let path = format!("{AUTHENTICATE}?delivery=body");
        self.get(&path).await.ok().body
    }

    /// Sends what a browser has signed.
    pub async fn authenticates(&self, options: &Value, response: Value) -> Answer {
        let body =
            json!({ "response": response, "state": options["state"], "tokenDelivery": "body" });
        self.post(AUTHENTICATED, &body).await
    }

    /// Signs in with a passkey as a native client.
    pub async fn signs_in(&self, key: &mut SoftwareKey) -> Answer {
        let options = self.request().await;
        let response = key.get(&options);
        self.authenticates(&options, response).await
    }

    /// Proves a passkey in a live session.
    pub async fn steps_up(&self, session: &str, key: &mut SoftwareKey) -> Answer {
        let path = format!("{AUTHENTICATE}?delivery=body");
        let options = self.get_as(&path, session).await.ok().body;
        let body = json!({ "response": key.get(&options), "state": options["state"] });
        self.post_as(AUTHENTICATED, session, &body).await
    }

    /// Uses a passkey as the second step of a pending sign-in.
    pub async fn finishes(&self, challenge: &str, key: &mut SoftwareKey) -> Answer {
        let path = format!("{AUTHENTICATE}?delivery=body&challenge={challenge}");
        let options = self.get(&path).await.ok().body;
        let body = json!({
            "response": key.get(&options),
            "state": options["state"],
            "challenge": challenge,
        });
        self.post(AUTHENTICATED, &body).await
    }
}

impl User {
    /// Adds a passkey in a session of its own, and returns the session that follows on it.
    pub async fn adds_passkey(&self, key: &mut SoftwareKey) -> String {
        let session = self.sign_in().await.session;
        self.app.adds(&session, key).await.ok().str("token")
    }
}

impl Browser {
    /// Uses a passkey by the state in the cookie.
    pub async fn uses_passkey(&self, key: &mut SoftwareKey) -> Answer {
        let options = self.get(AUTHENTICATE).await.ok();
        let body = json!({ "response": key.get(&options.body) });
        self.post(AUTHENTICATED, &body).await
    }
}

/// Changes the bytes of a member in base64url.
pub fn bend_bytes(response: &mut Value, member: &str, bend: impl FnOnce(&mut Vec<u8>)) {
    let text = response["response"][member].as_str().unwrap();
    let mut bytes = decode(text).unwrap();
    bend(&mut bytes);
    response["response"][member] = encode(&bytes).into();
}
