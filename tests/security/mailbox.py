"""The mailbox of a user, out of which codes and links are taken, and a browser that asks for them."""

import re

import httpx
from place import wait_for

SEND, CODE, LINK, OPEN = "/api/auth/email-otp/send-verification-otp", "/api/auth/sign-in/email-otp", "/api/auth/sign-in/magic-link", "/api/auth/magic-link/verify"
# What a browser asks for that opens a link.
PAGE = "text/html,application/xhtml+xml,*/*;q=0.8"
WRONG, SPENT, OVER = (400, "INVALID_OTP"), (403, "TOO_MANY_ATTEMPTS"), (400, "OTP_EXPIRED")


def asker(service, **headers) -> httpx.Client:
    """A browser without a session. Each request has a connection of its own: one whose body was not read is closed."""
    return httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), base_url=service.base, headers={"Origin": service.issuer, "Accept": PAGE, **headers}, timeout=30)


def text_of(mail) -> str:
    return mail.get_body(("plain",)).get_content()


def codes(service, address: str) -> list[str]:
    """Every code that was sent to the address, the oldest first."""
    return [found[1] for mail in service.mails(address) if (found := re.search(r"(?m)^(\d{6})\s*$", text_of(mail)))]


def links(service, address: str) -> list[str]:
    found = [re.search(r"https?://\S+/magic-link/\S+", text_of(mail)) for mail in service.mails(address)]
    return [link[0].replace(service.issuer, service.base) for link in found if link]


def sent(service, client: httpx.Client, address: str, path: str = SEND, found=codes, **body) -> str:
    """Asks for a mail, and takes the code or the link out of it."""
    before = len(found(service, address))
    answer = client.post(path, json={"email": address, **body})
    assert answer.status_code == 200, answer.text
    return wait_for(lambda: len(all_ := found(service, address)) > before and all_)[-1]


def code(service, client: httpx.Client, address: str, kind: str = "sign-in") -> str:
    return sent(service, client, address, type=kind)


def link(service, client: httpx.Client, address: str, **body) -> str:
    return sent(service, client, address, LINK, links, **body)


def token(link: str) -> str:
    return re.search(r"token=([^&\s]+)", link)[1]


def typed(client: httpx.Client, address: str, code: str, path: str = CODE, **more) -> httpx.Response:
    return client.post(path, json={"email": address, "otp": code, **more})


def other(code: str, nth: int = 1) -> str:
    """A code that is not this one."""
    return f"{(int(code) + nth) % 1_000_000:06}"


def is_in(client: httpx.Client) -> bool:
    return client.get("/api/auth/get-session").json() is not None


def verified(service, **more):
    user = service.sign_up(**more)
    service.do("users", "update", user.email, "--email-verified", "true")
    return user
