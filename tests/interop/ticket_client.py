"""A client with retry tickets, by the rules of docs/clients.md. Its parts may be several processes that share one file.

The file holds the tokens and the ticket. Everything that is written there is on the disk before it is used; a lock beside it lets one part refresh at a time.
"""

import base64
import contextlib
import fcntl
import json
import os
import pathlib
import secrets

import httpx


class SignedOut(Exception):
    """The service has said that the session is over."""


class Client:
    def __init__(self, http: httpx.Client, file: pathlib.Path):
        self.http, self.file = http, file

    def sign_in(self, email: str, password: str) -> None:
        form = {"email": email, "password": password, "tokenDelivery": "body", "refreshRetry": "ticket"}
        answer = self.http.post("/api/auth/sign-in/email", json=form).raise_for_status().json()
        with self.locked():
            self.write({"refreshToken": answer["refreshToken"]})

    def refresh(self) -> str:
        """Returns a new access token. An answer that is lost is an error of `httpx`: call again, at any time."""
        with self.locked():
            stored = self.read()
            if "ticket" not in stored:
                # Stored before it is used: a retry after a crash must bring the same one.
                stored["ticket"] = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
                self.write(stored)
            answer = self.http.post("/api/auth/refresh", json={"refreshToken": stored["refreshToken"], "attempt": stored["ticket"]})
            if answer.status_code == 401:
                raise SignedOut(answer.json()["code"])
            renewed = answer.raise_for_status().json()
            if renewed["rotated"]:
                # The new token comes, and the ticket that brought it goes, in one step.
                self.write({"refreshToken": renewed["refreshToken"]})
            return renewed["accessToken"]

    def read(self) -> dict[str, str]:
        return json.loads(self.file.read_text())

    def write(self, stored: dict[str, str]) -> None:
        new = self.file.with_suffix(".new")
        with open(new, "w", encoding="utf-8") as file:
            json.dump(stored, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.file)

    @contextlib.contextmanager
    def locked(self):
        with open(self.file.with_suffix(".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
