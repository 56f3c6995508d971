//! What a client chooses for its session, and what the settings permit of it.

use crate::app::App;
use crate::config::SameSite;
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::SessionId;
use crate::model::login::proof::Proofs;
use crate::model::session::session::{Delivery, Session};
use crate::model::session::ticket::Retry;
use crate::random;

/// The options that the client chose.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether tokens travel in cookies or in bodies.
    pub delivery: Delivery,
    /// Whether the session outlives the browser.
    pub remember: bool,
    /// How the client retries its refreshes, if the settings permit it.
    pub retry: Retry,
}

impl Options {
    /// Makes the row of a session with these options.
    pub(super) fn session(self, app: &App, user: &User, requester: &Requester) -> Session {
        let now = app.now();
        let bounds = app.config.policies.bounds(&user.role);
        Session {
            id: SessionId::at(now, random::bytes(&*app.random)),
            user_id: user.id,
            delivery: self.delivery,
            remember: self.remember,
            proofs: Proofs::default(),
            auth_time: now,
            created_at: now,
            updated_at: now,
            expires_at: app
                .config
                .sessions
                .lifetime
                .within(bounds)
                .absolute_end(now, self.remember),
            ip_address: requester.ip_address.clone(),
            user_agent: requester.user_agent.clone(),
            impersonated_by: None,
            retry: self.permitted_retry(app, requester),
            idle: bounds.idle,
        }
    }

    /// Returns how the session retries its refreshes. Tickets need one storage for all parts of the
    /// client: two pages that share the cookies and no storage would each bring a ticket of their own,
    /// and end the session.
    pub(super) fn permitted_retry(self, app: &App, requester: &Requester) -> Retry {
        let (server, sessions) = (&app.config.server, &app.config.sessions);
        let shares = match self.delivery {
            Delivery::Body => true,
            // A frame of another site has the cookies with `SameSite=None`, and a storage of its own.
            Delivery::Cookie => {
                sessions.cookie_same_site != SameSite::None
                    && server.trusted_origins.is_only_page(&requester.origin)
            }
        };
        if shares && sessions.retry == Retry::Ticket {
            self.retry
        } else {
            Retry::Window
        }
    }
}
