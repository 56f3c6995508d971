"""Mail over a real SMTP server: it receives, refuses for a while, and is away while the service is killed; everything arrives, and once."""

import asyncio
import email
import email.policy
import json
import os
import re
import sqlite3
import ssl
import subprocess
import time

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from place import PASSWORD, Place, free_port, shifted, wait_for


class Inbox:
    """A server that keeps what it takes."""

    def __init__(self):
        self.messages, self.recipients, self.refusals, self.silences, self.names = [], [], [], 0, []

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        self.names.append(hostname)
        return responses

    async def handle_DATA(self, server, session, envelope):
        if self.silences > 0:
            self.silences -= 1
            await asyncio.sleep(3600)
        if self.refusals:
            return self.refusals.pop(0)
        self.recipients.append(envelope.rcpt_tos)
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


def over(tmp_path, url: str) -> Place:
    where = [f"mail.smtp_url={url}"]
    if "@" in url:
        # A password does not belong into the arguments of a process, and is refused there.
        where = []
        (tmp_path / "countersign.toml").write_text(f'[mail]\nsmtp_url = "{url}"\n')
    return Place(tmp_path, ["mail.transport=smtp", *where, "mail.smtp_timeout=1s", "mail.from=Notes <notes@example.com>", "mail.app_name=Notes"])


def outstanding(place: Place) -> int:
    """Mails that are still in the queue."""
    with sqlite3.connect(place.folder / "data/countersign.db") as database:
        return database.execute("SELECT COUNT(*) FROM mails").fetchone()[0]


@pytest.fixture
def post(tmp_path):
    inbox, port = Inbox(), free_port()
    place = over(tmp_path, f"smtp://127.0.0.1:{port}")
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    yield place, inbox, controller
    place.stop()
    try:
        controller.stop()
    except Exception:
        pass


def sign_up(place: Place, name: str, address: str):
    form = {"name": name, "email": address, "password": PASSWORD}
    httpx.post(f"{place.base}/api/auth/sign-up/email", json=form).raise_for_status()


def ask(place: Place, address: str):
    httpx.post(f"{place.base}/api/auth/request-password-reset", json={"email": address, "redirectTo": "/reset"}).raise_for_status()


def test_a_mail_arrives_in_words_and_its_link_works(post):
    place, inbox, controller = post
    controller.start()
    place.serve()
    sign_up(place, "Eve\r\nBcc: victim@example.com\r\n\r\n<script>alert(1)</script>", "eve@example.com")
    ask(place, "eve@example.com")
    wait_for(lambda: inbox.messages)
    message = inbox.messages[0]
    assert inbox.recipients == [["eve@example.com"]]
    assert (message["To"], message["From"], message["Bcc"]) == ("eve@example.com", "Notes <notes@example.com>", None)
    assert message["Subject"] == "Choose a new password – Notes"
    text, html = (message.get_body(kind).get_content() for kind in (("plain",), ("html",)))
    # Who has not proven the mailbox has no word in what a stranger gets.
    assert "alert(1)" not in html and "alert(1)" not in text
    link = re.search(r"http://localhost:\d+/\S+", text).group()
    assert link.replace("&", "&amp;") in html or link.replace("&", "&#38;") in html or link in html
    answer = httpx.get(link.replace("localhost", "127.0.0.1"))
    assert answer.status_code == 302
    token = answer.headers["location"].split("token=")[1]
    reset = {"token": token, "newPassword": "another good password"}
    assert httpx.post(f"{place.base}/api/auth/reset-password", json=reset).status_code == 200
    assert httpx.post(f"{place.base}/api/auth/reset-password", json=reset).status_code == 400
    wait_for(lambda: len(inbox.messages) == 2)
    assert inbox.messages[1]["Subject"] == "Your password was changed – Notes"


@pytest.mark.parametrize("answer", ["451 try again later", "554 your address is on a list", "535 who are you"])
def test_what_is_refused_now_is_taken_later_and_once(post, answer):
    place, inbox, controller = post
    inbox.refusals = [answer]
    controller.start()
    place.serve()
    sign_up(place, "Ana", "ana@example.com")
    ask(place, "ana@example.com")
    wait_for(lambda: inbox.messages and outstanding(place) == 0, 40)
    assert len(inbox.messages) == 1 and not inbox.refusals


def test_a_server_that_does_not_answer_delays_no_other_mail(post):
    place, inbox, controller = post
    inbox.silences = 1
    controller.start()
    place.serve()
    for name in ("ana", "bob"):
        sign_up(place, name, f"{name}@example.com")
        ask(place, f"{name}@example.com")
    wait_for(lambda: len(inbox.messages) == 2 and outstanding(place) == 0, 40)
    assert sorted(r[0] for r in inbox.recipients) == ["ana@example.com", "bob@example.com"]


