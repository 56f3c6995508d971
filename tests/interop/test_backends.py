"""Real backends accept a good token offline and refuse every bad one: FastAPI with PyJWT, Go with Debian's golang-jwt, Node with jose."""

import base64
import hashlib
import hmac
import json
import sys

import httpx
import pytest
from place import NODE, ROOT, Place, free_port, wait_for

WORK = ROOT / "target/interop"
CACHE_SECONDS = "2"
COMMANDS = {
    "fastapi": [sys.executable, "-m", "uvicorn", "main:app", "--app-dir", str(ROOT / "examples/fastapi"), "--port", "{port}", "--log-level", "warning"],
    "go": [str(WORK / "go-backend")],
    "jose": [NODE, str(WORK / "node/server.mjs")],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("place"))
    place.serve()
    yield place
    place.stop()


@pytest.fixture(scope="module", params=list(COMMANDS))
def backend(request, place):
    port = free_port()
    return place.start([part.format(port=port) for part in COMMANDS[request.param]], port, JWKS_CACHE=CACHE_SECONDS)


def me(backend: str, token: str) -> httpx.Response:
    return httpx.get(f"{backend}/me", headers={"authorization": f"Bearer {token}"})


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def with_header(token: str, signature: str | None = None, **header) -> str:
    original, payload, old = token.split(".")
    return ".".join([b64(json.dumps({**json.loads(unb64(original)), **header}).encode()), payload, old if signature is None else signature])


def test_a_good_token_is_accepted(place, backend):
    answer = me(backend, place.sign_in()["accessToken"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["email"] == "ana@example.com"
    assert answer.json()["roles"] == ["user"]


def test_a_tampered_token_is_refused(place, backend):
    token = place.sign_in()["accessToken"]
    header, payload, signature = token.split(".")
    claims = json.loads(unb64(payload)) | {"roles": ["admin"]}
    flipped = bytearray(unb64(signature))
    flipped[7] ^= 1
    for bad in [f"{header}.{b64(json.dumps(claims).encode())}.{signature}", f"{header}.{payload}.{b64(bytes(flipped))}"]:
        assert me(backend, bad).status_code == 401
    assert me(backend, token).status_code == 200


@pytest.mark.parametrize("alg", ["none", "NoNe"])
def test_alg_none_is_refused(place, backend, alg):
    token = place.sign_in()["accessToken"]
    assert me(backend, with_header(token, alg=alg, signature="")).status_code == 401
    assert me(backend, with_header(token, alg=alg)).status_code == 401


def test_hs256_with_the_public_key_is_refused(place, backend):
    token = place.sign_in()["accessToken"]
    jwks = httpx.get(f"{place.base}/api/auth/jwks").json()
    kid = json.loads(unb64(token.split(".")[0]))["kid"]
    jwk = next(key for key in jwks["keys"] if key["kid"] == kid)
    pem = place_pem(place, kid)
    for secret in [unb64(jwk["x"]), jwk["x"].encode(), json.dumps(jwk).encode(), pem.encode()]:
        unsigned = with_header(token, alg="HS256", signature="").rstrip(".")
        signature = b64(hmac.new(secret, unsigned.encode(), hashlib.sha256).digest())
        assert me(backend, f"{unsigned}.{signature}").status_code == 401


def place_pem(place: Place, kid: str) -> str:
    import subprocess

    printed = subprocess.run(place.command(place.port, [], "keys", "export", "--public", "--format", "pem"), cwd=place.folder, capture_output=True, check=True)
    block = next(part for part in printed.stdout.decode().split("# ") if part.startswith(kid))
    return block.split("\n", 1)[1]


def test_an_expired_token_is_refused(place, backend):
    # The same keys, signed by a process whose clock is half an hour behind.
    behind = place.serve(free_port(), clock=-30 * 60)
    answer = me(backend, place.sign_in(base=behind)["accessToken"])
    assert answer.status_code == 401


def test_a_token_for_another_audience_is_refused(place, backend):
    other = place.serve(free_port(), settings=["tokens.audience=https://another.example"])
    token = place.sign_in(base=other)["accessToken"]
    assert json.loads(unb64(token.split(".")[1]))["aud"] == "https://another.example"
    assert me(backend, token).status_code == 401


def test_an_unknown_kid_is_refused(place, backend, tmp_path):
    # Well signed, by another issuer's key that says it is ours.
    other = Place(tmp_path, [f"tokens.issuer={place.issuer}"])
    try:
        stranger = other.sign_in(base=other.serve())["accessToken"]
    finally:
        other.stop()
    assert json.loads(unb64(stranger.split(".")[1]))["iss"] == place.issuer
    assert me(backend, stranger).status_code == 401
    token = place.sign_in()["accessToken"]
    assert me(backend, with_header(token, kid="A" * 43)).status_code == 401
    assert me(backend, token).status_code == 200


def test_a_token_of_a_revoked_key_is_refused_after_the_cache_time(place, backend):
    token = place.sign_in()["accessToken"]
    kid = json.loads(unb64(token.split(".")[0]))["kid"]
    assert me(backend, token).status_code == 200
    place.cli("keys", "revoke", kid, "--reason", "interop test", "--yes")
    # The server hears of it within its poll of 5 s; the verifier within its cache of 2 s after that.
    wait_for(lambda: kid not in httpx.get(f"{place.base}/api/auth/jwks").text)
    wait_for(lambda: me(backend, token).status_code == 401)
    fresh = place.sign_in()["accessToken"]
    assert me(backend, fresh).status_code == 200, "the standby took over"
