"""A token for each backend's verifier: fourteen audiences, fourteen real verifiers with their own defaults, and every token given to every one of them.

The verifiers are in tests/interop/verifiers. A cell of the matrix is taken on the diagonal and refused elsewhere, before and after two rotations and
an emergency in each slot; then forgeries, at all of them and at the service's own verifier; then the usual backend with python-jose.
"""

import base64
import collections
import concurrent.futures
import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from place import BINARY, NODE, PASSWORD, ROOT, Place, free_port, wait_for

WORK = ROOT / "target/interop/verifiers"
PYTHON = [sys.executable, str(ROOT / "tests/interop/verifiers/python.py")]
NPM = [NODE, str(WORK / "node.mjs")]
CARGO = [str(pathlib.Path(BINARY).parent / "examples/verifier")]
ALGORITHMS = ["EdDSA", "Ed25519", "ES256", "RS256"]


@dataclasses.dataclass
class Audience:
    """An audience and the verifier that it is for."""

    name: str
    algorithm: str
    command: list[str]
    typ: str = "at+jwt"
    # go-oidc is given an issuer and takes RS256 alone: the discovery of the service's own issuer names EdDSA first.
    own_issuer: bool = False

    @property
    def aud(self) -> str:
        return f"https://{self.name}.example.com"

    @property
    def path(self) -> str:
        return f"/api/auth/jwks/{self.name}"

    def issuer(self, place: Place) -> str:
        return f"{place.issuer}/{self.name}" if self.own_issuer else place.issuer

    def settings(self, place: Place) -> list[str]:
        own = {"audience": self.aud, "algorithm": self.algorithm, "typ": self.typ, **({"issuer": self.issuer(place)} if self.own_issuer else {})}
        return [f"audiences.{self.name}.{key}={value}" for key, value in own.items()]


AUDIENCES = [
    Audience("pyjwt-eddsa", "EdDSA", [*PYTHON, "pyjwt-eddsa"]),
    Audience("pyjwt-es256", "ES256", [*PYTHON, "pyjwt-es256"], typ="JWT"),
    Audience("joserfc-ed25519", "Ed25519", [*PYTHON, "joserfc-ed25519"]),
    Audience("authlib-es256", "ES256", [*PYTHON, "authlib-es256"]),
    Audience("python-jose-rs256", "RS256", [*PYTHON, "python-jose-rs256"]),
    Audience("python-jose-es256", "ES256", [*PYTHON, "python-jose-es256"]),
    Audience("jwcrypto-ed25519", "Ed25519", [*PYTHON, "jwcrypto-ed25519"]),
    Audience("jose-eddsa", "EdDSA", [*NPM, "jose-eddsa"]),
    Audience("jose-ed25519", "Ed25519", [*NPM, "jose-ed25519"]),
    Audience("jsonwebtoken-rs256", "RS256", [*NPM, "jsonwebtoken-rs256"]),
    Audience("fast-jwt-es256", "ES256", [*NPM, "fast-jwt-es256"]),
    Audience("go-oidc", "RS256", [str(WORK / "go-oidc")], own_issuer=True),
    Audience("golang-jwt-es256", "ES256", [str(WORK / "golang-jwt")]),
    Audience("rust-eddsa", "EdDSA", CARGO),
]
NAMES = [audience.name for audience in AUDIENCES]

# What a verifier says that could not fetch its keys, or is broken itself. Such a refusal says nothing about a token.
BROKEN = {"URLError", "HTTPError", "PyJWKClientConnectionError", "ConnectionResetError", "TimeoutError", "FetchError", "ECONNREFUSED", "ECONNRESET", "JwksError", "JwksRateLimitError", "Error", "TypeError", "NameError", "ImportError", "SyntaxError", "ERR_JWKS_TIMEOUT", "ERR_JOSE_GENERIC"}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def header(token: str) -> dict:
    return json.loads(unb64(token.split(".")[0]))


def claims(token: str) -> dict:
    return json.loads(unb64(token.split(".")[1]))


