"""OPS: configuration and running. SUP: what it is built from."""

import json
import contextlib
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading

import httpx
import pytest
from place import BINARY, ROOT, free_port, wait_for
from service import Service, at_once, decode, document

BAD = ["server.public_url=http://auth.example.com", "server.trusted_origins=*", "server.trusted_origins=https://a.example.com/path", "server.listen=nonsense", "server.no_such_setting=1", "tokens.access_ttl=0s",
       "tokens.access_ttl=2h", "tokens.issuer=nonsense", "sessions.cookie_same_site=none", "sessions.refresh_grace=20m", "sessions.idle_ttl=0s", "passwords.min_length=1", "passwords.argon2_iterations=0",
       "keys.rotation=nonsense", "database.url=mysql://x", "mail.smtp_url=smtp://example.com:25", "rate_limits.sign_in=lots", "webhooks.url=http://example.com", "log.level=[", "server.trusted_proxies=everybody"]


@pytest.mark.parametrize("setting", BAD)
def test_ops_01_unsafe_settings_are_refused(service, setting):
    code, said = service.starts(setting, *(["mail.transport=smtp"] if "smtp" in setting else []))
    key = setting.split("=")[0]
    assert code == 78 and key.split(".")[1] in said, (code, said)


def test_ops_02_what_is_in_force(own):
    place = own(start=False)
    toml = '[mail]\nsmtp_url = "smtps://user:geheim@mail.example.com"\n[webhooks]\nsecret = "whsec_Z2VoZWltZ2VoZWltZ2VoZWltZ2VoZWlt"\n'
    (place.folder / "countersign.toml").write_text(toml)
    shown = place.run("config", "show")
    assert shown.returncode == 0 and "geheim" not in shown.stdout and "Z2VoZWlt" not in shown.stdout and "server.listen" in shown.stdout and "flag" in shown.stdout
    assert place.run("config", "check").returncode == 0
    # What everybody on the machine can read is refused.
    for setting in ("mail.smtp_url=smtps://user:geheim@mail.example.com", "webhooks.secret=whsec_Z2VoZWltZ2VoZWltZ2VoZWltZ2VoZWlt"):
        code, said = place.starts(setting)
        assert code == 78 and "COUNTERSIGN_" in said and "geheim" not in said, said


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives rights away and makes file systems read-only")
def test_ops_04_it_needs_no_rights():
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        os.chown(home, 65_532, 65_532)
        place = Service(pathlib.Path(home))
        shutil.copy(BINARY, f"{home}/program")
        os.chmod(f"{home}/program", 0o755)
        command = [f"{home}/program", *place.command(place.port, [], "serve")[1:]]
        shut_in = f'mount --bind {home} {home} && mount -o remount,ro,bind / && cd {home} && exec setpriv --reuid 65532 --regid 65532 --clear-groups --bounding-set=-all --no-new-privs "$@"'
        process = subprocess.Popen(["unshare", "--mount", "sh", "-c", shut_in, "sh", *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: place.get("/health/ready").status_code == 200)
            assert place.sign_up().is_in()
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            assert "Uid:\t65532\t65532" in status and re.search(r"CapEff:\t0+\n", status)
            assert re.search(r"(?m)^\S+ / \S+ ro,", pathlib.Path(f"/proc/{process.pid}/mounts").read_text())
        finally:
            process.terminate()
            assert process.wait(20) == 0


def test_ops_05_no_proxy_is_trusted_unasked(own):
    place = own()
    for name in ("X-Forwarded-For", "X_Forwarded_For", "Forwarded", "X-Real-IP", "True-Client-IP"):
        user = place.sign_up()
        place.attempt(user.email, headers={name: "for=203.0.113.7" if name == "Forwarded" else "203.0.113.7"})
        assert {s["ipAddress"] for s in user.get("/list-sessions").json()} == {"127.0.0.1"}, name


def test_ops_06_it_ends_in_order(own):
    place = own()
    user = place.sign_up()
    statuses, over = [], threading.Event()
    def load():
        with httpx.Client() as client:
            while not over.is_set():
                try:
                    statuses.append(client.get(place.url("/session"), headers=user.bearer).status_code)
                except httpx.HTTPError:
                    return
    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(statuses) > 50)
    process = place.processes.pop()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    over.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
    place.serve()
    assert place.rotate(user.refresh).status_code == 200


