//! Whose account an identity opens: every kind of account × everything that an issuer may say of the
//! mailbox × every session that the browser may have. The two tables are the documentation; after each
//! cell the test looks who is signed in, and what of the account is left.

use serde_json::{Value, json};

use super::admin::{ask, id, made_admin};
use super::mail::{about, received};
use super::upstream::{ACCOUNTS, Place, led, refused, unverified, who};
use crate::support::issuer::Says;
use crate::support::software_key::SoftwareKey;
use crate::support::{Answer, Browser, TestApp, Tokens, User};

/// The account with the email address that the issuer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Account {
    /// There is none.
    None,
    /// One that was never verified, with a password, a session, a passkey and an identity of its user:
    /// a stranger may have made it.
    Unverified,
    /// The same, and its user has verified the mailbox.
    Verified,
    /// The same, verified; and the identity is linked to Bob.
    LinkedElsewhere,
    /// The same, verified; and its user is banned.
    Banned,
}

/// What the issuer says of the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// It has verified the mailbox, and is responsible for its domain.
    Proven,
    /// It names the mailbox and does not say that it is verified.
    Unverified,
    /// It names none.
    NoAddress,
    /// As proven; but when the identity was linked it named another one: the identity belongs to the
    /// account that was made then.
    Changed,
}

/// The session of the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    SignedOut,
    /// That of the user with the email address; of Eve if there is none.
    OfHolder,
    /// That of Eve.
    OfAnother,
}

/// What a cell comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// A new account, verified or not.
    New { verified: bool },
    /// Signed in, or linked to, the account with the email address; all that it had stays.
    Holder,
    /// Signed in to the account with the email address; all that it had has ended.
    Reclaimed,
    /// Signed in to the account that was made when the identity named another mailbox.
    Former,
    /// Signed in to the account of Bob.
    Bob,
    /// The page that asks whether the identity is to be linked.
    Asked,
    /// An error with this word; nothing has changed.
    Refused(&'static str),
}

use Account as A;
use Outcome::{Asked, Bob, Former, Holder, New, Reclaimed, Refused};
use Session as S;
use Word as W;

const WORDS: [Word; 4] = [W::Proven, W::Unverified, W::NoAddress, W::Changed];
const SESSIONS: [Session; 3] = [S::SignedOut, S::OfHolder, S::OfAnother];

const NOT_LINKED: Outcome = Refused("account_not_linked");
const NO_ADDRESS: Outcome = Refused("email_not_found");
const TAKEN: Outcome = Refused("account_already_linked_to_different_user");
const UNABLE: Outcome = Refused("unable_to_link_account");
const VERIFIED: Outcome = New { verified: true };
const PLAIN: Outcome = New { verified: false };

/// A sign-in. The session of the browser changes none of it.
#[rustfmt::skip]
const SIGN_INS: [(Account, [Outcome; 4]); 5] = [
    //                      proven             unverified  no address  changed
    (A::None,            [  VERIFIED,          PLAIN,      NO_ADDRESS, Former ]),
    (A::Unverified,      [  Reclaimed,         NOT_LINKED, NO_ADDRESS, Former ]),
    (A::Verified,        [  Holder,            NOT_LINKED, NO_ADDRESS, Former ]),
    (A::LinkedElsewhere, [  Bob,               Bob,        Bob,        Bob    ]),
    (A::Banned,          [  Refused("banned"), NOT_LINKED, NO_ADDRESS, Former ]),
];

/// An identity is linked. Without a session it is 401; a user who is banned has none any more when the
/// browser comes back.
#[rustfmt::skip]
const LINKS: [(Account, Session, [Outcome; 4]); 10] = [
    //                                    proven  unverified  no address  changed
    (A::None,            S::OfHolder,  [  Asked,  Asked,      Asked,      TAKEN  ]),
    (A::None,            S::OfAnother, [  Asked,  Asked,      Asked,      TAKEN  ]),
    (A::Unverified,      S::OfHolder,  [  Asked,  Asked,      Asked,      TAKEN  ]),
    (A::Unverified,      S::OfAnother, [  Asked,  Asked,      Asked,      TAKEN  ]),
    (A::Verified,        S::OfHolder,  [  Holder, Asked,      Asked,      TAKEN  ]),
    (A::Verified,        S::OfAnother, [  Asked,  Asked,      Asked,      TAKEN  ]),
    (A::LinkedElsewhere, S::OfHolder,  [  TAKEN,  TAKEN,      TAKEN,      TAKEN  ]),
    (A::LinkedElsewhere, S::OfAnother, [  TAKEN,  TAKEN,      TAKEN,      TAKEN  ]),
    (A::Banned,          S::OfHolder,  [  UNABLE, UNABLE,     UNABLE,     UNABLE ]),
    (A::Banned,          S::OfAnother, [  Asked,  Asked,      Asked,      TAKEN  ]),
];

