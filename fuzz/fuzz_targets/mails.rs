//! What is read on the way to and from a mail: email addresses, the sender, the name for `EHLO`, the
//! URL of the mail server, the tokens of links, the links of a mail in the inbox of tests, and the
//! texts of a mail. The first line of an input names the parser, the rest is what it reads.
#![no_main]

use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use countersign::config::{Config, Sources};
use countersign::crypto::mail_token;
use countersign::crypto::{decode, encode};
use countersign::mail::{Received, Rendered, TemplateContext, Templates, Transport};
use countersign::model::account::email::Email;
use countersign::model::kernel::id::EventId;
use countersign::model::kernel::locale::Locales;
use countersign::model::kernel::mail_sender::{Helo, Sender};
use countersign::model::kernel::time::Timestamp;
use countersign::model::mail::{Purpose, Template};
use countersign_fuzz::placeholders::filled_text;
use countersign_fuzz::{SERVICE, twins};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

/// A parser by its name. It returns whether it has accepted the text.
struct Parser {
    name: &'static str,
    read: fn(&str) -> bool,
    good: &'static str,
}

const PARSERS: [Parser; 8] = [
    Parser {
        name: "address",
        read: address,
        good: "o'neil+tag@sub.example.co.uk",
    },
    Parser {
        name: "sender",
        read: sender,
        good: "\"Example, Inc.\" <no-reply+x@mail.example.com>",
    },
    Parser {
        name: "helo",
        read: helo,
        good: "[IPv6:2001:db8::1]",
    },
    Parser {
        name: "server",
        read: server,
        good: "smtps://user:p%40ss@mail.example.com:465",
    },
    Parser {
        name: "link",
        read: link,
        good: "$RESET",
    },
    Parser {
        name: "signed link",
        read: signed_link,
        good: "$RESET",
    },
    Parser {
        name: "links",
        read: links,
        good: "Open\nhttps://example.com/?token=x\nor http://a.example",
    },
    Parser {
        name: "texts",
        read: texts,
        good: "Ana <fuzz> & \"Co\"",
    },
];

static LOCALES: LazyLock<Locales> =
    LazyLock::new(|| Locales::build(&[]).expect("the built-in catalogues"));
static TEMPLATES: LazyLock<Templates> =
    LazyLock::new(|| Templates::load(None, &LOCALES).expect("the built-in templates"));

fuzz_target!(init: check_twins(), |data: &[u8]| {
    let (line, text) = twins::first_line(data);
    if let Ok(text) = std::str::from_utf8(text) {
        let parser = twins::chosen(&PARSERS, line, |parser| parser.name);
        (parser.read)(text);
    }
});

fn check_twins() {
    for Parser { name, read, good } in &PARSERS {
        // A link that is good now cannot be found in the first inputs of a later run.
        let text = filled_text(&SERVICE, good);
        assert!(read(&text), "{name}: {text}");
        assert!(
            read("") == matches!(*name, "links" | "texts"),
            "{name} accepts an empty text"
        );
        twins::keep(format!("{name}\n{text}").as_bytes());
    }
}

/// An address that is accepted is one word, and means the same when it is read again.
fn address(text: &str) -> bool {
    let Ok(email) = text.parse::<Email>() else {
        return false;
    };
    let plain = email.as_str();
    assert!(
        !plain.contains(|c: char| c.is_control() || c.is_whitespace()),
        "{plain:?}"
    );
    assert_eq!(plain.parse::<Email>().as_ref(), Ok(&email));
    assert_eq!(plain.split('@').count(), 2, "{plain:?}");
    assert!(plain.ends_with(email.domain()));
    // The mail library takes it too: else a mail to it could never be sent.
    assert!(lettre::Address::from_str(plain).is_ok(), "{plain:?}");
    true
}

/// A sender that is accepted makes one header line.
fn sender(text: &str) -> bool {
    let Ok(sender) = text.parse::<Sender>() else {
        return false;
    };
    let mailbox = Transport::sender(&sender).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert!(!mailbox.to_string().contains(['\r', '\n']), "{text:?}");
    true
}

/// A name for `EHLO` is one word.
fn helo(text: &str) -> bool {
    match text.parse::<Helo>() {
        Ok(Helo::Domain(name)) => {
            assert!(!name.contains(|c: char| !c.is_ascii_graphic()), "{name:?}");
            true
        }
        Ok(Helo::Address(_)) => true,
        Err(_) => false,
    }
}

