//! What a backend pastes into its code to verify the tokens of an audience, for nine libraries.
//! `docs/verifiers.md` explains them.

use crate::model::key::algorithm::Algorithm;
use crate::model::token::target::TokenType;

/// What the lines need to know about an audience.
pub(super) struct Facts<'a> {
    pub(super) audience: &'a str,
    pub(super) issuer: &'a str,
    pub(super) jwks: &'a str,
    pub(super) algorithm: Algorithm,
    pub(super) typ: TokenType,
}

/// A library, the algorithms that it verifies, and its lines.
pub(super) struct Library {
    pub(super) name: &'static str,
    verifies: &'static [Algorithm],
    /// Whether it refuses tokens of another type than `JWT`.
    needs_jwt: bool,
    lines: &'static str,
}

const ALL: &[Algorithm] = &Algorithm::ALL;
const WITHOUT_NEW_NAME: &[Algorithm] = &[Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];
const CLASSIC: &[Algorithm] = &[Algorithm::Es256, Algorithm::Rs256];

pub(super) const LIBRARIES: [Library; 9] = [
    Library {
        name: "PyJWT (Python)",
        verifies: WITHOUT_NEW_NAME,
        needs_jwt: false,
        lines: r#"keys = jwt.PyJWKClient("{jwks}")  # once, for all requests
claims = jwt.decode(token, keys.get_signing_key_from_jwt(token), algorithms=["{algorithm}"], audience="{audience}", issuer="{issuer}")"#,
    },
    Library {
        name: "joserfc (Python)",
        verifies: ALL,
        needs_jwt: false,
        lines: r#"keys = jwk.KeySet.import_key_set(httpx.get("{jwks}").json())  # again on an unknown kid
claims = jwt.decode(token, keys, algorithms=["{algorithm}"]).claims
jwt.JWTClaimsRegistry(iss={"essential": True, "value": "{issuer}"}, aud={"essential": True, "value": "{audience}"}, exp={"essential": True}).validate(claims)"#,
    },
    Library {
        name: "python-jose (Python)",
        verifies: CLASSIC,
        needs_jwt: false,
        lines: r#"claims = jwt.decode(token, httpx.get("{jwks}").json(), algorithms=["{algorithm}"], audience="{audience}", issuer="{issuer}")  # keep the set, fetch it again on an unknown kid"#,
    },
    Library {
        name: "jose (Node)",
        verifies: ALL,
        needs_jwt: false,
        lines: r#"const keys = createRemoteJWKSet(new URL("{jwks}")) // once, for all requests
const { payload } = await jwtVerify(token, keys, { algorithms: ["{algorithm}"], typ: "{typ}", audience: "{audience}", issuer: "{issuer}" })"#,
    },
    Library {
        name: "jsonwebtoken with jwks-rsa (Node)",
        verifies: CLASSIC,
        needs_jwt: false,
        lines: r#"const keys = jwksClient({ jwksUri: "{jwks}" }) // once, for all requests
jwt.verify(token, (header, done) => keys.getSigningKey(header.kid, (error, key) => done(error, key?.getPublicKey())), { algorithms: ["{algorithm}"], audience: "{audience}", issuer: "{issuer}" }, next)"#,
    },
    Library {
        name: "go-oidc (Go)",
        verifies: WITHOUT_NEW_NAME,
        needs_jwt: false,
        lines: r#"verifier := oidc.NewVerifier("{issuer}", oidc.NewRemoteKeySet(ctx, "{jwks}"), &oidc.Config{ClientID: "{audience}", SupportedSigningAlgs: []string{"{algorithm}"}})
token, err := verifier.Verify(ctx, text)"#,
    },
    Library {
        name: "golang-jwt with keyfunc (Go)",
        verifies: WITHOUT_NEW_NAME,
        needs_jwt: false,
        lines: r#"keys, err := keyfunc.NewDefaultCtx(ctx, []string{"{jwks}"}) // once, for all requests
token, err := jwt.Parse(text, keys.Keyfunc, jwt.WithValidMethods([]string{"{algorithm}"}), jwt.WithAudience("{audience}"), jwt.WithIssuer("{issuer}"), jwt.WithExpirationRequired())"#,
    },
    Library {
        name: "Spring Security (application.properties)",
        verifies: CLASSIC,
        needs_jwt: true,
        lines: r"spring.security.oauth2.resourceserver.jwt.jwk-set-uri={jwks}
spring.security.oauth2.resourceserver.jwt.jws-algorithms={algorithm}
spring.security.oauth2.resourceserver.jwt.issuer-uri={issuer}
spring.security.oauth2.resourceserver.jwt.audiences={audience}",
    },
    Library {
        name: "ASP.NET Core (C#)",
        verifies: CLASSIC,
        needs_jwt: false,
        lines: r#"builder.Services.AddAuthentication().AddJwtBearer(o => { o.Authority = "{issuer}"; o.Audience = "{audience}"; o.TokenValidationParameters.ValidAlgorithms = new[] { "{algorithm}" }; o.TokenValidationParameters.ValidTypes = new[] { "{typ}" }; });"#,
    },
];

impl Library {
    /// Returns the lines for an audience, or why the library cannot verify its tokens.
    pub(super) fn lines(&self, facts: &Facts<'_>) -> Result<String, String> {
        let algorithm = facts.algorithm.as_str();
        if !self.verifies.contains(&facts.algorithm) {
            return Err(format!("does not verify {algorithm}"));
        }
        if self.needs_jwt && facts.typ != TokenType::Jwt {
            return Err("refuses every typ but JWT: set typ = \"JWT\" for this audience".into());
        }
        let filled = self.lines.replace("{jwks}", facts.jwks);
        let filled = filled.replace("{algorithm}", algorithm);
        let filled = filled.replace("{typ}", facts.typ.as_str());
        let filled = filled.replace("{audience}", facts.audience);
        Ok(filled.replace("{issuer}", facts.issuer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(algorithm: Algorithm, typ: TokenType) -> Facts<'static> {
        Facts {
            audience: "https://billing.example.com",
            issuer: "https://auth.example.com",
            jwks: "https://auth.example.com/api/auth/jwks/billing",
            algorithm,
            typ,
        }
    }

    #[test]
    fn every_library_verifies_rs256_and_its_lines_name_what_it_must_check() {
        let facts = facts(Algorithm::Rs256, TokenType::Jwt);
        for library in &LIBRARIES {
            let lines = library.lines(&facts).unwrap();
            for named in [facts.audience, facts.issuer, "RS256"] {
                assert!(lines.contains(named), "{}: {named}", library.name);
            }
            for left in ["{jwks}", "{algorithm}", "{typ}", "{audience}", "{issuer}"] {
                assert!(!lines.contains(left), "{}: {left}", library.name);
            }
        }
    }

    #[test]
    fn a_library_that_cannot_verify_an_audience_says_why() {
        let able = |algorithm, typ| {
            let facts = facts(algorithm, typ);
            let able = LIBRARIES.iter().filter(|l| l.lines(&facts).is_ok());
            able.count()
        };
        assert_eq!(able(Algorithm::EdDsa, TokenType::AtJwt), 5);
        assert_eq!(able(Algorithm::Ed25519, TokenType::AtJwt), 2);
        assert_eq!(able(Algorithm::Es256, TokenType::Jwt), 9);
        assert_eq!(able(Algorithm::Rs256, TokenType::AtJwt), 8);
    }
}
