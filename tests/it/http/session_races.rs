//! What moves, begins or ends a session, against what ends it at the same moment. The order of the
//! two writes is forced: both requests are held at a gate before the database and let through in
//! the order in which they arrived.

use std::pin::Pin;

use countersign::flows::account::{manage_users, require_password};
use countersign::flows::permit::Permitted;
use countersign::flows::session::manage_sessions;
use countersign::model::audit::event::Requester;
use countersign::model::kernel::id::SessionId;
use countersign::store;
use countersign::store::session::endings::Which;
use countersign::store::session::sessions::By;
use serde_json::{Value, json};

use super::admin::{ask, id, set_role};
use crate::support::gate::in_order;
use crate::support::{Answer, TestApp, Tokens, User, on_postgres, seconds};

/// Ways to end the sessions of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ender {
    SignOut,
    RevokeOthers,
    SetPassword,
    RequirePassword,
    Ban,
    Disable,
    Remove,
    Everybody,
}

use Ender::*;

const ENDERS: [Ender; 8] = [
    SignOut,
    RevokeOthers,
    SetPassword,
    RequirePassword,
    Ban,
    Disable,
    Remove,
    Everybody,
];

/// Those that also forbid a sign-in which has verified the password before.
const SHUTTING_OUT: [Ender; 6] = [
    SetPassword,
    RequirePassword,
    Ban,
    Disable,
    Remove,
    Everybody,
];

type Request = Pin<Box<dyn Future<Output = u16> + Send>>;

/// A user with a session, another session of that user, and an admin.
struct Stage {
    app: TestApp,
    user: User,
    user_id: String,
    tokens: Tokens,
    other: Tokens,
    admin: Tokens,
}

impl Stage {
    async fn set(app: &TestApp, name: &str, admin: &User) -> Self {
        let user = app.user(name).await;
        Self {
            app: app.clone(),
            user_id: id(&user).await,
            tokens: user.sign_in().await,
            other: user.sign_in().await,
            user,
            // Anew each time: everybody's sessions may have ended.
            admin: admin.sign_in().await,
        }
    }

    fn session_row(&self) -> String {
        format!("sessions WHERE id = '{}'", self.tokens.session_id)
    }

    fn user_row(&self) -> String {
        format!("users WHERE id = '{}'", self.user_id)
    }

    /// The row at which an ender waits. It changes the user, and with that all sessions, or it marks
    /// the one session, after what it changes first.
    fn row_of(&self, ender: Ender) -> String {
        match ender {
            SignOut | Remove | Everybody => self.session_row(),
            RevokeOthers | SetPassword | RequirePassword | Ban | Disable => self.user_row(),
        }
    }

    /// The request, which answers with a status.
    fn ending(&self, ender: Ender) -> Request {
        let app = self.app.clone();
        let (tokens, other, admin) = (self.tokens.clone(), self.other.clone(), self.admin.clone());
        let user_id = self.user_id.clone();
        Box::pin(async move {
            let requester = Requester::default();
            let target = json!({ "userId": user_id });
            let answer = match ender {
                SignOut => {
                    let path = "/api/auth/sign-out";
                    app.post_as(path, &tokens.session, &json!({})).await
                }
                RevokeOthers => {
                    let path = "/api/auth/revoke-other-sessions";
                    app.post_as(path, &other.session, &json!({})).await
                }
                SetPassword => {
                    let body = json!({ "userId": user_id, "newPassword": "another good password" });
                    ask(&app, &admin, "set-user-password", body).await
                }
                RequirePassword => {
                    let user = user_id.parse().unwrap();
                    let operator = Permitted::as_operator();
                    let required =
                        require_password::require_of(&app.app, operator, user, &requester).await;
                    assert!(required.unwrap());
                    return 200;
                }
                Ban => ask(&app, &admin, "ban-user", target).await,
                Remove => ask(&app, &admin, "remove-user", target).await,
                Disable => {
                    let user = user_id.parse().unwrap();
                    assert!(
                        manage_users::set_disabled(
                            &app.app,
                            Permitted::as_operator(),
                            user,
                            true,
                            &requester
                        )
                        .await
                        .unwrap()
                    );
                    return 200;
                }
                Everybody => {
                    manage_sessions::revoke(
                        &app.app,
                        Permitted::as_operator(),
                        Which::Everybody,
                        &requester,
                    )
                    .await
                    .unwrap();
                    return 200;
                }
            };
            answer.status.as_u16()
        })
    }

