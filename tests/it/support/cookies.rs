//! The names of the cookies as the server sets them without any setting. Tests take them from here.

/// The default of `sessions.cookie_prefix`: the default of the Better Auth client.
macro_rules! named {
    ($own:literal) => {
        concat!("better-auth.", $own)
    };
}

pub const SESSION_COOKIE: &str = named!("session_token");
pub const CACHE_COOKIE: &str = named!("session_data");
pub const DONT_REMEMBER_COOKIE: &str = named!("dont_remember");
pub const ADMIN_COOKIE: &str = named!("admin_session");
pub const DEVICE_COOKIE: &str = named!("known_device");
pub const REFRESH_COOKIE: &str = named!("refresh_token");
