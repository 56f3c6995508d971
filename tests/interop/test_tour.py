"""The tour of README.md in the shells that people paste into: it passes, prints what README shows, and leaves nothing."""

import os
import re
import socket
import subprocess
import sys

import pytest
from place import BINARY, ROOT, free_port


def tour(shell: str, folder, binary: str = BINARY):
    ports = {"AUTH_PORT": str(free_port()), "API_PORT": str(free_port())}
    environment = {**os.environ, **ports, "BIN": binary, "PYTHON": sys.executable, "TMPDIR": str(folder)}
    done = subprocess.run([shell, str(ROOT / "examples/tour.sh")], env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert not list(folder.iterdir()), "a temporary folder stays behind"
    for port in ports.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(port)), 5)
    return done


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_tour_prints_what_the_readme_shows(shell, tmp_path):
    done = tour(shell, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = re.search(r"```sh\nexamples/tour\.sh\n```.*?```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert done.stdout == shown[1]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_service_that_does_not_start_ends_the_tour(shell, tmp_path):
    done = tour(shell, tmp_path, "/bin/false")
    assert (done.returncode, done.stdout) == (1, "")
    assert "did not start" in done.stderr