class Sets:
    """The way of the verifiers to the key sets: passes each request on, and knows what each set held when it was fetched last.

    It also serves the set of an attacker, which a forged token names in `jku`.
    """

    def __init__(self, place: Place):
        self.served, self.attacker, self.hits = collections.defaultdict(set), {"keys": []}, 0
        sets = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/attacker.json":
                    sets.hits += 1
                    return self.answer(200, json.dumps(sets.attacker).encode(), "no-store")
                answer = client.get(self.path)
                if answer.status_code == 200:
                    sets.served[self.path] = {key["kid"] for key in answer.json()["keys"]}
                self.answer(answer.status_code, answer.content, answer.headers.get("cache-control", "no-store"))

            def answer(self, status: int, body: bytes, cache: str):
                self.send_response(status)
                for name, value in {"content-type": "application/json", "content-length": str(len(body)), "cache-control": cache}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        client = httpx.Client(base_url=place.base)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Verifier:
    """A verifier in a process of its own, which lives as long as the test and knows where its key set is."""

    def __init__(self, audience: Audience, place: Place, base: str):
        self.audience, self.lines = audience, queue.Queue()
        self.log = place.folder / f"{audience.name}.log"
        command = [*audience.command, f"{base}{audience.path}", audience.issuer(place), audience.aud]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log.open("ab"), text=True, start_new_session=True)
        place.processes.append(self.process)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())
        self.lines.put(None)

    def ask(self, tokens: list[str]) -> list[str]:
        """What it says of each: `taken SUB` or `refused ERROR`."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("".join(f"{token}\n" for token in tokens))
            self.process.stdin.flush()
        answers = []
        for _ in tokens:
            answers.append(self.lines.get(timeout=120))
            assert answers[-1] is not None, f"{self.audience.name} ended: {self.log.read_text()[-2000:]}"
        return answers


class Session:
    """A user's session whose tokens travel in bodies, and one with cookies."""

    def __init__(self, place: Place, name: str = "ana"):
        self.place = place
        self.refresh_token = place.sign_in(name)["refreshToken"]
        self.browser = httpx.Client(base_url=place.base)
        self.browser.post("/api/auth/sign-in/email", json={"email": f"{name}@example.com", "password": PASSWORD}).raise_for_status()

    def refresh(self, audience: str | None = None) -> str:
        asked = {"refreshToken": self.refresh_token, **({"audience": audience} if audience else {})}
        body = httpx.post(f"{self.place.base}/api/auth/refresh", json=asked).raise_for_status().json()
        self.refresh_token = body.get("refreshToken", self.refresh_token)
        return body["accessToken"]

    def oauth(self, audience: str) -> str:
        form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token, "audience": audience}
        body = httpx.post(f"{self.place.base}/api/auth/oauth2/token", data=form).raise_for_status().json()
        self.refresh_token = body.get("refresh_token", self.refresh_token)
        return body["access_token"]

    def cookie(self, audience: str) -> str:
        return self.browser.get("/api/auth/token", params={"audience": audience}).raise_for_status().json()["token"]

    def tokens(self) -> dict[str, str]:
        return {name: self.refresh(name) for name in NAMES}


def start(folder: pathlib.Path, settings: list[str] = ()) -> Place:
    """A service with the fourteen audiences."""
    # go-oidc 2.1 does not fetch again before `max-age` ends, even on an unknown kid. Rotations here follow one another faster than that.
    place = Place(folder, ["sessions.refresh_grace=0s", "sessions.refresh_cooldown=0s", "keys.jwks_max_age=0s", *settings])
    for audience in AUDIENCES:
        place.settings += audience.settings(place)
    place.serve()
    return place


