//! Each format, by a file as the other software writes it.

use countersign::import::{Format, ReadOptions};
use countersign::model::import::candidate::{Candidate, HashSpelling};
use serde_json::json;

use super::{options, read};

const BCRYPT: &str = "$2a$10$Vgw3SsfDJa4TPvFQgwdGI.bYIoBatbuYj9ox8zTYG732STU8TMDLm";

fn users(text: &str, options: &ReadOptions) -> Vec<Candidate> {
    let rows = read(text, options).unwrap();
    rows.into_iter().map(|row| row.unwrap()).collect()
}

fn only(text: &str, format: Format) -> Candidate {
    let mut users = users(text, &options(format));
    assert_eq!(users.len(), 1);
    users.remove(0)
}

fn hash(user: &Candidate) -> Option<(HashSpelling, &str)> {
    let hash = user.hash.as_ref()?;
    Some((hash.spelling, hash.text.as_str()))
}

#[test]
fn our_own_form_has_every_field() {
    let row = json!({
        "id": "auth0|1", "foreignId": "17", "email": "Ana@Example.com", "emailVerified": true,
        "name": "Ana", "image": "https://x/a.png", "role": "editor, user", "metadata": { "plan": 1 },
        "banned": true, "banReason": "spam", "banExpires": "2030-01-01T00:00:00Z", "disabled": true,
        "createdAt": 1_672_913_472_000_i64, "passwordHash": BCRYPT, "twoFactorEnabled": true,
        "accounts": [{ "provider": "google", "accountId": "10" }],
    });
    let user = only(&format!("\u{feff}{row}\n\n"), Format::Jsonl);
    assert_eq!((user.place.number, user.place.line), (1, 1));
    assert_eq!(
        (user.foreign_id.as_str(), user.email.as_str()),
        ("17", "ana@example.com")
    );
    assert_eq!(user.kept_id, "auth0|1".parse().ok());
    assert_eq!(user.roles, ["editor", "user"]);
    assert_eq!(user.metadata["plan"], 1);
    let ban = user.ban.as_ref().unwrap();
    assert_eq!(&*ban.reason, "spam");
    assert_eq!(ban.ends_at.unwrap().0, 1_893_456_000_000);
    assert_eq!(user.created_at.unwrap().0, 1_672_913_472_000);
    assert_eq!(hash(&user), Some((HashSpelling::Tagged, BCRYPT)));
    assert_eq!(user.accounts[0].subject, "10");
    assert!(user.email_verified && user.disabled && user.second_factor);
    let plain = only(r#"{"email":"a@x.com"}"#, Format::Jsonl);
    assert!(!plain.email_verified && !plain.disabled && !plain.second_factor);
    assert!(plain.ban.is_none() && plain.hash.is_none() && plain.accounts.is_empty());
}

#[test]
fn auth0_names_users_as_its_tokens_do() {
    let export = json!({
        "_id": { "$oid": "60425dc43519d90068f82973" }, "email_verified": false, "email": "a@x.com",
        "passwordHash": BCRYPT, "password_set_date": { "$date": "2021-03-05T16:34:12.104Z" },
        "tenant": "t", "connection": "Username-Password-Authentication", "_tmp_is_unique": true,
    });
    let user = only(&export.to_string(), Format::Auth0);
    assert_eq!(user.kept_id, "auth0|60425dc43519d90068f82973".parse().ok());
    assert_eq!(hash(&user), Some((HashSpelling::Tagged, BCRYPT)));
    let managed = json!({
        "user_id": "google-oauth2|10", "email": "a@x.com", "email_verified": true, "name": "Ana",
        "picture": "https://x/a.png", "blocked": true, "multifactor": ["guardian"],
        "created_at": "2021-03-05T16:34:12.104Z", "app_metadata": { "roles": ["boss"], "plan": 2 },
        "user_metadata": { "theme": "dark" },
        "identities": [{ "provider": "google-oauth2", "user_id": 10, "connection": "google-oauth2", "isSocial": true },
            { "provider": "auth0", "user_id": "60425d", "connection": "db", "isSocial": false }],
    });
    let user = only(&managed.to_string(), Format::Auth0);
    assert_eq!(user.kept_id, "google-oauth2|10".parse().ok());
    assert_eq!(
        (user.roles.as_slice(), &user.metadata["plan"]),
        (["boss".to_owned()].as_slice(), &json!(2))
    );
    assert_eq!(user.accounts.len(), 1);
    assert_eq!(
        (
            user.accounts[0].provider.as_str(),
            user.accounts[0].subject.as_str()
        ),
        ("google", "10")
    );
    assert!(user.ban.is_some() && user.second_factor && user.email_verified);
    // Users write it themselves, so it must not come into claims.
    assert!(!user.metadata.contains_key("theme"));
    assert_eq!(user.notes.len(), 1);
}

#[test]
fn gotrue_takes_admins_data_and_leaves_the_users_own() {
    let text = concat!(
        "id,email,encrypted_password,email_confirmed_at,banned_until,deleted_at,created_at,raw_app_meta_data,raw_user_meta_data,identities,factors\n",
        "4f5b1c9e-8a53-4d26-9d4b-0a7e6c1b2f3d,a@x.com,$2a$10$x,2023-01-05 10:11:12.345678+00,2099-01-01 00:00:00+00,,2023-01-05 10:11:12+00,",
        "\"{\"\"provider\"\":\"\"email\"\",\"\"plan\"\":\"\"pro\"\"}\",\"{\"\"full_name\"\":\"\"Ana\"\",\"\"admin\"\":true}\",",
        "\"[{\"\"provider\"\":\"\"email\"\",\"\"id\"\":\"\"1\"\"},{\"\"provider\"\":\"\"github\"\",\"\"id\"\":\"\"7\"\"}]\",1\n",
    );
    let user = only(text, Format::Gotrue);
    assert_eq!(user.place.line, 2);
    assert_eq!(user.foreign_id, "4f5b1c9e-8a53-4d26-9d4b-0a7e6c1b2f3d");
    assert_eq!(&*user.name, "Ana");
    assert_eq!(
        serde_json::to_value(&user.metadata).unwrap(),
        json!({ "plan": "pro" })
    );
    assert_eq!(user.accounts[0].provider.as_str(), "github");
    assert!(user.email_verified && user.ban.is_some() && user.second_factor);
    assert_eq!(user.notes.len(), 1);
}

#[test]
fn django_has_users_among_other_models() {
    let fields = |password: &str, active: bool| {
        json!({ "password": password, "last_login": null, "is_superuser": true, "username": "ana", "first_name": "Ana", "last_name": "Lee",
            "email": "a@x.com", "is_staff": false, "is_active": active, "date_joined": "2023-01-05T10:11:12Z", "groups": [3, ["editors"]], "user_permissions": [] })
    };
    let dump = json!([
        { "model": "contenttypes.contenttype", "pk": 1, "fields": { "app_label": "auth", "model": "user" } },
        { "model": "auth.user", "pk": 42, "fields": fields("pbkdf2_sha256$1000000$s$h", false) },
    ]);
    let user = only(
        &serde_json::to_string_pretty(&dump).unwrap(),
        Format::Django,
    );
    assert_eq!((user.place.number, user.foreign_id.as_str()), (1, "42"));
    assert!(user.place.line > 5);
    assert_eq!(user.kept_id, "42".parse().ok());
    assert_eq!(&*user.name, "Ana Lee");
    assert_eq!(user.roles, ["group:3", "editors", "superuser"]);
    assert!(user.disabled);
    assert_eq!(
        hash(&user),
        Some((HashSpelling::Django, "pbkdf2_sha256$1000000$s$h"))
    );
    let mut custom = fields("!x", true);
    custom["shoe_size"] = json!(43);
    let custom = json!([{ "model": "shop.user", "pk": 1, "fields": custom }]).to_string();
    let refused = read(custom.as_str(), &options(Format::Django)).unwrap();
    let refused = refused[0].as_ref().unwrap_err();
    assert_eq!(refused.reason.to_string(), "unknown_field: shoe_size");
    let mut drops = options(Format::Django);
    drops.drop.insert("shoe_size".into());
    assert_eq!(users(&custom, &drops).len(), 1);
    let unusable = json!([{ "model": "shop.user", "pk": 1, "fields": fields("!x", true) }]);
    let user = only(&unusable.to_string(), Format::Django);
    assert!(user.hash.is_none() && !user.disabled);
}

#[test]
fn devise_and_clerk_and_cognito_and_a_table_are_csv() {
    let text = "id,email,encrypted_password,confirmed_at,locked_at,provider,uid,otp_required_for_login,admin,sign_in_count\n\
                7,a@x.com,$2a$10$x,2023-01-05 10:11:12,,google_oauth2,10,t,t,3\n";
    let user = only(text, Format::Devise);
    assert_eq!(hash(&user), Some((HashSpelling::Devise, "$2a$10$x")));
    assert_eq!(
        (user.roles.as_slice(), user.accounts[0].provider.as_str()),
        (["admin".to_owned()].as_slice(), "google")
    );
    assert!(user.email_verified && user.second_factor && !user.disabled);

    let header = "id,first_name,last_name,username,primary_email_address,primary_phone_number,verified_email_addresses,unverified_email_addresses,verified_phone_numbers,unverified_phone_numbers,totp_secret,password_digest,password_hasher\n";
    let clerk = |digest: &str, hasher: &str| {
        format!("{header}user_2x,Ana,Lee,,a@x.com,,b@x.com|A@x.com,,,,,{digest},{hasher}\n")
    };
    let user = only(&clerk("$2b$10$x", "bcrypt"), Format::Clerk);
    assert!(user.email_verified && !user.second_factor);
    assert_eq!(
        (&*user.name, hash(&user)),
        ("Ana Lee", Some((HashSpelling::Tagged, "$2b$10$x")))
    );
    assert!(only(&clerk("", ""), Format::Clerk).hash.is_none());
    let refused = read(clerk("x", "md5_phpass"), &options(Format::Clerk)).unwrap();
    let refused = refused[0].as_ref().unwrap_err();
    assert_eq!(refused.reason.to_string(), "unsupported_hash: md5_phpass");

    let text = "cognito:username,sub,email,email_verified,given_name,family_name,cognito:mfa_enabled,phone_number\n\
                ana,4f5b1c9e-8a53-4d26-9d4b-0a7e6c1b2f3d,a@x.com,TRUE,Ana,Lee,false,\n";
    let user = only(text, Format::Cognito);
    assert!(user.email_verified && user.hash.is_none() && !user.second_factor);
    assert_eq!(&*user.name, "Ana Lee");

    let user = only(
        "sub,email,name\r\nu1,a@x.com,\"Lee, \"\"Ana\"\"\"\r\n",
        Format::Users,
    );
    assert_eq!(
        (&*user.name, user.foreign_id.as_str()),
        ("Lee, \"Ana\"", "u1")
    );
}

#[test]
fn any_csv_is_read_by_its_map() {
    let mut any = options(Format::Csv);
    let pairs = [
        ("id", "user_id"),
        ("email", "mail"),
        ("email_verified", "ok"),
        ("role", "roles"),
    ];
    any.map = pairs
        .map(|(field, column)| (field.into(), column.into()))
        .into();
    any.drop.insert("shoe_size".into());
    let text = "user_id,mail,ok,roles,shoe_size\n7,a@x.com,yes,\"a,b\",43\n8,b@x.com,no,,\n";
    let found = users(text, &any);
    assert_eq!(found[0].roles, ["a", "b"]);
    assert!(found[0].email_verified && !found[1].email_verified);
    let named = users("email,name\na@x.com,Ana\n", &options(Format::Csv));
    assert_eq!(&*named[0].name, "Ana");
    any.map.insert("shoe".into(), "shoe_size".into());
    assert!(read(text, &any).is_err());
}

#[test]
fn firebase_and_keycloak_are_lists_inside_an_object() {
    let export = json!({ "more": { "users": [1] }, "users": [{
        "localId": "x1", "email": "a@x.com", "emailVerified": true, "passwordHash": "aGFzaA==", "salt": "c2FsdA==", "displayName": "Ana",
        "lastSignedInAt": "1", "createdAt": "1672913472000", "disabled": true, "customAttributes": "{\"plan\":\"pro\"}", "mfaInfo": [{}],
        "providerUserInfo": [{ "providerId": "google.com", "rawId": "10", "email": "a@x.com" }, { "providerId": "password", "rawId": "a@x.com" }] }] });
    let user = only(&export.to_string(), Format::Firebase);
    assert_eq!(user.created_at.unwrap().0, 1_672_913_472_000);
    assert_eq!(
        (user.accounts.len(), &user.metadata["plan"]),
        (1, &json!("pro"))
    );
    assert!(user.disabled && user.second_factor);
    let (spelling, text) = hash(&user).unwrap();
    assert_eq!(spelling, HashSpelling::Firebase);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(text).unwrap(),
        json!({ "hash": "aGFzaA==", "salt": "c2FsdA==" })
    );

    let secret = r#"{"value":"dg==","salt":"cw=="}"#;
    let data = r#"{"hashIterations":210000,"algorithm":"pbkdf2-sha512"}"#;
    let realm = json!({ "realm": "r", "roles": {}, "users": [
        { "id": "s", "username": "service-account-x", "serviceAccountClientId": "x" },
        { "id": "4f5b1c9e-8a53-4d26-9d4b-0a7e6c1b2f3d", "username": "ana", "email": "a@x.com", "emailVerified": true, "enabled": true,
          "createdTimestamp": 1_672_913_472_000_i64, "realmRoles": ["default-roles-r", "boss"], "groups": ["/staff"], "attributes": { "x": ["1"] },
          "credentials": [{ "type": "password", "secretData": secret, "credentialData": data }, { "type": "otp" }],
          "federatedIdentities": [{ "identityProvider": "github", "userId": "7", "userName": "ana" }] }] });
    let user = only(&realm.to_string(), Format::Keycloak);
    assert_eq!(
        (user.place.number, user.roles.as_slice()),
        (1, ["boss".to_owned(), "/staff".to_owned()].as_slice())
    );
    assert!(user.second_factor && !user.disabled);
    assert_eq!(
        (&*user.name, user.accounts[0].subject.as_str()),
        ("ana", "7")
    );
    let (spelling, text) = hash(&user).unwrap();
    let text: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(
        (spelling, &text["credentialData"]["hashIterations"]),
        (HashSpelling::Keycloak, &json!(210_000))
    );
}
