//! Bent answers of authenticators and browsers: each is refused with the right code, the same answer without
//! the bend is taken, and no bytes make the service fail.

use ciborium::Value as Cbor;
use countersign::encoding::{decode, encode};
use countersign::random::{SeededRandom, bytes};
use serde_json::{Value, json};

use crate::support::software_key::{
    ATTESTED, Algorithm, BACKED_UP, EXTENDED, PRESENT, Parts, SoftwareKey, bend_bytes, cbor,
};
use crate::support::{Answer, TestApp, User};

/// A change before something is encoded.
type Bend = fn(&mut Parts);

/// A change of what is sent.
type Sent = fn(&mut Value);

fn label(parts: &mut Parts, number: i64) -> &mut Cbor {
    let name = Cbor::Integer(number.into());
    let found = parts.cose.iter_mut().find(|(n, _)| *n == name);
    &mut found.unwrap().1
}

fn text(value: &str) -> Cbor {
    Cbor::Text(value.into())
}

/// What is wrong with the client data of either ceremony.
const CLIENT: [(&str, Bend); 12] = [
    ("another type", |p| p.client["type"] = "payment.get".into()),
    ("no type", |p| p.client["type"] = Value::Null),
    ("another challenge", |p| {
        p.client["challenge"] = encode(&[7; 32]).into();
    }),
    ("a shorter challenge", |p| {
        p.client["challenge"] = encode(&[7; 16]).into();
    }),
    ("no challenge", |p| p.client["challenge"] = json!(1)),
    ("another origin", |p| {
        p.client["origin"] = "http://localhost:4001".into();
    }),
    ("an origin below", |p| {
        p.client["origin"] = "http://evil.localhost:4000".into();
    }),
    ("an origin with a path", |p| {
        p.client["origin"] = "http://localhost:4000/".into();
    }),
    ("no origin", |p| p.client["origin"] = Value::Null),
    ("inside another site", |p| {
        p.client["crossOrigin"] = true.into();
    }),
    ("inside another site, in words", |p| {
        p.client["crossOrigin"] = "true".into();
    }),
    ("with a page around it", |p| {
        p.client["topOrigin"] = "http://localhost:4000".into();
    }),
];

/// What is wrong with what is sent in either ceremony.
const SENT: [(&str, Sent); 11] = [
    ("no id", |r| r["id"] = Value::Null),
    ("no raw id", |r| r["rawId"] = Value::Null),
    ("two ids", |r| r["rawId"] = encode(b"another").into()),
    ("an empty id", |r| {
        r["id"] = "".into();
        r["rawId"] = "".into();
    }),
    ("an id that is no base64url", |r| {
        r["id"] = "a+b/".into();
        r["rawId"] = "a+b/".into();
    }),
    ("another kind of credential", |r| {
        r["type"] = "password".into();
    }),
    ("no response", |r| r["response"] = Value::Null),
    ("a list for a response", |r| r["response"] = json!([])),
    ("no client data", |r| {
        r["response"]["clientDataJSON"] = Value::Null;
    }),
    ("client data that is no JSON", |r| {
        r["response"]["clientDataJSON"] = encode(b"{").into();
    }),
    ("client data with deep lists", |r| {
        let deep = "[".repeat(10_000);
        r["response"]["clientDataJSON"] = encode(deep.as_bytes()).into();
    }),
];

