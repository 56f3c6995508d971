"""A provider of the tests: an OpenID issuer that says whatever a test wants, true or not."""

import base64
import hashlib
import http.server
import itertools
import json
import pathlib
import tempfile
import threading
import time
import urllib.parse

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NUMBERS = itertools.count(1)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Runs on a port of this machine. `asked` are the paths of all requests to it."""

    def __init__(self, checks_pkce: bool = True):
        self.key, self.kid = ec.generate_private_key(ec.SECP256R1()), f"key-{next(NUMBERS)}"
        self.checks_pkce, self.codes, self.asked, self.metadata, self.tokens, self.userinfo = checks_pkce, {}, [], {}, [], {}
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, status: int, body: dict | None, **headers: str):
                text = json.dumps(body).encode() if body is not None else b""
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                issuer.asked.append(self.path)
                if self.path == "/.well-known/openid-configuration":
                    if moved := issuer.metadata.get("moved"):
                        return self.answer(302, None, Location=moved)
                    return self.answer(200, issuer.discovery())
                if self.path == "/jwks":
                    return self.answer(200, {"keys": [issuer.jwk()]})
                if self.path == "/userinfo":
                    return self.answer(200, issuer.userinfo)
                return self.answer(404, {})

            def do_POST(self):
                issuer.asked.append(self.path)
                form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                return self.answer(*issuer.exchange(form))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def discovery(self) -> dict:
        endpoints = {f"{name}_endpoint": f"{self.url}/{name}" for name in ("authorization", "token", "userinfo")}
        return {"issuer": self.url, **endpoints, "jwks_uri": f"{self.url}/jwks", "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"], "authorization_response_iss_parameter_supported": True, **self.metadata}

    def jwk(self) -> dict:
        numbers = self.key.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid, "x": b64(numbers.x.to_bytes(32, "big")), "y": b64(numbers.y.to_bytes(32, "big"))}

    def settings(self, name: str = "acme", *more: str) -> list[str]:
        # Outside the folder of the service, in which a test looks for secrets.
        secret = pathlib.Path(tempfile.mkdtemp()) / "secret"
        secret.touch(0o600)
        secret.write_text("a-secret-of-the-provider")
        usual = ["kind=oidc", f"issuer={self.url}", "client_id=countersign", f"client_secret_file={secret}", "allow_private=true", "client_ids=phone"]
        return [f"upstream.{name}.{one}" for one in [*usual, *more]]

    def sign(self, claims: dict, header: dict | None = None, signature: bytes | None = None) -> str:
        head = header or {"alg": "ES256", "kid": self.kid, "typ": "JWT"}
        signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
        if signature is None:
            r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{signed}.{b64(signature)}"

    def claims(self, **more) -> dict:
        """Claims of a good token; `...` leaves one out."""
        now = int(time.time())
        all_of_them = {"iss": self.url, "aud": "countersign", "iat": now, "exp": now + 300, **more}
        return {name: value for name, value in all_of_them.items() if value is not ...}

    def back(self, away: str, **person) -> str:
        """The way back for a person who has signed in there: the path and query of the callback."""
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(away).query))
        code = f"code-{next(NUMBERS)}"
        self.codes[code] = (asked, person)
        query = urllib.parse.urlencode({"code": code, "state": asked["state"], "iss": self.url})
        return f"{urllib.parse.urlsplit(asked['redirect_uri']).path.removeprefix('/api/auth')}?{query}"

    def exchange(self, form: dict) -> tuple[int, dict]:
        asked, person = self.codes.pop(form.get("code"), ({}, None))
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if person is None or form.get("redirect_uri") != asked["redirect_uri"] or (self.checks_pkce and challenge != asked["code_challenge"]):
            return 400, {"error": "invalid_grant"}
        token = self.sign(self.claims(**{"nonce": asked["nonce"], **person}))
        access = f"access-{next(NUMBERS)}-of-the-provider"
        self.tokens += [token, access]
        return 200, {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": token, "refresh_token": f"refresh-of-{access}"}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Visitor:
    """A browser that signs in at providers."""

    def __init__(self, service):
        self.service = service
        self.client = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), base_url=f"{service.base}/api/auth/", headers={"Origin": service.issuer}, timeout=30)

    def begin(self, provider: str = "acme", **more) -> str:
        """Where the provider is; the three URLs are there unless others are given."""
        urls = {"callbackURL": "/in", "newUserCallbackURL": "/new", "errorCallbackURL": "/sorry"}
        answer = self.client.post("sign-in/social", json={"provider": provider, **urls, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["url"]

    def link(self, provider: str = "acme", **more) -> str:
        answer = self.client.post("link-social", json={"provider": provider, "callbackURL": "/in", "errorCallbackURL": "/sorry", **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["url"]

    def come(self, path: str) -> str:
        """Comes back; where the answer leads."""
        answer = self.client.get(path.lstrip("/"))
        assert answer.status_code == 302, (answer.status_code, answer.text)
        return answer.headers["location"].removeprefix(self.service.issuer)

    def enter(self, issuer: Issuer, provider: str = "acme", **person) -> str:
        return self.come(issuer.back(self.begin(provider), **person))

    def user(self) -> dict | None:
        answer = self.client.get("get-session").json()
        return answer and answer["user"]

    def accounts(self) -> list[str]:
        return sorted(account["providerId"] for account in self.client.get("list-accounts").json())
