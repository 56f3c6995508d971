//! Users whose passwords were hashed by other software sign in here, and their hashes become ours.

use countersign::flows::account::password_kinds;
use countersign::model::audit::event::Requester;
use serde_json::json;

use crate::support::hashes::{self, PEPPER, Sample};
use crate::support::{TestApp, User};

/// A user who came with this hash, as an import stores it.
async fn came_with(app: &TestApp, name: &str, sample: &Sample) -> User {
    let user = app.user(name).await;
    let hash = sample.read();
    let usual = countersign::crypto::argon2id::Cost {
        memory: 19_456,
        iterations: 2,
        parallelism: 1,
    };
    let text = if hash.must_be_wrapped(usual) {
        let slot = app.app.hasher.reserve(&Requester::default()).unwrap();
        app.app.hasher.wrap(slot, hash).await.unwrap()
    } else {
        hash.print()
    };
    store(&user, &text).await;
    User {
        password: sample.password.clone(),
        ..user
    }
}

async fn store(user: &User, text: &str) {
    let sql = format!(
        "UPDATE accounts SET password_hash = '{text}' WHERE user_id = (SELECT id FROM users WHERE email = '{}')",
        user.email
    );
    user.app.db_execute(&sql).await.unwrap();
}

async fn stored(user: &User) -> String {
    let sql = format!(
        "SELECT password_hash FROM accounts WHERE user_id = (SELECT id FROM users WHERE email = '{}')",
        user.email
    );
    user.app.db_text(&sql).await.unwrap()
}

#[tokio::test]
async fn each_kind_signs_in_and_its_hash_is_argon2id_afterwards() {
    let app = TestApp::with(&[("passwords.pepper", PEPPER)]).await;
    for (n, sample) in hashes::all().iter().enumerate() {
        let user = came_with(&app, &format!("user{n}"), sample).await;
        let before = stored(&user).await;
        let told = format!("{}: {before}", sample.format);
        assert!(!before.starts_with("$argon2id$"), "{told}");
        user.try_sign_in(&format!("x{}", sample.password))
            .await
            .refused(401, "INVALID_EMAIL_OR_PASSWORD");
        assert_eq!(stored(&user).await, before, "{told}");
        user.try_sign_in(&sample.password).await.ok();
        let after = stored(&user).await;
        let ours = if sample.format == "bcrypt-72" {
            "$cs$argon2,y=id,v=19,m=64,t=1,p=1,cut=72$"
        } else {
            "$argon2id$v=19$m=64,t=1,p=1$"
        };
        assert!(after.starts_with(ours), "{told} became {after}");
        user.sign_in().await;
        assert_eq!(stored(&user).await, after, "{told}: once");
        user.try_sign_in(&format!("x{}", sample.password))
            .await
            .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    }
}

#[tokio::test]
async fn a_cut_password_is_whole_again_after_a_change() {
    let app = TestApp::start().await;
    let sample = hashes::of("bcrypt-72");
    let ana = came_with(&app, "ana", &sample).await;
    let slip = format!("{}{}", &sample.password[..72], "another tail of characters");
    ana.try_sign_in(&slip).await.ok();
    let tokens = ana.sign_in().await;
    let long = format!("{} and a tail", "a good long password ".repeat(4));
    app.post_as(
        "/api/auth/change-password",
        &tokens.session,
        &json!({ "currentPassword": sample.password, "newPassword": long }),
    )
    .await
    .ok();
    assert!(stored(&ana).await.starts_with("$argon2id$"));
    ana.try_sign_in(&long).await.ok();
    ana.try_sign_in(&long[..80])
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
}

/// Where the password is asked for in a session, the hash of other software is one like any other.
#[tokio::test]
async fn a_password_of_other_software_is_proven_in_a_session() {
    let app = TestApp::start().await;
    let sample = hashes::of("bcrypt");
    let ana = came_with(&app, "ana", &sample).await;
    let tokens = ana.sign_in().await;
    store(&ana, &sample.read().print()).await;
    let step_up = async |password: &str| {
        let body = json!({ "password": password });
        app.post_as("/api/auth/step-up/password", &tokens.session, &body)
            .await
    };
    step_up("another password")
        .await
        .refused(400, "INVALID_PASSWORD");
    step_up(&sample.password).await.ok();
}