/// A URL that the settings accept is one that the mail library accepts.
fn server(text: &str) -> bool {
    let flags = [("mail.transport", "smtp"), ("mail.smtp_url", text)];
    let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let sources = Sources {
        file: None,
        environment: Vec::new(),
        flags: flags.to_vec(),
    };
    let is_accepted = Config::load(&sources).is_ok();
    if is_accepted {
        let helo = Helo::Domain("example.com".into());
        let made = SERVICE.in_runtime(|| Transport::smtp(text, Duration::from_secs(1), &helo));
        assert!(made.is_ok(), "{text:?} starts and cannot be used");
    }
    is_accepted
}

fn opened(text: &str) -> Option<(Purpose, EventId)> {
    let masters = SERVICE.masters();
    let open = |purpose| Some((purpose, mail_token::open(text, purpose, &masters)?));
    let mut found = Purpose::ALL.into_iter().filter_map(open);
    let first = found.next();
    assert!(found.next().is_none(), "{text} is good for two purposes");
    first
}

/// A token opens for one purpose, and only in the form in which it was made.
fn link(text: &str) -> bool {
    let Some((purpose, id)) = opened(text) else {
        return false;
    };
    let made = mail_token::make(id, purpose, &SERVICE.masters());
    assert_eq!(text, &**made, "another text opens as the same link");
    true
}

/// A token of any content under a good tag: it opens exactly if it has the form of one.
fn signed_link(text: &str) -> bool {
    let Some(bytes) = decode(text).filter(|bytes| bytes.len() > 32) else {
        return false;
    };
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, &countersign_fuzz::service::MASTER_KEY)
        .expand(b"countersign/mail/token/v1", &mut key)
        .expect("32 bytes are a valid length");
    let head = &bytes[..bytes.len() - 32];
    let mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
    let tag = mac
        .chain_update(head)
        .chain_update(Purpose::ResetPassword.as_str());
    let signed = encode(&[head, &tag.finalize().into_bytes()].concat());
    let is_token = head.len() == 17 && head[0] == 1;
    let found = opened(&signed);
    assert_eq!(
        found.is_some_and(|(purpose, _)| purpose == Purpose::ResetPassword),
        is_token,
        "{signed}"
    );
    // The service looks the row up, whatever the id is.
    let path = format!("/api/auth/reset-password/{signed}?callbackURL=/welcome");
    let answer = SERVICE.ask(countersign_fuzz::service::get(&path, ""));
    assert!(
        is_token || answer.location().contains("error="),
        "{}",
        answer.location()
    );
    is_token
}

/// The links of a mail are words of its text.
fn links(text: &str) -> bool {
    let mail = Received {
        id: EventId(uuid::Uuid::nil()),
        to: "a@example.com".into(),
        content: Rendered {
            subject: String::new(),
            text: text.into(),
            html: String::new(),
        },
        at: Timestamp(0),
    };
    for link in mail.links() {
        assert!(
            link.starts_with("http") && text.contains(link) && !link.contains(char::is_whitespace)
        );
    }
    true
}

/// No text that a user typed becomes a tag of the HTML or another line of the header.
fn texts(text: &str) -> bool {
    let rendered = |text: &str, template, language| {
        let context = TemplateContext {
            app_name: "Example".into(),
            name: text.to_owned(),
            email: text.to_owned(),
            new_email: text.to_owned(),
            device: text.to_owned(),
            other_device: text.to_owned(),
            other_time: "x".into(),
            link: "https://example.com/x".into(),
            page: "https://example.com/page".into(),
            ..TemplateContext::default()
        };
        let messages = LOCALES.of(Some(language));
        TEMPLATES
            .render(template, &context, &messages)
            .expect("a mail")
    };
    let languages = LOCALES.names();
    for (template, language) in Template::all().flat_map(|t| languages.iter().map(move |l| (t, *l)))
    {
        let (mail, plain) = (
            rendered(text, template, language),
            rendered("x", template, language),
        );
        assert!(!mail.subject.contains(['\r', '\n']), "{:?}", mail.subject);
        let tags = |html: &str| html.matches('<').count();
        assert!(
            text.is_empty() || tags(&mail.html) == tags(&plain.html),
            "{}",
            mail.html
        );
    }
    true
}
