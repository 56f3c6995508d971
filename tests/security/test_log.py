"""LOG: the log, the audit trail, metrics."""

import json
import re
import sqlite3
import time

import httpx
from place import PASSWORD, free_port, wait_for
from service import NUMBERS, SESSION_COOKIE, document


def test_log_01_everything_is_an_event(own):
    place = own()
    user = place.sign_up()
    place.attempt(user.email, "wrong password")
    time.sleep(2.1)
    place.rotate(user.refresh)
    time.sleep(2.1)
    place.rotate(user.refresh)
    user = place.sign_in(user.email)
    user.post("/change-password", {"currentPassword": PASSWORD, "newPassword": "another good password"})
    place.post("/reset-password", {"token": place.reset_token(user.email, 3), "newPassword": "a third good password"})
    place.do("users", "set-role", user.email, "admin")
    place.do("keys", "rotate", "--force", "--yes")
    place.do("users", "ban", place.sign_up().email, "--yes")
    kinds = {e["kind"] for e in place.audit()}
    for wanted in ("session.refused", "refresh_token.reused", "session.created", "keys.rotated"):
        assert wanted in kinds, (wanted, sorted(kinds))
    for prefix in ("user.", "session.", "keys.", "process."):
        assert any(k.startswith(prefix) for k in kinds), (prefix, sorted(kinds))
    assert any("password" in k for k in kinds) and any("ban" in k for k in kinds) and any("role" in k for k in kinds)


def test_log_02_who_what_when_where(service):
    user = service.sign_up()
    service.attempt(user.email, "wrong password", headers={"User-Agent": "probe/1", "X-Request-Id": "a-request-of-mine"})
    event = service.audit("session.refused", user.id)[0]
    assert event["subject"] == user.id and event["ipAddress"] == "127.0.0.1" and event["userAgent"] == "probe/1" and event["requestId"] == "a-request-of-mine"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["at"])
    service.do("users", "update", user.email, "--name", "Other")
    assert any(e["actor"] not in (user.id, "user") for e in service.audit("user.", user.id))


def test_log_03_no_secret_anywhere(own):
    place = own()
    canary = "canary-password-kjqx"
    user = place.sign_up(password=canary)
    place.attempt(user.email, "canary-wrong-kjqx")
    token = place.reset_token(user.email)
    place.rotate(user.refresh)
    place.get("/session", headers={"Authorization": f"Bearer {user.access}", "Cookie": f"{SESSION_COOKIE}=canary-cookie-kjqx"})
    place.get("/session?token=canary-query-kjqx")
    place.ask("POST", "/sign-in/email", content=b'{"password":"canary-broken-kjqx"', headers={"Content-Type": "application/json"})
    place.run("users", "set-password", user.email, stdin="canary-shell-kjqx\n")
    written = place.log() + place.run("audit", "export").stdout
    assert "trace" in written.lower() or "TRACE" in written, "this was at the loudest level"
    for secret in ("kjqx", user.refresh, user.token, user.access, token, (place.folder / "keys/master.key").read_text().strip()):
        assert secret not in written, secret[:12]


def test_log_04_one_line_an_event(own):
    place = own()
    for odd in (b"\x1b]0;evil\x07", b"a\xe2\x80\xa8b", b'x","level":"INFO'):
        place.attempt("nobody@example.com", "x", headers={"User-Agent": odd})
        place.ask("GET", "/session", headers={"Authorization": b"Bearer " + odd, "X-Request-Id": odd})
    lines = place.log().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines) and "\x1b" not in place.log()


def test_log_05_no_event_no_action(own):
    place = own()
    user = place.sign_up()
    with sqlite3.connect(place.kept()) as database:
        database.execute("CREATE TRIGGER no_more BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'full'); END")
    assert place.run("users", "set-role", user.email, "admin").returncode != 0
    assert place.run("keys", "rotate", "--force", "--yes").returncode != 0
    assert place.rows("SELECT role FROM users") == [("user",)] and place.post("/sign-up/email", {"name": "x", "email": "b@example.com", "password": PASSWORD}).status_code >= 500