def test_killed_while_it_sends_it_loses_none_and_repeats_under_the_same_name(post):
    place, inbox, controller = post
    names = [f"user{n}" for n in range(40)]
    place.serve()
    for name in names:
        sign_up(place, name, f"{name}@example.com")
        ask(place, f"{name}@example.com")
    place.kill()
    controller.start()
    shift = 400
    place.serve(clock=shift)
    wait_for(lambda: len(inbox.messages) >= 5, 60)
    place.kill()
    assert (left := outstanding(place)) > 0, "it was killed on its way"
    place.serve(clock=2 * shift)
    wait_for(lambda: outstanding(place) == 0, 60)
    ids = {m["Message-ID"] for m in inbox.messages}
    assert len(ids) == len(names) == len({m["To"] for m in inbox.messages})
    repeated = len(inbox.messages) - len(names)
    print(f"{len(names)} mails, one kill -9 with {left} of them still queued: {repeated} went out twice, each under its own Message-ID")
    assert repeated <= 8, "no more than were on their way"


def test_nothing_is_lost_when_the_server_is_away_and_the_service_is_killed(post):
    place, inbox, controller = post
    place.serve()
    names = [f"user{n}" for n in range(20)]
    for name in names:
        sign_up(place, name, f"{name}@example.com")
        ask(place, f"{name}@example.com")
    place.kill()
    controller.start()
    # What the killed process held is free again after five minutes; the clock is moved, not waited for.
    place.serve(clock=400)
    wait_for(lambda: outstanding(place) == 0, 60)
    assert sorted(r[0] for r in inbox.recipients) == sorted(f"{name}@example.com" for name in names)


def test_it_gives_the_public_host_as_its_name_or_the_one_that_is_set(post):
    place, inbox, controller = post
    controller.start()
    place.serve()
    sign_up(place, "Ana", "ana@example.com")
    for name, setting in (("localhost", None), ("mail.example.com", "mail.helo=mail.example.com"), ("[192.0.2.7]", "mail.helo=192.0.2.7")):
        if setting:
            place.kill()
            place.settings = [s for s in place.settings if not s.startswith("mail.helo")] + [setting]
            place.serve()
        count = len(inbox.messages)
        ask(place, "ana@example.com")
        wait_for(lambda: len(inbox.messages) > count)
        assert inbox.names[-1] == name, inbox.names
    command = place.command(place.port, ["mail.helo=a\r\nMAIL FROM:<x>"], "config", "check")
    refused = subprocess.run(command, cwd=place.folder, capture_output=True, text=True)
    assert refused.returncode == 78 and "mail.helo" in refused.stderr + refused.stdout


def test_the_doctor_tells_how_old_the_oldest_mail_is(post):
    place, _, _ = post
    place.serve()
    finding = lambda told: next(f for f in told["findings"] if f["subject"] == "oldest mail")
    assert finding(place.cli("doctor")) == {"subject": "oldest mail", "verdict": "good", "finding": "nothing waits"}
    sign_up(place, "Ana", "ana@example.com")
    ask(place, "ana@example.com")
    wait_for(lambda: outstanding(place) == 1)
    now = finding(place.cli("doctor"))
    assert now["verdict"] == "good" and "1 in the queue, the oldest for" in now["finding"]
    command = place.command(place.port, [], "doctor", "--output", "json")
    later = subprocess.run(command, cwd=place.folder, capture_output=True, env={**os.environ, **shifted(7_200)})
    late = finding(json.loads(later.stdout))
    assert late["verdict"] == "warning" and "the oldest for 2h" in late["finding"], late