/// What is wrong with a new passkey.
const CREATION: [(&str, Bend); 30] = [
    ("the type of a sign-in", |p| {
        p.client["type"] = "webauthn.get".into();
    }),
    ("another domain", |p| p.rp_id = "example.com".into()),
    ("no user", |p| p.flags &= !PRESENT),
    ("no key by its flag", |p| p.flags &= !ATTESTED),
    ("copied though it cannot be", |p| p.flags |= BACKED_UP),
    ("extensions that are missing", |p| p.flags |= EXTENDED),
    ("extensions without a flag", |p| {
        p.tail = cbor(&Cbor::Map(vec![]));
    }),
    ("extensions that are no map", |p| {
        p.flags |= EXTENDED;
        p.tail = vec![0x01];
    }),
    ("something after the extensions", |p| {
        p.flags |= EXTENDED;
        p.tail = vec![0xA0, 0x00];
    }),
    ("another id inside", |p| p.id = b"another".to_vec()),
    ("an empty id inside", |p| p.id.clear()),
    ("no such format", |p| p.format = "compound".into()),
    ("a format with a chain", |p| p.format = "tpm".into()),
    ("the format of old sticks", |p| p.format = "fido-u2f".into()),
    ("a statement without a format", |p| {
        p.statement = vec![(text("sig"), Cbor::Bytes(vec![1]))];
    }),
    ("a signature that is wrong", |p| {
        p.format = "packed".into();
        p.statement = vec![
            (text("alg"), Cbor::Integer((-8).into())),
            (text("sig"), Cbor::Bytes(vec![1; 64])),
        ];
    }),
    ("a chain of certificates", |p| {
        p.format = "packed".into();
        p.statement = vec![
            (text("alg"), Cbor::Integer((-8).into())),
            (text("sig"), Cbor::Bytes(vec![1; 64])),
            (text("x5c"), Cbor::Array(vec![])),
        ];
    }),
    ("a member of its own", |p| {
        p.members = vec![(text("more"), Cbor::Null)];
    }),
    ("a member twice", |p| {
        p.members = vec![(text("fmt"), text("none"))];
    }),
    ("an algorithm that is not offered", |p| {
        *label(p, 3) = Cbor::Integer((-37).into());
    }),
    ("an algorithm of another key", |p| {
        *label(p, 3) = Cbor::Integer((-7).into());
    }),
    ("an algorithm in words", |p| *label(p, 3) = text("EdDSA")),
    ("an algorithm that is too large", |p| {
        *label(p, 3) = Cbor::Integer(i64::MIN.into());
    }),
    ("another kind of key", |p| {
        *label(p, 1) = Cbor::Integer(2.into());
    }),
    ("another curve", |p| *label(p, -1) = Cbor::Integer(1.into())),
    ("a short key", |p| *label(p, -2) = Cbor::Bytes(vec![1; 31])),
    ("an empty key", |p| *label(p, -2) = Cbor::Bytes(vec![])),
    ("no key", |p| p.cose.clear()),
    ("a label twice", |p| {
        p.cose
            .push((Cbor::Integer(3.into()), Cbor::Integer((-7).into())));
    }),
    ("a key in words", |p| *label(p, -2) = text("key")),
];

