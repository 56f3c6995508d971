"""The client of docs/clients.md with retry tickets against the real service: lost answers, killed servers and clients, long absences, thieves."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading

import httpx
import pytest
from place import BINARY, PASSWORD, Place, free_port, wait_for
from ticket_client import Client, SignedOut


class Lossy(httpx.BaseTransport):
    """Sends requests, and loses some of them or their answers."""

    def __init__(self, draw: random.Random, share: float):
        self.real, self.draw, self.share, self.lost = httpx.HTTPTransport(), draw, share, 0

    def handle_request(self, request):
        chance = self.draw.random()
        if chance < self.share / 2:
            self.lost += 1
            raise httpx.ConnectError("the request is lost")
        answer = self.real.handle_request(request)
        answer.read()
        if chance < self.share:
            self.lost += 1
            raise httpx.ReadError("the answer is lost")
        return answer


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    """The service with a clock that can be moved."""
    folder, port = tmp_path_factory.mktemp("dev"), free_port()
    log = open(folder / "dev.log", "wb")
    process = subprocess.Popen([BINARY, "dev", "--port", str(port)], cwd=folder, env={**os.environ, "TMPDIR": str(folder)}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    url = f"http://localhost:{port}"
    try:
        wait_for(lambda: httpx.get(f"{url}/health/ready").status_code == 200)
        yield url
    finally:
        process.terminate()
        process.wait(40)


def signed_in(url: str, file, transport=None) -> Client:
    http = httpx.Client(base_url=url, transport=transport)
    name = file.stem
    form = {"name": name, "email": f"{name}@example.com", "password": PASSWORD}
    httpx.post(f"{url}/api/auth/sign-up/email", json=form).raise_for_status()
    Client(httpx.Client(base_url=url), file).sign_in(form["email"], PASSWORD)
    return Client(http, file)


def advance(url: str, by: str) -> None:
    httpx.post(f"{url}/dev/clock", json={"advance": by}).raise_for_status()


def test_lost_answers_and_long_absences_sign_no_client_out(dev, tmp_path):
    draw = random.Random(2026)
    lossy = Lossy(draw, 0.4)
    client = signed_in(dev, tmp_path / "lossy.json", lossy)
    renewed = 0
    for _ in range(120):
        try:
            client.refresh()
            renewed += 1
        except httpx.TransportError:
            pass
        advance(dev, draw.choice(["1s", "31s", "61s", "10m", "3h", "5d"]))
    assert lossy.lost > 30 and renewed > 50, (lossy.lost, renewed)


def test_a_part_that_is_killed_at_any_point_leaves_a_session_that_goes_on(dev, tmp_path):
    """Each part is a process that refreshes for ever and is killed after a random time."""
    file = tmp_path / "killed.json"
    client = signed_in(dev, file)
    program = f"import httpx, pathlib, sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); from ticket_client import Client; c = Client(httpx.Client(base_url={dev!r}), pathlib.Path({str(file)!r})); print('ready', flush=True)\nwhile True: c.refresh()"
    draw = random.Random(7)
    for _ in range(8):
        parts = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        for part in parts:
            assert part.stdout.readline() == b"ready\n"
        for _ in range(draw.randrange(1, 4)):
            # Past the cool-down each refresh rotates.
            advance(dev, "51s")
        for part in parts:
            part.send_signal(signal.SIGKILL)
            _, errors = part.communicate()
            assert b"SignedOut" not in errors, errors.decode()
        advance(dev, draw.choice(["1s", "31s", "10m"]))
        assert client.refresh()


def test_threads_that_share_the_file_share_the_session(dev, tmp_path):
    client = signed_in(dev, tmp_path / "threads.json")
    failures = []

    def part():
        own = Client(httpx.Client(base_url=dev), client.file)
        for _ in range(10):
            try:
                own.refresh()
            except Exception as error:  # every failure is one of the test
                failures.append(error)

    for _ in range(5):
        threads = [threading.Thread(target=part) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        advance(dev, "51s")
    assert not failures, failures


def test_a_copied_token_ends_the_session_at_the_first_step_and_a_copied_file_when_both_go_on(dev, tmp_path):
    owner = signed_in(dev, tmp_path / "owner.json")
    stolen = json.loads(owner.file.read_text())["refreshToken"]
    owner.refresh()
    answer = httpx.post(f"{dev}/api/auth/refresh", json={"refreshToken": stolen, "attempt": "EBESExQVFhcYGRobHB0eHw"})
    assert answer.status_code == 401 and answer.json()["code"] == "REFRESH_TOKEN_REUSED", answer.text
    with pytest.raises(SignedOut):
        owner.refresh()

    # The whole file, with a ticket that is under way: the thief is the client, until the two differ.
    owner = signed_in(dev, tmp_path / "profile.json")
    lost = Client(httpx.Client(base_url=dev, transport=Lossy(random.Random(1), 1)), owner.file)
    with pytest.raises(httpx.TransportError):
        lost.refresh()
    copy = tmp_path / "copied.json"
    shutil.copy(owner.file, copy)
    thief = Client(httpx.Client(base_url=dev), copy)
    assert owner.refresh() and thief.refresh(), "the same ticket for the same token gets the same successor"
    advance(dev, "51s")
    owner.refresh()
    with pytest.raises(SignedOut):
        thief.refresh()
    with pytest.raises(SignedOut):
        owner.refresh()


def test_a_server_that_is_killed_between_commit_and_answer_keeps_the_session(tmp_path):
    """Two servers on one database; one of them is killed again and again while the client refreshes there."""
    place, victim = Place(tmp_path, ["sessions.refresh_cooldown=0s", "sessions.refresh_grace=0s"]), None
    try:
        survivor = place.serve()
        client = signed_in(survivor, tmp_path / "two.json")
        draw, port = random.Random(3), free_port()
        for _ in range(6):
            url = place.serve(port)
            victim = place.processes.pop()
            killer = threading.Timer(draw.random() / 4, os.killpg, (victim.pid, signal.SIGKILL))
            killer.start()
            part = Client(httpx.Client(base_url=url, timeout=5), client.file)
            with pytest.raises(httpx.TransportError):
                while True:
                    part.refresh()
            killer.join()
            victim.wait()
            assert client.refresh()
    finally:
        if victim and victim.poll() is None:
            os.killpg(victim.pid, signal.SIGKILL)
        place.stop()