def test_an_address_brings_no_header_and_no_second_recipient(post):
    place, inbox, controller = post
    controller.start()
    place.serve()
    sign_up(place, "Ana", "ana@example.com")
    for address in ["ana@example.com\r\nBcc: eve@example.com", "ana@example.com\nRCPT TO:<eve@example.com>", "ana@example.com,eve@example.com", "<ana@example.com> SIZE=1", "ana@example.com%0aBcc:eve@example.com"]:
        for path, body in [("request-password-reset", {"email": address}), ("send-verification-email", {"email": address}), ("sign-up/email", {"name": "x", "email": address, "password": PASSWORD})]:
            assert httpx.post(f"{place.base}/api/auth/{path}", json=body).status_code == 400, (path, address)
    assert outstanding(place) == 0
    # Who has proven the mailbox is called by name: in the words, never in a header.
    httpx.post(f"{place.base}/api/auth/send-verification-email", json={"email": "ana@example.com"}).raise_for_status()
    wait_for(lambda: inbox.messages)
    token = re.search(r"token=([\w-]+)", inbox.messages[0].get_body(("plain",)).get_content()).group(1)
    assert httpx.post(f"{place.base}/api/auth/verify-email", json={"token": token, "password": PASSWORD}).json() == {"status": True, "user": None}
    session = place.sign_in("ana")["token"]
    name = "Eve\r\nBcc: victim@example.com\r\n\r\n<script>alert(1)</script>"
    httpx.post(f"{place.base}/api/auth/update-user", json={"name": name}, headers={"authorization": f"Bearer {session}"}).raise_for_status()
    ask(place, "ana@example.com")
    wait_for(lambda: len(inbox.messages) == 2)
    message = inbox.messages[1]
    assert message["Bcc"] is None and sorted(set(message.keys())) == ["Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To"]
    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "Hello Eve Bcc: victim@example.com <script>alert(1)</script>," in text and "<script>" not in html
    assert inbox.recipients == [["ana@example.com"], ["ana@example.com"]]


class Relay:
    """A server that wants TLS and a password, with a certificate of an authority of the test."""

    def __init__(self, folder, inbox, implicit: bool):
        self.port = free_port()
        self.authority, key, certificate = folder / "authority.pem", folder / "relay.key", folder / "relay.pem"
        openssl = lambda *arguments: subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
        new = ("-newkey", "rsa:2048", "-nodes")
        openssl("req", "-x509", *new, "-days", 2, "-subj", "/CN=An authority", "-keyout", folder / "authority.key", "-out", self.authority)
        openssl("req", *new, "-subj", "/CN=localhost", "-keyout", key, "-out", folder / "relay.csr")
        (extensions := folder / "relay.ext").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        signing = ("-CA", self.authority, "-CAkey", folder / "authority.key", "-CAcreateserial", "-days", 2, "-extfile", extensions)
        openssl("x509", "-req", "-in", folder / "relay.csr", *signing, "-out", certificate)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        self.seen = []
        check = lambda server, session, envelope, mechanism, data: AuthResult(success=self.note(data))
        rules = {"authenticator": check, "auth_required": True}
        rules |= {"auth_require_tls": False} if implicit else {"tls_context": context, "require_starttls": True}
        self.controller = Controller(inbox, hostname="localhost", port=self.port, ssl_context=context if implicit else None, **rules)
        self.url = f"{'smtps' if implicit else 'smtp'}://notes:secret%20word@localhost:{self.port}{'' if implicit else '?tls=required'}"

    def note(self, data) -> bool:
        self.seen.append((data.login, data.password))
        return (data.login, data.password) == (b"notes", b"secret word")


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "starttls"])
def test_it_speaks_tls_to_whom_it_can_verify_and_signs_in(tmp_path, implicit):
    inbox = Inbox()
    relay = Relay(tmp_path, inbox, implicit)
    relay.controller.start()
    place = over(tmp_path, relay.url)
    try:
        # No authority has signed this certificate: nothing is sent, not even the password.
        place.serve()
        sign_up(place, "Ana", "ana@example.com")
        ask(place, "ana@example.com")
        wait_for(lambda: b"will be sent again" in (place.folder / f"{place.port}.log").read_bytes())
        assert not inbox.messages and not relay.seen
        assert b"secret" not in (place.folder / f"{place.port}.log").read_bytes()
        place.kill()
        place.serve(clock=400, SSL_CERT_FILE=str(relay.authority))
        wait_for(lambda: inbox.messages and outstanding(place) == 0, 40)
        assert relay.seen == [(b"notes", b"secret word")] and inbox.recipients == [["ana@example.com"]]
    finally:
        place.stop()
        relay.controller.stop()


def test_a_server_that_takes_the_padlock_away_gets_nothing(post):
    place, inbox, controller = post
    place.settings = [s if not s.startswith("mail.smtp_url") else s + "?tls=required" for s in place.settings]
    controller.start()
    place.serve()
    sign_up(place, "Ana", "ana@example.com")
    ask(place, "ana@example.com")
    wait_for(lambda: b"will be sent again" in (place.folder / f"{place.port}.log").read_bytes())
    assert not inbox.messages and outstanding(place) == 1
    assert b"the server offers no STARTTLS, which mail.smtp_url requires" in (place.folder / f"{place.port}.log").read_bytes()
