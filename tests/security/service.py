"""A server, its users, its mails and its files."""

import base64
import email
import email.policy
import hashlib
import html
import http.server
import itertools
import json
import os
import pathlib
import re
import socket
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from place import PASSWORD, ROOT, Place, shifted, wait_for

APP = "https://app.example.com"
EVIL = "https://evil.example"
# What the cookies are called without any setting: the default of `sessions.cookie_prefix`, then what they hold.
SESSION_COOKIE, REFRESH_COOKIE = "better-auth.session_token", "better-auth.refresh_token"
NUMBERS = itertools.count(1)
# The subjects of mails, by which a test chooses the one that it means; one test may get several kinds.
VERIFY, VERIFY_CHANGE, APPROVE_CHANGE = r"^Confirm your (email )?address", r"^Confirm your new", r"^Change your"
RESET, INVITED, SIGNED_UP_AGAIN = r"^Choose a new password", r"^You are invited", r"^You already have an account"
PASSWORD_CHANGED, ADDRESS_CHANGED = r"^Your password was changed", r"^Your email address was changed"
NEW_SIGN_IN, SIGNED_OUT = r"^A new sign-in", r"^You were signed out"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def decode(token: str) -> tuple[dict, dict]:
    """Header and claims, unverified."""
    header, payload, _ = token.split(".")
    return json.loads(unb64(header)), json.loads(unb64(payload))


def at_once(call, count: int = 20) -> list:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: call(), range(count)))