def imported(place: Place) -> ed25519.Ed25519PrivateKey:
    """Imports the key that signs in the EdDSA slot from now on, so that a test can sign with a key of the service."""
    key = ed25519.Ed25519PrivateKey.generate()
    (pem := place.folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    place.cli("keys", "import", str(pem))
    rotate(place)
    return key


def kids(place: Place, state: str) -> dict[str, str]:
    """The kid in this state, by algorithm."""
    found = {key["algorithm"]: key["kid"] for key in place.cli("keys", "list")["items"] if key["state"] == state}
    assert sorted(found) == sorted(ALGORITHMS), found
    return found


def changed(place: Place):
    """Waits until the service publishes what the command line has written."""
    new = set(kids(place, "standby").values())
    wait_for(lambda: new <= {key["kid"] for key in httpx.get(f"{place.base}/api/auth/jwks/all").json()["keys"]})


def rotate(place: Place):
    place.cli("keys", "rotate", "--force")
    changed(place)


@contextlib.contextmanager
def stopped_after(place: Place):
    try:
        yield place
    finally:
        place.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with stopped_after(start(tmp_path_factory.mktemp("audiences"))) as place:
        sets = Sets(place)
        yield place, sets, [Verifier(audience, place, sets.base) for audience in AUDIENCES]


def every(verifiers: list[Verifier], tokens: list[str]) -> list[list[str]]:
    """What every verifier says of every token."""
    with concurrent.futures.ThreadPoolExecutor(len(verifiers)) as pool:
        return list(pool.map(lambda verifier: verifier.ask(tokens), verifiers))


def matrix(verifiers: list[Verifier], tokens: dict[str, str]) -> tuple[int, int]:
    """Gives every token to every verifier; returns how many were taken and refused."""
    subs = {claims(token)["sub"] for token in tokens.values()}
    assert len(subs) == 1, "a user has one `sub`, whatever the audience"
    good = f"taken {subs.pop()}"
    cells = {(v.audience.name, name): answer for v, row in zip(verifiers, every(verifiers, list(tokens.values()))) for name, answer in zip(tokens, row)}
    diagonal = {cell: answer for cell, answer in cells.items() if cell[0] == cell[1]}
    others = {cell: answer for cell, answer in cells.items() if cell[0] != cell[1]}
    false_refusals = {cell: answer for cell, answer in diagonal.items() if answer != good}
    assert not false_refusals
    wrong = {cell: answer for cell, answer in others.items() if not answer.startswith("refused ") or answer.split()[1] in BROKEN}
    assert not wrong
    return len(diagonal), len(others)


def own(verifiers: list[Verifier], tokens: dict[str, str]):
    """Each verifier takes the token of its own audience."""
    refused = {v.audience.name: answer for v in verifiers for answer in v.ask([tokens[v.audience.name]]) if answer != f"taken {claims(tokens[v.audience.name])['sub']}"}
    assert not refused


def with_header(token: str, signature: bytes | None = None, **members) -> str:
    head, payload, old = token.split(".")
    return ".".join([b64(json.dumps({**json.loads(unb64(head)), **members}).encode()), payload, old if signature is None else b64(signature)])


def warm(place: Place, sets: Sets, verifiers: list[Verifier], tokens: dict[str, str]):
    """Tokens under an unknown kid until each verifier has fetched the set that holds the next key.

    That is what the long time between two rotations is for. PyJWT and jose fetch again after 30 s at the earliest.
    """
    standby = kids(place, "standby")

    def fetched(verifier: Verifier) -> bool:
        audience = verifier.audience
        (answer,) = verifier.ask([with_header(tokens[audience.name], kid="unknown")])
        assert answer.startswith("refused "), answer
        # The set of go-oidc is found by discovery and not fetched through `sets`; it is fetched on every unknown kid.
        return audience.own_issuer or standby[audience.algorithm] in sets.served[audience.path]

    pending = list(verifiers)

    def all_fetched() -> bool:
        pending[:] = [verifier for verifier in pending if not fetched(verifier)]
        return not pending

    wait_for(all_fetched, seconds=90)


def test_each_verifier_takes_the_tokens_of_its_audience_alone_through_rotations_and_emergencies(served):
    place, sets, verifiers = served
    session = Session(place)
    counts, seen, good_again = [], [kids(place, "active")], []

    def round_of_tokens() -> dict[str, str]:
        tokens = session.tokens()
        active = kids(place, "active")
        assert {name: header(token) for name, token in tokens.items()} == {a.name: {"alg": a.algorithm, "typ": a.typ, "kid": active[a.algorithm]} for a in AUDIENCES}
        counts.append(matrix(verifiers, tokens))
        return tokens

    good_again.append(tokens := round_of_tokens())
    for _ in range(2):
        warm(place, sets, verifiers, tokens)
        rotate(place)
        seen.append(kids(place, "active"))
        good_again.append(tokens := round_of_tokens())
        for earlier in good_again:
            own(verifiers, earlier)
    warm(place, sets, verifiers, tokens)
    for algorithm in ALGORITHMS:
        before, standby = kids(place, "active"), kids(place, "standby")
        place.cli("keys", "revoke", before[algorithm], "--reason", "interop test", "--yes")
        changed(place)
        assert kids(place, "active") == before | {algorithm: standby[algorithm]}, "the other slots are left alone"
        assert before[algorithm] not in httpx.get(f"{place.base}/api/auth/jwks/all").text
        tokens = round_of_tokens()
    seen.append(kids(place, "active"))
    assert all(len({kid[algorithm] for kid in seen}) == 4 for algorithm in ALGORITHMS), "every slot has turned four times"
    print(f"\n14 x 14, {len(counts)} times: {sum(taken for taken, _ in counts)} taken, {sum(refused for _, refused in counts)} refused, 0 false refusals")
    assert counts == [(14, 182)] * 7


@pytest.mark.parametrize("way", [Session.refresh, Session.cookie, Session.oauth], ids=["refresh", "token", "oauth2"])
def test_each_way_of_asking_gives_what_the_verifier_takes(served, way):
    place, _, verifiers = served
    session = Session(place, "bob")
    own(verifiers, {name: way(session, name) for name in NAMES})


class Attacker:
    """Has a key for each algorithm, and the public keys of the service."""

    def __init__(self):
        self.keys = {"EdDSA": ed25519.Ed25519PrivateKey.generate(), "ES256": ec.generate_private_key(ec.SECP256R1()), "RS256": rsa.generate_private_key(65537, 2048)}
        self.keys["Ed25519"] = self.keys["EdDSA"]

    def jwk(self, algorithm: str) -> dict:
        public = self.keys[algorithm].public_key()
        if algorithm in ("EdDSA", "Ed25519"):
            members = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}
        elif algorithm == "ES256":
            numbers = public.public_numbers()
            members = {"kty": "EC", "crv": "P-256", "x": b64(numbers.x.to_bytes(32, "big")), "y": b64(numbers.y.to_bytes(32, "big"))}
        else:
            numbers = public.public_numbers()
            members = {"kty": "RSA", "n": b64(numbers.n.to_bytes(256, "big")), "e": "AQAB"}
        return {**members, "use": "sig", "alg": algorithm, "kid": f"attacker-{algorithm}"}

    def certificate(self, algorithm: str) -> str:
        key, name, now = self.keys[algorithm], x509.Name([]), datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
        made = builder.sign(key, None if algorithm in ("EdDSA", "Ed25519") else hashes.SHA256())
        return base64.b64encode(made.public_bytes(Encoding.DER)).decode()