def test_log_06_tampering_shows(own):
    place = own()
    for _ in range(5):
        place.sign_up()
    assert place.run("audit", "verify").returncode == 0
    backup = place.rows("SELECT * FROM audit_events")
    for sql in ("DELETE FROM audit_events WHERE sequence = (SELECT MIN(sequence) + 3 FROM audit_events)", "UPDATE audit_events SET detail = '{}', subject = 'x' WHERE sequence = (SELECT MIN(sequence) + 2 FROM audit_events)",
                "UPDATE audit_events SET sequence = sequence + 1000 WHERE sequence = (SELECT MIN(sequence) + 1 FROM audit_events)", "DELETE FROM audit_events WHERE sequence = (SELECT MAX(sequence) FROM audit_events)"):
        with sqlite3.connect(place.kept()) as database:
            database.execute(sql)
        assert place.run("audit", "verify").returncode == 1, sql
        with sqlite3.connect(place.kept()) as database:
            database.execute("DELETE FROM audit_events")
            database.executemany(f"INSERT INTO audit_events VALUES ({', '.join('?' * len(backup[0]))})", backup)
        assert place.run("audit", "verify").returncode == 0


def test_log_07_kept_as_long_as_is_said(own):
    place = own("audit.retention=30d")
    place.sign_up()
    place.kill()
    place.serve(clock=40 * 86_400)
    wait_for(lambda: not place.rows("SELECT 1 FROM audit_events WHERE kind = 'user.created'") and place.run("audit", "verify").returncode == 0, 20)
    assert "audit.retention" in document("docs", "settings.md")


def test_log_08_ids_and_no_persons(own):
    place = own("log.level=info")
    user = place.sign_up(name="Wilhelmina")
    place.attempt(user.email, "wrong password")
    place.post("/request-password-reset", {"email": user.email})
    place.settled()
    assert user.email not in place.log() and "Wilhelmina" not in place.log()


def test_log_09_alerts(service):
    alerts = document("docs", "monitoring", "alerts.yaml")
    for word in ("reuse", "500", "rotation", "queue", "unavailable"):
        assert word in alerts.lower(), word


def metrics_of(own, *settings):
    port = free_port()
    place = own(*settings, start=False)
    place.settings = [s for s in place.settings if not s.startswith("server.ops_listen")] + [f"server.ops_listen=127.0.0.1:{port}"]
    place.serve()
    return place, lambda: httpx.get(f"http://127.0.0.1:{port}/metrics").text


def test_log_10_no_person_in_a_label(own):
    place, metrics = metrics_of(own)
    def act(count):
        for _ in range(count):
            user = place.sign_up()
            place.attempt(user.email, "wrong password")
            place.get(f"/nowhere/{next(NUMBERS)}")
        return len(metrics().splitlines())
    assert act(5) == act(60), "as many series as before"
    assert "@example.com" not in metrics() and httpx.get(f"{place.base}/metrics").status_code == 404


def test_log_11_refusals_do_not_fill_the_disk(own):
    place, metrics = metrics_of(own, "rate_limits.enabled=true", "log.level=info")
    user = place.sign_up()
    for _ in range(8):
        place.attempt(user.email, "wrong password")
    before = len(place.log())
    for _ in range(10):
        place.attempt(user.email, "wrong password")
    assert len(place.log()) - before < 10 * 600, "a short line each, and half a second between them"
    assert re.search(r'rate_limited_total\{[^}]*\} ([1-9])', metrics())


def test_log_12_the_trail_is_for_who_may_read_it(service):
    assert service.sign_up().get("/admin/audit").status_code == 403 and service.get("/admin/audit").status_code == 401
    assert len(service.admin().get("/admin/audit", params={"limit": "100000000"}).json()["events"]) <= 1_000


def test_log_13_no_query_is_logged(own):
    place = own()
    place.get("/verify-email?token=canary-kjqx&callbackURL=/canary-kjqx")
    place.get("/reset-password/canary-kjqx?callbackURL=/x")
    assert "canary-kjqx" not in place.log()