def fields(message: bytes):
    """The fields of a protobuf message: numbers and, for what has a length, bytes."""
    def varint(at):
        value, shift = 0, 0
        while True:
            value |= (message[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 0x80:
                return value, at

    at = 0
    while at < len(message):
        tag, at = varint(at)
        if tag & 7 == 0:
            value, at = varint(at)
        elif tag & 7 == 2:
            size, at = varint(at)
            value, at = message[at:at + size], at + size
        else:
            size = {1: 8, 5: 4}[tag & 7]
            value, at = int.from_bytes(message[at:at + size], "little"), at + size
        yield tag >> 3, value


def spans_of(exports: list[bytes]) -> dict[str, list[str]]:
    """The names of the spans of each trace, in the order in which they began."""
    def inside(messages, number):
        return [value for message in messages for field, value in fields(message) if field == number]

    found = {}
    for span in inside(inside(inside(exports, 1), 2), 2):
        known = dict(fields(span))
        found.setdefault(known[1].hex(), []).append((known[7], known[5].decode()))
    return {trace: [name for _, name in sorted(began)] for trace, began in found.items()}


class Collector:
    """Takes the traces of a service: what its answer to a request has cost."""

    def __init__(self):
        self.taken = taken = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                taken.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.setting = f"traces.otlp_url=http://127.0.0.1:{self.server.server_port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self) -> dict[str, list[str]]:
        return spans_of(self.taken)

    def costs(self, trace: str) -> list[str]:
        """What a request of this trace has asked of the database and of the password threads, in order."""
        return [name for name in self.spans().get(trace, []) if name.startswith(("database.", "password."))]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class User:
    """An account and what signing in gave it."""

    def __init__(self, service: "Service", email: str, password: str, answer: dict):
        self.service, self.email, self.password, self.answer = service, email, password, answer
        self.id = answer["user"]["id"]

    access = property(lambda self: self.answer["accessToken"])
    refresh = property(lambda self: self.answer["refreshToken"])
    token = property(lambda self: self.answer["token"])
    bearer = property(lambda self: {"Authorization": f"Bearer {self.token}"})

    def get(self, path: str, **more) -> httpx.Response:
        return self.service.get(path, headers={**self.bearer, **more.pop("headers", {})}, **more)

    def post(self, path: str, json=None, **more) -> httpx.Response:
        return self.service.post(path, json if json is not None else {}, headers={**self.bearer, **more.pop("headers", {})}, **more)

    def is_in(self) -> bool:
        return self.get("/session").status_code == 200


class Service(Place):
    def __init__(self, folder: pathlib.Path, settings: list[str] = (), issuer: str | None = None):
        super().__init__(folder, settings)
        self.issuer = issuer or self.issuer
        self.key = None

    def kept(self) -> pathlib.Path:
        return self.folder / "data/countersign.db"

    def log(self) -> str:
        return "".join(p.read_text(errors="replace") for p in self.folder.glob("*.log"))

    def url(self, path: str) -> str:
        return f"{self.base}{path}" if path.startswith(("/health", "/.well-known")) else f"{self.base}/api/auth{path}"

    def ask(self, method: str, path: str, **more) -> httpx.Response:
        return httpx.request(method, self.url(path), timeout=30, **more)

    def get(self, path: str, **more) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, json=None, **more) -> httpx.Response:
        return self.ask("POST", path, **({"json": json} if json is not None else {}), **more)

    def sign_up(self, address: str | None = None, password: str = PASSWORD, name: str = "Ana", **more) -> User:
        address = address or f"user{next(NUMBERS)}@example.com"
        answer = self.post("/sign-up/email", {"name": name, "email": address, "password": password, "tokenDelivery": "body", **more})
        assert answer.status_code == 200, answer.text
        return User(self, address, password, answer.json())

    def sign_in(self, address: str, password: str = PASSWORD, **more) -> User:
        answer = self.attempt(address, password, **more)
        assert answer.status_code == 200, answer.text
        return User(self, address, password, answer.json())

    def attempt(self, address, password=PASSWORD, headers=None, **more) -> httpx.Response:
        return self.post("/sign-in/email", {"email": address, "password": password, "tokenDelivery": "body", **more}, headers=headers)

    def browser(self, address: str | None = None, origin: str | None = None, **more) -> httpx.Client:
        """A client that holds cookies, signed in."""
        user = self.sign_up() if address is None else None
        # A connection whose body was not read when it was refused is closed: each request has its own.
        client = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), base_url=f"{self.base}/api/auth/", headers={"Origin": origin or self.issuer}, timeout=30)
        answer = client.post("sign-in/email", json={"email": address or user.email, "password": PASSWORD, **more})
        assert answer.status_code == 200, answer.text
        client.user, client.answer = user, answer
        return client

    def rotate(self, token: str, **more) -> httpx.Response:
        return self.post("/refresh", {"refreshToken": token}, **more)

    def later(self, user: User):
        """As if an hour had passed since the user's sessions were last refreshed: cool-down and grace are over."""
        with sqlite3.connect(self.kept(), timeout=10) as database:
            changed = database.execute("UPDATE sessions SET rotated_at = rotated_at - 3600000 WHERE user_id = ?", (user.id,))
            assert changed.rowcount > 0

    def admin(self, role: str = "admin") -> User:
        user = self.sign_up()
        self.do("users", "set-role", user.email, role)
        return self.sign_in(user.email)

    def who(self, token: str, **more) -> httpx.Response:
        return self.get("/session", headers={"Authorization": f"Bearer {token}"}, **more)

    # Mails

    def mails(self, address: str | None = None) -> list:
        def parse(path):
            return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)

        folder = self.folder / "data/mail"
        files = sorted(folder.glob("*.eml"), key=lambda p: p.stat().st_mtime_ns) if folder.exists() else []
        return [m for m in map(parse, files) if address is None or address in str(m["To"])]

    def mails_about(self, address: str, subject: str) -> list:
        return [m for m in self.mails(address) if re.search(subject, str(m["Subject"]))]

    def mail(self, address: str, subject: str, count: int = 1):
        """The newest to an address with such a subject, once there are so many of them."""
        return wait_for(lambda: len(found := self.mails_about(address, subject)) >= count and found)[-1]

    def link(self, address: str, subject: str, count: int = 1) -> str:
        body = self.mail(address, subject, count).get_body(("plain",)).get_content()
        return re.search(r"https?://\S+", body)[0]

    def follow(self, link: str, client: httpx.Client | None = None, **more) -> httpx.Response:
        """Opens a link and sends the form of its page, with what else was typed."""
        client, link = client or httpx.Client(), link.replace("localhost", "127.0.0.1")
        opened = client.get(link)
        assert opened.status_code == 200 and 'method="post"' in opened.text, opened.text
        hidden = {name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', opened.text)}
        return client.post(link, data=hidden | more, headers={"Origin": self.issuer})

    def choose(self, led: httpx.Response, password: str):
        """Chooses a password on the page that a followed link led to."""
        assert led.status_code == 303 and "/reset-password/" in led.headers["location"], (led.status_code, led.headers)
        page = f"{self.base}{led.headers['location']}"
        assert 'name="again"' in httpx.get(page).text
        assert httpx.post(page, data={"password": password, "again": password}, headers={"Origin": self.issuer}).status_code == 303

    def settled(self):
        """Until no mail waits."""
        def none_waits():
            with sqlite3.connect(self.kept()) as database:
                return database.execute("SELECT COUNT(*) FROM mails").fetchone()[0] == 0
        time.sleep(1.2)  # what follows a request begins up to a second after its answer, and that is a secret
        wait_for(none_waits, 10)

    def reset_token(self, address: str) -> str:
        """The token of a new link to reset the password; other mails to the address are passed over."""

        def tokens() -> list[str]:
            bodies = [m.get_body(("plain",)).get_content() for m in self.mails(address)]
            return [found[1] for body in bodies if (found := re.search(r"reset-password/([^?\s]+)", body))]

        # A token, and not a mail, is what is new: it is found in whichever mail it came.
        before = set(tokens())
        self.post("/request-password-reset", {"email": address, "redirectTo": "/reset"})
        return wait_for(lambda: next((token for token in tokens() if token not in before), None), 10)

    # Shell

    def run(self, *arguments: str, stdin: str = "", settings: list[str] = (), **more) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(self.port, list(settings), *arguments), cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=60, **more)

    def do(self, *arguments: str):
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr

    def confirm_clock(self, clock: int):
        """An operator says that a clock so many seconds ahead is right: until then nothing is deleted by it."""
        done = self.run("clock", "confirm", "--yes", env={**os.environ, **shifted(clock)})
        assert done.returncode == 0, done.stderr

    def starts(self, *settings: str, **environment: str) -> tuple[int, str]:
        """Runs a `serve` that has to end at once, and returns what it printed; a process that starts is an error."""
        command = self.command(self.port, list(settings), "serve")
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL, env={**os.environ, **environment})
        return done.returncode, done.stdout + done.stderr

    def stop_database(self):
        """Blocks all writes until this object is gone, because it holds a lock on the file."""
        self.holder = sqlite3.connect(self.kept(), isolation_level=None, check_same_thread=False)
        self.holder.execute("BEGIN IMMEDIATE")

    def stop_and_settle(self):
        """Ends the servers as an operator does; nothing is left in the log of the database."""
        self.stop()
        self.processes.clear()

    def rows(self, sql: str, *values) -> list[tuple]:
        with sqlite3.connect(self.kept(), timeout=10) as database:
            return database.execute(sql, values).fetchall()

    def audit(self, kind: str = "", user: str | None = None) -> list[dict]:
        done = self.run("audit", "list", *(["--kind", kind] if kind else []), "--limit", "1000", "--output", "json", *(["--user", user] if user else []))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["items"]

    # Keys

    def import_key(self):
        self.key = Ed25519PrivateKey.generate()
        pem = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (self.folder / "ours.pem").write_bytes(pem)
        (self.folder / "ours.pem").chmod(0o600)
        self.do("keys", "import", "ours.pem")
        self.do("keys", "rotate", "--force", "--yes")
        user = self.sign_up()
        wait_for(lambda: decode(self.sign_in(user.email).access)[0]["kid"] == self.kid())

    def kid(self) -> str:
        x = b64(self.key.public_key().public_bytes_raw())
        return b64(hashlib.sha256(json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":")).encode()).digest())

    def forge(self, user: User, header: dict | bytes | None = None, payload: bytes | None = None, **claims) -> str:
        """A token of this user signed with the real key, but with this header and these claims; `...` leaves one out."""
        _, good = decode(user.access)
        changed = {name: value for name, value in {**good, **claims}.items() if value is not ...}
        header = {"typ": "at+jwt", "alg": "EdDSA", "kid": self.kid()} if header is None else header
        head = header if isinstance(header, bytes) else json.dumps({n: v for n, v in header.items() if v is not ...}).encode()
        signed = f"{b64(head)}.{b64(payload if payload is not None else json.dumps(changed).encode())}"
        return f"{signed}.{b64(self.key.sign(signed.encode()))}"

    # The wire

    def raw(self, request: bytes, wait: float = 5) -> bytes:
        """What comes back to these bytes, until the server closes or is silent for so long."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            try:
                connection.sendall(request)
                data = b""
                while chunk := connection.recv(65536):
                    data += chunk
                    head, _, body = data.partition(b"\r\n\r\n")
                    length = re.search(rb"(?i)content-length: (\d+)", head)
                    if length and len(body) >= int(length[1]) and not request.count(b"HTTP/1.1") > 1:
                        break
            except (TimeoutError, ConnectionResetError, BrokenPipeError):
                pass
            return data

    def status(self, request: bytes, wait: float = 5) -> int:
        answer = self.raw(request, wait)
        return int(answer.split(b" ")[1]) if answer else 0


def document(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text()