/// What is wrong with the attestation object that is sent.
const OBJECT: [(&str, Sent); 8] = [
    ("no attestation", |r| {
        r["response"]["attestationObject"] = Value::Null;
    }),
    ("an empty attestation", |r| {
        r["response"]["attestationObject"] = "".into();
    }),
    ("an attestation that is no base64url", |r| {
        r["response"]["attestationObject"] = "====".into();
    }),
    ("something after the attestation", |r| {
        bend_bytes(r, "attestationObject", |bytes| bytes.push(0));
    }),
    ("half an attestation", |r| {
        bend_bytes(r, "attestationObject", |bytes| {
            bytes.truncate(bytes.len() / 2);
        });
    }),
    ("a giant length", |r| {
        let giant = [0x5B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        r["response"]["attestationObject"] = encode(&giant).into();
    }),
    ("deep lists", |r| {
        r["response"]["attestationObject"] = encode(&[0x81; 20_000]).into();
    }),
    ("a giant list", |r| {
        let giant = [0x9B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        r["response"]["attestationObject"] = encode(&giant).into();
    }),
];

#[tokio::test]
async fn every_bent_new_passkey_is_refused_and_a_straight_one_is_taken() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut session = ana.sign_in().await.session;
    let options = app.creation(&session).await;
    let mut number = 0;
    for (what, bend) in CLIENT.into_iter().chain(CREATION) {
        number += 1;
        let mut key = SoftwareKey::usual(&format!("key {number}"));
        let response = key.create_with(&options, bend);
        let answer = app.registers(&session, &options, response).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        answer.refused(400, "FAILED_TO_VERIFY_REGISTRATION");
    }
    for (what, bend) in SENT.into_iter().chain(OBJECT) {
        let mut response = SoftwareKey::usual("key").create(&options);
        bend(&mut response);
        let answer = app.registers(&session, &options, response).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        answer.refused(400, "FAILED_TO_VERIFY_REGISTRATION");
    }
    assert_eq!(number + SENT.len() + OBJECT.len(), 61);
    // The bends have used no state up: the twin without them is taken.
    let straight = SoftwareKey::usual("key").create(&options);
    let added = app.registers(&session, &options, straight).await.ok();
    session = added.str("token");
    for (name, bend) in [
        (
            "extensions",
            (|p| {
                p.flags |= EXTENDED;
                p.tail = cbor(&Cbor::Map(vec![(
                    text("credProtect"),
                    Cbor::Integer(2.into()),
                )]));
            }) as Bend,
        ),
        ("signed by itself", |p| p.format = "packed".into()),
        ("not said to be apart", |p| {
            p.client.as_object_mut().unwrap().remove("crossOrigin");
        }),
        ("with what a later browser says", |p| {
            p.client["other_keys_can_be_added_here"] = "by browsers".into();
        }),
    ] {
        let options = app.creation(&session).await;
        let response = SoftwareKey::usual(name).create_with(&options, bend);
        session = app
            .registers(&session, &options, response)
            .await
            .ok()
            .str("token");
    }
    // A passkey that is known is told so, also to its own user.
    let options = app.creation(&session).await;
    let response = SoftwareKey::usual("key").create(&options);
    app.registers(&session, &options, response)
        .await
        .refused(400, "PREVIOUSLY_REGISTERED");
}

#[tokio::test]
async fn keys_of_each_kind_are_looked_at() {
    let app = TestApp::start().await;
    let session = app.user("ana").await.sign_in().await.session;
    let options = app.creation(&session).await;
    let ec: [(&str, Bend); 4] = [
        ("a point beside the curve", |p| {
            *label(p, -2) = Cbor::Bytes(vec![1; 32]);
        }),
        ("a compressed point", |p| *label(p, -3) = Cbor::Bool(true)),
        ("a point whose halves are of other lengths", |p| {
            *label(p, -2) = Cbor::Bytes(vec![1; 33]);
            *label(p, -3) = Cbor::Bytes(vec![1; 31]);
        }),
        ("another curve", |p| *label(p, -1) = Cbor::Integer(2.into())),
    ];
    let rsa: [(&str, Bend); 5] = [
        ("a short modulus", |p| {
            *label(p, -1) = Cbor::Bytes(vec![0xFF; 128]);
        }),
        ("a giant modulus", |p| {
            *label(p, -1) = Cbor::Bytes(vec![0xFF; 1024]);
        }),
        ("a modulus with a zero before it", |p| {
            *label(p, -1) = Cbor::Bytes([vec![0], vec![0xFF; 256]].concat());
        }),
        ("an exponent that is one", |p| {
            *label(p, -2) = Cbor::Bytes(vec![1]);
        }),
        ("an even exponent", |p| *label(p, -2) = Cbor::Bytes(vec![2])),
    ];
    let all = ec.map(|(what, bend)| (Algorithm::Es256, what, bend));
    let rsa = rsa.map(|(what, bend)| (Algorithm::Rs256, what, bend));
    for (algorithm, what, bend) in all.into_iter().chain(rsa) {
        let response = SoftwareKey::new(algorithm, what).create_with(&options, bend);
        let answer = app.registers(&session, &options, response).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        answer.refused(400, "FAILED_TO_VERIFY_REGISTRATION");
    }
    let response = SoftwareKey::new(Algorithm::Es256, "good").create(&options);
    app.registers(&session, &options, response).await.ok();
}

/// What is wrong with the use of a passkey.
const USE: [(&str, Bend); 13] = [
    ("the type of a new passkey", |p| {
        p.client["type"] = "webauthn.create".into();
    }),
    ("another domain", |p| p.rp_id = "example.com".into()),
    ("no user", |p| p.flags &= !PRESENT),
    ("a key by its flag", |p| p.flags |= ATTESTED),
    ("may be copied", |p| p.flags |= 0x08),
    ("copied though it cannot be", |p| p.flags |= BACKED_UP),
    ("extensions that are missing", |p| p.flags |= EXTENDED),
    ("something after the data", |p| p.tail = vec![0]),
    ("extensions that are no map", |p| {
        p.flags |= EXTENDED;
        p.tail = vec![0x01];
    }),
    ("another handle", |p| p.handle = encode(&[1; 32]).into()),
    ("an empty handle", |p| p.handle = "".into()),
    ("no handle", |p| p.handle = Value::Null),
    ("a number for a handle", |p| p.handle = json!(7)),
];

/// What is wrong with the signature that is sent.
const SIGNED: [(&str, Sent); 9] = [
    ("no signature", |r| r["response"]["signature"] = Value::Null),
    ("an empty signature", |r| {
        r["response"]["signature"] = "".into();
    }),
    ("another signature", |r| {
        bend_bytes(r, "signature", |bytes| bytes[0] ^= 1);
    }),
    ("a longer signature", |r| {
        bend_bytes(r, "signature", |bytes| bytes.push(0));
    }),
    ("data that was not signed", |r| {
        bend_bytes(r, "authenticatorData", |bytes| bytes[32] ^= 4);
    }),
    ("a counter that was not signed", |r| {
        bend_bytes(r, "authenticatorData", |bytes| bytes[36] = 9);
    }),
    ("client data that was not signed", |r| {
        bend_bytes(r, "clientDataJSON", |bytes| bytes.insert(1, b' '));
    }),
    ("short data", |r| {
        bend_bytes(r, "authenticatorData", |bytes| bytes.truncate(36));
    }),
    ("no data", |r| {
        r["response"]["authenticatorData"] = Value::Null;
    }),
];

#[tokio::test]
async fn every_bent_use_of_a_passkey_is_refused_and_a_straight_one_signs_in() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::usual("key");
    ana.adds_passkey(&mut key).await;
    let options = app.request().await;
    let refused = |what: &str, answer: &Answer| {
        assert_eq!(
            (answer.status.as_u16(), answer.body["code"].as_str()),
            (401, Some("AUTHENTICATION_FAILED")),
            "{what}: {}",
            answer.text
        );
    };
    for (what, bend) in CLIENT.into_iter().chain(USE) {
        let response = key.get_with(&options, bend);
        refused(what, &app.authenticates(&options, response).await);
    }
    for (what, bend) in SENT.into_iter().chain(SIGNED) {
        let mut response = key.get(&options);
        bend(&mut response);
        refused(what, &app.authenticates(&options, response).await);
    }
    assert_eq!(CLIENT.len() + USE.len() + SENT.len() + SIGNED.len(), 45);
    // The key of another passkey under this id.
    let mut other = SoftwareKey::usual("key");
    other.handle.clone_from(&key.handle);
    let response = other.get(&options);
    refused("another key", &app.authenticates(&options, response).await);
    // A passkey that no user has.
    let response = SoftwareKey::usual("unknown").get(&options);
    app.authenticates(&options, response)
        .await
        .refused(401, "PASSKEY_NOT_FOUND");
    let straight = key.get_with(&options, |p| {
        p.flags |= EXTENDED;
        p.tail = cbor(&Cbor::Map(vec![]));
    });
    app.authenticates(&options, straight).await.ok();
}

