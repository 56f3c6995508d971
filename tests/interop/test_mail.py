"""Mail over a real SMTP server: it receives, refuses for a while, and is away while the service is killed; everything arrives, and once."""

import asyncio
import email
import email.policy
import re
import time

import httpx
import pytest
from aiosmtpd.controller import Controller
from place import PASSWORD, Place, free_port, wait_for


class Inbox:
    """A server that keeps what it takes."""

    def __init__(self):
        self.messages, self.recipients, self.refusals, self.silences = [], [], [], 0

    async def handle_DATA(self, server, session, envelope):
        if self.silences > 0:
            self.silences -= 1
            await asyncio.sleep(3600)
        if self.refusals:
            return self.refusals.pop(0)
        self.recipients.append(envelope.rcpt_tos)
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@pytest.fixture
def post(tmp_path):
    inbox, port = Inbox(), free_port()
    place = Place(tmp_path, ["mail.transport=smtp", f"mail.smtp_url=smtp://127.0.0.1:{port}", "mail.smtp_timeout=1s", "mail.from=Notes <notes@example.com>", "mail.app_name=Notes"])
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
    wait_for(lambda: inbox.messages, 40)
    assert len(inbox.messages) == 1 and not inbox.refusals


def test_a_server_that_says_nothing_keeps_nobody_else_waiting(post):
    place, inbox, controller = post
    inbox.silences = 1
    controller.start()
    place.serve()
    for name in ("ana", "bob"):
        sign_up(place, name, f"{name}@example.com")
        started = time.monotonic()
        ask(place, f"{name}@example.com")
        assert time.monotonic() - started < 1, "the answer waits for no mail"
    wait_for(lambda: len(inbox.messages) == 2, 40)
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
    place.serve(prefix=["faketime", "-f", f"+{shift}s"])
    wait_for(lambda: len(inbox.messages) >= 5, 60)
    place.kill()
    place.serve(prefix=["faketime", "-f", f"+{2 * shift}s"])
    ids = lambda: {m["Message-ID"] for m in list(inbox.messages)}
    wait_for(lambda: len(ids()) >= len(names), 60)
    assert len(ids()) == len(names)
    repeated = len(inbox.messages) - len(names)
    print(f"{len(names)} mails, one kill -9 while they were sent: {repeated} went out twice, each under its own Message-ID")
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
    place.serve(prefix=["faketime", "-f", "+400s"])
    wait_for(lambda: len(inbox.messages) >= len(names), 60)
    assert sorted(r[0] for r in inbox.recipients) == sorted(f"{name}@example.com" for name in names)
