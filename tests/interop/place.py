"""The real server in a folder of its own, for tests that look at it from outside."""

import contextlib
import functools
import json
import os
import pathlib
import random
import signal
import socket
import ssl
import subprocess
import time

import httpx

# httpx reads the certificates of all authorities for every client that it makes, which takes a hundred times as long
# as a request (19 ms). What is read from the same files is one context.
_create_context = ssl.create_default_context
_context_of = functools.cache(lambda cafile, capath: _create_context(cafile=cafile, capath=capath))


def shared_context(*args, **more):
    if args or not more or more.keys() - {"cafile", "capath"}:
        return _create_context(*args, **more)
    return _context_of(more.get("cafile"), more.get("capath"))


ssl.create_default_context = shared_context

ROOT = pathlib.Path(__file__).parents[2]
BINARY = os.getenv("BIN_UNDER_TEST", str(ROOT / "target/debug/countersign"))
NODE = str(ROOT / "target/interop/node/node_modules/.bin/node") if (ROOT / "target/interop/node/node_modules/.bin/node").exists() else "node"
PASSWORD = "a good long password"
CHEAP = ["server.ops_listen=off", "passwords.argon2_memory_kib=64", "passwords.argon2_iterations=1", "rate_limits.enabled=false", "sessions.max_per_user=100000", "passwords.blocklist=true"]


HELD = []


def free_port() -> int:
    """Returns a port that is reserved until this process ends.

    A socket is bound to it and does not listen. At first it shares the address with no other, so that two who look for
    a port at once never get the same one; from then on it shares it with servers, which all ask for that (SO_REUSEADDR).
    A server that was killed therefore finds its port again.
    """
    while True:
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", random.randrange(10_000, 30_000)))
        except OSError:
            holder.close()
            continue
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        HELD.append(holder)
        return holder.getsockname()[1]


def wait_for(check, seconds: float = 30):
    """Asks until the answer is true; the last answer is returned."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := check():
                return answer
        except (httpx.HTTPError, OSError):
            pass
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.05)


def shifted(seconds: int) -> dict[str, str]:
    """The wall clock ahead or behind, without the `faketime` program between: so that a test kills the server itself and can wait for its end."""
    library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{seconds:+}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


class Place:
    """A database and a master key, with any number of servers on them."""

    def __init__(self, folder: pathlib.Path, settings: list[str] = ()):
        self.folder, self.settings, self.processes = folder, [*CHEAP, *settings], []
        self.port = free_port()
        self.issuer = f"http://localhost:{self.port}"
        self.base = f"http://127.0.0.1:{self.port}"

    def command(self, port: int, settings: list[str], *arguments: str) -> list[str]:
        everything = [f"server.listen=127.0.0.1:{port}", f"server.public_url={self.issuer}", *self.settings, *settings]
        return [BINARY, *(part for s in everything for part in ("--set", s)), *arguments]

    def serve(self, port: int | None = None, settings: list[str] = (), clock: int = 0, **environment: str) -> str:
        """A server whose clock is so many seconds ahead of ours."""
        port = port or self.port
        log = open(self.folder / f"{port}.log", "ab")
        environment = {**os.environ, **environment, **(shifted(clock) if clock else {})}
        process = subprocess.Popen(self.command(port, settings, "serve"), cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        base = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            assert process.poll() is None, f"it ended with {process.returncode}: {pathlib.Path(log.name).read_text()[-2000:]}"
            return httpx.get(f"{base}/health").status_code == 200

        wait_for(ready)
        return base

    def start(self, command: list[str], port: int, ready: int = 401, **environment: str) -> str:
        """A backend of ours, up when it answers a stranger with this status."""
        settings = {"ISSUER": self.issuer, "JWKS_URL": f"{self.base}/api/auth/jwks", "PORT": str(port), **environment}
        log = open(self.folder / f"{port}.log", "ab")
        self.processes.append(subprocess.Popen(command, env={**os.environ, **settings}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))
        wait_for(lambda: httpx.get(f"http://127.0.0.1:{port}/me").status_code == ready)
        return f"http://127.0.0.1:{port}"

    def cli(self, *arguments: str) -> dict:
        done = subprocess.run(self.command(self.port, [], *arguments, "--output", "json"), cwd=self.folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def sign_in(self, name: str = "ana", base: str | None = None) -> dict:
        form = {"name": name, "email": f"{name}@example.com", "password": PASSWORD, "tokenDelivery": "body"}
        answer = httpx.post(f"{base or self.base}/api/auth/sign-in/email", json=form)
        if answer.status_code == 401:
            answer = httpx.post(f"{base or self.base}/api/auth/sign-up/email", json=form)
        return answer.raise_for_status().json()

    def kill(self):
        """As a power cut would."""
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()

    def stop(self):
        # Each leads a group of its own: a backend's runner need not pass a signal on.
        for process in self.processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            process.wait(40)
