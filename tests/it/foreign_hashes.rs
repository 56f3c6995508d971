//! Hashes of other software: each is read, stored in one form, bare or wrapped, and takes its password
//! alone.

use std::sync::Arc;

use countersign::crypto::argon2id::Cost;
use countersign::crypto::foreign::{
    ForeignHash, Form, Format, Kind, Options, Order, Pepper, Renewal, Salt, Unusable,
};
use countersign::crypto::password::{Against, Error, Hasher, Verdict};
use countersign::model::account::password::{Length, Password};
use countersign::model::audit::event::Requester;
use countersign::random::SeededRandom;

use crate::support::hashes::{self, PEPPER, Sample};

const CHEAP: Cost = Cost {
    memory: 64,
    iterations: 1,
    parallelism: 1,
};

/// The cost of the default settings.
const USUAL: Cost = Cost {
    memory: 19_456,
    iterations: 2,
    parallelism: 1,
};

fn hasher() -> Hasher {
    Hasher::start(CHEAP, 1, 8, Arc::new(SeededRandom::new(1)))
        .unwrap()
        .with_pepper(Some(Pepper::new(PEPPER.as_bytes())))
}

fn password(text: &str) -> Password {
    Password::attempt(text, Length { min: 8, max: 128 }).unwrap()
}

async fn verdict(hasher: &Hasher, stored: &str, typed: &str) -> Result<Verdict, Error> {
    let against = Against::Stored(stored.to_owned());
    hasher
        .verify(&Requester::default(), password(typed), against)
        .await
}

async fn wrapped(hasher: &Hasher, hash: ForeignHash) -> String {
    let slot = hasher.reserve(&Requester::default()).unwrap();
    hasher.wrap(slot, hash).await.unwrap()
}

/// Passwords that are not the one of the sample: longer, shorter, another one.
fn others(sample: &Sample) -> [String; 3] {
    let right = &sample.password;
    let half = right.char_indices().nth(right.chars().count() / 2);
    let shorter = right[..half.unwrap().0].to_owned();
    [format!("{right}x"), shorter, "another password".into()]
}

#[tokio::test]
async fn each_hash_of_other_software_takes_its_password_and_no_other_one() {
    let hasher = hasher();
    let samples = hashes::all();
    assert_eq!((hashes::tried().len(), samples.len()), (31, 59));
    for sample in samples {
        let hash = sample.read();
        let told = format!("{} by {}", sample.format, sample.by);
        let bare = hash.print();
        let wrap = wrapped(&hasher, hash.clone()).await;
        assert!(!hash.is_wrapped() && ForeignHash::parse(&wrap).unwrap().is_wrapped());
        for stored in [&bare, &wrap] {
            let read = ForeignHash::parse(stored).unwrap();
            assert_eq!(read.print(), *stored, "{told}");
            assert_eq!(read.kind(), hash.kind(), "{told}");
            let right = verdict(&hasher, stored, &sample.password).await;
            assert!(
                matches!(right, Ok(Verdict::Right(renewal)) if renewal != Renewal::None),
                "{told}: {right:?} by {stored}"
            );
            let [longer, shorter, other] = others(&sample);
            // bcrypt looks at 72 bytes of the 100.
            let is_cut = sample.format == "bcrypt-72";
            let wrong = if *stored == wrap || is_cut {
                [&shorter, &other]
            } else {
                [&longer, &other]
            };
            for wrong in wrong {
                let found = verdict(&hasher, stored, wrong).await;
                assert_eq!(found, Ok(Verdict::Wrong), "{told}: {wrong} by {stored}");
            }
        }
    }
}

#[test]
fn what_is_too_cheap_to_be_stored_as_it_is_must_be_wrapped() {
    let mut wrapped: Vec<String> = hashes::tried()
        .into_iter()
        .filter(|sample| sample.read().must_be_wrapped(USUAL))
        .map(|sample| sample.format)
        .collect();
    wrapped.dedup();
    assert_eq!(
        wrapped,
        [
            "django-md5",
            "phpass",
            "sha512-crypt",
            "sha256-crypt",
            "md5-crypt",
            "ldap-ssha",
            "raw-md5-hex",
            "raw-sha256-salted"
        ]
    );
}

