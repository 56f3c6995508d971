"""Rotations under load while PyJWT, joserfc and jose verify in a loop with their default caches: not one valid token fails.

ROTATIONS says how many (3 by default, 50 in tests/long.sh). They come 16 s apart: PyJWT and jose refuse to fetch again for 30 s, and a
standby key that is published one rotation ahead must be enough for them.
"""

import json
import os
import queue
import subprocess
import threading
import time

import httpx
import jwt
import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from place import NODE, ROOT, Place

ROTATIONS = int(os.getenv("ROTATIONS", "3"))
APART = 16.0
SESSIONS = 4


@pytest.fixture
def place(tmp_path):
    strict = ["tokens.access_ttl=1m", "sessions.refresh_grace=0s", "sessions.refresh_cooldown=0s", "keys.verifier_cache=0s"]
    place = Place(tmp_path, strict)
    place.serve()
    yield place
    place.stop()


class Verifier(threading.Thread):
    """Verifies every token that it is given, and those of the last 40 s again."""

    def __init__(self, name, verify):
        super().__init__(daemon=True)
        self.label, self.verify, self.tokens, self.good, self.bad, self.kids = name, verify, queue.Queue(), 0, [], set()

    def run(self):
        recent = []
        while (item := self.tokens.get()) is not None:
            recent = [(at, token) for at, token in recent if time.monotonic() - at < 40][-20:]
            recent.append((time.monotonic(), item))
            for _, token in recent:
                try:
                    self.verify(token)
                    self.good += 1
                    self.kids.add(jwt.get_unverified_header(token)["kid"])
                except Exception as error:  # noqa: BLE001 whatever a library raises is a failure here
                    self.bad.append(repr(error))


def pyjwt(place):
    client = jwt.PyJWKClient(f"{place.base}/api/auth/jwks")
    return lambda token: jwt.decode(token, client.get_signing_key_from_jwt(token), algorithms=["EdDSA"], audience=place.issuer, issuer=place.issuer)


def joserfc(place):
    # joserfc has no fetcher: a set that is kept for five minutes and fetched again on an unknown kid, as its documentation shows.
    state = {"at": -1e9, "set": None}

    def fetch():
        state.update(at=time.monotonic(), set=KeySet.import_key_set(httpx.get(f"{place.base}/api/auth/jwks").json()))

    def verify(token):
        kid = json.loads(jwt.utils.base64url_decode(token.split(".")[0]))["kid"]
        if time.monotonic() - state["at"] > 300 or all(key.kid != kid for key in state["set"]):
            fetch()
        decoded = joserfc_jwt.decode(token, state["set"], algorithms=["EdDSA"])
        registry = joserfc_jwt.JWTClaimsRegistry(iss={"essential": True, "value": place.issuer}, aud={"essential": True, "value": place.issuer}, exp={"essential": True})
        registry.validate(decoded.claims)

    return verify


def test_no_valid_token_fails_through_rotations_under_load(place):
    node = subprocess.Popen(
        [NODE, str(ROOT / "target/interop/node/verify_loop.mjs"), f"{place.base}/api/auth/jwks", place.issuer],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    verifiers = [Verifier("PyJWT", pyjwt(place)), Verifier("joserfc", joserfc(place))]
    for verifier in verifiers:
        verifier.start()
    stop, lock, refused = threading.Event(), threading.Lock(), []

    def client(token):
        try:
            with httpx.Client() as http:
                while not stop.is_set():
                    answer = http.post(f"{place.base}/api/auth/refresh", json={"refreshToken": token})
                    body = answer.raise_for_status().json()
                    token = body["refreshToken"]
                    for verifier in verifiers:
                        verifier.tokens.put(body["accessToken"])
                    with lock:
                        node.stdin.write(body["accessToken"] + "\n")
                        node.stdin.flush()
                    stop.wait(0.2)
        except Exception as error:  # noqa: BLE001 a client that stops is a failure of the test, not its end
            refused.append(repr(error))

    clients = [threading.Thread(target=client, args=(place.sign_in(f"user{n}")["refreshToken"],)) for n in range(SESSIONS)]
    for thread in clients:
        thread.start()
    started = time.monotonic()
    kids = set()
    for n in range(1, ROTATIONS + 1):
        time.sleep(max(0.0, started + n * APART - time.monotonic()))
        place.cli("keys", "rotate", "--force")
        kids.add(next(key["kid"] for key in place.cli("keys", "list")["items"] if key["state"] == "active"))
    stop.wait(2)
    stop.set()
    for thread in clients:
        thread.join()
    for verifier in verifiers:
        verifier.tokens.put(None)
        verifier.join()
    counted = json.loads(node.communicate()[0])
    counts = {v.label: v.good for v in verifiers} | {"jose": counted["good"]}
    print(f"\n{ROTATIONS} rotations, verifications: {counts}, failures: {sum(len(v.bad) for v in verifiers) + counted['bad']}")
    assert len(kids) == ROTATIONS
    assert not refused, refused[:3]
    assert counted["bad"] == 0
    assert all(not v.bad for v in verifiers), [v.bad[:3] for v in verifiers]
    assert all(kids <= v.kids for v in verifiers), "every key was met"
    assert all(count > ROTATIONS * 200 for count in counts.values())
