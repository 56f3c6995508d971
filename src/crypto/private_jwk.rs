//! The private JWK of a pair, which is only ever encrypted.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin};
use der::asn1::UintRef;
use der::{Decode, Reader, SliceReader};
use ed25519_dalek::pkcs8::PrivateKeyInfoRef;
use serde_json::Value;
use zeroize::Zeroizing;

use super::encode;
use super::keypair::{Keypair, Private};
use crate::model::key::algorithm::Algorithm;

impl Keypair {
    /// Builds the private JWK, which is only ever encrypted (`seal`). `kid` and `alg` are in it if
    /// they do not follow from the key: the kid of an imported key, and every algorithm but EdDSA.
    pub(super) fn private_jwk(&self) -> Option<Zeroizing<String>> {
        // As long as the largest key, so that it is not copied while it grows.
        let mut text = Zeroizing::new(String::with_capacity(4_096));
        text.push('{');
        let mut member = |name: &str, value: &str| {
            let comma = if text.len() > 1 { "," } else { "" };
            for part in [comma, "\"", name, "\":\"", value, "\""] {
                text.push_str(part);
            }
        };
        let public = self.public.jwk(self.kid());
        for name in ["kty", "crv", "x", "y", "n", "e"] {
            if let Some(value) = public.parameter(name).and_then(Value::as_str) {
                member(name, value);
            }
        }
        let secret = |bytes: &[u8]| Zeroizing::new(encode(bytes));
        match &self.private {
            Private::Ed25519(pair) => member("d", &secret(pair.0.as_bytes())),
            Private::P256(pair) => {
                let d: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
                member("d", &secret(d.as_ref()));
            }
            Private::Rsa(pair) => {
                let der = pair.as_der().ok()?;
                let info = PrivateKeyInfoRef::from_der(der.as_ref()).ok()?;
                let numbers = rsa_numbers(info.private_key.as_bytes())?;
                for (name, number) in ["d", "p", "q", "dp", "dq", "qi"].iter().zip(&numbers) {
                    member(name, &secret(number));
                }
            }
        }
        if self.kid() != self.thumbprint() {
            member("kid", self.kid());
        }
        if self.algorithm() != Algorithm::EdDsa {
            member("alg", self.algorithm().as_str());
        }
        text.push('}');
        Some(text)
    }
}

/// Reads the private numbers of an RSAPrivateKey (RFC 8017 appendix A.1.2), in its order.
fn rsa_numbers(der: &[u8]) -> Option<[Zeroizing<Vec<u8>>; 6]> {
    let mut reader = SliceReader::new(der).ok()?;
    let read = |reader: &mut SliceReader<'_>| {
        let _version = u8::decode(reader)?;
        let mut number = || -> der::Result<_> {
            let number = UintRef::decode(reader)?;
            Ok(Zeroizing::new(number.as_bytes().to_vec()))
        };
        let (_n, _e) = (number()?, number()?);
        Ok([
            number()?,
            number()?,
            number()?,
            number()?,
            number()?,
            number()?,
        ])
    };
    let numbers: der::Result<_> = reader.sequence(read);
    numbers.ok()
}
