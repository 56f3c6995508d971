"""LOG: the log, the audit trail, metrics."""

import base64
import contextlib
import http.server
import json
import os
import re
import socket
import sqlite3
import threading
import time

import httpx
import pytest
from place import PASSWORD, free_port, shifted, wait_for
from service import NUMBERS, SESSION_COOKIE, document


def test_log_01_everything_is_an_event(own):
    place = own()
    user = place.sign_up()
    place.attempt(user.email, "wrong password")
    place.rotate(user.refresh)
    place.later(user)
    place.rotate(user.refresh)
    user = place.sign_in(user.email)
    user.post("/change-password", {"currentPassword": PASSWORD, "newPassword": "another good password"})
    place.post("/reset-password", {"token": place.reset_token(user.email), "newPassword": "a third good password"})
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


class Postman:
    """A mail server that fails in a way of its own, and repeats in its answers whatever it was told."""

    def __init__(self, way: str):
        self.way, self.heard, self.told = way, b"", threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.receive, daemon=True).start()

    def receive(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"220 here\r\n")
            while line := self.line(connection):
                word = line[:4].upper()
                if word in (b"EHLO", b"HELO"):
                    connection.sendall(b"250-here\r\n250 AUTH PLAIN\r\n" if self.way == "refuses the password" else b"250 here\r\n")
                elif word == b"AUTH":
                    secret = base64.b64decode(line.split()[2]).replace(b"\0", b" ")
                    self.answer(connection, b"535 5.7.8 not you: " + line.strip() + b" " + secret)
                elif word == b"RCPT" and self.way in ("refuses the address", "wants us later"):
                    code = b"550 5.1.1 " if self.way == "refuses the address" else b"451 4.7.1 "
                    self.answer(connection, code + b"not " + line.strip())
                elif word == b"RCPT" and self.way == "says nothing":
                    self.told.set()
                    time.sleep(5)
                elif word == b"RCPT" and self.way == "speaks no SMTP":
                    self.answer(connection, b"what is " + line.strip())
                elif word == b"DATA" and self.way == "vanishes":
                    connection.sendall(b"354 go on\r\n")
                    self.line(connection)
                    self.told.set()
                    return
                elif word == b"DATA":
                    connection.sendall(b"354 go on\r\n")
                    message = b""
                    while not message.endswith(b"\r\n.\r\n") and (more := self.line(connection)):
                        message += more
                    lines = [line for line in message.splitlines() if line]
                    self.answer(connection, b"".join(b"554-5.7.1 " + line + b"\r\n" for line in lines) + b"554 5.7.1 no more of this")
                elif word == b"QUIT":
                    return
                else:
                    connection.sendall(b"250 as you like\r\n")

    def answer(self, connection, text: bytes):
        connection.sendall(text + b"\r\n")
        self.told.set()

    def line(self, connection) -> bytes:
        line = b""
        while not line.endswith(b"\n") and (byte := connection.recv(1)):
            line += byte
        self.heard += line
        return line


CANARY = "kjqx"
FAILURES = {"refuses the address": "answered 550", "wants us later": "answered 451", "refuses the mail": "answered 554", "refuses the password": "answered 535", "says nothing": "took too long",
            "vanishes": "no connection", "speaks no SMTP": "does not follow the SMTP protocol"}


def tokens_of(mail: bytes) -> set[str]:
    """Links' tokens in a mail, however its lines are folded."""
    whole = mail.replace(b"=\r\n", b"").replace(b"=3D", b"=").decode(errors="replace")
    return {token for token in re.findall(r"reset-password/([\w-]{20,})", whole)}


def says_nothing_of(place, log: str, *secrets: str):
    """No address, token or secret; every line of the log is looked at."""
    for secret in (CANARY, *secrets):
        found = next((line for line in log.splitlines() if secret in line), None)
        assert found is None, f"{secret[:12]}: {found[:300]}"


def asks_for_a_mail(place):
    user = place.sign_up(f"ana-{CANARY}@example.com", f"a password {CANARY}", name=f"Ana {CANARY}")
    assert place.post("/request-password-reset", {"email": user.email, "redirectTo": f"/{CANARY}"}).status_code == 200
    return user


@pytest.mark.parametrize("way", FAILURES)
def test_log_03_whatever_a_mail_server_answers(own, way):
    postman = Postman(way)
    credential = f"sender:secret-{CANARY}@" if "password" in way else ""
    place = own("mail.transport=smtp", "mail.smtp_timeout=1s", COUNTERSIGN_MAIL__SMTP_URL=f"smtp://{credential}127.0.0.1:{postman.port}")
    user = asks_for_a_mail(place)
    wait_for(lambda: "a mail was not accepted" in place.log(), 15)
    assert postman.told.is_set()
    if "password" not in way:
        assert user.email.encode() in postman.heard
    if way == "refuses the mail":
        assert tokens_of(postman.heard), "the server knew the link"
    says_nothing_of(place, place.log(), *tokens_of(postman.heard), user.token, user.refresh)
    assert any(FAILURES[way] in line for line in place.log().splitlines()), "it says what went wrong, in words of ours"
    postman.socket.close()


