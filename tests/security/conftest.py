"""The real server, as an attacker meets it."""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1] / "interop")]

import pytest
from service import Service

# What most rows ask of: links of mails lie in files, and a page on another origin is trusted.
# The windows of refresh tokens are minutes long, so that a slow machine does not end them; `Service.later` gets past them.
USUAL = ["mail.transport=file", "server.trusted_origins=https://app.example.com", "sessions.refresh_grace=3m", "sessions.refresh_cooldown=5m", "sessions.late_retry=revoke", "log.level=trace"]


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """One that everybody shares: each test has users of its own."""
    service = Service(tmp_path_factory.mktemp("shared"), USUAL)
    service.serve()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def secure(tmp_path_factory):
    """One that stands behind a proxy with TLS, as in production."""
    service = Service(tmp_path_factory.mktemp("secure"), [*USUAL, "server.trusted_proxies=127.0.0.1"], issuer="https://auth.example.com")
    service.serve()
    yield service
    service.stop()


@pytest.fixture
def own(tmp_path):
    """Makes one for this test alone: `own("a.setting=1", clock=3600)`; `start=False` leaves it stopped."""
    made = []

    def make(*settings: str, start: bool = True, clock: int = 0, **environment: str) -> Service:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        service = Service(folder, [*USUAL, *settings])
        made.append(service)
        if start:
            service.serve(clock=clock, **environment)
        return service

    yield make
    for service in made:
        service.stop()


@pytest.fixture(scope="session")
def forger(tmp_path_factory):
    """One whose signing key is ours too: only the checks of claims and headers can refuse what we sign."""
    service = Service(tmp_path_factory.mktemp("forger"), USUAL)
    service.serve()
    service.import_key()
    yield service
    service.stop()