/// Everything that opens one account.
struct Things {
    user: User,
    tokens: Tokens,
    key: SoftwareKey,
    /// An identity at the other provider, which is responsible for no domain.
    says: Says,
    browser: Browser,
}

impl Things {
    /// Signs up, and makes all ways in.
    async fn make(place: &Place, name: &str) -> Self {
        let user = place.app.user(name).await;
        let mut key = SoftwareKey::usual(&format!("key of {name}"));
        user.adds_passkey(&mut key).await;
        let browser = user.browser().await;
        let says = Says::user(&format!("other-{name}"), &user.email);
        // A link without a question needs a verified mailbox, which is taken back afterwards.
        verify(&place.app, &user.email).await;
        let body = json!({ "provider": "other", "callbackURL": "/linked" });
        let linked = place.goes(&browser, LINK, &body, says.clone()).await;
        led(&linked, "/linked");
        let back = format!(
            "UPDATE users SET email_verified = 0, version = version + 1 WHERE email = '{}'",
            user.email
        );
        place.app.db_execute(&back).await.unwrap();
        let tokens = user.sign_in().await;
        Self {
            user,
            tokens,
            key,
            says,
            browser,
        }
    }

    /// Tries each way in: the session, its refresh, the password, the passkey, the identity.
    async fn tried(&mut self, place: &Place) -> [bool; 5] {
        let app = &place.app;
        let session = app
            .get_as("/api/auth/list-sessions", &self.tokens.session)
            .await;
        let refreshed = app.refresh(&self.tokens.refresh).await;
        let password = self.user.try_sign_in(&self.user.password).await;
        let passkey = app.signs_in(&mut self.key).await;
        let browser = Browser::new(app);
        let identity = place.signs_in(&browser, "other", self.says.clone()).await;
        let is_in = identity.header("location") == "/welcome"
            && who(&browser).await.as_deref() == Some(&self.user.email);
        assert_eq!(
            identity.header("location") == "/welcome",
            who(&browser).await.is_some()
        );
        [
            session.status.is_success(),
            refreshed.status.is_success(),
            password.body["accessToken"].is_string(),
            passkey.body["accessToken"].is_string(),
            is_in,
        ]
    }
}

const LINK: &str = "/api/auth/link-social";

/// What stands before one cell.
struct Scene {
    subject: String,
    email: String,
    things: Option<Things>,
    former: String,
    bob: String,
    browser: Browser,
    /// Who was signed in there before.
    before: Option<String>,
}

impl Scene {
    async fn make(
        place: &Place,
        name: &str,
        account: Account,
        word: Word,
        session: Session,
        root: &Tokens,
    ) -> Self {
        let app = &place.app;
        let subject = format!("id-{name}");
        let email = format!("{name}@example.com");
        let (former, bob) = (
            format!("{name}.former@example.com"),
            format!("{name}.bob@example.com"),
        );
        if account == Account::LinkedElsewhere {
            let user = app.user(&format!("{name}.bob")).await;
            verify(app, &user.email).await;
            let says = Says::user(&subject, &bob);
            let answer = place.signs_in(&Browser::new(app), "acme", says).await;
            led(&answer, "/welcome");
        } else if word == Word::Changed {
            let says = Says::user(&subject, &former);
            let answer = place.signs_in(&Browser::new(app), "acme", says).await;
            led(&answer, "/welcome");
        }
        let things = match account {
            Account::None => None,
            _ => Some(Things::make(place, name).await),
        };
        if !matches!(account, Account::None | Account::Unverified) {
            verify(app, &email).await;
        }
        let browser = match (session, &things) {
            (Session::SignedOut, _) => Browser::new(app),
            (Session::OfHolder, Some(things)) => things.browser.clone(),
            _ => app.user(&format!("{name}.eve")).await.browser().await,
        };
        let scene = Self {
            subject,
            email,
            before: who(&browser).await,
            things,
            former,
            bob,
            browser,
        };
        assert_eq!(scene.before.is_some(), session != Session::SignedOut);
        // A sign-in meets a user who is banned; a link one who is banned meanwhile (below).
        if account == Account::Banned && root.session_id != NO_BAN {
            scene.ban(place, root).await;
        }
        scene
    }

