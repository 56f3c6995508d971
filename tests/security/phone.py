"""An authenticator app, and the two steps of a sign-in."""

import base64
import hmac
import struct
import time
import urllib.parse

from service import User

SECONDS = 30


class Phone:
    """It shows codes of the time (RFC 6238: SHA-1, six digits, 30 seconds), and the recovery codes are written down beside it."""

    def __init__(self, enrolment: dict):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(enrolment["totpURI"]).query)
        self.secret, self.recovery, self.last, self.ahead = query["secret"][0], list(enrolment["backupCodes"]), 0, 0

    def step(self) -> int:
        """The present one, which does not end within the next seconds."""
        late = time.time() % SECONDS - (SECONDS - 4)
        if late > 0:
            time.sleep(SECONDS - time.time() % SECONDS)
        return int(time.time() + self.ahead) // SECONDS

    def at(self, step: int) -> str:
        digest = hmac.digest(base64.b32decode(self.secret), struct.pack(">Q", step), "sha1")
        at = digest[-1] & 15
        return f"{(int.from_bytes(digest[at:at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"

    def code(self) -> str:
        """The earliest that is good and was not shown yet: of a step before, of the present one and of the next one, three in all."""
        now = self.step()
        self.last = max(self.last + 1, now - 1)
        assert self.last <= now + 1, "all codes that are good now were shown"
        return self.at(self.last)

    def wrong(self) -> str:
        """One that is wrong, and stays so for minutes."""
        near = {self.at(self.step() + n) for n in range(-10, 20)}
        return next(code for n in range(100) if (code := f"{n:06}") not in near)


def enrolled(service, **more) -> tuple[User, Phone]:
    """A user who has turned two-step sign-in on, signed in by both."""
    return turned_on(service.sign_up(**more))


def turned_on(user: User) -> tuple[User, Phone]:
    """Turns it on in the session of the user, which goes on as another one."""
    answer = user.post("/two-factor/enable", {"password": user.password})
    assert answer.status_code == 200, answer.text
    phone = Phone(answer.json())
    confirm(user, phone)
    return user, phone


def confirm(user: User, phone: Phone):
    """Gives a code in the session of the user, which goes on as another one."""
    answer = user.post("/two-factor/verify-totp", {"code": phone.code()})
    assert answer.status_code == 200, answer.text
    user.answer = answer.json()


def is_pending(answer) -> bool:
    """Whether the right password was not enough. Then the answer opens nothing."""
    assert answer.status_code == 200, answer.text
    said = answer.json()
    if "twoFactorRedirect" in said:
        assert said.keys() <= {"twoFactorRedirect", "twoFactorMethods", "challenge"} and not set_cookies(answer) & {"session_token", "refresh_token", "session_data"}
        return True
    assert said["token"]
    return False


def set_cookies(answer) -> set[str]:
    """What the answer gives to a browser, without what it clears."""
    return {name.rpartition(".")[2] for name, value in answer.cookies.items() if value}


def begun(user: User, **more) -> str:
    """The secret of a sign-in that waits for its second step."""
    answer = user.service.attempt(user.email, user.password, **more)
    assert is_pending(answer)
    return answer.json()["challenge"]


def second(service, challenge: str, code: str, path: str = "verify-totp", headers=None, **more):
    return service.post(f"/two-factor/{path}", {"challenge": challenge, "code": code, **more}, headers=headers)


def recover(service, challenge: str, code: str, **more):
    return second(service, challenge, code, "verify-backup-code", **more)


def code_of(answer) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code")
