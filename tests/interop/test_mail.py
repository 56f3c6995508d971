"""Mail over a real SMTP server: it receives, refuses for a while, and is away while the service is killed; everything arrives, and once."""

import email
import email.policy
import re
import signal

import httpx
import pytest
from aiosmtpd.controller import Controller
from place import PASSWORD, Place, free_port, wait_for


class Inbox:
    """A server that keeps what it takes."""

    def __init__(self):
        self.messages, self.recipients, self.refusals = [], [], 0

    async def handle_DATA(self, server, session, envelope):
        if self.refusals > 0:
            self.refusals -= 1
            return "451 try again later"
        self.recipients.append(envelope.rcpt_tos)
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@pytest.fixture
def post(tmp_path):
    inbox, port = Inbox(), free_port()
    place = Place(tmp_path, [f"mail.transport=smtp", f"mail.smtp_url=smtp://127.0.0.1:{port}", "mail.from=Notes <notes@example.com>", "mail.app_name=Notes"])
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


def test_what_is_refused_now_is_taken_later_and_once(post):
    place, inbox, controller = post
    inbox.refusals = 1
    controller.start()
    place.serve()
    sign_up(place, "Ana", "ana@example.com")
    ask(place, "ana@example.com")
    wait_for(lambda: inbox.messages, 40)
    assert len(inbox.messages) == 1 and inbox.refusals == 0


def test_nothing_is_lost_when_the_server_is_away_and_the_service_is_killed(post):
    place, inbox, controller = post
    place.serve()
    names = [f"user{n}" for n in range(20)]
    for name in names:
        sign_up(place, name, f"{name}@example.com")
        ask(place, f"{name}@example.com")
    for process in place.processes:
        process.send_signal(signal.SIGKILL)
        process.wait()
    place.processes.clear()
    controller.start()
    # What the killed process held is free again after five minutes; the clock is moved, not waited for.
    place.serve(prefix=["faketime", "-f", "+400s"])
    wait_for(lambda: len(inbox.messages) >= len(names), 60)
    assert sorted(r[0] for r in inbox.recipients) == sorted(f"{name}@example.com" for name in names)