#[tokio::test]
async fn a_state_is_good_for_what_it_was_made_for() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let mut key = SoftwareKey::usual("key");
    let session = ana.adds_passkey(&mut key).await;
    let (creation, request) = (app.creation(&session).await, app.request().await);
    let mut new = SoftwareKey::usual("new");
    for state in [json!("nonsense"), json!(null), request["state"].clone()] {
        let mut options = creation.clone();
        options["state"] = state;
        let response = new.create(&creation);
        app.registers(&session, &options, response)
            .await
            .refused(400, "CHALLENGE_NOT_FOUND");
    }
    let mut options = request.clone();
    options["state"] = creation["state"].clone();
    app.authenticates(&options, key.get(&request))
        .await
        .refused(400, "CHALLENGE_NOT_FOUND");
    // The state of another user.
    let of_bob = app.creation(&bob.sign_in().await.session).await;
    let response = new.create(&of_bob);
    app.registers(&session, &of_bob, response)
        .await
        .refused(403, "SAME_USER_REQUIRED");
    let response = new.create(&creation);
    app.registers(&session, &creation, response).await.ok();
    app.authenticates(&request, key.get(&request)).await.ok();
}

#[tokio::test]
async fn an_imported_passkey_keeps_the_handle_of_its_first_use() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::usual("imported");
    ana.adds_passkey(&mut key).await;
    app.db_script("UPDATE passkeys SET user_handle = NULL")
        .await;
    key.handle = Some(encode(b"the handle of another service"));
    app.signs_in(&mut key).await.ok();
    let own = key.handle.clone();
    key.handle = Some(encode(&[1; 32]));
    app.signs_in(&mut key)
        .await
        .refused(401, "AUTHENTICATION_FAILED");
    key.handle = own;
    app.signs_in(&mut key).await.ok();
}

