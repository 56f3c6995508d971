"""The settings and lines of docs/verifiers.md for libraries that need some: they take our access token, and refuse what is not one."""

import re
import subprocess
import sys

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from place import ROOT, Place

BLOCKS = re.findall(r"```python compile\n(.*?)```", (ROOT / "docs/verifiers.md").read_text(), re.DOTALL)


def block(word: str) -> str:
    return next(b for b in BLOCKS if word in b)


DJANGO = [
    block("SIMPLE_JWT"),
    """
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"], DATABASES={}, SECRET_KEY="x" * 50, SIMPLE_JWT=SIMPLE_JWT)
import django, jwt
django.setup()
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
""",
    block("CountersignAuthentication"),
    """
def check(token):
    authentication = CountersignAuthentication()
    return authentication.get_user(authentication.get_validated_token(token.encode())).id
""",
]

FLASK = [
    """
import jwt
from flask import Flask
from flask_jwt_extended import JWTManager, get_jwt_identity, jwt_required
app = Flask("backend")
manager = JWTManager(app)
""",
    block("JWT_DECODE_AUDIENCE"),
    """
@app.get("/me")
@jwt_required()
def me():
    return get_jwt_identity()
def check(token):
    answer = app.test_client().get("/me", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    return answer.text
""",
]

JOSERFC = [
    """
import httpx
from joserfc import jwk, jwt
keys = jwk.KeySet.import_key_set(httpx.get(f"{ISSUER}/api/auth/jwks").json())
def check(text):
""",
    *(f"    {line}\n" for line in block("JWTClaimsRegistry").splitlines()),
    """
    return token.claims["sub"]
""",
]


LOOP = """
import sys
for line in sys.stdin:
    try:
        print("taken", check(line.strip()), flush=True)
    except Exception as error:
        print("refused", type(error).__name__, flush=True)
"""


def forged(token: str, *, header: dict | None = None, claims: dict | None = None) -> str:
    """The same token with something else in it, under a key that is not ours."""
    head = {**jwt.get_unverified_header(token), **(header or {})}
    body = {**jwt.decode(token, options={"verify_signature": False}), **(claims or {})}
    return jwt.encode(body, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers=head)


@pytest.mark.parametrize("source", [DJANGO, FLASK, JOSERFC], ids=["simplejwt", "flask-jwt-extended", "joserfc"])
def test_the_documented_lines_take_our_tokens_and_no_others(tmp_path, source):
    place = Place(tmp_path)
    try:
        base = place.serve()
        tokens = place.sign_in()
        good = tokens["accessToken"]
        user = jwt.decode(good, options={"verify_signature": False})["sub"]
        place.settings.append("tokens.typ=JWT")
        place.kill()
        place.serve()
        other_type = httpx.post(f"{base}/api/auth/refresh", json={"refreshToken": tokens["refreshToken"]}).raise_for_status().json()["accessToken"]
        bad = {"another key": forged(good), "an unknown key": forged(good, header={"kid": "unknown"}), "another type, well signed": other_type}
        lines = "\n".join([good, *bad.values()])
        program = f"ISSUER = {place.issuer!r}\n" + "".join(source) + LOOP
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], input=lines, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        taken, *refused = done.stdout.splitlines()
        assert taken == f"taken {user}", done.stdout
        assert len(refused) == len(bad) and all(line.startswith("refused") for line in refused), dict(zip(bad, refused))
    finally:
        place.stop()
