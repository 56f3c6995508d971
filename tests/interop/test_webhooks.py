"""Events that a security team hears of: verified with the library of Standard Webhooks, while the receiver fails and the service is killed."""

import http.server
import threading

import httpx
import pytest
from place import PASSWORD, Place, free_port, wait_for
from standardwebhooks.webhooks import Webhook

NEW_SECRET = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"


class Receiver:
    def __init__(self):
        self.heard, self.refuse, self.port, self.secret = [], 0, free_port(), SECRET
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                # Raises what makes the connection break if the signature is not ours or not of now.
                event = Webhook(receiver.secret).verify(body, dict(self.headers))
                refused = receiver.refuse > 0
                receiver.refuse -= refused
                if not refused:
                    receiver.heard.append((self.headers["webhook-id"], event))
                self.send_response(500 if refused else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hooked(tmp_path):
    receiver = Receiver()
    url = f"webhooks.url=http://127.0.0.1:{receiver.port}/"
    place = Place(tmp_path, [url, "webhooks.events=refresh_token.*,user.created", "sessions.refresh_grace=1s", "sessions.refresh_cooldown=21s"])
    # A secret is refused as an argument.
    (tmp_path / "countersign.toml").write_text(f'[webhooks]\nsecret = "{SECRET}"\n')
    yield place, receiver
    place.stop()
    receiver.server.shutdown()


def test_a_theft_is_heard_of_within_seconds_and_is_verified_by_the_library(hooked):
    place, receiver = hooked
    place.serve()
    token = place.sign_in("ana")["refreshToken"]
    place.kill()
    # The clock is moved, not waited for: past the cool-down, twice. Time in which nothing was served does not count against a retry, and so the token that
    # comes again is two generations old.
    place.serve(clock=60)
    renewed = httpx.post(f"{place.base}/api/auth/refresh", json={"refreshToken": token}).raise_for_status().json()
    assert renewed["refreshToken"] != token
    place.kill()
    place.serve(clock=120)
    httpx.post(f"{place.base}/api/auth/refresh", json={"refreshToken": renewed["refreshToken"]}).raise_for_status()
    assert httpx.post(f"{place.base}/api/auth/refresh", json={"refreshToken": token}).status_code == 401
    wait_for(lambda: any(event["type"] == "refresh_token.reused" for _, event in receiver.heard), 10)


def test_a_secret_is_replaced_without_a_message_that_the_library_refuses(hooked, tmp_path):
    place, receiver = hooked
    (tmp_path / "countersign.toml").write_text(f'[webhooks]\nsecret = "{NEW_SECRET}"\nprevious_secret = "{SECRET}"\n')
    place.serve()
    form = {"name": "ana", "email": "ana@example.com", "password": PASSWORD}
    httpx.post(f"{place.base}/api/auth/sign-up/email", json=form).raise_for_status()
    # The receiver has the former secret, and afterwards the new one.
    wait_for(lambda: len(receiver.heard) == 1, 10)
    receiver.secret = NEW_SECRET
    form["email"] = "ben@example.com"
    httpx.post(f"{place.base}/api/auth/sign-up/email", json=form).raise_for_status()
    wait_for(lambda: len(receiver.heard) == 2, 10)


def test_nothing_is_lost_while_the_receiver_fails_and_the_service_is_killed(hooked):
    place, receiver = hooked
    receiver.refuse = 10_000
    place.serve()
    for n in range(20):
        form = {"name": f"user{n}", "email": f"user{n}@example.com", "password": PASSWORD}
        httpx.post(f"{place.base}/api/auth/sign-up/email", json=form).raise_for_status()
    wait_for(lambda: receiver.refuse < 10_000)
    place.kill()
    receiver.refuse = 0
    # Past the minute for which the killed process held some of them.
    place.serve(clock=70)
    wait_for(lambda: len({id for id, _ in receiver.heard}) == 20)
    assert len(receiver.heard) <= 28, "twice at most those that were under way"
