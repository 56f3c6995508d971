"""Better Auth's other clients with the defaults that they come with: an Expo app, and the middleware of a Next.js application."""

import json
import subprocess

import httpx
import pytest
from place import NODE, PASSWORD, ROOT, Place

WORK = ROOT / "target/interop/better_auth"


def node(*arguments: str) -> str:
    done = subprocess.run([NODE, *arguments], cwd=WORK, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_an_expo_app_with_its_defaults_stays_signed_in_and_signs_out(tmp_path):
    place = Place(tmp_path, ["server.trusted_origins=countersign-test://", "mail.transport=file", f"mail.dir={tmp_path}/mail"])
    try:
        saw = json.loads(node("--import", "./native_modules.mjs", "expo.mjs", place.serve()))
    finally:
        place.stop()
    email = "ana-of-the-app@example.com"
    assert (saw["signedUp"], saw["session"], saw["again"]) == (email, email, email)
    assert "better-auth.session_token" in saw["cookies"]
    assert saw["led"] is True, "a path of the app becomes countersign-test://dashboard"
    assert (saw["changed"], saw["signedOut"], saw["after"], saw["nothing"]) == (True, True, None, None)


@pytest.mark.parametrize(("public_url", "name"), [(None, "better-auth.session_token"), ("https://auth.example.com", "__Secure-better-auth.session_token")])
def test_get_session_cookie_in_a_middleware_finds_the_session(tmp_path, public_url, name):
    place = Place(tmp_path)
    place.issuer = public_url or place.issuer
    try:
        base = place.serve()
        form = {"name": "Ana", "email": "ana@example.com", "password": PASSWORD}
        answer = httpx.post(f"{base}/api/auth/sign-up/email", json=form)
        assert answer.status_code == 200, answer.text
        cookies = [line.split(";")[0] for line in answer.headers.get_list("set-cookie")]
        assert [c.split("=")[0] for c in cookies if c.split("=")[0].endswith("session_token")] == [name]
        assert node("middleware.mjs", "; ".join(cookies)) == "200"
        assert node("middleware.mjs", "") == "302"
        others = [c for c in cookies if not c.startswith(f"{name}=")]
        assert node("middleware.mjs", "; ".join(others)) == "302", "no other cookie of ours passes for a session"
    finally:
        place.stop()