def test_log_03_whatever_becomes_of_a_file_or_of_a_log_line(own):
    place = own(start=False)
    (place.folder / "in-the-way").write_text("")
    place.settings.append("mail.dir=in-the-way/mail")
    place.serve()
    user = asks_for_a_mail(place)
    wait_for(lambda: "the file could not be written" in place.log(), 15)
    says_nothing_of(place, place.log(), user.token, user.refresh)
    # With `log` the mails themselves are lines, for a developer's own machine; no other line holds anything of them.
    printing = own("mail.transport=log")
    user = asks_for_a_mail(printing)
    in_log = lambda: [json.loads(line) for line in printing.log().splitlines()]
    wait_for(lambda: any(line.get("message") == "mail" for line in in_log()), 15)
    lines = in_log()
    mails = [line for line in lines if line.get("message") == "mail"]
    assert mails and all(line["level"] == "INFO" for line in mails) and any(tokens_of(line["text"].encode()) for line in mails)
    others = "\n".join(json.dumps(line) for line in lines if line.get("message") != "mail")
    says_nothing_of(printing, others, *tokens_of(json.dumps(mails).encode()), user.token, user.refresh)


def test_log_03_whatever_a_webhook_or_a_collector_answers(own):
    class Parrot(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.heard.append(self.path)
            self.send_response_only(503, f"no {CANARY}")
            self.send_header("X-Echo", CANARY)
            self.end_headers()
            self.wfile.write(body + CANARY.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parrot)
    server.heard = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://u:{CANARY}@127.0.0.1:{server.server_port}"
    secret = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, kjq").decode()
    secrets = {
        "COUNTERSIGN_WEBHOOKS__URL": f"{base}/hook?key={CANARY}",
        "COUNTERSIGN_WEBHOOKS__SECRET": secret,
        "COUNTERSIGN_TRACES__OTLP_URL": f"http://127.0.0.1:{server.server_port}/v1/traces?key={CANARY}",
    }
    place = own("webhooks.events=*", OTEL_BSP_SCHEDULE_DELAY="100", **secrets)
    user = asks_for_a_mail(place)
    wait_for(lambda: {path.split("?")[0] for path in server.heard} == {"/hook", "/v1/traces"}, 20)
    wait_for(lambda: "answered 503" in place.log() and "the collector refuses traces" in place.log(), 20)
    server.shutdown()
    server.server_close()
    wait_for(lambda: "no connection" in place.log(), 20)
    says_nothing_of(place, place.log(), secret, user.token, user.refresh)


def test_log_04_one_line_an_event(own):
    place = own()
    for odd in (b"\x1b]0;evil\x07", b"a\xe2\x80\xa8b", b'x","level":"INFO'):
        place.attempt("unknown@example.com", "x", headers={"User-Agent": odd})
        place.ask("GET", "/session", headers={"Authorization": b"Bearer " + odd, "X-Request-Id": odd})
    lines = place.log().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines) and "\x1b" not in place.log()


def test_log_05_no_event_no_action(own):
    place = own()
    place.admin()
    user = place.sign_up()
    place.do("users", "set-role", user.email, "admin")
    place.do("users", "set-role", user.email, "user")
    place.do("keys", "rotate", "--force", "--yes")
    with sqlite3.connect(place.kept()) as database:
        database.execute("CREATE TRIGGER no_more BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'full'); END")
    assert place.run("users", "set-role", user.email, "admin").returncode == 70
    assert place.run("keys", "rotate", "--force", "--yes").returncode == 70
    assert place.rows("SELECT role FROM users WHERE id = ?", user.id) == [("user",)] and place.post("/sign-up/email", {"name": "x", "email": "b@example.com", "password": PASSWORD}).status_code == 500


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
    place.confirm_clock(40 * 86_400)
    place.serve(clock=40 * 86_400)
    wait_for(lambda: not place.rows("SELECT 1 FROM audit_events WHERE kind = 'user.created'") and place.run("audit", "verify", env={**os.environ, **shifted(40 * 86_400)}).returncode == 0, 20)
    assert "audit.retention" in document("docs", "settings.md")


def test_log_08_ids_and_no_persons(own):
    place = own("log.level=info")
    user = place.sign_up(name="Wilhelmina")
    place.attempt(user.email, "wrong password")
    place.post("/request-password-reset", {"email": user.email})
    place.settled()
    assert user.email not in place.log() and "Wilhelmina" not in place.log()


def test_log_09_alerts():
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
