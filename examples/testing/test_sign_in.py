"""A backend's own end-to-end tests with `countersign dev`: real tokens, no passwords, no mail server, no waiting.

    pip install pytest httpx
    COUNTERSIGN=path/to/countersign pytest
"""

import os
import random
import subprocess
import time

import httpx
import pytest


@pytest.fixture(scope="session")
def auth():
    """A service of its own for this run; its database goes with it."""
    # Below the ports that the system gives to clients: no other program takes it before the service does.
    port = random.randrange(10_000, 30_000)
    process = subprocess.Popen([os.environ.get("COUNTERSIGN", "countersign"), "dev", "--port", str(port)], stdout=subprocess.DEVNULL)
    client = httpx.Client(base_url=f"http://localhost:{port}")
    try:
        for _ in range(300):
            try:
                if client.get("/health/ready").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield client
    finally:
        process.terminate()
        process.wait()


def session(auth: httpx.Client, user: str) -> dict:
    return auth.post("/dev/sessions", json={"user": user, "tokenDelivery": "body"}).raise_for_status().json()


def test_a_known_user_is_there(auth):
    answer = auth.post("/api/auth/sign-in/email", json={"email": "dev@example.com", "password": "dev-password"})
    assert answer.status_code == 200


def test_a_session_for_any_user_without_a_password(auth):
    auth.post("/api/auth/sign-up/email", json={"name": "Bob", "email": "bob@example.com", "password": "a good long password"}).raise_for_status()
    tokens = session(auth, "bob@example.com")
    who = httpx.get(f"{auth.base_url}/api/auth/session", headers={"authorization": f"Bearer {tokens['accessToken']}"})
    assert who.json()["user"]["email"] == "bob@example.com"


def test_a_mail_is_read_at_once(auth):
    auth.post("/api/auth/request-password-reset", json={"email": "dev@example.com", "redirectTo": "/reset"}).raise_for_status()
    newest = auth.get("/dev/inbox", params={"to": "dev@example.com"}).json()["items"][0]
    assert "/reset-password/" in newest["links"][0]


def test_an_access_token_expires_when_the_clock_moves(auth):
    tokens = session(auth, "dev@example.com")
    bearer = {"authorization": f"Bearer {tokens['accessToken']}"}
    assert httpx.get(f"{auth.base_url}/api/auth/session", headers=bearer).status_code == 200
    auth.post("/dev/clock", json={"advance": "20m"}).raise_for_status()
    assert httpx.get(f"{auth.base_url}/api/auth/session", headers=bearer).status_code == 401
    # Without the cookies that the first test's sign-in left in this client.
    refreshed = httpx.post(f"{auth.base_url}/api/auth/refresh", json={"refreshToken": tokens["refreshToken"]})
    assert refreshed.status_code == 200
