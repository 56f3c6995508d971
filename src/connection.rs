//! The reason why a connection to another server failed, as a fixed text. Texts of the other
//! server, and a URL that may contain a password, must not be logged; these types cannot hold them.

use std::error::Error;
use std::io::ErrorKind;

use rustls::CertificateError;

/// The reason why a connection could not be made, or broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The server's certificate is not trusted.
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(&'static str),
    /// Both sides do not agree on TLS.
    #[error("no TLS connection could be negotiated")]
    Tls,
    /// The name of the server has no IP address, or no name server answers.
    #[error("the host name of the server could not be resolved")]
    Name,
    /// The error of the operating system.
    #[error("no connection: {0}")]
    System(ErrorKind),
}

impl Broken {
    /// Returns the first reason in this error, or in the errors that caused it.
    pub fn in_error(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Some(Self::of_tls(tls));
            }
            if let Some(system) = error.downcast_ref::<std::io::Error>() {
                // `source` of such an error leaves out the error that it wraps.
                let wrapped = system.get_ref().and_then(|wrapped| Self::in_error(wrapped));
                return Some(wrapped.unwrap_or_else(|| Self::of_system(system)));
            }
            next = error.source();
        }
        None
    }

    /// Tells a name that cannot be resolved from other errors: the standard library has no kind for
    /// it, and its text begins alike for every cause.
    fn of_system(error: &std::io::Error) -> Self {
        if error.to_string().starts_with("failed to lookup address") {
            Self::Name
        } else {
            Self::System(error.kind())
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        use CertificateError as Fault;
        let rustls::Error::InvalidCertificate(fault) = error else {
            return Self::Tls;
        };
        Self::Certificate(match fault {
            Fault::Expired | Fault::ExpiredContext { .. } => "it has expired",
            Fault::NotValidYet | Fault::NotValidYetContext { .. } => "it is not valid yet",
            Fault::Revoked => "it is revoked",
            Fault::UnknownIssuer => "its issuer is not among the trusted authorities",
            Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
                "it is for another host name"
            }
            Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => "it is not for a server",
            _ => "it cannot be verified",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_named_through_all_wrappers() {
        let refused = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = std::io::Error::new(ErrorKind::InvalidData, refused());
        let twice = std::io::Error::other(std::io::Error::new(ErrorKind::InvalidData, refused()));
        for error in [
            &refused() as &(dyn Error + 'static),
            &wrapped,
            &twice,
            &sqlx::Error::Io(std::io::Error::other(refused())),
        ] {
            assert_eq!(
                Broken::in_error(error),
                Some(Broken::Certificate(
                    "its issuer is not among the trusted authorities"
                )),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_name_that_is_not_found_is_told_from_a_refused_connection() {
        use std::net::ToSocketAddrs;
        // No address: `.invalid` is in no zone (RFC 6761).
        let error = "mail.invalid:25".to_socket_addrs().unwrap_err();
        assert_eq!(Broken::in_error(&error), Some(Broken::Name), "{error:?}");
        let refused = std::io::Error::from(ErrorKind::ConnectionRefused);
        assert_eq!(
            Broken::in_error(&refused),
            Some(Broken::System(ErrorKind::ConnectionRefused))
        );
    }

    #[test]
    fn the_other_side_s_words_are_not_told() {
        let words = std::io::Error::other("ana@example.com");
        assert_eq!(
            Broken::in_error(&words).unwrap().to_string(),
            "no connection: other error"
        );
        let tls = rustls::Error::General("ana@example.com".into());
        assert_eq!(
            Broken::in_error(&tls).unwrap().to_string(),
            "no TLS connection could be negotiated"
        );
        assert_eq!(Broken::in_error(&std::fmt::Error), None);
    }
}
