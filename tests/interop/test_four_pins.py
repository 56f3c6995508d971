"""Every example backend pins four things, in every language: tokens that are well signed by the issuer's key and wrong in one thing each are
refused, and the same token without that one thing wrong is accepted. The issuer is played by this file, which has the key and can sign anything."""

import base64
import hashlib
import hmac
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from place import NODE, ROOT, Place, free_port

WORK = ROOT / "target/interop"
PYTHON = [sys.executable, "-m", "uvicorn", "main:app", "--port", "{port}", "--log-level", "warning", "--app-dir"]
# The command, and a path that wants a token.
BACKENDS = {
    "fastapi": ([*PYTHON, str(ROOT / "examples/fastapi")], "/me"),
    "spa-fastapi": ([*PYTHON, str(ROOT / "examples/spa-fastapi/backend")], "/notes"),
    "go": ([str(WORK / "go-backend")], "/me"),
    "jose": ([NODE, str(WORK / "node/server.mjs")], "/me"),
}
MISSING = object()


class Issuer:
    """A key set on a port of its own: one Ed25519 key that signs, a second one, and a P-256 key that backends here have no business with."""

    def __init__(self):
        self.key, self.other, self.curve = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
        keys = [self.jwk("one", self.key), self.jwk("two", self.other), {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.curve.public_key())), "kid": "curve", "use": "sig", "alg": "ES256"}]
        body = json.dumps({"keys": keys}).encode()

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @staticmethod
    def raw(key: Ed25519PrivateKey) -> bytes:
        return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def jwk(self, kid: str, key: Ed25519PrivateKey) -> dict:
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(self.raw(key)), "kid": kid, "use": "sig", "alg": "EdDSA"}

    def token(self, *, header: dict | None = None, claims: dict | None = None, sign=None) -> str:
        """A good token, but for the members that are given; `MISSING` takes one out."""
        now = int(time.time())
        body = {"iss": self.url, "aud": self.url, "sub": "u1", "iat": now - 5, "exp": now + 600, "jti": "j1", "sid": "s1", "email": "ana@example.com", "email_verified": True, "name": "Ana", "role": "user", "roles": ["user"], "permissions": []}
        head = {"alg": "EdDSA", "typ": "at+jwt", "kid": "one"}
        parts = [b64(json.dumps({k: v for k, v in {**base, **(changed or {})}.items() if v is not MISSING}).encode()) for base, changed in ((head, header), (body, claims))]
        signed = ".".join(parts)
        return f"{signed}.{b64((sign or self.key.sign)(signed.encode()))}"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def es256(key: ec.EllipticCurvePrivateKey):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    return sign


def cases(i: Issuer) -> dict[str, tuple[list[str], list[str]]]:
    """By what is wrong: tokens that are good in it, and tokens that are not."""
    now, t = int(time.time()), i.token
    hs = lambda secret: lambda data: hmac.new(secret, data, hashlib.sha256).digest()  # noqa: E731
    return {
        "alg": (
            [t()],
            [
                t(header={"alg": "none"}, sign=lambda _: b""),
                t(header={"alg": "none"}),
                t(header={"alg": "NONE"}, sign=lambda _: b""),
                t(header={"alg": MISSING}),
                t(header={"alg": "HS256"}, sign=hs(i.raw(i.key))),
                t(header={"alg": "HS256"}, sign=hs(b64(i.raw(i.key)).encode())),
                t(header={"alg": "HS256", "kid": MISSING}, sign=hs(b"")),
                t(header={"alg": "ES256", "kid": "curve"}, sign=es256(i.curve)),
                t(header={"alg": "ES256"}, sign=es256(i.curve)),
                t(header={"alg": "RS256"}),
            ],
        ),
        "iss": ([t(claims={"iss": i.url})], [t(claims={"iss": v}) for v in (f"{i.url}/", i.url.upper(), "http://127.0.0.1", "", None, [i.url], 1, MISSING)]),
        "aud": (
            [t(claims={"aud": i.url}), t(claims={"aud": ["another", i.url]})],
            [t(claims={"aud": v}) for v in ("another", f"{i.url}/", ["another"], [], "", None, MISSING)],
        ),
        "typ": (
            [t(header={"typ": v}) for v in ("at+jwt", "AT+JWT", "application/at+jwt")],
            [t(header={"typ": v}) for v in ("JWT", "jwt", "id+jwt", "logout+jwt", "dpop+jwt", "at+jwt ", "xat+jwt", "", None, 1, MISSING)],
        ),
        "exp": (
            [t(claims={"exp": now + 60})],
            [t(claims={"exp": v}) for v in (now - 3600, 0, -1, "soon", str(now - 600), None, MISSING)],
        ),
        "kid": (
            [t(header={"kid": "two"}, sign=i.other.sign)],
            [t(header={"kid": v}) for v in ("three", "two", "curve", "", MISSING)] + [t(sign=i.other.sign), t(sign=Ed25519PrivateKey.generate().sign)],
        ),
    }


@pytest.fixture(scope="module")
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.server.shutdown()


@pytest.mark.parametrize("name", list(BACKENDS))
def test_each_pin_holds_by_itself(tmp_path, issuer, name):
    command, path = BACKENDS[name]
    place, port = Place(tmp_path), free_port()
    place.issuer = issuer.url
    accepted = refused = 0
    wrong = []
    try:
        # A stranger is told 401 on any path that wants a token; the SPA's backend has no /me.
        base = place.start([part.format(port=port) for part in command], port, 404 if path != "/me" else 401, JWKS_URL=f"{issuer.url}/api/auth/jwks", NOTES=str(tmp_path / "notes.db"))
        ask = lambda token: httpx.get(f"{base}{path}", headers={"authorization": f"Bearer {token}"}, timeout=20).status_code  # noqa: E731
        for pin, (good, bad) in cases(issuer).items():
            for n, token in enumerate(good):
                accepted += 1
                if (status := ask(token)) != 200:
                    wrong.append(f"{pin}: good token {n} got {status}")
            for n, token in enumerate(bad):
                refused += 1
                if (status := ask(token)) != 401:
                    wrong.append(f"{pin}: bad token {n} got {status}: {jwt.get_unverified_header(token) if pin == 'typ' else token.split('.')[:2]}")
    finally:
        place.stop()
    print(f"{name}: {accepted} good tokens, {refused} bad ones, 6 pins")
    assert not wrong, "\n".join(wrong)