    fn refreshing(&self, token: &str) -> impl Future<Output = Answer> + Send + 'static {
        let (app, token) = (self.app.clone(), token.to_owned());
        async move { app.refresh(&token).await }
    }

    /// Nothing that the session's client has or was given opens anything.
    async fn assert_over(&self, refresh_tokens: &[String], told: &str) {
        let app = &self.app;
        for token in refresh_tokens {
            assert_eq!(app.refresh(token).await.status, 401, "{told}: refresh");
        }
        for bearer in [&self.tokens.session, &self.tokens.access] {
            let answer = app.get_as("/api/auth/session", bearer).await;
            assert_eq!(answer.status, 401, "{told}: {}", answer.text);
        }
    }

    /// Stores a hash of other software in place of the user's own: a sign-in makes it anew.
    async fn bring_hash(&self) {
        use base64::Engine;
        let digest = countersign::encoding::sha256(self.user.password.as_bytes());
        let digest = base64::engine::general_purpose::STANDARD_NO_PAD.encode(digest);
        let sql = format!(
            "UPDATE accounts SET password_hash = '$cs$sha256,salt=first$${digest}' WHERE user_id = '{}'",
            self.user_id
        );
        self.app.db_execute(&sql).await.unwrap();
    }

    /// A hash that a sign-in makes anew does not replace a password that was set meanwhile, and goes
    /// with its user.
    async fn assert_hash(&self, ender: Ender, sign_in_first: bool, told: &str) {
        let sql = format!(
            "SELECT password_hash FROM accounts WHERE user_id = '{}'",
            self.user_id
        );
        let hash = self.app.db_text(&sql).await;
        if ender == Remove {
            assert_eq!(hash, None, "{told}");
            return;
        }
        let is_ours = hash.unwrap().starts_with("$argon2id$");
        assert!(is_ours || !sign_in_first && ender != SetPassword, "{told}");
        if ender == SetPassword {
            let answer = self.user.try_sign_in("another good password").await;
            assert_eq!(answer.status, 200, "{told}: {}", answer.text);
            let answer = self.user.try_sign_in(&self.user.password).await;
            assert_eq!(answer.status, 401, "{told}: {}", answer.text);
        }
    }

    /// The sessions of the user that are in force.
    async fn live_sessions(&self) -> usize {
        let rows: Vec<String> = sqlx::query_scalar("SELECT id FROM sessions WHERE user_id = $1")
            .bind(self.user_id.clone())
            .fetch_all(&mut self.app.db().await)
            .await
            .unwrap();
        let mut live = 0;
        for session in rows {
            let by = By::Id(session.parse::<SessionId>().unwrap());
            let find = self.app.app.db.read(move |conn| {
                Box::pin(async move {
                    let now = conn.now();
                    store::session::sessions::find_live(conn, &by, now).await
                })
            });
            live += usize::from(find.await.unwrap().is_some());
        }
        live
    }
}

/// A refresh that moves the row, by its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Rotate,
    Heal,
    Supersede,
}

impl Move {
    /// Brings the session to where the returned token makes this move.
    async fn prepare(self, stage: &Stage) -> String {
        let (app, first) = (&stage.app, &stage.tokens);
        match self {
            Self::Rotate => {}
            Self::Heal => {
                let before = app.db_session(&first.session_id).await;
                let second = app.rotate(&first.refresh).await;
                app.db_roll_back(&first.session_id, &before).await;
                return second;
            }
            Self::Supersede => {
                app.rotate(&first.refresh).await;
                app.after(seconds(31));
            }
        }
        first.refresh.clone()
    }
}

