//! Why a connection to another server failed, in words of ours. The other server's own words, and
//! the address with the password that it may hold, have no place in a log: there is no way to put
//! them here.

use std::error::Error;
use std::io::ErrorKind;

use rustls::CertificateError;

/// Why there is no connection, or why it broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The server's certificate is not trusted.
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(&'static str),
    /// Both sides do not agree on TLS.
    #[error("no TLS that can be trusted")]
    Tls,
    /// What the operating system said.
    #[error("no connection: {0}")]
    System(ErrorKind),
}

impl Broken {
    /// The first reason in this error, or in the errors that it was made from.
    pub fn in_error(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Some(Self::of_tls(tls));
            }
            if let Some(system) = error.downcast_ref::<std::io::Error>() {
                // `source` of such an error leaves out the error that it wraps.
                let wrapped = system.get_ref().and_then(|wrapped| Self::in_error(wrapped));
                return Some(wrapped.unwrap_or(Self::System(system.kind())));
            }
            next = error.source();
        }
        None
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
    fn the_other_side_s_words_are_not_told() {
        let words = std::io::Error::other("ana@example.com");
        assert_eq!(
            Broken::in_error(&words).unwrap().to_string(),
            "no connection: other error"
        );
        let tls = rustls::Error::General("ana@example.com".into());
        assert_eq!(
            Broken::in_error(&tls).unwrap().to_string(),
            "no TLS that can be trusted"
        );
        assert_eq!(Broken::in_error(&std::fmt::Error), None);
    }
}
