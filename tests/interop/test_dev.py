"""`countersign dev`: its doors, what it refuses, and the example of docs/testing.md that people copy."""

import os
import subprocess
import sys

import httpx
import pytest
from place import BINARY, ROOT, Place, free_port, wait_for


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("dev"), free_port()
    log = open(folder / "dev.log", "wb")
    environment = {**os.environ, "TMPDIR": str(folder)}
    process = subprocess.Popen([BINARY, "dev", "--port", str(port)], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    client = httpx.Client(base_url=f"http://localhost:{port}")
    try:
        wait_for(lambda: client.get("/health/ready").status_code == 200)
        yield client
    finally:
        process.terminate()
        assert process.wait(40) == 0
    assert not [name for name in os.listdir(folder) if name != "dev.log"], "a run leaves nothing behind"


def test_the_example_of_the_documents_passes():
    environment = {**os.environ, "COUNTERSIGN": BINARY}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "examples/testing/test_sign_in.py")], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr


def test_a_session_in_cookies_is_one_as_after_a_sign_in(dev):
    with httpx.Client(base_url=dev.base_url) as browser:
        answer = browser.post("/dev/sessions", json={"user": "dev@example.com"})
        assert answer.status_code == 200 and "refreshToken" not in answer.json()
        assert browser.get("/api/auth/get-session").json()["user"]["email"] == "dev@example.com"
        assert browser.post("/api/auth/refresh", json={}).status_code == 200


def test_the_clock_moves_both_ways_and_keys_follow(dev):
    def now():
        return dev.get("/dev/clock").json()["now"]

    kids = {key["kid"] for key in dev.get("/api/auth/jwks").json()["keys"]}
    before = now()
    ahead = dev.post("/dev/clock", json={"advance": "45d"}).json()["now"]
    assert ahead > before
    later = {key["kid"] for key in dev.get("/api/auth/jwks").json()["keys"]}
    assert later != kids, "a rotation that fell due in between has happened"
    assert dev.post("/dev/clock", json={"advance": "-45d"}).json()["now"] < ahead


@pytest.mark.parametrize("body", [{}, {"advance": "soon"}, {"advance": ""}, {"advance": 5}, {"advance": "--1h"}])
def test_a_clock_that_is_told_nonsense_stands(dev, body):
    answer = dev.post("/dev/clock", json=body)
    assert answer.status_code == 400 and answer.json()["code"] == "VALIDATION_ERROR", answer.text


def test_an_unknown_or_banned_user_gets_no_session(dev):
    assert dev.post("/dev/sessions", json={"user": "dev@example.com"}).status_code == 200
    answer = dev.post("/dev/sessions", json={"user": "stranger@example.com"})
    assert (answer.status_code, answer.json()["code"]) == (404, "USER_NOT_FOUND")


def test_a_page_of_another_site_opens_no_door(dev):
    good = {"json": {"user": "dev@example.com"}}
    assert dev.post("/dev/sessions", headers={"origin": str(dev.base_url)}, **good).status_code == 200
    # A request that is refused before its body has come ends its connection (RFC 9112 section 9.6), so it has one of its own.
    for foreign in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert dev.post("/dev/sessions", headers={"connection": "close", **foreign}, **good).status_code == 403, foreign
    # A name that was made to point to this machine.
    assert dev.get("/dev/inbox").status_code == 200
    for host in ("evil.example", "evil.example:4000", "localhost.evil.example", "127.0.0.1.evil.example:80"):
        assert dev.get("/dev/inbox", headers={"host": host}).status_code == 403, host


@pytest.mark.parametrize(
    ("setting", "named"),
    [("server.listen=0.0.0.0:4000", "server.listen"), ("server.listen=[::]:4000", "server.listen"), ("server.public_url=https://auth.example.com", "server.public_url"), ("server.public_url=http://10.0.0.1:4000", "server.public_url")],
)
def test_it_stands_on_this_machine_only(tmp_path, setting, named):
    arguments = [BINARY, "dev", "--set", setting, "--set", "server.allow_insecure=true"]
    done = subprocess.run(arguments, cwd=tmp_path, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 78 and named in done.stderr, done.stderr
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_settings_of_a_real_service_beside_it_are_not_used(tmp_path):
    (tmp_path / "countersign.toml").write_text('[database]\nurl = "sqlite://real.db"\n[keys]\ndir = "real-keys"\n[tokens]\nissuer = "https://auth.example.com"\n')
    (tmp_path / "master").write_text("not a key\n")
    port = free_port()
    process = subprocess.Popen([BINARY, "dev", "--port", str(port)], cwd=tmp_path, env={**os.environ, "TMPDIR": str(tmp_path), "COUNTERSIGN_MASTER_KEY_FILE": str(tmp_path / "master")}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: httpx.get(f"http://localhost:{port}/health/ready").status_code == 200)
        assert not (tmp_path / "real.db").exists() and not (tmp_path / "real-keys").exists()
        issuer = httpx.get(f"http://localhost:{port}/.well-known/openid-configuration").json()["issuer"]
        assert issuer == f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(40)


@pytest.mark.parametrize("setting", ["database.url=sqlite://real.db", "database.direct_url=postgres://u@h/db", "keys.dir=real-keys", "tokens.issuer=https://auth.example.com", "server.public_url=https://auth.example.com", "server.listen=0.0.0.0:4000"])
def test_a_real_service_is_refused_in_the_arguments(tmp_path, setting):
    done = subprocess.run([BINARY, "dev", "--port", str(free_port()), "--set", setting], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 78 and setting.split("=")[0] in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("named_in", ["file", "environment"])
def test_the_public_url_of_a_real_service_is_refused_wherever_it_stands(tmp_path, named_in):
    environment = dict(os.environ)
    if named_in == "file":
        (tmp_path / "countersign.toml").write_text('[server]\npublic_url = "https://auth.example.com"\n')
    else:
        environment["COUNTERSIGN_SERVER__PUBLIC_URL"] = "https://auth.example.com"
    done = subprocess.run([BINARY, "dev", "--port", str(free_port())], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 78 and "server.public_url" in done.stderr, done.stderr


def test_serve_has_none_of_the_doors(tmp_path):
    place = Place(tmp_path)
    try:
        base = place.serve()
        for method, path in [("GET", "/dev/inbox"), ("POST", "/dev/sessions"), ("GET", "/dev/clock"), ("POST", "/dev/clock")]:
            assert httpx.request(method, base + path, json={"user": "dev@example.com", "advance": "1h"}).status_code == 404, path
        answer = httpx.post(f"{base}/api/auth/sign-in/email", json={"email": "dev@example.com", "password": "dev-password"})
        assert answer.status_code == 401
    finally:
        place.stop()