async fn superseding() -> (TestApp, User) {
    let app = TestApp::with(&[
        ("sessions.late_retry", "supersede"),
        // A machine under load is slow between two requests that wait for one another.
        ("database.statement_timeout", "30s"),
        ("database.lock_timeout", "30s"),
    ])
    .await;
    let admin = app.user("root").await;
    set_role(&app, &admin, "admin").await;
    (app, admin)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_refresh_outlives_what_ends_its_session_in_either_order() {
    let mut cases = 0;
    for by in [Move::Rotate, Move::Heal, Move::Supersede] {
        // The end of everybody's sessions marks the first hundred rows at once and the rest later:
        // with few rows it waits for the one of the refresh.
        let (app, admin) = superseding().await;
        for ender in ENDERS {
            for refresh_first in [true, false] {
                let told = format!("{by:?} and {ender:?}, the refresh first: {refresh_first}");
                let stage = Stage::set(&app, &format!("user{cases}"), &admin).await;
                let token = by.prepare(&stage).await;
                let refreshing = (stage.session_row(), stage.refreshing(&token));
                let ending = (stage.row_of(ender), stage.ending(ender));
                let (answer, ended) = if refresh_first {
                    in_order(&app, (&refreshing.0, refreshing.1), (&ending.0, ending.1)).await
                } else {
                    let (ended, answer) =
                        in_order(&app, (&ending.0, ending.1), (&refreshing.0, refreshing.1)).await;
                    (answer, ended)
                };
                assert_eq!(ended, 200, "{told}");
                // A statement of Postgres that began before the other one's commit may still see
                // the user as before, and then its answer is one of before.
                let began_before = on_postgres() && refreshing.0 != ending.0;
                match answer.status.as_u16() {
                    200 => {
                        assert!(refresh_first || began_before, "{told}: {}", answer.text);
                    }
                    // The row had moved, and then its user was gone before the answer.
                    401 if refresh_first && ender == Remove => {}
                    401 => assert!(!refresh_first, "{told}: {}", answer.text),
                    status => panic!("{told}: {status} {}", answer.text),
                }
                let mut had = vec![stage.tokens.refresh.clone(), token];
                had.extend(answer.body["refreshToken"].as_str().map(str::to_owned));
                stage.assert_over(&had, &told).await;
                cases += 1;
            }
        }
        assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
    }
    println!("refreshes against endings: {cases} interleavings");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_begins_after_its_user_was_shut_out_in_either_order() {
    let (app, admin) = superseding().await;
    let mut cases = 0;
    let each = SHUTTING_OUT.iter().flat_map(|ender| {
        [true, false].map(|first| [true, false].map(|ours| (*ender, first, ours)))
    });
    for cases_of in each.collect::<Vec<_>>() {
        for (ender, sign_in_first, ours) in cases_of {
            let told = format!(
                "a sign-in and {ender:?}, the sign-in first: {sign_in_first}, our hash: {ours}"
            );
            let stage = Stage::set(&app, &format!("user{cases}"), &admin).await;
            if !ours {
                stage.bring_hash().await;
            }
            let user = stage.user.clone();
            let signing_in = async move { user.try_sign_in(&user.password).await };
            let user_row = stage.user_row();
            let row = match ender {
                Everybody => "key_ring WHERE id = 1".to_owned(),
                _ => user_row.clone(),
            };
            let ending = stage.ending(ender);
            let (answer, ended) = if sign_in_first {
                in_order(&app, (&user_row, signing_in), (&row, ending)).await
            } else {
                let (ended, answer) = in_order(&app, (&row, ending), (&user_row, signing_in)).await;
                (answer, ended)
            };
            assert_eq!(ended, 200, "{told}");
            let mut had = vec![stage.tokens.refresh.clone()];
            if sign_in_first {
                assert_eq!(answer.status, 200, "{told}: {}", answer.text);
            } else if ender != Everybody {
                // All sessions may end and a new one begin; a user who may not sign in is told so
                // where the password was right.
                let expected = match ender {
                    RequirePassword | Ban | Disable => 403,
                    _ => 401,
                };
                assert_eq!(answer.status, expected, "{told}: {}", answer.text);
            }
            // On SQLite a sign-in behind the end of everybody's sessions is one of afterwards.
            let afterwards = ender == Everybody && !sign_in_first && !on_postgres();
            assert_eq!(
                stage.live_sessions().await,
                usize::from(afterwards),
                "{told}"
            );
            if !afterwards {
                had.extend(answer.body["refreshToken"].as_str().map(str::to_owned));
            }
            stage.assert_over(&had, &told).await;
            stage.assert_hash(ender, sign_in_first, &told).await;
            cases += 1;
        }
    }
    println!("sign-ins against endings: {cases} interleavings");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_requests_with_one_token_one_moves_the_row_and_both_are_served() {
    let (app, admin) = superseding().await;
    for (number, by) in [Move::Rotate, Move::Heal, Move::Supersede]
        .into_iter()
        .enumerate()
    {
        let stage = Stage::set(&app, &format!("user{number}"), &admin).await;
        let token = by.prepare(&stage).await;
        let row = stage.session_row();
        let (first, second) = in_order(
            &app,
            (&row, stage.refreshing(&token)),
            (&row, stage.refreshing(&token)),
        )
        .await;
        let (first, second) = (first.ok(), second.ok());
        let generation = app.db_session(&stage.tokens.session_id).await.generation;
        assert_eq!(generation, 2, "{by:?}");
        assert_eq!(
            first.body["refreshToken"], second.body["refreshToken"],
            "{by:?}: the same one, or none"
        );
        assert_eq!(first.body["refreshToken"] == Value::Null, by == Move::Heal);
    }
    assert_eq!(app.db_count_events("refresh_token.healed").await, 1);
}

/// Brings a session to its third generation, and returns the tokens of all three.
async fn three_generations(stage: &Stage) -> [String; 3] {
    let app = &stage.app;
    let first = stage.tokens.refresh.clone();
    let second = app.rotate(&first).await;
    app.after(seconds(50));
    let third = app.rotate(&second).await;
    app.after(seconds(50));
    [first, second, third]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_token_ends_the_session_that_rotates_at_the_same_moment() {
    let (app, admin) = superseding().await;
    let mut cases = 0;
    for revocation in [false, true] {
        for rotation_first in [true, false] {
            let told = format!("at /oauth2/revoke: {revocation}, rotation first: {rotation_first}");
            let stage = Stage::set(&app, &format!("user{cases}"), &admin).await;
            let [spent, _, current] = three_generations(&stage).await;
            let events = app.db_count_events("refresh_token.reused").await;
            let row = stage.session_row();
            let (spending, presented) = (app.clone(), spent.clone());
            let spending = async move {
                if revocation {
                    let form = format!("token={presented}&token_type_hint=refresh_token");
                    spending.form("/api/auth/oauth2/revoke", &form).await
                } else {
                    spending.refresh(&presented).await
                }
            };
            let rotating = stage.refreshing(&current);
            let (rotated, spent) = if rotation_first {
                in_order(&app, (&row, rotating), (&row, spending)).await
            } else {
                let (spent, rotated) = in_order(&app, (&row, spending), (&row, rotating)).await;
                (rotated, spent)
            };
            let expected = if rotation_first { 200 } else { 401 };
            assert_eq!(rotated.status, expected, "{told}: {}", rotated.text);
            let expected = if revocation { 200 } else { 401 };
            assert_eq!(spent.status, expected, "{told}: {}", spent.text);
            assert_eq!(
                app.db_count_events("refresh_token.reused").await,
                events + 1,
                "{told}"
            );
            let mut had = vec![current];
            had.extend(rotated.body["refreshToken"].as_str().map(str::to_owned));
            stage.assert_over(&had, &told).await;
            cases += 1;
        }
    }
    println!("spent tokens against rotations: {cases} interleavings");
}
