//! One permission for each field of a user, on every path that can set it.

use countersign::flows::account::manage_users;
use countersign::flows::permit::Permitted;
use countersign::model::account::action::Field;
use serde_json::{Value, json};

use super::admin::{ask, id, made_admin, set_role};
use crate::support::{TestApp, Tokens, User};

async fn with_permissions(app: &TestApp, name: &str, role: &str) -> (User, Tokens) {
    let user = app.user(name).await;
    set_role(app, &user, role).await;
    let tokens = user.sign_in().await;
    (user, tokens)
}

/// A value of the field as `update-user` and `create-user` take it; `None`: these paths refuse it
/// in any case.
fn value(field: Field) -> Option<Value> {
    match field {
        Field::Name => Some(json!({ "name": "New" })),
        Field::Image => Some(json!({ "image": "https://example.com/x.png" })),
        Field::Email => Some(json!({ "email": "moved@example.com" })),
        Field::EmailVerified => Some(json!({ "emailVerified": true })),
        Field::Role => Some(json!({ "role": "user,other" })),
        Field::Ban => Some(json!({ "banned": true })),
        Field::Metadata => Some(json!({ "metadata": { "tenant": "other" } })),
        Field::Password => None,
    }
}

#[tokio::test]
async fn each_field_asks_for_its_own_permission_when_a_user_is_updated() {
    let roles: Vec<(String, String)> = Field::ALL
        .iter()
        .map(|field| {
            (
                format!("roles.sets-{}", field.name()),
                format!("user:update,{}", field.action().permission()),
            )
        })
        .collect();
    let mut settings: Vec<(&str, &str)> = roles
        .iter()
        .map(|(role, permissions)| (role.as_str(), permissions.as_str()))
        .collect();
    settings.push(("roles.other", "user:update"));
    let app = TestApp::with(&settings).await;
    let mut rows = 0;
    for (number, holder) in Field::ALL.into_iter().enumerate() {
        let (_, tokens) = with_permissions(
            &app,
            &format!("holder{number}"),
            &format!("sets-{}", holder.name()),
        )
        .await;
        for field in Field::ALL {
            let target = app
                .user(&format!("target{number}-{}", field.name().to_lowercase()))
                .await;
            let before = manage_users::find(&app.app, Permitted::as_operator(), &target.email)
                .await
                .unwrap();
            let is_allowed =
                field.action() == holder.action() || matches!(field, Field::Name | Field::Image);
            let answer = match value(field) {
                Some(mut data) => {
                    if field == Field::Email {
                        data["email"] = json!(format!("moved{number}@example.com"));
                    }
                    ask(
                        &app,
                        &tokens,
                        "update-user",
                        json!({ "userId": before.id, "data": data }),
                    )
                    .await
                }
                None => {
                    ask(
                        &app,
                        &tokens,
                        "set-user-password",
                        json!({ "userId": before.id, "newPassword": "another good password" }),
                    )
                    .await
                }
            };
            assert_eq!(
                answer.status == 200,
                is_allowed,
                "who holds {} sets {}: {}",
                holder.action().permission(),
                field.name(),
                answer.text
            );
            if !is_allowed {
                assert_eq!(answer.status, 403, "{}", answer.text);
                assert_eq!(
                    manage_users::find(&app.app, Permitted::as_operator(), &target.email)
                        .await
                        .unwrap()
                        .version,
                    before.version
                );
            }
            rows += 1;
        }
    }
    println!("fields × permissions: {rows} rows");
    assert_eq!(rows, Field::ALL.len() * Field::ALL.len());
}