def sign(key, token: str) -> str:
    """The token with a signature by this key in place of its own."""
    unsigned = token.rsplit(".", 1)[0]
    return f"{unsigned}.{b64(raw_signature(key, unsigned.encode()))}"


def raw_signature(key, message: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def public_key(jwk: dict):
    number = lambda name: int.from_bytes(unb64(jwk[name]), "big")  # noqa: E731 three uses, here alone
    if jwk["kty"] == "OKP":
        return ed25519.Ed25519PublicKey.from_public_bytes(unb64(jwk["x"]))
    if jwk["kty"] == "EC":
        return ec.EllipticCurvePublicNumbers(number("x"), number("y"), ec.SECP256R1()).public_key()
    return rsa.RSAPublicNumbers(number("e"), number("n")).public_key()


def forgeries(token: str, active: dict[str, str], jwks: dict[str, dict], key: ed25519.Ed25519PrivateKey, sets: str) -> dict[str, str]:
    """What an attacker makes of a good token.

    `active` has the kid of each algorithm, `jwks` the public key of each kid, `key` signs in the service's EdDSA slot, and `sets` is where the
    attacker publishes keys.
    """
    attacker = ATTACKER
    algorithm, kid = header(token)["alg"], header(token)["kid"]
    unsigned, signature = token.rsplit(".", 1)[0], unb64(token.rsplit(".", 1)[1])
    resigned = lambda data: f"{unsigned}.{b64(data)}"  # noqa: E731 four lines use it
    forged = {}

    for alg in ["none", "NoNe"]:
        forged[f"{alg}, without signature"] = with_header(token, b"", alg=alg)
        forged[f"{alg}, with the signature"] = with_header(token, alg=alg)
    forged["without signature"] = resigned(b"")
    forged["zeros for a signature"] = resigned(bytes(len(signature)))

    public = public_key(jwks[kid])
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    secrets = {"PEM": pem, "PEM without its last line break": pem.strip(), "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)}
    secrets |= {"JWK": json.dumps(jwks[kid]).encode(), "JWK without blanks": json.dumps(jwks[kid], separators=(",", ":")).encode()}
    for name, secret in secrets.items():
        mac = with_header(token, b"", alg="HS256").rstrip(".")
        forged[f"HS256 keyed with the public {name}"] = f"{mac}.{b64(hmac.digest(secret, mac.encode(), hashlib.sha256))}"

    for alg in ALGORITHMS:
        for owner in ALGORITHMS:
            swapped = with_header(token, alg=alg, kid=active[owner])
            if (alg, owner) != (algorithm, algorithm):
                forged[f"{alg} under the kid of {owner}"] = swapped
            forged[f"{alg} under the kid of {owner}, signed by an attacker"] = sign(attacker.keys[alg], swapped)
            # A signature by a key of the service: under another name than the key's, or for an audience whose tokens this key does not sign.
            if alg in ("EdDSA", "Ed25519") and (alg, owner, algorithm) != ("EdDSA", "EdDSA", "EdDSA"):
                forged[f"{alg} under the kid of {owner}, signed by the EdDSA slot"] = sign(key, swapped)

    forged["a byte behind the signature"] = resigned(signature + b"\0")
    forged["sixteen bytes behind the signature"] = resigned(signature + bytes(range(16)))
    forged["a zero before the signature"] = resigned(b"\0" + signature)
    forged["the signature without its last byte"] = resigned(signature[:-1])
    if algorithm == "ES256":
        r, s = signature[:32], signature[32:]
        forged["DER"] = resigned(encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big")))
        forged["r is zero"] = resigned(bytes(32) + s)
        forged["s is zero"] = resigned(r + bytes(32))
        forged["r and s are one"] = resigned((bytes(31) + b"\1") * 2)

    own_kid = f"attacker-{algorithm}"
    members = {
        "jwk": {"jwk": attacker.jwk(algorithm)},
        "jku": {"jku": f"{sets}/attacker.json"},
        "x5c": {"x5c": [attacker.certificate(algorithm)]},
    }
    for name, member in members.items():
        forged[f"{name}, under our kid"] = sign(attacker.keys[algorithm], with_header(token, **member))
        forged[f"{name}, under a kid of its own"] = sign(attacker.keys[algorithm], with_header(token, kid=own_kid, **member))
    assert token not in forged.values()
    return forged


ATTACKER = Attacker()


def forgeries_at(place: Place, token: str, key: ed25519.Ed25519PrivateKey, sets: str = "http://127.0.0.1:9") -> dict[str, str]:
    jwks = {jwk["kid"]: jwk for jwk in httpx.get(f"{place.base}/api/auth/jwks/all").json()["keys"]}
    return forgeries(token, kids(place, "active"), jwks, key, sets)


def test_no_verifier_takes_a_forgery(tmp_path):
    with stopped_after(start(tmp_path)) as place:
        key, sets = imported(place), Sets(place)
        sets.attacker = {"keys": [ATTACKER.jwk(algorithm) for algorithm in ALGORITHMS]}
        verifiers = [Verifier(audience, place, place.base) for audience in AUDIENCES]
        tokens = Session(place).tokens()
        assert matrix(verifiers, tokens) == (14, 182)
        assert sign(key, tokens["pyjwt-eddsa"]) == tokens["pyjwt-eddsa"], "signatures of the EdDSA slot are genuine"
        forged = {f"{name}: {label}": bad for name, token in tokens.items() for label, bad in forgeries_at(place, token, key, sets.base).items()}
        refused, wrong = 0, {}
        for verifier, answers in zip(verifiers, every(verifiers, list(forged.values()))):
            for label, answer in zip(forged, answers):
                good = answer.startswith("refused ") and answer.split()[1] not in BROKEN
                refused += good
                if not good:
                    wrong[verifier.audience.name, label] = answer
        assert not wrong, list(wrong.items())[:20]
        assert sets.hits == 0, "a verifier has fetched the set that a token named"
        assert matrix(verifiers, tokens) == (14, 182), "what was not touched is taken as before"
        print(f"\n{len(forged)} forgeries at 14 verifiers: {refused} refused, 0 taken")
        assert refused == 14 * len(forged)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_service_takes_no_forgery_of_its_own_tokens(tmp_path, algorithm):
    with stopped_after(start(tmp_path, [f"tokens.algorithm={algorithm}"])) as place:
        key, session = imported(place), Session(place)
        token, others = session.refresh(), session.tokens()
        assert header(token)["alg"] == algorithm

        def asked(token: str) -> int:
            return httpx.get(f"{place.base}/api/auth/session", headers={"authorization": f"Bearer {token}"}).status_code

        def explained(token: str) -> tuple[int, bool]:
            done = subprocess.run(place.command(place.port, [], "keys", "verify", "-", "--output", "json"), cwd=place.folder, input=token, capture_output=True, text=True, check=False)
            return done.returncode, json.loads(done.stdout)["valid"]

        assert sign(key, others["pyjwt-eddsa"]) == others["pyjwt-eddsa"], "signatures of the EdDSA slot are genuine"
        forged = forgeries_at(place, token, key)
        assert asked(token) == 200
        assert {label: status for label, bad in forged.items() if (status := asked(bad)) != 401} == {}
        assert {name: status for name, other in others.items() if (status := asked(other)) != 401} == {}, "a token for a backend does not open our own doors"
        assert asked(token) == 200
        assert [explained(good) for good in (token, *others.values())] == [(0, True)] * 15
        assert {label: found for label, bad in forged.items() if (found := explained(bad)) != (1, False)} == {}
        print(f"\n{algorithm}: {len(forged)} forgeries refused at /session and by `keys verify`")


def test_the_backend_with_python_jose_lives_through_one_rotation_and_needs_a_restart_after_two(tmp_path):
    place = Place(tmp_path, ["audiences.backend.audience=https://backend.example.com", "audiences.backend.algorithm=RS256"])
    with stopped_after(place):
        place.serve()
        session, port = Session(place), free_port()
        command = [sys.executable, "-m", "uvicorn", "main:app", "--app-dir", str(ROOT / "examples/python-jose"), "--port", str(port), "--log-level", "warning"]

        def backend() -> str:
            return place.start(command, port, JWKS_URL=f"{place.base}/api/auth/jwks/backend", AUDIENCE="https://backend.example.com")

        def rotated():
            place.cli("keys", "rotate", "--force")
            new = next(key["kid"] for key in place.cli("keys", "list")["items"] if (key["algorithm"], key["state"]) == ("RS256", "standby"))
            wait_for(lambda: new in httpx.get(f"{place.base}/api/auth/jwks/backend").text)

        def me(token: str) -> int:
            return httpx.get(f"{base}/me", headers={"authorization": f"Bearer {token}"}).status_code

        base = backend()
        first = session.refresh("backend")
        answer = httpx.get(f"{base}/me", headers={"authorization": f"Bearer {first}"})
        assert (answer.status_code, answer.json()) == (200, {"sub": claims(first)["sub"], "email": "ana@example.com", "roles": ["user"]})
        assert me(session.refresh()) == 401, "a token of the default audience"

        rotated()
        second = session.refresh("backend")
        assert header(second)["kid"] != header(first)["kid"]
        assert (me(first), me(second)) == (200, 200), "the next key was in the set that it has fetched"

        rotated()
        third = session.refresh("backend")
        assert (me(first), me(second), me(third)) == (200, 200, 401), "it does not fetch again"

        os.killpg((process := place.processes.pop()).pid, signal.SIGTERM)
        process.wait(40)
        base = backend()
        assert (me(first), me(second), me(third)) == (200, 200, 200)