    async fn ban(&self, place: &Place, root: &Tokens) {
        let user = &self.things.as_ref().unwrap().user;
        let user = json!({ "userId": id(user).await });
        ask(&place.app, root, "ban-user", user).await.ok();
    }

    fn says(&self, word: Word) -> Says {
        let says = Says::user(&self.subject, &self.email);
        match word {
            Word::Proven | Word::Changed => says,
            Word::Unverified => unverified(says),
            Word::NoAddress => Says {
                email: None,
                email_verified: None,
                ..says
            },
        }
    }

    /// The user to whom the identity is linked.
    async fn owner(&self, place: &Place) -> Option<String> {
        let sql = format!(
            "SELECT u.email FROM accounts a JOIN users u ON u.id = a.user_id WHERE a.provider_id = 'acme' AND a.account_id = '{}'",
            self.subject
        );
        place.app.db_text(&sql).await
    }

    async fn is_verified(&self, place: &Place) -> i64 {
        let sql = format!(
            "SELECT email_verified FROM users WHERE email = '{}'",
            self.email
        );
        place.app.db_number(&sql).await
    }
}

/// In place of the id of a session: the user is not banned yet.
const NO_BAN: &str = "none";

async fn verify(app: &TestApp, email: &str) {
    let sql = format!(
        "UPDATE users SET email_verified = 1, version = version + 1 WHERE email = '{email}'"
    );
    app.db_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn whose_account_a_sign_in_opens() {
    let place = Place::start().await;
    let root = made_admin(&place.app, "root").await.sign_in().await;
    let mut cells = 0;
    for (account, outcomes) in SIGN_INS {
        for (word, outcome) in WORDS.into_iter().zip(outcomes) {
            for session in SESSIONS {
                let what = format!("{account:?} × {word:?} × {session:?} → {outcome:?}");
                let name = format!("ana{cells}");
                let scene = Scene::make(&place, &name, account, word, session, &root).await;
                let linked = scene.owner(&place).await;
                let says = scene.says(word);
                let answer = place.signs_in(&scene.browser, "acme", says).await;
                println!("{what}: {}", answer.header("location"));
                check_sign_in(&place, scene, account, outcome, linked, &answer).await;
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 60);
}

async fn check_sign_in(
    place: &Place,
    mut scene: Scene,
    account: Account,
    outcome: Outcome,
    linked: Option<String>,
    answer: &Answer,
) {
    let is_in = match outcome {
        New { .. } | Holder | Reclaimed => Some(scene.email.clone()),
        Former => Some(scene.former.clone()),
        Bob => Some(scene.bob.clone()),
        Asked => panic!("a sign-in asks for nothing"),
        Refused(_) => None,
    };
    if let Refused(word) = outcome {
        refused(answer, word);
        // The user who was signed in there still is, and the identity belongs to the same user.
        let is_banned = word == "banned" || account == Account::Banned;
        let before = scene.before.clone();
        let is_own = before.as_deref() == Some(scene.email.as_str());
        let expected = before.filter(|_| !(is_banned && is_own));
        assert_eq!(who(&scene.browser).await, expected);
        assert_eq!(scene.owner(place).await, linked);
    } else {
        led(answer, "/welcome");
        assert_eq!(who(&scene.browser).await, is_in);
        assert_eq!(scene.owner(place).await, is_in);
    }
    if let New { verified } = outcome {
        assert_eq!(scene.is_verified(place).await, i64::from(verified));
        let own = scene.browser.get(ACCOUNTS).await.ok().body;
        assert_eq!(own.as_array().unwrap().len(), 1);
    }
    if outcome == Reclaimed {
        assert_eq!(scene.is_verified(place).await, 1);
        let own = scene.browser.get(ACCOUNTS).await.ok().body;
        let own = own.as_array().unwrap();
        assert_eq!(own.len(), 1, "{own:?}");
        assert_eq!(own[0]["accountId"], Value::from(scene.subject.clone()));
        let sessions = scene.browser.get("/api/auth/list-sessions").await.ok();
        assert_eq!(sessions.body.as_array().unwrap().len(), 1);
        let keys = scene.browser.get("/api/auth/passkey/list-user-passkeys");
        assert_eq!(keys.await.ok().body, json!([]));
    }
    let Some(things) = &mut scene.things else {
        return;
    };
    let opens = match (account, outcome) {
        (Account::Banned, _) | (_, Reclaimed) => [false; 5],
        _ => [true; 5],
    };
    assert_eq!(things.tried(place).await, opens);
    if account == Account::Unverified && outcome != Reclaimed {
        assert_eq!(scene.is_verified(place).await, 0);
    }
}

#[tokio::test]
async fn whose_account_gets_another_way_in() {
    let place = Place::start().await;
    let root = made_admin(&place.app, "root").await.sign_in().await;
    let not_yet = Tokens {
        session_id: NO_BAN.into(),
        ..root.clone()
    };
    let urls =
        json!({ "provider": "acme", "callbackURL": "/linked", "errorCallbackURL": "/failed" });
    place
        .app
        .post(LINK, &urls)
        .await
        .refused(401, "UNAUTHORIZED");
    let mut cells = 0;
    for (account, session, outcomes) in LINKS {
        for (word, outcome) in WORDS.into_iter().zip(outcomes) {
            let what = format!("{account:?} × {word:?} × {session:?} → {outcome:?}");
            let name = format!("ana{cells}");
            let mut scene = Scene::make(&place, &name, account, word, session, &not_yet).await;
            let linked = scene.owner(&place).await;
            let browser = scene.browser.clone();
            let begun = browser.post(LINK, &urls).await.ok();
            if account == Account::Banned {
                scene.ban(&place, &root).await;
            }
            let query = place.at_issuer(&begun, scene.says(word));
            let answer = place.comes_back(&browser, "acme", &query).await;
            println!("{what}: {}", answer.header("location"));
            match outcome {
                Holder => {
                    led(&answer, "/linked");
                    assert_eq!(scene.owner(&place).await, scene.before, "{what}");
                }
                Asked => {
                    let location = answer.header("location");
                    assert!(
                        location.starts_with("/auth/account/connect?link="),
                        "{what}: {location}"
                    );
                    assert_eq!(scene.owner(&place).await, linked, "{what}");
                }
                Refused(word) => {
                    led(&answer, &format!("/failed?error={word}"));
                    assert_eq!(scene.owner(&place).await, linked, "{what}");
                }
                other => panic!("{other:?} is no outcome of linking"),
            }
            // No session was opened and none has ended, but that of the banned user.
            let is_own = session == Session::OfHolder && account == Account::Banned;
            let still = scene.before.clone().filter(|_| !is_own);
            assert_eq!(who(&browser).await, still, "{what}");
            if let Some(things) = &mut scene.things {
                let opens = [account != Account::Banned; 5];
                assert_eq!(things.tried(&place).await, opens, "{what}");
            }
            cells += 1;
        }
    }
    assert_eq!(cells, 40);
}

/// What a stranger may have begun before the owner of the mailbox comes opens nothing afterwards.
#[tokio::test]
async fn what_a_squatter_has_begun_is_over_when_the_owner_comes() {
    let place = Place::start().await;
    let app = &place.app;
    let squatter = app.user("ana").await;
    let first = squatter.browser().await;
    let device = first.cookie(crate::support::DEVICE_COOKIE).unwrap();
    let phone = squatter.enrols().await;
    let remembered = Browser::new(app);
    let body = json!({ "email": squatter.email, "password": squatter.password });
    remembered.post("/api/auth/sign-in/email", &body).await.ok();
    let code = json!({ "code": phone.code(app, 0), "trustDevice": true });
    remembered
        .post("/api/auth/two-factor/verify-totp", &code)
        .await
        .ok();
    app.after(crate::support::seconds(30));
    // A sign-in that waits for its second step, a link that is under way, and links of mails.
    let pending = squatter.begins().await;
    let under_way = remembered.stolen();
    let link =
        json!({ "provider": "other", "callbackURL": "/linked", "errorCallbackURL": "/failed" });
    let begun = under_way.post(LINK, &link).await.ok();
    let asked = remembered.stolen();
    let acme =
        json!({ "provider": "other", "callbackURL": "/linked", "errorCallbackURL": "/failed" });
    let stranger = Says::user("stranger", "stranger@example.com");
    let question = place.goes(&asked, LINK, &acme, stranger).await;
    let question = question.header("location").to_owned();
    assert!(question.contains("?link="), "{question}");
    let mails = [
        (
            "/api/auth/send-verification-email",
            json!({ "email": squatter.email }),
        ),
        (
            "/api/auth/request-password-reset",
            json!({ "email": squatter.email }),
        ),
    ];
    for (path, body) in &mails {
        app.post(path, body).await.ok();
    }
    let mails = received(app, place.dir.path()).await;
    let reset = mails
        .iter()
        .find(|mail| mail.text.contains("/reset-password/"))
        .unwrap();

    let owner = Browser::new(app);
    let says = Says::user("owner", &squatter.email);
    led(
        &place.signs_in(&owner, "acme", says.clone()).await,
        "/welcome",
    );

    squatter
        .tries(&pending, &phone.code(app, 0))
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    squatter
        .try_sign_in(&squatter.password)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    let query = place.at_issuer(&begun, Says::user("late", &squatter.email));
    let late = place.comes_back(&under_way, "other", &query).await;
    led(&late, "/failed?error=unable_to_link_account");
    assert!(asked.follow(&question).await.status.is_redirection());
    for browser in [&first, &remembered, &under_way, &asked] {
        assert_eq!(who(browser).await, None);
    }
    let new = json!({ "newPassword": "the squatter's next one", "token": reset.token() });
    app.post("/api/auth/reset-password", &new)
        .await
        .refused(400, "INVALID_TOKEN");
    // The mailbox is verified, so the link of the mail has nothing left to do, whatever device opens it.
    let again = Browser::new(app);
    again.set_cookie(crate::support::DEVICE_COOKIE, &device);
    again
        .get(&about(&mails, "Confirm your email address").link())
        .await;
    let accounts = owner.get(ACCOUNTS).await.ok().body;
    assert_eq!(accounts.as_array().unwrap().len(), 1, "{accounts}");
    let session = owner.get("/api/auth/get-session").await.ok().body;
    assert_eq!(session["user"]["twoFactorEnabled"], false);
    // The stranger chose the name of the account.
    assert_eq!(session["user"]["name"], "");
    assert_eq!(app.db_count_events("account.reclaimed").await, 1);
    for table in ["totp", "recovery_codes", "passkeys"] {
        let left = format!("SELECT COUNT(*) FROM {table}");
        assert_eq!(app.db_number(&left).await, 0, "{table}");
    }
    // The owner comes again, in any browser.
    let phone = Browser::new(app);
    led(&place.signs_in(&phone, "acme", says).await, "/welcome");
    assert_eq!(who(&phone).await.as_deref(), Some("ana@example.com"));
}

/// A stranger may sign up by an issuer that verifies nothing, and so leave an identity alone.
#[tokio::test]
async fn an_account_that_has_nothing_but_an_identity_is_reclaimed_as_well() {
    for verifying in ["true", "false"] {
        let place = Place::with(&[("sign_up.require_email_verification", verifying)]).await;
        let app = &place.app;
        let squatter = Says {
            name: Some("Call 0900 to get your refund".into()),
            ..Says::user("squatter", "ana@example.com")
        };
        let theirs = Browser::new(app);
        place.signs_in(&theirs, "other", squatter.clone()).await;
        let owner = Browser::new(app);
        let says = Says::user("owner", "ana@example.com");
        led(&place.signs_in(&owner, "acme", says).await, "/welcome");
        assert_eq!(who(&theirs).await, None);
        refused(
            &place.signs_in(&theirs, "other", squatter).await,
            "account_not_linked",
        );
        let session = owner.get("/api/auth/get-session").await.ok().body;
        assert_eq!(session["user"]["name"], "", "of the stranger");
        assert_eq!(app.db_count_events("account.reclaimed").await, 1);
        assert_eq!(place.links().await, 1);
    }
}

#[tokio::test]
async fn a_reclaim_and_a_sign_in_of_the_squatter_at_once_leave_the_owner_alone() {
    let place = Place::start().await;
    let app = &place.app;
    for n in 0..5 {
        let mut things = Things::make(&place, &format!("ana{n}")).await;
        let owner = Browser::new(app);
        let says = Says::user(&format!("owner-{n}"), &things.user.email);
        let theirs = Browser::new(app);
        let body = json!({ "email": things.user.email, "password": things.user.password });
        let (back, squat) = tokio::join!(
            place.signs_in(&owner, "acme", says),
            theirs.post("/api/auth/sign-in/email", &body)
        );
        led(&back, "/welcome");
        assert!(squat.status.as_u16() < 500, "{}", squat.text);
        assert_eq!(who(&theirs).await, None);
        assert_eq!(things.tried(&place).await, [false; 5]);
        assert_eq!(who(&owner).await, Some(things.user.email.clone()));
    }
}