#[tokio::test]
async fn user_create_alone_makes_a_plain_unproven_user() {
    let app = TestApp::with(&[
        ("roles.makes", "user:create"),
        ("roles.more", "user:create,user:set-metadata"),
        ("roles.other", "user:list"),
    ])
    .await;
    let (_, tokens) = with_permissions(&app, "maker", "makes").await;
    let new = |number: usize, role: &str, data: Value| json!({ "email": format!("new{number}@example.com"), "name": "New", "password": "a good long password", "role": role, "data": data });
    let refused = [
        ("user", json!({ "emailVerified": true })),
        ("user", json!({ "metadata": { "tenant": "other" } })),
        ("other", json!({})),
        ("admin", json!({})),
    ];
    for (number, (role, data)) in refused.into_iter().enumerate() {
        let answer = ask(
            &app,
            &tokens,
            "create-user",
            new(number, role, data.clone()),
        )
        .await;
        assert_eq!(answer.status, 403, "{role} {data}: {}", answer.text);
        assert!(
            manage_users::find(
                &app.app,
                Permitted::as_operator(),
                &format!("new{number}@example.com")
            )
            .await
            .is_err()
        );
    }
    let plain =
        json!({ "image": "https://example.com/x.png", "emailVerified": false, "metadata": {} });
    let made = ask(&app, &tokens, "create-user", new(9, "user", plain))
        .await
        .ok();
    assert_eq!(
        (
            &made.body["user"]["emailVerified"],
            &made.body["user"]["role"]
        ),
        (&json!(false), &json!("user"))
    );
    let (_, more) = with_permissions(&app, "more", "more").await;
    ask(
        &app,
        &more,
        "create-user",
        new(10, "user", json!({ "metadata": { "tenant": "a" } })),
    )
    .await
    .ok();
    ask(
        &app,
        &more,
        "create-user",
        new(
            11,
            "user",
            json!({ "metadata": { "tenant": "a" }, "emailVerified": true }),
        ),
    )
    .await
    .refused(403, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS");
}

#[tokio::test]
async fn no_user_writes_the_metadata_that_their_own_claims_come_from() {
    let powers = "user:update,user:set-metadata,user:set-email,user:set-email-verified";
    let app = TestApp::with(&[
        ("roles.helper", powers),
        ("tokens.claims.tenant", "user.metadata.tenant"),
    ])
    .await;
    let (helper, tokens) = with_permissions(&app, "helper", "helper").await;
    let own = id(&helper).await;
    for data in [
        json!({ "metadata": { "tenant": "other" } }),
        json!({ "email": "ceo@example.com" }),
        json!({ "emailVerified": true }),
    ] {
        ask(
            &app,
            &tokens,
            "update-user",
            json!({ "userId": own, "data": data }),
        )
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS");
    }
    let root = made_admin(&app, "root").await;
    let (root_id, root_tokens) = (id(&root).await, root.sign_in().await);
    let metadata = json!({ "metadata": { "tenant": "other" } });
    ask(
        &app,
        &root_tokens,
        "update-user",
        json!({ "userId": root_id, "data": metadata }),
    )
    .await
    .refused(403, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS");
    // One's own calls take no such field at all.
    for body in [
        json!({ "metadata": { "tenant": "other" } }),
        json!({ "emailVerified": true }),
        json!({ "role": "admin" }),
    ] {
        let answer = app
            .post_as("/api/auth/update-user", &tokens.session, &body)
            .await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    let bob = app.user("bob").await;
    ask(
        &app,
        &tokens,
        "update-user",
        json!({ "userId": id(&bob).await, "data": { "metadata": { "tenant": "a" } } }),
    )
    .await
    .ok();
    assert_eq!(
        bob.try_sign_in(&bob.password)
            .await
            .ok()
            .claims("accessToken")["tenant"],
        "a"
    );
    assert!(
        helper
            .try_sign_in(&helper.password)
            .await
            .ok()
            .claims("accessToken")
            .get("tenant")
            .is_none()
    );
}

/// Applications read roles from access tokens, also roles that allow nothing here.
#[tokio::test]
async fn only_an_admin_gives_themselves_a_role_or_removes_one_that_allows_more() {
    let app = TestApp::with(&[
        ("roles.giver", "user:set-role"),
        ("roles.tenant_owner", ""),
        ("roles.boss", "user:ban"),
    ])
    .await;
    let (giver, tokens) = with_permissions(&app, "giver", "giver").await;
    let bob = app.user("bob").await;
    ask(
        &app,
        &tokens,
        "set-role",
        json!({ "userId": id(&giver).await, "role": "giver,tenant_owner" }),
    )
    .await
    .refused(403, "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE");
    ask(
        &app,
        &tokens,
        "set-role",
        json!({ "userId": id(&bob).await, "role": "user,tenant_owner" }),
    )
    .await
    .ok();
    set_role(&app, &bob, "boss").await;
    ask(
        &app,
        &tokens,
        "set-role",
        json!({ "userId": id(&bob).await, "role": "user" }),
    )
    .await
    .refused(403, "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE");
    let root = made_admin(&app, "root").await;
    let admin = root.sign_in().await;
    ask(
        &app,
        &admin,
        "set-role",
        json!({ "userId": id(&bob).await, "role": "user" }),
    )
    .await
    .ok();
    ask(
        &app,
        &admin,
        "set-role",
        json!({ "userId": id(&root).await, "role": "admin,tenant_owner" }),
    )
    .await
    .ok();
}

#[tokio::test]
async fn an_invitation_of_more_than_one_may_give_is_not_for_one_to_send_again() {
    let (app, dir) = super::mail::posting(&[("roles.support", "user:create")]).await;
    let (_, tokens) = with_permissions(&app, "support", "support").await;
    let root = made_admin(&app, "root").await.sign_in().await;
    let invite = async |by: &Tokens, role: &str| {
        ask(
            &app,
            by,
            "invite-user",
            json!({ "email": "chief@example.com", "role": role, "redirectTo": "/x" }),
        )
        .await
    };
    invite(&root, "admin").await.ok();
    super::mail::only(&app, dir.path()).await;
    invite(&tokens, "user")
        .await
        .refused(400, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL");
    assert!(super::mail::received(&app, dir.path()).await.is_empty());
    invite(&root, "user").await.ok();
    super::mail::only(&app, dir.path()).await;
}

#[tokio::test]
async fn setting_one_s_own_password_needs_the_current_one() {
    let app = TestApp::with(&[("roles.helper", "user:set-password")]).await;
    let (helper, tokens) = with_permissions(&app, "helper", "helper").await;
    let root = made_admin(&app, "root").await;
    for (user, tokens) in [(&helper, tokens), (&root, root.sign_in().await)] {
        let own = id(user).await;
        let new = "another good password";
        for current in [Value::Null, json!(""), json!("a wrong password")] {
            let body = json!({ "userId": own, "newPassword": new, "currentPassword": current });
            ask(&app, &tokens, "set-user-password", body)
                .await
                .refused(400, "INVALID_PASSWORD");
        }
        user.sign_in().await;
        ask(
            &app,
            &tokens,
            "set-user-password",
            json!({ "userId": own, "newPassword": new, "currentPassword": user.password }),
        )
        .await
        .ok();
        user.try_sign_in(new).await.ok();
        user.try_sign_in(&user.password)
            .await
            .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    }
}

#[tokio::test]
async fn who_sets_the_password_or_the_address_of_an_admin_may_act_as_that_admin() {
    let app = TestApp::with(&[("roles.chief", "user:impersonate-admins")]).await;
    let (root, other) = (
        made_admin(&app, "root").await,
        made_admin(&app, "other").await,
    );
    let (tokens, other_id) = (root.sign_in().await, id(&other).await);
    let password = json!({ "userId": other_id, "newPassword": "another good password" });
    let email = json!({ "userId": other_id, "data": { "email": "mine@example.com" } });
    ask(&app, &tokens, "set-user-password", password.clone())
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD");
    ask(&app, &tokens, "update-user", email)
        .await
        .refused(403, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS");
    ask(
        &app,
        &tokens,
        "update-user",
        json!({ "userId": other_id, "data": { "name": "Other" } }),
    )
    .await
    .ok();
    other.sign_in().await;
    set_role(&app, &root, "admin,chief").await;
    ask(&app, &tokens, "set-user-password", password).await.ok();
    other.try_sign_in("another good password").await.ok();
}
