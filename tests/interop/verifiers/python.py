"""Seven verifiers with libraries of Python. Each run is one of them, for one audience:

    python python.py NAME JWKS_URL ISSUER AUDIENCE

It reads tokens from standard input, one a line, and prints a line for each: `taken SUB` or `refused ERROR`. A verifier knows the URL of its key
set and nothing else of the service; everything that is not said here is the library's own default.
"""

import base64
import json
import sys
import urllib.request
import warnings


class FetchedOnce:
    """The usual cache for a library that fetches nothing: the set is fetched once, and again when a token names an unknown kid."""

    def __init__(self, url: str, parse=lambda document: document):
        self.url, self.parse, self.kids, self.keys = url, parse, set(), None

    def of(self, token: str):
        header = token.split(".")[0]
        kid = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))).get("kid")
        if kid not in self.kids:
            with urllib.request.urlopen(self.url, timeout=10) as answer:
                document = json.load(answer)
            self.kids = {key["kid"] for key in document["keys"]}
            self.keys = self.parse(document)
        return self.keys


def pyjwt(algorithm: str):
    def of(url: str, issuer: str, audience: str):
        import jwt

        client = jwt.PyJWKClient(url)
        return lambda token: jwt.decode(token, client.get_signing_key_from_jwt(token), algorithms=[algorithm], audience=audience, issuer=issuer)

    return of


def joserfc(url: str, issuer: str, audience: str):
    from joserfc import jwt
    from joserfc.jwk import KeySet

    keys = FetchedOnce(url, KeySet.import_key_set)
    registry = jwt.JWTClaimsRegistry(iss={"essential": True, "value": issuer}, aud={"essential": True, "value": audience}, exp={"essential": True})

    def verify(token: str) -> dict:
        claims = jwt.decode(token, keys.of(token), algorithms=["Ed25519"]).claims
        registry.validate(claims)
        return claims

    return verify


def authlib(url: str, issuer: str, audience: str):
    warnings.simplefilter("ignore")
    from authlib.jose import JsonWebKey, JsonWebToken

    keys = FetchedOnce(url, JsonWebKey.import_key_set)
    tokens = JsonWebToken(["ES256"])
    expected = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": audience}, "exp": {"essential": True}}

    def verify(token: str) -> dict:
        claims = tokens.decode(token, keys.of(token), claims_options=expected)
        claims.validate()
        return claims

    return verify


def python_jose(algorithm: str):
    def of(url: str, issuer: str, audience: str):
        from jose import jwt

        keys = FetchedOnce(url)
        return lambda token: jwt.decode(token, keys.of(token), algorithms=[algorithm], audience=audience, issuer=issuer)

    return of


def jwcrypto(url: str, issuer: str, audience: str):
    from jwcrypto.jwk import JWKSet
    from jwcrypto.jwt import JWT

    keys = FetchedOnce(url, lambda document: JWKSet.from_json(json.dumps(document)))
    return lambda token: json.loads(JWT(jwt=token, key=keys.of(token), algs=["Ed25519"], check_claims={"iss": issuer, "aud": audience, "exp": None}).claims)


VERIFIERS = {
    "pyjwt-eddsa": pyjwt("EdDSA"),
    "pyjwt-es256": pyjwt("ES256"),
    "joserfc-ed25519": joserfc,
    "authlib-es256": authlib,
    "python-jose-rs256": python_jose("RS256"),
    "python-jose-es256": python_jose("ES256"),
    "jwcrypto-ed25519": jwcrypto,
}


def main(name: str, url: str, issuer: str, audience: str):
    verify = VERIFIERS[name](url, issuer, audience)
    for line in sys.stdin:
        try:
            print("taken", verify(line.strip())["sub"], flush=True)
        except Exception as error:  # noqa: BLE001 every way in which a library refuses is a refusal; the test looks at the name
            print("refused", type(error).__name__, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