#[tokio::test]
async fn the_kinds_in_the_database_are_counted_with_their_cost() {
    let app = TestApp::start().await;
    for (n, format) in ["bcrypt", "bcrypt", "django-bcrypt-sha256", "raw-md5-hex"]
        .iter()
        .enumerate()
    {
        came_with(&app, &format!("user{n}"), &hashes::of(format)).await;
    }
    app.user("ana").await;
    let counted = app
        .app
        .db
        .read(|conn| Box::pin(countersign::store::account::password_kinds::count(conn)))
        .await
        .unwrap();
    let mut expected = vec![
        ("$2a$10$".to_owned(), 2),
        ("$argon2id$v=19$m=64,t=1,p=1$".to_owned(), 1),
        ("$cs$bcrypt,c=12,pre=hex$".to_owned(), 1),
        ("$cs$md5,salt=first,wl=16,wm=64,wt=1,wp=1$".to_owned(), 1),
    ];
    let mut counted = counted;
    counted.sort();
    expected.sort();
    assert_eq!(counted, expected);
}

/// What an absent user's password is compared with, by the kinds that were counted.
#[tokio::test]
async fn an_absent_user_costs_what_a_present_one_does() {
    use countersign::crypto::password::Against;
    let app = TestApp::start().await;
    let absent = |n: usize| {
        let email = format!("absent{n}@example.com").parse().unwrap();
        app.app.against(None, &email)
    };
    assert_eq!(absent(0), Against::Absent(None), "nothing is counted yet");
    let ana = came_with(&app, "ana", &hashes::of("bcrypt")).await;
    password_kinds::count_due(&app.app).await.unwrap();
    let is_bcrypt = |against: &Against| matches!(against, Against::Absent(Some(text)) if text.starts_with("$2a$10$"));
    assert!((0..20).all(|n| is_bcrypt(&absent(n))));
    app.user("ben").await;
    // A new kind is met, and so counted before the hour is over.
    password_kinds::count_due(&app.app).await.unwrap();
    assert!((0..20).all(|n| is_bcrypt(&absent(n))), "not yet");
    User {
        name: "ben".into(),
        email: "ben@example.com".into(),
        password: "ben's good password".into(),
        ..ana.clone()
    }
    .sign_in()
    .await;
    password_kinds::count_due(&app.app).await.unwrap();
    let mixed: Vec<Against> = (0..40).map(absent).collect();
    let bcrypt = mixed.iter().filter(|against| is_bcrypt(against)).count();
    assert!((5..=35).contains(&bcrypt), "{bcrypt} of 40");
    assert_eq!(
        mixed,
        (0..40).map(absent).collect::<Vec<_>>(),
        "always the same"
    );
    // The answer is that of a wrong password.
    let refused = |email: &str| {
        let body = json!({ "email": email, "password": "another password" });
        let app = app.clone();
        async move {
            app.post("/api/auth/sign-in/email", &body)
                .await
                .refused(401, "INVALID_EMAIL_OR_PASSWORD")
                .text
        }
    };
    let known = refused(&ana.email).await;
    assert_eq!(known, refused("absent1@example.com").await);
    ana.try_sign_in(&ana.password).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sign_ins_that_race_the_renewal_of_a_hash_all_succeed() {
    let app = TestApp::start().await;
    let ana = came_with(&app, "ana", &hashes::of("passlib-pbkdf2-sha512")).await;
    let all = (0..8).map(|_| ana.try_sign_in(&ana.password));
    for answer in futures_util::future::join_all(all).await {
        answer.ok();
    }
    assert!(stored(&ana).await.starts_with("$argon2id$"));
}
