"""A folder in which the blocks of one page of the documents are run, beside a service of their own."""

import json
import os
import pathlib
import re
import subprocess

import blocks
import httpx
from blocks import RAN, marked
from place import BINARY, PASSWORD, free_port, wait_for

# Folders that a document names and that no test may touch: they are folders of the test instead.
ABSOLUTE = re.compile(r"(?<![\w./:])/(backup|elsewhere|etc/countersign|var/lib/countersign)(?=[/\s\"'])")


# Commands that ask on a terminal before they change something; there is none here.
CONFIRMED = re.compile(r"^ *countersign (audit reapply|clock confirm|sessions revoke|keys revoke|keys close|keys rotate --compromised|users (ban|disable|delete|require-new-password|reset-factors|unlink|rollback))\b[^#\n]*(?<=\S)", re.MULTILINE)


class Desk:
    """A folder in which the blocks of one page are run one after another, beside a service that they talk to."""

    def __init__(self, folder: pathlib.Path, page: str):
        self.folder, self.page = folder, page
        self.port = free_port()
        self.process, self.which = None, ""
        self.work = folder / "work"
        for name in ("bin", "work", "backup", "elsewhere", "etc/countersign", "var/lib/countersign"):
            (folder / name).mkdir(parents=True)
        (folder / "bin/countersign").symlink_to(BINARY)
        secret = folder / "etc/countersign/smtp_url"
        secret.write_text("smtps://user:password@smtp.example.com:465\n")
        secret.chmod(0o600)
        self.environment = {
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "HOME": str(folder),
            "ADMIN_PASSWORD": PASSWORD,
            "COUNTERSIGN_SERVER__LISTEN": f"127.0.0.1:{self.port}",
            "COUNTERSIGN_SERVER__OPS_LISTEN": "off",
            "COUNTERSIGN_PASSWORDS__ARGON2_MEMORY_KIB": "64",
            "COUNTERSIGN_PASSWORDS__ARGON2_ITERATIONS": "1",
            "ISSUER": f"http://localhost:{self.port}",
        }

    def here(self, text: str) -> str:
        """A text of a document, with the ports and folders of this test."""
        text = ABSOLUTE.sub(lambda found: f"{self.folder}/{found[1]}", text)
        return text.replace("localhost:4000", f"localhost:{self.port}").replace("127.0.0.1:4000", f"127.0.0.1:{self.port}")

    def serve(self, command: list[str]):
        with open(self.folder / "service.log", "ab") as log:
            self.process = subprocess.Popen([BINARY, *command], cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def ready():
            assert self.process.poll() is None, (self.folder / "service.log").read_text()[-3000:]
            return httpx.get(f"http://127.0.0.1:{self.port}/health/ready").status_code == 200

        wait_for(ready)

    def need(self, which: str):
        """Starts the service that a block needs, unless it runs: `serve` with the page's own settings, or `dev`."""
        if which == self.which:
            return
        self.stop()
        self.which = which
        (self.work / "countersign.toml").unlink(missing_ok=True)
        if which == "dev":
            self.serve(["dev", "--port", str(self.port)])
            return
        own = [block for block in marked("toml config") if block.page == self.page and "service" in block.arguments]
        (self.work / "countersign.toml").write_text("".join(block.text for block in own))
        if "public_url" not in "".join(block.text for block in own):
            self.environment["COUNTERSIGN_SERVER__PUBLIC_URL"] = f"http://localhost:{self.port}"
        self.serve(["serve"])
        form = {"name": "Ana", "email": "ana@example.com", "password": PASSWORD}
        httpx.post(f"http://127.0.0.1:{self.port}/api/auth/sign-up/email", json=form).raise_for_status()

    def run(self, command: list[str], block: blocks.Block) -> str:
        done = subprocess.run(command, cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{block.place} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        RAN.add(block.place)
        return done.stdout

    def shell(self, block: blocks.Block) -> str:
        text = self.here(block.text)
        if "KID" in text:
            keys = json.loads(subprocess.run([BINARY, "keys", "list", "--output", "json"], cwd=self.work, env=self.environment, capture_output=True, check=True).stdout)
            text = text.replace("KID", next(key["kid"] for key in keys["items"] if key["state"] == "active"))
        return self.run(["bash", "-euo", "pipefail", "-c", CONFIRMED.sub(r"\g<0> --yes", text)], block)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(40)
            self.process = None