/// Sends random bends of good answers: none may be taken for another answer, or make the service fail.
async fn bend_at_random(app: &TestApp, ana: &User, rounds: usize) {
    let random = SeededRandom::new(3);
    let below = |end: usize| {
        usize::try_from(u64::from_le_bytes(bytes(&random))).unwrap_or(usize::MAX) % end
    };
    let mut key = SoftwareKey::usual("random");
    let session = ana.adds_passkey(&mut key).await;
    let (creation, request) = (app.creation(&session).await, app.request().await);
    for round in 0..rounds {
        let is_new = round % 2 == 0;
        let (mut response, members) = if is_new {
            let made = SoftwareKey::usual("another").create(&creation);
            (made, ["attestationObject", "clientDataJSON"])
        } else {
            (key.get(&request), ["authenticatorData", "signature"])
        };
        let member = members[below(2)];
        let before = response["response"][member].clone();
        let mut raw = decode(before.as_str().unwrap()).unwrap();
        for _ in 0..=below(3) {
            let at = below(raw.len());
            match below(4) {
                0 => raw[at] ^= 1 << below(8),
                1 => raw[at] = u8::try_from(below(256)).unwrap(),
                2 => raw.insert(at, u8::try_from(below(256)).unwrap()),
                _ => raw.truncate(at.max(1)),
            }
        }
        if before == encode(&raw) {
            continue;
        }
        response["response"][member] = encode(&raw).into();
        let answer = if is_new {
            app.registers(&session, &creation, response).await
        } else {
            app.authenticates(&request, response).await
        };
        // No key signs the data of a new passkey: a flipped bit of its key is another key.
        let is_taken = is_new && answer.status == 200;
        assert!(
            is_taken || answer.status == 400 || answer.status == 401,
            "round {round}: {}",
            answer.text
        );
        if is_taken {
            return;
        }
    }
}

#[tokio::test]
async fn no_bytes_make_the_service_fail() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    bend_at_random(&app, &ana, 400).await;
}