def test_ops_07_two_are_one(own):
    place = own()
    second = place.serve(free_port())
    both = (place.base, second)
    user = place.sign_up()

    def ask(base, method, path, token=None, **more):
        return httpx.request(method, f"{base}/api/auth{path}", headers={"Authorization": f"Bearer {token}"} if token else {}, timeout=30, **more)

    def signed_in(base):
        answer = ask(base, "POST", "/sign-in/email", json={"email": user.email, "password": user.password, "tokenDelivery": "body"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    # What one has made is good at the other at once: the session, and the access token by its signature.
    for base in both:
        made = signed_in(base)
        assert {ask(other, "GET", "/session", made[kind]).status_code for other in both for kind in ("token", "accessToken")} == {200}
        assert {len(ask(other, "GET", "/list-sessions", made["token"]).json()) for other in both} == {2 if base is place.base else 3}
    # A refresh token at both at once has one successor, and no request is refused.
    bases = list(both) * 10
    answers = at_once(lambda: httpx.post(f"{bases.pop()}/api/auth/refresh", json={"refreshToken": user.refresh}, timeout=30))
    assert {a.status_code for a in answers} == {200} and len({a.json().get("refreshToken") for a in answers} - {None}) == 1
    # Keys are followed by version: another process rotates them, and both sign with the new one.
    before = {decode(signed_in(base)["accessToken"])[0]["kid"] for base in both}
    assert len(before) == 1
    place.do("keys", "rotate", "--force", "--yes")
    wait_for(lambda: len(now := {decode(signed_in(base)["accessToken"])[0]["kid"] for base in both}) == 1 and now != before, 20)
    assert len({ask(base, "GET", "/jwks").text for base in both}) == 1
    # What ends at one, or by the command line, has ended at both.
    made = signed_in(place.base)
    assert ask(second, "POST", "/sign-out", made["token"], json={}).status_code == 200
    assert {ask(base, "GET", "/session", made["token"]).status_code for base in both} == {401}
    place.do("sessions", "revoke", "--user", user.email, "--yes")
    assert {ask(base, "GET", "/session", user.token).status_code for base in both} == {401}
    assert {ask(base, "POST", "/refresh", json={"refreshToken": user.refresh}).status_code for base in both} == {401}


def test_ops_08_operators_have_an_address_of_their_own(own):
    place = own(start=False)
    place.settings = [s for s in place.settings if not s.startswith("server.ops_listen")]
    shown = json.loads(place.run("config", "show", "--output", "json").stdout)
    assert "127.0.0.1:9400" in json.dumps(shown)


def test_ops_09_no_banner(service):
    for answer in (service.get("/health"), service.get("/nowhere")):
        assert not {"server", "x-powered-by", "via"} & set(answer.headers)


def test_ops_10_ready_and_alive(own):
    place = own()
    assert place.get("/health/ready").status_code == 200
    with sqlite3.connect(place.kept()) as database:
        database.execute("ALTER TABLE _sqlx_migrations RENAME TO away")
    assert wait_for(lambda: (answer := place.get("/health/ready")).status_code == 503 and answer).json()["reasons"]
    assert place.get("/health").json() == {"status": "ok"} and place.get("/jwks").status_code == 200
    with sqlite3.connect(place.kept()) as database:
        database.execute("ALTER TABLE away RENAME TO _sqlx_migrations")
    wait_for(lambda: place.get("/health/ready").status_code == 200)


def test_ops_11_clocks_that_leap(own):
    place = own()
    user = place.sign_up()
    for clock in (86_400, -86_400, 0):
        place.kill()
        place.serve(clock=clock)
        fresh = place.sign_in(user.email)
        assert place.who(fresh.access).status_code == 200, clock
    states = [k["state"] for k in place.cli("keys", "list")["items"]]
    assert states.count("active") == 1 and len(states) <= 3


def test_ops_12_up_and_down_again(own):
    place = own()
    user = place.sign_up()
    import sqlite3

    with sqlite3.connect(place.kept()) as database:
        database.execute("ALTER TABLE users ADD COLUMN of_the_next_release TEXT")
        database.execute("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES ((SELECT MAX(version) + 1 FROM _sqlx_migrations), 'next', 1, x'00', 0)")
    assert user.is_in() and place.rotate(user.refresh).status_code == 200 and place.sign_up(), "the older program beside the newer schema"
    assert "## Upgrading replicas" in document("docs", "operations.md")


def test_ops_13_the_command_line(own):
    place = own()
    user = place.sign_up()
    shown = place.run("users", "list")
    assert "\x1b" not in shown.stdout + shown.stderr
    assert json.loads(place.run("users", "list", "--output", "json").stdout)["items"]
    assert place.run("users", "show", "unknown@example.com").returncode == 1 and place.run("nonsense").returncode == 2
    assert place.run("users", "set-password", user.email, stdin="a quiet new password\n").returncode == 0
    events = place.audit("", user.email)
    assert any("cli" in e["actor"] or "command" in e["actor"] for e in events), {e["actor"] for e in events}


def test_ops_14_how_to_tell_us_and_what_we_fear():
    assert "report" in document("SECURITY.md").lower() and "72 hours" in document("SECURITY.md")
    assert "leaked" in document("docs", "operations.md").lower() and len(document("docs", "threat-model.md")) > 2_000


def test_ops_15_every_limit_is_in_the_table(service):
    shown = service.run("config", "show", "--output", "wide").stdout
    table = document("docs", "settings.md")
    keys = set(re.findall(r"(?m)^\W*([a-z_]+\.[a-z_0-9]+)\b", shown))
    assert len(keys) > 50 and all(f"`{key}`" in table for key in keys)


def test_ops_16_a_host_of_its_own():
    assert "sibling" in document("docs", "threat-model.md") and "cookie_host_prefix" in document("docs", "settings.md")


def sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets; what is closed while we look is none of them."""
    found = set()
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(descriptor)
            if target.startswith("socket:"):
                found.add(target.split("[")[1][:-1])
    return found


def test_ops_17_it_opens_no_connection_unasked(own):
    place = own()
    place.sign_up()
    pid = place.processes[0].pid
    inodes = sockets(pid)
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and fields[3] != "0A":
                assert int(fields[1].split(":")[1], 16) == place.port, "only answers to who called"


def routes():
    """Every path that the sources give to the router: those below the base path, and the others."""
    below, others = set(), set()
    for file in (ROOT / "src/http").rglob("*.rs"):
        text = file.read_text().split("#[cfg(test)]")[0]
        below |= {f"/api/auth{path}" for path in re.findall(r'\.route\(\s*&at\(\s*"([^"]+)"', text)}
        others |= set(re.findall(r'\.route\(\s*"([^"]+)"', text))
    return below, others


def test_ops_18_nothing_for_tests_is_in_it(service):
    import yaml

    known = set(yaml.safe_load(document("openapi.yaml"))["paths"])
    below, others = routes()
    assert len(below) > 40 and len(others) > 10, "the sources are read"
    assert below <= known, f"routes that no contract names: {below - known}"
    purposes = re.compile(r"(^|[/_-])(debug|tests?|testing|mock|fake|seed|fixtures?|pprof|profile|trace|dump|heap|clock|inbox|shell|eval|exec)([/_-]|$)")
    # `countersign dev` alone has those below /dev; that `serve` has not is asked below.
    assert not [path for path in below | others if purposes.search(path) and not path.startswith("/dev/")]
    words = ("debug", "test", "clock", "__test", "dev", "dev/inbox", "dev/sessions", "dev/clock", "pprof", "admin", "actuator", "env", "config", "metrics")
    for path in [f"/{word}" for word in words] + [f"/api/auth/{word}" for word in words]:
        for method in ("GET", "POST"):
            assert path not in known and httpx.request(method, service.base + path).status_code == 404, (method, path)


def test_sup_01_floors():
    lock = document("Cargo.lock")
    def version(name):
        found = re.findall(rf'name = "{name}"\nversion = "(\d+)\.(\d+)\.(\d+)', lock)
        return min(tuple(map(int, f)) for f in found) if found else None
    floors = {"h2": (0, 4, 16), "bytes": (1, 11, 1), "time": (0, 3, 47), "lettre": (0, 11, 22), "sqlx": (0, 8, 1), "rustls-webpki": (0, 103, 13), "idna": (1, 0, 0), "tracing-subscriber": (0, 3, 20), "jsonwebtoken": (10, 3, 0), "curve25519-dalek": (4, 1, 3), "ed25519-dalek": (2, 0, 0), "hyper": (1, 0, 0)}
    for name, floor in floors.items():
        assert version(name) is None or version(name) >= floor, (name, version(name))


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_sup_02_no_rsa(service):
    tree = cargo("tree", "--offline", "--edges", "normal,build", "--prefix", "none")
    assert tree.returncode == 0 and not re.search(r"(?m)^rsa v", tree.stdout)


def test_sup_03_the_lock_is_kept(service):
    assert cargo("metadata", "--locked", "--offline", "--format-version", "1", "--no-deps").returncode == 0
    assert "unknown-git" in document("deny.toml") and "git+" not in document("Cargo.lock")


def test_sup_04_no_unsafe_and_no_silent_overflow():
    manifest = document("Cargo.toml")
    assert 'unsafe_code = "forbid"' in manifest and "overflow-checks = true" in manifest
    assert not any(re.search(r"\bunsafe\s*(\{|fn|impl)", p.read_text()) for p in (ROOT / "src").rglob("*.rs"))


def test_sup_05_few_and_known():
    assert "risky" in document("docs", "cryptography.md").lower()
    manifest = document("Cargo.toml")
    assert not re.search(r"(?m)^(native-tls|rand_xorshift|md5)\b", manifest)


def test_sup_09_parsers_are_fuzzed():
    targets = {p.stem for p in (ROOT / "fuzz/fuzz_targets").glob("*.rs")}
    assert targets == {"cookies", "forms", "forwarded", "json_bodies", "jwt", "mails", "queries", "redirects", "refresh_token", "settings"}
    measured = document("docs", "measurements.md")
    for target in targets:
        code = document("fuzz", "fuzz_targets", f"{target}.rs")
        assert "fuzz_target!(init: check_twins()" in code and "twins::keep(" in code, f"{target} does not begin with what is accepted"
        assert (ROOT / f"fuzz/dictionaries/{target}.dict").exists() and f"| `{target}` |" in measured, target
    assert "tests/fuzz.sh" in document("tests", "all.sh")


def test_sup_10_how_soon():
    words = document("SECURITY.md")
    assert "48 hours" in words and "7 days" in words


def test_sup_11_no_secret_in_the_repository(service):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    files = [ROOT / f for f in listed] if listed else [p for p in ROOT.rglob("*") if p.is_file() and "target" not in p.parts]
    secret = re.compile(rb"csr_[A-Za-z0-9_-]{135}|css_[A-Za-z0-9_-]{43}\b|-----BEGIN (?:EC |RSA |OPENSSH )?PRIVATE KEY-----\n[A-Za-z0-9+/]{40}")
    for file in files:
        assert file.suffix not in (".key", ".pem", ".env", ".db"), file
        # Tests make up what looks like one.
        if file.is_file() and file.relative_to(ROOT).parts[0] not in ("tests", "fuzz"):
            assert not (found := secret.search(file.read_bytes())), (file, found[0][:16])
    assert "csr_" in document("SECURITY.md") and "css_" in document("SECURITY.md"), "prefixes for scanners"


def test_sup_12_the_toolchain():
    manifest = document("Cargo.toml")
    assert re.search(r'rust-version = "1\.\d+', manifest)
