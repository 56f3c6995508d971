//! The names and addresses that mean this machine.

/// The loopback names: hosts that mean this machine.
pub const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Returns whether a host, as written in a URL, is a loopback name or address.
pub fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let is_name =
        bare.eq_ignore_ascii_case("localhost") || bare.to_ascii_lowercase().ends_with(".localhost");
    is_name
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_host_is_a_name_below_localhost_or_an_address_of_this_machine() {
        for here in [
            "localhost",
            "LocalHost",
            "app.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "::1",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in [
            "example.com",
            "localhost.example",
            "notlocalhost",
            "192.0.2.1",
            "[::2]",
            "",
        ] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