#[tokio::test]
async fn a_wrapped_hash_is_argon2_over_the_output_and_is_wrapped_once() {
    let hasher = hasher();
    let sample = hashes::of("raw-md5-hex");
    let once = wrapped(&hasher, sample.read()).await;
    assert!(
        once.starts_with("$cs$md5,salt=first,wl=16,wm=64,wt=1,wp=1$."),
        "{once}"
    );
    let hex = sample.hash.clone();
    let digest: Vec<u8> = (0..16)
        .map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    assert!(
        !once.contains(&stored_form(&digest)),
        "the bare hash is gone"
    );
    let hash = ForeignHash::parse(&once).unwrap();
    assert!(!hash.must_be_wrapped(USUAL));
    assert_eq!(wrapped(&hasher, hash).await, once);
    let again = wrapped(&hasher, sample.read()).await;
    assert_ne!(again, once, "salted");
}

fn stored_form(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn the_form_of_the_other_software_is_tried_first_and_then_nfc() {
    let hasher = hasher();
    let (composed, decomposed) = ("p\u{e4}ssw\u{f6}rd", "pa\u{308}sswo\u{308}rd");
    // Better Auth hashes NFKC: the compatible letters are the same password to it.
    let better_auth = &hashes::all()[29];
    assert_eq!(better_auth.format, "better-auth-scrypt");
    assert!(better_auth.password.contains('\u{2167}'));
    let stored = better_auth.read().print();
    for typed in [
        better_auth.password.clone(),
        better_auth.password.replace(composed, decomposed),
        better_auth.password.replace('\u{2167}', "VIII"),
        better_auth.password.replace('\u{fb01}', "fi"),
    ] {
        let found = verdict(&hasher, &stored, &typed).await;
        assert_eq!(found, Ok(Verdict::Right(Renewal::Whole)), "{typed}");
    }
    // Django hashes what was typed. In NFC that is found from either form, in NFD from this one alone.
    let django = &hashes::all()[9];
    assert_eq!(django.format, "django-md5");
    let stored = django.read().print();
    for (typed, is_right) in [
        (django.password.clone(), true),
        (django.password.replace(composed, decomposed), true),
        (django.password.replace('\u{fb01}', "fi"), false),
    ] {
        let found = verdict(&hasher, &stored, &typed).await.unwrap();
        assert_eq!(found != Verdict::Wrong, is_right, "{typed}");
    }
    let parts = hashes::of("passlib-pbkdf2-nfd");
    let stored = parts.read().print();
    let found = verdict(&hasher, &stored, &parts.password).await;
    assert_eq!(found, Ok(Verdict::Right(Renewal::Whole)));
    let found = verdict(
        &hasher,
        &stored,
        &parts.password.replace(decomposed, composed),
    )
    .await;
    assert_eq!(
        found,
        Ok(Verdict::Wrong),
        "its own software refuses it, too"
    );
}

#[tokio::test]
async fn what_bcrypt_never_looked_at_does_not_become_the_password() {
    let hasher = hasher();
    let sample = hashes::of("bcrypt-72");
    let stored = sample.read().print();
    let (right, first) = (&sample.password, &sample.password[..72]);
    let slip = format!("{first}{}", "z".repeat(28));
    for typed in [right.as_str(), &slip, first] {
        let renewal = Renewal::Cut(Form::Typed);
        let found = verdict(&hasher, &stored, typed).await;
        assert_eq!(found, Ok(Verdict::Right(renewal)), "{typed}");
        let renewed = hasher
            .renew(&Requester::default(), password(typed), renewal)
            .await
            .unwrap()
            .unwrap();
        assert!(
            renewed.starts_with("$cs$argon2,y=id,v=19,m=64,t=1,p=1,cut=72$"),
            "{renewed}"
        );
        for typed in [right.as_str(), &slip, first] {
            let found = verdict(&hasher, &renewed, typed).await;
            assert_eq!(found, Ok(Verdict::Right(Renewal::None)), "{typed}");
        }
        for wrong in [&first[..71], &format!("x{first}"), "another password"] {
            let found = verdict(&hasher, &renewed, wrong).await;
            assert_eq!(found, Ok(Verdict::Wrong), "{wrong}");
        }
    }
    // One of 71 bytes was looked at to its end, and becomes a hash like any other.
    let whole = hashes::of("bcrypt");
    let found = verdict(&hasher, &whole.read().print(), &whole.password).await;
    assert_eq!(found, Ok(Verdict::Right(Renewal::Whole)));
}

#[tokio::test]
async fn a_cut_hash_is_made_anew_by_stronger_settings() {
    let weak = hasher();
    let strong = Hasher::start(
        Cost {
            iterations: 2,
            ..CHEAP
        },
        1,
        8,
        Arc::new(SeededRandom::new(1)),
    )
    .unwrap();
    let (long, one) = ("y".repeat(100), Requester::default());
    let cut = Renewal::Cut(Form::Typed);
    let stored = weak
        .renew(&one, password(&long), cut)
        .await
        .unwrap()
        .unwrap();
    let found = verdict(&strong, &stored, &long).await;
    assert_eq!(found, Ok(Verdict::Right(cut)), "it stays cut");
    assert_eq!(
        strong.renew(&one, password(&long), Renewal::None).await,
        Ok(None)
    );
}

/// The sign-in goes on without it (`flows::login::sign_in`), and the next one renews the hash.
#[tokio::test]
async fn without_a_free_slot_a_hash_is_not_renewed() {
    let (hasher, one) = (hasher(), Requester::default());
    let renew = || hasher.renew(&one, password("correct horse"), Renewal::Whole);
    assert!(renew().await.unwrap().unwrap().starts_with("$argon2id$"));
    let held: Vec<_> = std::iter::from_fn(|| hasher.reserve(&one).ok()).collect();
    assert!(!held.is_empty());
    assert_eq!(renew().await, Err(Error::Busy));
    drop(held);
    assert!(renew().await.unwrap().is_some());
}

#[tokio::test]
async fn a_nul_is_no_part_of_a_password_where_the_other_software_stops_at_it() {
    let hasher = hasher();
    for (format, takes) in [
        ("bcrypt", false),
        ("sha512-crypt", false),
        ("md5-crypt", false),
        ("django-md5", false),
    ] {
        let sample = hashes::of(format);
        let stored = sample.read().print();
        let typed = format!("{}\0", sample.password);
        let found = verdict(&hasher, &stored, &typed).await.unwrap();
        assert_eq!(found != Verdict::Wrong, takes, "{format}");
    }
    // Hashes of a text with a NUL: the crate would take it, a program in C would take what is before.
    let text = "correct\0horse";
    let bcrypt = bcrypt_of(text.as_bytes());
    assert_eq!(verdict(&hasher, &bcrypt, text).await, Ok(Verdict::Wrong));
    let plain = bcrypt_of(b"correct");
    let found = verdict(&hasher, &plain, "correct").await;
    assert_eq!(found, Ok(Verdict::Right(Renewal::Whole)));
    assert_eq!(verdict(&hasher, &plain, text).await, Ok(Verdict::Wrong));
    let digest = stored_form(&countersign::encoding::sha256(text.as_bytes()));
    let found = verdict(&hasher, &format!("$cs$sha256,salt=first$${digest}"), text).await;
    assert_eq!(
        found,
        Ok(Verdict::Right(Renewal::Whole)),
        "SHA-256 takes all"
    );
}

/// The text of bcrypt at its least cost, with a NUL at the end as every text has there.
fn bcrypt_of(text: &[u8]) -> String {
    let hash = bcrypt::bcrypt(4, [0; 16], &[text, &[0]].concat());
    let hash = ForeignHash::from_software(
        Format::Bcrypt,
        &format!("$2b$04${}", in_letters_of_bcrypt(&[0; 16], &hash[..23])),
        &Options::default(),
    );
    hash.unwrap().print()
}

fn in_letters_of_bcrypt(salt: &[u8], hash: &[u8]) -> String {
    use base64::alphabet::BCRYPT;
    use base64::engine::{Engine, GeneralPurpose, general_purpose::NO_PAD};
    let letters = GeneralPurpose::new(&BCRYPT, NO_PAD);
    format!("{}{}", letters.encode(salt), letters.encode(hash))
}

#[tokio::test]
async fn a_pepper_is_a_setting_and_stands_in_no_stored_text() {
    let with = hasher();
    let sample = hashes::of("devise-pepper");
    let stored = sample.read().print();
    assert!(
        stored.starts_with("$cs$bcrypt,c=5,pre=pepper.") && !stored.contains(PEPPER),
        "{stored}"
    );
    let found = verdict(&with, &stored, &sample.password).await;
    assert_eq!(found, Ok(Verdict::Right(Renewal::Whole)));
    for pepper in [None, Some(Pepper::new(b"another one"))] {
        let without = hasher().with_pepper(pepper);
        let found = verdict(&without, &stored, &sample.password).await;
        assert_eq!(found, Err(Error::Pepper));
    }
    assert_eq!(format!("{:?}", Pepper::new(b"secret")), "Pepper(…)");
    assert_eq!(format!("{:?}", sample.read()), "ForeignHash(bcrypt…)");
}

/// The texts of a user who was absent cost what those of present ones do, and are never right.
#[tokio::test]
async fn an_absent_user_is_always_wrong() {
    let hasher = hasher();
    let stored = hashes::of("bcrypt").read().print();
    let one = Requester::default();
    for decoy in [None, Some(stored), Some("unreadable".into())] {
        let found = hasher
            .verify(
                &one,
                password("correct horse battery"),
                Against::Absent(decoy),
            )
            .await;
        assert_eq!(found, Ok(Verdict::Wrong));
    }
}

#[test]
fn what_costs_too_much_is_refused_by_every_reader_before_any_work() {
    let b64 = |n: usize| stored_form(&vec![0; n]);
    let digits = "0".repeat(128);
    let deep = [1, 2, 3].map(|prf: u32| {
        let mut bytes = vec![1];
        bytes.extend(
            [prf.min(2), u32::MAX, 4]
                .iter()
                .flat_map(|n| n.to_be_bytes()),
        );
        bytes.extend([0; 36]);
        stored_form(&bytes)
    });
    let keycloak = |algorithm: &str, iterations: u64, memory: &str| {
        format!(
            r#"{{"secretData":{{"value":"{}","salt":"{}"}},"credentialData":{{"hashIterations":{iterations},"algorithm":"{algorithm}","additionalParameters":{{"memory":["{memory}"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}}}}}"#,
            b64(32),
            b64(16)
        )
    };
    let costly = [
        (Format::Stored, format!("$2b$31${}", ".".repeat(53))),
        (
            Format::Stored,
            format!("$argon2id$v=19$m=4194304,t=3,p=1${}${}", b64(16), b64(32)),
        ),
        (
            Format::Stored,
            format!("$cs$pbkdf2,f=sha256,i=2000001${}${}", b64(16), b64(32)),
        ),
        (
            Format::Stored,
            format!("$cs$scrypt,ln=18,r=8,p=1${}${}", b64(16), b64(32)),
        ),
        (
            Format::Stored,
            format!("$cs$scrypt,ln=999,r=8,p=1${}${}", b64(16), b64(32)),
        ),
        (
            Format::Stored,
            format!("$cs$phpass,ln=30${}${}", b64(8), b64(16)),
        ),
        (
            Format::Stored,
            format!(
                "$cs$md5,salt=first,wl=16,wm=4194304,wt=1,wp=1$.{}${}",
                b64(16),
                b64(32)
            ),
        ),
        (
            Format::Argon2,
            format!("$argon2i$v=19$m=64,t=4000000,p=1${}${}", b64(16), b64(32)),
        ),
        (
            Format::Argon2,
            format!(
                "$argon2id$v=19$m=99999999999,t=1,p=1${}${}",
                b64(16),
                b64(32)
            ),
        ),
        (Format::Bcrypt, format!("$2y$15${}", ".".repeat(53))),
        (Format::Devise, format!("$2a$20${}", ".".repeat(53))),
        (
            Format::Django,
            format!("pbkdf2_sha256$2000001$salt${}", b64(32)),
        ),
        (
            Format::Django,
            format!("scrypt$1048576$salt$8$1${}", b64(64)),
        ),
        (
            Format::Django,
            format!("bcrypt_sha256$$2b$16${}", ".".repeat(53)),
        ),
        (
            Format::Django,
            format!(
                "argon2$argon2id$v=19$m=999999,t=1,p=1${}${}",
                b64(16),
                b64(32)
            ),
        ),
        (
            Format::Werkzeug,
            format!("scrypt:4194304:8:1$salt${digits}"),
        ),
        (
            Format::Werkzeug,
            format!("pbkdf2:sha256:99999999999$salt${}", &digits[..64]),
        ),
        (
            Format::Passlib,
            format!("$6$rounds=999999999$salt${}", ".".repeat(86)),
        ),
        (
            Format::Passlib,
            format!("$5$rounds=500001$salt${}", ".".repeat(43)),
        ),
        (Format::Passlib, format!("$P$Qsaltsalt{}", ".".repeat(22))),
        (
            Format::Passlib,
            format!("$pbkdf2-sha512$2000001${}${}", b64(16), b64(64)),
        ),
        (
            Format::Passlib,
            format!("$scrypt$ln=30,r=8,p=1${}${}", b64(16), b64(32)),
        ),
        (
            Format::Passlib,
            format!(
                "$bcrypt-sha256$v=2,t=2b,r=31${}${}",
                ".".repeat(22),
                ".".repeat(31)
            ),
        ),
        (
            Format::Passlib,
            format!("{{PBKDF2-SHA256}}2000001${}${}", b64(16), b64(32)),
        ),
        (Format::Aspnet, deep[0].clone()),
        (Format::Aspnet, deep[1].clone()),
        (Format::Keycloak, keycloak("pbkdf2-sha512", 2_000_001, "")),
        (Format::Keycloak, keycloak("pbkdf2", 1 << 40, "")),
        (Format::Keycloak, keycloak("argon2", 2, "4194304")),
        (Format::Keycloak, keycloak("argon2", 17, "64")),
    ];
    for (format, text) in costly {
        let read = ForeignHash::from_software(format, &text, &Options::default());
        assert_eq!(read, Err(Unusable::TooCostly), "{}: {text}", format.name());
    }
    let project = countersign::crypto::foreign::FirebaseParameters::new(&b64(64), "", 8, 30);
    let project = project.unwrap();
    let options = Options {
        salt: Some(Salt::Text("salt")),
        firebase: Some(&project),
        ..Options::default()
    };
    let read = ForeignHash::from_software(Format::Firebase, &b64(64), &options);
    assert_eq!(read, Err(Unusable::TooCostly));
}

#[test]
fn what_is_malformed_or_unknown_is_told_from_each_other() {
    let b64 = |n: usize| stored_form(&vec![0; n]);
    for (format, text, why) in [
        (Format::Stored, "plain".into(), Unusable::Unknown),
        (Format::Stored, "$1$abc$def".into(), Unusable::Unknown),
        (
            Format::Stored,
            format!("$cs$rot13${}${}", b64(16), b64(32)),
            Unusable::Unknown,
        ),
        (Format::Stored, "x".repeat(2_000), Unusable::Malformed),
        // One text for each hash.
        (
            Format::Stored,
            format!("$cs$pbkdf2,f=sha256,i=01000${}${}", b64(16), b64(32)),
            Unusable::Malformed,
        ),
        (
            Format::Stored,
            format!("$cs$pbkdf2,i=1000,f=sha256${}${}", b64(16), b64(32)),
            Unusable::Malformed,
        ),
        (
            Format::Stored,
            format!("$cs$pbkdf2,f=sha256,i=1000,x=1${}${}", b64(16), b64(32)),
            Unusable::Malformed,
        ),
        (
            Format::Stored,
            format!("$cs$pbkdf2,f=sha256,i=1000${}=${}", b64(16), b64(32)),
            Unusable::Malformed,
        ),
        (
            Format::Stored,
            format!("$cs$pbkdf2,f=sha256,i=1000${}${}$", b64(16), b64(32)),
            Unusable::Malformed,
        ),
        (
            Format::Stored,
            format!("$cs$bcrypt,c=10,pre=text${}${}", b64(16), b64(23)),
            Unusable::Malformed,
        ),
        (
            Format::Stored,
            format!("$2b$10${}", "/".repeat(53)),
            Unusable::Malformed,
        ),
        // An output that is shorter than any software writes would take many passwords.
        (
            Format::Stored,
            format!("$cs$pbkdf2,f=sha256,i=1000${}${}", b64(16), b64(1)),
            Unusable::Malformed,
        ),
        (
            Format::Stored,
            format!("$cs$scrypt,ln=14,r=8,p=1${}$", b64(16)),
            Unusable::Malformed,
        ),
        (
            Format::Stored,
            format!(
                "$cs$md5,salt=first,wl=1,wm=64,wt=1,wp=1$.{}${}",
                b64(16),
                b64(32)
            ),
            Unusable::Malformed,
        ),
        (
            Format::Stored,
            format!(
                "$cs$md5,salt=first,wl=16,wm=64,wt=1,wp=1${}${}",
                b64(16),
                b64(32)
            ),
            Unusable::Malformed,
        ),
        (
            Format::Stored,
            format!(
                "$cs$md5,salt=first,wl=16,wm=1,wt=1,wp=1$.{}${}",
                b64(16),
                b64(32)
            ),
            Unusable::Malformed,
        ),
        (
            Format::Bcrypt,
            format!("$2x$10${}", ".".repeat(53)),
            Unusable::Unknown,
        ),
        (
            Format::Bcrypt,
            format!("$2b$10${}", ".".repeat(52)),
            Unusable::Malformed,
        ),
        (
            Format::Bcrypt,
            format!("$2b$+9${}", ".".repeat(53)),
            Unusable::Malformed,
        ),
        (
            Format::Bcrypt,
            format!("$2b$03${}", ".".repeat(53)),
            Unusable::Malformed,
        ),
        (
            Format::Bcrypt,
            format!("$2b$10${}é", ".".repeat(51)),
            Unusable::Malformed,
        ),
        (Format::BetterAuth, "zz:00".into(), Unusable::Malformed),
        (
            Format::BetterAuth,
            format!("00:{}", "0".repeat(126)),
            Unusable::Malformed,
        ),
        (Format::Django, "!unusable".into(), Unusable::NoPassword),
        (Format::Django, String::new(), Unusable::NoPassword),
        (Format::Django, "crypt$ab$abcdef".into(), Unusable::Unknown),
        (
            Format::Django,
            format!("scrypt$16383$salt$8$1${}", b64(64)),
            Unusable::Malformed,
        ),
        (
            Format::Django,
            "pbkdf2_sha256$1000$salt".into(),
            Unusable::Malformed,
        ),
        (
            Format::Django,
            "pbkdf2_sha256$-1$salt$AAAA".into(),
            Unusable::Malformed,
        ),
        (
            Format::Werkzeug,
            format!("sha1$salt${}", "0".repeat(40)),
            Unusable::Unknown,
        ),
        (
            Format::Werkzeug,
            format!("pbkdf2:md4:1000$salt${}", "0".repeat(40)),
            Unusable::Unknown,
        ),
        (Format::Passlib, "*".into(), Unusable::NoPassword),
        (Format::Passlib, "{X-UNKNOWN}abc".into(), Unusable::Unknown),
        (Format::Passlib, "{SHA}AAAA".into(), Unusable::Malformed),
        (
            Format::Passlib,
            format!("{{SHA}}{}", b64(24)),
            Unusable::Malformed,
        ),
        (
            Format::Passlib,
            format!("$6$salt${}", "z".repeat(86)),
            Unusable::Malformed,
        ),
        (
            Format::Passlib,
            format!("$5$rounds=999$salt${}", ".".repeat(43)),
            Unusable::Malformed,
        ),
        (
            Format::Passlib,
            format!("$1$ninebytes${}", ".".repeat(22)),
            Unusable::Malformed,
        ),
        (
            Format::Passlib,
            format!("$P$!saltsalt{}", ".".repeat(22)),
            Unusable::Malformed,
        ),
        (Format::Aspnet, "AgAA".into(), Unusable::Unknown),
        (Format::Aspnet, "AQAAAAI".into(), Unusable::Malformed),
        (Format::Keycloak, "{}".into(), Unusable::Malformed),
        (Format::Keycloak, "not json".into(), Unusable::Malformed),
        (Format::Firebase, b64(64), Unusable::Incomplete),
        (Format::RawMd5, "00".into(), Unusable::Malformed),
        (Format::RawSha1, "é".repeat(20), Unusable::Malformed),
    ] {
        let read = ForeignHash::from_software(format, &text, &Options::default());
        assert_eq!(read, Err(why), "{}: {text}", format.name());
        assert!(!why.name().is_empty() && !why.to_string().is_empty());
    }
}

#[test]
fn kinds_and_formats_have_names_of_their_own() {
    let mut kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let mut formats: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
    for names in [&mut kinds, &mut formats] {
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
    assert!(
        Kind::ALL
            .iter()
            .all(|kind| Kind::of_name(kind.name()) == Some(*kind))
    );
    assert_eq!(Kind::of_name("rot13"), None);
}

/// The salt of a row in each of its forms, on either side of the password.
#[tokio::test]
async fn a_plain_digest_takes_its_salt_from_the_row() {
    let hasher = hasher();
    let salts = [
        Salt::Text("salt"),
        Salt::Hex("73616c74"),
        Salt::Base64("c2FsdA"),
    ];
    for (order, text) in [
        (Order::SaltFirst, "saltcorrect horse"),
        (Order::PasswordFirst, "correct horsesalt"),
    ] {
        let hash = stored_form(&countersign::encoding::sha256(text.as_bytes()));
        for salt in salts {
            let options = Options {
                salt: Some(salt),
                order,
                ..Options::default()
            };
            let read = ForeignHash::from_software(Format::RawSha256, &hash, &options).unwrap();
            let found = verdict(&hasher, &read.print(), "correct horse").await;
            assert_eq!(
                found,
                Ok(Verdict::Right(Renewal::Whole)),
                "{order:?} {salt:?}"
            );
        }
    }
}
